using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.IdentityModel.Tokens;

namespace Grants.Testing;

/// <summary>A client's key for DPoP, and the proofs that it makes with it: RFC 9449 §4.2.</summary>
public sealed class DpopKey : IDisposable
{
    private readonly AsymmetricAlgorithm _key;

    /// <param name="algorithm">ES256, PS256 or RS256.</param>
    public DpopKey(string algorithm = "ES256", int bits = 2048)
    {
        Algorithm = algorithm;
        _key = algorithm == "ES256" ? ECDsa.Create(ECCurve.NamedCurves.nistP256) : RSA.Create(bits);
    }

    public string Algorithm { get; }

    /// <summary>The public part; a new object each time, to be spoilt at will.</summary>
    public JsonObject Jwk
    {
        get
        {
            if (_key is ECDsa ec)
            {
                var point = ec.ExportParameters(false).Q;
                return new JsonObject { ["kty"] = "EC", ["crv"] = "P-256", ["x"] = Encode(point.X!), ["y"] = Encode(point.Y!) };
            }

            var rsa = ((RSA)_key).ExportParameters(false);
            return new JsonObject { ["kty"] = "RSA", ["n"] = Encode(rsa.Modulus!), ["e"] = Encode(rsa.Exponent!) };
        }
    }

    /// <summary>The private part, which no proof may show.</summary>
    public string D => Encode(_key is ECDsa ec ? ec.ExportParameters(true).D! : ((RSA)_key).ExportParameters(true).D!);

    /// <summary>As a library of others works it out.</summary>
    public string Thumbprint => Base64UrlEncoder.Encode(new JsonWebKey(Jwk.ToJsonString()).ComputeJwkThumbprint());

    /// <summary>A good proof; <paramref name="change"/> makes it worse before it is signed.</summary>
    public string Prove(HttpMethod method, string path, DateTimeOffset now, string? nonce = null, string? accessToken = null, Action<JsonObject, JsonObject>? change = null)
    {
        var header = new JsonObject { ["typ"] = "dpop+jwt", ["alg"] = Algorithm, ["jwk"] = Jwk };
        var claims = new JsonObject { ["jti"] = Journey.Random(16), ["htm"] = method.Method, ["htu"] = TestConfiguration.Issuer + path, ["iat"] = now.ToUnixTimeSeconds() };
        if (accessToken is not null) claims["ath"] = Journey.Challenge(accessToken); // the same arithmetic as PKCE's
        if (nonce is not null) claims["nonce"] = nonce;
        change?.Invoke(header, claims);
        return Witness.Saw("DPoP proof", Sign(header.ToJsonString(), claims.ToJsonString()));
    }

    public string Sign(string header, string claims)
    {
        var text = $"{Encode(Encoding.UTF8.GetBytes(header))}.{Encode(Encoding.UTF8.GetBytes(claims))}";
        var bytes = Encoding.ASCII.GetBytes(text);
        return $"{text}.{Encode(_key is ECDsa ec ? ec.SignData(bytes, HashAlgorithmName.SHA256)
            : ((RSA)_key).SignData(bytes, HashAlgorithmName.SHA256, Algorithm == "PS256" ? RSASignaturePadding.Pss : RSASignaturePadding.Pkcs1))}";
    }

    /// <summary>The same text signed as X.509 and not as JWS writes it (RFC 7518 §3.4).</summary>
    public string SignInDer(string header, string claims)
    {
        var text = $"{Encode(Encoding.UTF8.GetBytes(header))}.{Encode(Encoding.UTF8.GetBytes(claims))}";
        return $"{text}.{Encode(((ECDsa)_key).SignData(Encoding.ASCII.GetBytes(text), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence))}";
    }

    public void Dispose() => _key.Dispose();

    public static string Encode(byte[] bytes) => WebEncoders.Base64UrlEncode(bytes);
}

/// <summary>
/// What a client's library does: proves the key with every request, shows a bearer token as a bound one, keeps the newest nonce, and
/// tries once more when it had none that counts (RFC 9449 §8 and §9).
/// </summary>
internal sealed class DpopHandler(DpopKey key, TimeProvider clock, HttpMessageHandler inner) : DelegatingHandler(inner)
{
    private string? _nonce;

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var token = request.Headers.Authorization is { Scheme: "Bearer" or "DPoP", Parameter: { } shown } ? shown : null;
        if (token is not null) request.Headers.Authorization = new AuthenticationHeaderValue("DPoP", token);
        var response = await ProveAsync();
        return response.StatusCode is HttpStatusCode.BadRequest or HttpStatusCode.Unauthorized
            && (await response.Content.ReadAsStringAsync(cancellationToken)).Contains("use_dpop_nonce", StringComparison.Ordinal) ? await ProveAsync() : response;

        async Task<HttpResponseMessage> ProveAsync()
        {
            request.Headers.Remove("DPoP");
            request.Headers.Add("DPoP", key.Prove(request.Method, request.RequestUri!.AbsolutePath, clock.GetUtcNow(), _nonce, token,
                (_, claims) => claims["htu"] = request.RequestUri.GetLeftPart(UriPartial.Path)));
            var answer = await base.SendAsync(request, cancellationToken);
            if (answer.Headers.TryGetValues("DPoP-Nonce", out var nonces)) _nonce = nonces.Single();
            return answer;
        }
    }
}
