using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Grants.Api.Dpop;
using Grants.Api.Signing;
using Grants.Api.Tests.Http;
using Grants.Testing;

namespace Grants.Api.Tests.Dpop;

/// <summary>Proofs read by themselves, without a server.</summary>
public sealed class DpopProofTests
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);

    [Fact, Trait("Rule", "DP-1"), Trait("Rule", "22-2"), Trait("Rule", "22-3")]
    public void The_vectors_of_the_specification_are_met()
    {
        Assert.Equal("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo", DpopProofs.HashOf("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"));
        using var key = Jwk.Parse(JsonMembers.Parse("""{"kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","kid":"any"}"""u8.ToArray())!);
        Assert.Equal("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", key!.Thumbprint.Value);
    }

    [Theory, Trait("Rule", "DP-1"), Trait("Rule", "DP-3")]
    [InlineData("ES256")]
    [InlineData("PS256")]
    [InlineData("RS256")]
    public void A_proof_is_read_as_it_was_made(string algorithm)
    {
        using var key = new DpopKey(algorithm);
        var proof = DpopProof.Read(key.Prove(HttpMethod.Post, "/token", Noon, "a-nonce", "an-access-token", (_, claims) => (claims["jti"], claims["nbf"], claims["exp"]) = ("one", 1.5, 2e9)), out _);
        Assert.NotNull(proof);
        Assert.Equal(key.Thumbprint, proof.Key.Value);
        Assert.Equal(("one", "POST", TestConfiguration.Issuer + "/token", "a-nonce"), (proof.Id, proof.Method, proof.Uri, proof.Nonce));
        Assert.Equal((Noon, DateTimeOffset.UnixEpoch.AddSeconds(1.5), DateTimeOffset.UnixEpoch.AddSeconds(2e9)), (proof.IssuedAt, proof.NotBefore, proof.ExpiresAt));
        Assert.Equal(DpopProofs.HashOf("an-access-token"), proof.AccessTokenHash);
    }

    [Theory, Trait("Rule", "DP-1"), Trait("Rule", "MD-5")]
    [InlineData("PS256", 1024, false)]
    [InlineData("RS256", 2040, false)]
    [InlineData("RS256", 3072, true)]
    [InlineData("PS256", 4096, true)]
    public void An_RSA_key_has_at_least_2048_bits(string algorithm, int bits, bool good)
    {
        using var key = new DpopKey(algorithm, bits);
        Assert.Equal(good, DpopProof.Read(key.Prove(HttpMethod.Post, "/token", Noon), out _) is not null);
    }

    [Theory, Trait("Rule", "DP-1"), Trait("Attack", "T10")]
    [InlineData("http://localhost:5100/token", true)]
    [InlineData("HTTP://LocalHost:5100/token", true)]
    [InlineData("http://localhost:5100/token?a=1#b", true)] // query and fragment are left aside
    [InlineData("http://localhost:5100/x/../%74oken", true)]
    [InlineData("http://localhost:5100/Token", false)]
    [InlineData("http://localhost:5100/token/", false)]
    [InlineData("http://localhost:5100/", false)]
    [InlineData("http://localhost/token", false)]
    [InlineData("https://localhost:5100/token", false)]
    [InlineData("http://127.0.0.1:5100/token", false)]
    [InlineData("http://localhost.evil.example:5100/token", false)]
    [InlineData("http://user@localhost:5100/token", false)]
    [InlineData("/token", false)]
    [InlineData("urn:x", false)]
    [InlineData("", false)]
    public void Addresses_are_compared_after_normalization(string proven, bool same) => Assert.Equal(same, DpopProofs.IsSame(proven, "http://localhost:5100/token"));

    [Theory, Trait("Rule", "DP-1")]
    [InlineData("https://id.example/token", "https://id.example:443/token", true)]
    [InlineData("https://id.example:8443/token", "https://id.example/token", false)]
    public void The_port_of_the_scheme_goes_without_saying(string address, string proven, bool same) => Assert.Equal(same, DpopProofs.IsSame(proven, address));

    [Fact, Trait("Rule", "DP-1"), Trait("Attack", "T9")]
    public void Whatever_a_stranger_sends_is_refused_and_never_throws()
    {
        using var key = new DpopKey();
        var good = key.Prove(HttpMethod.Post, "/token", Noon);
        Assert.NotNull(DpopProof.Read(good, out _));

        var odd = Gen.OneOf('\0', '.', '=', '-', '_', '"', '{', '}', '[', ',', ':', '\\', 'é', '\uD800', 'A', '9');
        var members = Gen.OneOf("typ", "alg", "jwk", "crit", "jti", "htm", "htu", "iat", "exp", "nbf", "ath", "nonce", "kty", "crv", "x", "y", "n", "e", "d", "\\ud800");
        var values = Gen.OneOf("null", "true", "1e999", "-0.1", "\"\"", "\"dpop+jwt\"", "\"ES256\"", "\"RS256\"", "\"\\ud800\"", "\"AQAB\"", "[]", "{}", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"\",\"y\":\"AA\"}",
            "{\"kty\":\"RSA\",\"n\":\"AA\",\"e\":\"AA\"}", "\"" + new string('A', 43) + "\"", new string('[', 40));
        var json = Gen.Select(members, values, (name, value) => $"\"{name}\":{value}").Array[0, 6].Select(pairs => "{" + string.Join(',', pairs) + "}");
        var strangers = Gen.OneOf(
            Gen.String,
            Gen.String[odd, 0, 80],
            Gen.Select(json, json, (header, claims) => key.Sign(header, claims)),
            Gen.Select(Gen.String, json, (header, claims) => key.Sign(header, claims)),
            Gen.Select(Gen.Int[0, good.Length - 1], odd, (at, c) => c == good[at] ? "" : good[..at] + c + good[(at + 1)..]),
            Gen.Int[0, good.Length - 1].Select(length => good[..length]));
        strangers.Always(text =>
        {
            Assert.True(DpopProof.Read(text, out var fault) is null, "It was taken for a proof.");
            Assert.All(fault, c => Assert.True(c is >= ' ' and <= '~' and not '"' and not '\\'));
            DpopProofs.IsSame(text, "http://localhost:5100/token");
        });

        Assert.Null(DpopProof.Read(new string('.', 100_000), out _));
        Assert.Null(DpopProof.Read(key.Sign(new JsonObject { ["typ"] = "dpop+jwt", ["alg"] = "ES256", ["jwk"] = key.Jwk, ["x"] = new string('a', 9000) }.ToJsonString(), "{}"), out _));
        Assert.Null(DpopProof.Read(key.Sign(Encoding.UTF8.GetString([0xEF, 0xBB, 0xBF]) + "{}", "{}"), out _));
    }
}
