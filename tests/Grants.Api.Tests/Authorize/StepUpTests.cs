using System.Net;
using System.Text.Json.Nodes;
using Grants.Api.Tests.Http;
using Grants.Domain.Authorizations;
using Grants.Domain.Sessions;
using Grants.Testing;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Grants.Api.Tests.Authorize;

/// <summary>A server whose userinfo wants a sign-in of the last ten minutes.</summary>
public sealed class StepUpApp : GrantsApp, IAsyncLifetime
{
    public async ValueTask InitializeAsync() => await StartAsync(await NewDatabaseAsync(), configure: builder => builder
        .UseSetting("Grants:UserInfo:MaxAgeSeconds", "600").UseSetting("Grants:UserInfo:AcrValues:0", Authentication.PasswordAcr));
}

/// <summary>RFC 9470: what a resource may want of the sign-in behind a token, and how an app gets it. These tests move the clock.</summary>
public sealed class StepUpTests(StepUpApp app) : IClassFixture<StepUpApp>
{
    private const string Wanted = "error=\"insufficient_user_authentication\", error_description=\"The person has to sign in again.\", acr_values=\"urn:grants:acr:password\", max_age=\"600\"";

    [Theory, Trait("Rule", "SU-1"), Trait("Rule", "AZ-14"), Trait("Attack", "U9")]
    [InlineData("urn:example:gold")]
    [InlineData("urn:example:gold urn:example:silver")]
    [InlineData("URN:GRANTS:ACR:PASSWORD")]
    public async Task A_class_that_can_not_be_reached_is_told_at_once_and_nothing_is_written(string acrValues)
    {
        using var http = app.NewClient();
        await app.AppendsNothingAsync(async () =>
        {
            var asked = Journey.Ask(TestClient.Tally, ("acr_values", acrValues));
            (await app.NewVisitor().GetAsync(asked.Address)).TellsTheApp("unmet_authentication_requirements", asked);
            var silent = Journey.Ask(TestClient.Tally, ("acr_values", acrValues), ("prompt", "none"));
            (await app.NewVisitor().GetAsync(silent.Address)).TellsTheApp("unmet_authentication_requirements", silent);
            var pushed = await http.PushAsync(Journey.Ask(TestClient.Tally, ("acr_values", acrValues)));
            Assert.Equal((HttpStatusCode.BadRequest, "unmet_authentication_requirements"), (pushed.Response.StatusCode, pushed.Error));
        });
    }

    [Theory, Trait("Rule", "SU-1"), Trait("Rule", "AZ-14"), Trait("Rule", "MD-2")]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Every_class_that_is_named_in_the_metadata_can_be_reached_and_only_known_names_are_kept(bool push)
    {
        using var http = app.NewClient();
        var supported = JsonNode.Parse((await app.NewVisitor().GetAsync("/.well-known/openid-configuration")).Body)!["acr_values_supported"]!.AsArray();
        Assert.NotEmpty(supported);
        foreach (var acr in supported.Select(value => (string)value!))
        {
            var asked = Journey.Ask(TestClient.Tally, ("acr_values", $"urn:example:gold  {acr}"));
            if (push) asked = asked.By(await http.PushAsync(asked));
            var before = await app.PositionAsync();
            var tokens = await http.RedeemAsync(asked, (await app.NewVisitor().AllowAsync(asked)).Answer["code"]);
            foreach (var jwt in (string[])[tokens.AccessToken, tokens.IdToken]) Assert.Equal(acr, (string?)TokenAnswer.Claims(jwt)["acr"]);
            var requested = (await app.EventsAfterAsync(before)).Select(e => e.Data).OfType<AuthorizationEvent.Requested>().Single();
            Assert.Equal(acr, Assert.Single(requested.Request.AcrValues!));
        }
    }

    [Fact, Trait("Rule", "AZ-14")]
    public async Task An_empty_list_asks_for_nothing()
    {
        foreach (var empty in (string[])["", " "]) Assert.True((await app.NewVisitor().GetAsync(Journey.Ask(TestClient.Tally, ("acr_values", empty)).Address)).IsAt("/signin/"));
    }

    [Fact, Trait("Rule", "SU-1"), Trait("Rule", "AT-1"), Trait("Rule", "IN-2")]
    public async Task What_a_token_says_of_the_sign_in_stays_over_renewals_though_the_person_signs_in_again()
    {
        using var http = app.NewClient();
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        var (acr, authTime) = SignInOf(TokenAnswer.Claims(tokens.AccessToken));
        Assert.Equal(Authentication.PasswordAcr, acr);

        app.Clock.Advance(TimeSpan.FromMinutes(3));
        var again = Journey.Ask(TestClient.Tally, ("max_age", "60"));
        var newer = await http.RedeemAsync(again, (await visitor.AllowAsync(again)).Answer["code"]);
        Assert.InRange(SignInOf(TokenAnswer.Claims(newer.AccessToken)).AuthTime, authTime + 180, app.Clock.GetUtcNow().ToUnixTimeSeconds());

        for (var renewals = 0; renewals < 2; renewals++)
        {
            app.Clock.Advance(TimeSpan.FromMinutes(1));
            tokens = await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken);
            Assert.Equal((acr, authTime), SignInOf(TokenAnswer.Claims(tokens.AccessToken)));
            foreach (var caller in (TestClient[])[TestClient.Tally, TestClient.Bank]) Assert.Equal((acr, authTime), SignInOf((await http.IntrospectAsync(caller, tokens.AccessToken)).Json));
        }
    }

    [Fact, Trait("Rule", "SU-1"), Trait("Attack", "U8"), Trait("Attack", "U11")]
    public async Task Userinfo_asks_for_a_newer_sign_in_and_takes_the_token_that_comes_of_one()
    {
        using var http = app.NewClient();
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally, TestConfiguration.Maya);
        Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
        app.Clock.Advance(TimeSpan.FromMinutes(9));
        tokens = await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken);
        Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);

        app.Clock.Advance(TimeSpan.FromMinutes(2));
        for (var tries = 0; tries < 2; tries++) // a renewed token says the same of the sign-in
        {
            var refused = await http.UserInfoAsync(tokens.AccessToken);
            Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
            Assert.Contains(Wanted, refused.Headers.WwwAuthenticate.ToString(), StringComparison.Ordinal);
            Assert.Equal("insufficient_user_authentication", (string?)JsonNode.Parse(await refused.Content.ReadAsStringAsync())!["error"]);
            tokens = await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken);
        }

        // The app asks for just that, and the person, signed in or not, is asked for the password.
        var stepUp = Journey.Ask(TestClient.Tally, ("acr_values", Authentication.PasswordAcr), ("max_age", "600"));
        var page = await visitor.GetAsync(stepUp.Address);
        Assert.True(page.IsAt("/signin/"), page.Heading);
        var answer = await visitor.SignInAsync(page, TestConfiguration.Maya, TestConfiguration.MayaPassword);
        var fresh = await http.RedeemAsync(stepUp, Witness.Saw("code", answer.Answer["code"]));
        Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(fresh.AccessToken)).StatusCode);
    }

    [Fact, Trait("Rule", "SU-1"), Trait("Rule", "DP-7")]
    public async Task A_bound_token_is_asked_for_it_with_its_own_scheme()
    {
        using var key = new DpopKey();
        using var bound = app.NewClient(key);
        var asked = Journey.Ask(TestClient.Tally);
        var tokens = await bound.RedeemAsync(asked, (await app.NewVisitor().AllowAsync(asked, TestConfiguration.Lin)).Answer["code"]);
        app.Clock.Advance(TimeSpan.FromMinutes(11));
        tokens = await bound.RefreshAsync(TestClient.Tally, tokens.RefreshToken);
        var refused = await bound.UserInfoAsync(tokens.AccessToken);
        Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        var challenge = refused.Headers.WwwAuthenticate.ToString();
        Assert.StartsWith("DPoP algs=", challenge, StringComparison.Ordinal);
        Assert.Contains(Wanted, challenge, StringComparison.Ordinal);
    }

    [Theory, Trait("Rule", "SU-1")]
    [InlineData("Grants:UserInfo:AcrValues:0", "urn:example:gold", "AcrValues")]
    [InlineData("Grants:UserInfo:MaxAgeSeconds", "59", "MaxAgeSeconds")]
    [InlineData("Grants:UserInfo:MaxAgeSeconds", "-1", "MaxAgeSeconds")]
    public void What_no_token_could_meet_stops_the_start(string setting, string value, string words)
    {
        using var configuration = new ConfigurationManager { [setting] = value };
        var environment = app.Services.GetRequiredService<IHostEnvironment>();
        Assert.Contains(words, Assert.Throws<SettingsException>(() => Settings.From(configuration, environment, command: false)).Message, StringComparison.Ordinal);
    }

    private static (string Acr, long AuthTime) SignInOf(JsonObject claims) => ((string)claims["acr"]!, (long)claims["auth_time"]!);
}
