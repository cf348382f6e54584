using Grants.Api.Log;
using Grants.Domain;
using Grants.Domain.Protocol;
using Grants.Projections.Deadlines;
using Npgsql;

namespace Grants.Api.Expiry;

/// <summary>
/// Writes down what has run out: once each, in large batches, soon after (design §5). Decides nothing: every decision compares clocks
/// itself. Runs on every node; the streams' versions see to it that nothing is written twice.
/// </summary>
public sealed class ExpiryRecorder(EventLog log, NpgsqlDataSource database, Settings settings, TimeProvider clock, ILogger<ExpiryRecorder> logger) : BackgroundService
{
    private const int BatchSize = 500;

    private static readonly Action<ILogger, string, Exception?> Failed =
        LoggerMessage.Define<string>(LogLevel.Warning, new EventId(1, "ExpiryRoundFailed"), "A round of recording expiries failed and will be repeated: {Reason}");

    /// <summary>Records all that is due now. Returns how many events were written.</summary>
    public async Task<int> RecordAsync(CancellationToken cancellation)
    {
        var total = 0;
        var seen = new HashSet<Guid>();
        while (true)
        {
            // The view may be moments behind and name a stream again; one round looks at each stream once.
            var due = (await DueAsync(seen.Count + BatchSize, cancellation)).Where(stream => seen.Add(stream.Key)).Take(BatchSize).ToDictionary();
            if (due.Count == 0) return total;
            total += await log.CommitEach([.. due.Keys], (streams, id, now) => Expire(streams, id, due[id], now), cancellation);
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(settings.ExpiryInterval, clock);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await RecordAsync(stoppingToken);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                Failed(logger, e.GetType().Name, null);
            }
        }
    }

    private static (Cause, IReadOnlyList<StreamEvent>) Expire(StreamsRead streams, Guid id, IReadOnlyList<(int, DateTimeOffset)> items, DateTimeOffset now)
    {
        (IEnumerable<IDomainEvent> Events, ClientId? Client, Guid? Session) found = (streams.Authorization(id), streams.Session(id), streams.Grant(id), streams.Family(id)) switch
        {
            ({ } authorization, _, _, _) => (RecordExpiry.Of(authorization, now), authorization.Request.Client, authorization.Subject?.Session),
            (_, { } browser, _, _) => (RecordExpiry.Of(browser, now), null, browser.Id),
            (_, _, { } grant, _) => (RecordExpiry.Of(grant, now), grant.Client, null),
            (_, _, _, { } family) => (RecordExpiry.Of(family, items, now), family.Facts.Client, family.Facts.Session),
            _ => ([], null, null),
        };
        return (new Cause(Cause.System("expiry"), "expiry", "expiry", found.Client, found.Session), [.. found.Events.Select(e => new StreamEvent(id, e))]);
    }

    private async Task<Dictionary<Guid, IReadOnlyList<(int, DateTimeOffset)>>> DueAsync(int limit, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand($"select stream, array_agg(item), array_agg(due) from {DeadlinesTable.TableName} where due <= $1 group by stream order by min(due) limit $2");
        command.Parameters.Add(new NpgsqlParameter { Value = clock.GetUtcNow() });
        command.Parameters.Add(new NpgsqlParameter { Value = limit });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var streams = new Dictionary<Guid, IReadOnlyList<(int, DateTimeOffset)>>();
        while (await reader.ReadAsync(cancellation))
            streams[reader.GetGuid(0)] = [.. reader.GetFieldValue<int[]>(1).Zip(reader.GetFieldValue<DateTimeOffset[]>(2))];
        return streams;
    }
}
