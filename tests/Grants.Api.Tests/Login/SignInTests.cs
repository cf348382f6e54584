using System.Net;
using System.Text.RegularExpressions;
using Grants.Api.Tests.Http;
using Grants.Projections;
using Grants.Testing;

namespace Grants.Api.Tests.Login;

/// <summary>Signing in with a password. These tests move the clock and lock people out; each has a person of its own.</summary>
public sealed class SignInTests(AppFixture app) : IClassFixture<AppFixture>
{
    [Fact, Trait("Attack", "U2"), Trait("Attack", "U1")]
    public async Task Unknown_wrong_and_locked_are_one_answer_and_failures_are_recorded_beside_the_request()
    {
        var unknown = Witness.Saw("personal data", $"{Journey.Random(8)}@nobody.example");
        var wrong = Witness.Saw("password", Journey.Random());
        var before = await app.PositionAsync();
        var answers = new List<Page> { await TryAsync(unknown, wrong), await TryAsync(TestConfiguration.Lin, wrong) };
        for (var failures = 2; failures <= 5; failures++)
        {
            await RecordedAsync(before, failures - 1);
            answers.Add(await TryAsync(TestConfiguration.Lin, wrong));
        }

        await Answers.UntilAsync(async () => (await app.StoryAsync(before)).Contains("subject.locked_out"));
        answers.Add(await TryAsync(TestConfiguration.Lin, TestConfiguration.LinPassword));
        answers.Add(await TryAsync(TestConfiguration.Lin, wrong));

        var first = Neutral(answers[0]);
        Assert.All(answers, answer => Assert.Equal(first, Neutral(answer)));
        Assert.All(answers, answer => Assert.Equal(HttpStatusCode.BadRequest, answer.Status));
        Assert.Contains("don't match", WebUtility.HtmlDecode(answers[0].Body), StringComparison.Ordinal);

        // Five failures, one lock-out, nothing for the tries while locked nor for the unknown name.
        Assert.Equal([.. Enumerable.Repeat("subject.sign_in_failed", 5), "subject.locked_out"], await app.StoryAsync(before));
        var events = await app.EventsAfterAsync(before);
        Assert.All(events, e => Assert.Equal("system:sign-in", e.UserName));
        Assert.All(events, e => Assert.NotNull(e.Text(EventMetadata.Origin)));

        app.Clock.Advance(TimeSpan.FromMinutes(14));
        Assert.Equal(HttpStatusCode.BadRequest, (await TryAsync(TestConfiguration.Lin, TestConfiguration.LinPassword)).Status);
        app.Clock.Advance(TimeSpan.FromMinutes(2));
        Assert.True((await TryAsync(TestConfiguration.Lin, TestConfiguration.LinPassword)).IsAt("/account/apps"));
    }

    [Fact, Trait("Attack", "U1")]
    public async Task A_right_password_after_wrong_ones_sets_the_count_back()
    {
        var before = await app.PositionAsync();
        for (var failures = 1; failures <= 4; failures++)
        {
            await TryAsync(TestConfiguration.Maya, "wrong");
            await RecordedAsync(before, failures);
        }

        Assert.True((await TryAsync(TestConfiguration.Maya, TestConfiguration.MayaPassword)).IsAt("/account/apps"));
        Assert.Equal([.. Enumerable.Repeat("subject.sign_in_failed", 4), "subject.sign_in_failures_cleared", "session.started"], await app.StoryAsync(before));

        await TryAsync(TestConfiguration.Maya, "wrong");
        await RecordedAsync(before, 5);
        Assert.DoesNotContain("subject.locked_out", await app.StoryAsync(before));
        Assert.True((await TryAsync(TestConfiguration.Maya, TestConfiguration.MayaPassword)).IsAt("/account/apps"));
    }

    [Fact]
    public async Task The_user_name_is_found_whatever_its_case_and_blanks_around_it() =>
        Assert.True((await TryAsync("  SAM@Demo.Example ", TestConfiguration.SamPassword)).IsAt("/account/apps"));

    [Theory, Trait("Attack", "P4")]
    [InlineData("", "x")]
    [InlineData("a@b.example", "")]
    [InlineData("\"><script>alert(1)</script>", "x")]
    [InlineData("\uFFFE\uFFFF", "x")]
    [InlineData("two\r\nlines", "x")]
    public async Task Odd_input_is_just_a_wrong_password(string username, string password)
    {
        await app.AppendsNothingAsync(async () =>
        {
            var page = await TryAsync(username, password);
            page.StaysHere();
            Assert.Equal("Sign in", page.Heading);
            Assert.DoesNotContain("<script", page.Body, StringComparison.OrdinalIgnoreCase);
        });
    }

    [Fact, Trait("Attack", "P3")]
    public async Task A_form_that_can_not_be_read_is_refused() =>
        await app.AppendsNothingAsync(async () => (await TryAsync("nul\0", TestConfiguration.SamPassword)).StaysHere());

    [Fact, Trait("Attack", "P3")]
    public async Task An_overlong_name_or_password_is_just_a_wrong_password()
    {
        (await TryAsync(new string('a', 257), "x")).StaysHere();
        (await TryAsync(TestConfiguration.Sam, new string('a', 257))).StaysHere();
    }

    [Fact, Trait("Attack", "R16")]
    public async Task A_sign_in_form_counts_only_from_the_browser_that_was_given_it()
    {
        var victim = app.NewVisitor();
        var attackers = await app.NewVisitor().GetAsync("/signin");
        await app.AppendsNothingAsync(async () =>
        {
            KeyValuePair<string, string>[] login = [new("username", TestConfiguration.Sam), new("password", TestConfiguration.SamPassword)];
            (await victim.PostAsync("/signin", login)).StaysHere();
            (await victim.PostAsync("/signin", [.. attackers.HiddenFields, .. login])).StaysHere();
            await victim.GetAsync("/signin");
            (await victim.PostAsync("/signin", login)).StaysHere();
            (await victim.PostAsync("/signin", [.. attackers.HiddenFields, .. login])).StaysHere();
            Assert.Null(SessionCookie(victim));

            // A form of this browser, but of another page.
            var request = await victim.GetAsync(Journey.Ask(TestClient.Tally).Address);
            (await victim.PostAsync("/signin", [.. request.HiddenFields, .. login])).StaysHere();
        }, allow: "authorization.requested");
    }

    [Fact, Trait("Attack", "R16"), Trait("Attack", "U4")]
    public async Task Every_sign_in_gives_a_fresh_session_cookie_and_another_person_ends_the_session_before()
    {
        var visitor = await app.SignedInAsync();
        var first = SessionCookie(visitor);
        var before = await app.PositionAsync();
        await visitor.SignInAsync(await visitor.GetAsync("/signin"), TestConfiguration.Sam, TestConfiguration.SamPassword);
        var second = SessionCookie(visitor);
        Assert.NotEqual(first, second);
        Assert.Equal(["session.reauthenticated"], await app.StoryAsync(before));

        before = await app.PositionAsync();
        await visitor.SignInAsync(await visitor.GetAsync("/signin"), TestConfiguration.Maya, TestConfiguration.MayaPassword);
        Assert.NotEqual(second, SessionCookie(visitor));
        Assert.Equal(["session.ended", "session.started"], (await app.StoryAsync(before)).Where(name => name.StartsWith("session", StringComparison.Ordinal)).Order(StringComparer.Ordinal));

        // The old cookie opens nothing any more.
        var thief = app.NewVisitor();
        thief.Cookies.Add(new Uri(TestConfiguration.Issuer), new Cookie("grants-session", second));
        Assert.True((await thief.GetAsync("/account/apps")).IsAt("/signin"));
    }

    [Fact, Trait("Attack", "U5")]
    public async Task The_session_cookie_is_small_opaque_and_out_of_reach_of_scripts_and_other_sites()
    {
        var visitor = app.NewVisitor();
        var page = await visitor.GetAsync("/signin");
        var form = page.HiddenFields.Append(new("username", TestConfiguration.Sam)).Append(new("password", TestConfiguration.SamPassword));
        var answer = await visitor.SendOnceAsync(new HttpRequestMessage(HttpMethod.Post, "/signin") { Content = new FormUrlEncodedContent(form) });
        var cookies = answer.Response.Headers.GetValues("Set-Cookie").ToList();
        Assert.Contains(cookies, cookie => cookie.StartsWith("grants-session=", StringComparison.Ordinal));
        foreach (var cookie in cookies)
        {
            Assert.Contains("httponly", cookie, StringComparison.OrdinalIgnoreCase);
            Assert.Matches("(?i)samesite=(lax|strict)", cookie);
            Assert.Contains("path=/", cookie, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain("domain=", cookie, StringComparison.OrdinalIgnoreCase);
            Assert.InRange(cookie.Length, 1, 4096);
        }
    }

    [Theory, Trait("Attack", "R5")]
    [InlineData("//evil.example")]
    [InlineData("/\\evil.example")]
    [InlineData("https:evil.example")]
    [InlineData("https://evil.example/")]
    [InlineData("%2f%2fevil.example")]
    public async Task A_return_address_in_the_request_is_ignored(string target)
    {
        foreach (var name in (string[])["returnUrl", "ReturnUrl", "return_to", "redirect_uri", "next"])
        {
            var visitor = app.NewVisitor();
            var page = await visitor.GetAsync($"/signin?{name}={target}");
            Assert.DoesNotContain("evil.example", page.Body, StringComparison.Ordinal);
            var form = page.HiddenFields.Concat([new("username", TestConfiguration.Sam), new("password", TestConfiguration.SamPassword), new(name, target)]);
            var answer = await visitor.SendOnceAsync(new HttpRequestMessage(HttpMethod.Post, $"/signin?{name}={target}") { Content = new FormUrlEncodedContent(form) });
            Assert.Equal("/account/apps", answer.Location);
        }
    }

    [Fact, Trait("Attack", "R8"), Trait("Rule", "G-7")]
    public async Task Every_redirect_after_a_form_is_a_303()
    {
        var visitor = app.NewVisitor();
        var page = await Sent(visitor, await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("prompt", "consent")).Address), ("username", TestConfiguration.Sam), ("password", TestConfiguration.SamPassword));
        page = await visitor.GetAsync(page.Location!);
        page = await Sent(visitor, page, ("decision", "allow"));
        Assert.StartsWith(TestClient.Tally.RedirectUri, page.Location, StringComparison.Ordinal);
        Witness.Saw("code", page.Answer["code"]);

        await app.CatchUpAsync();
        var remove = Regex.Match((await visitor.GetAsync("/account/apps")).Body, "/account/apps/[0-9a-f]{32}/remove").Value;
        await Sent(visitor, await visitor.GetAsync(remove));
        await Sent(visitor, await visitor.GetAsync("/logout"));
    }

    private static async Task<Page> Sent(Visitor visitor, Page page, params (string Name, string Value)[] fields)
    {
        var form = page.HiddenFields.Concat(fields.Select(field => KeyValuePair.Create(field.Name, field.Value)));
        var answer = await visitor.SendOnceAsync(new HttpRequestMessage(HttpMethod.Post, page.FormAction) { Content = new FormUrlEncodedContent(form) });
        Assert.Equal(HttpStatusCode.SeeOther, answer.Status);
        return answer;
    }

    private async Task<Page> TryAsync(string username, string password)
    {
        var visitor = app.NewVisitor();
        return await visitor.SignInAsync(await visitor.GetAsync("/signin"), username, password);
    }

    private Task RecordedAsync(long before, int failures) =>
        Answers.UntilAsync(async () => (await app.StoryAsync(before)).Count(name => name == "subject.sign_in_failed") >= failures);

    private static string? SessionCookie(Visitor visitor) => visitor.Cookies.GetCookies(new Uri(TestConfiguration.Issuer))["grants-session"]?.Value;

    /// <summary>Status, headers and body, without what differs from one try to the next anyhow.</summary>
    private static string Neutral(Page page) => $"{(int)page.Status}\n"
        + string.Join('\n', page.Response.Headers.Concat(page.Response.Content.Headers).Where(header => header.Key is not ("Date" or "Content-Length")).OrderBy(header => header.Key, StringComparer.Ordinal).Select(header => $"{header.Key}: {Cookies().Replace(string.Join(", ", header.Value), "=")}"))
        + Regex.Replace(Regex.Replace(page.Body, "(name=\"__RequestVerificationToken\" value=\")[^\"]*", "$1"), "(id=\"username\".*?value=\")[^\"]*", "$1", RegexOptions.Singleline);

    private static Regex Cookies() => new("=[A-Za-z0-9_-]{20,}");
}
