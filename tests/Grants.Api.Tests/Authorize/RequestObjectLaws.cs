using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Grants.Api.Authorize;
using Grants.Api.Http;
using Grants.Api.Signing;
using Grants.Api.Tests.Http;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grants.Api.Tests.Authorize;

/// <summary>Random request objects: taken when each of the rules holds, and then exactly what the client signed.</summary>
public sealed class RequestObjectLaws : IDisposable
{
    private const string ClientName = "signing";
    private const string Issuer = TestConfiguration.Issuer;

    private readonly AppKey _key = new("ES256", "mine");
    private readonly AppKey _foreign = new("ES256", "mine");
    private readonly Noon _clock = new();
    private readonly GuardedFetcher _fetcher = new(TestSettings.In(""));

    private sealed class Noon : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    }

    public void Dispose()
    {
        _key.Dispose();
        _foreign.Dispose();
        _fetcher.Dispose();
    }

    /// <summary>One part of the frame as it may be, each with whether that is all right.</summary>
    private static Gen<(JsonNode? Value, bool Good)> Part(JsonNode?[] good, JsonNode?[] bad) => Gen.Frequency(
        (12, Gen.OneOf([.. good.Select(value => (value, true))])), (1, Gen.OneOf([.. bad.Select(value => (value, false))])));

    private static JsonValue Text(string text) => JsonValue.Create(text);

    private static readonly Gen<(JsonNode? Value, bool Good)> Typ = Part([null, Text("JWT"), Text("oauth-authz-req+jwt"), Text("application/oauth-authz-req+jwt")], [Text("at+jwt"), Text(""), Text("dpop+jwt"), 5, Text("application/")]);
    private static readonly Gen<(JsonNode? Value, bool Good)> Alg = Part([Text("ES256")], [null, Text("none"), Text("HS256"), Text("RS256"), Text("es256"), new JsonArray("ES256")]);
    private static readonly Gen<(JsonNode? Value, bool Good)> Kid = Part([null, Text("mine")], [Text("another"), Text(""), Text("MINE")]);
    private static readonly Gen<(JsonNode? Value, bool Good)> Crit = Part([null], [new JsonArray("exp"), new JsonArray(), Text("x")]);
    private static readonly Gen<(JsonNode? Value, bool Good)> Signer = Part([null], [Text("foreign")]);
    private static readonly Gen<(JsonNode? Value, bool Good)> Iss = Part([Text(ClientName)], [null, Text("other"), Text("SIGNING"), new JsonArray(ClientName), 7]);
    private static readonly Gen<(JsonNode? Value, bool Good)> Aud = Part([Text(Issuer), new JsonArray(Issuer), new JsonArray("x", 1, Issuer)], [null, Text("x"), new JsonArray(), new JsonArray("x"), Text(Issuer + "/"), new JsonObject { [Issuer] = Issuer }]);
    private static readonly Gen<(JsonNode? Value, bool Good)> Id = Part([Text(ClientName)], [null, Text("other"), new JsonArray(ClientName)]);
    private static readonly Gen<(JsonNode? Value, bool Good)> Sub = Part([null, Text("sam"), 7], [Text(ClientName)]);
    private static readonly Gen<(JsonNode? Value, bool Good)> Nested = Part([null], [Text("x"), Text(""), new JsonObject()]);

    /// <summary>Seconds from now, near every edge; null when absent.</summary>
    private static readonly Gen<int?> Offset = Gen.OneOf<int?>(null, 0, 1, -1, 29, 30, 31, 60, -60, 3569, 3570, 3599, 3600, 3601, -3599, -3600, -3601, 7200, 300, -300);

    private static readonly Gen<string> Strings = Gen.OneOf(Gen.String[0, 12], Gen.OneOf("", "openid", "ä\u202E\"\\", "code", "\0", "x y")).Where(text => !text.Any(char.IsSurrogate));

    private static readonly Gen<JsonNode?> Values = Gen.OneOf(
        Strings.Select(text => (JsonNode?)JsonValue.Create(text)), Gen.Int.Select(number => (JsonNode?)JsonValue.Create(number)), Gen.Bool.Select(yes => (JsonNode?)JsonValue.Create(yes)),
        Gen.Const((JsonNode?)null), Strings.Array[0, 3].Select(items => (JsonNode?)new JsonArray([.. items.Select(item => JsonValue.Create(item))])), Strings.Select(text => (JsonNode?)new JsonObject { ["x"] = text }));

    private static readonly Gen<Dictionary<string, JsonNode?>> Parameters = Gen.Select(Gen.OneOf("scope", "state", "nonce", "max_age", "redirect_uri", "claims", "prompt", "jti", "made_up", "response_mode"), Values)
        .Array[0, 8].Select(pairs => pairs.GroupBy(pair => pair.Item1).ToDictionary(pair => pair.Key, pair => pair.First().Item2));

    private sealed record Case((JsonNode? Value, bool Good)[] Parts, int? Exp, int? Nbf, int? Iat, Dictionary<string, JsonNode?> Parameters);

    private static readonly Gen<Case> Cases = Gen.Select(Gen.Select(Typ, Alg, Kid, Crit, Signer), Gen.Select(Iss, Aud, Id, Sub, Nested), Gen.Select(Offset, Offset, Offset), Parameters,
        (header, claims, times, parameters) => new Case([header.Item1, header.Item2, header.Item3, header.Item4, header.Item5, claims.Item1, claims.Item2, claims.Item3, claims.Item4, claims.Item5], times.Item1, times.Item2, times.Item3, parameters));

    private RequestObjects Objects => new(new ClientKeys(_fetcher, _clock, NullLogger<ClientKeys>.Instance), TestSettings.In(""), _clock);

    private Client Client => new(Guid.Empty, new ClientId(ClientName), new ClientMetadata { ClientName = "Signing", Jwks = _key.Jwks().ToJsonString(), RequestObjectSigningAlg = SigningAlgorithm.ES256 }, [], ClientStatus.Active, _clock.GetUtcNow());

    [Fact, Trait("Rule", "JAR-1"), Trait("Rule", "JAR-2"), Trait("Rule", "JAR-3"), Trait("Attack", "T8")]
    public async Task An_object_is_taken_exactly_when_every_rule_holds_and_says_what_was_signed()
    {
        var (objects, client, now) = (Objects, Client, _clock.GetUtcNow().ToUnixTimeSeconds());
        var (taken, refused) = (0, 0);
        foreach (var one in Cases.Cases(4000))
        {
            JsonObject header = Object(((string[])["typ", "alg", "kid", "crit"]).Zip(one.Parts));
            JsonObject claims = Object(((string[])["iss", "aud", "client_id", "sub", "request"]).Zip(one.Parts[5..]));
            foreach (var (name, value) in one.Parameters) claims[name] = value?.DeepClone();
            foreach (var (name, offset) in (List<(string, int?)>)[("exp", one.Exp), ("nbf", one.Nbf), ("iat", one.Iat)])
            {
                if (offset is { } seconds) claims[name] = now + seconds;
            }

            var inTime = one.Exp is null or > 0 && one.Nbf is null or (>= -3600 and <= 30) && one.Iat is null or <= 30 && !(one.Exp - one.Nbf > 3600);
            var good = one.Parts.All(part => part.Good) && inTime;
            var (request, fault) = await objects.OpenAsync((one.Parts[4].Value is null ? _key : _foreign).Sign(header, claims), client, default);

            Assert.True(good == (request is not null), $"{header.ToJsonString()} {claims.ToJsonString()} {fault}");
            Assert.Equal(good, fault is null);
            if (request is null)
            {
                refused++;
                continue;
            }

            taken++;
            Assert.Null(request.Fault);
            Assert.All((string[])["iss", "aud", "sub", "exp", "nbf", "iat", "jti"], name => Assert.Null(request[name]));
            foreach (var (name, value) in one.Parameters.Where(parameter => parameter.Key != "jti"))
                Assert.Equal(value is JsonValue text && text.TryGetValue<string>(out var plain) ? (plain.Length == 0 ? null : plain) : value?.ToJsonString(), request[name]);
        }

        Assert.True(taken > 100 && refused > 400, $"{taken} taken, {refused} refused");

        static JsonObject Object(IEnumerable<(string Name, (JsonNode? Value, bool Good) Part)> parts) =>
            new(parts.Where(part => part.Part.Value is not null).Select(part => KeyValuePair.Create(part.Name, part.Part.Value?.DeepClone())));
    }

    [Fact, Trait("Rule", "JAR-2"), Trait("Attack", "T8")]
    public async Task Whatever_is_changed_in_an_object_it_says_what_was_signed_or_nothing()
    {
        var (objects, client) = (Objects, Client);
        var now = _clock.GetUtcNow().ToUnixTimeSeconds();
        var good = _key.Sign(_key.Header(), new JsonObject { ["iss"] = ClientName, ["aud"] = Issuer, ["client_id"] = ClientName, ["exp"] = now + 60, ["scope"] = "openid" });
        Assert.Equal("openid", (await objects.OpenAsync(good, client, default)).Request!["scope"]);
        foreach (var (at, character) in Gen.Select(Gen.Int[0, good.Length - 1], Gen.Char.AlphaNumeric).Cases(2000))
        {
            var changed = $"{good[..at]}{character}{good[(at + 1)..]}";
            var (request, _) = await objects.OpenAsync(changed, client, default);
            if (request is not null) Assert.True(changed == good && request["scope"] == "openid", changed);
        }
    }

    [Fact, Trait("Rule", "JAR-2"), Trait("Attack", "P20")]
    public async Task No_text_and_no_signed_bytes_make_it_throw()
    {
        var (objects, client) = (Objects, Client);
        foreach (var text in Gen.OneOf(Gen.String[0, 60], Gen.String[Gen.Char["eyJ.AZ09-_={}\"\0é"], 0, 60]).Cases(Generated.Many)) Assert.Null((await objects.OpenAsync(text, client, default)).Request);
        foreach (var bytes in Gen.OneOf(Gen.Byte.Array[0, 40], Gen.String[Gen.Char["{}[]\":,\\ud8019eE+-.nul"], 0, 40].Select(Encoding.UTF8.GetBytes)).Cases(1000)) Assert.Null((await objects.OpenAsync(_key.Sign(_key.Header().ToJsonString(), bytes), client, default)).Request);
        foreach (var text in Gen.String[Gen.Char["{}[]\":,keyst"], 0, 40].Cases(1000)) Assert.NotNull(JwkSet.WhyNotRegistrable(Encoding.UTF8.GetBytes(text), SigningAlgorithm.Supported));
    }
}
