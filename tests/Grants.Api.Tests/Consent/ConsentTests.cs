using System.Net;
using System.Text.RegularExpressions;
using Grants.Api.Http;
using Grants.Api.Tests.Http;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Protocol;
using Grants.Projections;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;

namespace Grants.Api.Tests.Consent;

/// <summary>What a person is asked, what is remembered of the answer, and who may not answer in a person's place.</summary>
public sealed class ConsentTests(AppFixture app) : IClassFixture<AppFixture>
{
    private const string More = "openid profile email balances transactions payments offline_access";

    [Fact, Trait("Rule", "AZ-10")]
    public async Task A_refused_optional_permission_is_remembered_and_asked_again_only_on_demand()
    {
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally, TestConfiguration.Sam);
        Assert.DoesNotContain("payments", tokens.Scope, StringComparison.Ordinal);

        var before = await app.PositionAsync();
        var asked = Journey.Ask(TestClient.Tally);
        var page = await visitor.GetAsync(asked.Address);
        using var http = app.NewClient();
        Assert.DoesNotContain("payments", (await http.RedeemAsync(asked, page.Answer["code"])).Scope, StringComparison.Ordinal);
        Assert.Contains("authorization.consent_reused", await app.StoryAsync(before));

        var again = await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("prompt", "consent")).Address);
        Assert.Contains("payments", Boxes(again));
        var later = Journey.Ask(TestClient.Tally, ("prompt", "consent"));
        var granted = await visitor.AllowAsync(later, optional: "payments");
        Assert.Contains("payments", (await http.RedeemAsync(later, granted.Answer["code"])).Scope, StringComparison.Ordinal);

        // And taken back in the same way.
        before = await app.PositionAsync();
        await visitor.AllowAsync(Journey.Ask(TestClient.Tally, ("prompt", "consent")));
        Assert.Contains("grant.narrowed", await app.StoryAsync(before));
    }

    [Fact, Trait("Attack", "R17")]
    public async Task One_new_permission_is_asked_for_alone_and_the_rest_stays()
    {
        var (_, visitor, _, _) = await app.ConnectAsync(TestClient.Tally, TestConfiguration.Maya, "payments");
        var asked = Journey.Ask(TestClient.Tally, ("scope", More));
        var page = await visitor.GetAsync(asked.Address);
        Assert.True(page.IsAt("/consent/"));
        Assert.Equal("Tally Budget asks for 1 thing more", page.Heading);
        Assert.Empty(Boxes(page));
        var before = await app.PositionAsync();
        page = await visitor.SubmitAsync(page, ("decision", "allow"));
        using var http = app.NewClient();
        Assert.Equal(More.Split(' ').Order(StringComparer.Ordinal), (await http.RedeemAsync(asked, page.Answer["code"])).Scope.Split(' ').Order(StringComparer.Ordinal));
        var widened = Assert.Single((await app.EventsAfterAsync(before)).Select(e => e.Data).OfType<GrantEvent.Widened>());
        Assert.Equal(["transactions"], widened.Added);
    }

    [Fact, Trait("Attack", "R15")]
    public async Task A_permission_that_the_page_did_not_offer_is_refused_and_the_page_shown_again()
    {
        var (visitor, page) = await AtConsentAsync(TestConfiguration.Lin);
        foreach (var forged in (string[])["transactions", "payees", "openid offline_access", "admin"])
        {
            await app.AppendsNothingAsync(async () =>
            {
                var again = await visitor.SubmitAsync(page, ("allow", forged), ("decision", "allow"));
                Assert.Equal(HttpStatusCode.BadRequest, again.Status);
                Assert.Contains("Look at the list", again.Body, StringComparison.Ordinal);
            });
        }
    }

    [Theory, Trait("Attack", "R15")]
    [InlineData("")]
    [InlineData("yes")]
    [InlineData("ALLOW")]
    public async Task Only_the_two_buttons_are_answers(string decision)
    {
        var (visitor, page) = await AtConsentAsync(TestConfiguration.Lin);
        await app.AppendsNothingAsync(async () => Assert.True((await visitor.SubmitAsync(page, ("decision", decision))).IsAt("/consent/")));
    }

    [Fact, Trait("Rule", "AZ-1")]
    public async Task A_refusal_is_recorded_with_the_words_shown_and_told_to_the_app()
    {
        var visitor = app.NewVisitor();
        var asked = Journey.Ask(TestClient.Tally, ("prompt", "consent"));
        var page = await visitor.SignInAsync(await visitor.GetAsync(asked.Address), TestConfiguration.Lin, TestConfiguration.LinPassword);
        var before = await app.PositionAsync();
        (await visitor.SubmitAsync(page, ("decision", "deny"))).TellsTheApp("access_denied", asked);
        var denied = Assert.Single(await app.EventsAfterAsync(before));
        var data = Assert.IsType<AuthorizationEvent.ConsentDenied>(denied.Data);
        Assert.Contains(data.Text.Lines, line => line is { Scope: "payments", Answer: "optional" });
        Assert.StartsWith("person:sub_", denied.UserName);
        Assert.Equal("tally", denied.Text(EventMetadata.Client));
        Assert.NotNull(denied.Text(EventMetadata.Session));
        Assert.NotNull(denied.Text(EventMetadata.Origin));
    }

    [Fact, Trait("Attack", "R15"), Trait("Attack", "C10")]
    public async Task A_consent_form_counts_only_from_its_own_page_browser_session_and_request()
    {
        var (visitor, page) = await AtConsentAsync(TestConfiguration.Lin);
        var (_, sameBrowserOtherRequest) = await AtConsentAsync(TestConfiguration.Lin, visitor);
        var (_, foreign) = await AtConsentAsync(TestConfiguration.Maya);
        var token = Token(page);

        await app.AppendsNothingAsync(async () =>
        {
            (await visitor.PostAsync(page.FormAction, [new("decision", "allow")])).StaysHere();
            (await visitor.PostAsync(page.FormAction, [new(token.Key, ""), new("decision", "allow")])).StaysHere();
            (await visitor.PostAsync(page.FormAction, [Token(sameBrowserOtherRequest), new("decision", "allow")])).StaysHere();
            (await visitor.PostAsync(page.FormAction, [Token(foreign), new("decision", "allow")])).StaysHere();
            (await visitor.SendOnceAsync(new HttpRequestMessage(HttpMethod.Post, page.FormAction))).StaysHere();

            // The token alone, without the browser's cookies.
            (await app.NewVisitor().PostAsync(page.FormAction, [token, new("decision", "allow")])).StaysHere();
        });

        // The same browser after the person has changed: the token was for the session before.
        var another = await visitor.GetAsync($"{page.Address.AbsolutePath.Replace("consent", "signin", StringComparison.Ordinal)}/other");
        await visitor.SignInAsync(another, TestConfiguration.Maya, TestConfiguration.MayaPassword);
        await app.AppendsNothingAsync(async () => (await visitor.PostAsync(page.FormAction, [token, new("decision", "allow")])).StaysHere());
    }

    [Fact]
    public async Task An_answer_to_words_that_were_changed_meanwhile_is_asked_for_again()
    {
        var visitor = app.NewVisitor();
        var page = await visitor.SignInAsync(await visitor.GetAsync(Journey.Ask(TestClient.BrowserApp).Address), TestConfiguration.Lin, TestConfiguration.LinPassword);
        var now = app.Clock.GetUtcNow();
        var known = (await app.Services.GetRequiredService<Lookups>().CatalogueAsync(default)).Scope("balances")!;
        await app.AppendAsync(new StreamEvent(Catalogue.StreamId, new CatalogueEvent.ScopeDeclared(known with { Label = "See everything you own" }, now)));

        var before = await app.PositionAsync();
        var again = await visitor.SubmitAsync(page, ("decision", "allow"));
        Assert.Equal(HttpStatusCode.BadRequest, again.Status);
        Assert.Contains("See everything you own", again.Body, StringComparison.Ordinal);
        Assert.Equal(before, await app.PositionAsync());

        var answered = await visitor.SubmitAsync(again, ("decision", "allow"));
        Assert.Contains("code", answered.Answer.Keys);
        await app.AppendAsync(new StreamEvent(Catalogue.StreamId, new CatalogueEvent.ScopeDeclared(known, now)));
    }

    [Fact, Trait("Attack", "R15")]
    public async Task Looking_at_the_consent_page_grants_nothing()
    {
        var (visitor, page) = await AtConsentAsync(TestConfiguration.Lin);
        await app.AppendsNothingAsync(async () =>
        {
            Assert.True((await visitor.GetAsync(page.Address.AbsolutePath + "?decision=allow")).IsAt("/consent/"));
            Assert.True((await visitor.GetAsync($"/authorize/{page.Address.Segments[^1]}?decision=allow")).IsAt("/consent/"));
        });
    }

    [Theory, Trait("Attack", "C10")]
    [InlineData("/authorize/")]
    [InlineData("/signin/")]
    [InlineData("/consent/")]
    public async Task A_request_begun_in_one_browser_can_not_be_finished_in_another(string path)
    {
        var (_, page) = await AtConsentAsync(TestConfiguration.Lin);
        var other = await app.SignedInAsync(TestConfiguration.Maya);
        await other.GetAsync(Journey.Ask(TestClient.Tally).Address); // has a mark of its own
        await app.AppendsNothingAsync(async () =>
        {
            (await other.GetAsync(path + page.Address.Segments[^1])).StaysHere();
            (await app.NewVisitor().GetAsync(path + page.Address.Segments[^1])).StaysHere();
            Assert.Equal("This link doesn't work", (await other.GetAsync(path + page.Address.Segments[^1])).Heading);
            if (path != "/authorize/") (await other.PostAsync(path + page.Address.Segments[^1], [Token(page), new("decision", "allow")])).StaysHere();
        });
    }

    [Fact, Trait("Law", "L2")]
    public async Task Two_consents_at_once_make_one_live_grant()
    {
        var ids = new List<Guid>();
        for (var round = 0; round < 5; round++)
        {
            var pages = new List<(Visitor Visitor, Page Page)>();
            for (var i = 0; i < 4; i++) pages.Add(await AtConsentAsync(TestConfiguration.Maya, client: TestClient.BrowserApp));
            var before = await app.PositionAsync();
            var answers = await Task.WhenAll(pages.Select(pair => Task.Run(() => pair.Visitor.SubmitAsync(pair.Page, ("decision", "allow")))));
            Assert.All(answers, answer => Assert.True(answer.Answer.ContainsKey("code"), $"{answer.Status} {answer.Heading}"));

            var events = await app.EventsAfterAsync(before);
            var created = Assert.Single(events, e => e.Data is GrantEvent.Created);
            Assert.Equal(3, events.Count(e => e.Data is GrantEvent.Widened));
            Assert.All(events.Where(e => e.Data is GrantEvent), e => Assert.Equal(created.StreamId, e.StreamId));
            Assert.All(events.Select(e => e.Data).OfType<AuthorizationEvent.CodeIssued>(), issued => Assert.Equal(created.StreamId, issued.Grant));
            ids.Add(created.StreamId);

            // The next round starts without one.
            var remove = await pages[0].Visitor.GetAsync($"/account/apps/{created.StreamId:N}/remove");
            await pages[0].Visitor.SubmitAsync(remove);
        }

        Assert.Equal(5, ids.Distinct().Count());
    }

    [Fact, Trait("Attack", "R18")]
    public async Task The_page_says_who_asks_as_whom_what_and_that_nobody_checked_it()
    {
        var (_, page) = await AtConsentAsync(TestConfiguration.Lin, client: TestClient.BrowserApp);
        Assert.Equal("Allow Pocket Ledger to use your account?", page.Heading);
        foreach (var words in (string[])["localhost:5400", TestConfiguration.Lin, "See your account balances", "has not checked this app", "even when you're not using it", "see your password"])
            Assert.Contains(words, WebUtility.HtmlDecode(page.Body), StringComparison.Ordinal);
        Assert.Contains("form-action 'self' http://localhost:5400;", page.Header("Content-Security-Policy"), StringComparison.Ordinal);
    }

    private static KeyValuePair<string, string> Token(Page page) => page.HiddenFields.Single(field => field.Key == "__RequestVerificationToken");

    private static List<string> Boxes(Page page) => [.. Regex.Matches(page.Body, "<input type=\"checkbox\"[^>]*value=\"([^\"]*)\"").Select(match => match.Groups[1].Value)];

    private async Task<(Visitor Visitor, Page Page)> AtConsentAsync(string username, Visitor? visitor = null, TestClient? client = null)
    {
        visitor ??= app.NewVisitor();
        var page = await visitor.GetAsync(Journey.Ask(client ?? TestClient.Tally, ("prompt", "consent")).Address);
        if (page.IsAt("/signin/")) page = await visitor.SignInAsync(page, username, Journey.PasswordOf(username));
        Assert.True(page.IsAt("/consent/"), $"{page.Status} {page.Heading}");
        return (visitor, page);
    }
}
