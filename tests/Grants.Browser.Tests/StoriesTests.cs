using Grants.Testing;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Grants.Browser.Tests;

/// <summary>What a person lives through with Tally Budget, and what the log tells of it afterwards.</summary>
[Collection(OneAfterTheOther.Name)]
public sealed class StoriesTests(RunningSystem system)
{
    private const string Payments = "Make payments up to £500 a day";

    /// <summary>Sign-in, consent and the exchange of the code: how most of the stories begin.</summary>
    private const string Connected = """
        authorization.requested              client:tally  tally  GET /authorize                       sealed

        session.started                      person        tally  authorization.requested              sealed

        authorization.subject_authenticated  person        tally  authorization.requested              sealed

        grant.created                        person        tally  authorization.subject_authenticated  sealed
        authorization.consent_granted        person        tally  authorization.subject_authenticated  sealed
        authorization.code_issued            person        tally  authorization.subject_authenticated  sealed

        authorization.code_redeemed          client:tally  tally  authorization.code_issued            sealed
        token_family.access_token_issued     client:tally  tally  authorization.code_issued            sealed
        token_family.refresh_token_issued    client:tally  tally  authorization.code_issued            sealed
        token_family.id_token_issued         client:tally  tally  authorization.code_issued            sealed
        """;

    /// <summary>One use of a refresh token.</summary>
    private const string Renewed = """
        token_family.refresh_token_rotated   client:tally  tally  token_family.id_token_issued         sealed
        token_family.access_token_issued     client:tally  tally  token_family.id_token_issued         sealed
        token_family.id_token_issued         client:tally  tally  token_family.id_token_issued         sealed
        """;

    [Fact]
    [Trait("Law", "L11")]
    public async Task Whoever_allows_everything_sees_balances_pays_is_known_and_keeps_access()
    {
        var log = await EventsSince.NowAsync(system.Log);
        await using var person = await Customer.ArriveAsync(system);
        await EverythingWorksAsync(person);

        await log.ReadAsync($"""
            {Connected}

            {Renewed}
            """);
        system.PrintedNoSecret();
    }

    [Fact]
    public async Task Without_JavaScript_the_same_works()
    {
        var log = await EventsSince.NowAsync(system.Log);
        await using var person = await Customer.ArriveAsync(system, browser: new BrowserNewContextOptions { JavaScriptEnabled = false });
        await EverythingWorksAsync(person);

        await log.ReadAsync($"""
            {Connected}

            {Renewed}
            """);
    }

    [Fact]
    public async Task Whoever_leaves_payments_unticked_can_allow_them_later_and_is_asked_for_nothing_else()
    {
        var log = await EventsSince.NowAsync(system.Log);
        await using var person = await Customer.ArriveAsync(system);
        await person.ConnectAsync();
        await Expect(person.Page.GetByTestId("payments-off")).ToHaveTextAsync("You didn't allow payments, so Tally can't pay bills.");

        await person.PressAsync("pay");
        await Expect(person.Notice).ToHaveTextAsync("Nothing was paid. Demo Bank refused, because your access doesn't include payments.");
        await Expect(person.Steps).ToContainTextAsync("403 Forbidden");
        await Expect(person.Steps).ToContainTextAsync("error=\"insufficient_scope\", scope=\"payments\"");

        await person.PressAsync("ask-payments");
        await Expect(person.Page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToHaveTextAsync("Tally Budget asks for 1 thing more");
        var asked = person.Page.Locator("form.consent .permissions:not(details .permissions) .permission-label");
        await Expect(asked).ToHaveTextAsync([Payments]);
        await person.AllowAsync(Payments);
        await person.PressAsync("pay");
        await Expect(person.Notice).ToContainTextAsync("Paid £48.20 to Northgate Energy.");

        await log.ReadAsync($"""
            {Connected}

            authorization.requested              client:tally  tally  GET /authorize                       sealed
            authorization.subject_authenticated  person        tally  authorization.requested              sealed

            grant.widened                        person        tally  authorization.subject_authenticated  sealed
            authorization.consent_granted        person        tally  authorization.subject_authenticated  sealed
            authorization.code_issued            person        tally  authorization.subject_authenticated  sealed

            authorization.code_redeemed          client:tally  tally  authorization.code_issued            sealed
            token_family.access_token_issued     client:tally  tally  authorization.code_issued            sealed
            token_family.refresh_token_issued    client:tally  tally  authorization.code_issued            sealed
            token_family.id_token_issued         client:tally  tally  authorization.code_issued            sealed
            """);
    }

    [Fact]
    [Trait("Law", "L11")]
    public async Task Whoever_says_no_shares_nothing()
    {
        var log = await EventsSince.NowAsync(system.Log);
        await using var person = await Customer.ArriveAsync(system);
        await person.ComeToConsentAsync();
        await person.PressAsync("deny");
        await Expect(person.Notice).ToHaveTextAsync("You said no. Nothing was shared.");
        await Expect(person.Page.GetByTestId("connect")).ToBeVisibleAsync();

        await log.ReadAsync("""
            authorization.requested              client:tally  tally  GET /authorize                       sealed

            session.started                      person        tally  authorization.requested              sealed

            authorization.subject_authenticated  person        tally  authorization.requested              sealed

            authorization.consent_denied         person        tally  authorization.subject_authenticated  sealed
            """);
    }

    [Fact]
    public async Task An_app_that_comes_back_for_what_was_allowed_is_not_asked_about_again()
    {
        var log = await EventsSince.NowAsync(system.Log);
        await using var person = await Customer.ArriveAsync(system);
        await person.ConnectAsync(Payments);
        await person.PressAsync("disconnect");
        await Expect(person.Notice).ToContainTextAsync("Tally has forgotten its tokens.");
        await person.PressAsync("connect");
        await Expect(person.Page.GetByTestId("balances-table")).ToBeVisibleAsync();

        await log.ReadAsync($"""
            {Connected}

            authorization.requested              client:tally  tally  GET /authorize                       sealed
            authorization.subject_authenticated  person        tally  authorization.requested              sealed
            authorization.consent_reused         person        tally  authorization.requested              sealed
            authorization.code_issued            person        tally  authorization.requested              sealed

            authorization.code_redeemed          client:tally  tally  authorization.code_issued            sealed
            token_family.access_token_issued     client:tally  tally  authorization.code_issued            sealed
            token_family.refresh_token_issued    client:tally  tally  authorization.code_issued            sealed
            token_family.id_token_issued         client:tally  tally  authorization.code_issued            sealed
            """);
    }

    [Fact]
    [Trait("Attack", "T1")]
    [Trait("Law", "L11")]
    public async Task An_old_refresh_token_used_again_ends_every_token_of_the_access()
    {
        var log = await EventsSince.NowAsync(system.Log);
        await using var person = await Customer.ArriveAsync(system);
        await person.ConnectAsync(Payments);
        await person.PressAsync("replay");
        await Expect(person.Notice).ToHaveTextAsync(
            "Your bank access has ended. An old refresh token was used again, so the bank took it for stolen and ended every token of this access.");
        await Expect(person.Page.GetByTestId("reconnect")).ToBeVisibleAsync();

        await log.ReadAsync($"""
            {Connected}

            {Renewed}

            {Renewed}

            token_family.refresh_token_replayed  client:tally  tally  token_family.id_token_issued         sealed
            token_family.revoked                 client:tally  tally  token_family.id_token_issued         sealed
            """);
    }

    [Fact]
    [Trait("Law", "L3")]
    public async Task Removed_access_stays_listed_and_neither_userinfo_nor_renewal_works_any_more()
    {
        var log = await EventsSince.NowAsync(system.Log);
        await using var person = await Customer.ArriveAsync(system);
        await person.ConnectAsync(Payments);

        await person.Page.GetByRole(AriaRole.Link, new() { Name = "Manage access" }).ClickAsync();
        await person.PressAsync("remove");
        await Expect(person.Page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToHaveTextAsync("Remove access for Tally Budget?");
        await person.PressAsync("confirm-remove");
        await Expect(person.Page.GetByRole(AriaRole.Status)).ToContainTextAsync("Access removed at");
        await Expect(person.Page.GetByText("No apps can use your account.")).ToBeVisibleAsync();
        var removed = person.Page.GetByRole(AriaRole.Table, new() { Name = "Removed" });
        await Expect(removed.GetByRole(AriaRole.Row, new() { Name = "Tally Budget" })).ToBeVisibleAsync();

        await person.OpenTallyAsync();
        await person.PressAsync("whoami");
        await Expect(person.Notice).ToHaveTextAsync("Your bank access has ended.");
        await Expect(person.Page.GetByTestId("reconnect")).ToBeVisibleAsync();
        var steps = person.Steps.GetByRole(AriaRole.Listitem);
        await Expect(steps.Filter(new() { HasText = "/userinfo" }).Last).ToContainTextAsync("401 Unauthorized");
        await Expect(steps.Last).ToContainTextAsync("Tally renewed its access with the refresh token.");
        await Expect(steps.Last).ToContainTextAsync("invalid_grant");

        await log.ReadAsync($"""
            {Connected}

            grant.revoked                        person        tally  grant.created                        sealed
            """);

        // Whoever removed it may allow it again: that is a new access record.
        var again = await EventsSince.NowAsync(system.Log);
        await person.PressAsync("reconnect");
        await person.AllowAsync();
        await again.ReadAsync("""
            authorization.requested              client:tally  tally  GET /authorize                       sealed
            authorization.subject_authenticated  person        tally  authorization.requested              sealed

            grant.created                        person        tally  authorization.subject_authenticated  sealed
            authorization.consent_granted        person        tally  authorization.subject_authenticated  sealed
            authorization.code_issued            person        tally  authorization.subject_authenticated  sealed

            authorization.code_redeemed          client:tally  tally  authorization.code_issued            sealed
            token_family.access_token_issued     client:tally  tally  authorization.code_issued            sealed
            token_family.refresh_token_issued    client:tally  tally  authorization.code_issued            sealed
            token_family.id_token_issued         client:tally  tally  authorization.code_issued            sealed
            """);
    }

    [Fact]
    [Trait("Rule", "LO-1")]
    public async Task Signing_out_of_the_app_signs_out_of_the_bank_and_leaves_the_permission()
    {
        var log = await EventsSince.NowAsync(system.Log);
        await using var person = await Customer.ArriveAsync(system);
        await person.ConnectAsync(Payments);
        await person.PressAsync("sign-out");
        await Expect(person.Page).ToHaveURLAsync(new System.Text.RegularExpressions.Regex("/signed-out"));
        await Expect(person.Notice).ToHaveTextAsync("You're signed out of Tally and of your bank. What you allowed still stands, until you remove it at the bank.");
        await person.Page.GotoAsync($"{system.Server}account/apps");
        await Expect(person.Page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToHaveTextAsync("Sign in");

        await log.ReadAsync($"""
            {Connected}

            session.ended                        client:tally  tally  session.started                      sealed
            """);

        // Signed in again without the app, and out with the bank's own button: no client has a part in it.
        var alone = await EventsSince.NowAsync(system.Log);
        await person.SignInAsync();
        await Expect(person.Page.GetByRole(AriaRole.Link, new() { Name = "Tally Budget", Exact = true })).ToBeVisibleAsync();
        await person.PressAsync("sign-out");
        await Expect(person.Page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToHaveTextAsync("You're signed out of Example Bank");
        await alone.ReadAsync("""
            session.started                      person        none   POST /signin                         sealed

            session.ended                        person        none   session.started                      sealed
            """);
    }

    [Fact, Trait("Rule", "PR-1"), Trait("Rule", "SU-1")]
    public async Task The_API_says_where_its_tokens_come_from()
    {
        using var http = new HttpClient { BaseAddress = system.Bank };
        var refused = await http.GetAsync(new Uri("/balances", UriKind.Relative));
        Assert.Equal(System.Net.HttpStatusCode.Unauthorized, refused.StatusCode);
        var bank = system.Bank.ToString().TrimEnd('/');
        Assert.Contains($"resource_metadata=\"{bank}/.well-known/oauth-protected-resource\"", refused.Headers.WwwAuthenticate.ToString(), StringComparison.Ordinal);
        var metadata = System.Text.Json.Nodes.JsonNode.Parse(await http.GetStringAsync(new Uri("/.well-known/oauth-protected-resource", UriKind.Relative)))!;
        Assert.Equal((bank, system.Server.ToString().TrimEnd('/')), ((string?)metadata["resource"], (string?)metadata["authorization_servers"]![0]));
        Assert.Contains("payments", metadata["scopes_supported"]!.AsArray().Select(scope => (string?)scope));
    }

    [Fact]
    public async Task The_end_of_an_access_token_is_written_down_and_the_app_renews_its_access()
    {
        var log = await EventsSince.NowAsync(system.Log);
        await using var person = await Customer.ArriveAsync(system, tally: system.Brief);
        await person.ConnectAsync(Payments);
        await log.WaitForAsync("token_family.access_token_expired", 1);
        await person.PressAsync("whoami");
        await Expect(person.Notice).ToContainTextAsync("The bank says you are");
        await log.WaitForAsync("token_family.access_token_expired", 2);

        await log.ReadAsync("""
            authorization.requested              client:tally-brief  tally-brief  GET /authorize                       sealed

            session.started                      person              tally-brief  authorization.requested              sealed

            authorization.subject_authenticated  person              tally-brief  authorization.requested              sealed

            grant.created                        person              tally-brief  authorization.subject_authenticated  sealed
            authorization.consent_granted        person              tally-brief  authorization.subject_authenticated  sealed
            authorization.code_issued            person              tally-brief  authorization.subject_authenticated  sealed

            authorization.code_redeemed          client:tally-brief  tally-brief  authorization.code_issued            sealed
            token_family.access_token_issued     client:tally-brief  tally-brief  authorization.code_issued            sealed
            token_family.refresh_token_issued    client:tally-brief  tally-brief  authorization.code_issued            sealed
            token_family.id_token_issued         client:tally-brief  tally-brief  authorization.code_issued            sealed

            token_family.access_token_expired    system:expiry       tally-brief  token_family.id_token_issued         none

            token_family.refresh_token_rotated   client:tally-brief  tally-brief  token_family.access_token_expired    sealed
            token_family.access_token_issued     client:tally-brief  tally-brief  token_family.access_token_expired    sealed
            token_family.id_token_issued         client:tally-brief  tally-brief  token_family.access_token_expired    sealed

            token_family.access_token_expired    system:expiry       tally-brief  token_family.id_token_issued         none
            """);
    }

    [Fact]
    [Trait("Rule", "DV-3")]
    [Trait("Attack", "C12")]
    [Trait("Law", "L11")]
    public async Task A_television_is_let_in_by_the_code_that_it_shows_and_another_is_turned_away()
    {
        var log = await EventsSince.NowAsync(system.Log);
        using var tv = new HttpClient { BaseAddress = system.Server };
        await using var person = await Customer.ArriveAsync(system, browser: new BrowserNewContextOptions { JavaScriptEnabled = false });
        var shown = await tv.AskForDeviceAsync(TestClient.Tv);
        await person.Page.GotoAsync((string)shown.Json["verification_uri"]!);
        await person.SignInAsync();
        await person.Page.GetByLabel("Code on your device").FillAsync(shown.UserCode.ToLowerInvariant());
        await person.PressAsync("continue");
        await Expect(person.Page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToHaveTextAsync("Allow Tally on TV to use your account?");
        await Expect(person.Page.GetByText(shown.UserCode)).ToBeVisibleAsync();
        Assert.Equal("authorization_pending", (await tv.PollAsync(TestClient.Tv, shown.DeviceCode)).Error);
        await person.PressAsync("allow");
        await Expect(person.Page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToHaveTextAsync("Done. You can go back to your device.");
        var tokens = await tv.PollAsync(TestClient.Tv, shown.DeviceCode);
        Assert.True(tokens.Ok, tokens.Error);

        // Somebody sent this one, with the code in the address. Two presses lead to it, and neither of them is a yes.
        var sent = await tv.AskForDeviceAsync(TestClient.Tv);
        await person.Page.GotoAsync((string)sent.Json["verification_uri_complete"]!);
        await Expect(person.Page.GetByLabel("Code on your device")).ToHaveValueAsync(sent.UserCode);
        await person.PressAsync("continue");
        await person.Page.GetByRole(AriaRole.Button, new() { Name = "This wasn't me" }).ClickAsync();
        await Expect(person.Page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToHaveTextAsync("Refused");
        Assert.Equal("access_denied", (await tv.PollAsync(TestClient.Tv, sent.DeviceCode)).Error);

        await log.ReadAsync("""
            authorization.device_requested       client:tally-tv  tally-tv  POST /device_authorization           sealed

            session.started                      person           none      POST /device/signin                  sealed

            authorization.user_code_entered      person           tally-tv  authorization.device_requested       sealed

            authorization.subject_authenticated  person           tally-tv  authorization.user_code_entered      sealed

            grant.created                        person           tally-tv  authorization.subject_authenticated  sealed
            authorization.consent_granted        person           tally-tv  authorization.subject_authenticated  sealed
            authorization.code_issued            person           tally-tv  authorization.subject_authenticated  sealed

            authorization.code_redeemed          client:tally-tv  tally-tv  authorization.code_issued            sealed
            token_family.access_token_issued     client:tally-tv  tally-tv  authorization.code_issued            sealed
            token_family.refresh_token_issued    client:tally-tv  tally-tv  authorization.code_issued            sealed
            token_family.id_token_issued         client:tally-tv  tally-tv  authorization.code_issued            sealed

            authorization.device_requested       client:tally-tv  tally-tv  POST /device_authorization           sealed

            authorization.user_code_entered      person           tally-tv  authorization.device_requested       sealed

            authorization.subject_authenticated  person           tally-tv  authorization.user_code_entered      sealed

            authorization.consent_denied         person           tally-tv  authorization.subject_authenticated  sealed
            """);
        system.PrintedNoSecret();
    }

    private static async Task EverythingWorksAsync(Customer person)
    {
        await person.ConnectAsync(Payments);
        await Expect(person.Page.GetByTestId("balances-table").GetByRole(AriaRole.Row)).ToHaveCountAsync(3);
        await person.PressAsync("pay");
        await Expect(person.Notice).ToContainTextAsync("Paid £48.20 to Northgate Energy.");
        await person.PressAsync("whoami");
        await Expect(person.Notice).ToContainTextAsync($"Storey, {person.Username}.");
        await person.PressAsync("renew");
        await Expect(person.Notice).ToHaveTextAsync("Renewed. Tally has a new access token and a new refresh token.");
        await person.PressAsync("balances");
        await Expect(person.Page.GetByTestId("balances-table")).ToBeVisibleAsync();
    }
}
