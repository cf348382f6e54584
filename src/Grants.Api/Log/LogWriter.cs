using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Threading.Channels;
using Marten;
using Npgsql;

namespace Grants.Api.Log;

/// <summary>
/// Group commit: one loop commits all appends that wait, in one transaction. No delay is added; while a batch commits, the next one
/// gathers. Durability is never traded: an append is answered after its commit (L1). See docs/group-commit.md.
/// </summary>
public sealed class LogWriter : IAsyncDisposable
{
    /// <summary>How many appends may wait. More than that, and the database is too slow for what is asked: 503.</summary>
    internal const int Capacity = 4096;

    /// <summary>The most appends in one transaction.</summary>
    internal const int MaxBatch = 256;

    private static readonly Meter Meter = new("Grants.Log");
    private static readonly Histogram<int> BatchSize = Meter.CreateHistogram<int>("grants.log.batch.size", "{append}", "Appends in one commit");
    private static readonly Histogram<double> WaitTime = Meter.CreateHistogram<double>("grants.log.append.wait", "ms", "From handing in an append to the beginning of its commit");
    private static readonly Histogram<double> CommitTime = Meter.CreateHistogram<double>("grants.log.commit.duration", "ms", "One commit");
    private static readonly Counter<long> Lost = Meter.CreateCounter<long>("grants.log.append.lost", "{append}", "Appends that lost a race and were decided again");
    private static readonly Counter<long> Split = Meter.CreateCounter<long>("grants.log.batch.split", "{batch}", "Batches that failed as a whole and were taken item by item");

    private readonly Channel<Item> _queue = Channel.CreateBounded<Item>(new BoundedChannelOptions(Capacity) { SingleReader = true });
    private readonly AppendBatch _batches;
    private readonly NpgsqlDataSource _database;
    private readonly Task _loop;

    public LogWriter(IDocumentStore store, LogDataSource database)
    {
        _batches = new AppendBatch(store);
        _database = database.Value;
        Meter.CreateObservableGauge("grants.log.queue.length", () => _queue.Reader.Count, "{append}", "Appends that wait for a commit");
        _loop = Task.Run(LoopAsync);
    }

    /// <summary>True when all of it is durable, false when a stream had moved on and nothing of it was written.</summary>
    /// <exception cref="TooBusyException">The queue is full.</exception>
    public Task<bool> AppendAsync(Append append)
    {
        var item = new Item(append, Stopwatch.GetTimestamp());
        return _queue.Writer.TryWrite(item) ? item.Done.Task : throw new TooBusyException("Too much waits to be written.");
    }

    /// <summary>A batch of the caller's own, past the queue, so that it makes no request wait. Returns which of its appends were written.</summary>
    public async Task<IReadOnlyList<bool>> AppendManyAsync(IReadOnlyList<Append> appends)
    {
        var items = appends.Select(append => new Item(append, Stopwatch.GetTimestamp())).ToList();
        await CommitAsync(items);
        return await Task.WhenAll(items.Select(item => item.Done.Task));
    }

    /// <summary>Takes nothing more and commits what waits.</summary>
    public async ValueTask DisposeAsync()
    {
        _queue.Writer.TryComplete();
        await _loop;
    }

    private async Task LoopAsync()
    {
        var batch = new List<Item>(MaxBatch);
        while (await _queue.Reader.WaitToReadAsync())
        {
            while (batch.Count < MaxBatch && _queue.Reader.TryRead(out var item)) batch.Add(item);
            await CommitAsync(batch);
            batch.Clear();
        }
    }

    private async Task CommitAsync(List<Item> batch)
    {
        // Two appends to one stream can't both hold what they saw: the later one is decided again, with what the earlier one wrote.
        var written = new HashSet<Guid>();
        var kept = new List<Item>(batch.Count);
        foreach (var item in batch)
        {
            WaitTime.Record(Stopwatch.GetElapsedTime(item.Since).TotalMilliseconds);
            if (item.Append.Writes.Any(write => written.Contains(write.Stream)))
            {
                Lose(item);
                continue;
            }

            foreach (var write in item.Append.Writes.Where(write => write.Events.Count > 0)) written.Add(write.Stream);
            kept.Add(item);
        }

        try
        {
            await CommitTogetherAsync(kept);
        }
        catch (Exception e) when (kept.Count > 1 && !IsOutage(e))
        {
            // One of them can't be written as it is; the others must not suffer. Each is safe to try again: its versions tell.
            Split.Add(1);
            foreach (var item in kept) await CommitAloneAsync(item);
        }
        catch (Exception e)
        {
            foreach (var item in kept) Fail(item, e);
        }
    }

    private async Task CommitTogetherAsync(List<Item> items)
    {
        if (items.Count == 0) return;
        var begun = Stopwatch.GetTimestamp();
        await using var connection = await _database.OpenConnectionAsync();
        var lost = await _batches.CommitAsync(connection, [.. items.Select(item => item.Append)], CancellationToken.None);
        BatchSize.Record(items.Count);
        CommitTime.Record(Stopwatch.GetElapsedTime(begun).TotalMilliseconds);
        foreach (var number in lost) Lose(items[number]);
        foreach (var item in items) item.Done.TrySetResult(true); // no effect on those that lost
    }

    private async Task CommitAloneAsync(Item item)
    {
        try
        {
            await CommitTogetherAsync([item]);
        }
        catch (Exception e)
        {
            Fail(item, e);
        }
    }

    private static void Lose(Item item)
    {
        Lost.Add(1);
        item.Done.TrySetResult(false);
    }

    private static void Fail(Item item, Exception e)
    {
        if (LostRaces.Include(e)) Lose(item);
        else item.Done.TrySetException(e);
    }

    /// <summary>The server is gone, going or out of means (classes 57, 53 and 08): trying the same again item by item would only take longer.</summary>
    private static bool IsOutage(Exception e) => e is PostgresException refused ? refused.SqlState[..2] is "57" or "53" or "08" : e is NpgsqlException or TimeoutException or IOException or System.Net.Sockets.SocketException;

    private sealed record Item(Append Append, long Since)
    {
        public TaskCompletionSource<bool> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
