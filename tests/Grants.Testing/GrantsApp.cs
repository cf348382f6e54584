using System.Net;
using Alba;
using Grants.Api.Expiry;
using Grants.Projections;
using JasperFx.Events;
using Marten;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Grants.Testing;

/// <summary>
/// A server under test with a database of its own: the real program, real PostgreSQL, a clock that can be moved. Use one per test
/// class (<c>IClassFixture&lt;GrantsApp&gt;</c>), or <see cref="StartAsync"/> for a second node on the same database.
/// </summary>
public class GrantsApp : IAsyncDisposable
{
    private static readonly TestDatabases Databases = new(async connectionString =>
    {
        await using var app = new GrantsApp();
        await app.StartAsync(connectionString);
    });

    private IAlbaHost? _host;

    public MovableClock Clock { get; private set; } = new();

    public IAlbaHost Host => _host ?? throw new InvalidOperationException("The server was not started.");

    public string ConnectionString { get; private set; } = "";

    public IServiceProvider Services => Host.Services;

    public IDocumentStore Store => Services.GetRequiredService<IDocumentStore>();

    /// <summary>Every database that a test of this process used: the scan for secrets wants them all.</summary>
    public static IReadOnlyList<string> AllDatabases => [.. Databases.Clones.Select(TestDatabases.ConnectionStringTo)];

    /// <summary>Where every request of a test comes from.</summary>
    public static readonly IPAddress TestersAddress = IPAddress.Parse(Witness.Saw("network address", "203.0.113.77"));

    /// <summary>A connection string to a fresh clone, for a server that is started in another way.</summary>
    public static Task<string> NewDatabaseAsync() => Databases.CloneAsync();

    /// <summary>Starts on a fresh clone.</summary>
    public async Task StartAsync() => await StartAsync(await NewDatabaseAsync());

    /// <summary>Starts on a database that is there; a further node shares the first one's clock.</summary>
    /// <param name="configure">Further settings, such as limits.</param>
    public async Task StartAsync(string connectionString, MovableClock? clock = null, Action<IWebHostBuilder>? configure = null)
    {
        ConnectionString = connectionString;
        Clock = clock ?? Clock;
        _host = await AlbaHost.For<Program>(builder =>
        {
            builder.UseSetting("environment", "Development");
            builder.UseSetting("ConnectionStrings:Grants", connectionString);
            builder.UseSetting("Grants:Issuer", TestConfiguration.Issuer);
            builder.UseSetting("Grants:DataFolder", TestConfiguration.DataFolder);
            builder.UseSetting("Grants:Config", TestConfiguration.File);
            builder.UseSetting("Grants:SingleNode", "true");
            builder.UseSetting("Grants:ExpirySeconds", "3600"); // tests call the recorder themselves
            builder.UseSetting("Grants:Limits:AuthorizationsPerMinutePerNetwork", "100000");
            builder.UseSetting("Grants:Limits:AuthorizationsPerMinutePerClient", "100000");
            builder.UseSetting("Grants:Limits:SignInsPerQuarterHour", "100000");
            builder.UseSetting("Grants:Limits:ClientSecretsPerMinute", "100000");
            builder.UseSetting("Grants:Limits:UserCodesPerQuarterHour", "100000");
            builder.UseSetting("Grants:Limits:UserCodesPerMinute", "100000");
            builder.ConfigureLogging(logging => logging.ClearProviders().AddProvider(new Witness.LogProvider()));
            builder.ConfigureTestServices(services => services.Replace(ServiceDescriptor.Singleton<TimeProvider>(Clock)).AddSingleton<IStartupFilter>(new FromTesters()));
            configure?.Invoke(builder);
        });
    }

    /// <summary>A browser without cookies yet.</summary>
    public Visitor NewVisitor() => new(NewClient(), TestConfiguration.Issuer);

    /// <summary>A machine: no cookies, no redirects followed.</summary>
    public HttpClient NewClient() => new(Host.Server.CreateHandler()) { BaseAddress = new Uri(TestConfiguration.Issuer) };

    /// <summary>A machine that proves a key with each of its requests.</summary>
    public HttpClient NewClient(DpopKey key) => new(new DpopHandler(key, Clock, Host.Server.CreateHandler())) { BaseAddress = new Uri(TestConfiguration.Issuer) };

    /// <summary>The message handler that libraries under test use as their back channel.</summary>
    public HttpMessageHandler NewHandler() => Host.Server.CreateHandler();

    public async Task<IReadOnlyList<IEvent>> EventsAsync(Guid stream)
    {
        await using var session = Store.QuerySession();
        return await session.Events.FetchStreamAsync(stream);
    }

    /// <summary>Every event after a position, in the order of the log.</summary>
    public async Task<IReadOnlyList<IEvent>> EventsAfterAsync(long position)
    {
        await using var session = Store.QuerySession();
        return await session.Events.QueryAllRawEvents().Where(e => e.Sequence > position).OrderBy(e => e.Sequence).ToListAsync();
    }

    public async Task<long> PositionAsync()
    {
        await using var session = Store.QuerySession();
        return await session.Events.QueryAllRawEvents().AnyAsync() ? await session.Events.QueryAllRawEvents().MaxAsync(e => e.Sequence) : 0;
    }

    /// <summary>Waits until the asynchronous views have seen all there is. Fails after half a minute: a daemon that is silent is a bug.</summary>
    public async Task CatchUpAsync()
    {
        var target = await PositionAsync();
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        using var pause = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        try
        {
            while (await SlowestViewAsync() < target) await pause.WaitForNextTickAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException("The asynchronous views did not catch up.");
        }
    }

    /// <summary>The position of the asynchronous view that is furthest behind; 0 as long as one of them has not begun.</summary>
    private async Task<long> SlowestViewAsync()
    {
        await using var command = Services.GetRequiredService<NpgsqlDataSource>().CreateCommand(
            $"select case when count(*) = $2 then min(last_seq_id) else 0 end from {GrantsStore.Schema}.mt_event_progression where name = any($1)");
        command.Parameters.Add(new NpgsqlParameter { Value = GrantsStore.AsyncViews.Select(view => $"{view}:All").ToArray() });
        command.Parameters.Add(new NpgsqlParameter { Value = (long)GrantsStore.AsyncViews.Count });
        return (long)(await command.ExecuteScalarAsync())!;
    }

    /// <summary>Runs the recorder of expiries once, after the views have caught up.</summary>
    public async Task<int> RecordExpiriesAsync()
    {
        await CatchUpAsync();
        return await Services.GetRequiredService<ExpiryRecorder>().RecordAsync(default);
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            if (_host is not null) await _host.DisposeAsync();
        }
        catch (ObjectDisposedException)
        {
            // The host is stopped twice on its way out, and now and then the library's daemon trips over its own end.
        }

        GC.SuppressFinalize(this);
    }

    /// <summary>Requests in memory come from nowhere; real ones have an address.</summary>
    private sealed class FromTesters : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use((http, then) =>
            {
                http.Connection.RemoteIpAddress ??= TestersAddress;
                return then(http);
            });
            next(app);
        };
    }
}
