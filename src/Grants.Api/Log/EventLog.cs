using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;
using Grants.Projections;
using JasperFx.Events;
using Marten;
using Npgsql;
using NpgsqlTypes;

namespace Grants.Api.Log;

/// <summary>Streams that a decision may be about, from memory.</summary>
/// <param name="Holds">Whether they are, by what is remembered of them. Then the commit, which compares their versions, proves it.</param>
public sealed record Guess(IReadOnlyList<Guid> Streams, Func<StreamsRead, bool>? Holds = null);

/// <summary>
/// The one door to the log. Loads the named streams, calls the pure decision with them and the clock, appends what it decided,
/// commits, and only then returns (L1). Whoever loses a race is loaded and decided again, a bounded number of times (L2).
/// Inside, requests share their loads and their commits: see docs/group-commit.md and docs/decisions/0005-the-door.md.
/// </summary>
public sealed class EventLog(IDocumentStore store, StreamLoader loader, LogWriter writer, Changes changes, TimeProvider clock)
{
    private const int Attempts = 6;

    // Losers of one stream try again one after the other, so that a crowd over one credential doesn't spend its attempts on itself.
    private readonly SemaphoreSlim[] _turns = [.. Enumerable.Range(0, 256).Select(_ => new SemaphoreSlim(1, 1))];

    /// <summary>Commits a decision over streams whose ids are known. The first one named is the cause of what happens.</summary>
    /// <param name="sessionOf">Where the caller doesn't know the browser session but the streams do (a token request has no cookie).</param>
    /// <param name="token">An access token whose own revocation matters to the decision.</param>
    /// <param name="reliesOn">Further streams that must stand as the decision saw them, but that didn't cause anything.</param>
    /// <param name="begins">One of the streams: that which the decision begins, if all goes well.</param>
    /// <param name="tokens">Further access tokens whose own revocations matter.</param>
    public Task<Decision<T>> Commit<T>(Cause cause, IReadOnlyList<Guid> streams, Func<StreamsRead, DateTimeOffset, Decision<T>> decide, CancellationToken cancellation,
        Func<StreamsRead, Guid?>? sessionOf = null, AccessTokenId? token = null, IReadOnlyList<Guid>? reliesOn = null, Guid? begins = null, IReadOnlyList<AccessTokenId>? tokens = null)
    {
        IReadOnlyList<Guid> all = [.. streams, .. reliesOn ?? []];
        IReadOnlyList<AccessTokenId> named = token is { } one ? [one, .. tokens ?? []] : tokens ?? [];
        return CommitAsync(cause, null, named.Count == 0 ? () => new Guess(all) : null, all, named, decide, sessionOf, caused: streams.Count > 0, begins, cancellation);
    }

    /// <summary>
    /// Commits a decision over streams that first have to be found. <paramref name="find"/> runs again with every attempt, because
    /// what it finds may be what the race was about. Throws <see cref="TooBusyException"/> when every attempt was lost.
    /// </summary>
    /// <param name="guess">What was found lately, if anything.</param>
    /// <param name="begins">One of the streams: that which the decision begins, if all goes well.</param>
    public Task<Decision<T>> Commit<T>(Cause cause, Func<IQuerySession, CancellationToken, Task<IReadOnlyList<Guid>>> find,
        Func<StreamsRead, DateTimeOffset, Decision<T>> decide, CancellationToken cancellation, Func<Guess?>? guess = null, Guid? begins = null) =>
        CommitAsync(cause, find, guess, [], [], decide, null, caused: true, begins, cancellation);

    /// <summary>
    /// Commits what is decided about each of many streams in one transaction, each stream for itself; a stream that somebody changed
    /// meanwhile is left as it is. Returns how many events were written. For streams without an inline view or with one.
    /// </summary>
    public async Task<int> CommitEach(IReadOnlyList<StreamToRead> streams, Func<StreamsRead, Guid, DateTimeOffset, (Cause Cause, IReadOnlyList<StreamEvent> Events)> decide, CancellationToken cancellation)
    {
        var read = await loader.SweepAsync(streams, cancellation);
        var batch = new List<Append>();
        var written = 0;
        foreach (var stream in streams)
        {
            var now = clock.GetUtcNow();
            var (cause, events) = decide(read, stream.Id, now);
            if (events.Count == 0) continue;
            var only = read.Only(stream.Id);
            var append = AppendOf(cause, only, only.LastEvent, events, now);
            if (!HasInlineView(append)) batch.Add(append);
            else if (await WriteWithViewsAsync(null, append, cancellation)) written += events.Count;
        }

        if (batch.Count == 0) return written;
        var held = await writer.AppendManyAsync(batch);
        return written + batch.Zip(held).Sum(entry => entry.Second ? entry.First.Writes.Sum(write => write.Events.Count) : 0);
    }

    /// <inheritdoc cref="CommitEach(IReadOnlyList{StreamToRead}, Func{StreamsRead, Guid, DateTimeOffset, ValueTuple{Cause, IReadOnlyList{StreamEvent}}}, CancellationToken)"/>
    public Task<int> CommitEach(IReadOnlyList<Guid> streams, Func<StreamsRead, Guid, DateTimeOffset, (Cause Cause, IReadOnlyList<StreamEvent> Events)> decide, CancellationToken cancellation) =>
        CommitEach([.. streams.Select(id => new StreamToRead(id))], decide, cancellation);

    /// <summary>Reads streams without deciding anything: for answers that append nothing (L4).</summary>
    /// <param name="token">An access token whose own revocation matters to the answer.</param>
    public Task<StreamsRead> Read(IReadOnlyList<Guid> streams, CancellationToken cancellation, AccessTokenId? token = null) => Read(streams, token is { } one ? [one] : [], cancellation);

    /// <summary>The same, of several access tokens.</summary>
    public Task<StreamsRead> Read(IReadOnlyList<Guid> streams, IReadOnlyList<AccessTokenId> tokens, CancellationToken cancellation) => loader.ReadAsync(streams, tokens, cancellation);

    /// <summary>One event and the one right before it, wherever in its stream they stand; fewer when there are fewer. An event never changes, so nothing newer is needed to read it.</summary>
    public async Task<IReadOnlyList<object>> ReadAt(Guid stream, long version, CancellationToken cancellation)
    {
        if (version < 1) return []; // Marten takes that for the whole stream
        await using var session = store.QuerySession();
        return [.. (await session.Events.FetchStreamAsync(stream, version, fromVersion: Math.Max(1, version - 1), token: cancellation)).Select(e => e.Data)];
    }

    private async Task<Decision<T>> CommitAsync<T>(Cause cause, Func<IQuerySession, CancellationToken, Task<IReadOnlyList<Guid>>>? find, Func<Guess?>? guess, IReadOnlyList<Guid> streams,
        IReadOnlyList<AccessTokenId> tokens, Func<StreamsRead, DateTimeOffset, Decision<T>> decide, Func<StreamsRead, Guid?>? sessionOf, bool caused, Guid? begins, CancellationToken cancellation)
    {
        if (guess?.Invoke() is { Streams.Count: > 0 } guessed && await CommitByMemoryAsync(cause, guessed, decide, sessionOf, caused, begins, cancellation) is { } done) return done;
        SemaphoreSlim? turn = null;
        try
        {
            for (var attempt = 1; ; attempt++)
            {
                // The first attempts take no lock: mostly nobody else is there. Whoever has lost twice holds the streams while it decides.
                await using var session = attempt > 2 || find is not null ? store.LightweightSession() : null;
                if (find is not null) streams = await find(session!, cancellation);
                if (attempt > 2) await LockAsync(session!, streams, cancellation);
                var read = await loader.ReadAsync(streams, tokens, cancellation);
                var now = clock.GetUtcNow();
                var decision = decide(read, now);
                if (decision.Events.Count == 0) return decision;
                if (Benchmark.StoresNothing) return decision;
                var append = AppendOf(sessionOf is null ? cause : cause with { Session = sessionOf(read) ?? cause.Session }, read, caused ? read.LastEvent : null, decision.Events, now);
                var written = attempt > 2 || Benchmark.SessionPerRequest || HasInlineView(append)
                    ? await WriteWithViewsAsync(session, append, cancellation)
                    : await writer.AppendAsync(append).WaitAsync(cancellation);
                if (written)
                {
                    loader.Learn(append, streams);
                    return decision;
                }

                if (attempt == Attempts) throw new TooBusyException("The streams are being changed too often just now.");
                if (turn is null && streams.Count > 0)
                {
                    var mine = _turns[(uint)streams[0].GetHashCode() % _turns.Length];
                    await mine.WaitAsync(cancellation);
                    turn = mine;
                }
            }
        }
        finally
        {
            turn?.Release();
        }
    }

    /// <summary>
    /// One attempt by what this node remembers, which spares the reading. It counts only if something is written, because then the commit
    /// compares the version of every stream that the decision saw; one that writes nothing is taken again by what the database says.
    /// </summary>
    private async Task<Decision<T>?> CommitByMemoryAsync<T>(Cause cause, Guess guess, Func<StreamsRead, DateTimeOffset, Decision<T>> decide, Func<StreamsRead, Guid?>? sessionOf,
        bool caused, Guid? begins, CancellationToken cancellation)
    {
        if (loader.Remembered(guess.Streams, begins) is not { } read || guess.Holds?.Invoke(read) == false) return null;
        var now = clock.GetUtcNow();
        var decision = decide(read, now);
        if (decision.Events.Count == 0) return null;
        if (Benchmark.StoresNothing) return decision;
        var append = AppendOf(sessionOf is null ? cause : cause with { Session = sessionOf(read) ?? cause.Session }, read, caused ? read.LastEvent : null, decision.Events, now);
        if (HasInlineView(append)) return null;
        if (await writer.AppendAsync(append).WaitAsync(cancellation))
        {
            loader.Learn(append, guess.Streams);
            return decision;
        }

        loader.Mistrust(append);
        return null;
    }

    private static bool HasInlineView(Append append) => append.Writes.Any(write => write.Events.Any(EventNames.HasInlineView));

    /// <summary>Every stream that the decision looked at must still be what it was, also those that get no event (L3: a grant that is revoked on another node meanwhile stops the token).</summary>
    private static Append AppendOf(Cause cause, StreamsRead read, Guid? because, IReadOnlyList<StreamEvent> events, DateTimeOffset now)
    {
        // In the order decided, which is the order in the log; the guards come last.
        var written = events.GroupBy(e => e.Stream).Select(stream => new Write(stream.Key, read.Version(stream.Key), [.. stream.Select(e => e.Event)])).ToList();
        var guards = read.Ids.Distinct().Where(id => written.TrueForAll(write => write.Stream != id)).Select(id => new Write(id, read.Version(id), []));
        return new Append(cause, because?.ToString() ?? cause.Command, now, [.. written, .. guards]);
    }

    /// <param name="held">The session that holds the streams' locks; null: one of its own.</param>
    private async Task<bool> WriteWithViewsAsync(IDocumentSession? held, Append append, CancellationToken cancellation)
    {
        if (held is not null) return await WriteAsync(held, append, cancellation);
        await using var session = store.LightweightSession();
        return await WriteAsync(session, append, cancellation);
    }

    /// <summary>Marten's own append, for streams with an inline view: events and view in one transaction.</summary>
    private async Task<bool> WriteAsync(IDocumentSession session, Append append, CancellationToken cancellation)
    {
        session.QueueOperation(new SqlOperation($"select {GrantsStore.Schema}.expect_versions(?, ?)",
            (append.Writes.Select(write => write.Stream).ToArray(), NpgsqlDbType.Uuid), (append.Writes.Select(write => write.Expected).ToArray(), NpgsqlDbType.Bigint)));
        for (var i = 0; i < append.Writes.Count; i++)
        {
            var (place, write) = (i, append.Writes[i]);
            if (write.Events.Count == 0) continue;
            var marked = write.Events.Select(object (e, number) => Mark(session.Events.BuildEvent(e), append, place, number)).ToArray();
            if (write.Expected > 0) session.Events.Append(write.Stream, marked);
            else session.Events.StartStream(EventNames.StreamOf(write.Events[0]), write.Stream, marked);
        }

        var told = Changes.Announce(session, append);
        try
        {
            await session.SaveChangesAsync(cancellation);
            if (told) changes.Happened();
            return true;
        }
        catch (Exception lost) when (LostRaces.Include(lost))
        {
            return false;
        }
    }

    private static IEvent Mark(IEvent e, Append append, int write, int number)
    {
        e.Id = append.Ids[write][number];
        e.Timestamp = append.At;
        e.UserName = append.Cause.ActorOf(append.Writes[write].Events[number]);
        e.CorrelationId = append.Cause.Request;
        e.CausationId = append.BecauseOf(write, number);
        foreach (var (name, value) in append.Cause.Headers()) e.SetHeader(name, value);
        return e;
    }

    private static async Task LockAsync(IDocumentSession session, IReadOnlyList<Guid> streams, CancellationToken cancellation)
    {
        await session.BeginTransactionAsync(cancellation);
        // The same order as in a batch and in expect_versions, so that two commits can't wait for each other.
        await using var command = new NpgsqlCommand($"select 1 from {GrantsStore.Schema}.mt_streams where id = any($1) order by id for no key update");
        command.Parameters.Add(new NpgsqlParameter { Value = streams.ToArray() });
        await using var reader = await session.ExecuteReaderAsync(command, cancellation);
    }
}
