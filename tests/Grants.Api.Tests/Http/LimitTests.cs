using System.Net;
using Grants.Testing;

namespace Grants.Api.Tests.Http;

/// <summary>A server whose limits are low.</summary>
public sealed class LimitedApp : GrantsApp, IAsyncLifetime
{
    public async ValueTask InitializeAsync() => await StartAsync(await NewDatabaseAsync(), configure: builder => builder
        .UseSetting("Grants:Limits:AuthorizationsPerMinutePerNetwork", "6")
        .UseSetting("Grants:Limits:AuthorizationsPerMinutePerClient", "4")
        .UseSetting("Grants:Limits:SignInsPerQuarterHour", "3"));
}

public sealed class LimitTests(LimitedApp app) : IClassFixture<LimitedApp>
{
    [Fact, Trait("Law", "L12"), Trait("Rule", "G-10")]
    public async Task Beyond_the_limit_a_request_is_told_to_wait_and_not_written_down()
    {
        for (var i = 0; i < 4; i++) Assert.True((await app.NewVisitor().GetAsync(Journey.Ask(TestClient.Tally).Address)).IsAt("/signin/"));
        await app.AppendsNothingAsync(async () =>
        {
            // The client's limit, and then the network's for whatever client.
            for (var i = 0; i < 3; i++) Limited(await app.NewVisitor().GetAsync(Journey.Ask(TestClient.Tally).Address));
            for (var i = 0; i < 3; i++) Limited(await app.NewVisitor().GetAsync(Journey.Ask(TestClient.Poster).Address));

            // Invalid requests are answered as ever: they write nothing down.
            (await app.NewVisitor().GetAsync(Journey.Ask(TestClient.Tally, ("client_id", "nobody")).Address)).StaysHere();
        });
    }

    [Fact, Trait("Attack", "U1"), Trait("Attack", "U2")]
    public async Task Too_many_tries_for_one_name_are_told_to_wait_whether_it_exists_or_not()
    {
        var bodies = new List<string>();
        foreach (var username in (string[])[TestConfiguration.Maya, Witness.Saw("personal data", $"{Journey.Random(8)}@nobody.example")])
        {
            for (var i = 0; i < 3; i++) Assert.Equal(HttpStatusCode.BadRequest, (await TryAsync(username, "wrong")).Status);
            var page = await TryAsync(username, Journey.PasswordOf(username));
            page.StaysHere(HttpStatusCode.TooManyRequests);
            Assert.Contains("Too many tries", page.Body, StringComparison.Ordinal);
            bodies.Add(System.Text.RegularExpressions.Regex.Replace(page.Body, "value=\"[^\"]*\"", "").Replace(username, "", StringComparison.Ordinal));
        }

        Assert.Equal(bodies[0], bodies[1]);

        // Another name from the same network still gets in.
        Assert.True((await TryAsync(TestConfiguration.Sam, TestConfiguration.SamPassword)).IsAt("/account/apps"));
    }

    private async Task<Page> TryAsync(string username, string password)
    {
        var visitor = app.NewVisitor();
        return await visitor.SignInAsync(await visitor.GetAsync("/signin"), username, password);
    }

    private static void Limited(Page page)
    {
        page.StaysHere(HttpStatusCode.TooManyRequests);
        Assert.Equal("60", page.Header("Retry-After"));
    }
}
