using Grants.Api.Http;
using Wolverine.Http;

namespace Grants.Api.Discovery;

/// <summary>
/// What the server's own APIs want of their callers: RFC 9728. One document is about the issuer, which is what the tokens for these APIs
/// have as <c>aud</c>, and one about the userinfo endpoint, since whoever follows its challenge expects the address that was called
/// (RFC 9728 §3.3). A path of the issuer comes before what is left of theirs.
/// </summary>
public static class ProtectedResourceEndpoint
{
    /// <summary>The name of the document among the well-known ones.</summary>
    public const string Name = "oauth-protected-resource";

    [WolverineGet("/.well-known/oauth-protected-resource")]
    public static Task<IResult> GetIssuer(HttpContext http, Lookups lookups, PublicDocuments documents) => Answer(http, lookups, documents, "");

    [WolverineGet("/.well-known/oauth-protected-resource/userinfo")]
    public static Task<IResult> GetUserInfo(HttpContext http, Lookups lookups, PublicDocuments documents) => Answer(http, lookups, documents, "/userinfo");

    private static async Task<IResult> Answer(HttpContext http, Lookups lookups, PublicDocuments documents, string path)
    {
        var document = documents.ResourceMetadataOf(await lookups.CatalogueAsync(http.RequestAborted), path);
        http.Response.Headers.CacheControl = "public, max-age=300";
        return Results.Bytes(document, "application/json; charset=utf-8");
    }
}
