using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Grants.Domain.Protocol;

namespace Grants.Api.Dpop;

/// <summary>
/// A DPoP proof that is well formed and signed by the key it names: RFC 9449 §4.2. Whether it was made for this very request, just now
/// and for the first time is for <see cref="DpopProofs"/> to check.
/// </summary>
/// <param name="Key">The key that signed it.</param>
/// <param name="IssuedAt">Seconds since 1970, as are the other two times.</param>
/// <param name="AccessTokenHash"><c>ath</c>.</param>
public sealed record DpopProof(JwkThumbprint Key, string Id, string Method, string Uri, double IssuedAt, double? NotBefore, double? ExpiresAt, string? AccessTokenHash, string? Nonce)
{
    /// <summary>Signatures alone, never shared secrets (RFC 9449 §4.3).</summary>
    public static readonly ValueList<string> Algorithms = ["ES256", "PS256", "RS256"];

    private const int MaxLength = 8192;
    private const int MaxIdLength = 256;
    private const int MaxUriLength = 2048;

    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 8, AllowDuplicateProperties = false };
    private static readonly string[] PrivateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

    /// <summary>Reads the value of a <c>DPoP</c> header. Null when it is no such proof, and why; the words are ours.</summary>
    public static DpopProof? Read(string text, out string fault)
    {
        fault = "The DPoP proof is not a signed JWT.";
        if (text.Length > MaxLength || text.Split('.', 4) is not [var head, var body, var end]) return null;
        if (Decode(head) is not { } headBytes || Decode(body) is not { } bodyBytes || Decode(end) is not { } signature) return null;
        try
        {
            using var header = JsonDocument.Parse(headBytes, Strict);
            using var claims = JsonDocument.Parse(bodyBytes, Strict);
            if (header.RootElement.ValueKind != JsonValueKind.Object || claims.RootElement.ValueKind != JsonValueKind.Object) return null;
            return Signer(header.RootElement, Encoding.ASCII.GetBytes($"{head}.{body}"), signature, ref fault) is { } key ? Claims(claims.RootElement, key, ref fault) : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or CryptographicException)
        {
            // Not JSON, text that is no Unicode, a point off the curve: what a stranger may send.
            return null;
        }
    }

    /// <summary>The key of the header, if it is one that the algorithm may use and the signature is its.</summary>
    private static JwkThumbprint? Signer(JsonElement header, byte[] signed, byte[] signature, ref string fault)
    {
        if (Text(header, "typ") != "dpop+jwt") return Fault("typ of the DPoP proof must be dpop+jwt.", ref fault);
        if (Text(header, "alg") is not { } algorithm || !Algorithms.Contains(algorithm)) return Fault("alg of the DPoP proof is not supported.", ref fault);
        if (header.TryGetProperty("crit", out _)) return Fault("crit of the DPoP proof is not supported.", ref fault); // RFC 7515 §4.1.11
        if (!header.TryGetProperty("jwk", out var jwk) || jwk.ValueKind != JsonValueKind.Object) return Fault("jwk of the DPoP proof is missing.", ref fault);
        if (Array.Exists(PrivateMembers, member => jwk.TryGetProperty(member, out _))) return Fault("jwk of the DPoP proof must be a public key.", ref fault);

        // A key is used with the algorithms of its own kind alone (RFC 8725 §3.1).
        if (algorithm == "ES256")
        {
            if (Text(jwk, "kty") != "EC" || Text(jwk, "crv") != "P-256" || Octets(jwk, "x") is not { Length: 32 } x || Octets(jwk, "y") is not { Length: 32 } y)
                return Fault("jwk of the DPoP proof must be a key on P-256.", ref fault);
            using var point = ECDsa.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, Q = new ECPoint { X = x, Y = y } });
            return point.VerifyData(signed, signature, HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation)
                ? ThumbprintOfPoint(x, y)
                : Fault("The signature of the DPoP proof is wrong.", ref fault);
        }

        if (Text(jwk, "kty") != "RSA" || Octets(jwk, "n") is not { } n || !IsModulus(n) || Octets(jwk, "e") is not { } e || !IsExponent(e))
            return Fault("jwk of the DPoP proof must be an RSA key of 2048 to 4096 bits.", ref fault);
        using var rsa = RSA.Create(new RSAParameters { Modulus = n, Exponent = e });
        return rsa.VerifyData(signed, signature, HashAlgorithmName.SHA256, algorithm == "PS256" ? RSASignaturePadding.Pss : RSASignaturePadding.Pkcs1)
            ? ThumbprintOf($$"""{"e":"{{Base64Url.EncodeToString(e)}}","kty":"RSA","n":"{{Base64Url.EncodeToString(n)}}"}""")
            : Fault("The signature of the DPoP proof is wrong.", ref fault);
    }

    private static DpopProof? Claims(JsonElement claims, JwkThumbprint key, ref string fault)
    {
        fault = "A claim of the DPoP proof is missing or malformed.";
        if (Text(claims, "jti") is not { Length: > 0 and <= MaxIdLength } id || Text(claims, "htm") is not { } method || Text(claims, "htu") is not { Length: <= MaxUriLength } uri
            || !TryNumber(claims, "iat", out var issuedAt) || issuedAt is not { } at) return null;
        if (!TryNumber(claims, "nbf", out var notBefore) || !TryNumber(claims, "exp", out var expiresAt) || !TryText(claims, "ath", out var hash) || !TryText(claims, "nonce", out var nonce)) return null;
        return new DpopProof(key, id, method, uri, at, notBefore, expiresAt, hash, nonce);
    }

    internal static JwkThumbprint ThumbprintOfPoint(byte[] x, byte[] y) =>
        ThumbprintOf($$"""{"crv":"P-256","kty":"EC","x":"{{Base64Url.EncodeToString(x)}}","y":"{{Base64Url.EncodeToString(y)}}"}""");

    /// <summary>RFC 7638 §3: the required members alone, in the order of their names, without white space.</summary>
    private static JwkThumbprint ThumbprintOf(string jwk) => new(Base64Url.EncodeToString(SHA256.HashData(Encoding.ASCII.GetBytes(jwk))));

    /// <summary>2048 bits (RFC 7518 §3.3) to 4096, beyond which a check costs more than a stranger may cause. No leading zero: one key has one name (§6.3.1.1).</summary>
    private static bool IsModulus(byte[] n) => n.Length is >= 256 and <= 512 && n[0] >= (n.Length == 256 ? 0x80 : 1);

    private static bool IsExponent(byte[] e) => e.Length is > 0 and <= 4 && e[0] != 0 && (e[^1] & 1) == 1 && (e.Length > 1 || e[0] >= 3);

    /// <summary>A member that is a text; null when it is absent or something else.</summary>
    private static string? Text(JsonElement json, string name) => json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    /// <summary>A member that may be absent. False when it is there and no text.</summary>
    private static bool TryText(JsonElement json, string name, out string? text)
    {
        text = Text(json, name);
        return text is not null || !json.TryGetProperty(name, out _);
    }

    /// <summary>The same for a number.</summary>
    private static bool TryNumber(JsonElement json, string name, out double? number)
    {
        number = null;
        if (!json.TryGetProperty(name, out var value)) return true;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out var read) || !double.IsFinite(read)) return false;
        number = read;
        return true;
    }

    private static byte[]? Octets(JsonElement json, string name) => Text(json, name) is { } text ? Decode(text) : null;

    /// <summary>base64url without padding, written in the one way that is canonical: then a key has one name, and a proof one text.</summary>
    private static byte[]? Decode(string text)
    {
        if (!Base64Url.IsValid(text)) return null;
        var bytes = Base64Url.DecodeFromChars(text);
        return Base64Url.EncodeToString(bytes) == text ? bytes : null;
    }

    private static JwkThumbprint? Fault(string what, ref string fault)
    {
        fault = what;
        return null;
    }
}
