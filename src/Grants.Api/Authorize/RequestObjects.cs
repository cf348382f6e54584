using System.Text.Json;
using Grants.Api.Http;
using Grants.Api.Signing;
using Grants.Domain.Clients;
using Microsoft.Extensions.Primitives;

namespace Grants.Api.Authorize;

/// <summary>
/// Request objects by value: RFC 9101. The whole request in one JWT that its client has signed; nothing that stands beside it counts.
/// They are never encrypted and never fetched.
/// </summary>
public sealed class RequestObjects(ClientKeys keys, Settings settings, TimeProvider clock)
{
    /// <summary>RFC 9101 §10.8: the type of every other JWT is refused. <c>JWT</c> and none say nothing about the use.</summary>
    private static readonly string?[] Types = [null, "oauth-authz-req+jwt", "jwt"];

    /// <summary>Between <c>nbf</c> and <c>exp</c>, and since <c>nbf</c>: FAPI 2.0 Message Signing §5.3.1.</summary>
    private static readonly TimeSpan LongestLife = TimeSpan.FromMinutes(60);

    /// <summary>How far a client's clock may be ahead: FAPI 2.0 §5.3.2.1 wants 10 seconds accepted and 60 refused.</summary>
    private static readonly TimeSpan Ahead = TimeSpan.FromSeconds(30);

    /// <summary>What a JWT says about itself is no parameter of the request.</summary>
    private static readonly string[] Frame = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

    /// <summary>The request's parameters, or why there are none: <c>invalid_request_object</c>.</summary>
    /// <param name="client">The client that the request names outside of the object, or that authenticated. It has a registered algorithm.</param>
    public async Task<(Parameters? Request, string? Fault)> OpenAsync(string jwt, Client client, CancellationToken cancellation)
    {
        if (await ReadAsync(jwt, client, cancellation) is not { } claims) return (null, "The request object is not signed with a key and the algorithm that this client has registered, or is no request object by its typ.");
        if (WhyNot(claims, client.ClientId.Value) is { } fault) return (null, fault);
        return (Parameters.Of(claims.All.Where(claim => !Frame.Contains(claim.Key)).Select(claim => KeyValuePair.Create(claim.Key, Values(claim.Key, claim.Value)))), null);
    }

    /// <summary>What the client signed. The registered algorithm alone counts, and with it a registered key (RFC 8725 §3.1).</summary>
    private async Task<JsonMembers?> ReadAsync(string jwt, Client client, CancellationToken cancellation)
    {
        if (Jws.Parse(jwt) is not { } jws || !Types.Contains(jws.Type) || jws.Algorithm is not { } algorithm || algorithm != client.Metadata.RequestObjectSigningAlg) return null;
        if (jws.Header.Has("kid") && jws.Header.Text("kid") is null) return null;
        var keyring = await keys.FindAsync(client, algorithm, jws.Header.Text("kid"), cancellation);
        return keyring.Any(key => key.Verifies(algorithm, jws.Signed, jws.Signature)) ? jws.Payload : null;
    }

    private string? WhyNot(JsonMembers claims, string client)
    {
        if (claims.Text("iss") != client) return "iss of the request object must be the client_id.";
        if (!Audience(claims).Contains(settings.Issuer)) return "aud of the request object must contain the issuer.";
        if (claims.Text("client_id") != client) return "client_id of the request object must be that of the request.";
        // What a client assertion says of itself: one must never pass for the other (RFC 9101 §10.8).
        if (claims.Text("sub") == client) return "sub of the request object must not be the client_id.";
        if (claims.Has("request") || claims.Has("request_uri")) return "A request object must not contain request or request_uri.";

        var now = clock.GetUtcNow();
        if (((string[])["exp", "nbf", "iat"]).Any(name => claims.Has(name) && claims.Time(name) is null)) return "A time in the request object is no number of seconds.";
        var (expires, from) = (claims.Time("exp"), claims.Time("nbf"));
        if (expires <= now) return "The request object has expired.";
        if (from > now + Ahead || claims.Time("iat") > now + Ahead) return "The request object is not valid yet.";
        if (from < now - LongestLife || expires - from > LongestLife) return "The request object must not be valid for more than 60 minutes.";
        return null;
    }

    private static IEnumerable<string?> Audience(JsonMembers claims) => claims["aud"] is not { } audience ? []
        : audience.ValueKind == JsonValueKind.Array ? audience.EnumerateArray().Select(JsonMembers.TextOf)
        : [JsonMembers.TextOf(audience)];

    /// <summary>RFC 9101 §4: text as text, numbers and structured values as their JSON, and several resources as a list (RFC 8707 §2.1).</summary>
    private static StringValues Values(string name, JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => JsonMembers.TextOf(value),
        JsonValueKind.Null => StringValues.Empty,
        JsonValueKind.Array when name == "resource" && value.EnumerateArray().All(one => one.ValueKind == JsonValueKind.String) =>
            value.EnumerateArray().Select(JsonMembers.TextOf).ToArray(),
        _ => value.GetRawText(),
    };
}
