using System.Net;
using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Grants.Api.Http;
using Grants.Api.Tests.Http;
using Grants.Domain.Protocol;
using Grants.Projections;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;
using Npgsql;

namespace Grants.Api.Tests.Token;

/// <summary>A server with clients that authenticate by a JWT.</summary>
public sealed class AssertingApp : GrantsApp, IAsyncLifetime
{
    public static readonly AssertionKey Ec = new("ec");
    public static readonly AssertionKey Rsa = new("rsa", "RS256");
    public static readonly AssertionKey Pss = new("pss", "PS256");

    /// <summary>In nobody's key set.</summary>
    public static readonly AssertionKey Stranger = new("ec");

    /// <summary>86 octets, enough for every HMAC.</summary>
    public static readonly string Secret = Witness.Saw("client secret", Journey.Random(43));

    public async ValueTask InitializeAsync()
    {
        await StartAsync();
        JsonObject Client(string id, string method, params (string Name, JsonNode? Value)[] more)
        {
            var client = new JsonObject { ["client_id"] = id, ["client_name"] = id, ["grant_types"] = new JsonArray("client_credentials"), ["scope"] = "balances", ["token_endpoint_auth_method"] = method };
            foreach (var (name, value) in more) client[name] = value;
            return client;
        }

        await this.DeclareAsync(new JsonObject
        {
            ["clients"] = new JsonArray(
                Client("signer", "private_key_jwt", ("jwks", AssertionKey.SetOf(Ec, Rsa, Pss)), ("grants_resources", new JsonArray(TestConfiguration.Bank))),
                Client("signer-rs", "private_key_jwt", ("jwks", AssertionKey.SetOf(Ec, Rsa)), ("token_endpoint_auth_signing_alg", "RS256")),
                Client("signer-compat", "private_key_jwt", ("jwks", AssertionKey.SetOf(Ec)), ("grants_assertion_audience", "endpoint")),
                Client("signer-app", "private_key_jwt", ("jwks", AssertionKey.SetOf(Ec)), ("redirect_uris", new JsonArray("https://signer.example/cb")), ("grant_types", new JsonArray("authorization_code", "refresh_token")), ("scope", "openid balances offline_access")),
                Client("mac", "client_secret_jwt", ("client_secret", Secret)),
                Client("mac-512", "client_secret_jwt", ("client_secret", Secret), ("token_endpoint_auth_signing_alg", "HS512")),
                Client("mac-short", "client_secret_jwt", ("client_secret", Secret[..40])),
                Client("with-secret", "client_secret_basic", ("client_secret", Secret))),
        });
    }
}

/// <summary><c>private_key_jwt</c> and <c>client_secret_jwt</c> at the endpoints.</summary>
public sealed class ClientAssertionTests(AssertingApp app) : IClassFixture<AssertingApp>
{
    private static readonly (string, string?) Machine = ("grant_type", "client_credentials");

    private DateTimeOffset Now => app.Clock.GetUtcNow();

    private JsonObject Claims(string client, params (string Name, JsonNode? Value)[] change) => Assertion.Claims(client, Now, change);

    [Fact, Trait("Rule", "CA-5"), Trait("Rule", "CA-1"), Trait("Law", "L4")]
    public async Task A_key_authenticates_its_client_at_every_endpoint()
    {
        using var http = app.NewClient();
        var token = await http.PostAsync("/token", Assertion.By(AssertingApp.Ec, Claims("signer")), Machine);
        Assert.True(token.Ok, token.Json.ToJsonString());
        Assert.Equal("signer", (string?)TokenAnswer.Claims(token.AccessToken)["sub"]);

        var told = await http.PostAsync("/introspect", Assertion.By(AssertingApp.Rsa, Claims("signer")), ("token", token.AccessToken));
        Assert.True((bool)told.Json["active"]!, told.Json.ToJsonString());
        Assert.True((await http.PostAsync("/revoke", Assertion.By(AssertingApp.Pss, Claims("signer")), ("token", token.AccessToken))).Ok);
        told = await http.PostAsync("/introspect", Assertion.By(AssertingApp.Ec, Claims("signer")), ("token", token.AccessToken), ("client_id", "signer"));
        Assert.False((bool)told.Json["active"]!);
    }

    [Theory, Trait("Rule", "CA-4"), Trait("Rule", "CA-1")]
    [InlineData("mac", "HS256")]
    [InlineData("mac", "HS384")]
    [InlineData("mac", "HS512")]
    [InlineData("mac-512", "HS512")]
    [InlineData("mac-short", "HS256")]
    public async Task A_secret_authenticates_its_client_by_an_HMAC(string client, string algorithm)
    {
        var secret = client == "mac-short" ? AssertingApp.Secret[..40] : AssertingApp.Secret;
        using var http = app.NewClient();
        Assert.True((await http.PostAsync("/token", Assertion.By(secret, Claims(client), algorithm), Machine)).Ok);
        Assert.True((await http.PostAsync("/introspect", Assertion.By(secret, Claims(client), algorithm), ("token", "any"))).Ok);
        Assert.True((await http.PostAsync("/revoke", Assertion.By(secret, Claims(client), algorithm), ("token", "any"))).Ok);
    }

    [Fact, Trait("Rule", "CA-5"), Trait("Rule", "TK-1"), Trait("Rule", "TK-3")]
    public async Task A_client_with_a_key_goes_the_whole_way_and_no_step_of_it_without()
    {
        var asked = Journey.Ask(new TestClient("signer-app", null, "https://signer.example/cb", "openid balances offline_access"));
        var code = (await app.NewVisitor().AllowAsync(asked)).Answer["code"];
        (string, string?)[] redeem = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", asked.Client.RedirectUri), ("code_verifier", asked.Verifier)];
        using var http = app.NewClient();
        TokenEndpointTests.AssertError(await http.TokenAsync(asked.Client, redeem), "invalid_client", HttpStatusCode.Unauthorized);
        var tokens = await http.PostAsync("/token", Assertion.By(AssertingApp.Ec, Claims("signer-app")), redeem);
        Assert.True(tokens.Ok, tokens.Json.ToJsonString());
        TokenEndpointTests.AssertError(await http.RefreshAsync(asked.Client, tokens.RefreshToken), "invalid_client", HttpStatusCode.Unauthorized);
        Assert.True((await http.PostAsync("/token", Assertion.By(AssertingApp.Ec, Claims("signer-app")), ("grant_type", "refresh_token"), ("refresh_token", tokens.RefreshToken))).Ok);
    }

    [Fact, Trait("Rule", "CA-5")]
    public async Task An_assertion_that_a_library_makes_is_understood()
    {
        var key = new ECDsaSecurityKey((ECDsa)AssertingApp.Ec.Private) { KeyId = "ec" };
        var made = new JsonWebTokenHandler().CreateToken(new SecurityTokenDescriptor
        {
            Issuer = "signer",
            Audience = TestConfiguration.Issuer,
            Subject = new ClaimsIdentity([new Claim("sub", "signer"), new Claim("jti", Journey.Random())]),
            IssuedAt = Now.UtcDateTime,
            NotBefore = Now.UtcDateTime,
            Expires = Now.AddMinutes(5).UtcDateTime,
            SigningCredentials = new SigningCredentials(key, "ES256"),
        });
        using var http = app.NewClient();
        Assert.True((await http.PostAsync("/token", made, Machine)).Ok);
    }

    /// <summary>Claims that make an otherwise good assertion of "signer" worthless.</summary>
    public static TheoryData<string, string, string> WrongClaims => new()
    {
        // member, JSON (empty removes it), why
        { "iss", "", "no issuer" },
        { "iss", "\"tally\"", "the issuer is another client" },
        { "iss", "\"SIGNER\"", "the issuer has other letters" },
        { "iss", "[\"signer\"]", "the issuer is a list" },
        { "iss", "\"http://localhost:5100\"", "the issuer is this server" },
        { "sub", "", "no subject" },
        { "sub", "\"signer-rs\"", "the subject is another client" },
        { "sub", "1", "the subject is a number" },
        { "aud", "", "no audience" },
        { "aud", "\"\"", "an empty audience" },
        { "aud", "\"http://localhost:5100/\"", "a final slash" },
        { "aud", "\"HTTP://localhost:5100\"", "other letters" },
        { "aud", "\"http://localhost:5100/token\"", "the token endpoint" },
        { "aud", "\"http://localhost:5100/par\"", "another endpoint" },
        { "aud", "\"https://other.example\"", "another server" },
        { "aud", "[\"http://localhost:5100\"]", "a list of one" },
        { "aud", "[\"http://localhost:5100\",\"https://other.example\"]", "a list of two" },
        { "aud", "{\"http://localhost:5100\":1}", "an object" },
        { "exp", "", "no end" },
        { "exp", "\"4102444800\"", "an end that is text" },
        { "exp", "-1", "an end before all time" },
        { "exp", "1e400", "an end beyond all numbers" },
        { "exp", "1700000000", "an end in the past" },
        { "exp", "4102444800", "an end years ahead" },
        { "nbf", "4102444800", "a beginning years ahead" },
        { "nbf", "\"soon\"", "a beginning that is text" },
        { "iat", "4102444800", "made years ahead" },
        { "iat", "1700000000", "made years ago" },
        { "iat", "null", "made at no time" },
        { "jti", "", "no id" },
        { "jti", "\"\"", "an empty id" },
        { "jti", "7", "an id that is a number" },
        { "jti", "\"" + new string('x', 513) + "\"", "an id without end" },
    };

    [Theory, Trait("Rule", "CA-5"), Trait("Rule", "CA-6"), Trait("Attack", "T19"), Trait("Attack", "T20"), Trait("Law", "L4")]
    [MemberData(nameof(WrongClaims))]
    public async Task An_assertion_with_a_wrong_claim_is_refused_everywhere_and_leaves_nothing(string member, string json, string why)
    {
        await RefusedAsync(() =>
        {
            var claims = Claims("signer", ("iat", null));
            claims.Remove(member);
            var text = claims.ToJsonString();
            // Written by hand: what isn't JSON for this library may be for another.
            if (json.Length > 0) text = $"{text[..^1]},\"{member}\":{json}}}";
            return Assertion.Make("""{"alg":"ES256","kid":"ec"}""", text, AssertingApp.Ec.Sign);
        }, why);
    }

    /// <summary>Headers that make an otherwise good assertion of "signer" worthless, though its signature is right.</summary>
    public static TheoryData<string> WrongHeaders => new()
    {
        """{}""",
        """{"kid":"ec"}""",
        """{"alg":"none","kid":"ec"}""",
        """{"alg":"None","kid":"ec"}""",
        """{"alg":"es256","kid":"ec"}""",
        """{"alg":["ES256"],"kid":"ec"}""",
        """{"alg":"ES384","kid":"ec"}""",
        """{"alg":"EdDSA","kid":"ec"}""",
        """{"alg":"RS256","kid":"ec"}""", // not that key's
        """{"alg":"HS256","kid":"ec"}""",
        """{"alg":"ES256","kid":"rsa"}""", // another key's name
        """{"alg":"ES256","kid":"EC"}""",
        """{"alg":"ES256","kid":""}""",
        """{"alg":"ES256","kid":1}""",
        """{"alg":"ES256","kid":"unheard-of"}""",
        """{"alg":"ES256","kid":"ec","typ":"at+jwt"}""", // T7
        """{"alg":"ES256","kid":"ec","typ":"application/at+jwt"}""",
        """{"alg":"ES256","kid":"ec","typ":"dpop+jwt"}""",
        """{"alg":"ES256","kid":"ec","typ":"oauth-authz-req+jwt"}""",
        """{"alg":"ES256","kid":"ec","typ":"logout+jwt"}""",
        """{"alg":"ES256","kid":"ec","typ":"secevent+jwt"}""",
        """{"alg":"ES256","kid":"ec","typ":"token-introspection+jwt"}""",
        """{"alg":"ES256","kid":"ec","typ":""}""",
        """{"alg":"ES256","kid":"ec","typ":null}""",
        """{"alg":"ES256","kid":"ec","crit":["exp"],"exp":1}""", // RFC 7515 §4.1.11
        """{"alg":"ES256","kid":"ec","crit":[]}""",
        """{"alg":"ES256","kid":"ec","b64":false,"crit":["b64"]}""",
        """{"alg":"ES256","kid":"ec","alg":"ES256"}""", // twice
        """{"alg":"ES256","kid":"\ud800"}""",
        """["ES256"]""",
        """null""",
        "not JSON",
    };

    [Theory, Trait("Rule", "CA-5"), Trait("Rule", "CA-6"), Trait("Attack", "T7"), Trait("Attack", "T8"), Trait("Law", "L4")]
    [MemberData(nameof(WrongHeaders))]
    public async Task An_assertion_with_a_wrong_header_is_refused_everywhere_and_leaves_nothing(string header) =>
        await RefusedAsync(() => Assertion.Make(header, Claims("signer").ToJsonString(), AssertingApp.Ec.Sign), header);

    [Theory, Trait("Rule", "CA-5"), Trait("Rule", "CA-6")]
    [InlineData(null)]
    [InlineData("JWT")]
    [InlineData("jwt")]
    [InlineData("application/jwt")]
    [InlineData("client-authentication+jwt")]
    [InlineData("application/client-authentication+jwt")]
    [InlineData("Client-Authentication+JWT")]
    public async Task The_types_that_clients_send_are_accepted(string? type)
    {
        using var http = app.NewClient();
        Assert.True((await http.PostAsync("/token", Assertion.By(AssertingApp.Ec, Claims("signer"), ("typ", type)), Machine)).Ok);
    }

    [Fact, Trait("Attack", "T8"), Trait("Rule", "CA-5"), Trait("Rule", "CA-4")]
    public async Task Forged_signatures_are_refused()
    {
        var (key, rsa) = (AssertingApp.Ec, AssertingApp.Rsa);
        foreach (var (why, forge) in (List<(string, Func<string>)>)
        [
            ("a stranger's key under the right name", () => Assertion.By(AssertingApp.Stranger, Claims("signer"))),
            ("a stranger's key in the header", () => Assertion.By(AssertingApp.Stranger, Claims("signer"), ("jwk", AssertingApp.Stranger.PublicJwk()))),
            ("a stranger's key at an address", () => Assertion.By(AssertingApp.Stranger, Claims("signer"), ("jku", "https://evil.example/jwks"), ("x5u", "https://evil.example/x5u"))),
            ("a claim changed afterwards", () => Altered(Assertion.By(key, Claims("signer-rs")), Claims("signer"))),
            ("no signature", () => Assertion.Make("""{"alg":"none"}""", Claims("signer").ToJsonString(), _ => [])),
            ("an empty signature", () => Assertion.Make("""{"alg":"ES256","kid":"ec"}""", Claims("signer").ToJsonString(), _ => [])),
            ("a signature of zeros", () => Assertion.Make("""{"alg":"ES256","kid":"ec"}""", Claims("signer").ToJsonString(), _ => new byte[64])),
            ("a signature in DER", () => Assertion.Make("""{"alg":"ES256","kid":"ec"}""", Claims("signer").ToJsonString(), input => ((ECDsa)key.Private).SignData(input, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence))),
            ("an RSA signature of the other padding", () => Assertion.Make("""{"alg":"PS256","kid":"rsa"}""", Claims("signer").ToJsonString(), rsa.Sign)),
            ("an HMAC with the public key", () => Assertion.By(rsa.PublicPem(), Claims("signer"))),
            ("an HMAC with the public key and its name", () => Assertion.Make("""{"alg":"HS256","kid":"rsa"}""", Claims("signer").ToJsonString(), input => Assertion.Mac("HS256", Encoding.UTF8.GetBytes(rsa.PublicPem()), input))),
            ("an HMAC with the public key's number", () => Assertion.Make("""{"alg":"HS256","kid":"rsa"}""", Claims("signer").ToJsonString(), input => Assertion.Mac("HS256", Encoding.UTF8.GetBytes((string)rsa.PublicJwk()["n"]!), input))),
            ("an HMAC with nothing", () => Assertion.By("", Claims("signer"))),
            ("an HMAC with nothing, of a client with a secret", () => Assertion.By("", Claims("mac"))),
            ("an HMAC with another secret", () => Assertion.By(Journey.Random(43), Claims("mac"))),
            ("half of an HMAC", () => Assertion.Make("""{"alg":"HS256"}""", Claims("mac").ToJsonString(), input => Assertion.Mac("HS256", Encoding.UTF8.GetBytes(AssertingApp.Secret), input)[..16])),
            ("an HMAC with the hash of the secret", () => Assertion.By(SecretHash.Of("x", new Secret(AssertingApp.Secret)).Sha256, Claims("mac"))),
            ("an HMAC longer than its secret allows", () => Assertion.By(AssertingApp.Secret[..40], Claims("mac-short"), "HS384")),
            ("another HMAC than the registered one", () => Assertion.By(AssertingApp.Secret, Claims("mac-512"))),
            ("another signature than the registered one", () => Assertion.By(key, Claims("signer-rs"))),
            ("a key where a secret is registered", () => Assertion.By(key, Claims("mac"))),
            ("an HMAC where the secret itself is registered", () => Assertion.By(AssertingApp.Secret, Claims("with-secret"))),
            ("a client that nobody registered, by key", () => Assertion.By(key, Claims("nobody"))),
            ("a client that nobody registered, by secret", () => Assertion.By(AssertingApp.Secret, Claims("nobody"))),
            ("a public client", () => Assertion.By(key, Claims("pocket-browser"))),
            ("a name beyond all limits", () => Assertion.By(key, Claims(new string('x', 257)))),
            ("a name that no client has", () => Assertion.By(key, Claims("signer\0"))),
            ("no name", () => Assertion.By(key, Claims(""))),
            ("too long", () => Assertion.By(key, Claims("signer", ("more", new string('x', 9000))))),
            ("too deep", () => Assertion.Make("""{"alg":"ES256","kid":"ec"}""", Claims("signer").ToJsonString()[..^1] + ",\"deep\":" + new string('[', 30) + new string(']', 30) + "}", key.Sign)),
            ("a claim twice", () => Assertion.Make("""{"alg":"ES256","kid":"ec"}""", Claims("signer").ToJsonString()[..^1] + ",\"sub\":\"signer\"}", key.Sign)),
            ("two parts", () => Assertion.By(key, Claims("signer")).Split('.')[..2] is var two ? string.Join('.', two) : ""),
            ("five parts", () => Assertion.By(key, Claims("signer")) + ".a.b"),
            ("padding", () => Assertion.By(key, Claims("signer")) + "="),
            ("white space", () => Assertion.By(key, Claims("signer")).Insert(20, "\n")),
            ("nonsense", () => "nonsense"),
        ])
            await RefusedAsync(forge, why);

        // The two keys of one client are both good under their own names, so what was refused above was refused for its reason alone.
        using var http = app.NewClient();
        Assert.True((await http.PostAsync("/token", Assertion.By(rsa, Claims("signer-rs")), Machine)).Ok);
        Assert.True((await http.PostAsync("/token", Assertion.By(AssertingApp.Pss, Claims("signer")), Machine)).Ok);
    }

    [Fact, Trait("Rule", "CA-5")]
    public async Task Without_a_kid_the_only_key_of_the_algorithm_counts_and_several_need_a_name()
    {
        using var http = app.NewClient();
        Assert.True((await http.PostAsync("/token", Assertion.By(AssertingApp.Ec, Claims("signer"), ("kid", null)), Machine)).Ok);
        await RefusedAsync(() => Assertion.By(AssertingApp.Rsa, Claims("signer"), ("kid", null)), "two RSA keys"); // both do RS256
    }

    [Fact, Trait("Rule", "CA-5"), Trait("Attack", "T7")]
    public async Task No_other_JWT_that_is_about_passes_for_an_assertion()
    {
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        foreach (var jwt in (string[])[tokens.AccessToken, tokens.IdToken]) await RefusedAsync(() => jwt, "a token of ours");
    }

    [Fact, Trait("Rule", "CA-5"), Trait("Attack", "T19")]
    public async Task An_assertion_is_good_once_at_whatever_endpoint()
    {
        using var http = app.NewClient();
        var assertion = Assertion.By(AssertingApp.Ec, Claims("signer"));
        Assert.True((await http.PostAsync("/introspect", assertion, ("token", "any"))).Ok);
        await RefusedAsync(() => assertion, "the same again");
        await RefusedAsync(() => Assertion.By(AssertingApp.Rsa, Claims("signer", ("jti", (string)TokenAnswer.Claims(assertion)["jti"]!))), "the same id, newly signed");

        // Another client's ids are its own.
        Assert.True((await http.PostAsync("/token", Assertion.By(AssertingApp.Rsa, Claims("signer-rs", ("jti", (string)TokenAnswer.Claims(assertion)["jti"]!))), Machine)).Ok);
    }

    [Fact, Trait("Rule", "CA-5"), Trait("Attack", "T19")]
    public async Task Only_the_clients_own_assertion_uses_up_an_id()
    {
        using var http = app.NewClient();
        var claims = Claims("signer");
        await RefusedAsync(() => Assertion.By(AssertingApp.Stranger, claims), "forged");
        Assert.True((await http.PostAsync("/token", Assertion.By(AssertingApp.Ec, claims), Machine)).Ok);
    }

    [Theory, Trait("Rule", "CA-5"), Trait("Attack", "T19"), Trait("Attack", "P10")]
    [InlineData("exp", 10 * 60, true)]
    [InlineData("exp", 10 * 60 + 60, false)]
    [InlineData("exp", -20, true)] // clocks differ
    [InlineData("exp", -40, false)]
    [InlineData("iat", 20, true)]
    [InlineData("iat", 60, false)]
    [InlineData("iat", -9 * 60, true)]
    [InlineData("iat", -11 * 60, false)]
    [InlineData("nbf", 20, true)]
    [InlineData("nbf", 60, false)]
    [InlineData("nbf", -3600, true)]
    public async Task Times_may_differ_by_half_a_minute(string claim, int seconds, bool accepted)
    {
        using var http = app.NewClient();
        var answer = await http.PostAsync("/token", Assertion.By(AssertingApp.Ec, Claims("signer", (claim, Now.AddSeconds(seconds).ToUnixTimeSeconds()))), Machine);
        Assert.Equal((accepted, accepted ? null : "invalid_client"), (answer.Ok, answer.Error));
    }

    [Fact, Trait("Rule", "CA-5")]
    public async Task Times_may_have_fractions()
    {
        using var http = app.NewClient();
        Assert.True((await http.PostAsync("/token", Assertion.By(AssertingApp.Ec, Claims("signer", ("exp", Now.ToUnixTimeSeconds() + 59.5), ("iat", Now.ToUnixTimeSeconds() - 0.25))), Machine)).Ok);
    }

    [Fact, Trait("Rule", "CA-5"), Trait("Attack", "T19")]
    public async Task An_id_is_remembered_for_as_long_as_its_assertion_could_be_shown()
    {
        using var http = app.NewClient();
        var claims = Claims("signer", ("exp", Now.AddMinutes(9).ToUnixTimeSeconds()));
        Assert.True((await http.PostAsync("/token", Assertion.By(AssertingApp.Ec, claims), Machine)).Ok);
        for (var i = 0; i < 11; i++)
        {
            app.Clock.Advance(TimeSpan.FromMinutes(1));
            await app.Services.GetRequiredService<UsedIds>().SweepAsync(default);
            var answer = await http.PostAsync("/token", Assertion.By(AssertingApp.Ec, claims), Machine);
            Assert.Equal("invalid_client", answer.Error);
        }
    }

    [Theory, Trait("Rule", "CA-6"), Trait("Attack", "T20")]
    [InlineData("\"http://localhost:5100\"", "/introspect", true)]
    [InlineData("\"http://localhost:5100/token\"", "/token", true)]
    [InlineData("\"http://localhost:5100/token\"", "/introspect", true)]
    [InlineData("\"http://localhost:5100/introspect\"", "/introspect", true)]
    [InlineData("[\"http://localhost:5100/revoke\",\"https://other.example\"]", "/revoke", true)]
    [InlineData("[\"http://localhost:5100\"]", "/token", true)]
    [InlineData("\"http://localhost:5100/introspect\"", "/revoke", false)] // not the one that is called
    [InlineData("\"https://other.example\"", "/token", false)]
    [InlineData("[\"https://other.example\"]", "/token", false)]
    [InlineData("[]", "/token", false)]
    [InlineData("[[\"http://localhost:5100\"]]", "/token", false)]
    [InlineData("[5]", "/token", false)]
    public async Task A_client_that_is_set_up_so_may_name_an_endpoint(string audience, string path, bool accepted)
    {
        using var http = app.NewClient();
        var answer = await http.PostAsync(path, Assertion.By(AssertingApp.Ec, Claims("signer-compat", ("aud", JsonNode.Parse(audience)))), Machine, ("token", "any"));
        Assert.Equal((accepted, accepted ? null : "invalid_client"), (answer.Ok, answer.Error));
    }

    [Fact, Trait("Rule", "CA-1"), Trait("Attack", "K4")]
    public async Task An_assertion_beside_another_way_is_refused()
    {
        using var http = app.NewClient();
        var good = Assertion.By(AssertingApp.Ec, Claims("signer"));
        TokenEndpointTests.AssertError(await http.PostAsync("/token", good, Machine, ("client_secret", "x")), "invalid_request");
        TokenEndpointTests.AssertError(await http.PostAsync("/token", good, Machine, ("client_id", "signer"), ("client_secret", AssertingApp.Secret)), "invalid_request");
        TokenEndpointTests.AssertError(await http.PostAsync("/token", good, Machine, ("client_assertion", null), ("client_secret", AssertingApp.Secret)), "invalid_request");
        http.DefaultRequestHeaders.Authorization = Journey.Basic("with-secret", AssertingApp.Secret);
        TokenEndpointTests.AssertError(await http.PostAsync("/token", good, Machine), "invalid_request");
        http.DefaultRequestHeaders.Authorization = null;
        Assert.True((await http.PostAsync("/token", good, Machine)).Ok); // none of it used the id up
    }

    [Theory, Trait("Rule", "CA-1"), Trait("Rule", "CA-5")]
    [InlineData("client_assertion_type", null)]
    [InlineData("client_assertion_type", "")]
    [InlineData("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")]
    [InlineData("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer ")]
    [InlineData("client_assertion_type", "URN:ietf:params:oauth:client-assertion-type:jwt-bearer")]
    [InlineData("client_assertion", null)]
    [InlineData("client_id", "tally")]
    [InlineData("client_id", "Signer")]
    public async Task The_fields_around_an_assertion_are_exact(string field, string? value)
    {
        using var http = app.NewClient();
        TokenEndpointTests.AssertError(await http.PostAsync("/token", Assertion.By(AssertingApp.Ec, Claims("signer")), Machine, (field, value)), "invalid_client", HttpStatusCode.Unauthorized);
    }

    [Theory, Trait("Rule", "G-2"), Trait("Rule", "CA-1"), Trait("Attack", "T15")]
    [InlineData("client_assertion")]
    [InlineData("client_assertion_type")]
    public async Task An_assertion_in_the_address_is_refused(string name)
    {
        using var http = app.NewClient();
        TokenEndpointTests.AssertError(await http.PostAsync($"/token?{name}=x", Assertion.By(AssertingApp.Ec, Claims("signer")), Machine), "invalid_request");
    }

    [Theory, Trait("Rule", "CA-10"), Trait("Rule", "CA-1"), Trait("Attack", "K4"), Trait("Rule", "23-7")]
    [InlineData("signer", null)]
    [InlineData("signer", "any")]
    [InlineData("mac", null)]
    [InlineData("mac", "right")]
    [InlineData("mac-512", "right")]
    public async Task A_client_that_signs_may_fall_back_to_nothing_weaker(string client, string? secret)
    {
        var shown = secret == "right" ? AssertingApp.Secret : secret;
        using var http = app.NewClient();
        foreach (var path in (string[])["/token", "/introspect", "/revoke"])
        {
            using var form = new FormUrlEncodedContent(new Dictionary<string, string?> { ["grant_type"] = "client_credentials", ["token"] = "any", ["client_id"] = client, ["client_secret"] = shown }.Where(field => field.Value is not null)!);
            TokenEndpointTests.AssertError(await TokenAnswer.ReadAsync(await http.PostAsync(path, form)), "invalid_client", HttpStatusCode.Unauthorized);
            if (shown is null) continue;
            using var basic = new HttpRequestMessage(HttpMethod.Post, path) { Content = new FormUrlEncodedContent([new("grant_type", "client_credentials"), new("token", "any")]) };
            basic.Headers.Authorization = Journey.Basic(client, shown);
            TokenEndpointTests.AssertError(await TokenAnswer.ReadAsync(await http.SendAsync(basic)), "invalid_client", HttpStatusCode.Unauthorized, "Basic realm=\"grants\"");
        }
    }

    [Fact, Trait("Rule", "CA-4"), Trait("Law", "L6"), Trait("Attack", "K2"), Trait("Attack", "T14")]
    public async Task A_secret_for_HMACs_is_kept_wrapped_alone_and_destroyed_when_it_is_over()
    {
        var (one, two) = (Witness.Saw("client secret", Journey.Random(43)), Witness.Saw("client secret", Journey.Random(43)));
        async Task DeclareAsync(string method, string secret) => await app.DeclareClientAsync(new JsonObject
        {
            ["client_id"] = "changing-mac",
            ["client_name"] = "Changing",
            ["grant_types"] = new JsonArray("client_credentials"),
            ["scope"] = "balances",
            ["token_endpoint_auth_method"] = method,
            ["client_secret"] = secret,
        });
        async Task<bool> WorksAsync(string secret)
        {
            using var http = app.NewClient();
            return (await http.PostAsync("/token", Assertion.By(secret, Claims("changing-mac")), Machine)).Ok;
        }

        await DeclareAsync("client_secret_basic", one); // only its hash is known
        Assert.Equal(0, await KeptAsync());
        await DeclareAsync("client_secret_jwt", one);
        Assert.Equal(1, await KeptAsync());
        Assert.True(await WorksAsync(one));
        var position = await app.PositionAsync();
        await DeclareAsync("client_secret_jwt", one);
        Assert.Equal(position, await app.PositionAsync());
        await DeclareAsync("client_secret_jwt", two);
        Assert.Equal(1, await KeptAsync());
        Assert.True(await WorksAsync(two));
        Assert.False(await WorksAsync(one));
        await DeclareAsync("client_secret_post", two);
        Assert.Equal(0, await KeptAsync());
        Assert.False(await WorksAsync(two));

        async Task<long> KeptAsync()
        {
            var client = await app.StreamOfAsync(new TestClient("changing-mac", null, "", ""));
            await using var count = app.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand($"select count(*) from {GrantsStore.KeyVault} where starts_with(id, $1)");
            count.Parameters.Add(new NpgsqlParameter { Value = $"client-secret:{client:N}:" });
            return (long)(await count.ExecuteScalarAsync())!;
        }
    }

    [Fact, Trait("Rule", "CA-4"), Trait("Attack", "K2")]
    public async Task A_secret_that_is_made_for_a_client_is_long_enough_for_every_HMAC()
    {
        await app.DeclareClientAsync(new JsonObject { ["client_id"] = "mac-made", ["client_name"] = "Made", ["grant_types"] = new JsonArray("client_credentials"), ["scope"] = "balances", ["token_endpoint_auth_method"] = "client_secret_jwt" });
        var secret = Witness.Saw("client secret", await File.ReadAllTextAsync(Path.Combine(TestConfiguration.DataFolder, "clients", "mac-made.secret")));
        Assert.Equal(86, secret.Length);
        using var http = app.NewClient();
        Assert.True((await http.PostAsync("/token", Assertion.By(secret, Claims("mac-made"), "HS512"), Machine)).Ok);
    }

    [Fact, Trait("Rule", "CA-5"), Trait("Attack", "T24")]
    public async Task A_suspended_clients_assertion_proves_nothing()
    {
        await app.DeclareClientAsync(new JsonObject { ["client_id"] = "suspended-signer", ["client_name"] = "Suspended", ["grant_types"] = new JsonArray("client_credentials"), ["scope"] = "balances", ["token_endpoint_auth_method"] = "private_key_jwt", ["jwks"] = AssertionKey.SetOf(AssertingApp.Ec) });
        var stream = await app.StreamOfAsync(new TestClient("suspended-signer", null, "", ""));
        await app.AppendAsync(new StreamEvent(stream, new Domain.Clients.ClientEvent.Suspended("test", Now)));
        using var http = app.NewClient();
        await Answers.UntilAsync(async () =>
        {
            // Until the news is here the client is still known as active; its stream isn't, so that nothing comes of it.
            var answer = await http.PostAsync("/token", Assertion.By(AssertingApp.Ec, Claims("suspended-signer")), Machine);
            Assert.False(answer.Ok);
            return answer.Error == "invalid_client";
        });
    }

    public static TheoryData<string, string, string> WrongClients => new()
    {
        // method, further members, words
        { "private_key_jwt", "", "needs jwks or jwks_uri" },
        { "private_key_jwt", "\"jwks\":{\"keys\":[]},\"jwks_uri\":\"https://x.example/jwks\"", "jwks" },
        { "private_key_jwt", "\"jwks\":{}", "JWK Set" },
        { "private_key_jwt", "\"jwks\":{\"keys\":{}}", "JWK Set" },
        { "private_key_jwt", "\"jwks\":{\"keys\":[1]}", "JWK Set" },
        { "private_key_jwt", "\"jwks\":{\"keys\":[]}", "no key" },
        { "private_key_jwt", "\"jwks\":{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", "public keys alone" },
        { "private_key_jwt", "\"jwks\":{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\",\"d\":\"AA\"}]}", "public keys alone" },
        { "private_key_jwt", "\"jwks\":{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\",\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}]}", "no key" }, // not on the curve
        { "private_key_jwt", "\"jwks\":{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" + new string('_', 170) + "8\",\"e\":\"AQAB\"}]}", "no key" }, // 1024 bits
        { "private_key_jwt", "\"jwks\":{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" + new string('_', 341) + "w\",\"e\":\"AQ\"}]}", "no key" }, // e = 1
        { "private_key_jwt", "\"jwks\":{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}]}", "no key" },
        { "private_key_jwt", "\"jwks_uri\":\"http://x.example/jwks\"", "https" },
        { "private_key_jwt", "\"jwks_uri\":\"https://x@x.example/jwks\"", "https" },
        { "private_key_jwt", "\"jwks_uri\":\"https://x.example/jwks#a\"", "https" },
        { "private_key_jwt", "\"jwks_uri\":\"/jwks\"", "https" },
        { "private_key_jwt", "\"jwks_uri\":\"file:///etc/passwd\"", "https" },
        { "private_key_jwt", "\"jwks_uri\":\"https://x.example/jwks\",\"client_secret\":\"0123456789012345678901234567890123456789\"", "has no secret" },
        { "private_key_jwt", "\"jwks_uri\":\"https://x.example/jwks\",\"token_endpoint_auth_signing_alg\":\"HS256\"", "HS256 is not supported" },
        { "private_key_jwt", "\"jwks_uri\":\"https://x.example/jwks\",\"token_endpoint_auth_signing_alg\":\"none\"", "none is not supported" },
        { "private_key_jwt", "\"jwks_uri\":\"https://x.example/jwks\",\"grants_assertion_audience\":\"any\"", "grants_assertion_audience" },
        { "client_secret_jwt", "\"token_endpoint_auth_signing_alg\":\"ES256\"", "ES256 is not supported" },
        { "client_secret_jwt", "\"client_secret\":\"0123456789012345678901234567890\"", "at least 32 octets" },
        { "client_secret_jwt", "\"client_secret\":\"012345678901234567890123456789012345678901234567890123456789012\",\"token_endpoint_auth_signing_alg\":\"HS512\"", "at least 64 octets" },
        { "client_secret_basic", "\"token_endpoint_auth_signing_alg\":\"HS256\"", "token_endpoint_auth_signing_alg needs" },
    };

    [Theory, Trait("Rule", "CA-4"), Trait("Rule", "CA-5"), Trait("Rule", "CA-10"), Trait("Attack", "K6"), Trait("Attack", "P1")]
    [MemberData(nameof(WrongClients))]
    public async Task A_client_that_could_not_authenticate_well_is_not_registered(string method, string members, string words)
    {
        var json = JsonNode.Parse($$"""{ "client_id": "wrong", "client_name": "Wrong", "grant_types": ["client_credentials"], "scope": "balances", "token_endpoint_auth_method": "{{method}}"{{(members.Length > 0 ? "," : "")}}{{members}} }""")!.AsObject();
        await app.AppendsNothingAsync(async () =>
        {
            var message = (await Assert.ThrowsAsync<SettingsException>(() => app.DeclareClientAsync(json))).Message;
            Assert.Contains(words, message, StringComparison.Ordinal);
        });
    }

    /// <summary>The same answer at every endpoint, no event, and no id used up.</summary>
    private async Task RefusedAsync(Func<string> make, string why)
    {
        using var http = app.NewClient();
        var before = await UsedAsync();
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var path in (string[])["/token", "/introspect", "/revoke"])
            {
                var answer = await http.PostAsync(path, make(), Machine, ("token", "any"));
                Assert.Equal((why, path, HttpStatusCode.Unauthorized, "invalid_client"), (why, path, answer.Response.StatusCode, answer.Error));
                TokenEndpointTests.AssertError(answer, "invalid_client", HttpStatusCode.Unauthorized);
                Assert.Equal("The client could not be authenticated.", (string?)answer.Json["error_description"]);
            }
        });
        Assert.Equal(before, await UsedAsync());
    }

    private async Task<long> UsedAsync()
    {
        await using var count = app.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand($"select count(*) from {GrantsStore.UsedIds}");
        return (long)(await count.ExecuteScalarAsync())!;
    }

    private static string Altered(string assertion, JsonObject claims)
    {
        var parts = assertion.Split('.');
        return $"{parts[0]}.{System.Buffers.Text.Base64Url.EncodeToString(Encoding.UTF8.GetBytes(claims.ToJsonString()))}.{parts[2]}";
    }
}
