using System.Net;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.WebUtilities;

namespace Grants.Testing;

/// <summary>A person at a browser without scripts: keeps cookies, follows redirects within the server, fills in forms.</summary>
/// <param name="http">Neither follows redirects nor keeps cookies.</param>
/// <param name="origin">The server's.</param>
public sealed class Visitor(HttpClient http, string origin)
{
    private readonly CookieContainer _cookies = new();

    /// <summary>The cookies, to be looked at or carried off.</summary>
    public CookieContainer Cookies => _cookies;

    /// <summary>GET and follow redirects as long as they stay on the server.</summary>
    public async Task<Page> GetAsync(string address) => await SendAsync(new HttpRequestMessage(HttpMethod.Get, address));

    /// <summary>POST a form and follow redirects as long as they stay on the server.</summary>
    public async Task<Page> PostAsync(string address, IEnumerable<KeyValuePair<string, string>> fields) =>
        await SendAsync(new HttpRequestMessage(HttpMethod.Post, address) { Content = new FormUrlEncodedContent(fields) });

    /// <summary>Fills in the page's form and sends it.</summary>
    public Task<Page> SubmitAsync(Page page, params (string Name, string Value)[] fields) =>
        PostAsync(page.FormAction, page.HiddenFields.Concat(fields.Select(field => KeyValuePair.Create(field.Name, field.Value))));

    /// <summary>One request, no redirect followed.</summary>
    public async Task<Page> SendOnceAsync(HttpRequestMessage request)
    {
        var address = new Uri(new Uri(origin), request.RequestUri!);
        var cookies = _cookies.GetCookieHeader(address);
        if (cookies.Length > 0) request.Headers.TryAddWithoutValidation("Cookie", cookies);
        request.RequestUri = address;
        var response = await http.SendAsync(request);
        if (response.Headers.TryGetValues("Set-Cookie", out var set))
        {
            foreach (var cookie in set) _cookies.SetCookies(address, cookie);
        }

        return new Page(response, await response.Content.ReadAsStringAsync(), address);
    }

    private async Task<Page> SendAsync(HttpRequestMessage request)
    {
        var page = await SendOnceAsync(request);
        for (var hops = 0; page.Location is { } location && hops < 10; hops++)
        {
            var next = new Uri(page.Address, location);
            if (next.GetLeftPart(UriPartial.Authority) != origin) break;
            page = await SendOnceAsync(new HttpRequestMessage(HttpMethod.Get, next));
        }

        return page;
    }

    /// <summary>Signs in on a sign-in page.</summary>
    public async Task<Page> SignInAsync(Page page, string username, string password) => await SubmitAsync(page, ("username", username), ("password", password));
}

/// <summary>An answer as a browser sees it.</summary>
public sealed partial record Page(HttpResponseMessage Response, string Body, Uri Address)
{
    public HttpStatusCode Status => Response.StatusCode;

    public string? Location => Response.Headers.Location?.OriginalString;

    public string Heading => WebUtility.HtmlDecode(Tag().Replace(H1().Match(Body).Groups[1].Value, "")).Trim();

    /// <summary>The action of the page's own form: the one in <c>main</c>, not the sign-out button in the head.</summary>
    public string FormAction => WebUtility.HtmlDecode(FormStart().Match(Main).Groups[1].Value);

    public IReadOnlyList<KeyValuePair<string, string>> HiddenFields => [.. Hidden().Matches(MainForm)
        .Select(match => KeyValuePair.Create(WebUtility.HtmlDecode(Attribute(match.Value, "name")), WebUtility.HtmlDecode(Attribute(match.Value, "value"))))
        .Where(input => input.Key.Length > 0)];

    /// <summary>The parameters of the redirect to an app.</summary>
    public IReadOnlyDictionary<string, string> Answer => QueryHelpers.ParseQuery(new Uri(Location!).Query).ToDictionary(pair => pair.Key, pair => pair.Value.Single()!);

    public string Header(string name) => Response.Headers.TryGetValues(name, out var values) || Response.Content.Headers.TryGetValues(name, out values) ? string.Join(", ", values) : "";

    private string Main => Body.IndexOf("<main", StringComparison.Ordinal) is var start and >= 0 ? Body[start..] : Body;

    private string MainForm => Main.IndexOf("<form", StringComparison.Ordinal) is var start and >= 0 ? Main[start..(Main.IndexOf("</form>", start, StringComparison.Ordinal) is var end and >= 0 ? end : Main.Length)] : "";

    private static string Attribute(string tag, string name) => Regex.Match(tag, $"\\b{name}=\"([^\"]*)\"").Groups[1].Value;

    [GeneratedRegex("<h1[^>]*>(.*?)</h1>", RegexOptions.Singleline)]
    private static partial Regex H1();

    [GeneratedRegex("<[^>]+>")]
    private static partial Regex Tag();

    [GeneratedRegex("<form[^>]*\\baction=\"([^\"]*)\"")]
    private static partial Regex FormStart();

    [GeneratedRegex("<input[^>]*type=\"hidden\"[^>]*>")]
    private static partial Regex Hidden();
}
