using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Grants.Domain.Protocol;

namespace Grants.Api.Signing;

/// <summary>A public key that somebody else signs with (RFC 7517). One key, one family of algorithms (RFC 8725 §3.1).</summary>
internal sealed class Jwk : IDisposable
{
    private static readonly string[] Private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

    private readonly AsymmetricAlgorithm _key;
    private readonly string? _onlyAlgorithm;
    private readonly string _members;

    private Jwk(AsymmetricAlgorithm key, string members, string? kid, string? onlyAlgorithm) => (_key, _members, Kid, _onlyAlgorithm) = (key, members, kid, onlyAlgorithm);

    public string? Kid { get; }

    /// <summary>RFC 7638 §3: of the required members alone, in the order of their names, without white space.</summary>
    public JwkThumbprint Thumbprint => new(Base64Url.EncodeToString(SHA256.HashData(Encoding.ASCII.GetBytes(_members))));

    /// <summary>Whether it says more than the public may know, or is a shared secret.</summary>
    public static bool HasPrivatePart(JsonMembers jwk) => jwk.Text("kty") == "oct" || Private.Any(jwk.Has);

    /// <summary>A key of the form that this server verifies with: P-256, or RSA of 2048 to 4096 bits, for signatures. Null for every other one.</summary>
    public static Jwk? Parse(JsonMembers jwk)
    {
        if (jwk.Has("use") && jwk.Text("use") != "sig") return null;
        if (jwk["key_ops"] is { } uses && !(uses.ValueKind == JsonValueKind.Array && uses.EnumerateArray().Any(use => JsonMembers.TextOf(use) == "verify"))) return null;
        if (jwk.Has("kid") && jwk.Text("kid") is null) return null;
        if (jwk.Has("alg") && jwk.Text("alg") is null) return null;
        try
        {
            (AsymmetricAlgorithm, string)? parsed = jwk.Text("kty") switch
            {
                "EC" when jwk.Text("crv") == "P-256" => Ec(Octets(jwk, "x"), Octets(jwk, "y")),
                "RSA" => Rsa(Octets(jwk, "n"), Octets(jwk, "e")),
                _ => null,
            };
            return parsed is (var key, var members) ? new Jwk(key, members, jwk.Text("kid"), jwk.Text("alg")) : null;
        }
        catch (CryptographicException)
        {
            return null; // not on the curve
        }
    }

    public void Dispose() => _key.Dispose();

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

    private static (AsymmetricAlgorithm, string)? Ec(byte[]? x, byte[]? y) => x is not { Length: 32 } || y is not { Length: 32 } ? null
        : (ECDsa.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, Q = new ECPoint { X = x, Y = y } }),
            $$"""{"crv":"P-256","kty":"EC","x":"{{Base64Url.EncodeToString(x)}}","y":"{{Base64Url.EncodeToString(y)}}"}""");

    private static (AsymmetricAlgorithm, string)? Rsa(byte[]? n, byte[]? e) => n is null || !IsModulus(n) || e is null || !IsExponent(e) ? null
        : (RSA.Create(new RSAParameters { Modulus = n, Exponent = e }), $$"""{"e":"{{Base64Url.EncodeToString(e)}}","kty":"RSA","n":"{{Base64Url.EncodeToString(n)}}"}""");

    /// <summary>2048 bits (RFC 7518 §3.3) to 4096, beyond which a check costs more than a stranger may cause. No leading zero: one key has one name (§6.3.1.1).</summary>
    private static bool IsModulus(byte[] n) => n.Length is >= 256 and <= 512 && n[0] >= (n.Length == 256 ? 0x80 : 1);

    private static bool IsExponent(byte[] e) => e.Length is > 0 and <= 4 && e[0] != 0 && (e[^1] & 1) == 1 && (e.Length > 1 || e[0] >= 3);

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
        if (keys.Any(Jwk.HasPrivatePart)) return "It must hold public keys alone; this one has a private or a secret part. Make new keys: these are known now.";
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
