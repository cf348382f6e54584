using System.Collections.Concurrent;
using System.Threading.Channels;
using Grants.Domain.Authorizations;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;
using Grants.Projections;
using JasperFx.Events;
using Marten;
using Microsoft.Extensions.Caching.Memory;
using Npgsql;
using NpgsqlTypes;
using Weasel.Storage;

namespace Grants.Api.Log;

/// <summary>A stream to read.</summary>
/// <param name="EndingsSince">
/// For a token family whose access tokens' ends matter: also bring the endings after this version, though they lie before the newest
/// rotation. A token's end always comes after its issue.
/// </param>
public readonly record struct StreamToRead(Guid Id, long EndingsSince = long.MaxValue);

/// <summary>
/// Reads streams for all requests that wait, in one query. Long token families are read from their newest event on that carries the
/// state (L8). What was read or written before is kept for a while, and only newer events are fetched: each read still asks the
/// database, so nothing that it answers is stale (E14). Only what <see cref="Remembered"/> gives may be.
/// </summary>
public sealed class StreamLoader : IAsyncDisposable
{
    private const int MaxStreams = 512;
    private const string Events = $"{GrantsStore.Schema}.mt_events";
    private static readonly string[] Carrying = [EventNames.All[typeof(TokenFamilyEvent.RefreshTokenIssued)], EventNames.All[typeof(TokenFamilyEvent.RefreshTokenRotated)]];
    private static readonly string[] Endings = [.. ((Type[])[typeof(TokenFamilyEvent.AccessTokenExpired), typeof(TokenFamilyEvent.AccessTokensExpired), typeof(TokenFamilyEvent.AccessTokenRevoked)]).Select(type => EventNames.All[type])];

    private readonly NpgsqlDataSource _database;
    private readonly IDocumentStore _store;
    private readonly IQuerySession _session;
    private readonly ISelector<IEvent> _selector;
    private readonly string _tails, _endings, _tokens;
    private readonly Channel<Ask> _asks = Channel.CreateUnbounded<Ask>(new UnboundedChannelOptions { SingleReader = true });
    private readonly MemoryCache _known = new(new MemoryCacheOptions { SizeLimit = 100_000, CompactionPercentage = 0.2 });
    private readonly Task _loop;

    public StreamLoader(IDocumentStore store, LogDataSource database)
    {
        _store = store;
        _database = database.Value;
        _session = store.QuerySession();
        var storage = ((Marten.Internal.IMartenSession)_session).EventStorage();
        _selector = (ISelector<IEvent>)storage;
        var columns = string.Join(", ", storage.SelectFields().Select(column => "d." + column));
        _tails = $"""
            select {columns} from unnest($1, $2) u(id, known) cross join lateral (
                select * from {Events} e where e.stream_id = u.id and e.version > u.known
                    and e.version >= case when u.known > 0 then 0 else coalesce((select t.version from {Events} t where t.stream_id = u.id and t.type = any($3) order by t.version desc limit 1), 0) end
            ) d order by d.stream_id, d.version
            """;
        _endings = $"select {columns} from unnest($1, $2) u(id, since) join {Events} d on d.stream_id = u.id and d.version > u.since and d.type = any($3)";
        _tokens = $"""
            select {columns} from unnest($1, $2) u(id, number) join {Events} d on d.stream_id = u.id
                and d.type = '{GrantsStore.RevokedToken}' and (d.data ->> 'number')::int = u.number
            """;
        _loop = Task.Run(LoopAsync);
    }

    /// <summary>The streams as they stand now.</summary>
    /// <param name="tokens">Access tokens whose own revocation matters, although it may lie before the newest rotation of their family.</param>
    public Task<StreamsRead> ReadAsync(IReadOnlyList<Guid> streams, IReadOnlyList<AccessTokenId> tokens, CancellationToken cancellation) =>
        ReadAsync([.. streams.Select(id => new StreamToRead(id))], tokens, keep: true, cancellation);

    /// <summary>The same for a sweep over many streams, of which nothing is kept.</summary>
    public Task<StreamsRead> SweepAsync(IReadOnlyList<StreamToRead> streams, CancellationToken cancellation) => ReadAsync(streams, [], keep: false, cancellation);

    private async Task<StreamsRead> ReadAsync(IReadOnlyList<StreamToRead> streams, IReadOnlyList<AccessTokenId> tokens, bool keep, CancellationToken cancellation)
    {
        var ids = streams.Select(stream => stream.Id).Distinct().ToArray();
        if (ids.Length == 0) return new StreamsRead(ids, new Dictionary<Guid, IReadOnlyList<LoggedEvent>>());
        if (Benchmark.SessionPerRequest) return await ReadBySessionAsync(ids, cancellation);
        var ask = new Ask(ids, [.. streams.Where(stream => stream.EndingsSince < long.MaxValue)], tokens, keep);
        ObjectDisposedException.ThrowIf(!_asks.Writer.TryWrite(ask), this);
        return await ask.Done.Task.WaitAsync(cancellation);
    }

    /// <summary>
    /// The streams as this node last knew them, without asking; null when it knows too little. They may have moved on, so whoever decides
    /// by them has to have their versions compared in the commit, and must not refuse anything by them.
    /// </summary>
    /// <param name="begins">A stream that needn't be known: it is taken not to exist.</param>
    internal StreamsRead? Remembered(IReadOnlyList<Guid> streams, Guid? begins)
    {
        if (Benchmark.SessionPerRequest) return null;
        var events = new Dictionary<Guid, IReadOnlyList<LoggedEvent>>(streams.Count);
        foreach (var id in streams)
        {
            if (_known.TryGetValue(id, out Known? known) && known is { WrittenElsewhere: false }) events[id] = known.Events;
            else if (id == begins) events[id] = [];
            else return null;
        }

        return new StreamsRead(streams, events);
    }

    /// <summary>Keeps what was committed here, so that the next decision about these streams finds them.</summary>
    internal void Learn(Append append, IReadOnlyList<Guid> streams)
    {
        for (var i = 0; i < append.Writes.Count; i++)
        {
            var (stream, expected, happened) = append.Writes[i];
            if (happened.Count == 0 || !streams.Contains(stream)) continue;
            if (happened.Any(e => e is AuthorizationEvent.CodeRedeemed))
            {
                _known.Remove(stream); // nobody who means well comes back to it
                continue;
            }

            var known = _known.Get<Known>(stream);
            if ((known is null ? 0 : known.Events[^1].Version) != expected) continue; // somebody read it meanwhile, or it has been forgotten
            var ids = append.Ids[i];
            Remember(stream, [.. known?.Events ?? [], .. happened.Select((e, n) => new LoggedEvent(stream, expected + n + 1, ids[n], e))], keep: true);
        }
    }

    /// <summary>
    /// A commit by what this node remembered has failed. Whatever it would have written to is being written to on another node as well:
    /// it is asked about at once from now on, for as long as it is known.
    /// </summary>
    internal void Mistrust(Append append)
    {
        foreach (var write in append.Writes)
        {
            if (write.Events.Count > 0 && _known.Get<Known>(write.Stream) is { } known) known.WrittenElsewhere = true;
        }
    }

    public async ValueTask DisposeAsync()
    {
        _asks.Writer.TryComplete();
        await _loop;
        await _session.DisposeAsync();
        _known.Dispose();
    }

    private async Task<StreamsRead> ReadBySessionAsync(Guid[] ids, CancellationToken cancellation)
    {
        await using var session = _store.LightweightSession();
        var query = session.CreateBatchQuery();
        var streams = ids.ToDictionary(id => id, id => query.Events.FetchStream(id));
        await query.Execute(cancellation);
        var events = new Dictionary<Guid, IReadOnlyList<LoggedEvent>>();
        foreach (var (id, stream) in streams) events[id] = [.. (await stream).Select(Plain)];
        return new StreamsRead(ids, events);
    }

    private async Task LoopAsync()
    {
        var asks = new List<Ask>();
        while (await _asks.Reader.WaitToReadAsync())
        {
            var streams = 0;
            while (streams < MaxStreams && _asks.Reader.TryRead(out var ask))
            {
                asks.Add(ask);
                streams += ask.Ids.Length;
            }

            try
            {
                var read = await QueryAsync(asks);
                foreach (var ask in asks) ask.Done.TrySetResult(new StreamsRead(ask.Ids, read));
            }
            catch (Exception e)
            {
                foreach (var ask in asks) ask.Done.TrySetException(e);
            }

            asks.Clear();
        }
    }

    private async Task<IReadOnlyDictionary<Guid, IReadOnlyList<LoggedEvent>>> QueryAsync(List<Ask> asks)
    {
        var ids = asks.SelectMany(ask => ask.Ids).Distinct().ToArray();
        var known = new Dictionary<Guid, IReadOnlyList<LoggedEvent>>(ids.Length);
        foreach (var id in ids) known[id] = _known.Get<Known>(id)?.Events ?? [];
        var since = asks.SelectMany(ask => ask.Since).ToList();
        var tokens = asks.SelectMany(ask => ask.Tokens).Distinct().ToList();

        await using var connection = await _database.OpenConnectionAsync();
        await using var batch = new NpgsqlBatch(connection);
        Add(_tails, (ids, NpgsqlDbType.Uuid), (ids.Select(id => known[id] is { Count: > 0 } events ? events[^1].Version : 0).ToArray(), NpgsqlDbType.Bigint), (Carrying, NpgsqlDbType.Text));
        if (since.Count > 0) Add(_endings, (since.Select(stream => stream.Id).ToArray(), NpgsqlDbType.Uuid), (since.Select(stream => stream.EndingsSince).ToArray(), NpgsqlDbType.Bigint), (Endings, NpgsqlDbType.Text));
        if (tokens.Count > 0) Add(_tokens, (tokens.Select(token => token.Family).ToArray(), NpgsqlDbType.Uuid), (tokens.Select(token => token.Number).ToArray(), NpgsqlDbType.Integer));

        var fresh = new List<LoggedEvent>();
        var earlier = new List<LoggedEvent>();
        await using (var reader = await batch.ExecuteReaderAsync())
        {
            while (await reader.ReadAsync()) fresh.Add(Plain(_selector.Resolve(reader)));
            while (await reader.NextResultAsync())
            {
                while (await reader.ReadAsync()) earlier.Add(Plain(_selector.Resolve(reader)));
            }
        }

        // What is only swept over would push out what requests come back to.
        var kept = asks.Where(ask => ask.Keep).SelectMany(ask => ask.Ids).ToHashSet();
        foreach (var stream in fresh.GroupBy(e => e.Stream)) known[stream.Key] = Remember(stream.Key, [.. known[stream.Key], .. stream], kept.Contains(stream.Key));

        // After the tail, which tells the family: from then on a fold takes in the end of a token whenever it comes.
        foreach (var ending in earlier.GroupBy(e => e.Stream))
        {
            if (known[ending.Key] is { Count: > 0 } tail) known[ending.Key] = [.. tail, .. ending.Where(e => e.Version < tail[0].Version).DistinctBy(e => e.Version)];
        }

        return known;

        void Add(string sql, params (Array Values, NpgsqlDbType Elements)[] parameters)
        {
            var command = new NpgsqlBatchCommand(sql);
            foreach (var (values, elements) in parameters) command.Parameters.Add(new NpgsqlParameter { Value = values, NpgsqlDbType = NpgsqlDbType.Array | elements });
            batch.BatchCommands.Add(command);
        }
    }

    private IReadOnlyList<LoggedEvent> Remember(Guid id, List<LoggedEvent> events, bool keep)
    {
        var carrying = events.FindLastIndex(e => e.Data is TokenFamilyEvent.RefreshTokenIssued or TokenFamilyEvent.RefreshTokenRotated);
        if (carrying > 0) events.RemoveRange(0, carrying);
        if (!keep) return events;
        var known = new Known(events) { WrittenElsewhere = _known.Get<Known>(id) is { WrittenElsewhere: true } };
        return _known.Set(id, known, new MemoryCacheEntryOptions { Size = events.Count, AbsoluteExpirationRelativeToNow = TimeSpan.FromMinutes(5) }).Events;
    }

    private static LoggedEvent Plain(IEvent e) => new(e.StreamId, e.Version, e.Id, e.Data);

    private sealed record Known(IReadOnlyList<LoggedEvent> Events)
    {
        public bool WrittenElsewhere { get; set; }
    }

    private sealed record Ask(Guid[] Ids, IReadOnlyList<StreamToRead> Since, IReadOnlyList<AccessTokenId> Tokens, bool Keep)
    {
        public TaskCompletionSource<StreamsRead> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
