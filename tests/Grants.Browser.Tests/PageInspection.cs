using Deque.AxeCore.Commons;
using Microsoft.Playwright;

namespace Grants.Browser.Tests;

/// <summary>Looks at one page in light, in dark and 320 px wide: axe, sideways scrolling, and what the page's own policy stopped.</summary>
internal sealed class PageInspection
{
    /// <summary>axe itself, as Deque's package carries it. The package's own way of running it loads it anew for every look, which is most of the time.</summary>
    private static readonly string Axe = new BundledAxeScriptProvider().GetScript();

    /// <summary>One line for each element that breaks a rule. "target-size" is off unless asked for, although it has one of the tags.</summary>
    private const string Violations = """
        async () => (await axe.run(document, {
          runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'] },
          rules: { 'target-size': { enabled: true } },
          resultTypes: ['violations'],
        })).violations.flatMap(rule => rule.nodes.map(node => `${rule.id}: ${rule.help}: ${node.html}`))
        """;

    private static readonly (string Name, ColorScheme Scheme, int Width)[] Looks =
        [("light", ColorScheme.Light, 1280), ("dark", ColorScheme.Dark, 1280), ("narrow", ColorScheme.Light, 320)];

    private readonly IPage _page;
    private readonly List<string> _found = [];

    public PageInspection(IPage page)
    {
        _page = page;
        // A style, script or form that the policy stops is reported on the console and nowhere else.
        page.Console += (_, message) =>
        {
            if (message.Text.Contains("Content Security Policy", StringComparison.Ordinal)) _found.Add(message.Text);
        };
        page.PageError += (_, error) => _found.Add(error);
    }

    /// <summary>Inspects the page that is open, which must be the one with this heading.</summary>
    public async Task LookAsync(string heading)
    {
        await Assertions.Expect(_page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToHaveTextAsync(heading);
        await _page.EvaluateAsync(Axe);
        foreach (var (name, scheme, width) in Looks)
        {
            await _page.EmulateMediaAsync(new() { ColorScheme = scheme });
            await _page.SetViewportSizeAsync(width, 800);
            foreach (var violation in await _page.EvaluateAsync<string[]>(Violations)) _found.Add($"{heading}, {name}: {violation}");
            var wider = await _page.EvaluateAsync<int>("document.documentElement.scrollWidth - document.documentElement.clientWidth");
            if (wider > 0) _found.Add($"{heading}, {name}: the page is {wider} px wider than the window.");
        }

        await _page.EmulateMediaAsync(new() { ColorScheme = ColorScheme.Light });
        await _page.SetViewportSizeAsync(1280, 800);
    }

    /// <summary>Opens every folded part first: what is hidden is not inspected.</summary>
    public async Task LookUnfoldedAsync(string heading)
    {
        await _page.EvaluateAsync("document.querySelectorAll('details').forEach(part => part.open = true)");
        await LookAsync(heading);
    }

    public void FoundNothing() => Assert.True(_found.Count == 0, string.Join('\n', _found));
}
