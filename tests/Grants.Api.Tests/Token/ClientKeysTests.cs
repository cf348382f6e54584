using System.Net;
using System.Text.Json.Nodes;
using Grants.Api.Tests.Http;
using Grants.Testing;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace Grants.Api.Tests.Token;

/// <summary>A server whose clients keep their keys at a site of their own.</summary>
public sealed class KeySiteApp : GrantsApp, IAsyncLifetime
{
    internal KeySite Site { get; private set; } = null!;

    internal KeySite NotAllowed { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        (Site, NotAllowed) = (await KeySite.StartAsync(), await KeySite.StartAsync());
        await StartAsync(await NewDatabaseAsync(), configure: builder => builder.UseSetting("Grants:OutgoingHttp:Allow:0", Site.Origin));
    }

    async ValueTask IAsyncDisposable.DisposeAsync()
    {
        await DisposeAsync();
        if (Site is not null) await Site.DisposeAsync();
        if (NotAllowed is not null) await NotAllowed.DisposeAsync();
    }
}

/// <summary>Keys at a <c>jwks_uri</c>: rotation, and how seldom a site is asked.</summary>
public sealed class ClientKeysTests(KeySiteApp app) : IClassFixture<KeySiteApp>
{
    private static readonly AssertionKey One = new("one");
    private static readonly AssertionKey Two = new("two");
    private static readonly AssertionKey Three = new("three", "RS256");

    private KeySite Site => app.Site;

    [Fact, Trait("Rule", "CA-5"), Trait("Rule", "MD-4")]
    public async Task Keys_are_fetched_once_and_again_when_they_have_run_out()
    {
        var client = await ClientAsync();
        Site.Says(Set(One), cacheControl: "public, max-age=300");
        var asked = Site.Asked;
        Assert.Equal(asked, Site.Asked); // not before somebody needs them
        for (var i = 0; i < 3; i++) Assert.True(await WorksAsync(client, One));
        Assert.Equal(asked + 1, Site.Asked);
        app.Clock.Advance(TimeSpan.FromSeconds(290));
        Assert.True(await WorksAsync(client, One));
        Assert.Equal(asked + 1, Site.Asked);

        // A key that the client took away counts no longer than it was to be kept.
        Site.Says(Set(Two));
        app.Clock.Advance(TimeSpan.FromSeconds(11));
        Assert.False(await WorksAsync(client, One));
        Assert.Equal(asked + 2, Site.Asked);
        Assert.True(await WorksAsync(client, Two));
    }

    [Fact, Trait("Rule", "CA-5"), Trait("Rule", "MD-4")]
    public async Task A_key_that_is_new_is_fetched_at_once_and_the_old_one_still_counts_beside_it()
    {
        var client = await ClientAsync();
        Site.Says(Set(One), cacheControl: "max-age=3600");
        Assert.True(await WorksAsync(client, One));
        app.Clock.Advance(TimeSpan.FromMinutes(2));
        Site.Says(Set(One, Two, Three));
        var asked = Site.Asked;
        Assert.True(await WorksAsync(client, Two));
        Assert.True(await WorksAsync(client, One));
        Assert.True(await WorksAsync(client, Three));
        Assert.Equal(asked + 1, Site.Asked);
    }

    [Fact, Trait("Rule", "MD-4"), Trait("Attack", "P1")]
    public async Task Whatever_anybody_sends_a_site_is_asked_once_a_minute()
    {
        var client = await ClientAsync();
        Site.Says(Set(One), cacheControl: "max-age=3600");
        Assert.True(await WorksAsync(client, One));
        var asked = Site.Asked;
        for (var i = 0; i < 10; i++) Assert.False(await WorksAsync(client, new AssertionKey($"made-up-{i}")));
        Assert.Equal(asked, Site.Asked); // the minute of the first question isn't over
        app.Clock.Advance(TimeSpan.FromMinutes(1));
        await Task.WhenAll(Enumerable.Range(0, 10).Select(i => WorksAsync(client, new AssertionKey($"made-up-{i}"))));
        Assert.Equal(asked + 1, Site.Asked);
        Assert.True(await WorksAsync(client, One)); // whatever the others did

        // What is wrong before keys matter asks nobody: no audience, no client, no such algorithm.
        app.Clock.Advance(TimeSpan.FromMinutes(1));
        using var http = app.NewClient();
        await PostAsync(http, Assertion.By(Two, Assertion.Claims(client, app.Clock.GetUtcNow(), ("aud", "https://other.example"))));
        await PostAsync(http, Assertion.By(Two, Assertion.Claims("nobody", app.Clock.GetUtcNow())));
        await PostAsync(http, Assertion.By("some secret", Assertion.Claims(client, app.Clock.GetUtcNow())));
        Assert.Equal(asked + 1, Site.Asked);
    }

    [Fact, Trait("Rule", "MD-4"), Trait("Attack", "E13")]
    public async Task Requests_that_need_the_same_keys_share_one_question()
    {
        var client = await ClientAsync();
        var go = new TaskCompletionSource();
        Site.Answer = async http =>
        {
            await go.Task;
            http.Response.ContentType = "application/json";
            await http.Response.WriteAsync(Set(One));
        };
        var asked = Site.Asked;
        var waiting = Enumerable.Range(0, 8).Select(_ => WorksAsync(client, One)).ToList();
        await Answers.UntilAsync(() => Task.FromResult(Site.Asked > asked));
        go.SetResult();
        Assert.All(await Task.WhenAll(waiting), Assert.True);
        Assert.Equal(asked + 1, Site.Asked);
    }

    [Theory, Trait("Rule", "MD-4"), Trait("Attack", "P1"), Trait("Attack", "E13")]
    [InlineData(500, "application/json", "{}")]
    [InlineData(404, "application/json", "{\"keys\":[]}")]
    [InlineData(200, "text/html", "right")]
    [InlineData(200, "application/json", "nonsense")]
    [InlineData(200, "application/json", "[]")]
    [InlineData(200, "application/json", "{\"keys\":7}")]
    public async Task A_fault_is_remembered_for_a_minute_and_the_last_keys_count_on_for_a_day(int status, string type, string body)
    {
        var client = await ClientAsync();
        body = body == "right" ? Set(One) : body;
        Site.Says(body, type, status: status);
        var asked = Site.Asked;
        for (var i = 0; i < 3; i++) Assert.False(await WorksAsync(client, One));
        Assert.Equal(asked + 1, Site.Asked);
        app.Clock.Advance(TimeSpan.FromMinutes(1));
        Site.Says(Set(One), cacheControl: "no-cache");
        Assert.True(await WorksAsync(client, One));
        Assert.Equal(asked + 2, Site.Asked);

        Site.Says(body, type, status: status);
        app.Clock.Advance(TimeSpan.FromMinutes(30));
        for (var i = 0; i < 3; i++) Assert.True(await WorksAsync(client, One));
        Assert.Equal(asked + 3, Site.Asked);
        app.Clock.Advance(TimeSpan.FromHours(24));
        Assert.False(await WorksAsync(client, One));
        Assert.Equal(asked + 4, Site.Asked);
    }

    [Theory, Trait("Rule", "MD-4")]
    [InlineData("max-age=1000000", 59, 61)] // minutes: an hour at most
    [InlineData(null, 14, 16)]
    [InlineData("private", 14, 16)]
    public async Task Keys_are_kept_as_long_as_the_site_says_within_limits(string? cacheControl, int keptMinutes, int overMinutes)
    {
        var client = await ClientAsync();
        Site.Says(Set(One), cacheControl: cacheControl);
        Assert.True(await WorksAsync(client, One));
        var asked = Site.Asked;
        app.Clock.Advance(TimeSpan.FromMinutes(keptMinutes));
        Assert.True(await WorksAsync(client, One));
        Assert.Equal(asked, Site.Asked);
        app.Clock.Advance(TimeSpan.FromMinutes(overMinutes - keptMinutes));
        Assert.True(await WorksAsync(client, One));
        Assert.Equal(asked + 1, Site.Asked);
    }

    [Fact, Trait("Attack", "P1"), Trait("Rule", "CA-5")]
    public async Task A_client_that_names_an_address_inside_reaches_nothing_and_learns_nothing()
    {
        app.NotAllowed.Says(Set(One));
        foreach (var address in (string[])[app.NotAllowed.Origin + "/jwks", "https://localhost/jwks", "https://169.254.169.254/latest", "https://[::ffff:10.0.0.1]/jwks", "https://0x7f.1/jwks"])
        {
            var client = await ClientAsync(address);
            using var http = app.NewClient();
            var answer = await PostAsync(http, Assertion.By(One, Assertion.Claims(client, app.Clock.GetUtcNow())));
            TokenEndpointTests.AssertError(answer, "invalid_client", HttpStatusCode.Unauthorized);
            Assert.Equal("The client could not be authenticated.", (string?)answer.Json["error_description"]);
        }

        Assert.Equal(0, app.NotAllowed.Asked);
    }

    /// <summary>A client of its own for each test, since questions are counted per client.</summary>
    private async Task<string> ClientAsync(string? address = null)
    {
        var id = "site-" + Journey.Random(6);
        await app.DeclareClientAsync(new JsonObject
        {
            ["client_id"] = id,
            ["client_name"] = id,
            ["grant_types"] = new JsonArray("client_credentials"),
            ["scope"] = "balances",
            ["token_endpoint_auth_method"] = "private_key_jwt",
            ["jwks_uri"] = address ?? Site.Origin + "/jwks",
        });
        return id;
    }

    private async Task<bool> WorksAsync(string client, AssertionKey key)
    {
        using var http = app.NewClient();
        var answer = await PostAsync(http, Assertion.By(key, Assertion.Claims(client, app.Clock.GetUtcNow())));
        if (!answer.Ok) TokenEndpointTests.AssertError(answer, "invalid_client", HttpStatusCode.Unauthorized);
        return answer.Ok;
    }

    private static Task<TokenAnswer> PostAsync(HttpClient http, string assertion) => http.PostAsync("/token", assertion, ("grant_type", "client_credentials"));

    private static string Set(params AssertionKey[] keys) => AssertionKey.SetOf(keys).ToJsonString();
}
