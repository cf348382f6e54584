using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Grants.Api.Tests.Http;
using Grants.Testing;

namespace Grants.Api.Tests.Authorize;

[Collection(FrontDoor.Name)]
public sealed class AuthorizationRequestTests(AppFixture app)
{
    private static readonly TestClient QueryOnly = new("query-only", null, "https://c.example/cb", "openid profile");

    [Theory, Trait("Rule", "AZ-1"), Trait("Attack", "R4")]
    [InlineData(null)]
    [InlineData("nobody-knows-me")]
    [InlineData("TALLY")]
    [InlineData("tally ")]
    [InlineData("tally\0")]
    [InlineData("\uFFFE")]
    public async Task An_unknown_client_gets_a_page_and_no_redirect(string? clientId)
    {
        await app.AppendsNothingAsync(async () =>
        {
            var page = await app.NewVisitor().GetAsync(Journey.Ask(TestClient.Tally, ("client_id", clientId), ("redirect_uri", "https://evil.example/")).Address);
            page.StaysHere();
            Assert.DoesNotContain("href=\"https://evil.example", page.Body, StringComparison.Ordinal);
        });
    }

    [Theory, Trait("Rule", "AZ-2"), Trait("Attack", "R1"), Trait("Attack", "R2"), Trait("Rule", "20-3")]
    [InlineData("https://c.example/cb/")]
    [InlineData("https://c.example/CB")]
    [InlineData("https://C.example/cb")]
    [InlineData("HTTPS://c.example/cb")]
    [InlineData("https://c.example/cb?x=1")]
    [InlineData("https://c.example/cb?")]
    [InlineData("https://c.example/cb#")]
    [InlineData("https://c.example/cb#frag")]
    [InlineData("https://c.example/cb/../cb")]
    [InlineData("https://c.example/cb/..")]
    [InlineData("https://c.example/./cb")]
    [InlineData("https://c.example/cb%2F..")]
    [InlineData("https://c.example/%63b")]
    [InlineData("https://c.example//cb")]
    [InlineData("https://c.example\\cb")]
    [InlineData("https://c.example\\@evil.example/cb")]
    [InlineData("//c.example/cb")]
    [InlineData("/cb")]
    [InlineData("cb")]
    [InlineData("https://c@evil.example/cb")]
    [InlineData("https://c.example@evil.example/cb")]
    [InlineData("https://user@c.example/cb")]
    [InlineData("https://c.example:443/cb")]
    [InlineData("https://c.example:8443/cb")]
    [InlineData("https://a.c.example/cb")]
    [InlineData("https://c.example.evil.example/cb")]
    [InlineData("https://evilc.example/cb")]
    [InlineData("http://c.example/cb")]
    [InlineData("https://c.example./cb")]
    [InlineData("https://с.example/cb")]
    [InlineData("https://c.example/cb ")]
    [InlineData(" https://c.example/cb")]
    [InlineData("https://c.example/cb\r\nX-Injected: 1")]
    [InlineData("https://c.example/cb\0")]
    [InlineData("https://c.example/cb&code=stolen")]
    [InlineData("https://c.example/cb?code=stolen")]
    [InlineData("https://c.example/cb%26code=stolen")]
    [InlineData("https://c.example/cb;code=stolen")]
    [InlineData("https://c.example/*")]
    [InlineData("javascript:alert(1)")]
    [InlineData("data:text/html,hello")]
    public async Task A_redirect_uri_that_is_not_the_registered_one_gets_a_page(string redirectUri) =>
        await app.AppendsNothingAsync(async () => (await app.NewVisitor().GetAsync(Journey.Ask(QueryOnly, ("redirect_uri", redirectUri)).Address)).StaysHere());

    [Theory, Trait("Rule", "AZ-2"), Trait("Attack", "R1"), Trait("Attack", "R20")]
    [InlineData("&redirect_uri=https%3A%2F%2Fc.example%2Fcb")]
    [InlineData("&redirect_uri=https%3A%2F%2Fevil.example%2Fcb")]
    [InlineData("&client_id=query-only")]
    [InlineData("&client_id=tally")]
    [InlineData("&response_mode=query&response_mode=query")]
    public async Task A_second_client_id_redirect_uri_or_response_mode_gets_a_page(string more) =>
        await app.AppendsNothingAsync(async () => (await app.NewVisitor().GetAsync(Journey.Ask(QueryOnly).Address + more)).StaysHere());

    [Fact, Trait("Rule", "AZ-2")]
    public async Task The_redirect_uri_may_be_left_out_only_where_one_is_registered_and_openid_is_not_asked_for()
    {
        (await app.NewVisitor().GetAsync(Journey.Ask(TestClient.Tally, ("redirect_uri", null)).Address)).StaysHere();
        (await app.NewVisitor().GetAsync(Journey.Ask(QueryOnly, ("redirect_uri", null), ("scope", "profile")).Address)).StaysHere();
        Assert.True((await app.NewVisitor().GetAsync(Journey.Ask(TestClient.Tally, ("redirect_uri", null), ("scope", "balances")).Address)).IsAt("/signin/"));
    }

    [Theory, Trait("Rule", "AZ-2"), Trait("Attack", "R1")]
    [InlineData("purse-native", "http://127.0.0.1:49152/callback", true)]
    [InlineData("purse-native", "http://127.0.0.1:1/callback", true)]
    [InlineData("purse-native", "com.example.purse:/callback", true)]
    [InlineData("purse-native", "http://127.0.0.1:65536/callback", false)]
    [InlineData("purse-native", "http://127.0.0.1:0x50/callback", false)]
    [InlineData("purse-native", "http://localhost:49152/callback", false)]
    [InlineData("purse-native", "http://127.0.0.2:49152/callback", false)]
    [InlineData("purse-native", "http://127.0.0.1:49152/callback/", false)]
    [InlineData("purse-native", "https://127.0.0.1:49152/callback", false)]
    [InlineData("purse-native", "http://127.0.0.1:80@evil.example/callback", false)]
    [InlineData("purse-native", "com.example.purse://callback", false)]
    [InlineData("tally", "http://localhost:5201/callback", false)]
    public async Task Only_a_native_apps_loopback_redirect_may_choose_its_port(string client, string redirectUri, bool admitted)
    {
        var page = await app.NewVisitor().GetAsync(Journey.Ask(TestClient.Tally, ("client_id", client), ("redirect_uri", redirectUri), ("scope", "openid profile")).Address);
        if (admitted) Assert.True(page.IsAt("/signin/"), page.Heading);
        else page.StaysHere();
    }

    [Theory, Trait("Rule", "AZ-3"), Trait("Rule", "20-1"), Trait("Rule", "AZ-23")]
    [InlineData(null, "invalid_request")]
    [InlineData("", "invalid_request")]
    [InlineData("token", "unsupported_response_type")]
    [InlineData("id_token", "unsupported_response_type")]
    [InlineData("code id_token", "unsupported_response_type")]
    [InlineData("id_token token", "unsupported_response_type")]
    [InlineData("none", "unsupported_response_type")]
    [InlineData("CODE", "unsupported_response_type")]
    public Task The_only_response_type_is_code(string? responseType, string error) => Refused(error, ("response_type", responseType));

    [Fact, Trait("Rule", "AZ-3")]
    public async Task A_client_that_is_not_registered_for_codes_is_unauthorized()
    {
        await app.DeclareClientAsync(new JsonObject { ["client_id"] = "machine-with-redirect", ["client_secret"] = Witness.Saw("client secret", Journey.Random()), ["client_name"] = "Machine", ["redirect_uris"] = new JsonArray("https://machine.example/cb"), ["grant_types"] = new JsonArray("client_credentials"), ["scope"] = "balances", ["grants_checked"] = true });
        var asked = Journey.Ask(new TestClient("machine-with-redirect", null, "https://machine.example/cb", "balances"));
        (await app.NewVisitor().GetAsync(asked.Address)).TellsTheApp("unauthorized_client", asked);
    }

    [Theory, Trait("Rule", "AZ-4"), Trait("Attack", "R13")]
    [InlineData("tally", "fragment")]
    [InlineData("tally", "query.jwt")]
    [InlineData("tally", "form_post.jwt")]
    [InlineData("tally", "jwt")]
    [InlineData("tally", "QUERY")]
    [InlineData("tally", "<script>")]
    [InlineData("query-only", "form_post")]
    public async Task A_response_mode_that_the_client_may_not_use_gets_a_page_without_parameters(string client, string mode)
    {
        var asked = Journey.Ask(client == "tally" ? TestClient.Tally : QueryOnly, ("response_mode", mode));
        await app.AppendsNothingAsync(async () =>
        {
            var page = await app.NewVisitor().GetAsync(asked.Address);
            page.StaysHere();
            Assert.DoesNotContain(asked.State, page.Body, StringComparison.Ordinal);
        });
    }

    [Theory, Trait("Rule", "AZ-5")]
    [InlineData("openid nothing-of-ours")]
    [InlineData("openid payees")]
    [InlineData("openid \"balances\"")]
    [InlineData("openid back\\slash")]
    [InlineData("openid\tprofile")]
    [InlineData("openid profilé")]
    [InlineData("openid OPENID")]
    public Task A_scope_that_the_client_may_not_ask_for_is_invalid(string scope) => Refused("invalid_scope", ("scope", scope));

    [Fact, Trait("Rule", "AZ-6")]
    public async Task State_comes_back_unchanged_however_long_and_odd_it_is()
    {
        var state = Witness.Saw("state", "ä &=+%2B\"'<>#?/\\\u202E\n" + Journey.Random(2000));
        var visitor = app.NewVisitor();
        var success = await visitor.AllowAsync(Journey.Ask(TestClient.Tally, ("state", state)));
        Assert.Equal(state, success.Answer["state"]);
        var error = await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("state", state), ("scope", "bad")).Address);
        Assert.Equal(state, error.Answer["state"]);
    }

    [Theory, Trait("Rule", "AZ-7"), Trait("Rule", "20-4")]
    [InlineData(null, "S256")]
    [InlineData("", "S256")]
    [InlineData("good", null)]
    [InlineData("good", "")]
    [InlineData("good", "plain")]
    [InlineData("good", "s256")]
    [InlineData("abcdefghijabcdefghijabcdefghijabcdefghij12", "S256")]
    [InlineData("long", "S256")]
    [InlineData("abcdefghijabcdefghijabcdefghijabcdefghij12+", "S256")]
    [InlineData("abcdefghijabcdefghijabcdefghijabcdefghij1é3", "S256")]
    public Task Every_client_needs_a_well_formed_S256_challenge(string? challenge, string? method) => Refused("invalid_request",
        ("code_challenge", challenge switch { "good" => Journey.Challenge(Journey.Random()), "long" => new string('a', 129), _ => challenge }), ("code_challenge_method", method));

    [Fact, Trait("Rule", "AZ-7"), Trait("Rule", "20-6")]
    public async Task A_public_client_needs_a_challenge_too()
    {
        var asked = Journey.Ask(TestClient.BrowserApp, ("code_challenge", null), ("code_challenge_method", null));
        (await (await app.SignedInAsync()).GetAsync(asked.Address)).TellsTheApp("invalid_request", asked);
    }

    [Fact, Trait("Rule", "AZ-8")]
    public async Task The_nonce_is_copied_into_the_id_token_as_it_was_sent()
    {
        var nonce = Witness.Saw("nonce", "n é\"\\/+% " + Journey.Random(300));
        var asked = Journey.Ask(TestClient.Tally, ("nonce", nonce));
        var page = await app.NewVisitor().AllowAsync(asked);
        using var http = app.NewClient();
        var tokens = await http.RedeemAsync(asked, page.Answer["code"]);
        Assert.Equal(nonce, (string?)TokenAnswer.Claims(tokens.IdToken)["nonce"]);
    }

    [Theory, Trait("Rule", "AZ-9")]
    [InlineData("none login")]
    [InlineData("consent none")]
    [InlineData("none none")]
    public Task Prompt_none_stands_alone(string prompt) => Refused("invalid_request", ("prompt", prompt));

    [Theory, Trait("Rule", "AZ-9")]
    [InlineData("create")]
    [InlineData("login create")]
    [InlineData("LOGIN")]
    public async Task A_prompt_value_that_is_not_listed_gets_http_400(string prompt) =>
        await app.AppendsNothingAsync(async () => (await app.NewVisitor().GetAsync(Journey.Ask(TestClient.Tally, ("prompt", prompt)).Address)).StaysHere());

    [Theory, Trait("Rule", "AZ-11")]
    [InlineData("-1")]
    [InlineData("1.5")]
    [InlineData("soon")]
    [InlineData("99999999999")]
    public Task Max_age_is_a_whole_number_of_seconds(string maxAge) => Refused("invalid_request", ("max_age", maxAge));

    [Theory, Trait("Rule", "AZ-17")]
    [InlineData("request", "request_not_supported")]
    [InlineData("request_uri", "request_uri_not_supported")]
    [InlineData("registration", "registration_not_supported")]
    public Task What_is_not_supported_has_its_own_error(string parameter, string error) => Refused(error, (parameter, "x"));

    [Fact, Trait("Rule", "AZ-12"), Trait("Attack", "R21")]
    public async Task Hints_about_language_and_display_and_unknown_parameters_are_no_errors()
    {
        var hint = Witness.Saw("personal data", $"{Journey.Random(8)}@hint.example");
        var page = await app.NewVisitor().GetAsync(Journey.Ask(TestClient.Tally, ("ui_locales", "xx-Nowhere tlh"), ("claims_locales", "zz"), ("display", "hologram"), ("login_hint", hint), ("who_knows", "1")).Address);
        Assert.True(page.IsAt("/signin/"), page.Heading);
        Assert.Contains($"value=\"{hint}\"", page.Body, StringComparison.Ordinal);
    }

    [Fact, Trait("Rule", "23-4"), Trait("Rule", "AZ-5")]
    public async Task A_request_that_names_no_scope_is_for_all_that_the_app_can_not_do_without()
    {
        using var http = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally, ("scope", null));
        Assert.Equal("balances email openid profile transactions", string.Join(' ', (await http.RedeemAsync(asked, (await app.NewVisitor().AllowAsync(asked)).Answer["code"])).Scope.Split(' ').Order()));
    }

    [Fact, Trait("Rule", "G-3")]
    public async Task An_empty_parameter_counts_as_absent()
    {
        var page = await app.NewVisitor().AllowAsync(Journey.Ask(TestClient.Tally, ("response_mode", ""), ("prompt", ""), ("max_age", ""), ("nonce", ""), ("state", ""), ("id_token_hint", ""), ("request", "")));
        Assert.True(page.Answer.ContainsKey("code"));
        Assert.False(page.Answer.ContainsKey("state"));
    }

    [Theory, Trait("Rule", "G-3"), Trait("Attack", "R20")]
    [InlineData("&scope=openid")]
    [InlineData("&response_type=code")]
    [InlineData("&nonce=")]
    [InlineData("&code_challenge_method=S256")]
    [InlineData("&unknown=1&unknown=2")]
    public async Task A_repeated_parameter_is_an_invalid_request(string more)
    {
        var asked = Journey.Ask(TestClient.Tally);
        await app.AppendsNothingAsync(async () => (await app.NewVisitor().GetAsync(asked.Address + more)).TellsTheApp("invalid_request", asked));
    }

    [Fact, Trait("Rule", "G-3"), Trait("Attack", "R20")]
    public async Task A_repeated_state_is_not_sent_back()
    {
        var page = await app.NewVisitor().GetAsync(Journey.Ask(TestClient.Tally).Address + "&state=another");
        Assert.Equal("invalid_request", page.Answer["error"]);
        Assert.False(page.Answer.ContainsKey("state"));
    }

    [Fact, Trait("Rule", "G-7"), Trait("Attack", "R8")]
    public async Task A_posted_request_is_taken_up_by_a_get_and_its_query_is_not_read()
    {
        var visitor = app.NewVisitor();
        var asked = Journey.Ask(TestClient.Tally);
        var query = asked.Address[asked.Address.IndexOf('?', StringComparison.Ordinal)..];
        var fields = Microsoft.AspNetCore.WebUtilities.QueryHelpers.ParseQuery(query).Select(pair => KeyValuePair.Create(pair.Key, pair.Value.ToString())).ToList();
        var first = await visitor.SendOnceAsync(new HttpRequestMessage(HttpMethod.Post, "/authorize") { Content = new FormUrlEncodedContent(fields) });
        Assert.Equal(HttpStatusCode.SeeOther, first.Status);
        Assert.StartsWith("/authorize/", first.Location, StringComparison.Ordinal);
        Assert.True((await visitor.GetAsync(first.Location!)).IsAt("/signin/"));

        await app.AppendsNothingAsync(async () =>
        {
            (await visitor.PostAsync("/authorize" + query, [])).StaysHere();
            (await visitor.SendOnceAsync(new HttpRequestMessage(HttpMethod.Post, "/authorize") { Content = new StringContent("{}", System.Text.Encoding.UTF8, "application/json") })).StaysHere();
            (await visitor.SendOnceAsync(new HttpRequestMessage(HttpMethod.Post, "/authorize"))).StaysHere();
        });
    }

    [Fact, Trait("Attack", "R4")]
    public async Task An_unchecked_apps_bad_request_reaches_it_only_after_a_person_went_on()
    {
        var asked = Journey.Ask(TestClient.BrowserApp, ("scope", "bad"));
        await app.AppendsNothingAsync(async () =>
        {
            var page = await app.NewVisitor().GetAsync(asked.Address);
            page.StaysHere();
            Assert.Contains($"href=\"{TestClient.BrowserApp.RedirectUri}?error=invalid_scope", page.Body, StringComparison.Ordinal);
        });

        (await (await app.SignedInAsync()).GetAsync(asked.Address)).TellsTheApp("invalid_scope", asked);
        var silent = Journey.Ask(TestClient.BrowserApp, ("scope", "bad"), ("prompt", "none"));
        (await app.NewVisitor().GetAsync(silent.Address)).TellsTheApp("invalid_scope", silent);
        var vouchedFor = Journey.Ask(TestClient.Tally, ("scope", "bad"));
        (await app.NewVisitor().GetAsync(vouchedFor.Address)).TellsTheApp("invalid_scope", vouchedFor);
    }

    [Fact, Trait("Attack", "R2"), Trait("Attack", "R12"), Trait("Rule", "AZ-22"), Trait("Attack", "R11")]
    public async Task The_answer_is_added_to_the_registered_query_and_ends_with_a_fragment_of_ours()
    {
        var asked = Journey.Ask(TestClient.Poster);
        var visitor = app.NewVisitor();
        var page = await visitor.AllowAsync(asked);
        Assert.Equal(HttpStatusCode.SeeOther, page.Status);
        Assert.StartsWith("https://poster.example/cb?kept=1&", page.Location, StringComparison.Ordinal);
        Assert.EndsWith("#_", page.Location, StringComparison.Ordinal);
        Assert.Equal(["code", "iss", "kept", "state"], page.Answer.Keys.Order(StringComparer.Ordinal));
        Assert.Equal((TestConfiguration.Issuer, asked.State), (page.Answer["iss"], page.Answer["state"]));

        var error = await visitor.GetAsync(Journey.Ask(TestClient.Poster, ("scope", "bad")).Address);
        Assert.EndsWith("#_", error.Location, StringComparison.Ordinal);
        Assert.Equal("1", error.Answer["kept"]);
        var plain = await app.NewVisitor().AllowAsync(Journey.Ask(TestClient.Tally));
        Assert.DoesNotContain('#', plain.Location!);
    }

    [Fact, Trait("Rule", "AZ-20"), Trait("Attack", "R12"), Trait("Attack", "R14"), Trait("Rule", "G-5")]
    public async Task A_form_post_answer_is_a_page_whose_every_value_is_inert()
    {
        var state = Witness.Saw("state", $"\"><script>alert('{Journey.Random(8)}')</script><input value='");
        var page = await app.NewVisitor().AllowAsync(Journey.Ask(TestClient.Tally, ("response_mode", "form_post"), ("state", state)));

        Assert.Equal(HttpStatusCode.OK, page.Status);
        Assert.Equal("text/html; charset=utf-8", page.Header("Content-Type").ToLowerInvariant());
        Assert.Contains("no-store", page.Header("Cache-Control"), StringComparison.Ordinal);
        Assert.Equal(TestClient.Tally.RedirectUri, page.FormAction);
        var fields = page.HiddenFields.ToDictionary();
        Assert.Equal(["code", "iss", "state"], fields.Keys.Order(StringComparer.Ordinal));
        Assert.Equal((state, TestConfiguration.Issuer), (fields["state"], fields["iss"]));
        Witness.Saw("code", fields["code"]);
        Assert.Contains("<button", page.Body, StringComparison.Ordinal);

        var script = Assert.Single(Regex.Matches(page.Body, "<script[^>]*>"));
        var nonce = Regex.Match(script.Value, "nonce=\"([^\"]{20,})\"").Groups[1].Value;
        var policy = page.Header("Content-Security-Policy");
        Assert.Contains($"script-src 'nonce-{nonce}'", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe-inline", policy, StringComparison.Ordinal);
        Assert.Contains("form-action 'self' http://localhost:5200;", policy, StringComparison.Ordinal);
    }

    [Fact, Trait("Rule", "AZ-20"), Trait("Attack", "R12")]
    public async Task A_form_post_error_carries_the_issuer_and_never_a_code()
    {
        var asked = Journey.Ask(TestClient.Tally, ("response_mode", "form_post"), ("scope", "bad"));
        var page = await app.NewVisitor().GetAsync(asked.Address);
        var fields = page.HiddenFields.ToDictionary();
        Assert.Equal(("invalid_scope", asked.State, TestConfiguration.Issuer), (fields["error"], fields["state"], fields["iss"]));
        Assert.False(fields.ContainsKey("code"));
        var again = await app.NewVisitor().GetAsync(asked.Address);
        Assert.NotEqual(page.Header("Content-Security-Policy"), again.Header("Content-Security-Policy"));
    }

    [Fact, Trait("Rule", "AZ-20")]
    public async Task A_form_post_refusal_by_the_person_is_a_form_too()
    {
        var visitor = app.NewVisitor();
        var page = await visitor.SignInAsync(await visitor.GetAsync(Journey.Ask(TestClient.Poster, ("response_mode", "form_post"), ("prompt", "consent")).Address), TestConfiguration.Lin, TestConfiguration.LinPassword);
        page = await visitor.SubmitAsync(page, ("decision", "deny"));
        Assert.Equal("https://poster.example/cb?kept=1", page.FormAction);
        Assert.Equal("access_denied", page.HiddenFields.ToDictionary()["error"]);
    }

    [Fact, Trait("Law", "L4"), Trait("Rule", "G-5")]
    public async Task A_valid_request_is_recorded_once_and_the_answer_is_not_to_be_stored()
    {
        var visitor = app.NewVisitor();
        var before = await app.PositionAsync();
        var page = await visitor.SendOnceAsync(new HttpRequestMessage(HttpMethod.Get, Journey.Ask(TestClient.Tally).Address));
        Assert.Equal(HttpStatusCode.SeeOther, page.Status);
        Assert.Contains("no-store", page.Header("Cache-Control"), StringComparison.Ordinal);
        Assert.Equal(["authorization.requested"], await app.StoryAsync(before));
        await app.AppendsNothingAsync(async () =>
        {
            await visitor.GetAsync(page.Location!);
            await visitor.GetAsync(page.Location!);
        });
    }

    [Fact, Trait("Rule", "G-6"), Trait("Rule", "20-10")]
    public async Task No_script_of_another_origin_may_read_the_authorization_endpoint()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Journey.Ask(TestClient.Tally).Address);
        request.Headers.Add("Origin", "https://evil.example");
        Assert.Equal("", (await app.NewVisitor().SendOnceAsync(request)).Header("Access-Control-Allow-Origin"));
    }

    private async Task Refused(string error, params (string Name, string? Value)[] change)
    {
        var asked = Journey.Ask(TestClient.Tally, change);
        await app.AppendsNothingAsync(async () => (await app.NewVisitor().GetAsync(asked.Address)).TellsTheApp(error, asked));
    }
}
