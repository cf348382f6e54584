using System.Diagnostics.Metrics;
using System.Net;
using Grants.Projections;
using Grants.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Grants.Api.Tests.Http;

/// <summary>A server whose limits are low.</summary>
public sealed class LimitedApp : GrantsApp, IAsyncLifetime
{
    public async ValueTask InitializeAsync() => await StartAsync(await NewDatabaseAsync(), configure: builder => builder
        .UseSetting("Grants:Limits:AuthorizationsPerMinutePerNetwork", "6")
        .UseSetting("Grants:Limits:AuthorizationsPerMinutePerClient", "4")
        .UseSetting("Grants:Limits:SignInsPerQuarterHour", "3")
        .UseSetting("Grants:Limits:ClientSecretsPerMinute", "5")
        .UseSetting("Grants:Limits:FailedSignInsPerQuarterHourPerNetwork", "9")
        .ConfigureTestServices(services => services.AddSingleton<IStartupFilter>(new FromWherever())));

    /// <summary>A request may say where it pretends to come from.</summary>
    internal const string From = "X-Test-From";

    internal sealed class FromWherever : IStartupFilter
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

    [Fact, Trait("Attack", "U1"), Trait("Attack", "E11"), Trait("Rule", "G-10")]
    public async Task Who_tries_many_names_from_one_network_is_told_to_wait_there_and_nothing_is_written()
    {
        await app.AppendsNothingAsync(async () =>
        {
            // The names are nobody's. Those who get it right are not counted.
            for (var i = 0; i < 9; i++) Assert.Equal(HttpStatusCode.BadRequest, (await TryFromAsync("198.51.110.7", Witness.Saw("personal data", $"{Journey.Random(8)}@nobody.example"), "wrong")).Status);
            var refused = await TryFromAsync("198.51.110.8", TestConfiguration.Sam, TestConfiguration.SamPassword);
            refused.StaysHere(HttpStatusCode.TooManyRequests);
            Assert.Equal("900", refused.Header("Retry-After"));
        });
        for (var i = 0; i < 3; i++) Assert.Equal("/account/apps", (await TryFromAsync("198.51.111.7", TestConfiguration.Sam, TestConfiguration.SamPassword)).Location);
    }

    [Fact, Trait("Attack", "E11"), Trait("Law", "L12")]
    public async Task Requests_that_prove_nothing_write_nothing_however_many_they_are()
    {
        using var http = From("198.51.112.7");
        var (ids, before) = (await UsedIdsAsync(), await app.PositionAsync());
        using var key = new DpopKey();
        for (var i = 0; i < 60; i++)
        {
            var client = new TestClient($"nobody-{i}", Journey.Random(), "https://nobody.example/cb", "openid");
            Assert.False((await http.TokenAsync(client, ("grant_type", "client_credentials"))).Ok);
            Assert.False((await http.PushAsync(Journey.Ask(client with { Secret = null }))).Ok);
            Assert.False((await http.PushAsync(Journey.Ask(TestClient.BrowserApp, ("scope", "bad")))).Ok);
            Assert.False((await http.IntrospectAsync(client, "nonsense")).Ok);
            Assert.True((await http.RevokeAsync(TestClient.BrowserApp, "nonsense")).Ok);
            (await app.NewVisitor().GetAsync(Journey.Ask(client).Address)).StaysHere();
            foreach (var path in (string[])["/token", "/par", "/userinfo"])
            {
                using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new FormUrlEncodedContent([new("client_id", TestClient.BrowserApp.Id), new("grant_type", "refresh_token"), new("refresh_token", "nonsense")]) };
                request.Headers.Add("DPoP", key.Prove(HttpMethod.Post, path, app.Clock.GetUtcNow()));
                Assert.False((await http.SendAsync(request)).IsSuccessStatusCode);
            }
        }

        Assert.Equal([], await app.StoryAsync(before));
        Assert.Equal(ids, await UsedIdsAsync());
    }

    [Fact, Trait("Attack", "E11"), Trait("Rule", "PAR-8"), Trait("Rule", "DP-2")]
    public async Task Beyond_the_limit_not_even_a_good_proof_of_a_new_key_is_written_down()
    {
        using var http = From("198.51.113.7");
        using var first = new DpopKey();
        var (ids, before) = (await UsedIdsAsync(), await app.PositionAsync());
        var refused = await PushAsync(first, nonce: null); // counts like any other, or asking for nonces would be free
        Assert.Equal("use_dpop_nonce", refused.Error);
        var nonce = refused.Response.Headers.GetValues("DPoP-Nonce").Single();
        var admitted = 0;
        for (var i = 0; i < 12; i++)
        {
            using var key = new DpopKey();
            var answer = await PushAsync(key, nonce);
            if (answer.Ok) admitted++;
            else Assert.Equal((HttpStatusCode.TooManyRequests, "temporarily_unavailable", "60"), (answer.Response.StatusCode, answer.Error, answer.Response.Headers.RetryAfter?.ToString()));
        }

        Assert.Equal(3, admitted);
        Assert.Equal(["authorization.pushed", "authorization.pushed", "authorization.pushed"], await app.StoryAsync(before));
        Assert.Equal(ids + 3, await UsedIdsAsync());

        async Task<TokenAnswer> PushAsync(DpopKey key, string? nonce)
        {
            var form = Journey.ParametersOf(Journey.Ask(TestClient.NativeApp)).Where(field => field.Value is not null).Select(field => KeyValuePair.Create(field.Name, field.Value!));
            using var request = new HttpRequestMessage(HttpMethod.Post, "/par") { Content = new FormUrlEncodedContent(form) };
            request.Headers.Add("DPoP", key.Prove(HttpMethod.Post, "/par", app.Clock.GetUtcNow(), nonce));
            return await TokenAnswer.ReadAsync(await http.SendAsync(request));
        }
    }

    [Fact, Trait("Attack", "E11"), Trait("Attack", "P12")]
    public async Task What_is_refused_is_counted_without_a_word_about_whom()
    {
        var (counted, tags) = (new HashSet<string>(), new HashSet<string>());
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listening) =>
            {
                if (instrument.Meter.Name == "Grants.Limits") listening.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<long>((instrument, _, labels, _) =>
        {
            lock (counted)
            {
                counted.Add(instrument.Name);
                foreach (var (name, value) in labels) tags.Add($"{name}={value}");
            }
        });
        listener.Start();

        using var http = From("198.51.114.7");
        for (var i = 0; i < 6; i++) await http.IntrospectAsync(TestClient.Bank with { Secret = "wrong" }, "nonsense");
        for (var i = 0; i < 4; i++) await TryFromAsync("198.51.115.7", Witness.Saw("personal data", "counted@nobody.example"), "wrong");
        await TryFromAsync("198.51.115.7", TestConfiguration.Sam, TestConfiguration.SamPassword);
        lock (counted)
        {
            Assert.Superset(new HashSet<string> { "grants.limits.refused", "grants.sign_in.checked", "grants.client_authentication.failed" }, counted);
            Assert.Superset(new HashSet<string> { "limit=ClientSecretsPerMinute", "limit=SignInsPerQuarterHour", "proven=True", "proven=False" }, tags);
            Assert.All(tags, tag => Assert.Matches("^(limit=[A-Za-z]+|proven=(True|False))$", tag));
        }
    }

    private async Task<long> UsedIdsAsync()
    {
        await using var command = app.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand($"select count(*) from {GrantsStore.UsedIds}");
        return (long)(await command.ExecuteScalarAsync())!;
    }

    /// <summary>One try from an address, no redirect followed.</summary>
    private async Task<Page> TryFromAsync(string address, string username, string password)
    {
        var visitor = app.NewVisitor();
        var page = await visitor.GetAsync("/signin");
        return await visitor.SendOnceAsync(new HttpRequestMessage(HttpMethod.Post, page.FormAction)
        {
            Content = new FormUrlEncodedContent([.. page.HiddenFields, new("username", username), new("password", password)]),
            Headers = { { LimitedApp.From, address } },
        });
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
