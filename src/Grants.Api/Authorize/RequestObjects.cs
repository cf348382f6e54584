using System.Text.Json;
using Grants.Api.Http;
using Grants.Domain.Clients;
using Microsoft.Extensions.Primitives;

namespace Grants.Api.Authorize;

/// <summary>
/// Request objects by value: RFC 9101. The whole request in one JWT that its client has signed; nothing that stands beside it counts.
/// They are never encrypted and never fetched.
/// </summary>
public sealed class RequestObjects(Settings settings, TimeProvider clock)
{
    private const string MediaType = "application/";

    /// <summary>RFC 9101 §10.8: the type of every other JWT is refused. <c>JWT</c> and none say nothing about the use.</summary>
    private static readonly string[] Types = ["oauth-authz-req+jwt", "jwt"];

    /// <summary>Between <c>nbf</c> and <c>exp</c>, and since <c>nbf</c>: FAPI 2.0 Message Signing §5.3.1.</summary>
    private static readonly TimeSpan LongestLife = TimeSpan.FromMinutes(60);

    /// <summary>How far a client's clock may be ahead: FAPI 2.0 §5.3.2.1 wants 10 seconds accepted and 60 refused.</summary>
    private static readonly TimeSpan Ahead = TimeSpan.FromSeconds(30);

    /// <summary>What a JWT says about itself is no parameter of the request.</summary>
    private static readonly string[] Frame = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

    /// <summary>The request's parameters, or why there are none: <c>invalid_request_object</c>.</summary>
    /// <param name="client">The client that the request names outside of the object, or that authenticated. It has a registered algorithm.</param>
    public (Parameters? Request, string? Fault) Open(string jwt, Client client)
    {
        if (ClientKeys.Verify(client.Metadata.Jwks, client.Metadata.RequestObjectSigningAlg!, jwt) is not { } signed)
            return (null, "The request object is not signed with a key and the algorithm that this client has registered.");
        if (WhyNot(signed, client.ClientId.Value) is { } fault) return (null, fault);
        return (Parameters.Of(signed.Claims.EnumerateObject().Where(claim => !Frame.Contains(claim.Name)).Select(claim => KeyValuePair.Create(claim.Name, Values(claim)))), null);
    }

    private string? WhyNot(ClientJwt signed, string client)
    {
        var (header, claims) = signed;
        if (header.TryGetProperty("typ", out _) && !IsOurs(ClientKeys.Text(header, "typ"))) return "The JWT is not a request object by its typ.";
        if (ClientKeys.Text(claims, "iss") != client) return "iss of the request object must be the client_id.";
        if (!Audience(claims).Contains(settings.Issuer)) return "aud of the request object must contain the issuer.";
        if (ClientKeys.Text(claims, "client_id") != client) return "client_id of the request object must be that of the request.";
        // What a client assertion says of itself: one must never pass for the other (RFC 9101 §10.8).
        if (ClientKeys.Text(claims, "sub") == client) return "sub of the request object must not be the client_id.";
        if (claims.TryGetProperty("request", out _) || claims.TryGetProperty("request_uri", out _)) return "A request object must not contain request or request_uri.";

        var now = clock.GetUtcNow();
        if (!TryReadTime(claims, "exp", out var expires) || !TryReadTime(claims, "nbf", out var from) || !TryReadTime(claims, "iat", out var issued)) return "A time in the request object is no number of seconds.";
        if (expires <= now.ToUnixTimeSeconds()) return "The request object has expired.";
        var ahead = (now + Ahead).ToUnixTimeSeconds();
        if (from > ahead || issued > ahead) return "The request object is not valid yet.";
        if (from < (now - LongestLife).ToUnixTimeSeconds() || expires - from > LongestLife.TotalSeconds) return "The request object must not be valid for more than 60 minutes.";
        return null;
    }

    private static bool IsOurs(string? type) => type is not null
        && Types.Contains(type.StartsWith(MediaType, StringComparison.OrdinalIgnoreCase) ? type[MediaType.Length..] : type, StringComparer.OrdinalIgnoreCase);

    private static IEnumerable<string?> Audience(JsonElement claims) => !claims.TryGetProperty("aud", out var audience) ? []
        : audience.ValueKind == JsonValueKind.Array ? audience.EnumerateArray().Where(one => one.ValueKind == JsonValueKind.String).Select(one => one.GetString())
        : [ClientKeys.Text(claims, "aud")];

    /// <summary>Seconds since 1970, RFC 7519 §2, maybe with a fraction; null when absent. False when it is anything else.</summary>
    private static bool TryReadTime(JsonElement claims, string name, out double? seconds)
    {
        seconds = null;
        if (!claims.TryGetProperty(name, out var value)) return true;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out var number)) return false;
        seconds = number;
        return true;
    }

    /// <summary>RFC 9101 §4: text as text, numbers and structured values as their JSON, and several resources as a list (RFC 8707 §2.1).</summary>
    private static StringValues Values(JsonProperty claim) => claim.Value.ValueKind switch
    {
        JsonValueKind.String => claim.Value.GetString(),
        JsonValueKind.Null => StringValues.Empty,
        JsonValueKind.Array when claim.Name == "resource" && claim.Value.EnumerateArray().All(one => one.ValueKind == JsonValueKind.String) =>
            claim.Value.EnumerateArray().Select(one => one.GetString()).ToArray(),
        _ => claim.Value.GetRawText(),
    };
}
