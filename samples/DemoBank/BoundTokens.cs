using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Http;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace DemoBank;

/// <summary>
/// Access tokens that are bound to a key of the app (RFC 9449 §7). They come with the scheme DPoP and a proof: a JWT, signed with that
/// key, made for this very call. Which proofs were used, this process alone remembers; an API on many servers would share it.
/// </summary>
internal sealed class BoundTokens(string resource, TimeProvider clock)
{
    public static readonly string[] Algorithms = ["ES256", "PS256", "RS256"];

    /// <summary>Says that such tokens are taken, beside bearer tokens.</summary>
    public static readonly string Challenge = $"DPoP algs=\"{string.Join(' ', Algorithms)}\"";

    private static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(60);
    private static readonly JsonWebTokenHandler Handler = new() { MapInboundClaims = false };
    private readonly ConcurrentDictionary<string, DateTimeOffset> _used = new();

    /// <summary>Takes the token also where the scheme is DPoP.</summary>
    public static Task Receive(MessageReceivedContext context)
    {
        if (Bound(context.Request) is { } token) context.Token = token;
        return Task.CompletedTask;
    }

    /// <summary>Refuses a bound token without its proof, also as a bearer token, and a proof with a token that is bound to nothing.</summary>
    public async Task Check(TokenValidatedContext context)
    {
        var confirmation = context.Principal!.FindFirst("cnf")?.Value;
        var token = Bound(context.Request);
        if (confirmation is null && token is null) return; // a bearer token
        if (confirmation is null || token is null || (string?)JsonNode.Parse(confirmation)!["jkt"] is not { } jkt || !await IsProvenAsync(context.Request, jkt, token))
            context.Fail("Nobody has proven to be the one whom the token was given to.");
    }

    private async Task<bool> IsProvenAsync(HttpRequest request, string jkt, string token)
    {
        if (request.Headers["DPoP"] is not [{ } text] || KeyOf(text, jkt) is not { } key) return false;
        var result = await Handler.ValidateTokenAsync(text, new TokenValidationParameters
        {
            ValidTypes = ["dpop+jwt"],
            ValidAlgorithms = Algorithms,
            IssuerSigningKey = key,
            TryAllIssuerSigningKeys = true,
            ValidateIssuer = false,
            ValidateAudience = false,
            RequireExpirationTime = false,
            ValidateLifetime = false, // iat counts
        });
        if (!result.IsValid || result.SecurityToken is not JsonWebToken proof) return false;

        var now = clock.GetUtcNow();
        var age = now - new DateTimeOffset(proof.IssuedAt, TimeSpan.Zero);
        return age > -MaxAge && age < MaxAge
            && Says("htm") == request.Method
            && Uri.TryCreate(Says("htu"), UriKind.Absolute, out var address) && address.GetLeftPart(UriPartial.Path) == new Uri(resource + request.Path).GetLeftPart(UriPartial.Path)
            && Says("ath") == Base64UrlEncoder.Encode(SHA256.HashData(Encoding.ASCII.GetBytes(token)))
            && proof.Id.Length > 0 && IsFirst($"{jkt} {proof.Id}", now);

        string? Says(string claim) => proof.TryGetPayloadValue<string>(claim, out var value) ? value : null;
    }

    private bool IsFirst(string id, DateTimeOffset now)
    {
        foreach (var (old, at) in _used)
        {
            if (now - at > 2 * MaxAge) _used.TryRemove(old, out _);
        }

        return _used.TryAdd(id, now);
    }

    /// <summary>The public key in a proof's header, if it is the one of that thumbprint (RFC 7638).</summary>
    private static JsonWebKey? KeyOf(string proof, string jkt)
    {
        try
        {
            return Handler.ReadJsonWebToken(proof).TryGetHeaderValue<object>("jwk", out var jwk) && new JsonWebKey(jwk.ToString()) is { HasPrivateKey: false, Kty: "EC" or "RSA" } key
                && Base64UrlEncoder.Encode(key.ComputeJwkThumbprint()) == jkt ? key : null;
        }
        catch (Exception e) when (e is ArgumentException or SecurityTokenException or JsonException)
        {
            return null;
        }
    }

    private static string? Bound(HttpRequest request) =>
        request.Headers.Authorization.ToString() is var header && header.StartsWith("DPoP ", StringComparison.OrdinalIgnoreCase) ? header["DPoP ".Length..].Trim() : null;
}
