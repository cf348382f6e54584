using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Grants.Api.Tests.Http;
using Grants.Domain.AccessGrants;
using Grants.Domain.Catalogues;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;
using Grants.Projections;
using Grants.Testing;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using static Grants.Api.Tests.Token.Exchanging;

namespace Grants.Api.Tests.Token;

/// <summary>A server that trusts an issuer elsewhere, with Sam's consent to the app that shows its word.</summary>
public sealed class BearerApp : GrantsApp, IAsyncLifetime
{
    internal KeySite Site { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Site = await KeySite.StartAsync();
        await StartAsync(await NewDatabaseAsync(), configure: builder => builder.UseSetting("Grants:OutgoingHttp:Allow:0", Site.Origin));
        await this.DeclareExchangesAsync();
        await this.ConnectAsync(Partner);
    }

    async ValueTask IAsyncDisposable.DisposeAsync()
    {
        await DisposeAsync();
        if (Site is not null) await Site.DisposeAsync();
    }
}

/// <summary>Assertions of another issuer as grants: RFC 7523 §2.1 and §3.</summary>
public sealed class JwtBearerTests(BearerApp app) : IClassFixture<BearerApp>
{
    private DateTimeOffset Now => app.Clock.GetUtcNow();

    [Fact, Trait("Rule", "TK-11"), Trait("Law", "L11"), Trait("Law", "L6")]
    public async Task An_assertion_gives_a_token_within_what_the_person_allowed_and_the_log_says_on_whose_word()
    {
        using var http = app.NewClient();
        var position = await app.PositionAsync();
        var answer = await http.ShowAsync(Partner, About(Now, ("jti", "one of a kind")));
        Assert.True(answer.Ok, answer.Json.ToJsonString());
        Assert.Equal(["access_token", "expires_in", "scope", "token_type"], answer.Json.Select(member => member.Key).Order());
        Assert.Equal(ScopeSet.Of(["openid", "balances"]), ScopeSet.Of(answer.Scope.Split(' '))); // of openid, balances, transactions and offline_access, what the issuer may speak for
        var claims = TokenAnswer.Claims(answer.AccessToken);
        Assert.StartsWith("sub_", (string?)claims["sub"], StringComparison.Ordinal);
        Assert.Equal("partner", (string?)claims["client_id"]);
        Assert.False(claims.ContainsKey("auth_time") || claims.ContainsKey("act"));
        Assert.True((bool)(await http.IntrospectAsync(Partner, answer.AccessToken)).Json["active"]!);

        var events = await app.EventsAfterAsync(position);
        Assert.Equal(["token_family.access_token_issued", "token_family.assertion_accepted"], events.Select(e => e.EventTypeName));
        var accepted = Assert.IsType<TokenFamilyEvent.AssertionAccepted>(events[1].Data);
        Assert.Equal((Elsewhere, System.Buffers.Text.Base64Url.EncodeToString(SHA256.HashData("one of a kind"u8))), (accepted.Issuer, accepted.AssertionHash));
        Assert.All(events, e => Assert.Equal("client:partner", e.UserName));
        Assert.Equal((await app.EventsAsync(answer.Streams().Grant!.Value))[^1].Id.ToString(), events[0].CausationId);
        Assert.Equal("balances", (await http.ShowAsync(Partner, About(Now), "balances")).Scope);
    }

    [Fact, Trait("Rule", "TK-11"), Trait("Attack", "U10")]
    public async Task A_person_is_found_by_a_link_or_by_the_user_name_that_the_issuer_may_say_and_by_nothing_else()
    {
        using var http = app.NewClient();
        var sam = TokenAnswer.Claims((await http.ShowAsync(Partner, About(Now))).AccessToken)["sub"];
        var byName = await http.ShowAsync(Partner, About(Now, ("sub", "whoever"), ("preferred_username", "SAM@demo.example")));
        Assert.True(JsonNode.DeepEquals(sam, TokenAnswer.Claims(byName.AccessToken)["sub"]));
        // The link counts before the name.
        var both = await http.ShowAsync(Partner, About(Now, ("preferred_username", TestConfiguration.Lin)));
        Assert.True(JsonNode.DeepEquals(sam, TokenAnswer.Claims(both.AccessToken)["sub"]));
        foreach (var nobody in (string[])["whoever", "EXT-SAM", "sam@demo.example", "ext-sam "])
            await RefusedAsync(() => About(Now, ("sub", nobody)), nobody);
        await RefusedAsync(() => About(Now, ("sub", (string?)sam)), "a sub of this server");
        await RefusedAsync(() => About(Now, ("sub", "whoever"), ("email", TestConfiguration.Sam)), "a claim that says nothing here");
        await RefusedAsync(() => About(Now, ("sub", "whoever"), ("preferred_username", new JsonArray(TestConfiguration.Sam))), "a list of names");
    }

    [Fact, Trait("Rule", "TK-11"), Trait("Attack", "T24")]
    public async Task Without_the_persons_own_consent_to_the_app_there_is_no_token()
    {
        using var http = app.NewClient();
        await RefusedAsync(() => About(Now, ("sub", "whoever"), ("preferred_username", TestConfiguration.Maya)), "somebody who never saw the app", used: true);
        var (tokens, _, _, _) = await app.ConnectAsync(Partner, TestConfiguration.Lin);
        string OfLin() => About(Now, ("sub", "whoever"), ("preferred_username", TestConfiguration.Lin));
        var answer = await http.ShowAsync(Partner, OfLin());
        Assert.Equal(tokens.Streams().Grant, answer.Streams().Grant);
        await app.AppendAsync(new StreamEvent(tokens.Streams().Grant!.Value, new GrantEvent.Revoked(EndedBy.Person, "removed", Now)));
        Assert.Equal(false, (bool?)(await http.IntrospectAsync(Partner, answer.AccessToken)).Json["active"]);
        await RefusedAsync(OfLin, "a consent that was taken back", used: true);
    }

    [Fact, Trait("Rule", "TK-11"), Trait("Attack", "T6"), Trait("Attack", "K9")]
    public async Task More_than_issuer_person_and_registration_allow_is_refused()
    {
        using var http = app.NewClient();
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var scope in (string[])["transactions", "balances transactions", "offline_access", "payments", "no-such-scope"])
                TokenEndpointTests.AssertError(await http.ShowAsync(Partner, About(Now), scope), "invalid_scope");
            TokenEndpointTests.AssertError(await http.TokenAsync(Partner, ("grant_type", Bearer)), "invalid_request");
            TokenEndpointTests.AssertError(await http.ShowAsync(TestClient.Tally, About(Now)), "unauthorized_client");
        });
    }

    /// <summary>Claims that make an otherwise good assertion worthless.</summary>
    public static TheoryData<string, string, string> WrongClaims => new()
    {
        // member, JSON (empty removes it), why
        { "iss", "", "no issuer" },
        { "iss", "\"https://evil.example\"", "an issuer that nobody trusts" },
        { "iss", "\"https://elsewhere.example/\"", "a final slash" },
        { "iss", "\"HTTPS://elsewhere.example\"", "other letters" },
        { "iss", "\"partner\"", "the client itself" },
        { "iss", "\"http://localhost:5100\"", "this server" },
        { "iss", "[\"https://elsewhere.example\"]", "a list" },
        { "sub", "", "nobody" },
        { "sub", "\"\"", "an empty subject" },
        { "sub", "7", "a subject that is a number" },
        { "aud", "", "no audience" },
        { "aud", "\"http://localhost:5100/\"", "a final slash" },
        { "aud", "\"http://localhost:5100/token\"", "the token endpoint" },
        { "aud", "\"https://other.example\"", "another server" },
        { "aud", "[\"http://localhost:5100\",\"https://other.example\"]", "another server beside this one" },
        { "aud", "[\"http://localhost:5100\",\"http://localhost:5100\"]", "this server twice" },
        { "aud", "[]", "an empty list" },
        { "aud", "\"partner\"", "the client: that is an id_token" },
        { "exp", "", "no end" },
        { "exp", "\"4102444800\"", "an end that is text" },
        { "exp", "1700000000", "an end in the past" },
        { "exp", "4102444800", "an end years ahead" },
        { "nbf", "4102444800", "a beginning years ahead" },
        { "nbf", "\"soon\"", "a beginning that is text" },
        { "iat", "4102444800", "made years ahead" },
        { "iat", "1700000000", "made years ago" },
        { "iat", "null", "made at no time" },
        { "jti", "", "no id" },
        { "jti", "7", "an id that is a number" },
        { "jti", "\"" + new string('x', 513) + "\"", "an id without end" },
    };

    [Theory, Trait("Rule", "TK-11"), Trait("Attack", "T19"), Trait("Attack", "T20"), Trait("Law", "L4")]
    [MemberData(nameof(WrongClaims))]
    public async Task An_assertion_with_a_wrong_claim_is_refused_and_leaves_nothing(string member, string json, string why) => await RefusedAsync(() =>
    {
        var claims = ClaimsAbout(Now, ("iat", null));
        claims.Remove(member);
        var text = claims.ToJsonString();
        if (json.Length > 0) text = $"{text[..^1]},\"{member}\":{json}}}";
        return Assertion.Make("""{"alg":"ES256","kid":"elsewhere"}""", text, Key.Sign);
    }, why);

    [Theory, Trait("Rule", "TK-11"), Trait("Attack", "T8"), Trait("Attack", "T7")]
    [InlineData("""{}""")]
    [InlineData("""{"alg":"none","kid":"elsewhere"}""")]
    [InlineData("""{"alg":"HS256","kid":"elsewhere"}""")]
    [InlineData("""{"alg":"RS256","kid":"elsewhere"}""")]
    [InlineData("""{"alg":"ES384","kid":"elsewhere"}""")]
    [InlineData("""{"alg":"ES256","kid":"other"}""")]
    [InlineData("""{"alg":"ES256","kid":1}""")]
    [InlineData("""{"alg":"ES256","kid":"elsewhere","crit":["exp"]}""")]
    [InlineData("""{"alg":"ES256","kid":"elsewhere","typ":"at+jwt"}""")]
    [InlineData("""{"alg":"ES256","kid":"elsewhere","typ":"client-authentication+jwt"}""")]
    [InlineData("""{"alg":"ES256","kid":"elsewhere","typ":"oauth-id-jag+jwt"}""")]
    [InlineData("""{"alg":"ES256","kid":"elsewhere","typ":"logout+jwt"}""")]
    [InlineData("""{"alg":"ES256","kid":"elsewhere","typ":"secevent+jwt"}""")]
    [InlineData("""{"alg":"ES256","kid":"elsewhere","typ":""}""")]
    [InlineData("""{"alg":"ES256","kid":"elsewhere","alg":"ES256"}""")]
    [InlineData("not JSON")]
    public async Task An_assertion_with_a_wrong_header_is_refused_and_leaves_nothing(string header) =>
        await RefusedAsync(() => Assertion.Make(header, ClaimsAbout(Now).ToJsonString(), Key.Sign), header);

    [Theory, Trait("Rule", "TK-11")]
    [InlineData("JWT")]
    [InlineData("application/jwt")]
    [InlineData("authorization-grant+jwt")]
    [InlineData("application/authorization-grant+jwt")]
    public async Task The_types_that_issuers_send_are_accepted(string type)
    {
        using var http = app.NewClient();
        Assert.True((await http.ShowAsync(Partner, Assertion.By(Key, ClaimsAbout(Now), ("typ", type)))).Ok);
        Assert.True((await http.ShowAsync(Partner, About(Now, ("aud", new JsonArray(TestConfiguration.Issuer))))).Ok); // a list of one says the same
    }

    [Fact, Trait("Rule", "TK-11"), Trait("Attack", "T8")]
    public async Task Forged_signatures_are_refused()
    {
        var stranger = new AssertionKey("elsewhere");
        var good = About(Now);
        foreach (var (why, forge) in (List<(string, Func<string>)>)
        [
            ("a stranger's key under the right name", () => Assertion.By(stranger, ClaimsAbout(Now))),
            ("a stranger's key in the header", () => Assertion.By(stranger, ClaimsAbout(Now), ("jwk", stranger.PublicJwk()))),
            ("a stranger's key at an address", () => Assertion.By(stranger, ClaimsAbout(Now), ("jku", "https://evil.example/jwks"), ("x5u", "https://evil.example/x5u"))),
            ("another's claims under a good signature", () => $"{good.Split('.')[0]}.{System.Buffers.Text.Base64Url.EncodeToString(Encoding.UTF8.GetBytes(ClaimsAbout(Now).ToJsonString()))}.{good.Split('.')[2]}"),
            ("no signature", () => Assertion.Make("""{"alg":"none"}""", ClaimsAbout(Now).ToJsonString(), _ => [])),
            ("an empty signature", () => Assertion.Make("""{"alg":"ES256","kid":"elsewhere"}""", ClaimsAbout(Now).ToJsonString(), _ => [])),
            ("a signature of zeros", () => Assertion.Make("""{"alg":"ES256","kid":"elsewhere"}""", ClaimsAbout(Now).ToJsonString(), _ => new byte[64])),
            ("an HMAC with the public key", () => Assertion.Make("""{"alg":"HS256","kid":"elsewhere"}""", ClaimsAbout(Now).ToJsonString(), input => Assertion.Mac("HS256", Encoding.UTF8.GetBytes(Key.PublicPem()), input))),
            ("the client's secret", () => Assertion.By(Partner.Secret!, ClaimsAbout(Now))),
            ("a text without end", () => About(Now, ("more", new string('x', 9000)))),
            ("no JWT", () => "assertion"),
        ])
            await RefusedAsync(forge, why);
        using var http = app.NewClient();
        Assert.True((await http.ShowAsync(Partner, good)).Ok);
    }

    [Fact, Trait("Rule", "TK-11"), Trait("Attack", "T19"), Trait("Attack", "P10")]
    public async Task Its_time_counts_within_half_a_minute()
    {
        using var http = app.NewClient();
        foreach (var (member, seconds, counts) in (List<(string, int, bool)>)
            [("exp", -29, true), ("exp", -30, false), ("exp", 3630, true), ("exp", 3632, false), ("nbf", 30, true), ("nbf", 32, false), ("iat", 30, true), ("iat", 32, false), ("iat", -3629, true), ("iat", -3632, false)])
        {
            var answer = await http.ShowAsync(Partner, About(Now, (member, Now.AddSeconds(seconds).ToUnixTimeSeconds())));
            Assert.Equal((member, seconds, counts), (member, seconds, answer.Ok));
        }
    }

    [Fact, Trait("Rule", "TK-11"), Trait("Attack", "T19")]
    public async Task An_assertion_counts_once_and_not_even_then_for_another_client()
    {
        using var http = app.NewClient();
        var other = new TestClient("rival", Partner.Secret, "https://rival.example/cb", "openid balances");
        await app.DeclareClientAsync(new JsonObject { ["client_id"] = "rival", ["client_secret"] = other.Secret, ["client_name"] = "Rival", ["redirect_uris"] = new JsonArray(other.RedirectUri), ["grant_types"] = new JsonArray("authorization_code", Bearer), ["scope"] = other.Scope });
        await app.ConnectAsync(other);
        var assertion = About(Now);
        TokenEndpointTests.AssertError(await http.ShowAsync(other, assertion), "invalid_grant");
        Assert.True((await http.ShowAsync(Partner, assertion)).Ok);
        await app.AppendsNothingAsync(async () => TokenEndpointTests.AssertError(await http.ShowAsync(Partner, assertion), "invalid_grant"));
    }

    [Fact, Trait("Rule", "TK-11"), Trait("Rule", "DP-3"), Trait("Rule", "DP-5")]
    public async Task A_client_that_proves_a_key_gets_a_bound_token_and_a_nonce_costs_no_assertion()
    {
        using var key = new DpopKey();
        using var http = app.NewClient(key); // sends the same form again when it is asked for a nonce
        var answer = await http.ShowAsync(Partner, About(Now));
        Assert.True(answer.Ok, answer.Json.ToJsonString());
        Assert.Equal(key.Thumbprint, (string?)TokenAnswer.Claims(answer.AccessToken)["cnf"]!["jkt"]);
    }

    [Fact, Trait("Rule", "TK-11")]
    public async Task A_client_without_a_secret_may_show_assertions_where_the_issuer_lists_it()
    {
        using var http = app.NewClient();
        var open = new TestClient("open-partner", null, "https://open.example/cb", "openid balances");
        await app.DeclareClientAsync(new JsonObject { ["client_id"] = open.Id, ["client_name"] = "Open", ["redirect_uris"] = new JsonArray(open.RedirectUri), ["grant_types"] = new JsonArray("authorization_code", Bearer), ["scope"] = open.Scope, ["token_endpoint_auth_method"] = "none" });
        await app.ConnectAsync(open);
        TokenEndpointTests.AssertError(await http.ShowAsync(open, About(Now)), "invalid_grant");
        var key = new AssertionKey("second");
        await app.DeclareAsync(new JsonObject { ["trusted_issuers"] = new JsonArray(Issuer("https://second.example", key, open.Id)) });
        string Second() => Assertion.By(key, Assertion.Claims("https://second.example", Now, ("sub", "ext-sam")));
        await Answers.UntilAsync(async () => (await http.ShowAsync(open, Second())).Ok);

        // The key of one issuer never speaks for another, and trust ends with the next request.
        TokenEndpointTests.AssertError(await http.ShowAsync(open, Assertion.By(Key, Assertion.Claims("https://second.example", Now, ("sub", "ext-sam")))), "invalid_grant");
        await app.DeclareAsync(new JsonObject { ["trusted_issuers"] = new JsonArray(Issuer("https://second.example", key, open.Id, ("clients", new JsonArray()))) });
        TokenEndpointTests.AssertError(await http.ShowAsync(open, Second()), "invalid_grant");
    }

    [Fact, Trait("Rule", "TK-11"), Trait("Rule", "MD-4"), Trait("Attack", "P1")]
    public async Task An_issuers_keys_may_stand_at_an_address()
    {
        using var http = app.NewClient();
        var key = new AssertionKey("site");
        app.Site.Says(AssertionKey.SetOf(key).ToJsonString());
        await app.DeclareAsync(new JsonObject { ["trusted_issuers"] = new JsonArray(Issuer("https://third.example", key, Partner.Id, ("jwks", null), ("jwks_uri", app.Site.Origin + "/jwks"))) });
        string Third() => Assertion.By(key, Assertion.Claims("https://third.example", Now, ("sub", "ext-sam")));
        await Answers.UntilAsync(async () => (await http.ShowAsync(Partner, Third())).Ok);
        var asked = app.Site.Asked;
        Assert.True((await http.ShowAsync(Partner, Third())).Ok);
        Assert.Equal(asked, app.Site.Asked);
    }

    [Fact, Trait("Law", "L6"), Trait("Attack", "E5")]
    public async Task An_issuer_is_declared_once_and_names_nobody_in_the_log()
    {
        var position = await app.PositionAsync();
        await app.DeclareExchangesAsync();
        Assert.Equal(position, await app.PositionAsync());
        var declared = (await app.EventsAsync(Catalogue.StreamId)).Where(e => e.Data is CatalogueEvent.IssuerDeclared).ToList();
        Assert.NotEmpty(declared);
        foreach (var e in declared)
        {
            await using var ask = app.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand($"select data::text from {GrantsStore.Schema}.mt_events where seq_id = $1");
            ask.Parameters.Add(new NpgsqlParameter { Value = e.Sequence });
            var text = (string)(await ask.ExecuteScalarAsync())!;
            Assert.DoesNotContain("ext-sam", text, StringComparison.Ordinal);
            Assert.DoesNotContain(TestConfiguration.Sam, text, StringComparison.OrdinalIgnoreCase);
        }
    }

    [Theory, Trait("Rule", "TK-11"), Trait("Attack", "P1")]
    [InlineData("issuer", "\"http://elsewhere.example\"", "https address")]
    [InlineData("issuer", "\"elsewhere\"", "https address")]
    [InlineData("issuer", "\"http://localhost:5100\"", "another server")]
    [InlineData("jwks", "", "either jwks or jwks_uri")]
    [InlineData("jwks_uri", "\"https://elsewhere.example/jwks\"", "either jwks or jwks_uri")]
    [InlineData("jwks", "{\"keys\":[]}", "no key")]
    [InlineData("jwks", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", "public keys alone")]
    [InlineData("algs", "[]", "algs must be some of")]
    [InlineData("algs", "[\"none\"]", "algs must be some of")]
    [InlineData("algs", "[\"HS256\"]", "algs must be some of")]
    [InlineData("scope", "\"bal\\u0000ances\"", "scope has a character")]
    [InlineData("subjects", "{\"x\":\"nobody@demo.example\"}", "a person who is not declared")]
    public async Task An_issuer_that_cannot_be_trusted_well_is_not_declared(string member, string json, string words)
    {
        var issuer = Issuer("https://wrong.example", Key, Partner.Id);
        issuer.Remove(member);
        if (json.Length > 0) issuer[member] = JsonNode.Parse(json);
        await app.AppendsNothingAsync(async () =>
        {
            var message = (await Assert.ThrowsAsync<SettingsException>(() => app.DeclareAsync(new JsonObject { ["trusted_issuers"] = new JsonArray(issuer) }))).Message;
            Assert.Contains(words, message, StringComparison.Ordinal);
        });
    }

    [Theory, Trait("Rule", "TK-10"), Trait("Attack", "K9")]
    [InlineData("""[{ "from": ["tally"], "audience": ["https://unheard.example"], "scope": "balances" }]""", "no such resource is declared")]
    [InlineData("""[{ "from": [], "audience": ["http://localhost:5300"], "scope": "balances" }]""", "must not be empty")]
    [InlineData("""[{ "from": ["tally"], "audience": ["http://localhost:5300"] }]""", "must not be empty")]
    [InlineData("""[{ "from": ["tally"], "audience": ["http://localhost:5300"], "scope": "bal\"ances" }]""", "scope has a character")]
    [InlineData("""[]""", "go together")]
    public async Task A_client_whose_rules_permit_nothing_or_anything_is_not_registered(string rules, string words)
    {
        var client = new JsonObject { ["client_id"] = "wrong", ["client_name"] = "Wrong", ["grant_types"] = new JsonArray(Exchange), ["grants_token_exchange"] = JsonNode.Parse(rules) };
        await app.AppendsNothingAsync(async () =>
            Assert.Contains(words, (await Assert.ThrowsAsync<SettingsException>(() => app.DeclareClientAsync(client))).Message, StringComparison.Ordinal));
    }

    /// <summary>The same error, no event, and no id used up unless the assertion itself was good.</summary>
    private async Task RefusedAsync(Func<string> make, string why, bool used = false)
    {
        using var http = app.NewClient();
        var before = await UsedAsync();
        await app.AppendsNothingAsync(async () =>
        {
            var answer = await http.ShowAsync(Partner, make());
            Assert.Equal((why, "invalid_grant"), (why, answer.Error));
            TokenEndpointTests.AssertError(answer, "invalid_grant");
        });
        Assert.Equal(before + (used ? 1 : 0), await UsedAsync());
    }

    private async Task<long> UsedAsync()
    {
        await using var count = app.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand($"select count(*) from {GrantsStore.UsedIds}");
        return (long)(await count.ExecuteScalarAsync())!;
    }
}
