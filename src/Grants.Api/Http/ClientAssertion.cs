using System.Security.Cryptography;
using Grants.Api.Keys;
using Grants.Api.Signing;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Api.Http;

/// <summary>
/// What a client shows in place of a secret: a JWT that it has signed lately and for this server (RFC 7521 §4.2, RFC 7523 §3,
/// RFC 7523bis, OpenID Connect Core §9). Taken apart here and compared with what such a JWT must say; who signed it is
/// <see cref="ClientAssertions"/>' affair.
/// </summary>
internal sealed class ClientAssertion
{
    /// <summary>The only <c>client_assertion_type</c>: RFC 7523 §2.2.</summary>
    public const string Kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

    /// <summary>How far ahead <c>exp</c> may be, and how far back <c>iat</c>: an assertion is made for one request.</summary>
    public static readonly TimeSpan MaxAge = TimeSpan.FromMinutes(10);

    /// <summary>How far apart the two clocks may be.</summary>
    public static readonly TimeSpan Leeway = TimeSpan.FromSeconds(30);

    private const int MaxIdLength = 512;

    private ClientAssertion(ClientId client, string algorithm, Jws jws, string id, DateTimeOffset expiresAt) =>
        (Client, Algorithm, Jws, Id, ExpiresAt) = (client, algorithm, jws, id, expiresAt);

    /// <summary>Who it says it is from. Nothing is proven yet.</summary>
    public ClientId Client { get; }

    public string Algorithm { get; }

    public Jws Jws { get; }

    /// <summary><c>jti</c>.</summary>
    public string Id { get; }

    public DateTimeOffset ExpiresAt { get; }

    /// <summary>From then on it is refused for its age, so that its <c>jti</c> may be forgotten.</summary>
    public DateTimeOffset RefusedFrom => ExpiresAt + Leeway;

    /// <summary>
    /// Null for what can't be a client assertion, whoever it is from. A type of another JWT is refused, so that none made for another
    /// purpose passes here (RFC 8725 §3.11); none, or <c>JWT</c>, is what almost every client sends.
    /// </summary>
    public static ClientAssertion? Parse(string? text)
    {
        if (Jws.Parse(text) is not { Type: null or "jwt" or "client-authentication+jwt" } jws) return null;
        if (jws.Algorithm is not { } algorithm || !AssertionAlgorithm.Supported.Contains(algorithm)) return null;
        if (jws.Header.Has("kid") && jws.Header.Text("kid") is null) return null;
        if (jws.Payload.Text("iss") is not { Length: > 0 and <= 256 } issuer || issuer.Any(c => c is < '!' or > '~') || jws.Payload.Text("sub") != issuer) return null;
        if (jws.Payload.Text("jti") is not { Length: > 0 and <= MaxIdLength } id || jws.Payload.Time("exp") is not { } expiresAt) return null;
        return new ClientAssertion(new ClientId(issuer), algorithm, jws, id, expiresAt);
    }

    /// <summary>Why it doesn't count now and for this server; null when it does.</summary>
    /// <param name="issuer">Ours.</param>
    /// <param name="endpoints">Further names of ours that this client may use, alone or in a list; null when the issuer is all.</param>
    public string? WhyNot(string issuer, IReadOnlyCollection<string>? endpoints, DateTimeOffset now)
    {
        return IsFor(issuer, endpoints) ? WhyNotNow(Jws.Payload, ExpiresAt, MaxAge, now) : "its aud is not the issuer";
    }

    /// <summary>Why a JWT doesn't count at this time by its <c>exp</c>, <c>nbf</c> and <c>iat</c>; null when it does.</summary>
    /// <param name="maxAge">How far ahead <c>exp</c> may be, and how far back <c>iat</c>.</param>
    internal static string? WhyNotNow(JsonMembers claims, DateTimeOffset expiresAt, TimeSpan maxAge, DateTimeOffset now)
    {
        if (now >= expiresAt + Leeway) return "it has expired";
        if (expiresAt > now + maxAge + Leeway) return "its exp is too far ahead";
        foreach (var name in (string[])["iat", "nbf"])
        {
            if (!claims.Has(name)) continue;
            if (claims.Time(name) is not { } time) return $"its {name} is no time";
            if (time > now + Leeway) return $"its {name} is still to come";
            if (name == "iat" && time < now - maxAge - Leeway) return "its iat is too long ago";
        }

        return null;
    }

    /// <summary>
    /// By default the issuer as one string. An assertion that names more servers, or an endpoint, can be used at another server by
    /// whoever gets the client to send it there, or at this one by that server (T20).
    /// </summary>
    private bool IsFor(string issuer, IReadOnlyCollection<string>? endpoints)
    {
        if (Jws.Payload["aud"] is not { } audience) return false;
        if (endpoints is null) return JsonMembers.TextOf(audience) == issuer;
        bool Ours(string? name) => name is not null && (name == issuer || endpoints.Contains(name));
        return audience.ValueKind == System.Text.Json.JsonValueKind.Array
            ? audience.EnumerateArray().Any(entry => Ours(JsonMembers.TextOf(entry)))
            : Ours(JsonMembers.TextOf(audience));
    }
}

/// <summary>Whether an assertion proves its client: by a registered key or by the shared secret, and once only, on all nodes together.</summary>
public sealed class ClientAssertions(ClientKeys keys, ClientSecrets secrets, UsedIds used, Settings settings, TimeProvider clock, ILogger<ClientAssertions> logger)
{
    private static readonly Jwk Nobody = MakeNobody();

    private static readonly Action<ILogger, string, string, Exception?> Refused = LoggerMessage.Define<string, string>(LogLevel.Information, new EventId(1, "AssertionRefused"),
        "An assertion for client {Client} was refused: {Reason}");

    /// <summary>
    /// Cheap checks come first, the signature next, and the one thing that is written last: only a client's own assertion can use up an
    /// id. Why one is refused stands in the log alone.
    /// </summary>
    /// <param name="client">Null when there is none of that name.</param>
    /// <param name="endpoint">The address that was called.</param>
    internal async Task<bool> ProvesAsync(Client? client, ClientAssertion assertion, string endpoint, CancellationToken cancellation)
    {
        string[]? endpoints = client?.Metadata.AssertionAudience == AssertionAudience.Endpoint ? [settings.Url("/token"), endpoint] : null;
        var why = assertion.WhyNot(settings.Issuer, endpoints, clock.GetUtcNow()) ?? await WhyNotSignedAsync(client, assertion, cancellation)
            ?? (client is not { IsActive: true } ? "the client is not active" : null);
        if (why is null && !await used.UseAsync("client_assertion", assertion.Client.Value, assertion.Id, assertion.RefusedFrom, cancellation)) why = "its jti was used before";
        if (why is not null && client is not null) Refused(logger, client.ClientId.Value, why, null);
        return why is null;
    }

    private async Task<string?> WhyNotSignedAsync(Client? client, ClientAssertion assertion, CancellationToken cancellation)
    {
        var (algorithm, jws) = (assertion.Algorithm, assertion.Jws);
        // The algorithm decides between key and secret, and must be one of the method that is registered: a public key is never a secret (RFC 8725 §2.1).
        var method = AssertionAlgorithm.OfSecrets.Contains(algorithm) ? ClientAuthMethod.SecretJwt : ClientAuthMethod.PrivateKeyJwt;
        if (client is null || client.Metadata.TokenEndpointAuthMethod != method || (client.Metadata.TokenEndpointAuthSigningAlg is { } only && only != algorithm))
        {
            Nobody.Verifies("ES256", jws.Signed, new byte[64]); // about as dear as the real one
            return "its algorithm is not of the client's method";
        }

        var genuine = method == ClientAuthMethod.SecretJwt
            ? (await secrets.FindAsync(client, cancellation)).Aggregate(false, (found, secret) => IsMac(algorithm, secret, jws) | found)
            : (await keys.FindAsync(client, algorithm, jws.Header.Text("kid"), cancellation)).Any(key => key.Verifies(algorithm, jws.Signed, jws.Signature));
        return genuine ? null : "no key or secret of the client fits its signature";
    }

    private static bool IsMac(string algorithm, byte[] secret, Jws jws) => secret.Length >= AssertionAlgorithm.SecretOctets(algorithm) && CryptographicOperations.FixedTimeEquals(jws.Signature, algorithm switch
    {
        "HS256" => HMACSHA256.HashData(secret, jws.Signed),
        "HS384" => HMACSHA384.HashData(secret, jws.Signed),
        "HS512" => HMACSHA512.HashData(secret, jws.Signed),
        _ => throw new System.Diagnostics.UnreachableException(),
    });

    private static Jwk MakeNobody()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var point = key.ExportParameters(includePrivateParameters: false).Q;
        return Jwk.Parse(JsonMembers.Parse(System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, string>
        {
            ["kty"] = "EC",
            ["crv"] = "P-256",
            ["x"] = System.Buffers.Text.Base64Url.EncodeToString(point.X),
            ["y"] = System.Buffers.Text.Base64Url.EncodeToString(point.Y),
        }))!)!;
    }
}
