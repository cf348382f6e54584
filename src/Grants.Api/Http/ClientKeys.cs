using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Grants.Domain.Clients;

namespace Grants.Api.Http;

/// <summary>A JWT that its client has signed. Nothing of what it says has been looked at.</summary>
public sealed record ClientJwt(JsonElement Header, JsonElement Claims);

/// <summary>
/// The public keys in a client's registered <c>jwks</c> (RFC 7517 §5), and what they prove: that the client signed a JWT. Only the
/// registered key counts, and it with the registered algorithm alone (RFC 8725 §3.1): what a header says of other keys is never read.
/// </summary>
public static class ClientKeys
{
    private const int MaxKeys = 20;
    private const int MinRsaBits = 2048;
    private static readonly string[] PrivateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

    // Where a name stands twice, two readers may read two different things.
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false, MaxDepth = 16 };

    /// <summary>Why this text can't be registered as a client's keys, or null when it can. Keys of kinds that aren't served may stand among them.</summary>
    public static string? WhyNot(string jwks)
    {
        if (Parse(Encoding.UTF8.GetBytes(jwks)) is not { } set || !set.TryGetProperty("keys", out var keys) || keys.ValueKind != JsonValueKind.Array)
            return "it must be a JWK Set, an object with the member keys (RFC 7517 §5).";
        if (keys.GetArrayLength() is 0 or > MaxKeys) return $"it must have 1 to {MaxKeys} keys.";
        if (keys.EnumerateArray().Any(key => key.ValueKind != JsonValueKind.Object || Text(key, "kty") is null)) return "a key has no kty.";
        if (keys.EnumerateArray().Any(key => Text(key, "kty") == "oct" || PrivateMembers.Any(member => key.TryGetProperty(member, out _))))
            return "it holds a private or symmetric key. Register the public part alone, and make a new key: this one has been shown around.";
        foreach (var key in keys.EnumerateArray().Where(key => SigningAlgorithm.Supported.Any(algorithm => Fits(key, algorithm))))
        {
            using var usable = Import(key);
            if (usable is null) return $"a key can't be read, or is an RSA key of less than {MinRsaBits} bits.";
        }

        var kids = keys.EnumerateArray().Select(key => Text(key, "kid")).OfType<string>().ToList();
        return kids.Distinct().Count() == kids.Count ? null : "two keys have the same kid.";
    }

    /// <summary>What the token says if the client signed it with this algorithm; else null.</summary>
    /// <param name="jwks">The client's keys; null when it has none.</param>
    public static ClientJwt? Verify(string? jwks, string algorithm, string token)
    {
        var parts = token.Split('.');
        if (jwks is null || parts.Length != 3 || Decode(parts[0]) is not { } first || Decode(parts[1]) is not { } second || Decode(parts[2]) is not { } signature
            || Parse(first) is not { } header || Parse(second) is not { } claims) return null;
        // This server knows no extension that a header could demand (RFC 7515 §4.1.11).
        if (Text(header, "alg") != algorithm || header.TryGetProperty("crit", out _)) return null;
        using var key = Find(jwks, algorithm, Text(header, "kid"));
        var signed = Encoding.ASCII.GetBytes($"{parts[0]}.{parts[1]}");
        return key switch
        {
            ECDsa ec when ec.VerifyData(signed, signature, HashAlgorithmName.SHA256) => new ClientJwt(header, claims),
            RSA rsa when rsa.VerifyData(signed, signature, HashAlgorithmName.SHA256, algorithm == SigningAlgorithm.PS256 ? RSASignaturePadding.Pss : RSASignaturePadding.Pkcs1) => new ClientJwt(header, claims),
            _ => null,
        };
    }

    /// <summary>A member that is text; null when it is absent or anything else.</summary>
    public static string? Text(JsonElement json, string member) => json.TryGetProperty(member, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    /// <summary>The one key that is meant: where several could be, the header has to name it (OpenID Connect Core §10.1).</summary>
    private static AsymmetricAlgorithm? Find(string jwks, string algorithm, string? kid)
    {
        var keys = Parse(Encoding.UTF8.GetBytes(jwks))?.GetProperty("keys").EnumerateArray().Where(key => Fits(key, algorithm) && (kid is null || Text(key, "kid") == kid)).ToList();
        return keys is [var one] ? Import(one) : null;
    }

    /// <summary>A key of a kind that is served; null when it is no point of the curve, no modulus, or too short.</summary>
    private static AsymmetricAlgorithm? Import(JsonElement key)
    {
        try
        {
            return Text(key, "kty") == "EC" ? EcOf(key) : RsaOf(key);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            return null;
        }
    }

    private static bool Fits(JsonElement key, string algorithm) =>
        (algorithm == SigningAlgorithm.ES256 ? Text(key, "kty") == "EC" && Text(key, "crv") == "P-256" : Text(key, "kty") == "RSA")
        && (Text(key, "use") ?? "sig") == "sig" && (Text(key, "alg") ?? algorithm) == algorithm;

    private static ECDsa? EcOf(JsonElement key) => Decode(Text(key, "x")) is { } x && Decode(Text(key, "y")) is { } y
        ? ECDsa.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, Q = new ECPoint { X = x, Y = y } })
        : null;

    private static RSA? RsaOf(JsonElement key)
    {
        if (Decode(Text(key, "n")) is not { } n || Decode(Text(key, "e")) is not { } e) return null;
        var rsa = RSA.Create(new RSAParameters { Modulus = n, Exponent = e });
        if (rsa.KeySize >= MinRsaBits) return rsa;
        rsa.Dispose();
        return null;
    }

    private static byte[]? Decode(string? text) => text is not null && Base64Url.IsValid(text) ? Base64Url.DecodeFromChars(text) : null;

    /// <summary>An object, or null when it is anything else.</summary>
    private static JsonElement? Parse(byte[] json)
    {
        try
        {
            using var document = JsonDocument.Parse(json, Strict);
            Read(document.RootElement);
            return document.RootElement.ValueKind == JsonValueKind.Object ? document.RootElement.Clone() : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>Reads every name and text once: bytes and escapes that stand for no character show only then.</summary>
    private static void Read(JsonElement json)
    {
        if (json.ValueKind == JsonValueKind.String) _ = json.GetString();
        if (json.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in json.EnumerateArray()) Read(item);
        }

        if (json.ValueKind == JsonValueKind.Object)
        {
            foreach (var member in json.EnumerateObject())
            {
                _ = member.Name;
                Read(member.Value);
            }
        }
    }
}
