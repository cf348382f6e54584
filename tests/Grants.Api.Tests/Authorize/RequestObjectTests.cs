using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Grants.Api.Tests.Http;
using Grants.Domain.Clients;
using Grants.Testing;
using Microsoft.AspNetCore.WebUtilities;

namespace Grants.Api.Tests.Authorize;

/// <summary>Requests in a JWT that the client signed: RFC 9101, by value, in both channels.</summary>
[Collection(FrontDoor.Name)]
public sealed class RequestObjectTests(AppFixture app) : IDisposable
{
    private const string Callback = "https://signing.example/cb";
    private static readonly AppKey Key = new("ES256");
    private readonly AppKey _foreign = new("ES256");

    private DateTimeOffset Now => app.Clock.GetUtcNow();

    public void Dispose() => _foreign.Dispose();

    private async Task<TestClient> ClientAsync(string id = "signing", AppKey? key = null, JsonObject? jwks = null, bool required = false)
    {
        await app.DeclareClientAsync(new JsonObject
        {
            ["client_id"] = id,
            ["client_secret"] = TestConfiguration.TallySecret,
            ["client_name"] = "Signing",
            ["redirect_uris"] = new JsonArray(Callback),
            ["scope"] = "openid balances",
            ["grants_checked"] = true,
            ["jwks"] = jwks ?? (key ?? Key).Jwks(),
            ["request_object_signing_alg"] = (key ?? Key).Algorithm,
            ["require_signed_request_object"] = required,
        });
        return new TestClient(id, TestConfiguration.TallySecret, Callback, "openid balances");
    }

    /// <summary>The address of a request that is only a request object, and what else is named beside it.</summary>
    private static string AddressOf(string client, string jwt, params (string Name, string Value)[] beside) => QueryHelpers.AddQueryString("/authorize",
        beside.Prepend(("request", jwt)).Prepend(("client_id", client)).Select(pair => KeyValuePair.Create(pair.Item1, (string?)pair.Item2)));

    private Asked Signed(Asked asked, Action<JsonObject>? change = null, AppKey? key = null, params (string Name, string Value)[] beside)
    {
        var claims = AppKey.ClaimsOf(asked, Now);
        change?.Invoke(claims);
        return asked with { Address = AddressOf(asked.Client.Id, (key ?? Key).Sign((key ?? Key).Header(), claims), beside) };
    }

    [Theory, Trait("Rule", "JAR-1"), Trait("Rule", "JAR-2")]
    [InlineData("ES256", true)]
    [InlineData("ES256", false)]
    [InlineData("PS256", true)]
    [InlineData("RS256", false)]
    public async Task A_signed_request_gets_its_code_and_tokens(string algorithm, bool named)
    {
        using var key = new AppKey(algorithm, named ? "one" : null);
        var asked = Journey.Ask(await ClientAsync($"signing-{algorithm}-{named}", key));
        var page = await app.NewVisitor().AllowAsync(Signed(asked, key: key));
        Assert.Equal((asked.State, TestConfiguration.Issuer), (page.Answer["state"], page.Answer["iss"]));
        using var http = app.NewClient();
        var tokens = await http.RedeemAsync(asked, page.Answer["code"]);
        Assert.Equal(asked.Nonce, (string?)TokenAnswer.Claims(tokens.IdToken)["nonce"]);
    }

    [Fact, Trait("Rule", "JAR-1"), Trait("Attack", "R22"), Trait("Attack", "R20")]
    public async Task Nothing_beside_the_object_counts()
    {
        var asked = Journey.Ask(await ClientAsync());
        var page = await app.NewVisitor().AllowAsync(Signed(asked, beside: [("scope", "openid"), ("response_type", "code"), ("redirect_uri", "https://evil.example/cb"), ("state", "another"), ("code_challenge", "x"),
            ("code_challenge_method", "plain"), ("nonce", "another"), ("prompt", "create"), ("max_age", "soon"), ("response_mode", "smoke"), ("registration", "{}"), ("id_token_hint", "x")]));
        Assert.StartsWith(Callback, page.Location, StringComparison.Ordinal);
        Assert.Equal(asked.State, page.Answer["state"]);
        using var http = app.NewClient();
        Assert.True((await http.RedeemAsync(asked, page.Answer["code"])).Ok);

        // Nor does what the object leaves out come from beside it.
        var without = Journey.Ask(asked.Client, ("code_challenge", null));
        (await app.NewVisitor().GetAsync(Signed(without, beside: ("code_challenge", Journey.Challenge(without.Verifier))).Address)).TellsTheApp("invalid_request", without);
        var nowhere = Journey.Ask(asked.Client, ("redirect_uri", null));
        StaysHere(await app.NewVisitor().GetAsync(Signed(nowhere, beside: ("redirect_uri", Callback)).Address), "invalid_request");
    }

    [Fact, Trait("Rule", "JAR-1")]
    public async Task A_fault_in_a_genuine_object_goes_where_the_object_says_unless_it_is_about_that_place()
    {
        var client = await ClientAsync();
        foreach (var (name, value, error) in (List<(string, string, string)>)[("scope", "bad", "invalid_scope"), ("response_type", "token", "unsupported_response_type"), ("code_challenge", "short", "invalid_request"), ("prompt", "none", "login_required")])
        {
            var asked = Journey.Ask(client, (name, value));
            (await app.NewVisitor().GetAsync(Signed(asked).Address)).TellsTheApp(error, asked);
        }

        StaysHere(await app.NewVisitor().GetAsync(Signed(Journey.Ask(client, ("redirect_uri", "https://evil.example/cb"))).Address), "invalid_request");
        StaysHere(await app.NewVisitor().GetAsync(Signed(Journey.Ask(client, ("response_mode", "smoke"))).Address), "invalid_request");
    }

    [Fact, Trait("Rule", "JAR-1"), Trait("Rule", "AZ-11")]
    public async Task Numbers_count_as_numbers_lists_of_resources_and_structured_values_are_no_faults_and_lists_elsewhere_are()
    {
        var client = await ClientAsync();
        var visitor = app.NewVisitor();
        await visitor.AllowAsync(Journey.Ask(client));
        Assert.True((await visitor.GetAsync(Signed(Journey.Ask(client), claims => claims["max_age"] = 3600).Address)).Answer.ContainsKey("code"));
        Assert.True((await visitor.GetAsync(Signed(Journey.Ask(client), claims => claims["max_age"] = 0).Address)).IsAt("/signin/"));
        Assert.True((await visitor.GetAsync(Signed(Journey.Ask(client), claims =>
        {
            claims["resource"] = new JsonArray(TestConfiguration.Bank, "HTTP://LOCALHOST:5300");
            claims["claims"] = new JsonObject { ["id_token"] = new JsonObject() };
            claims["nothing"] = null;
            claims["whatever"] = new JsonArray(1, new JsonObject());
        }).Address)).Answer.ContainsKey("code"));

        foreach (var (name, value, error) in (List<(string, JsonNode, string)>)[("max_age", -1, "invalid_request"), ("max_age", 1.5, "invalid_request"), ("max_age", new JsonArray(5), "invalid_request"), ("scope", new JsonArray("openid"), "invalid_scope"), ("response_type", new JsonArray("code"), "unsupported_response_type")])
        {
            var asked = Journey.Ask(client);
            (await visitor.GetAsync(Signed(asked, claims => claims[name] = value).Address)).TellsTheApp(error, asked);
        }

        StaysHere(await visitor.GetAsync(Signed(Journey.Ask(client), claims => claims["redirect_uri"] = new JsonArray(Callback)).Address), "invalid_request");
    }

    [Theory, Trait("Rule", "JAR-2"), Trait("Attack", "T8")]
    [InlineData("nothing")] // control: what is forged below is good before
    [InlineData("none")]
    [InlineData("nOnE")]
    [InlineData("no alg")]
    [InlineData("HS256 with the public key as JSON")]
    [InlineData("HS256 with the public key's point")]
    [InlineData("alg of another kind")]
    [InlineData("unknown kid")]
    [InlineData("embedded jwk")]
    [InlineData("jku")]
    [InlineData("x5c")]
    [InlineData("crit")]
    [InlineData("foreign key, our kid")]
    [InlineData("cut signature")]
    [InlineData("no signature")]
    [InlineData("no dots")]
    [InlineData("five parts")]
    [InlineData("changed payload")]
    [InlineData("changed header")]
    [InlineData("payload no object")]
    [InlineData("payload no JSON")]
    [InlineData("a name twice")]
    [InlineData("half a character")]
    [InlineData("bytes that are no text")]
    [InlineData("nested deep")]
    public async Task A_forged_object_is_refused_on_a_page_and_at_the_back_channel(string how)
    {
        var client = await ClientAsync();
        var asked = Journey.Ask(client);
        var jwt = Forge(AppKey.ClaimsOf(asked, Now), how);
        await RefusedAsync(asked, jwt, how == "nothing" ? null : "invalid_request_object");
    }

    private string Forge(JsonObject claims, string how)
    {
        var header = Key.Header();
        var payload = claims.ToJsonString();
        var good = Key.Sign(header, claims).Split('.');
        string Raw(string text) => Key.Sign(header.ToJsonString(), Encoding.UTF8.GetBytes(text));
        string Hmac(byte[] secret)
        {
            header["alg"] = "HS256";
            var text = $"{AppKey.Encode(header.ToJsonString())}.{good[1]}";
            return $"{text}.{WebEncoders.Base64UrlEncode(HMACSHA256.HashData(secret, Encoding.ASCII.GetBytes(text)))}";
        }

        switch (how)
        {
            case "nothing": break;
            case "none" or "nOnE":
                header["alg"] = how;
                return $"{AppKey.Encode(header.ToJsonString())}.{good[1]}.";
            case "no alg": header.Remove("alg"); break;
            case "HS256 with the public key as JSON": return Hmac(Encoding.UTF8.GetBytes(Key.Jwks().ToJsonString()));
            case "HS256 with the public key's point": return Hmac([.. WebEncoders.Base64UrlDecode((string)Key.PublicJwk()["x"]!), .. WebEncoders.Base64UrlDecode((string)Key.PublicJwk()["y"]!)]);
            case "alg of another kind": header["alg"] = "ES384"; break;
            case "unknown kid": header["kid"] = "no-such-key"; break;
            case "embedded jwk":
                header["jwk"] = _foreign.PublicJwk();
                return _foreign.Sign(header, claims);
            case "jku":
                header["jku"] = "https://attacker.example/jwks";
                header["kid"] = "elsewhere";
                return _foreign.Sign(header, claims);
            case "x5c":
                header["x5c"] = new JsonArray("MIIB");
                return _foreign.Sign(header, claims);
            case "crit":
                header["crit"] = new JsonArray("unheard-of");
                header["unheard-of"] = true;
                break;
            case "foreign key, our kid": return _foreign.Sign(header, claims);
            case "cut signature": return string.Join('.', good)[..^8];
            case "no signature": return $"{good[0]}.{good[1]}.";
            case "no dots": return "request";
            case "five parts": return string.Join('.', good) + ".x.y";
            case "changed payload": return $"{good[0]}.{AppKey.Encode(payload.Replace("balances", "payments", StringComparison.Ordinal))}.{good[2]}";
            case "changed header": return $"{AppKey.Encode("""{"alg":"ES256","kid":"app-key","x":1}""")}.{good[1]}.{good[2]}";
            case "payload no object": return Raw($"[{payload}]");
            case "payload no JSON": return Raw(payload[..^1]);
            case "a name twice": return Raw(payload[..^1] + ",\"scope\":\"openid\"}");
            case "half a character": return Raw(payload[..^1] + ",\"x\":\"\\ud800\"}");
            case "bytes that are no text": return Key.Sign(header.ToJsonString(), [.. Encoding.UTF8.GetBytes(payload[..^1] + ",\"x\":\""), 0xC3, 0x28, .. "\"}"u8]);
            case "nested deep": return Raw(payload[..^1] + ",\"x\":" + new string('[', 40) + new string(']', 40) + "}");
            default: throw new ArgumentOutOfRangeException(nameof(how), how, null);
        }

        return Key.Sign(header, claims);
    }

    public static TheoryData<string, bool> Frames => new()
    {
        { "iss missing", false }, { "iss another's", false }, { "aud missing", false }, { "aud another's", false }, { "aud with a final slash", false }, { "aud list without us", false }, { "aud list with us", true },
        { "client_id missing", false }, { "client_id another's", false }, { "sub is the client", false }, { "sub is somebody", true }, { "request inside", false }, { "request_uri inside", false },
        { "exp now", false }, { "exp in a minute", true }, { "exp missing", true }, { "exp as text", false }, { "nbf missing", true }, { "nbf as text", false }, { "nbf 10 s ahead", true }, { "nbf 61 s ahead", false },
        { "nbf 58 min ago", true }, { "nbf 60 min 1 s ago", false }, { "60 min of life", true }, { "60 min 1 s of life", false }, { "iat 10 s ahead", true }, { "iat 61 s ahead", false }, { "exp with a fraction", true },
        { "typ JWT", true }, { "typ oauth-authz-req+jwt", true }, { "typ application/oauth-authz-req+jwt", true }, { "typ OAuth-Authz-Req+JWT", true },
        { "typ at+jwt", false }, { "typ client-authentication+jwt", false }, { "typ dpop+jwt", false }, { "typ logout+jwt", false }, { "typ ", false }, { "typ 5", false },
    };

    [Theory, Trait("Rule", "JAR-1"), Trait("Rule", "JAR-3"), Trait("Attack", "T20"), Trait("Attack", "P10")]
    [MemberData(nameof(Frames))]
    public async Task The_frame_of_an_object_is_this_clients_for_this_server_now_and_for_this_purpose(string how, bool accepted)
    {
        var client = await ClientAsync();
        var asked = Journey.Ask(client);
        var (header, claims) = (Key.Header(), AppKey.ClaimsOf(asked, Now));
        long At(double seconds) => Now.AddSeconds(seconds).ToUnixTimeSeconds();
        switch (how)
        {
            case "iss missing": claims.Remove("iss"); break;
            case "iss another's": claims["iss"] = "tally"; break;
            case "aud missing": claims.Remove("aud"); break;
            case "aud another's": claims["aud"] = "https://other.example"; break;
            case "aud with a final slash": claims["aud"] = TestConfiguration.Issuer + "/"; break;
            case "aud list without us": claims["aud"] = new JsonArray("https://other.example", 7); break;
            case "aud list with us": claims["aud"] = new JsonArray("https://other.example", TestConfiguration.Issuer); break;
            case "client_id missing": claims.Remove("client_id"); break;
            case "client_id another's": claims["client_id"] = "tally"; break;
            case "sub is the client": claims["sub"] = client.Id; break;
            case "sub is somebody": claims["sub"] = "somebody"; break;
            case "request inside": claims["request"] = "x"; break;
            case "request_uri inside": claims["request_uri"] = "urn:ietf:params:oauth:request_uri:x"; break;
            case "exp now": claims["exp"] = At(0); break;
            case "exp in a minute": claims["exp"] = At(60); break;
            case "exp missing": claims.Remove("exp"); break;
            case "exp as text": claims["exp"] = "9999999999"; break;
            case "exp with a fraction": claims["exp"] = At(60) + 0.5; break;
            case "nbf missing": claims.Remove("nbf"); break;
            case "nbf as text": claims["nbf"] = "0"; break;
            case "nbf 10 s ahead": claims["nbf"] = At(10); break;
            case "nbf 61 s ahead": claims["nbf"] = At(61); break;
            case "nbf 58 min ago":
                claims["nbf"] = At(-58 * 60);
                claims["exp"] = At(60);
                break;
            case "nbf 60 min 1 s ago":
                claims["nbf"] = At(-3601);
                claims.Remove("exp");
                break;
            case "60 min of life": claims["exp"] = (long)claims["nbf"]! + 3600; break;
            case "60 min 1 s of life": claims["exp"] = (long)claims["nbf"]! + 3601; break;
            case "iat 10 s ahead": claims["iat"] = At(10); break;
            case "iat 61 s ahead": claims["iat"] = At(61); break;
            case "typ 5": header["typ"] = 5; break;
            default: header["typ"] = how["typ ".Length..]; break;
        }

        await RefusedAsync(asked, Key.Sign(header, claims), accepted ? null : "invalid_request_object");
    }

    [Fact, Trait("Rule", "JAR-2")]
    public async Task Among_several_keys_the_header_has_to_name_one_that_serves()
    {
        using var other = new AppKey("ES256", "other");
        using var rsa = new AppKey("RS256", "rsa");
        var encrypting = new AppKey("ES256", "encrypting").PublicJwk();
        encrypting["use"] = "enc";
        var jwks = Key.Jwks(other, rsa);
        jwks["keys"]!.AsArray().Add((JsonNode)encrypting);
        jwks["keys"]!.AsArray().Add((JsonNode)new JsonObject { ["kty"] = "OKP", ["crv"] = "Ed25519", ["kid"] = "ed", ["x"] = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        var asked = Journey.Ask(await ClientAsync("many-keys", jwks: jwks));
        var claims = AppKey.ClaimsOf(asked, Now);
        await RefusedAsync(asked, Key.Sign(Key.Header(), claims), null);
        await RefusedAsync(asked, other.Sign(other.Header(), claims), null);
        var nameless = Key.Header();
        nameless.Remove("kid");
        await RefusedAsync(asked, Key.Sign(nameless, claims), "invalid_request_object");
        await RefusedAsync(asked, Key.Sign(other.Header(), claims), "invalid_request_object");
        await RefusedAsync(asked, rsa.Sign(rsa.Header(), claims), "invalid_request_object"); // not the registered algorithm
        foreach (var kid in (string[])["encrypting", "ed"])
        {
            var header = Key.Header();
            header["kid"] = kid;
            await RefusedAsync(asked, Key.Sign(header, claims), "invalid_request_object");
        }
    }

    [Fact, Trait("Rule", "JAR-2"), Trait("Attack", "T8")]
    public async Task A_client_signs_with_its_own_key_and_a_key_that_was_taken_away_signs_no_more()
    {
        var one = await ClientAsync("signing-one");
        var two = await ClientAsync("signing-two", _foreign);
        var asked = Journey.Ask(one);
        await RefusedAsync(asked, Key.Sign(Key.Header(), AppKey.ClaimsOf(asked, Now)), null);
        var foreign = Journey.Ask(two);
        await RefusedAsync(foreign, Key.Sign(Key.Header(), AppKey.ClaimsOf(foreign, Now)), "invalid_request_object");
        // One client's object in another's name.
        StaysHere(await app.NewVisitor().GetAsync(AddressOf("signing-two", Key.Sign(Key.Header(), AppKey.ClaimsOf(asked, Now)))), "invalid_request_object");

        await ClientAsync("signing-one", _foreign);
        await RefusedAsync(asked, Key.Sign(Key.Header(), AppKey.ClaimsOf(asked, Now)), "invalid_request_object");
    }

    [Fact, Trait("Rule", "JAR-1"), Trait("Attack", "R20")]
    public async Task The_outer_client_id_is_needed_and_nothing_may_repeat_or_stand_for_two_requests()
    {
        var asked = Signed(Journey.Ask(await ClientAsync()));
        await app.AppendsNothingAsync(async () =>
        {
            StaysHere(await app.NewVisitor().GetAsync(asked.Address.Replace("client_id=signing&", "", StringComparison.Ordinal)), "invalid_request");
            StaysHere(await app.NewVisitor().GetAsync(asked.Address + "&client_id=signing"), "invalid_request");
            StaysHere(await app.NewVisitor().GetAsync(asked.Address + "&request=x"), "invalid_request");
            StaysHere(await app.NewVisitor().GetAsync(asked.Address + "&request_uri=https%3A%2F%2Fsigning.example%2Fr"), "invalid_request");
            StaysHere(await app.NewVisitor().GetAsync(asked.Address + "&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Ax"), "invalid_request");
        });
    }

    [Fact, Trait("Rule", "JAR-1"), Trait("Rule", "PAR-1"), Trait("Rule", "PAR-5")]
    public async Task A_pushed_object_needs_nothing_beside_it_and_is_its_clients_own()
    {
        var client = await ClientAsync();
        var asked = Journey.Ask(client);
        var jwt = Key.Sign(Key.Header(), AppKey.ClaimsOf(asked, Now));
        using var http = app.NewClient();
        var pushed = await PushAsync(http, client, ("request", jwt));
        Assert.Equal(HttpStatusCode.Created, pushed.Response.StatusCode);
        var page = await app.NewVisitor().AllowAsync(asked.By(pushed));
        Assert.True((await http.RedeemAsync(asked, page.Answer["code"])).Ok);

        var two = await ClientAsync("signing-pusher");
        await app.AppendsNothingAsync(async () =>
        {
            Assert.Equal("invalid_request", (await PushAsync(http, client, ("request", jwt), ("request_uri", "x"))).Error);
            Assert.Equal("invalid_request", (await PushAsync(http, client, ("request", jwt), ("client_id", "tally"))).Error);
            Assert.Equal("invalid_request_object", (await PushAsync(http, two, ("request", jwt))).Error); // the same key, another client
            Assert.Equal("invalid_scope", (await PushAsync(http, client, ("request", Key.Sign(Key.Header(), AppKey.ClaimsOf(Journey.Ask(client, ("scope", "bad")), Now))))).Error);
        });
    }

    [Fact, Trait("Rule", "JAR-5"), Trait("Rule", "AZ-17"), Trait("Attack", "R22")]
    public async Task A_client_that_must_sign_gets_an_invalid_request_for_what_is_not_signed()
    {
        var client = await ClientAsync("must-sign", required: true);
        var asked = Journey.Ask(client);
        using var http = app.NewClient();
        await app.AppendsNothingAsync(async () =>
        {
            (await app.NewVisitor().GetAsync(asked.Address)).TellsTheApp("invalid_request", asked);
            Assert.Equal("invalid_request", (await http.PushAsync(asked)).Error);
        });
        await RefusedAsync(asked, Key.Sign(Key.Header(), AppKey.ClaimsOf(asked, Now)), null);
    }

    [Fact, Trait("Rule", "JAR-5"), Trait("Rule", "AZ-17")]
    public async Task A_client_without_a_registered_algorithm_sends_no_objects()
    {
        var asked = Journey.Ask(TestClient.Tally, ("request", Key.Sign(Key.Header(), AppKey.ClaimsOf(Journey.Ask(TestClient.Tally), Now))));
        await app.AppendsNothingAsync(async () => (await app.NewVisitor().GetAsync(asked.Address)).TellsTheApp("request_not_supported", asked));
    }

    [Fact, Trait("Rule", "JAR-5"), Trait("Rule", "MD-2")]
    public async Task Discovery_says_what_is_taken()
    {
        var metadata = JsonNode.Parse((await app.NewVisitor().GetAsync("/.well-known/openid-configuration")).Body)!.AsObject();
        Assert.Equal((true, false, false), ((bool)metadata["request_parameter_supported"]!, (bool)metadata["request_uri_parameter_supported"]!, (bool)metadata["require_signed_request_object"]!));
        Assert.Equal(SigningAlgorithm.Supported, metadata["request_object_signing_alg_values_supported"]!.AsArray().Select(value => (string)value!));
        Assert.DoesNotContain(metadata, member => member.Key.StartsWith("request_object_encryption", StringComparison.Ordinal));
    }

    [Theory, Trait("Rule", "JAR-2"), Trait("Attack", "P7")]
    [InlineData("private")]
    [InlineData("symmetric")]
    [InlineData("none")]
    [InlineData("too many")]
    [InlineData("no list")]
    [InlineData("no kty")]
    [InlineData("kid twice")]
    [InlineData("short RSA")]
    [InlineData("no point of the curve")]
    [InlineData("no base64")]
    public async Task Keys_that_are_none_or_should_not_be_known_are_not_registered(string what)
    {
        var jwk = Key.PublicJwk();
        using var shortKey = new AppKey("RS256", rsaBits: 1024);
        JsonNode keys = what switch
        {
            "private" => new JsonArray(With(jwk, "d", "AAAA")),
            "symmetric" => new JsonArray(new JsonObject { ["kty"] = "oct", ["k"] = "AAAA" }),
            "none" => new JsonArray(),
            "too many" => new JsonArray([.. Enumerable.Range(0, 33).Select(number => With(Key.PublicJwk(), "kid", $"key-{number}"))]),
            "no list" => jwk,
            "no kty" => new JsonArray(new JsonObject { ["crv"] = "P-256" }),
            "kid twice" => new JsonArray(jwk, _foreign.PublicJwk()),
            "short RSA" => new JsonArray(shortKey.PublicJwk()),
            "no point of the curve" => new JsonArray(With(jwk, "y", (string)_foreign.PublicJwk()["y"]!)),
            _ => new JsonArray(With(jwk, "x", "a*b")),
        };
        await app.AppendsNothingAsync(async () =>
            Assert.Contains("jwks: ", (await Assert.ThrowsAsync<SettingsException>(() => ClientAsync("bad-keys", jwks: new JsonObject { ["keys"] = keys }))).Message, StringComparison.Ordinal));

        static JsonObject With(JsonObject key, string member, string value)
        {
            key[member] = value;
            return key;
        }
    }

    /// <summary>Sent by the browser and pushed: refused with that error and no event, or taken when there is none.</summary>
    private async Task RefusedAsync(Asked asked, string jwt, string? error)
    {
        using var http = app.NewClient();
        if (error is null)
        {
            Assert.True((await app.NewVisitor().GetAsync(AddressOf(asked.Client.Id, jwt))).IsAt("/signin/"));
            Assert.Equal(HttpStatusCode.Created, (await PushAsync(http, asked.Client, ("request", jwt))).Response.StatusCode);
            return;
        }

        await app.AppendsNothingAsync(async () =>
        {
            StaysHere(await app.NewVisitor().GetAsync(AddressOf(asked.Client.Id, jwt)), error);
            var pushed = await PushAsync(http, asked.Client, ("request", jwt));
            Assert.Equal((HttpStatusCode.BadRequest, error), (pushed.Response.StatusCode, pushed.Error));
        });
    }

    private static Task<TokenAnswer> PushAsync(HttpClient http, TestClient client, params (string Name, string? Value)[] fields) => http.PushAsync(new Asked(client, "/authorize?", "", "", ""), fields);

    private static void StaysHere(Page page, string error)
    {
        page.StaysHere();
        Assert.Contains($"error={error}<", page.Body, StringComparison.Ordinal);
    }
}

/// <summary>A server where every client has to sign its requests.</summary>
public sealed class SigningApp : GrantsApp, IAsyncLifetime
{
    public async ValueTask InitializeAsync() => await StartAsync(await NewDatabaseAsync(), configure: builder => builder.UseSetting("Grants:RequireSignedRequestObject", "true"));
}

public sealed class RequiredRequestObjectTests(SigningApp app) : IClassFixture<SigningApp>
{
    [Fact, Trait("Rule", "JAR-5"), Trait("Attack", "R22")]
    public async Task A_server_that_wants_signed_requests_says_so_and_takes_nothing_else()
    {
        Assert.True((bool)JsonNode.Parse((await app.NewVisitor().GetAsync("/.well-known/openid-configuration")).Body)!["require_signed_request_object"]!);
        using var http = app.NewClient();
        var plain = Journey.Ask(TestClient.Tally);
        await app.AppendsNothingAsync(async () =>
        {
            (await app.NewVisitor().GetAsync(plain.Address)).TellsTheApp("invalid_request", plain);
            Assert.Equal("invalid_request", (await http.PushAsync(plain)).Error);
        });

        using var key = new AppKey("ES256");
        await app.DeclareClientAsync(new JsonObject { ["client_id"] = "signer", ["client_name"] = "Signer", ["token_endpoint_auth_method"] = "none", ["redirect_uris"] = new JsonArray("https://signer.example/cb"), ["scope"] = "openid", ["jwks"] = key.Jwks(), ["request_object_signing_alg"] = "ES256" });
        var asked = Journey.Ask(new TestClient("signer", null, "https://signer.example/cb", "openid"));
        var jwt = key.Sign(key.Header(), AppKey.ClaimsOf(asked, app.Clock.GetUtcNow()));
        Assert.True((await app.NewVisitor().AllowAsync(asked with { Address = $"/authorize?client_id=signer&request={jwt}" })).Answer.ContainsKey("code"));
    }
}
