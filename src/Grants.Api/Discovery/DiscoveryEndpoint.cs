using System.Text.Json.Nodes;
using Grants.Api.Http;
using Grants.Api.Signing;
using Grants.Domain.Authorizations;
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
    public static Task<IResult> GetOpenId(HttpContext http, Settings settings, Lookups lookups) => Answer(http, settings, lookups);

    [WolverineGet("/.well-known/oauth-authorization-server")]
    public static Task<IResult> GetOAuth(HttpContext http, Settings settings, Lookups lookups) => Answer(http, settings, lookups);

    private static async Task<IResult> Answer(HttpContext http, Settings settings, Lookups lookups)
    {
        var catalogue = await lookups.CatalogueAsync(http.RequestAborted);
        var scopes = catalogue.Scopes.Select(scope => scope.Name).Prepend(StandardScopes.OfflineAccess).Prepend(StandardScopes.OpenId).ToList();
        http.Response.Headers.CacheControl = "public, max-age=300";
        return Results.Json(new JsonObject
        {
            ["issuer"] = settings.Issuer,
            ["authorization_endpoint"] = settings.Url("/authorize"),
            ["token_endpoint"] = settings.Url("/token"),
            ["userinfo_endpoint"] = settings.Url("/userinfo"),
            ["jwks_uri"] = settings.Url("/jwks"),
            ["end_session_endpoint"] = settings.Url("/logout"),
            ["scopes_supported"] = List(scopes),
            ["response_types_supported"] = List(["code"]),
            ["response_modes_supported"] = List(ResponseMode.Supported),
            ["grant_types_supported"] = List(GrantType.Supported),
            ["token_endpoint_auth_methods_supported"] = List(ClientAuthMethod.Supported),
            ["code_challenge_methods_supported"] = List([CodeChallenge.Method]),
            ["prompt_values_supported"] = List(PromptValue.Supported),
            ["subject_types_supported"] = List(["public"]),
            ["id_token_signing_alg_values_supported"] = List(SigningAlgorithm.Supported),
            ["acr_values_supported"] = List([Authentication.PasswordAcr]),
            ["claims_supported"] = List(["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid",
                .. StandardClaims.ByScope.Where(entry => scopes.Contains(entry.Key)).SelectMany(entry => entry.Value)]),
            ["claims_parameter_supported"] = false,
            ["request_parameter_supported"] = false,
            ["request_uri_parameter_supported"] = false,
            ["authorization_response_iss_parameter_supported"] = true,
        });
    }

    private static JsonArray List(IEnumerable<string> values) => new([.. values.Select(value => JsonValue.Create(value))]);
}

/// <summary>The public keys: RFC 7517 §5. The next key stands here ahead of its first use.</summary>
public static class JwksEndpoint
{
    [WolverineGet("/jwks")]
    public static async Task<IResult> Get(HttpContext http, KeyRing ring)
    {
        var keys = new JsonArray();
        foreach (var key in await ring.PublishedAsync(http.RequestAborted))
        {
            var jwk = JsonNode.Parse(key.Key.PublicJwk)!.AsObject();
            jwk["kid"] = key.Key.Kid;
            jwk["use"] = "sig";
            jwk["alg"] = key.Key.Algorithm;
            keys.Add((JsonNode)jwk);
        }

        http.Response.Headers.CacheControl = "public, max-age=300";
        return Results.Json(new JsonObject { ["keys"] = keys }, contentType: "application/jwk-set+json");
    }
}
