using Grants.Testing;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Grants.Browser.Tests;

/// <summary>Every page, in each of its states, is for everybody: WCAG 2.2 AA as far as axe can tell, in light, dark and narrow windows.</summary>
[Collection(OneAfterTheOther.Name)]
public sealed class PagesTests(RunningSystem system)
{
    private const string Payments = "Make payments up to £500 a day";
    private const string NotFound = "There is nothing here";

    [Fact]
    public async Task Home_and_sign_in()
    {
        await using var person = await Customer.ArriveAsync(system);
        var inspection = new PageInspection(person.Page);
        await person.Page.GotoAsync(system.Server.ToString());
        await inspection.LookAsync("Your Example Bank account");
        await person.PressAsync("sign-in");
        await inspection.LookAsync("Sign in");

        // A name that nobody has: a wrong password of somebody's would be written down.
        await person.Page.GetByLabel("Email address").FillAsync("nobody@story.example");
        await person.Page.GetByLabel("Password").FillAsync("wrong");
        await person.PressAsync("sign-in");
        await Expect(person.Page.GetByRole(AriaRole.Alert)).ToContainTextAsync("That email address and password don't match.");
        await Expect(person.Page).ToHaveTitleAsync("Error: Sign in – Example Bank");
        await inspection.LookAsync("Sign in");
        await person.SignInAsync();
        await inspection.LookAsync("Apps with access to your account");
        await person.Page.GotoAsync(system.Server.ToString());
        await inspection.LookAsync("Your Example Bank account");

        // For an app, with and without an account that has to be confirmed.
        await person.Page.GotoAsync(AuthorizationRequest("tally", $"{system.Tally}callback", "openid&prompt=login"));
        await inspection.LookAsync("Confirm it's you");
        await person.Page.GetByRole(AriaRole.Link, new() { Name = "Not you?" }).ClickAsync();
        await inspection.LookAsync("Sign in");
        inspection.FoundNothing();
    }

    [Fact]
    public async Task Consent()
    {
        await using var person = await Customer.ArriveAsync(system);
        var inspection = new PageInspection(person.Page);
        await person.ComeToConsentAsync();
        await inspection.LookUnfoldedAsync("Allow Tally Budget to use your account?");
        await person.AllowAsync();
        await person.PressAsync("ask-payments");
        await inspection.LookUnfoldedAsync("Tally Budget asks for 1 thing more");
        await person.AllowAsync(Payments);

        // Nothing new, but the app wants it asked: everything again, with the last answer said and not ticked.
        await person.Page.GotoAsync(AuthorizationRequest("tally", $"{system.Tally}callback", "openid balances payments&prompt=consent"));
        await Expect(person.Page.GetByLabel(Payments)).Not.ToBeCheckedAsync();
        await Expect(person.Page.GetByText("You allowed this before")).ToHaveCountAsync(2);
        await inspection.LookUnfoldedAsync("Allow Tally Budget to use your account?");

        await person.Page.GotoAsync(AuthorizationRequest("pocket-browser", "http://localhost:5400/callback", "openid profile balances transactions"));
        await Expect(person.Page.GetByText("Example Bank has not checked this app.")).ToBeVisibleAsync();
        await inspection.LookUnfoldedAsync("Allow Pocket Ledger to use your account?");
        await person.Page.GotoAsync(AuthorizationRequest("purse-native", "com.example.purse:/callback", "openid profile balances"));
        await Expect(person.Page.GetByText("This app runs on your own device")).ToBeVisibleAsync();
        await inspection.LookUnfoldedAsync("Allow Purse for Desktop to use your account?");
        inspection.FoundNothing();
    }

    [Fact]
    public async Task The_way_back_by_form_post()
    {
        await using var person = await Customer.ArriveAsync(system);
        var inspection = new PageInspection(person.Page);
        // The browser never gets through to the app, and so the page stays to be looked at.
        await person.Page.RouteAsync($"{system.Tally}callback", route => route.AbortAsync("aborted"));
        await person.Page.GotoAsync(AuthorizationRequest("tally", $"{system.Tally}callback", "openid&response_mode=form_post"));
        await person.SignInAsync();
        await person.PressAsync("allow");
        await inspection.LookAsync("Going back to Tally Budget");
        inspection.FoundNothing();
    }

    [Fact]
    [Trait("Rule", "DV-3")]
    public async Task A_device()
    {
        using var tv = new HttpClient { BaseAddress = system.Server };
        await using var person = await Customer.ArriveAsync(system);
        var inspection = new PageInspection(person.Page);
        await person.Page.GotoAsync($"{system.Server}device");
        await inspection.LookAsync("Sign in");
        await person.SignInAsync();
        await inspection.LookAsync("Connect a device");
        await person.Page.GetByLabel("Code on your device").FillAsync("BBBB-BBBB");
        await person.PressAsync("continue");
        await Expect(person.Page.GetByRole(AriaRole.Alert)).ToContainTextAsync("That code isn't active.");
        await Expect(person.Page).ToHaveTitleAsync("Error: Connect a device – Example Bank");
        await inspection.LookAsync("Connect a device");

        foreach (var (answer, heading) in ((string, string)[])[("deny", "Refused"), ("allow", "Done. You can go back to your device.")])
        {
            await person.Page.GotoAsync((string)(await tv.AskForDeviceAsync(TestClient.Tv)).Json["verification_uri_complete"]!);
            await inspection.LookAsync("Connect a device");
            await person.PressAsync("continue");
            await inspection.LookUnfoldedAsync("Allow Tally on TV to use your account?");
            await person.PressAsync(answer);
            await inspection.LookAsync(heading);
        }

        inspection.FoundNothing();
    }

    [Fact]
    public async Task Errors()
    {
        await using var person = await Customer.ArriveAsync(system);
        var inspection = new PageInspection(person.Page);
        await person.Page.GotoAsync(AuthorizationRequest("tally", "http://localhost:1/elsewhere/with/a/very/long/address/that/has/no/place/to/break/it/anywhere", "openid"));
        await inspection.LookUnfoldedAsync("This link doesn't work");
        await person.Page.GotoAsync($"{system.Server}consent/{Guid.Empty:N}");
        await inspection.LookUnfoldedAsync("This link doesn't work");
        await person.Page.GotoAsync($"{system.Server}no-such-page");
        await inspection.LookUnfoldedAsync(NotFound);

        // A request that was answered already.
        await person.ComeToConsentAsync();
        var consent = person.Page.Url;
        await person.AllowAsync();
        await person.Page.GotoAsync(consent);
        await inspection.LookUnfoldedAsync("You've already answered");
        inspection.FoundNothing();
    }

    [Fact]
    public async Task Connected_apps()
    {
        await using var person = await Customer.ArriveAsync(system);
        var inspection = new PageInspection(person.Page);
        await person.Page.GotoAsync($"{system.Server}account/apps");
        await person.SignInAsync();
        await Expect(person.Page.GetByText("No apps can use your account.")).ToBeVisibleAsync();
        await inspection.LookAsync("Apps with access to your account");

        await person.OpenTallyAsync();
        await person.PressAsync("connect");
        await person.AllowAsync();
        await person.PressAsync("renew");
        await person.Page.GotoAsync($"{system.Server}account/apps");
        await Expect(person.Page.GetByTestId("remove")).ToBeVisibleAsync();
        await inspection.LookAsync("Apps with access to your account");
        await person.Page.GetByRole(AriaRole.Link, new() { Name = "Tally Budget", Exact = true }).ClickAsync();
        await inspection.LookUnfoldedAsync("Access for Tally Budget");
        await person.PressAsync("remove");
        await inspection.LookAsync("Remove access for Tally Budget?");
        await person.PressAsync("keep");
        await person.PressAsync("remove");
        await person.PressAsync("confirm-remove");
        await inspection.LookAsync("Apps with access to your account");
        await person.Page.GetByRole(AriaRole.Link, new() { Name = "Tally Budget", Exact = true }).ClickAsync();
        await inspection.LookUnfoldedAsync("Access for Tally Budget");
        await person.Page.GotoAsync($"{system.Server}account/apps/{Guid.Empty:N}");
        await inspection.LookAsync(NotFound);
        inspection.FoundNothing();
    }

    [Fact]
    public async Task Signing_out()
    {
        await using var person = await Customer.ArriveAsync(system);
        var inspection = new PageInspection(person.Page);
        await person.Page.GotoAsync($"{system.Server}signin");
        await person.SignInAsync();
        await Expect(person.Page.GetByText("No apps can use your account.")).ToBeVisibleAsync();
        await person.Page.GotoAsync($"{system.Server}logout");
        await inspection.LookAsync("Sign out of Example Bank?");
        await person.PressAsync("sign-out");
        await inspection.LookAsync("You're signed out of Example Bank");
        inspection.FoundNothing();
    }

    [Fact]
    public async Task Tally_Budget()
    {
        await using var person = await Customer.ArriveAsync(system);
        var inspection = new PageInspection(person.Page);
        await person.OpenTallyAsync();
        await inspection.LookUnfoldedAsync("All your money on one page");
        await person.ConnectAsync();
        await person.PressAsync("pay");
        await Expect(person.Notice).ToContainTextAsync("Nothing was paid.");
        await inspection.LookUnfoldedAsync($"Hello, {Name(person)}");
        await person.PressAsync("ask-transactions");
        await person.AllowAsync();
        await Expect(person.Page.GetByTestId("transactions-table")).ToBeVisibleAsync();
        await inspection.LookAsync($"Hello, {Name(person)}");
        await person.PressAsync("replay");
        await inspection.LookAsync("Reconnect your bank");
        await person.PressAsync("reconnect");
        await person.PressAsync("sign-out");
        await inspection.LookAsync("You're signed out");
        await person.Page.GotoAsync($"{system.Tally}callback?state=unknown&code=unknown");
        await inspection.LookAsync("Tally isn't waiting for this answer");
        await person.Page.GotoAsync($"{system.Tally}no-such-page");
        await inspection.LookAsync(NotFound);
        inspection.FoundNothing();
    }

    private static string Name(Customer person) => $"{char.ToUpperInvariant(person.Username[0])}{person.Username[1..person.Username.IndexOf('@', StringComparison.Ordinal)]} Storey";

    /// <summary>An authorization request as any app would send it; the rest may add parameters to the scope.</summary>
    private string AuthorizationRequest(string client, string redirectUri, string scopeAndRest) =>
        $"{system.Server}authorize?response_type=code&client_id={client}&redirect_uri={Uri.EscapeDataString(redirectUri)}&state=s&nonce=n"
        + "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&scope=" + scopeAndRest.Replace(" ", "%20", StringComparison.Ordinal);
}
