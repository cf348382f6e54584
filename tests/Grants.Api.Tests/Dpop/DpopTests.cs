using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Grants.Api.Dpop;
using Grants.Api.Tests.Http;
using Grants.Domain.TokenFamilies;
using Grants.Testing;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Grants.Api.Tests.Dpop;

/// <summary>Tokens that are bound to a key, over HTTP: RFC 9449.</summary>
public sealed class DpopTests(AppFixture app) : IClassFixture<AppFixture>
{
    private const string Algorithms = "algs=\"ES256 PS256 RS256\"";
    private static readonly TestClient BoundOnly = new("bound-only", null, "https://bound.example/cb", "openid balances offline_access");

    // Proofs at the token endpoint

    public static TheoryData<string> BadProofs =>
    [
        "no JWT", "two parts", "four parts", "two proofs in one header", "two headers", "padded",
        "no typ", "typ JWT", "typ at+jwt", "typ in capitals", "no alg", "alg none", "alg in small letters", "alg HS256 with the public key", "alg ES384", "alg of another kind of key", "crit",
        "no jwk", "jwk is a text", "jwk with its private part", "jwk with k", "jwk is a shared secret", "jwk on P-384", "jwk off the curve", "jwk of another key", "short RSA key",
        "no signature", "cut signature", "DER signature", "changed claims",
        "no jti", "empty jti", "jti is a number", "long jti", "no htm", "htm GET", "htm in small letters", "no htu", "htu elsewhere", "htu of another host", "htu of another scheme", "htu relative", "htu is a list",
        "no iat", "iat is a text", "iat too old", "iat too far ahead", "iat in milliseconds", "exp in the past", "exp is a text", "nbf in the future", "nonce is a number", "a claim twice", "claims are a list",
    ];

    [Theory, Trait("Rule", "DP-1"), Trait("Rule", "DP-2"), Trait("Attack", "T10"), Trait("Attack", "T8"), Trait("Attack", "P10")]
    [MemberData(nameof(BadProofs))]
    public async Task A_bad_proof_is_refused_and_leaves_no_event(string how)
    {
        using var key = new DpopKey();
        using var rsa = new DpopKey("RS256");
        var nonce = await NonceAsync();
        Assert.True((await SendAsync(Prove(key, nonce))).Ok); // so what follows fails for its fault alone

        await app.AppendsNothingAsync(async () =>
        {
            var answer = await SendAsync([.. Bad(how)]);
            Assert.Equal((HttpStatusCode.BadRequest, "invalid_dpop_proof"), (answer.Response.StatusCode, answer.Error));
            Assert.Equal("no-store", answer.Response.Headers.CacheControl?.ToString());
            Assert.False(answer.Json.ContainsKey("access_token"));
        });

        IEnumerable<string> Bad(string fault)
        {
            var now = app.Clock.GetUtcNow().ToUnixTimeSeconds();
            var proof = Prove(key, nonce);
            var parts = proof.Split('.');
            switch (fault)
            {
                case "no JWT": return ["nonsense"];
                case "two parts": return [$"{parts[0]}.{parts[1]}"];
                case "four parts": return [proof + ".x"];
                case "two proofs in one header": return [$"{proof}, {Prove(key, nonce)}"];
                case "two headers": return [proof, Prove(key, nonce)];
                case "padded": return [proof + "=="];
                case "no signature": return [$"{parts[0]}.{parts[1]}."];
                case "cut signature": return [proof[..^4]];
                case "alg none": return [$"{Changed(proof, header => header["alg"] = "none")}."];
                case "alg HS256 with the public key":
                    var text = Changed(proof, header => header["alg"] = "HS256");
                    return [$"{text}.{DpopKey.Encode(HMACSHA256.HashData(Encoding.UTF8.GetBytes(key.Jwk.ToJsonString()), Encoding.ASCII.GetBytes(text)))}"];
                case "changed claims":
                    var claims = TokenAnswer.Claims(proof);
                    claims["jti"] = "another";
                    return [$"{parts[0]}.{DpopKey.Encode(Encoding.UTF8.GetBytes(claims.ToJsonString()))}.{parts[2]}"];
                case "DER signature": return [key.SignInDer(TokenAnswer.HeaderOf(proof).ToJsonString(), TokenAnswer.Claims(proof).ToJsonString())];
                case "a claim twice": return [key.Sign(TokenAnswer.HeaderOf(proof).ToJsonString(), TokenAnswer.Claims(proof).ToJsonString().Replace("\"htm\"", "\"htm\":\"GET\",\"htm\"", StringComparison.Ordinal))];
                case "claims are a list": return [key.Sign(TokenAnswer.HeaderOf(proof).ToJsonString(), "[]")];
                case "short RSA key":
                    using (var shortKey = new DpopKey("RS256", 1024)) return [Prove(shortKey, nonce)];
                default: break;
            }

            return [Prove(key, nonce, (header, claims) =>
            {
                var jwk = header["jwk"]!.AsObject();
                switch (fault)
                {
                    case "no typ": header.Remove("typ"); break;
                    case "typ JWT": header["typ"] = "JWT"; break;
                    case "typ at+jwt": header["typ"] = "at+jwt"; break;
                    case "typ in capitals": header["typ"] = "DPOP+JWT"; break;
                    case "no alg": header.Remove("alg"); break;
                    case "alg in small letters": header["alg"] = "es256"; break;
                    case "alg ES384": header["alg"] = "ES384"; break;
                    case "alg of another kind of key": header["alg"] = "RS256"; break;
                    case "crit": header["crit"] = new JsonArray("b64"); break;
                    case "no jwk": header.Remove("jwk"); break;
                    case "jwk is a text": header["jwk"] = jwk.ToJsonString(); break;
                    case "jwk with its private part": jwk["d"] = key.D; break;
                    case "jwk with k": jwk["k"] = "AQAB"; break;
                    case "jwk is a shared secret": header["jwk"] = new JsonObject { ["kty"] = "oct", ["k"] = "AQAB" }; break;
                    case "jwk on P-384": jwk["crv"] = "P-384"; break;
                    case "jwk off the curve": jwk["y"] = DpopKey.Encode(new byte[32]); break;
                    case "jwk of another key": header["jwk"] = rsa.Jwk; break;
                    case "no jti": claims.Remove("jti"); break;
                    case "empty jti": claims["jti"] = ""; break;
                    case "jti is a number": claims["jti"] = 1; break;
                    case "long jti": claims["jti"] = new string('a', 257); break;
                    case "no htm": claims.Remove("htm"); break;
                    case "htm GET": claims["htm"] = "GET"; break;
                    case "htm in small letters": claims["htm"] = "post"; break;
                    case "no htu": claims.Remove("htu"); break;
                    case "htu elsewhere": claims["htu"] = TestConfiguration.Issuer + "/userinfo"; break;
                    case "htu of another host": claims["htu"] = "http://127.0.0.1:5100/token"; break;
                    case "htu of another scheme": claims["htu"] = "https://localhost:5100/token"; break;
                    case "htu relative": claims["htu"] = "/token"; break;
                    case "htu is a list": claims["htu"] = new JsonArray(TestConfiguration.Issuer + "/token"); break;
                    case "no iat": claims.Remove("iat"); break;
                    case "iat is a text": claims["iat"] = now.ToString(System.Globalization.CultureInfo.InvariantCulture); break;
                    case "iat too old": claims["iat"] = now - 61; break;
                    case "iat too far ahead": claims["iat"] = now + 61; break;
                    case "iat in milliseconds": claims["iat"] = now * 1000; break;
                    case "exp in the past": claims["exp"] = now - 1; break;
                    case "exp is a text": claims["exp"] = "later"; break;
                    case "nbf in the future": claims["nbf"] = now + 61; break;
                    case "nonce is a number": claims["nonce"] = 1; break;
                    default: throw new ArgumentOutOfRangeException(nameof(how), fault, null);
                }
            })];
        }

        static string Changed(string proof, Action<JsonObject> change)
        {
            var header = TokenAnswer.HeaderOf(proof);
            change(header);
            return $"{DpopKey.Encode(Encoding.UTF8.GetBytes(header.ToJsonString()))}.{proof.Split('.')[1]}";
        }
    }

    [Theory, Trait("Rule", "DP-1"), Trait("Rule", "DP-2"), Trait("Attack", "P10")]
    [InlineData("as it should be")]
    [InlineData("ten seconds ahead")]
    [InlineData("ten seconds old")]
    [InlineData("a fraction of a second")]
    [InlineData("exp and nbf")]
    [InlineData("query and fragment")]
    [InlineData("host in capitals")]
    [InlineData("jwk with more members")]
    [InlineData("claims of its own")]
    [InlineData("PS256")]
    [InlineData("RS256")]
    public async Task A_good_proof_is_taken_however_it_is_written(string how)
    {
        using var key = new DpopKey(how is "PS256" or "RS256" ? how : "ES256");
        var now = app.Clock.GetUtcNow().ToUnixTimeSeconds();
        var answer = await SendAsync(Prove(key, await NonceAsync(), (header, claims) =>
        {
            switch (how)
            {
                case "ten seconds ahead": claims["iat"] = now + 10; break;
                case "ten seconds old": claims["iat"] = now - 10; break;
                case "a fraction of a second": claims["iat"] = now + 0.25; break;
                case "exp and nbf": (claims["exp"], claims["nbf"]) = (now + 60, now - 60); break;
                case "query and fragment": claims["htu"] = TestConfiguration.Issuer + "/token?x=1#y"; break;
                case "host in capitals": claims["htu"] = "HTTP://LOCALHOST:5100/token"; break;
                case "jwk with more members": (header["jwk"]!["kid"], header["jwk"]!["use"], header["jwk"]!["alg"], header["kid"]) = ("mine", "sig", "ES256", "mine"); break;
                case "claims of its own": (claims["iss"], claims["more"]) = ("me", new JsonObject { ["a"] = 1 }); break;
                default: break;
            }
        }));
        Assert.True(answer.Ok, answer.Json.ToJsonString());
        Assert.Equal(("DPoP", key.Thumbprint), ((string?)answer.Json["token_type"], Confirmed(answer.AccessToken)));
    }

    [Fact, Trait("Rule", "DP-2"), Trait("Attack", "T10")]
    public async Task A_proof_is_used_once_also_by_many_at_once()
    {
        using var key = new DpopKey();
        using var other = new DpopKey();
        var nonce = await NonceAsync();
        var proof = Prove(key, nonce, (_, claims) => claims["jti"] = "same");
        var answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => SendAsync(proof)));
        Assert.Single(answers, answer => answer.Ok);
        Assert.All(answers.Where(answer => !answer.Ok), answer => Assert.Equal("invalid_dpop_proof", answer.Error));
        Assert.Equal("invalid_dpop_proof", (await SendAsync(Prove(key, nonce, (_, claims) => claims["jti"] = "same"))).Error); // signed anew
        Assert.True((await SendAsync(Prove(other, nonce, (_, claims) => claims["jti"] = "same"))).Ok); // another's ids are others
    }

    [Fact, Trait("Rule", "DP-2"), Trait("Attack", "E11")]
    public async Task A_proof_that_comes_along_with_garbage_is_not_written_down()
    {
        using var key = new DpopKey();
        var proof = Prove(key, await NonceAsync());
        foreach (var (type, name) in ((string, string)[])[("refresh_token", "refresh_token"), ("authorization_code", "code")])
            Assert.Equal("invalid_grant", (await SendAsync(TestClient.BrowserApp, [proof], ("grant_type", type), (name, "garbage"))).Error);
        Assert.Equal("invalid_client", (await SendAsync(TestClient.Report with { Secret = "wrong" }, [proof], ("grant_type", "client_credentials"))).Error);
        Assert.Equal("invalid_scope", (await SendAsync(TestClient.Report, [proof], ("grant_type", "client_credentials"), ("scope", "\""))).Error);
        Assert.True((await SendAsync(proof)).Ok);
    }

    // Nonces

    [Fact, Trait("Rule", "DP-5"), Trait("Attack", "T10")]
    public async Task A_proof_without_a_nonce_that_counts_is_told_one_and_burns_nothing()
    {
        using var key = new DpopKey();
        var asked = Journey.Ask(TestClient.BrowserApp);
        var code = (await app.NewVisitor().AllowAsync(asked)).Answer["code"];
        var nonces = new List<string>();
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var nonce in (string?[])[null, "made-up", ""])
            {
                var refused = await RedeemAsync(Prove(key, nonce));
                Assert.Equal((HttpStatusCode.BadRequest, "use_dpop_nonce"), (refused.Response.StatusCode, refused.Error));
                nonces.Add(NonceOf(refused.Response));
            }
        });
        Assert.Single(nonces.Distinct());
        Assert.Matches("^[A-Za-z0-9_-]{22}$", nonces[0]);

        var answer = await RedeemAsync(Prove(key, nonces[0]));
        Assert.True(answer.Ok, answer.Json.ToJsonString());
        Assert.Equal(nonces[0], NonceOf(answer.Response)); // the next one rides on each answer

        Task<TokenAnswer> RedeemAsync(string proof) => SendAsync(asked.Client, [proof], ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", asked.Client.RedirectUri), ("code_verifier", asked.Verifier));
    }

    [Fact, Trait("Rule", "DP-5")]
    public async Task A_nonce_counts_through_the_next_slot_and_no_longer()
    {
        using var key = new DpopKey();
        var first = await NonceAsync();
        app.Clock.Advance(DpopProofs.NonceSlot);
        var later = await SendAsync(Prove(key, first));
        Assert.True(later.Ok, later.Json.ToJsonString());
        var second = NonceOf(later.Response);
        Assert.NotEqual(first, second);

        app.Clock.Advance(DpopProofs.NonceSlot);
        var stale = await SendAsync(Prove(key, first));
        Assert.Equal("use_dpop_nonce", stale.Error);
        Assert.True((await SendAsync(Prove(key, second))).Ok);
        Assert.True((await SendAsync(Prove(key, NonceOf(stale.Response)))).Ok);
    }

    [Fact, Trait("Rule", "DP-5")]
    public async Task Where_no_nonces_are_demanded_none_is_given_and_any_is_taken()
    {
        await using var lenient = new GrantsApp();
        await lenient.StartAsync(await GrantsApp.NewDatabaseAsync(), configure: builder => builder.UseSetting("Grants:DpopNonces", "false"));
        using var key = new DpopKey();
        using var http = lenient.NewClient();
        foreach (var nonce in (string?[])[null, "whatever"])
        {
            var proof = key.Prove(HttpMethod.Post, "/token", lenient.Clock.GetUtcNow(), nonce);
            var answer = await SendAsync(http, TestClient.Report, [proof], ("grant_type", "client_credentials"));
            Assert.True(answer.Ok, answer.Json.ToJsonString());
            Assert.Equal("DPoP", (string?)answer.Json["token_type"]);
            Assert.False(answer.Response.Headers.Contains(DpopProofs.NonceHeader));
            Assert.Equal("invalid_dpop_proof", (await SendAsync(http, TestClient.Report, [proof], ("grant_type", "client_credentials"))).Error);
        }
    }

    // What the pushed authorization endpoint calls

    [Fact, Trait("Rule", "PAR-8"), Trait("Rule", "DP-1")]
    public async Task Any_endpoint_can_have_the_proof_of_its_request_checked()
    {
        using var key = new DpopKey();
        var nonce = await NonceAsync();
        var proofs = app.Services.GetRequiredService<DpopProofs>();
        var good = key.Prove(HttpMethod.Post, "/par", app.Clock.GetUtcNow(), nonce);
        await ComesToAsync(null, null);
        await ComesToAsync(null, "invalid_dpop_proof", ""); // sent, and not a proof
        await ComesToAsync(key.Thumbprint, null, good);
        await ComesToAsync(null, "invalid_dpop_proof", good);
        await ComesToAsync(null, "invalid_dpop_proof", Prove(key, nonce)); // made for /token
        await ComesToAsync(null, "use_dpop_nonce", key.Prove(HttpMethod.Post, "/par", app.Clock.GetUtcNow()));

        async Task ComesToAsync(string? jkt, string? error, params string[] sent)
        {
            var http = new DefaultHttpContext { Request = { Method = "POST", Path = "/par" } };
            if (sent.Length > 0) http.Request.Headers[DpopProofs.Header] = sent;
            var (proven, refused) = await proofs.CheckAsync(http);
            Assert.Equal((jkt, error), (proven?.Value, refused?.Code));
        }
    }

    // Bound tokens

    [Fact, Trait("Rule", "DP-3"), Trait("Rule", "DP-4"), Trait("Attack", "T4")]
    public async Task The_refresh_token_of_a_public_client_needs_its_key_at_each_refresh()
    {
        using var key = new DpopKey();
        using var other = new DpopKey("PS256");
        using var plain = app.NewClient();
        using var bound = app.NewClient(key);
        using var foreign = app.NewClient(other);
        var tokens = await ConnectAsync(bound, TestClient.BrowserApp);
        Assert.Equal(("DPoP", key.Thumbprint), ((string?)tokens.Json["token_type"], Confirmed(tokens.AccessToken)));
        for (var round = 0; round < 2; round++)
        {
            await app.AppendsNothingAsync(async () =>
            {
                Assert.Equal("invalid_grant", (await plain.RefreshAsync(TestClient.BrowserApp, tokens.RefreshToken)).Error);
                Assert.Equal("invalid_grant", (await foreign.RefreshAsync(TestClient.BrowserApp, tokens.RefreshToken)).Error);
            });
            tokens = await bound.RefreshAsync(TestClient.BrowserApp, tokens.RefreshToken);
            Assert.True(tokens.Ok, tokens.Json.ToJsonString());
            Assert.Equal(("DPoP", key.Thumbprint), ((string?)tokens.Json["token_type"], Confirmed(tokens.AccessToken)));
        }

        var family = (await app.EventsAsync(tokens.Streams().Family)).Select(e => e.Data).ToList();
        Assert.All(family.OfType<TokenFamilyEvent.AccessTokenIssued>(), issued => Assert.Equal(key.Thumbprint, issued.Jkt?.Value));
        Assert.All(family.OfType<TokenFamilyEvent.RefreshTokenRotated>(), rotated => Assert.Equal(key.Thumbprint, rotated.Facts.Jkt?.Value));
    }

    [Fact, Trait("Rule", "TK-4"), Trait("Rule", "DP-4"), Trait("Attack", "T1")]
    public async Task A_public_client_with_a_key_may_ask_for_a_lost_answer_again()
    {
        using var key = new DpopKey();
        using var plain = app.NewClient();
        using var bound = app.NewClient(key);
        var first = await ConnectAsync(bound, TestClient.BrowserApp);
        var second = await bound.RefreshAsync(TestClient.BrowserApp, first.RefreshToken);
        var again = await bound.RefreshAsync(TestClient.BrowserApp, first.RefreshToken);
        Assert.Equal(second.RefreshToken, again.RefreshToken);
        Assert.Equal("invalid_grant", (await plain.RefreshAsync(TestClient.BrowserApp, first.RefreshToken)).Error); // a replay: whoever has it lacks the key
        Assert.Equal("invalid_grant", (await bound.RefreshAsync(TestClient.BrowserApp, second.RefreshToken)).Error);
    }

    [Fact, Trait("Rule", "DP-4"), Trait("Rule", "DP-3")]
    public async Task A_confidential_client_may_change_its_key_or_leave_it_out()
    {
        using var key = new DpopKey();
        using var other = new DpopKey("RS256");
        using var plain = app.NewClient();
        using var bound = app.NewClient(key);
        using var foreign = app.NewClient(other);
        var tokens = await ConnectAsync(bound, TestClient.Tally);
        Assert.Equal(key.Thumbprint, Confirmed(tokens.AccessToken));
        foreach (var (http, type, jkt) in ((HttpClient, string, string?)[])[(foreign, "DPoP", other.Thumbprint), (plain, "Bearer", null), (bound, "DPoP", key.Thumbprint)])
        {
            tokens = await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken);
            Assert.True(tokens.Ok, tokens.Json.ToJsonString());
            Assert.Equal((type, jkt), ((string?)tokens.Json["token_type"], Confirmed(tokens.AccessToken)));
        }
    }

    [Fact, Trait("Rule", "DP-3")]
    public async Task Without_a_proof_all_is_as_before()
    {
        using var http = app.NewClient();
        var tokens = await ConnectAsync(http, TestClient.BrowserApp);
        Assert.Equal(("Bearer", null), ((string?)tokens.Json["token_type"], Confirmed(tokens.AccessToken)));
        Assert.False(tokens.Response.Headers.Contains(DpopProofs.NonceHeader));
        Assert.True((await http.RefreshAsync(TestClient.BrowserApp, tokens.RefreshToken)).Ok);
    }

    [Theory, Trait("Rule", "DP-6"), Trait("Rule", "AZ-16"), Trait("Attack", "C3")]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_code_that_is_bound_by_dpop_jkt_needs_that_key(bool confidential)
    {
        using var key = new DpopKey();
        using var other = new DpopKey();
        using var plain = app.NewClient();
        using var bound = app.NewClient(key);
        using var foreign = app.NewClient(other);
        var asked = Journey.Ask(confidential ? TestClient.Tally : TestClient.BrowserApp, ("dpop_jkt", key.Thumbprint));
        var code = (await app.NewVisitor().AllowAsync(asked)).Answer["code"];
        await app.AppendsNothingAsync(async () =>
        {
            Assert.Equal("invalid_grant", (await plain.RedeemAsync(asked, code)).Error);
            Assert.Equal("invalid_grant", (await foreign.RedeemAsync(asked, code)).Error);
        });
        var tokens = await bound.RedeemAsync(asked, code);
        Assert.True(tokens.Ok, tokens.Json.ToJsonString());
        Assert.Equal(key.Thumbprint, Confirmed(tokens.AccessToken));
    }

    [Theory, Trait("Rule", "DP-6")]
    [InlineData("short")]
    [InlineData("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I=")]
    [InlineData("0ZcOCORZNYy+DWpqq30jZyJGHTN0d2HglBV3uiguA4I")]
    public async Task A_dpop_jkt_that_is_no_thumbprint_is_an_invalid_request(string jkt)
    {
        var asked = Journey.Ask(TestClient.Tally, ("dpop_jkt", jkt));
        (await app.NewVisitor().GetAsync(asked.Address)).TellsTheApp("invalid_request", asked);
    }

    [Fact, Trait("Rule", "DP-6")]
    public async Task A_client_whose_tokens_are_always_bound_gets_none_without_a_proof()
    {
        await app.DeclareClientAsync(new JsonObject { ["client_id"] = BoundOnly.Id, ["client_name"] = "Bound", ["redirect_uris"] = new JsonArray(BoundOnly.RedirectUri), ["grant_types"] = new JsonArray("authorization_code", "refresh_token"), ["token_endpoint_auth_method"] = "none", ["scope"] = BoundOnly.Scope, ["dpop_bound_access_tokens"] = true });
        using var key = new DpopKey();
        using var plain = app.NewClient();
        using var bound = app.NewClient(key);
        var asked = Journey.Ask(BoundOnly);
        var code = (await app.NewVisitor().AllowAsync(asked)).Answer["code"];
        await app.AppendsNothingAsync(async () => Assert.Equal("invalid_request", (await plain.RedeemAsync(asked, code)).Error));
        var tokens = await bound.RedeemAsync(asked, code);
        Assert.True(tokens.Ok, tokens.Json.ToJsonString());
        await app.AppendsNothingAsync(async () => Assert.Equal("invalid_request", (await plain.RefreshAsync(BoundOnly, tokens.RefreshToken)).Error));
        Assert.True((await bound.RefreshAsync(BoundOnly, tokens.RefreshToken)).Ok);
    }

    // Userinfo

    [Fact, Trait("Rule", "DP-7"), Trait("Law", "L4")]
    public async Task Userinfo_answers_a_bound_token_together_with_its_proof()
    {
        using var key = new DpopKey();
        using var bound = app.NewClient(key);
        using var plain = app.NewClient();
        var tokens = await ConnectAsync(bound, TestClient.Tally);
        await app.AppendsNothingAsync(async () =>
        {
            Assert.Equal(HttpStatusCode.OK, (await bound.UserInfoAsync(tokens.AccessToken)).StatusCode);
            var nonce = await NonceAsync();
            foreach (var scheme in (string[])["DPoP", "dpop", "DPOP"])
            {
                foreach (var method in (HttpMethod[])[HttpMethod.Get, HttpMethod.Post])
                {
                    var answer = await UserInfoAsync(plain, method, scheme, tokens.AccessToken, key.Prove(method, "/userinfo", app.Clock.GetUtcNow(), nonce, tokens.AccessToken));
                    Assert.Equal((scheme, HttpStatusCode.OK), (scheme, answer.StatusCode));
                    Assert.Equal(nonce, NonceOf(answer));
                }
            }
        });
    }

    [Theory, Trait("Rule", "DP-7"), Trait("Rule", "DP-1"), Trait("Attack", "T10")]
    [InlineData("no proof", "invalid_dpop_proof")]
    [InlineData("no ath", "invalid_dpop_proof")]
    [InlineData("ath of another token", "invalid_dpop_proof")]
    [InlineData("another method", "invalid_dpop_proof")]
    [InlineData("made for the token endpoint", "invalid_dpop_proof")]
    [InlineData("used before", "invalid_dpop_proof")]
    [InlineData("too old", "invalid_dpop_proof")]
    [InlineData("two proofs", "invalid_dpop_proof")]
    [InlineData("another key", "invalid_token")] // RFC 9449 §7.1
    [InlineData("no nonce", "use_dpop_nonce")]
    public async Task A_bound_token_without_a_proof_made_for_it_is_refused(string how, string error)
    {
        using var key = new DpopKey();
        using var other = new DpopKey();
        using var bound = app.NewClient(key);
        using var plain = app.NewClient();
        var tokens = await ConnectAsync(bound, TestClient.Tally);
        var (token, now, nonce) = (tokens.AccessToken, app.Clock.GetUtcNow(), await NonceAsync());
        string Prove(Action<JsonObject, JsonObject>? change = null) => key.Prove(HttpMethod.Get, "/userinfo", now, nonce, token, change);
        var once = Prove();
        Assert.Equal(HttpStatusCode.OK, (await UserInfoAsync(plain, HttpMethod.Get, "DPoP", token, once)).StatusCode);

        var answer = await UserInfoAsync(plain, HttpMethod.Get, "DPoP", token, how switch
        {
            "no proof" => [],
            "no ath" => [key.Prove(HttpMethod.Get, "/userinfo", now, nonce)],
            "ath of another token" => [key.Prove(HttpMethod.Get, "/userinfo", now, nonce, tokens.IdToken)],
            "another method" => [key.Prove(HttpMethod.Post, "/userinfo", now, nonce, token)],
            "made for the token endpoint" => [key.Prove(HttpMethod.Get, "/token", now, nonce, token)],
            "used before" => [once],
            "too old" => [Prove((_, claims) => claims["iat"] = now.AddSeconds(-62).ToUnixTimeSeconds())],
            "two proofs" => [Prove(), Prove()],
            "another key" => [other.Prove(HttpMethod.Get, "/userinfo", now, nonce, token)],
            "no nonce" => [key.Prove(HttpMethod.Get, "/userinfo", now, null, token)],
            _ => throw new ArgumentOutOfRangeException(nameof(how), how, null),
        });
        Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        var challenge = answer.Headers.WwwAuthenticate.ToString();
        Assert.StartsWith($"DPoP {Algorithms}, error=\"{error}\"", challenge, StringComparison.Ordinal);
        Assert.DoesNotContain("Bearer", challenge, StringComparison.Ordinal);
        Assert.Equal(error, (string?)JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["error"]);
        if (how != "no proof") Assert.Equal(nonce, NonceOf(answer));
    }

    [Fact, Trait("Rule", "DP-7"), Trait("Attack", "T11")]
    public async Task A_bound_token_counts_for_nothing_as_a_bearer_token_nor_an_unbound_one_as_a_bound()
    {
        using var key = new DpopKey();
        using var bound = app.NewClient(key);
        using var plain = app.NewClient();
        var (tokens, unbound, nonce) = (await ConnectAsync(bound, TestClient.Tally), await ConnectAsync(plain, TestClient.Tally), await NonceAsync());
        var proof = key.Prove(HttpMethod.Get, "/userinfo", app.Clock.GetUtcNow(), nonce, tokens.AccessToken);
        using var form = new FormUrlEncodedContent([KeyValuePair.Create("access_token", tokens.AccessToken)]);
        using var inForm = new HttpRequestMessage(HttpMethod.Post, "/userinfo") { Content = form, Headers = { { "DPoP", key.Prove(HttpMethod.Post, "/userinfo", app.Clock.GetUtcNow(), nonce, tokens.AccessToken) } } };
        foreach (var answer in (HttpResponseMessage[])
        [
            await plain.UserInfoAsync(tokens.AccessToken),
            await UserInfoAsync(plain, HttpMethod.Get, "Bearer", tokens.AccessToken, proof),
            await plain.SendAsync(inForm),
        ])
        {
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
            var challenge = answer.Headers.WwwAuthenticate.ToString();
            Assert.StartsWith("Bearer realm=\"grants\", error=\"invalid_token\"", challenge, StringComparison.Ordinal);
            Assert.EndsWith($", DPoP {Algorithms}", challenge, StringComparison.Ordinal);
        }

        Assert.Equal(HttpStatusCode.OK, (await UserInfoAsync(plain, HttpMethod.Get, "DPoP", tokens.AccessToken, proof)).StatusCode); // and the proof was not used up

        var refused = await UserInfoAsync(plain, HttpMethod.Get, "DPoP", unbound.AccessToken, key.Prove(HttpMethod.Get, "/userinfo", app.Clock.GetUtcNow(), nonce, unbound.AccessToken));
        Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        Assert.StartsWith($"DPoP {Algorithms}, error=\"invalid_token\"", refused.Headers.WwwAuthenticate.ToString(), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.OK, (await plain.UserInfoAsync(unbound.AccessToken)).StatusCode);
    }

    // Introspection and discovery

    [Fact, Trait("Rule", "DP-3"), Trait("Rule", "IN-2")]
    public async Task Introspection_tells_the_key_of_a_bound_token()
    {
        using var key = new DpopKey();
        using var plain = app.NewClient();
        using var bound = app.NewClient(key);
        var tokens = await ConnectAsync(bound, TestClient.Tally);
        foreach (var caller in (TestClient[])[TestClient.Tally, TestClient.Bank])
        {
            var told = (await plain.IntrospectAsync(caller, tokens.AccessToken)).Json;
            Assert.Equal(("DPoP", key.Thumbprint), ((string?)told["token_type"], (string?)told["cnf"]!["jkt"]));
            Assert.Equal(["jkt"], told["cnf"]!.AsObject().Select(member => member.Key));
        }

        var refresh = (await plain.IntrospectAsync(TestClient.Tally, tokens.RefreshToken)).Json;
        Assert.True((bool)refresh["active"]!);
        Assert.False(refresh.ContainsKey("cnf") || refresh.ContainsKey("token_type"));
    }

    [Fact, Trait("Rule", "DP-8"), Trait("Rule", "MD-2")]
    public async Task Every_algorithm_that_is_named_works_and_no_symmetric_one_is()
    {
        var named = JsonNode.Parse((await app.NewVisitor().GetAsync("/.well-known/oauth-authorization-server")).Body)!["dpop_signing_alg_values_supported"]!.AsArray().Select(value => (string)value!).ToList();
        Assert.Equal(["ES256", "PS256", "RS256"], named);
        foreach (var algorithm in named)
        {
            using var key = new DpopKey(algorithm);
            using var http = app.NewClient(key);
            Assert.Equal("DPoP", (string?)(await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"))).Json["token_type"]);
        }
    }

    private string Prove(DpopKey key, string? nonce, Action<JsonObject, JsonObject>? change = null) => key.Prove(HttpMethod.Post, "/token", app.Clock.GetUtcNow(), nonce, change: change);

    /// <summary>A nonce that counts, as a client gets it: by asking without one.</summary>
    private async Task<string> NonceAsync()
    {
        using var key = new DpopKey();
        return NonceOf((await SendAsync(Prove(key, null))).Response);
    }

    private static string NonceOf(HttpResponseMessage answer) => Assert.Single(answer.Headers.GetValues(DpopProofs.NonceHeader));

    /// <summary>A machine asks for a token for itself, with these DPoP headers.</summary>
    private Task<TokenAnswer> SendAsync(params string[] proofs) => SendAsync(TestClient.Report, proofs, ("grant_type", "client_credentials"));

    private async Task<TokenAnswer> SendAsync(TestClient client, string[] proofs, params (string Name, string Value)[] fields)
    {
        using var http = app.NewClient();
        return await SendAsync(http, client, proofs, fields);
    }

    private static async Task<TokenAnswer> SendAsync(HttpClient http, TestClient client, string[] proofs, params (string Name, string Value)[] fields)
    {
        var form = fields.ToDictionary(field => field.Name, field => field.Value);
        using var request = new HttpRequestMessage(HttpMethod.Post, "/token");
        if (client.Secret is { } secret) request.Headers.Authorization = Journey.Basic(client.Id, secret);
        else form["client_id"] = client.Id;
        Assert.True(proofs.Length == 0 || request.Headers.TryAddWithoutValidation(DpopProofs.Header, proofs));
        request.Content = new FormUrlEncodedContent(form);
        return await TokenAnswer.ReadAsync(await http.SendAsync(request));
    }

    private static async Task<HttpResponseMessage> UserInfoAsync(HttpClient http, HttpMethod method, string scheme, string token, params string[] proofs)
    {
        using var request = new HttpRequestMessage(method, "/userinfo") { Headers = { Authorization = new AuthenticationHeaderValue(scheme, token) } };
        if (proofs.Length > 0) request.Headers.TryAddWithoutValidation(DpopProofs.Header, proofs);
        return await http.SendAsync(request);
    }

    /// <summary>The whole way to tokens, with the client's own HTTP for the last step.</summary>
    private async Task<TokenAnswer> ConnectAsync(HttpClient http, TestClient client)
    {
        var asked = Journey.Ask(client);
        var tokens = await http.RedeemAsync(asked, (await app.NewVisitor().AllowAsync(asked)).Answer["code"]);
        Assert.True(tokens.Ok, tokens.Json.ToJsonString());
        return tokens;
    }

    private static string? Confirmed(string accessToken) => (string?)TokenAnswer.Claims(accessToken)["cnf"]?["jkt"];
}
