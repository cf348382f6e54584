using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Signing;
using Grants.Domain.Catalogues;
using Grants.Domain.Protocol;

namespace Grants.Api.Token;

/// <summary>What a trusted issuer has signed about a person.</summary>
/// <param name="Subject">Its <c>sub</c>.</param>
/// <param name="Username">The claim that holds a user name of this server, if the issuer may say one.</param>
/// <param name="Id">Its <c>jti</c>.</param>
internal sealed record GrantAssertion(TrustedIssuer Trusted, string Subject, string? Username, string Id, DateTimeOffset ExpiresAt)
{
    public string Hash => Base64Url.EncodeToString(SHA256.HashData(Encoding.UTF8.GetBytes(Id)));
}

/// <summary>
/// Whether a JWT counts as an authorization grant: RFC 7523 §3 with the stricter audience of RFC 7523bis. Signed lately, for this server
/// alone, by an issuer that is trusted and for a client that may show its word; and good once, on all nodes together.
/// </summary>
public sealed class GrantAssertions(ClientKeys keys, UsedIds used, Lookups lookups, PersonalData personal, Settings settings, TimeProvider clock, ILogger<GrantAssertions> logger)
{
    /// <summary>How far ahead <c>exp</c> may be, and how far back <c>iat</c>.</summary>
    public static readonly TimeSpan MaxAge = TimeSpan.FromHours(1);

    /// <summary>The types of every other JWT are refused (RFC 8725 §3.11). <c>JWT</c> and none are what most issuers send.</summary>
    private static readonly string?[] Types = [null, "jwt", "authorization-grant+jwt"];

    private static readonly Action<ILogger, string, string, Exception?> Refused = LoggerMessage.Define<string, string>(LogLevel.Information, new EventId(1, "GrantAssertionRefused"),
        "An assertion that client {Client} showed was refused: {Reason}");

    /// <summary>Null for what doesn't count; the log says why. Cheap checks come first, the signature last.</summary>
    internal async Task<GrantAssertion?> ReadAsync(string text, ClientId client, Catalogue catalogue, CancellationToken cancellation)
    {
        var (assertion, why) = await CheckAsync(text, client, catalogue, cancellation);
        if (assertion is null) Refused(logger, client.Value, why, null);
        return assertion;
    }

    /// <summary>True for the first to use it.</summary>
    internal async Task<bool> UseAsync(GrantAssertion assertion, ClientId client, CancellationToken cancellation)
    {
        if (await used.UseAsync("grant_assertion", assertion.Trusted.Issuer, assertion.Id, assertion.ExpiresAt + ClientAssertion.Leeway, cancellation)) return true;
        Refused(logger, client.Value, "its jti was used before", null);
        return false;
    }

    /// <summary>Who is meant: by an explicit link, else by user name where the issuer may say one. Null for nobody here.</summary>
    internal async Task<SubjectId?> PersonOfAsync(GrantAssertion assertion, ClientId client, CancellationToken cancellation)
    {
        var hash = await LinkHashAsync(personal, assertion.Trusted.Issuer, assertion.Subject, cancellation);
        if (assertion.Trusted.Subjects.FirstOrDefault(link => link.Hash == hash) is { } linked) return linked.Subject;
        if (assertion.Username is { } name && await lookups.SubjectByLoginAsync(await personal.LoginHashAsync(name.Normalize().ToUpperInvariant(), cancellation), cancellation) is { } person) return person;
        Refused(logger, client.Value, "its subject is nobody here", null);
        return null;
    }

    /// <summary>See <see cref="SubjectLink"/>.</summary>
    internal static Task<string> LinkHashAsync(PersonalData personal, string issuer, string subject, CancellationToken cancellation) =>
        personal.LoginHashAsync($"link:{issuer.Length}:{issuer}:{subject}", cancellation);

    private async Task<(GrantAssertion? Assertion, string Why)> CheckAsync(string text, ClientId client, Catalogue catalogue, CancellationToken cancellation)
    {
        if (Jws.Parse(text) is not { } jws) return (null, "it is no JWT");
        if (!Types.Contains(jws.Type)) return (null, "its typ is that of another JWT");
        var claims = jws.Payload;
        if (claims.Text("iss") is not { Length: > 0 and <= 2000 } issuer || catalogue.Issuer(issuer) is not { } trusted) return (null, "its issuer is not trusted");
        if (!trusted.Clients.Contains(client.Value)) return (null, "the client may not show assertions of its issuer");
        if (jws.Algorithm is not { } algorithm || !trusted.Algorithms.Contains(algorithm)) return (null, "its algorithm is not one of its issuer's");
        if (jws.Header.Has("kid") && jws.Header.Text("kid") is null) return (null, "its kid is no text");
        if (!IsForUs(claims)) return (null, "its aud is not the issuer alone");
        if (claims.Text("sub") is not { Length: > 0 and <= 512 } subject) return (null, "it has no sub");
        if (claims.Text("jti") is not { Length: > 0 and <= 512 } id) return (null, "it has no jti");
        if (claims.Time("exp") is not { } expiresAt) return (null, "it has no exp");
        if (ClientAssertion.WhyNotNow(claims, expiresAt, MaxAge, clock.GetUtcNow()) is { } why) return (null, why);
        return (await keys.FindAsync(trusted, algorithm, jws.Header.Text("kid"), cancellation)).Any(key => key.Verifies(algorithm, jws.Signed, jws.Signature))
            ? (new GrantAssertion(trusted, subject, trusted.UsernameClaim is { } claim ? claims.Text(claim) : null, id, expiresAt), "")
            : (null, "no key of its issuer fits its signature");
    }

    /// <summary>RFC 7523bis: the issuer identifier is the only audience, as a text or as a list of one. With another beside it, that one could use the assertion here.</summary>
    private bool IsForUs(JsonMembers claims) => claims["aud"] is { } audience && (audience.ValueKind == JsonValueKind.Array
        ? audience.GetArrayLength() == 1 && JsonMembers.TextOf(audience[0]) == settings.Issuer
        : JsonMembers.TextOf(audience) == settings.Issuer);
}
