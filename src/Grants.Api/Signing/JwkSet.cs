using System.Security.Cryptography;
using System.Text.Json;

namespace Grants.Api.Signing;

/// <summary>A public key that somebody else signs with (RFC 7517). One key, one family of algorithms (RFC 8725 §3.1).</summary>
internal sealed class Jwk
{
    private readonly AsymmetricAlgorithm _key;
    private readonly string? _onlyAlgorithm;

    private Jwk(AsymmetricAlgorithm key, string? kid, string? onlyAlgorithm) => (_key, Kid, _onlyAlgorithm) = (key, kid, onlyAlgorithm);

    public string? Kid { get; }

    /// <summary>A key of the form that this server verifies with: P-256, or RSA of 2048 to 4096 bits, for signatures. Null for every other one.</summary>
    public static Jwk? Parse(JsonMembers jwk)
    {
        if (jwk.Has("use") && jwk.Text("use") != "sig") return null;
        if (jwk["key_ops"] is { } uses && !(uses.ValueKind == JsonValueKind.Array && uses.EnumerateArray().Any(use => JsonMembers.TextOf(use) == "verify"))) return null;
        if (jwk.Has("kid") && jwk.Text("kid") is null) return null;
        if (jwk.Has("alg") && jwk.Text("alg") is null) return null;
        AsymmetricAlgorithm? key = jwk.Text("kty") switch
        {
            "EC" when jwk.Text("crv") == "P-256" => Ec(Octets(jwk, "x"), Octets(jwk, "y")),
            "RSA" => Rsa(Octets(jwk, "n"), Octets(jwk, "e")),
            _ => null,
        };
        return key is null ? null : new Jwk(key, jwk.Text("kid"), jwk.Text("alg"));
    }

    public bool Suits(string algorithm) => (_onlyAlgorithm is null || _onlyAlgorithm == algorithm)
        && algorithm switch { "ES256" => _key is ECDsa, "RS256" or "PS256" => _key is RSA, _ => false };

    /// <summary>Whether it made the signature. False for an algorithm that isn't its own, whatever the signature.</summary>
    public bool Verifies(string algorithm, byte[] signed, byte[] signature) => Suits(algorithm) && algorithm switch
    {
        "ES256" => signature.Length == 64 && ((ECDsa)_key).VerifyData(signed, signature, HashAlgorithmName.SHA256),
        "RS256" => ((RSA)_key).VerifyData(signed, signature, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1),
        "PS256" => ((RSA)_key).VerifyData(signed, signature, HashAlgorithmName.SHA256, RSASignaturePadding.Pss),
        _ => false,
    };

    private static ECDsa? Ec(byte[]? x, byte[]? y)
    {
        if (x is not { Length: 32 } || y is not { Length: 32 }) return null;
        try
        {
            return ECDsa.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, Q = new ECPoint { X = x, Y = y } });
        }
        catch (CryptographicException)
        {
            return null; // not on the curve
        }
    }

    private static RSA? Rsa(byte[]? modulus, byte[]? exponent)
    {
        if (modulus is not { Length: >= 256 and <= 512 } || modulus[0] < 0x80 || exponent is not { Length: >= 1 and <= 4 } || (exponent[^1] & 1) == 0 || exponent is [1]) return null;
        try
        {
            return RSA.Create(new RSAParameters { Modulus = modulus, Exponent = exponent });
        }
        catch (CryptographicException)
        {
            return null;
        }
    }

    private static byte[]? Octets(JsonMembers jwk, string name) => jwk.Text(name) is { } text ? Jws.Decode(text) : null;
}

/// <summary>The keys of a JWK Set that can be used here (RFC 7517 §5). Others in it are ignored, as that section wants.</summary>
internal sealed class JwkSet
{
    public static readonly JwkSet Empty = new([]);
    private const int MaxKeys = 32;

    private readonly IReadOnlyList<Jwk> _keys;

    private JwkSet(IReadOnlyList<Jwk> keys) => _keys = keys;

    /// <summary>Null for what is no JWK Set, and for one of more than 32 keys.</summary>
    public static JwkSet? Parse(byte[] json) =>
        KeysIn(json) is { } keys ? new JwkSet([.. keys.Select(Jwk.Parse).OfType<Jwk>()]) : null;

    /// <summary>Why a client can't be registered with it; null when all is well.</summary>
    /// <param name="algorithms">Those that the client signs its assertions with; empty when it signs none, since keys have other uses, too.</param>
    public static string? WhyNotRegistrable(byte[] json, IReadOnlyCollection<string> algorithms)
    {
        if (KeysIn(json) is not { } keys) return "It must be a JWK Set of at most 32 keys: { \"keys\": [ … ] } (RFC 7517 §5).";
        // A private key that was sent by mistake must not get as far as the log.
        if (keys.Any(key => key.Text("kty") == "oct" || Private.Any(key.Has))) return "It must hold public keys alone; this one has a private or a secret part. Make new keys: these are known now.";
        if (keys.Select(key => key.Text("kid")).OfType<string>().GroupBy(kid => kid, StringComparer.Ordinal).Any(same => same.Count() > 1)) return "Two keys have the same kid.";
        return algorithms.Count == 0 || keys.Select(Jwk.Parse).OfType<Jwk>().Any(key => algorithms.Any(key.Suits)) ? null
            : $"It has no key to verify {string.Join(", ", algorithms)} with: EC on P-256 for ES256, RSA of 2048 to 4096 bits for the others.";
    }

    /// <summary>
    /// The keys that may have made a signature: those that <c>kid</c> names or, where it is left out, the only one of that
    /// algorithm (OpenID Connect Core §10.1 wants a <c>kid</c> as soon as there are several).
    /// </summary>
    public IReadOnlyList<Jwk> Find(string algorithm, string? kid)
    {
        List<Jwk> suited = [.. _keys.Where(key => key.Suits(algorithm) && (kid is null || key.Kid == kid))];
        return kid is null && suited.Count > 1 ? [] : suited;
    }

    private static readonly string[] Private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

    private static List<JsonMembers>? KeysIn(byte[] json)
    {
        if (JsonMembers.Parse(json)?["keys"] is not { ValueKind: JsonValueKind.Array } list || list.GetArrayLength() > MaxKeys) return null;
        try
        {
            var keys = list.EnumerateArray().Select(JsonMembers.Of).ToList();
            return keys.Contains(null) ? null : keys.OfType<JsonMembers>().ToList();
        }
        catch (InvalidOperationException)
        {
            return null; // a name that is no text
        }
    }
}
