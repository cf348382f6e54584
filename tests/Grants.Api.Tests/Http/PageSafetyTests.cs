using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Grants.Testing;

namespace Grants.Api.Tests.Http;

/// <summary>What every page carries, and that nothing a stranger wrote comes alive on one.</summary>
[Collection(FrontDoor.Name)]
public sealed partial class PageSafetyTests(AppFixture app)
{
    private static readonly string[] Corpus =
    [
        "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'><svg/onload=alert(1)>", "</title><script>alert(1)</script>", "<!--<img src=\"--><img src=x onerror=alert(1)//\">",
        "javascript:alert(1)", "\u202Egnp.exe\u202C <b>bold</b>", "&lt;script&gt;&#60;script&#62;", "{{7*7}}${7*7}@(7*7)", "\" onfocus=\"alert(1)\" autofocus=\"", "<base href=https://evil.example>", "<form action=https://evil.example><input name=password>", "%3Cscript%3E", "<\u0000script>",
    ];

    public static TheoryData<string> Hostile => [.. Corpus];

    [Fact, Trait("Attack", "R9"), Trait("Attack", "R10"), Trait("Attack", "P4"), Trait("Rule", "G-5"), Trait("Rule", "23-3")]
    public async Task Every_answer_forbids_framing_referrers_storing_and_foreign_content()
    {
        var (_, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        await app.CatchUpAsync();
        var stranger = app.NewVisitor();
        var signIn = await stranger.GetAsync(Journey.Ask(TestClient.Tally).Address);
        var consent = await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("prompt", "consent")).Address);
        var list = await visitor.GetAsync("/account/apps");
        var access = Access().Match(list.Body).Value;
        using var http = app.NewClient();
        var device = await visitor.ComeToDeviceAsync((await http.AskForDeviceAsync(TestClient.Tv)).UserCode);
        var answered = await visitor.SubmitAsync(device, ("decision", "deny"));
        Page[] pages =
        [
            signIn, consent, list, device, answered,
            await stranger.GetAsync("/device"), await visitor.GetAsync("/device"), await visitor.GetAsync("/device?user_code=BBBB-BBBB"), await visitor.ComeToDeviceAsync("BBBB-BBBB"),
            await stranger.PostAsync("/device", []), await stranger.GetAsync("/device/00000000000000000000000000000001/done"),
            await stranger.GetAsync("/"), await visitor.GetAsync("/"), await stranger.GetAsync("/signin"), await stranger.GetAsync($"{signIn.Address.AbsolutePath}/other"),
            await visitor.GetAsync(access), await visitor.GetAsync(access + "/remove"), await visitor.GetAsync("/account/apps?removed=1"), await visitor.GetAsync("/account/apps/00000000000000000000000000000001"),
            await visitor.GetAsync("/logout"), await stranger.GetAsync("/signed-out"), await stranger.GetAsync("/logout?post_logout_redirect_uri=https%3A%2F%2Fevil.example"),
            await stranger.GetAsync("/authorize"), await stranger.GetAsync(Journey.Ask(TestClient.BrowserApp, ("scope", "bad")).Address), await stranger.GetAsync("/consent/00000000000000000000000000000001"),
            await stranger.PostAsync("/signin", []), await visitor.PostAsync(consent.FormAction, []), await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("response_mode", "form_post")).Address),
            await stranger.SubmitAsync(signIn, ("username", "x"), ("password", "x")),
        ];
        Assert.All(pages, page => Assert.StartsWith("text/html", page.Header("Content-Type"), StringComparison.Ordinal));
        Page[] others =
        [
            await stranger.SendOnceAsync(new(HttpMethod.Get, Journey.Ask(TestClient.Tally).Address)), await stranger.SendOnceAsync(new(HttpMethod.Get, "/account/apps")), await stranger.GetAsync(Journey.Ask(TestClient.Tally, ("scope", "bad")).Address),
            await stranger.GetAsync("/nothing"), await stranger.SendOnceAsync(new(HttpMethod.Put, "/authorize")), await stranger.GetAsync("/userinfo"), await stranger.PostAsync("/token", []), await stranger.PostAsync("/device_authorization", []), await stranger.GetAsync("/healthz"),
        ];

        foreach (var page in pages.Concat(others))
        {
            var where = $"{page.Address.AbsolutePath} {page.Status}";
            Assert.Equal((where, "DENY"), (where, page.Header("X-Frame-Options")));
            Assert.Equal((where, "no-referrer"), (where, page.Header("Referrer-Policy")));
            Assert.Equal((where, "nosniff"), (where, page.Header("X-Content-Type-Options")));
            Assert.Contains("no-store", page.Header("Cache-Control"), StringComparison.Ordinal);
            Assert.NotEqual("", page.Header("Permissions-Policy"));
            Assert.Equal("", page.Header("Server"));
            Assert.Equal("", page.Header("X-Powered-By"));
            var policy = page.Header("Content-Security-Policy");
            foreach (var directive in (string[])["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"]) Assert.Contains(directive, policy, StringComparison.Ordinal);
            Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
            Assert.DoesNotContain('*', policy);
        }

        foreach (var page in pages) LoadsNothingForeign(page);
    }

    [Fact, Trait("Attack", "R10")]
    public async Task What_stays_the_same_may_be_kept_and_is_not_interpreted()
    {
        var css = await app.NewVisitor().GetAsync("/grants.css");
        Assert.StartsWith("text/css", css.Header("Content-Type"), StringComparison.Ordinal);
        Assert.DoesNotMatch("@import|url\\((?!['\"]?data:)", css.Body);
        Assert.StartsWith("image/svg+xml", (await app.NewVisitor().GetAsync("/icon.svg")).Header("Content-Type"), StringComparison.Ordinal);
    }

    [Theory, Trait("Attack", "P4"), Trait("Attack", "R18")]
    [MemberData(nameof(Hostile))]
    public async Task An_apps_name_and_purposes_are_text_on_every_page(string hostile)
    {
        var id = "hostile-" + Journey.Random(6);
        var name = hostile.Replace("\0", "", StringComparison.Ordinal); // PostgreSQL's text has no NUL, and neither has JSON there
        JsonObject Declared(bool vouchedFor) => new() { ["client_id"] = id, ["client_name"] = name, ["redirect_uris"] = new JsonArray($"https://{id}.example/cb"), ["post_logout_redirect_uris"] = new JsonArray($"https://{id}.example/out"), ["token_endpoint_auth_method"] = "none", ["scope"] = "openid profile", ["grants_checked"] = vouchedFor, ["grants_purposes"] = new JsonObject { ["profile"] = name.Length > 80 ? name[..80] : name } };
        await app.DeclareClientAsync(Declared(true));
        var client = new TestClient(id, null, $"https://{id}.example/cb", "openid profile");
        var visitor = app.NewVisitor();
        var signIn = await visitor.GetAsync(Journey.Ask(client, ("prompt", "consent")).Address);
        var consent = await visitor.SignInAsync(signIn, TestConfiguration.Maya, TestConfiguration.MayaPassword);
        Assert.True(consent.IsAt("/consent/"));
        var asked = Journey.Ask(client, ("prompt", "consent"), ("response_mode", "form_post"));
        var consentToForm = await visitor.GetAsync(asked.Address);
        var post = await visitor.SubmitAsync(consentToForm, ("decision", "allow"));
        using var http = app.NewClient();
        var tokens = await http.RedeemAsync(asked, Witness.Saw("code", post.HiddenFields.ToDictionary()["code"]));
        await app.CatchUpAsync();
        var list = await visitor.GetAsync("/account/apps");
        var access = Access().Match(list.Body).Value;
        var other = await app.SignedInAsync();
        var ask = await other.GetAsync($"/logout?id_token_hint={tokens.IdToken}&post_logout_redirect_uri={Uri.EscapeDataString($"https://{id}.example/out")}");
        Page[] pages = [signIn, consent, post, list, await visitor.GetAsync(access), await visitor.GetAsync(access + "/remove"), await other.SubmitAsync(ask), await visitor.GetAsync(consentToForm.Address.AbsolutePath)];
        await app.DeclareClientAsync(Declared(false));
        foreach (var page in pages.Append(await app.NewVisitor().GetAsync(Journey.Ask(client, ("scope", "bad")).Address)))
        {
            Inert(page);
            Assert.DoesNotContain('\u202E', WebUtility.HtmlDecode(page.Body));
        }
    }

    [Theory, Trait("Attack", "P4"), Trait("Attack", "P18")]
    [MemberData(nameof(Hostile))]
    public async Task What_a_request_says_is_text_where_it_is_shown(string hostile)
    {
        var visitor = app.NewVisitor();
        var hint = await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("login_hint", hostile)).Address);
        Page[] pages =
        [
            hint,
            await visitor.SubmitAsync(hint, ("username", hostile), ("password", "x")),
            await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("client_id", hostile)).Address),
            await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("redirect_uri", hostile)).Address),
            await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("response_mode", hostile)).Address),
            await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("prompt", hostile)).Address),
            await visitor.GetAsync(Journey.Ask(TestClient.BrowserApp, ("scope", hostile), ("state", hostile), ("error", hostile)).Address),
            await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("scope", "bad"), ("state", hostile), ("response_mode", "form_post")).Address),
            await visitor.GetAsync($"/logout?post_logout_redirect_uri={Uri.EscapeDataString(hostile)}&state={Uri.EscapeDataString(hostile)}"),
            await visitor.GetAsync($"/signed-out?error={Uri.EscapeDataString(hostile)}"),
            await visitor.GetAsync($"/signin?error={Uri.EscapeDataString(hostile)}"),
            await visitor.GetAsync($"/device?user_code={Uri.EscapeDataString(hostile)}"),
            await (await app.SignedInAsync()).ComeToDeviceAsync(hostile),
        ];
        foreach (var page in pages)
        {
            Assert.InRange((int)page.Status, 200, 499);
            Inert(page);
        }

        // To the app it goes as a parameter and nothing else.
        var redirect = await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("scope", hostile), ("state", hostile)).Address);
        Assert.Equal(hostile, redirect.Answer["state"]);
        Assert.DoesNotContain('<', redirect.Location!);
        Assert.DoesNotContain("script", redirect.Answer["error_description"], StringComparison.Ordinal);
    }

    [Fact, Trait("Attack", "P3")]
    public async Task A_form_with_too_many_or_too_long_fields_is_refused_everywhere()
    {
        var visitor = app.NewVisitor();
        var page = await visitor.GetAsync("/signin");
        var many = Enumerable.Range(0, 201).Select(i => KeyValuePair.Create($"f{i}", "x"));
        KeyValuePair<string, string>[] longName = [new(new string('n', 300), "x")];
        KeyValuePair<string, string>[] longValue = [new("username", new string('v', 33 * 1024))];
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var fields in (IEnumerable<KeyValuePair<string, string>>[])[many, longName, longValue])
            {
                foreach (var path in (string[])["/signin", "/authorize", "/logout", "/logout/confirm", "/token", "/device_authorization", "/device", "/userinfo", "/account/apps/00000000000000000000000000000001/remove"])
                {
                    var answer = await visitor.SendOnceAsync(new(HttpMethod.Post, path) { Content = new FormUrlEncodedContent(page.HiddenFields.Concat(fields)) });
                    Assert.True((int)answer.Status is (>= 400 and < 500) || (path == "/logout" && (int)answer.Status < 400), $"{path} {answer.Status}");
                }
            }
        });
    }

    [Theory, Trait("Rule", "G-8")]
    [InlineData(null, 401, "Bearer realm=\"grants\"")]
    [InlineData("Basic eDp5", 401, "Bearer realm=\"grants\"")]
    [InlineData("Bearer nonsense", 401, "error=\"invalid_token\"")]
    public async Task A_bearer_endpoint_says_what_is_wrong_in_its_challenge(string? authorization, int status, string challenge)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/userinfo");
        if (authorization is not null) request.Headers.TryAddWithoutValidation("Authorization", authorization);
        var page = await app.NewVisitor().SendOnceAsync(request);
        Assert.Equal(status, (int)page.Status);
        Assert.Contains(challenge, page.Header("WWW-Authenticate"), StringComparison.Ordinal);
        if (authorization is null) Assert.DoesNotContain("error", page.Header("WWW-Authenticate"), StringComparison.Ordinal);
    }

    [Fact, Trait("Rule", "G-8"), Trait("Rule", "20-2")]
    public async Task A_token_in_the_address_is_none()
    {
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var page = await app.NewVisitor().GetAsync("/userinfo?access_token=" + tokens.AccessToken);
        Assert.Equal(HttpStatusCode.Unauthorized, page.Status);
    }

    /// <summary>No element or attribute on the page but those that our own pages have.</summary>
    private static void Inert(Page page)
    {
        foreach (var tag in (string[])["img", "svg/onload", "base", "b", "iframe", "object"]) Assert.DoesNotContain($"<{tag}>", page.Body, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotMatch("(?i)<(img|base|b|iframe|object|embed)[\\s/>]", page.Body);
        Assert.DoesNotMatch("(?i)<[a-z][^<>]*\\son[a-z]+\\s*=", Values().Replace(page.Body, "\"\""));
        Assert.DoesNotMatch("(?i)(href|src|action)=\"\\s*(javascript|data|vbscript):", page.Body);
        Assert.All(Scripts().Matches(page.Body), script => Assert.StartsWith("<script nonce=", script.Value, StringComparison.Ordinal));
        LoadsNothingForeign(page);
    }

    /// <summary>Everything that a browser fetches by itself comes from this origin.</summary>
    private static void LoadsNothingForeign(Page page)
    {
        foreach (Match match in Loads().Matches(page.Body)) Assert.Matches("^/[^/]", match.Groups[1].Value);
        Assert.DoesNotContain("<style", page.Body, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotMatch("\\sstyle=\"", Values().Replace(page.Body, "\"\"").Replace("\"\"", "", StringComparison.Ordinal));
    }

    [GeneratedRegex("/account/apps/[0-9a-f]{32}")]
    private static partial Regex Access();

    [GeneratedRegex("\"[^\"]*\"")]
    private static partial Regex Values();

    [GeneratedRegex("(?i)<script[^>]*>")]
    private static partial Regex Scripts();

    [GeneratedRegex("(?i)<(?:link|script|img|iframe|source|video|audio)[^>]*\\s(?:href|src)=\"([^\"]*)\"")]
    private static partial Regex Loads();
}
