using Grants.Api.Signing;
using Grants.Domain.Protocol;

namespace Grants.Api.Dpop;

/// <summary>
/// A DPoP proof that is well formed and signed by the key it names: RFC 9449 §4.2. Whether it was made for this very request, just now
/// and for the first time is for <see cref="DpopProofs"/> to check.
/// </summary>
/// <param name="Key">The key that signed it.</param>
/// <param name="AccessTokenHash"><c>ath</c>.</param>
public sealed record DpopProof(JwkThumbprint Key, string Id, string Method, string Uri, DateTimeOffset IssuedAt, DateTimeOffset? NotBefore, DateTimeOffset? ExpiresAt, string? AccessTokenHash, string? Nonce)
{
    /// <summary>Signatures alone, never shared secrets (RFC 9449 §4.3).</summary>
    public static readonly ValueList<string> Algorithms = ["ES256", "PS256", "RS256"];

    private const int MaxIdLength = 256;
    private const int MaxUriLength = 2048;

    /// <summary>Reads the value of a <c>DPoP</c> header. Null when it is no such proof, and why; the words are ours.</summary>
    public static DpopProof? Read(string text, out string fault)
    {
        fault = "The DPoP proof is not a signed JWT.";
        if (Jws.Parse(text) is not { } jws) return null;
        fault = "typ of the DPoP proof must be dpop+jwt.";
        if (jws.Header.Text("typ") != "dpop+jwt") return null;
        fault = "alg of the DPoP proof is not supported.";
        if (jws.Algorithm is not { } algorithm || !Algorithms.Contains(algorithm)) return null;
        fault = "jwk of the DPoP proof is missing.";
        if (jws.Header["jwk"] is not { } json || JsonMembers.Of(json) is not { } jwk) return null;
        fault = "jwk of the DPoP proof must be a public key.";
        if (Jwk.HasPrivatePart(jwk)) return null;
        fault = "jwk of the DPoP proof must be a key on P-256 or an RSA key of 2048 to 4096 bits, and its alg that of the proof.";
        using var key = Jwk.Parse(jwk);
        if (key?.Suits(algorithm) != true) return null;
        fault = "The signature of the DPoP proof is wrong.";
        if (!key.Verifies(algorithm, jws.Signed, jws.Signature)) return null;

        fault = "A claim of the DPoP proof is missing or malformed.";
        var claims = jws.Payload;
        if (((string[])["exp", "nbf"]).Any(name => claims.Has(name) && claims.Time(name) is null)) return null;
        if (((string[])["ath", "nonce"]).Any(name => claims.Has(name) && claims.Text(name) is null)) return null;
        return claims.Text("jti") is { Length: > 0 and <= MaxIdLength } id && claims.Text("htm") is { } method && claims.Text("htu") is { Length: <= MaxUriLength } uri && claims.Time("iat") is { } issuedAt
            ? new DpopProof(key.Thumbprint, id, method, uri, issuedAt, claims.Time("nbf"), claims.Time("exp"), claims.Text("ath"), claims.Text("nonce"))
            : null;
    }
}
