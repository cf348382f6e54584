using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using Grants.Api.Tests.Http;
using Grants.Domain.Authorizations;
using Grants.Testing;
using Microsoft.AspNetCore.WebUtilities;

namespace Grants.Api.Tests.Authorize;

/// <summary>How much a request wants of the person: <c>prompt</c>, <c>max_age</c> and the hints. These tests move the clock.</summary>
public sealed class PromptTests(AppFixture app) : IClassFixture<AppFixture>
{
    [Fact, Trait("Rule", "AZ-10")]
    public async Task Prompt_none_without_a_session_is_login_required_and_recorded()
    {
        var asked = Journey.Ask(TestClient.Tally, ("prompt", "none"));
        var before = await app.PositionAsync();
        (await app.NewVisitor().GetAsync(asked.Address)).TellsTheApp("login_required", asked);
        Assert.Equal(["authorization.requested", "authorization.refused"], await app.StoryAsync(before));
    }

    [Fact, Trait("Rule", "AZ-10")]
    public async Task Prompt_none_with_something_new_to_ask_is_consent_required()
    {
        var asked = Journey.Ask(TestClient.Tally, ("prompt", "none"));
        var visitor = await app.SignedInAsync(TestConfiguration.Maya);
        var before = await app.PositionAsync();
        (await visitor.GetAsync(asked.Address)).TellsTheApp("consent_required", asked);
        Assert.Equal(["authorization.requested", "authorization.subject_authenticated", "authorization.refused"], await app.StoryAsync(before));
    }

    [Fact, Trait("Rule", "AZ-10")]
    public async Task Prompt_none_with_nothing_new_to_ask_gives_a_code_without_any_page()
    {
        var (_, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        var before = await app.PositionAsync();
        var asked = Journey.Ask(TestClient.Tally, ("prompt", "none"));
        var page = await visitor.SendOnceAsync(new HttpRequestMessage(HttpMethod.Get, asked.Address));
        Assert.True(page.Answer.ContainsKey("code"), page.Location);
        Assert.Equal(["authorization.requested", "authorization.subject_authenticated", "authorization.consent_reused", "authorization.code_issued"], await app.StoryAsync(before));
    }

    [Fact, Trait("Attack", "R17"), Trait("Rule", "AZ-10")]
    public async Task An_app_that_can_not_prove_who_it_is_never_gets_a_code_silently()
    {
        var (_, visitor, _, _) = await app.ConnectAsync(TestClient.NativeApp, TestConfiguration.Lin);
        var asked = Journey.Ask(TestClient.NativeApp, ("prompt", "none"));
        (await visitor.GetAsync(asked.Address)).TellsTheApp("consent_required", asked);
        Assert.True((await visitor.GetAsync(Journey.Ask(TestClient.NativeApp).Address)).IsAt("/consent/"));
    }

    [Theory, Trait("Rule", "AZ-9"), Trait("Attack", "U8")]
    [InlineData("prompt", "login")]
    [InlineData("prompt", "select_account")]
    [InlineData("max_age", "0")]
    public async Task A_request_for_a_fresh_proof_gets_one_and_only_once(string parameter, string value)
    {
        var (first, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        app.Clock.Advance(TimeSpan.FromSeconds(5));
        var asked = Journey.Ask(TestClient.Tally, (parameter, value));
        var page = await visitor.GetAsync(asked.Address);
        Assert.Equal("Confirm it's you", page.Heading);
        Assert.Contains(TestConfiguration.Sam, page.Body, StringComparison.Ordinal);

        var before = await app.PositionAsync();
        page = await visitor.SignInAsync(page, TestConfiguration.Sam, TestConfiguration.SamPassword);
        Assert.Equal(["session.reauthenticated", "authorization.subject_authenticated", "authorization.consent_reused", "authorization.code_issued"], await app.StoryAsync(before));
        using var http = app.NewClient();
        var second = await http.RedeemAsync(asked, page.Answer["code"]);
        Assert.True(AuthTime(second) >= AuthTime(first) + 5, $"{AuthTime(first)} {AuthTime(second)}");
    }

    [Fact, Trait("Attack", "U8")]
    public async Task Going_back_to_the_request_does_not_stand_in_for_the_proof()
    {
        var (_, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        app.Clock.Advance(TimeSpan.FromSeconds(5));
        var page = await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("prompt", "login")).Address);
        var id = page.Address.Segments[^1];
        Assert.True((await visitor.GetAsync($"/authorize/{id}")).IsAt("/signin/"));
        Assert.True((await visitor.GetAsync($"/consent/{id}")).IsAt("/signin/"));
    }

    [Fact, Trait("Rule", "AZ-11"), Trait("Attack", "U8")]
    public async Task A_sign_in_older_than_max_age_has_to_be_repeated()
    {
        var (_, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        Assert.True((await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("max_age", "60")).Address)).Answer.ContainsKey("code"));
        app.Clock.Advance(TimeSpan.FromSeconds(61));
        var silent = Journey.Ask(TestClient.Tally, ("max_age", "60"), ("prompt", "none"));
        (await visitor.GetAsync(silent.Address)).TellsTheApp("login_required", silent);
        Assert.Equal("Confirm it's you", (await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("max_age", "60")).Address)).Heading);
        Assert.True((await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("max_age", "3600")).Address)).Answer.ContainsKey("code"));
    }

    [Fact, Trait("Rule", "AZ-11")]
    public async Task A_clients_own_default_max_age_holds_when_it_sends_none()
    {
        await app.DeclareClientAsync(Client("impatient", ("default_max_age", 30)));
        var client = new TestClient("impatient", null, "https://impatient.example/cb", "openid");
        var visitor = app.NewVisitor();
        Assert.True((await visitor.AllowAsync(Journey.Ask(client))).Answer.ContainsKey("code"));
        app.Clock.Advance(TimeSpan.FromSeconds(31));
        Assert.True((await visitor.GetAsync(Journey.Ask(client).Address)).IsAt("/signin/"));
    }

    [Fact, Trait("Rule", "AZ-9")]
    public async Task Prompt_consent_asks_again_for_what_is_allowed()
    {
        var (_, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        var page = await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("prompt", "consent")).Address);
        Assert.True(page.IsAt("/consent/"), page.Heading);
        Assert.Contains("See your account balances", page.Body, StringComparison.Ordinal);
    }

    [Fact, Trait("Rule", "AZ-13")]
    public async Task A_hint_at_the_person_who_is_signed_in_changes_nothing_even_when_it_has_run_out()
    {
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        app.Clock.Advance(TimeSpan.FromMinutes(11));
        var page = await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("id_token_hint", tokens.IdToken), ("prompt", "none")).Address);
        Assert.True(page.Answer.ContainsKey("code"), page.Location);
    }

    [Fact, Trait("Rule", "AZ-13")]
    public async Task A_hint_at_another_person_never_gets_this_ones_code()
    {
        var (mayas, _, _, _) = await app.ConnectAsync(TestClient.Poster, TestConfiguration.Maya);
        var (_, sams, _, _) = await app.ConnectAsync(TestClient.Tally);
        var silent = Journey.Ask(TestClient.Tally, ("id_token_hint", mayas.IdToken), ("prompt", "none"));
        (await sams.GetAsync(silent.Address)).TellsTheApp("login_required", silent);

        app.Clock.Advance(TimeSpan.FromSeconds(2));
        var asked = Journey.Ask(TestClient.Tally, ("id_token_hint", mayas.IdToken));
        var page = await sams.GetAsync(asked.Address);
        Assert.Equal("Sign in", page.Heading);
        (await sams.SignInAsync(page, TestConfiguration.Sam, TestConfiguration.SamPassword)).TellsTheApp("login_required", asked);

        var nobody = Journey.Ask(TestClient.Tally, ("id_token_hint", mayas.IdToken), ("prompt", "none"));
        (await app.NewVisitor().GetAsync(nobody.Address)).TellsTheApp("login_required", nobody);
    }

    [Fact, Trait("Rule", "AZ-13")]
    public async Task A_hint_that_is_no_id_token_of_ours_is_refused_and_not_recorded()
    {
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        var parts = tokens.IdToken.Split('.');
        var claims = TokenAnswer.Claims(tokens.IdToken);
        claims["sub"] = "sub_00000000000000000000000000000001";
        string[] forged =
        [
            "garbage",
            $"{parts[0]}.{WebEncoders.Base64UrlEncode(System.Text.Encoding.UTF8.GetBytes(claims.ToJsonString()))}.{parts[2]}",
            $"{WebEncoders.Base64UrlEncode("{\"alg\":\"none\",\"typ\":\"JWT\"}"u8)}.{parts[1]}.",
            tokens.AccessToken,
            new string('a', 9000),
        ];
        foreach (var hint in forged)
        {
            var asked = Journey.Ask(TestClient.Tally, ("id_token_hint", hint));
            await app.AppendsNothingAsync(async () => (await visitor.GetAsync(asked.Address)).TellsTheApp("invalid_request", asked));
        }
    }

    [Fact, Trait("Rule", "AZ-14")]
    public async Task The_id_token_says_which_class_was_reached_whatever_was_asked_for()
    {
        var asked = Journey.Ask(TestClient.Tally, ("acr_values", "urn:example:gold urn:grants:acr:password"));
        var page = await app.NewVisitor().AllowAsync(asked);
        using var http = app.NewClient();
        var tokens = await http.RedeemAsync(asked, page.Answer["code"]);
        Assert.Equal("urn:grants:acr:password", (string?)TokenAnswer.Claims(tokens.IdToken)["acr"]);
    }

    [Fact, Trait("Rule", "AZ-18")]
    public async Task Offline_access_is_dropped_where_no_refresh_token_could_come_of_it()
    {
        await app.DeclareClientAsync(Client("online", ("scope", "openid offline_access")));
        var asked = Journey.Ask(new TestClient("online", null, "https://online.example/cb", "openid offline_access"));
        var page = await app.NewVisitor().AllowAsync(asked);
        using var http = app.NewClient();
        var tokens = await http.RedeemAsync(asked, page.Answer["code"]);
        Assert.Equal("openid", tokens.Scope);
        Assert.False(tokens.Json.ContainsKey("refresh_token"));
    }

    [Fact, Trait("Rule", "AZ-18")]
    public async Task A_refresh_token_comes_only_of_a_recorded_consent_to_offline_access()
    {
        var visitor = app.NewVisitor();
        using var http = app.NewClient();
        var online = Journey.Ask(TestClient.Poster, ("scope", "openid"));
        var tokens = await http.RedeemAsync(online, (await visitor.AllowAsync(online, TestConfiguration.Lin)).Answer["code"]);
        Assert.False(tokens.Json.ContainsKey("refresh_token"));

        var before = await app.PositionAsync();
        var offline = Journey.Ask(TestClient.Poster, ("scope", "openid offline_access"));
        Assert.True((await visitor.GetAsync(offline.Address)).IsAt("/consent/"));
        var page = await visitor.AllowAsync(offline);
        Assert.Contains((await app.EventsAfterAsync(before)), e => e.Data is AuthorizationEvent.ConsentGranted granted && granted.Granted.Contains("offline_access"));
        Assert.True((await http.RedeemAsync(offline, page.Answer["code"])).Json.ContainsKey("refresh_token"));
    }

    [Fact, Trait("Rule", "AZ-10")]
    public async Task After_a_quarter_of_an_hour_nobody_can_answer_the_request()
    {
        var visitor = app.NewVisitor();
        var consent = await visitor.SignInAsync(await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("prompt", "consent")).Address), TestConfiguration.Maya, TestConfiguration.MayaPassword);
        Assert.True(consent.IsAt("/consent/"));
        app.Clock.Advance(TimeSpan.FromMinutes(15));
        await app.AppendsNothingAsync(async () =>
        {
            var page = await visitor.SubmitAsync(consent, ("decision", "allow"));
            page.StaysHere();
            Assert.Equal("That took too long", page.Heading);
            Assert.Contains("href=\"http://localhost:5200", page.Body, StringComparison.Ordinal);
        });
    }

    [Fact, Trait("Attack", "C10")]
    public async Task An_answered_request_can_not_be_answered_again()
    {
        var visitor = app.NewVisitor();
        var consent = await visitor.SignInAsync(await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("prompt", "consent")).Address), TestConfiguration.Lin, TestConfiguration.LinPassword);
        Assert.True((await visitor.SubmitAsync(consent, ("decision", "allow"))).Answer.ContainsKey("code"));
        await app.AppendsNothingAsync(async () =>
        {
            (await visitor.SubmitAsync(consent, ("decision", "allow"))).StaysHere();
            (await visitor.SubmitAsync(consent, ("decision", "deny"))).StaysHere();
            (await visitor.GetAsync(consent.Address.AbsolutePath)).StaysHere();
            Assert.Equal(HttpStatusCode.BadRequest, (await visitor.GetAsync($"/authorize/{consent.Address.Segments[^1]}")).Status);
        });
    }

    private static long AuthTime(TokenAnswer tokens) => (long)TokenAnswer.Claims(tokens.IdToken)["auth_time"]!;

    private static JsonObject Client(string id, params (string Name, JsonNode Value)[] more)
    {
        var client = new JsonObject { ["client_id"] = id, ["client_name"] = id, ["redirect_uris"] = new JsonArray(string.Create(CultureInfo.InvariantCulture, $"https://{id}.example/cb")), ["token_endpoint_auth_method"] = "none", ["scope"] = "openid", ["grants_checked"] = true };
        foreach (var (name, value) in more) client[name] = value;
        return client;
    }
}
