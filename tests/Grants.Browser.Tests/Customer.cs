using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Grants.Browser.Tests;

/// <summary>A person with a bank account, at a browser of their own, pressing what a person presses.</summary>
internal sealed class Customer : IAsyncDisposable
{
    private readonly RunningSystem _system;
    private readonly Uri _tally;

    private Customer(RunningSystem system, string username, IPage page, Uri tally) => (_system, Username, Page, _tally) = (system, username, page, tally);

    public IPage Page { get; }

    public string Username { get; }

    /// <summary>What Tally tells the person at the top of its page.</summary>
    public ILocator Notice => Page.GetByTestId("notice");

    /// <summary>Tally's list of what just happened.</summary>
    public ILocator Steps => Page.GetByTestId("steps");

    public static async Task<Customer> ArriveAsync(RunningSystem system, string? username = null, Uri? tally = null, BrowserNewContextOptions? browser = null) =>
        new(system, username ?? system.Sample.NextStranger(), await system.NewPageAsync(browser), tally ?? system.Tally);

    public Task PressAsync(string button) => Page.GetByTestId(button).ClickAsync();

    public async Task OpenTallyAsync() => await Page.GotoAsync(_tally.ToString());

    public async Task SignInAsync()
    {
        await Page.GetByLabel("Email address").FillAsync(Username);
        await Page.GetByLabel("Password").FillAsync(_system.Sample.PasswordOf(Username));
        await PressAsync("sign-in");
    }

    /// <summary>From Tally's front page to the question whether it may.</summary>
    public async Task ComeToConsentAsync()
    {
        await OpenTallyAsync();
        await PressAsync("connect");
        await SignInAsync();
        await Expect(Page.GetByTestId("allow")).ToBeVisibleAsync();
    }

    /// <summary>Allows what Tally asks for, and of the optional permissions those named.</summary>
    public async Task AllowAsync(params string[] optional)
    {
        foreach (var label in optional) await Page.GetByLabel(label).CheckAsync();
        await PressAsync("allow");
        await Expect(Page).ToHaveURLAsync(_tally.ToString());
        await Expect(Page.GetByTestId("balances-table")).ToBeVisibleAsync();
    }

    /// <summary>All of it: from Tally's front page to the balances.</summary>
    public async Task ConnectAsync(params string[] optional)
    {
        await ComeToConsentAsync();
        await AllowAsync(optional);
    }

    public async ValueTask DisposeAsync() => await Page.Context.DisposeAsync();
}
