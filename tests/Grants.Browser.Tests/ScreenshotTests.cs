using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Grants.Browser.Tests;

/// <summary>The pictures of the README, taken anew when GRANTS_SCREENSHOTS is 1.</summary>
[Collection(OneAfterTheOther.Name)]
public sealed class ScreenshotTests(RunningSystem system)
{
    private const int Margin = 32;
    private const string Payments = "Make payments up to £500 a day";

    public static bool Wanted => Environment.GetEnvironmentVariable("GRANTS_SCREENSHOTS") == "1";

    [Fact(Skip = "GRANTS_SCREENSHOTS is not 1.", SkipUnless = nameof(Wanted))]
    public async Task The_pictures_of_the_README()
    {
        await using var person = await Customer.ArriveAsync(system, Sample.Sam);
        await person.OpenTallyAsync();
        await person.PressAsync("connect");
        await person.Page.GetByLabel("Email address").FillAsync(Sample.Sam);
        await TakeAsync(person.Page, "sign-in");

        await person.SignInAsync();
        await Expect(person.Page.GetByTestId("allow")).ToBeVisibleAsync();
        await person.Page.GetByLabel(Payments).CheckAsync();
        await TakeAsync(person.Page, "consent");
        await TakeAsync(person.Page, "consent-dark", ColorScheme.Dark);
        await TakeAsync(person.Page, "consent-narrow", width: 320);
        await person.AllowAsync();
        await person.PressAsync("pay");
        await TakeAsync(person.Page, "tally");

        await person.Page.GotoAsync($"{system.Server}account/apps");
        await Expect(person.Page.GetByTestId("remove")).ToBeVisibleAsync();
        await TakeAsync(person.Page, "connected-apps");
    }

    /// <summary>Takes the head and the content of a page and leaves out the empty room beside them.</summary>
    private static async Task TakeAsync(IPage page, string name, ColorScheme scheme = ColorScheme.Light, int width = 1280)
    {
        await page.EmulateMediaAsync(new() { ColorScheme = scheme });
        await page.SetViewportSizeAsync(width, 800);
        await page.Mouse.MoveAsync(0, 0);
        var edges = await page.EvaluateAsync<double[]>("""
            () => {
              document.activeElement?.blur();
              scrollTo(0, 0);
              const parts = [...document.querySelectorAll('main > *, aside')].map(part => part.getBoundingClientRect());
              return [Math.min(...parts.map(part => part.left)), Math.max(...parts.map(part => part.right)), Math.max(...parts.map(part => part.bottom))];
            }
            """);
        var (left, right) = ((float)Math.Max(0, edges[0] - Margin), (float)Math.Min(width, edges[1] + Margin));
        await page.ScreenshotAsync(new()
        {
            Path = Path.Combine(ChildProgram.Root, "docs", "images", $"{name}.png"),
            FullPage = true,
            Clip = new() { X = left, Y = 0, Width = right - left, Height = (float)edges[2] + Margin },
        });
        await page.EmulateMediaAsync(new() { ColorScheme = ColorScheme.Light });
        await page.SetViewportSizeAsync(1280, 800);
    }
}
