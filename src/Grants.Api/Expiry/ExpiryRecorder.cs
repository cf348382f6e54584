using System.Diagnostics.Metrics;
using Grants.Api.Log;
using Grants.Domain;
using Grants.Domain.Protocol;
using Grants.Projections;
using Grants.Projections.CurrentTokens;
using Grants.Projections.Deadlines;
using Npgsql;

namespace Grants.Api.Expiry;

/// <summary>
/// Writes down what has run out: once each, in large batches, soon after (design §5). Decides nothing: every decision compares clocks
/// itself. Two views say what is due; they are hints, and what is written follows from the streams alone, whose versions see to it
/// that nothing is written twice, whatever number of nodes is at it.
/// </summary>
public sealed class ExpiryRecorder(EventLog log, NpgsqlDataSource database, Settings settings, TimeProvider clock, ILogger<ExpiryRecorder> logger) : BackgroundService
{
    /// <summary>The name of the meter: <c>grants.expiry.recorded</c> counts events, <c>grants.expiry.lag</c> is in seconds.</summary>
    public const string MeterName = "Grants.Expiry";

    /// <summary>Of the advisory lock that the node holds which is recording.</summary>
    public const long RoundLock = 0x4772616E74734578;

    // Requests wait for the commit of one chunk at most.
    private const int ChunkSize = 300;

    private static readonly string Tokens = $"""
        select family, number, expires_at, version from {CurrentTokensTable.Rows.FullName}
        where state = 'live' and expires_at <= $1 and (expires_at, family, number) > ($2, $3, $4) order by expires_at, family, number limit {ChunkSize}
        """;

    private static readonly string Deadlines = $"""
        select stream, 0, due, 0::bigint from {DeadlinesTable.Rows.FullName}
        where due <= $1 and (due, stream, 0) > ($2, $3, $4) order by due, stream limit {ChunkSize}
        """;

    private static readonly Meter Meter = new(MeterName);
    private static readonly Counter<long> Recorded = Meter.CreateCounter<long>("grants.expiry.recorded", "{event}", "Ends that were written down.");
    private static readonly Histogram<double> Lag = Meter.CreateHistogram<double>("grants.expiry.lag", "s", "From the moment when something ran out until it was written down.");

    private static readonly Action<ILogger, string, Exception?> Failed =
        LoggerMessage.Define<string>(LogLevel.Warning, new EventId(1, "ExpiryRoundFailed"), "A round of recording expiries failed and will be repeated: {Reason}");

    /// <summary>The log's end after the last round of this node that wrote something.</summary>
    private long _end;

    /// <summary>What a view says is due.</summary>
    /// <param name="Number">An access token's number in its family; 0 for a refresh token and for all other streams.</param>
    /// <param name="Version">For a token: its end stands after this version of its stream.</param>
    private readonly record struct Due(Guid Stream, int Number, DateTimeOffset At, long Version);

    /// <summary>
    /// Records all that is due, unless another node is doing so or the views haven't seen yet what this one wrote last: then there is
    /// nothing to do but to read the same streams in vain. Returns how many events were written; null when it wasn't its turn.
    /// </summary>
    public async Task<int?> RoundAsync(CancellationToken cancellation)
    {
        // Held by the connection, not by a transaction: an open transaction would hold up all views.
        await using var turn = await database.OpenConnectionAsync(cancellation);
        if (!await AskAsync<bool>(turn, $"select pg_try_advisory_lock({RoundLock})", cancellation)) return null;
        try
        {
            if (await AskAsync<long>(turn, $"select coalesce(min(last_seq_id), 0) from {GrantsStore.Schema}.mt_event_progression where name in ('{CurrentTokensTable.ViewName}:All', '{DeadlinesTable.ViewName}:All')", cancellation) < _end)
                return null;
            var written = await RecordAsync(cancellation);
            if (written > 0) _end = await AskAsync<long>(turn, $"select max(seq_id) from {GrantsStore.Schema}.mt_events", cancellation);
            return written;
        }
        finally
        {
            await AskAsync<bool>(turn, $"select pg_advisory_unlock({RoundLock})", CancellationToken.None);
        }
    }

    /// <summary>Records all that the views say is due by now. Safe on any number of nodes at once. Returns how many events were written.</summary>
    public async Task<int> RecordAsync(CancellationToken cancellation)
    {
        var until = clock.GetUtcNow();
        var written = 0;
        foreach (var view in (string[])[Deadlines, Tokens])
        {
            // Page after page: a view that is behind names what is written already, and that must not be read again and again.
            for (var last = new Due(Guid.Empty, 0, DateTimeOffset.UnixEpoch, 0); ;)
            {
                var chunk = await DueAsync(view, until, last, cancellation);
                if (chunk.Count > 0) written += await RecordAsync(chunk, cancellation);
                if (chunk.Count < ChunkSize) break;
                last = chunk[^1];
            }
        }

        return written;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(settings.ExpiryInterval, clock);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await RoundAsync(stoppingToken);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                Failed(logger, e.GetType().Name, null);
            }
        }
    }

    private async Task<int> RecordAsync(IReadOnlyList<Due> chunk, CancellationToken cancellation)
    {
        var due = chunk.ToLookup(item => item.Stream);
        var written = await log.CommitEach(
            [.. due.Select(stream => new StreamToRead(stream.Key, stream.Where(item => item.Number > 0).Select(item => item.Version).DefaultIfEmpty(long.MaxValue).Min()))],
            (streams, id, now) => Expire(streams, id, due[id], now), cancellation);
        Recorded.Add(written);
        return written;
    }

    private static (Cause, IReadOnlyList<StreamEvent>) Expire(StreamsRead streams, Guid id, IEnumerable<Due> due, DateTimeOffset now)
    {
        (IEnumerable<IDomainEvent> Events, ClientId? Client, Guid? Session) found = (streams.Family(id), streams.Authorization(id), streams.Session(id), streams.Grant(id)) switch
        {
            ({ } family, _, _, _) => (RecordExpiry.Of(family, due.Where(item => item.Number > 0).Select(item => (item.Number, item.At)), now), family.Facts.Client, family.Facts.Session),
            (_, { } authorization, _, _) => (RecordExpiry.Of(authorization, now), authorization.Request.Client, authorization.Subject?.Session),
            (_, _, { } browser, _) => (RecordExpiry.Of(browser, now), null, browser.Id),
            (_, _, _, { } grant) => (RecordExpiry.Of(grant, now), grant.Client, null),
            _ => ([], null, null),
        };
        IReadOnlyList<StreamEvent> events = [.. found.Events.Select(e => new StreamEvent(id, e))];
        if (events.Count > 0) Lag.Record((now - due.Min(item => item.At)).TotalSeconds);
        return (new Cause(Cause.System("expiry"), "expiry", "expiry", found.Client, found.Session), events);
    }

    private async Task<IReadOnlyList<Due>> DueAsync(string view, DateTimeOffset until, Due last, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(view);
        foreach (var value in (object[])[until, last.At, last.Stream, last.Number]) command.Parameters.Add(new NpgsqlParameter { Value = value });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var due = new List<Due>();
        while (await reader.ReadAsync(cancellation)) due.Add(new Due(reader.GetGuid(0), reader.GetInt32(1), reader.GetFieldValue<DateTimeOffset>(2), reader.GetInt64(3)));
        return due;
    }

    private static async Task<T> AskAsync<T>(NpgsqlConnection connection, string question, CancellationToken cancellation)
    {
        await using var command = connection.CreateCommand();
        command.CommandText = question;
        return (T)(await command.ExecuteScalarAsync(cancellation))!;
    }
}
