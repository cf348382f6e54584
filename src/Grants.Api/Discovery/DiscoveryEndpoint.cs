using System.Runtime.CompilerServices;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grants.Api.Dpop;
using Grants.Api.Http;
using Grants.Api.Signing;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Claims;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Wolverine.Http;

namespace Grants.Api.Discovery;

/// <summary>What this server can do: RFC 8414, OpenID Connect Discovery 1.0. Says only what works; every URL comes from the configured issuer.</summary>
public static class DiscoveryEndpoint
{
    [WolverineGet("/.well-known/openid-configuration")]
    public static Task<IResult> GetOpenId(HttpContext http, Lookups lookups, PublicDocuments documents) => Answer(http, lookups, documents);

    [WolverineGet("/.well-known/oauth-authorization-server")]
    public static Task<IResult> GetOAuth(HttpContext http, Lookups lookups, PublicDocuments documents) => Answer(http, lookups, documents);

    private static async Task<IResult> Answer(HttpContext http, Lookups lookups, PublicDocuments documents)
    {
        var document = documents.MetadataOf(await lookups.CatalogueAsync(http.RequestAborted));
        http.Response.Headers.CacheControl = "public, max-age=300";
        return Results.Bytes(document, "application/json; charset=utf-8");
    }
}

/// <summary>The public keys: RFC 7517 §5. The next key stands here ahead of its first use.</summary>
public static class JwksEndpoint
{
    [WolverineGet("/jwks")]
    public static async Task<IResult> Get(HttpContext http, KeyRing ring, PublicDocuments documents)
    {
        var document = documents.KeySetOf(await ring.PublishedAsync(http.RequestAborted));
        http.Response.Headers.CacheControl = "public, max-age=300";
        return Results.Bytes(document, "application/jwk-set+json");
    }
}

/// <summary>Both documents in UTF-8, written once for each catalogue and each set of keys: these are told apart by reference.</summary>
public sealed class PublicDocuments(Settings settings)
{
    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly ConditionalWeakTable<Catalogue, byte[]> _metadata = [];
    private readonly ConditionalWeakTable<IReadOnlyList<RingKey>, byte[]> _keySets = [];

    public byte[] MetadataOf(Catalogue catalogue) => _metadata.GetValue(catalogue, Metadata);

    public byte[] KeySetOf(IReadOnlyList<RingKey> keys) => _keySets.GetValue(keys, KeySet);

    /// <param name="path">Of the API, under the issuer; empty for the issuer itself.</param>
    public byte[] ResourceMetadataOf(Catalogue catalogue, string path) => Utf8(new JsonObject
    {
        ["resource"] = settings.Url(path),
        ["authorization_servers"] = List([settings.Issuer]),
        ["scopes_supported"] = List(catalogue.Scopes.Select(scope => scope.Name).Where(StandardClaims.ByScope.ContainsKey).Prepend(StandardScopes.OpenId)),
        ["bearer_methods_supported"] = List(["header"]), // a form is taken too, but nobody should need it
        ["dpop_signing_alg_values_supported"] = List(DpopProof.Algorithms),
        ["dpop_bound_access_tokens_required"] = false,
        ["resource_name"] = path.Length == 0 ? settings.OrganisationName : $"{settings.OrganisationName}: who has signed in",
    });

    private byte[] Metadata(Catalogue catalogue)
    {
        var scopes = catalogue.Scopes.Select(scope => scope.Name).Prepend(StandardScopes.OfflineAccess).Prepend(StandardScopes.OpenId).ToList();
        var metadata = new JsonObject
        {
            ["issuer"] = settings.Issuer,
            ["authorization_endpoint"] = settings.Url("/authorize"),
            ["pushed_authorization_request_endpoint"] = settings.Url("/par"),
            ["require_pushed_authorization_requests"] = settings.RequirePushedAuthorizationRequests,
            ["device_authorization_endpoint"] = settings.Url("/device_authorization"),
            ["token_endpoint"] = settings.Url("/token"),
            ["introspection_endpoint"] = settings.Url("/introspect"),
            ["revocation_endpoint"] = settings.Url("/revoke"),
            ["userinfo_endpoint"] = settings.Url("/userinfo"),
            ["jwks_uri"] = settings.Url("/jwks"),
            ["end_session_endpoint"] = settings.Url("/logout"),
            ["scopes_supported"] = List(scopes),
            ["response_types_supported"] = List(["code"]),
            ["response_modes_supported"] = List(ResponseMode.Supported),
            ["grant_types_supported"] = List(GrantType.Supported),
            ["token_endpoint_auth_methods_supported"] = List(ClientAuthMethod.Supported),
            ["token_endpoint_auth_signing_alg_values_supported"] = List(AssertionAlgorithm.Supported),
            ["introspection_endpoint_auth_methods_supported"] = List(ClientAuthMethod.Supported.Where(method => method != ClientAuthMethod.None)),
            ["introspection_endpoint_auth_signing_alg_values_supported"] = List(AssertionAlgorithm.Supported),
            ["introspection_signing_alg_values_supported"] = List(SigningAlgorithm.Supported),
            ["revocation_endpoint_auth_methods_supported"] = List(ClientAuthMethod.Supported),
            ["revocation_endpoint_auth_signing_alg_values_supported"] = List(AssertionAlgorithm.Supported),
            ["code_challenge_methods_supported"] = List([CodeChallenge.Method]),
            ["dpop_signing_alg_values_supported"] = List(DpopProof.Algorithms),
            ["prompt_values_supported"] = List(PromptValue.Supported),
            ["subject_types_supported"] = List(SubjectIdentifierType.Supported),
            ["id_token_signing_alg_values_supported"] = List(SigningAlgorithm.Supported),
            ["authorization_signing_alg_values_supported"] = List(SigningAlgorithm.Supported),
            ["acr_values_supported"] = List(Authentication.AcrValues),
            ["claims_supported"] = List(["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid",
                .. StandardClaims.ByScope.Where(entry => scopes.Contains(entry.Key)).SelectMany(entry => entry.Value)]),
            ["claims_parameter_supported"] = true,
            ["request_parameter_supported"] = true,
            ["request_uri_parameter_supported"] = false,
            ["request_object_signing_alg_values_supported"] = List(SigningAlgorithm.Supported),
            ["require_signed_request_object"] = settings.RequireSignedRequestObject,
            ["authorization_response_iss_parameter_supported"] = true,
        };
        if (catalogue.Resources.Count > 0) metadata["protected_resources"] = List(catalogue.Resources.Select(resource => resource.Resource)); // RFC 9728 §4
        // RFC 9396 §10; what has no elements is left out (RFC 8414 §3.2).
        if (catalogue.DetailsTypes is { Count: > 0 } types) metadata["authorization_details_types_supported"] = List(types.Select(type => type.Type));
        return Utf8(metadata);
    }

    private static byte[] KeySet(IReadOnlyList<RingKey> ring)
    {
        var keys = new JsonArray();
        foreach (var key in ring)
        {
            var jwk = JsonNode.Parse(key.Key.PublicJwk)!.AsObject();
            jwk["kid"] = key.Key.Kid;
            jwk["use"] = "sig";
            jwk["alg"] = key.Key.Algorithm;
            keys.Add((JsonNode)jwk);
        }

        return Utf8(new JsonObject { ["keys"] = keys });
    }

    private static byte[] Utf8(JsonObject document) => JsonSerializer.SerializeToUtf8Bytes(document, Plain);

    private static JsonArray List(IEnumerable<string> values) => new([.. values.Select(value => JsonValue.Create(value))]);
}
