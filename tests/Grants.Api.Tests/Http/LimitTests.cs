using System.Net;
using Grants.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;

namespace Grants.Api.Tests.Http;

/// <summary>A server whose limits are low.</summary>
public sealed class LimitedApp : GrantsApp, IAsyncLifetime
{
    public async ValueTask InitializeAsync() => await StartAsync(await NewDatabaseAsync(), configure: builder => builder
        .UseSetting("Grants:Limits:AuthorizationsPerMinutePerNetwork", "6")
        .UseSetting("Grants:Limits:AuthorizationsPerMinutePerClient", "4")
        .UseSetting("Grants:Limits:SignInsPerQuarterHour", "3")
        .UseSetting("Grants:Limits:ClientSecretsPerMinute", "5")
        .ConfigureTestServices(services => services.AddSingleton<IStartupFilter>(new FromWherever())));

    /// <summary>A request may say where it pretends to come from.</summary>
    internal const string From = "X-Test-From";

    private sealed class FromWherever : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use((http, following) =>
            {
                if (http.Request.Headers[From].ToString() is { Length: > 0 } address) http.Connection.RemoteIpAddress = IPAddress.Parse(address);
                return following(http);
            });
            next(app);
        };
    }
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

    [Fact, Trait("Attack", "K1"), Trait("Rule", "G-10")]
    public async Task Whoever_guesses_a_secret_is_told_to_wait_and_the_client_itself_is_served_elsewhere()
    {
        await app.AppendsNothingAsync(async () =>
        {
            using var guesser = From("198.51.100.7");
            for (var i = 0; i < 5; i++) Assert.Equal(HttpStatusCode.Unauthorized, (await guesser.TokenAsync(TestClient.Report with { Secret = Journey.Random() }, ("grant_type", "client_credentials"))).Response.StatusCode);
            foreach (var secret in (string[])[Journey.Random(), TestClient.Report.Secret!]) // even the right one is not heard there
            {
                var refused = await guesser.TokenAsync(TestClient.Report with { Secret = secret }, ("grant_type", "client_credentials"));
                Assert.Equal((HttpStatusCode.TooManyRequests, "temporarily_unavailable"), (refused.Response.StatusCode, refused.Error));
                Assert.Equal(TimeSpan.FromMinutes(1), refused.Response.Headers.RetryAfter!.Delta);
            }

            // The neighbours of its network wait with it; another client there does not.
            using var neighbour = From("198.51.100.8");
            Assert.Equal(HttpStatusCode.TooManyRequests, (await neighbour.IntrospectAsync(TestClient.Report, "any")).Response.StatusCode);
            Assert.True((await neighbour.IntrospectAsync(TestClient.Tally, "any")).Ok);
        });
        using var rightful = From("203.0.113.9");
        Assert.True((await rightful.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"))).Ok);
    }

    [Fact, Trait("Attack", "K1"), Trait("Rule", "CA-5")]
    public async Task A_wrong_assertion_counts_like_a_wrong_secret()
    {
        using var guesser = From("198.51.101.7");
        Task<TokenAnswer> TryAsync() => guesser.PostAsync("/token", Assertion.By(Journey.Random(), Assertion.Claims("poster", app.Clock.GetUtcNow())), ("grant_type", "client_credentials"));
        for (var i = 0; i < 5; i++) Assert.Equal(HttpStatusCode.Unauthorized, (await TryAsync()).Response.StatusCode);
        var refused = await TryAsync();
        Assert.Equal((HttpStatusCode.TooManyRequests, "temporarily_unavailable"), (refused.Response.StatusCode, refused.Error));
        Assert.Equal(TimeSpan.FromMinutes(1), refused.Response.Headers.RetryAfter!.Delta);
        Assert.Equal(HttpStatusCode.TooManyRequests, (await guesser.IntrospectAsync(TestClient.Poster, "any")).Response.StatusCode);
    }

    private HttpClient From(string address)
    {
        var http = app.NewClient();
        http.DefaultRequestHeaders.Add(LimitedApp.From, address);
        return http;
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
