using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;

namespace Grants.Testing;

/// <summary>A key of a client under test, for one JWS algorithm. What a client's own library would hold.</summary>
public sealed class AssertionKey(string kid, string algorithm = "ES256")
{
    private readonly AsymmetricAlgorithm _key = algorithm == "ES256" ? ECDsa.Create(ECCurve.NamedCurves.nistP256) : RSA.Create(2048);

    public string Kid => kid;

    public string Algorithm => algorithm;

    /// <summary>RFC 7517 §4, the public part.</summary>
    public JsonObject PublicJwk()
    {
        if (_key is RSA rsa)
        {
            var numbers = rsa.ExportParameters(includePrivateParameters: false);
            return new JsonObject { ["kty"] = "RSA", ["kid"] = kid, ["use"] = "sig", ["n"] = Base64Url.EncodeToString(numbers.Modulus), ["e"] = Base64Url.EncodeToString(numbers.Exponent) };
        }

        var point = ((ECDsa)_key).ExportParameters(includePrivateParameters: false).Q;
        return new JsonObject { ["kty"] = "EC", ["crv"] = "P-256", ["kid"] = kid, ["use"] = "sig", ["x"] = Base64Url.EncodeToString(point.X), ["y"] = Base64Url.EncodeToString(point.Y) };
    }

    /// <summary>The public part as PEM: what an attacker takes for an HMAC secret.</summary>
    public string PublicPem() => _key.ExportSubjectPublicKeyInfoPem();

    /// <summary>The private part, for libraries.</summary>
    public AsymmetricAlgorithm Private => _key;

    public byte[] Sign(byte[] input) => _key is ECDsa ecdsa
        ? ecdsa.SignData(input, HashAlgorithmName.SHA256)
        : ((RSA)_key).SignData(input, HashAlgorithmName.SHA256, algorithm == "PS256" ? RSASignaturePadding.Pss : RSASignaturePadding.Pkcs1);

    public static JsonObject SetOf(params AssertionKey[] keys) => new() { ["keys"] = new JsonArray([.. keys.Select(key => key.PublicJwk())]) };
}

/// <summary>Client assertions (RFC 7523 §3) as a good client makes them, and as a bad one does.</summary>
public static class Assertion
{
    public const string Kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

    /// <param name="change">Claims to add or to replace; null removes one.</param>
    public static JsonObject Claims(string client, DateTimeOffset now, params (string Name, JsonNode? Value)[] change)
    {
        var claims = new JsonObject
        {
            ["iss"] = client,
            ["sub"] = client,
            ["aud"] = TestConfiguration.Issuer,
            ["jti"] = Journey.Random(16),
            ["iat"] = now.ToUnixTimeSeconds(),
            ["exp"] = now.AddMinutes(1).ToUnixTimeSeconds(),
        };
        foreach (var (name, value) in change)
        {
            if (value is null) claims.Remove(name);
            else claims[name] = value.DeepClone();
        }

        return claims;
    }

    public static string By(AssertionKey key, JsonObject claims, params (string Name, JsonNode? Value)[] header) =>
        Make(Header([("alg", key.Algorithm), ("kid", key.Kid), .. header]), claims, key.Sign);

    public static string By(string secret, JsonObject claims, string algorithm = "HS256") => Make(Header([("alg", algorithm)]), claims, input => Mac(algorithm, Encoding.UTF8.GetBytes(secret), input));

    public static string Make(JsonObject header, JsonObject claims, Func<byte[], byte[]> sign) => Make(header.ToJsonString(), claims.ToJsonString(), sign);

    public static string Make(string header, string claims, Func<byte[], byte[]> sign)
    {
        var input = $"{Base64Url.EncodeToString(Encoding.UTF8.GetBytes(header))}.{Base64Url.EncodeToString(Encoding.UTF8.GetBytes(claims))}";
        var jwt = $"{input}.{Base64Url.EncodeToString(sign(Encoding.ASCII.GetBytes(input)))}";
        return jwt.Length > 40 ? Witness.Saw("client assertion", jwt) : jwt;
    }

    public static byte[] Mac(string algorithm, byte[] secret, byte[] input) => algorithm switch
    {
        "HS384" => HMACSHA384.HashData(secret, input),
        "HS512" => HMACSHA512.HashData(secret, input),
        _ => HMACSHA256.HashData(secret, input),
    };

    /// <summary>A form whose client shows an assertion.</summary>
    public static async Task<TokenAnswer> PostAsync(this HttpClient http, string path, string assertion, params (string Name, string? Value)[] fields)
    {
        List<(string Name, string? Value)> all = [("client_assertion_type", Kind), ("client_assertion", assertion), .. fields];
        // A field that is given anew counts; null takes it away.
        using var form = new FormUrlEncodedContent(all.GroupBy(field => field.Name).Select(same => same.Last()).Where(field => field.Value is not null).Select(field => KeyValuePair.Create(field.Name, field.Value!)));
        return await TokenAnswer.ReadAsync(await http.PostAsync(path, form));
    }

    private static JsonObject Header((string Name, JsonNode? Value)[] members)
    {
        var header = new JsonObject();
        foreach (var (name, value) in members)
        {
            if (value is null) header.Remove(name);
            else header[name] = value.DeepClone();
        }

        return header;
    }
}
