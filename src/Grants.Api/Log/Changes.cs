using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Keys;
using Grants.Projections;
using Marten;
using Npgsql;

namespace Grants.Api.Log;

/// <summary>
/// Tells every node when clients, permissions or keys have changed, so that each may keep them in memory: PostgreSQL notifications,
/// sent with the commit. Usually known everywhere within milliseconds, and at the latest after <see cref="Bound"/>: a node that hasn't
/// heard from the database for so long keeps nothing. What must be exact never rests on it: a mint compares the client's stream in
/// its commit, introspection reads the streams (E14, T23).
/// </summary>
public sealed class Changes(DatabaseHandle database, TimeProvider clock, ILogger<Changes> logger) : BackgroundService
{
    /// <summary>How long a change may go unnoticed on another node at the worst.</summary>
    public static readonly TimeSpan Bound = TimeSpan.FromSeconds(5);

    private const string Channel = "grants_changed";
    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(2);

    private static readonly Action<ILogger, string, Exception?> Deaf =
        LoggerMessage.Define<string>(LogLevel.Warning, new EventId(1, "NotListening"), "Not hearing of changes on other nodes; until then nothing is kept in memory: {Reason}");

    private long _generation;
    private long _heardAt = long.MinValue;

    /// <summary>
    /// A number that changes whenever something may have changed; null while this node can't know. Take it before reading what is to be
    /// kept; what was kept under another number is stale.
    /// </summary>
    public long? Generation
    {
        get
        {
            var heardAt = Interlocked.Read(ref _heardAt);
            return heardAt != long.MinValue && clock.GetElapsedTime(heardAt) < Bound ? Interlocked.Read(ref _generation) : null;
        }
    }

    /// <summary>Something changed here: this node forgets at once.</summary>
    public void Happened() => Interlocked.Increment(ref _generation);

    /// <summary>Puts the notification into the commit if what is appended is kept in memory anywhere. True if so.</summary>
    internal static bool Announce(IDocumentSession session, Append append)
    {
        if (!append.Writes.Any(write => write.Events.Any(e => e is ClientEvent or CatalogueEvent or SigningKeyEvent))) return false;
        session.QueueOperation(new SqlOperation($"select pg_notify('{Channel}', '')"));
        return true;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await ListenAsync(stoppingToken);
            }
            catch (Exception e) when (e is NpgsqlException or TimeoutException or System.Net.Sockets.SocketException && !stoppingToken.IsCancellationRequested)
            {
                Interlocked.Exchange(ref _heardAt, long.MinValue);
                Deaf(logger, e.GetType().Name, null);
                await Task.Delay(TimeSpan.FromSeconds(1), stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private async Task ListenAsync(CancellationToken cancellation)
    {
        // A connection of its own that nothing waits for: a silent network must not look like silence.
        var settings = new NpgsqlConnectionStringBuilder(database.ConnectionString) { Pooling = false, CommandTimeout = 2, Timeout = 5 };
        await using var connection = new NpgsqlConnection(settings.ConnectionString);
        connection.Notification += (_, _) => Happened();
        await connection.OpenAsync(cancellation);
        await using (var listen = new NpgsqlCommand($"listen {Channel}", connection)) await listen.ExecuteNonQueryAsync(cancellation);
        Happened(); // whatever came while nobody listened
        while (true)
        {
            Interlocked.Exchange(ref _heardAt, clock.GetTimestamp());
            if (await connection.WaitAsync(Heartbeat, cancellation)) continue;
            await using var beat = new NpgsqlCommand("select 1", connection);
            await beat.ExecuteScalarAsync(cancellation);
        }
    }
}
