using System.Net;
using Grants.Api.Login;
using Grants.Api.Pages;
using Grants.Api.Tests.Http;
using Grants.Testing;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Identity;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;

namespace Grants.Api.Tests.Login;

/// <summary>Identity's hasher behind a gate: while it is closed, whoever hashes takes as long as the test likes.</summary>
internal sealed class GatedHasher : IPasswordHasher<Person>, IDisposable
{
    private readonly PasswordHasher<Person> _real = new();
    private readonly ManualResetEventSlim _gate = new(initialState: true);
    private int _now, _most, _total;

    /// <summary>How many were inside at the same time.</summary>
    public int Most => _most;

    public int Total => _total;

    public void Close() => _gate.Reset();

    public void Open() => _gate.Set();

    public string HashPassword(Person user, string password) => _real.HashPassword(user, password);

    public PasswordVerificationResult VerifyHashedPassword(Person user, string hashedPassword, string providedPassword)
    {
        var now = Interlocked.Increment(ref _now);
        Interlocked.Increment(ref _total);
        for (var most = _most; now > most; most = _most) Interlocked.CompareExchange(ref _most, now, most);
        try
        {
            _gate.Wait();
            return _real.VerifyHashedPassword(user, hashedPassword, providedPassword);
        }
        finally
        {
            Interlocked.Decrement(ref _now);
        }
    }

    public void Dispose() => _gate.Dispose();
}

/// <summary>A server that hashes one password at a time.</summary>
public sealed class FloodedApp : GrantsApp, IAsyncLifetime
{
    internal GatedHasher Hasher { get; } = new();

    public async ValueTask InitializeAsync() => await StartAsync(await NewDatabaseAsync(), configure: builder => builder
        .UseSetting("Grants:Limits:PasswordChecks", "1")
        .UseSetting("Grants:Limits:PasswordChecksWaiting", "6")
        .UseSetting("Grants:Limits:PasswordChecksWaitingPerNetwork", "3")
        .ConfigureTestServices(services => services.AddSingleton<IStartupFilter>(new LimitedApp.FromWherever()).Replace(ServiceDescriptor.Singleton<IPasswordHasher<Person>>(Hasher))));
}

/// <summary>Sign-ins cost a processor's time. Whoever causes many of them keeps nobody else from being served.</summary>
public sealed class FloodTests(FloodedApp app) : IClassFixture<FloodedApp>
{
    [Fact, Trait("Attack", "E12"), Trait("Rule", "G-10")]
    public async Task A_flood_of_sign_ins_waits_in_line_while_the_token_endpoint_goes_on_answering()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var before = app.Hasher.Total;
        var tries = await ReadyAsync(20, i => $"10.1.{i}.1");
        app.Hasher.Close();
        List<Task<Page>> flood;
        try
        {
            flood = [.. tries.Select(attempt => Task.Run(attempt))];
            // One is hashed, six wait, and the others are told so at once.
            await Answers.UntilAsync(() => Task.FromResult(flood.Count(answer => answer.IsCompleted) == 13));
            foreach (var answer in flood.Where(answer => answer.IsCompleted))
            {
                var page = await answer;
                page.StaysHere(HttpStatusCode.TooManyRequests);
                Assert.Equal("5", page.Header("Retry-After"));
                Assert.Contains(SignInModel.Busy, page.Body, StringComparison.Ordinal);
            }

            for (var i = 0; i < 40; i++) Assert.True((await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"))).Ok);
            tokens = await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken);
            Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
            Assert.True((await http.IntrospectAsync(TestClient.Bank, tokens.AccessToken)).Ok);
            // All that was answered while not one of the flood got any further.
            Assert.Equal(7, flood.Count(answer => !answer.IsCompleted));
            Assert.Equal(before + 1, app.Hasher.Total);
        }
        finally
        {
            app.Hasher.Open();
        }

        var answers = await Task.WhenAll(flood);
        Assert.Equal(7, answers.Count(page => page.Status == HttpStatusCode.BadRequest)); // looked at, one after the other
        Assert.Equal((before + 7, 1), (app.Hasher.Total, app.Hasher.Most));
    }

    [Fact, Trait("Attack", "E12"), Trait("Attack", "U1")]
    public async Task A_network_that_floods_fills_its_own_line_and_people_elsewhere_still_get_in()
    {
        var tries = await ReadyAsync(10, i => $"10.2.0.{i}");
        var elsewhere = (await ReadyAsync(1, _ => "10.3.0.1", TestConfiguration.Sam, TestConfiguration.SamPassword))[0];
        app.Hasher.Close();
        List<Task<Page>> flood;
        Task<Page> person;
        try
        {
            flood = [.. tries.Select(attempt => Task.Run(attempt))];
            await Answers.UntilAsync(() => Task.FromResult(flood.Count(answer => answer.IsCompleted) == 6)); // one is hashed, three wait
            person = Task.Run(elsewhere);
        }
        finally
        {
            app.Hasher.Open();
        }

        Assert.Equal("/account/apps", (await person).Location);
        Assert.Equal(6, (await Task.WhenAll(flood)).Count(page => page.Status == HttpStatusCode.TooManyRequests));
    }

    [Fact, Trait("Attack", "E12"), Trait("Attack", "U2")]
    public async Task Who_is_sent_away_from_a_full_line_learns_nothing_about_the_name()
    {
        var waiting = await ReadyAsync(8, i => $"10.4.{i}.1");
        var known = (await ReadyAsync(1, _ => "10.5.0.1", TestConfiguration.Maya, TestConfiguration.MayaPassword))[0];
        var unknown = (await ReadyAsync(1, _ => "10.5.0.1"))[0];
        var before = app.Hasher.Total;
        app.Hasher.Close();
        List<Task<Page>> line;
        try
        {
            line = [.. waiting.Select(attempt => Task.Run(attempt))];
            await Answers.UntilAsync(() => Task.FromResult(app.Hasher.Total == before + 1 && line.Count(answer => answer.IsCompleted) == 1)); // so it is full
            foreach (var attempt in (Func<Task<Page>>[])[known, unknown])
            {
                var page = await attempt();
                Assert.Equal(HttpStatusCode.TooManyRequests, page.Status);
                Assert.Contains(SignInModel.Busy, page.Body, StringComparison.Ordinal);
            }

            Assert.Equal(before + 1, app.Hasher.Total); // nothing was hashed for either
        }
        finally
        {
            app.Hasher.Open();
        }

        await Task.WhenAll(line);
    }

    [Theory, Trait("Attack", "E12")]
    [InlineData("PasswordChecks", "0")]
    [InlineData("PasswordChecksWaiting", "-1")]
    [InlineData("PasswordChecksWaitingPerNetwork", "-1")]
    [InlineData("FailedSignInsPerQuarterHourPerNetwork", "0")]
    public void A_limit_that_lets_nobody_in_stops_the_start(string limit, string value)
    {
        using var configuration = new ConfigurationManager { [$"Grants:Limits:{limit}"] = value };
        var environment = app.Services.GetRequiredService<IHostEnvironment>();
        Assert.Contains($"Grants__Limits__{limit}", Assert.Throws<SettingsException>(() => Settings.From(configuration, environment, command: false)).Message, StringComparison.Ordinal);
    }

    /// <summary>Sign-ins that only have to be sent, each from an address, with the form that a browser would have.</summary>
    private async Task<List<Func<Task<Page>>>> ReadyAsync(int count, Func<int, string> address, string? username = null, string? password = null)
    {
        var ready = new List<Func<Task<Page>>>();
        for (var i = 0; i < count; i++)
        {
            var (visitor, from) = (app.NewVisitor(), address(i));
            var page = await visitor.GetAsync("/signin");
            KeyValuePair<string, string>[] fields = [.. page.HiddenFields, new("username", username ?? Witness.Saw("personal data", $"{Journey.Random(8)}@nobody.example")), new("password", password ?? "wrong")];
            ready.Add(() => visitor.SendOnceAsync(new HttpRequestMessage(HttpMethod.Post, page.FormAction) { Content = new FormUrlEncodedContent(fields), Headers = { { LimitedApp.From, from } } }));
        }

        return ready;
    }
}
