using Alba;
using Grants.Api.Account;
using Grants.Api.Expiry;
using JasperFx.Events;
using Marten;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

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

    /// <summary>Starts on a fresh clone.</summary>
    public async Task StartAsync() => await StartAsync(await Databases.CloneAsync());

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
            builder.ConfigureLogging(logging => logging.ClearProviders().AddProvider(new Witness.LogProvider()));
            builder.ConfigureTestServices(services => services.Replace(ServiceDescriptor.Singleton<TimeProvider>(Clock)));
            configure?.Invoke(builder);
        });
    }

    /// <summary>A browser without cookies yet.</summary>
    public Visitor NewVisitor() => new(this);

    /// <summary>A machine: no cookies, no redirects followed.</summary>
    public HttpClient NewClient() => new(Host.Server.CreateHandler()) { BaseAddress = new Uri(TestConfiguration.Issuer) };

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
        if (!await Services.GetRequiredService<AccessViews>().CatchUpAsync(TimeSpan.FromSeconds(30), default))
            throw new TimeoutException("The asynchronous views did not catch up.");
    }

    /// <summary>Runs the recorder of expiries once, after the views have caught up.</summary>
    public async Task<int> RecordExpiriesAsync()
    {
        await CatchUpAsync();
        return await Services.GetRequiredService<ExpiryRecorder>().RecordAsync(default);
    }

    public async ValueTask DisposeAsync()
    {
        if (_host is not null) await _host.DisposeAsync();
        GC.SuppressFinalize(this);
    }
}
