using Grants.Domain.Protocol;
using Grants.Projections;
using JasperFx;
using JasperFx.Events;
using Marten;
using Npgsql;
using NpgsqlTypes;

namespace Grants.Api.Log;

/// <summary>
/// The one door to the log. Loads the named streams, calls the pure decision with them and the clock, appends what it decided,
/// commits, and only then returns (L1). Whoever loses a race is loaded and decided again, a bounded number of times (L2).
/// See docs/decisions/0005-the-door.md.
/// </summary>
public sealed class EventLog(IDocumentStore store, TimeProvider clock)
{
    private const int Attempts = 6;

    /// <summary>Commits a decision over streams whose ids are known. The first one named is the cause of what happens.</summary>
    /// <param name="sessionOf">Where the caller doesn't know the browser session but the streams do (a token request has no cookie).</param>
    public Task<Decision<T>> Commit<T>(Cause cause, IReadOnlyList<Guid> streams, Func<StreamsRead, DateTimeOffset, Decision<T>> decide, CancellationToken cancellation,
        Func<StreamsRead, Guid?>? sessionOf = null) =>
        Commit(cause, (_, _) => Task.FromResult(streams), decide, cancellation, sessionOf);

    /// <summary>
    /// Commits a decision over streams that first have to be found. <paramref name="find"/> runs again with every attempt, because
    /// what it finds may be what the race was about. Throws <see cref="TooBusyException"/> when every attempt was lost.
    /// </summary>
    public async Task<Decision<T>> Commit<T>(Cause cause, Func<IQuerySession, CancellationToken, Task<IReadOnlyList<Guid>>> find,
        Func<StreamsRead, DateTimeOffset, Decision<T>> decide, CancellationToken cancellation, Func<StreamsRead, Guid?>? sessionOf = null)
    {
        for (var attempt = 1; ; attempt++)
        {
            await using var session = store.LightweightSession();
            var streams = await find(session, cancellation);

            // The first attempt takes no lock: mostly nobody else is there. A loser queues for the streams before it reads them.
            if (attempt > 1) await LockAsync(session, streams, cancellation);
            var read = await ReadAsync(session, streams, cancellation);
            var now = clock.GetUtcNow();
            var decision = decide(read, now);
            if (decision.Events.Count == 0) return decision;
            Append(session, read, sessionOf is null ? cause : cause with { Session = sessionOf(read) ?? cause.Session }, decision.Events, now);
            try
            {
                await session.SaveChangesAsync(cancellation);
                return decision;
            }
            catch (Exception lost) when (IsLostRace(lost))
            {
                if (attempt == Attempts) throw new TooBusyException(lost);
            }
        }
    }

    /// <summary>
    /// Commits what is decided about each of many streams in one transaction, each stream for itself. When one of them is lost to
    /// somebody else, they are taken one by one. Returns how many events were written.
    /// </summary>
    public async Task<int> CommitEach(IReadOnlyList<Guid> streams, Func<StreamsRead, Guid, DateTimeOffset, (Cause Cause, IReadOnlyList<StreamEvent> Events)> decide, CancellationToken cancellation)
    {
        await using var session = store.LightweightSession();
        var read = await ReadAsync(session, streams, cancellation);
        var written = 0;
        foreach (var stream in streams)
        {
            var now = clock.GetUtcNow();
            var (cause, events) = decide(read, stream, now);
            if (events.Count == 0) continue;
            Append(session, read.Only(stream), cause, events, now);
            written += events.Count;
        }

        if (written == 0) return 0;
        try
        {
            await session.SaveChangesAsync(cancellation);
            return written;
        }
        catch (Exception lost) when (IsLostRace(lost))
        {
            if (streams.Count == 1) return 0; // whoever was first has changed the stream; the next round looks again
            var total = 0;
            foreach (var stream in streams) total += await CommitEach([stream], decide, cancellation);
            return total;
        }
    }

    /// <summary>Reads streams without deciding anything: for answers that append nothing (L4).</summary>
    public async Task<StreamsRead> Read(IReadOnlyList<Guid> streams, CancellationToken cancellation)
    {
        await using var session = store.LightweightSession();
        return await ReadAsync(session, streams, cancellation);
    }

    private static async Task<StreamsRead> ReadAsync(IDocumentSession session, IReadOnlyList<Guid> streams, CancellationToken cancellation)
    {
        if (streams.Count == 0) return new StreamsRead(streams, Array.Empty<IEvent>().ToLookup(e => e.StreamId));
        var batch = session.CreateBatchQuery();
        var reads = streams.Distinct().Select(id => batch.Events.FetchStream(id)).ToList();
        await batch.Execute(cancellation);
        var events = new List<IEvent>();
        foreach (var read in reads) events.AddRange(await read);
        return new StreamsRead(streams, events.ToLookup(e => e.StreamId));
    }

    private static async Task LockAsync(IDocumentSession session, IReadOnlyList<Guid> streams, CancellationToken cancellation)
    {
        await session.BeginTransactionAsync(cancellation);
        // The same order as in expect_versions, so that two commits can't wait for each other.
        await using var command = new NpgsqlCommand($"select 1 from {GrantsStore.Schema}.mt_streams where id = any($1) order by id for no key update");
        command.Parameters.Add(new NpgsqlParameter { Value = streams.ToArray() });
        await using var reader = await session.ExecuteReaderAsync(command, cancellation);
    }

    private static void Append(IDocumentSession session, StreamsRead read, Cause cause, IReadOnlyList<StreamEvent> events, DateTimeOffset now)
    {
        var because = read.LastEvent?.ToString() ?? cause.Command;

        // Every stream that the decision looked at must still be what it was, also those that get no event (L3: a grant that is
        // revoked on another node meanwhile stops the token).
        session.QueueOperation(new SqlOperation($"select {GrantsStore.Schema}.expect_versions(?, ?)",
            (read.Ids.Distinct().ToArray(), NpgsqlDbType.Uuid), (read.Ids.Distinct().Select(read.Version).ToArray(), NpgsqlDbType.Bigint)));

        foreach (var stream in events.GroupBy(e => e.Stream))
        {
            var marked = stream.Select(object (e) => Mark(session.Events.BuildEvent(e.Event), cause, because, now)).ToArray();
            if (read.Exists(stream.Key)) session.Events.Append(stream.Key, marked);
            else session.Events.StartStream(EventNames.StreamOf(stream.First().Event), stream.Key, marked);
        }
    }

    private static IEvent Mark(IEvent e, Cause cause, string because, DateTimeOffset now)
    {
        e.Timestamp = now;
        e.UserName = cause.Actor;
        e.CorrelationId = cause.Request;
        e.CausationId = because;
        if (cause.Client is { } client) e.SetHeader(EventMetadata.Client, client.Value);
        if (cause.Session is { } browser) e.SetHeader(EventMetadata.Session, browser.ToString("N"));
        if (cause.Origin is { } origin) e.SetHeader(EventMetadata.Origin, origin.Value);
        if (cause.Network is { } network) e.SetHeader(EventMetadata.Network, network);
        return e;
    }

    /// <summary>
    /// A stream that moved on (raised by expect_versions), unique violation (a stream or a live grant that another commit made) and
    /// deadlock: in each case somebody else was first and nothing of ours was written.
    /// </summary>
    private static bool IsLostRace(Exception exception) => exception switch
    {
        ConcurrencyException or JasperFx.Events.ExistingStreamIdCollisionException or Marten.Exceptions.ExistingStreamIdCollisionException => true,
        PostgresException { SqlState: GrantsStore.StreamMoved or PostgresErrorCodes.UniqueViolation or PostgresErrorCodes.DeadlockDetected } => true,
        { InnerException: { } inner } => IsLostRace(inner),
        _ => false,
    };
}

/// <summary>Every attempt at a commit was lost to others; nothing was written. Answered with 503 and <c>Retry-After</c>.</summary>
public sealed class TooBusyException(Exception inner) : Exception("The streams are being changed too often just now.", inner);
