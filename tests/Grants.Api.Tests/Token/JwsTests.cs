using System.Buffers.Text;
using System.Text;
using CsCheck;
using Grants.Api.Http;
using Grants.Api.Signing;
using Grants.Api.Tests.Http;
using Grants.Testing;

namespace Grants.Api.Tests.Token;

/// <summary>Whatever is sent as an assertion or a key set: it is read or refused, and nothing throws.</summary>
public sealed class JwsTests
{
    private static readonly AssertionKey Key = new("one");

    /// <summary>Pieces that headers and claims are made of, right and wrong.</summary>
    private static readonly Gen<string> Json = Gen.Recursive<string>((depth, next) => depth > 3
        ? Gen.OneOf("1", "null", "\"x\"")
        : Gen.OneOf(
            Gen.OneOf("1", "-1", "0.5", "1e400", "1e-400", "9999999999999999999999", "true", "null", "\"\"", "\"\\ud800\"", "\"\\u0000\"", "\"client\"", "\"ES256\"", "\"HS256\"", "\"none\"", "\"JWT\"", "[]", "{}", "{", "\"", "1700000000", "4102444800"),
            next.Array[0, 3].Select(items => $"[{string.Join(',', items)}]"),
            Gen.Select(Gen.OneOf("alg", "kid", "typ", "crit", "iss", "sub", "aud", "exp", "iat", "nbf", "jti", "keys", "kty", "x", "\\ud800", "\\u0061lg"), next).Array[0, 6]
                .Select(members => $"{{{string.Join(',', members.Select(member => $"\"{member.Item1}\":{member.Item2}"))}}}")));

    private static readonly Gen<byte[]> Bytes = Gen.OneOf(Json.Select(Encoding.UTF8.GetBytes), Gen.Byte.Array[0, 60], Gen.Select(Json, Gen.Byte.Array[0, 4]).Select((json, tail) => (byte[])[.. Encoding.UTF8.GetBytes(json), .. tail]));

    [Fact, Trait("Attack", "T8"), Trait("Attack", "T9")]
    public void No_header_and_no_payload_makes_the_parser_throw() => Gen.Select(Bytes, Bytes, Gen.Byte.Array[0, 70]).Always(parts =>
        Read($"{Base64Url.EncodeToString(parts.Item1)}.{Base64Url.EncodeToString(parts.Item2)}.{Base64Url.EncodeToString(parts.Item3)}"));

    [Fact, Trait("Attack", "T8"), Trait("Attack", "T9")]
    public void No_text_makes_the_parser_throw() =>
        Gen.OneOf(Gen.String, Gen.String[Gen.Char['!', '~'], 0, 80], Gen.String[Gen.OneOf('.', 'e', 'y', 'J', '=', '-', '_', ' ', 'é'), 0, 40]).Always(Read);

    [Fact, Trait("Attack", "T8"), Trait("Attack", "P1")]
    public void No_key_set_makes_the_parser_throw() => Bytes.Always(json =>
    {
        JwkSet.WhyNotRegistrable(json, ["ES256"]);
        JwkSet.Parse(json)?.Find("ES256", null);
    });

    [Fact, Trait("Attack", "T8")]
    public void A_single_character_changed_makes_an_assertion_worthless()
    {
        var good = Assertion.By(Key, Assertion.Claims("client", DateTimeOffset.UnixEpoch.AddYears(60)));
        var keys = JwkSet.Parse(Encoding.UTF8.GetBytes(AssertionKey.SetOf(Key).ToJsonString()))!;
        Assert.True(Genuine(good));
        for (var i = 0; i < good.Length; i++)
        {
            foreach (var other in (char[])['A', '_', '.', '='])
            {
                if (good[i] != other) Assert.False(Genuine(good[..i] + other + good[(i + 1)..]), $"at {i}");
            }
        }

        bool Genuine(string text) => ClientAssertion.Parse(text) is { } assertion && keys.Find(assertion.Algorithm, "one").Any(key => key.Verifies(assertion.Algorithm, assertion.Jws.Signed, assertion.Jws.Signature));
    }

    [Fact, Trait("Attack", "T8")]
    public void A_key_does_only_what_it_is_for()
    {
        var (ec, rsa) = (Key.PublicJwk(), AssertingApp.Rsa.PublicJwk());
        foreach (var (name, json, usable) in ((string, string, bool)[])
        [
            ("kid", "\"other\"", true), ("more", "1", true), ("alg", "\"ES256\"", true), ("key_ops", "[\"verify\"]", true),
            ("alg", "\"ES384\"", false), ("alg", "1", false), ("use", "\"enc\"", false), ("use", "1", false), ("key_ops", "[\"encrypt\"]", false), ("key_ops", "\"verify\"", false), ("kid", "1", false),
            ("kty", "\"RSA\"", false), ("kty", "\"ec\"", false), ("crv", "\"P-384\"", false), ("x", "\"AAAA\"", false), ("x", "1", false), ("y", (string)ec["x"]! is var x ? $"\"{x}\"" : "", false),
        ])
        {
            var jwk = ec.DeepClone().AsObject();
            jwk[name] = System.Text.Json.Nodes.JsonNode.Parse(json);
            Assert.Equal((name, json, usable), (name, json, Jwk.Parse(JsonMembers.Parse(Encoding.UTF8.GetBytes(jwk.ToJsonString()))!) is { } key && key.Suits("ES256")));
        }

        Assert.True(Jwk.Parse(JsonMembers.Parse(Encoding.UTF8.GetBytes(rsa.ToJsonString()))!) is { } both && both.Suits("RS256") && both.Suits("PS256") && !both.Suits("ES256") && !both.Suits("HS256") && !both.Suits("none"));
        rsa["alg"] = "PS256";
        Assert.True(Jwk.Parse(JsonMembers.Parse(Encoding.UTF8.GetBytes(rsa.ToJsonString()))!) is { } one && one.Suits("PS256") && !one.Suits("RS256"));
    }

    [Fact, Trait("Rule", "CA-5")]
    public void A_key_set_is_registrable_when_it_has_a_key_for_what_the_client_does()
    {
        string? WhyNot(string[] algorithms, params AssertionKey[] keys) => JwkSet.WhyNotRegistrable(Encoding.UTF8.GetBytes(AssertionKey.SetOf(keys).ToJsonString()), algorithms);
        Assert.Null(WhyNot(["ES256", "RS256"], Key));
        Assert.Contains("RS256", WhyNot(["RS256"], Key), StringComparison.Ordinal);
        Assert.Null(WhyNot(["PS256"], Key, AssertingApp.Rsa));
        Assert.Null(WhyNot([]));
        Assert.Contains("same kid", WhyNot([], Key, new AssertionKey("one")), StringComparison.Ordinal);
        Assert.Contains("32 keys", WhyNot([], [.. Enumerable.Repeat(Key, 33)]), StringComparison.Ordinal);
        Assert.Null(JwkSet.Parse(Encoding.UTF8.GetBytes(AssertionKey.SetOf([.. Enumerable.Repeat(Key, 33)]).ToJsonString())));
    }

    private static void Read(string text)
    {
        if (ClientAssertion.Parse(text) is not { } assertion) return;
        assertion.WhyNot("https://issuer.example", null, DateTimeOffset.UnixEpoch.AddYears(55));
        assertion.WhyNot("https://issuer.example", ["https://issuer.example/token"], DateTimeOffset.UnixEpoch.AddYears(55));
    }
}
