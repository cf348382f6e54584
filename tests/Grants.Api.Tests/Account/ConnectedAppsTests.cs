using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;
using Grants.Api.Account;
using Grants.Api.Tests.Http;
using Grants.Domain.AccessGrants;
using Grants.Domain.TokenFamilies;
using Grants.Projections;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;

namespace Grants.Api.Tests.Account;

/// <summary>"Connected apps", and how long a browser stays signed in. These tests move the clock.</summary>
public sealed partial class ConnectedAppsTests(AppFixture app) : IClassFixture<AppFixture>
{
    [Fact]
    public async Task The_list_names_each_app_what_it_may_do_and_how_fresh_it_is()
    {
        var (_, visitor, _, _) = await app.ConnectAsync(TestClient.Tally, TestConfiguration.Maya, "payments");
        var (grant, page) = await ListedAsync(visitor);
        Assert.Contains("Tally Budget", page.Body, StringComparison.Ordinal);
        Assert.Contains("Make payments up to £500 a day", WebUtility.HtmlDecode(page.Body), StringComparison.Ordinal);
        Assert.Contains($"Up to date with event {(await app.PositionAsync()).ToString("N0", CultureInfo.InvariantCulture)}", page.Body, StringComparison.Ordinal);
        Assert.Contains("s behind", page.Body, StringComparison.Ordinal);
        Assert.Contains("no-store", page.Header("Cache-Control"), StringComparison.Ordinal);

        var one = await visitor.GetAsync($"/account/apps/{grant:N}");
        Assert.Equal(HttpStatusCode.OK, one.Status);
        Assert.Contains("You allowed", one.Body, StringComparison.Ordinal);
        Assert.Contains("See your account balances", one.Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_access_record_says_when_it_was_last_used_which_is_when_its_newest_token_was_issued()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.BrowserApp, TestConfiguration.Lin);
        var grant = tokens.Streams().Grant!.Value;
        app.Clock.Advance(TimeSpan.FromHours(1));
        Assert.True((await http.RefreshAsync(TestClient.BrowserApp, tokens.RefreshToken)).Ok);
        await app.CatchUpAsync();
        var issued = (await app.EventsAsync(tokens.Streams().Family)).Select(e => e.Data).OfType<TokenFamilyEvent.AccessTokenIssued>().ToList();
        var row = Assert.Single(await app.Services.GetRequiredService<AccessViews>().GrantsAsync("where id = $1", [grant], default));
        Assert.Equal(2, issued.Count);
        Assert.True(row.LastUsedAt - issued[0].At > TimeSpan.FromMinutes(59));
        Assert.Equal(issued[1].At, row.LastUsedAt!.Value, TimeSpan.FromMilliseconds(1));
    }

    [Fact, Trait("Law", "L3")]
    public async Task Removed_access_ends_at_once_is_recorded_and_stays_listed()
    {
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        using var http = app.NewClient();
        Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
        var (grant, _) = await ListedAsync(visitor);
        var ask = await visitor.GetAsync($"/account/apps/{grant:N}/remove");
        Assert.Equal("Remove access for Tally Budget?", ask.Heading);
        await app.AppendsNothingAsync(async () =>
        {
            (await visitor.PostAsync(ask.FormAction, [])).StaysHere();
            Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
        });

        var before = await app.PositionAsync();
        var page = await visitor.SubmitAsync(ask);
        var revoked = Assert.Single(await app.EventsAfterAsync(before), e => e.Data is GrantEvent.Revoked);
        var data = (GrantEvent.Revoked)revoked.Data;
        Assert.Equal((grant, "person", "removed by the person"), (revoked.StreamId, data.By, data.Why));
        Assert.StartsWith("person:sub_", revoked.UserName);
        Assert.Equal("tally", revoked.Text(EventMetadata.Client));
        Assert.NotNull(revoked.Text(EventMetadata.Session));

        Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
        Assert.Equal("invalid_grant", (await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken)).Error);
        Assert.Contains("Access removed at", page.Body, StringComparison.Ordinal);
        await app.CatchUpAsync();
        page = await visitor.GetAsync("/account/apps");
        Assert.Contains("You removed it", page.Body, StringComparison.Ordinal);
        Assert.DoesNotContain($"/account/apps/{grant:N}/remove", page.Body, StringComparison.Ordinal);
        Assert.Contains($"/account/apps/{grant:N}", page.Body, StringComparison.Ordinal);

        // Twice is no error and no second event; a new consent makes a new grant.
        before = await app.PositionAsync();
        await visitor.SubmitAsync(ask);
        Assert.DoesNotContain("grant.revoked", await app.StoryAsync(before));
        Assert.True((await visitor.GetAsync(Journey.Ask(TestClient.Tally).Address)).IsAt("/consent/"));
    }

    [Fact, Trait("Attack", "P15")]
    public async Task Another_persons_access_is_as_good_as_none()
    {
        var (_, sams, _, _) = await app.ConnectAsync(TestClient.Poster);
        var (grant, _) = await ListedAsync(sams);
        var lins = await app.SignedInAsync(TestConfiguration.Lin);
        var form = await lins.GetAsync("/account/apps");
        var unknown = Guid.CreateVersion7(app.Clock.GetUtcNow());
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var path in (string[])["/account/apps/{0}", "/account/apps/{0}/remove"])
            {
                var foreign = await lins.GetAsync(string.Format(CultureInfo.InvariantCulture, path, grant.ToString("N")));
                var nothing = await lins.GetAsync(string.Format(CultureInfo.InvariantCulture, path, unknown.ToString("N")));
                foreign.StaysHere(HttpStatusCode.NotFound);
                Assert.Equal(Neutral(nothing), Neutral(foreign));
                Assert.Equal(nothing.Response.Headers.Select(header => header.Key), foreign.Response.Headers.Select(header => header.Key));
            }

            // A form of the person's own doesn't help, either.
            var token = HiddenToken().Match(form.Body).Groups[1].Value;
            var posted = await lins.PostAsync($"/account/apps/{grant:N}/remove", [new("__RequestVerificationToken", token)]);
            posted.StaysHere(HttpStatusCode.NotFound);
            Assert.Equal(Neutral(await lins.PostAsync($"/account/apps/{unknown:N}/remove", [new("__RequestVerificationToken", token)])), Neutral(posted));
        });
        Assert.Contains($"/account/apps/{grant:N}/remove", (await sams.GetAsync("/account/apps")).Body, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/account")]
    [InlineData("/account/apps")]
    [InlineData("/account/apps/00000000000000000000000000000001")]
    [InlineData("/account/apps/00000000000000000000000000000001/remove")]
    public async Task Without_a_session_a_persons_page_leads_to_the_sign_in(string path) => Assert.True((await app.NewVisitor().GetAsync(path)).IsAt("/signin"));

    [Fact, Trait("Attack", "U6")]
    public async Task A_browser_that_does_nothing_for_two_hours_is_signed_out()
    {
        var visitor = await app.SignedInAsync();
        app.Clock.Advance(TimeSpan.FromHours(2) - TimeSpan.FromMinutes(1));
        Assert.True((await visitor.GetAsync("/account/apps")).IsAt("/account/apps"));
        app.Clock.Advance(TimeSpan.FromHours(2) + TimeSpan.FromMinutes(1));
        Assert.True((await visitor.GetAsync("/account/apps")).IsAt("/signin"));
    }

    [Fact, Trait("Attack", "U6")]
    public async Task A_session_ends_after_twelve_hours_however_busy_it_is()
    {
        var visitor = await app.SignedInAsync();
        for (var hours = 1.5; hours < 12; hours += 1.5)
        {
            app.Clock.Advance(TimeSpan.FromHours(1.5));
            Assert.True((await visitor.GetAsync("/account/apps")).IsAt("/account/apps"), $"after {hours} hours");
        }

        app.Clock.Advance(TimeSpan.FromHours(1.5));
        Assert.True((await visitor.GetAsync("/account/apps")).IsAt("/signin"));
    }

    [Fact]
    public async Task What_stands_in_the_address_never_becomes_text_on_the_page()
    {
        var visitor = await app.SignedInAsync();
        var page = await visitor.GetAsync("/account/apps?removed=%3Cb%3Ehello%3C%2Fb%3E&late=hello&banner=hello");
        Assert.DoesNotContain("hello", page.Body, StringComparison.Ordinal);
    }

    /// <summary>The newest access on the person's list, once the list has caught up.</summary>
    private async Task<(Guid Grant, Page Page)> ListedAsync(Visitor visitor)
    {
        await app.CatchUpAsync();
        var page = await visitor.GetAsync("/account/apps");
        return (Guid.ParseExact(RemoveLink().Match(page.Body).Groups[1].Value, "N"), page);
    }

    private static string Neutral(Page page) => Reference().Replace(Time().Replace(page.Body, ""), "");

    [GeneratedRegex("/account/apps/([0-9a-f]{32})/remove")]
    private static partial Regex RemoveLink();

    [GeneratedRegex("name=\"__RequestVerificationToken\" value=\"([^\"]*)\"")]
    private static partial Regex HiddenToken();

    [GeneratedRegex("<code>[^<]*</code>")]
    private static partial Regex Reference();

    [GeneratedRegex("<time.*?</time>")]
    private static partial Regex Time();
}
