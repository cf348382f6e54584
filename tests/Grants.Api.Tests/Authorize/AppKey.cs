using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Grants.Testing;
using Microsoft.AspNetCore.WebUtilities;

namespace Grants.Api.Tests.Authorize;

/// <summary>A key of an app under test, for one algorithm.</summary>
internal sealed class AppKey(string algorithm, string? kid = "app-key", int rsaBits = 2048) : IDisposable
{
    private readonly AsymmetricAlgorithm _key = algorithm == "ES256" ? ECDsa.Create(ECCurve.NamedCurves.nistP256) : RSA.Create(rsaBits);

    public string Algorithm { get; } = algorithm;

    /// <summary>RFC 7517, the public part.</summary>
    public JsonObject PublicJwk()
    {
        JsonObject jwk;
        if (_key is ECDsa ec)
        {
            var point = ec.ExportParameters(false).Q;
            jwk = new JsonObject { ["kty"] = "EC", ["crv"] = "P-256", ["x"] = WebEncoders.Base64UrlEncode(point.X!), ["y"] = WebEncoders.Base64UrlEncode(point.Y!) };
        }
        else
        {
            var rsa = ((RSA)_key).ExportParameters(false);
            jwk = new JsonObject { ["kty"] = "RSA", ["n"] = WebEncoders.Base64UrlEncode(rsa.Modulus!), ["e"] = WebEncoders.Base64UrlEncode(rsa.Exponent!) };
        }

        if (kid is not null) jwk["kid"] = kid;
        return jwk;
    }

    public JsonObject Jwks(params AppKey[] others) => new() { ["keys"] = new JsonArray([.. others.Prepend(this).Select(key => key.PublicJwk())]) };

    public JsonObject Header() => kid is null ? new() { ["alg"] = Algorithm } : new() { ["alg"] = Algorithm, ["kid"] = kid };

    public string Sign(JsonObject header, JsonObject claims) => Sign(header.ToJsonString(), Encoding.UTF8.GetBytes(claims.ToJsonString()));

    /// <summary>Signs with this key's own algorithm, whatever the header says.</summary>
    public string Sign(string header, byte[] payload)
    {
        var text = $"{Encode(header)}.{WebEncoders.Base64UrlEncode(payload)}";
        var bytes = Encoding.ASCII.GetBytes(text);
        var signature = _key is ECDsa ec ? ec.SignData(bytes, HashAlgorithmName.SHA256)
            : ((RSA)_key).SignData(bytes, HashAlgorithmName.SHA256, Algorithm == "PS256" ? RSASignaturePadding.Pss : RSASignaturePadding.Pkcs1);
        return $"{text}.{WebEncoders.Base64UrlEncode(signature)}";
    }

    public static string Encode(string text) => WebEncoders.Base64UrlEncode(Encoding.UTF8.GetBytes(text));

    /// <summary>A request object as a good client makes it: RFC 9101 §4, FAPI 2.0 Message Signing §5.3.1.</summary>
    public static JsonObject ClaimsOf(Asked asked, DateTimeOffset now)
    {
        var claims = new JsonObject
        {
            ["iss"] = asked.Client.Id,
            ["aud"] = TestConfiguration.Issuer,
            ["nbf"] = now.ToUnixTimeSeconds(),
            ["exp"] = now.AddMinutes(5).ToUnixTimeSeconds(),
            ["jti"] = Journey.Random(),
        };
        foreach (var (name, value) in Journey.ParametersOf(asked)) claims[name] = value;
        return claims;
    }

    public void Dispose() => _key.Dispose();
}
