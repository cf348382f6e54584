using System.Text.Encodings.Web;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Html;

namespace TallyBudget;

/// <summary>Fills the templates: {{name}} is a value, encoded; {{?name}}…{{/name}} stays when it has one, {{!name}}…{{/name}} when it has none.</summary>
internal sealed partial class Pages(Settings settings)
{
    public IResult Home(BrowserSession session)
    {
        var (tokens, notice) = (session.Tokens, session.Notice ?? session.EndedBecause);
        session.Notice = null;
        var title = tokens is not null ? $"Hello, {session.Person?["name"] ?? "you"}" : session.EndedBecause is not null ? "Reconnect your bank" : "All your money on one page";
        return Page(session, 200, title, "home.html", new()
        {
            ["notice"] = notice,
            ["connected"] = tokens,
            ["ended"] = session.EndedBecause,
            ["scope"] = tokens?.Scope,
            ["renewable"] = tokens?.RefreshToken,
            ["payments"] = tokens?.Allows("payments") is true ? tokens : null,
            ["transactions"] = tokens?.Allows("transactions") is true ? tokens : null,
            ["balanceRows"] = Rows(session, "balances", "accounts", "name", "number", "balance"),
            ["transactionRows"] = Rows(session, "transactions", "transactions", "text", "date", "amount"),
        });
    }

    public IResult Message(BrowserSession session, int status, string title, string message) => Page(session, status, title, "message.html", new() { ["message"] = message });

    public static string Read(string name)
    {
        using var text = new StreamReader(typeof(Pages).Assembly.GetManifestResourceStream(name)!);
        return text.ReadToEnd();
    }

    private IResult Page(BrowserSession session, int status, string title, string template, Dictionary<string, object?> values)
    {
        (values["title"], values["csrf"], values["authority"], values["failed"]) = (title, session.Csrf, settings.Authority.TrimEnd('/'), status >= 400 ? status : null);
        values["main"] = new HtmlString(Fill(Read(template), values));
        values["first"] = session.Steps.FirstOrDefault()?.Number;
        values["steps"] = new HtmlString(string.Concat(session.Steps.Select(step => $"""
            <li><p>{E(step.Words)} <time datetime="{step.Time:yyyy-MM-ddTHH:mm:ssZ}">{step.Time:HH:mm:ss}</time></p>
            <details><summary>{E(step.Request)}</summary>
            <dl>{string.Concat(step.Details.Select(d => $"<div><dt>{E(d.Name)}</dt><dd>{E(d.Value)}</dd></div>"))}</dl></details></li>
            """)));
        return Results.Content(Fill(Read("layout.html"), values), "text/html; charset=utf-8", statusCode: status);
    }

    private static string Fill(string template, Dictionary<string, object?> values)
    {
        while (Section().IsMatch(template)) template = Section().Replace(template, m => values.GetValueOrDefault(m.Groups[2].Value) is null == (m.Groups[1].Value == "!") ? m.Groups[3].Value : "");
        return Value().Replace(template, m => values.GetValueOrDefault(m.Groups[1].Value) is HtmlString html ? html.Value! : E(values.GetValueOrDefault(m.Groups[1].Value)));
    }

    private static HtmlString? Rows(BrowserSession session, string what, string list, string name, string note, string amount) =>
        session.FromBank.GetValueOrDefault(what)?[list] is not JsonArray rows ? null : new(string.Concat(rows.Select(row => string.Create(CultureInfo.InvariantCulture,
            $"""<tr><th scope="row">{E(row?[name])} <span class="quiet">{E(row?[note])}</span></th><td>{E(((decimal?)row?[amount])?.ToString("£#,0.00;−£#,0.00", CultureInfo.InvariantCulture))}</td></tr>"""))));

    private static string E(object? value) => HtmlEncoder.Default.Encode(value?.ToString() ?? "");

    [GeneratedRegex(@"\{\{([?!])(\w+)\}\}(.*?)\{\{/\2\}\}", RegexOptions.Singleline)]
    private static partial Regex Section();

    [GeneratedRegex(@"\{\{(\w+)\}\}")]
    private static partial Regex Value();
}

/// <summary>303: the browser goes on with GET, whatever it came with (RFC 9110 §15.4.4).</summary>
internal sealed class SeeOther(string address) : IResult
{
    public Task ExecuteAsync(HttpContext context)
    {
        (context.Response.StatusCode, context.Response.Headers.Location) = (303, address);
        return Task.CompletedTask;
    }
}
