using System.Text;
using System.Text.Json;
using Grants.Domain.Authorizations;
using Grants.Domain.Protocol;
using Grants.Projections;
using JasperFx.Events;
using Marten;
using Marten.Events;
using Npgsql;
using NpgsqlTypes;

namespace Grants.Api.Log;

/// <summary>What one decision appends to one stream.</summary>
/// <param name="Expected">The version that the decision saw; 0: the stream must not exist.</param>
/// <param name="Events">None: the stream is only relied on and must be unchanged (a guard).</param>
public sealed record Write(Guid Stream, long Expected, IReadOnlyList<IDomainEvent> Events);

/// <summary>One decision's appends: all of them are written or none.</summary>
/// <param name="Because">Causation: the id of the event that led here, or the command.</param>
/// <param name="At">When it was decided: the time of every event.</param>
public sealed record Append(Cause Cause, string Because, DateTimeOffset At, IReadOnlyList<Write> Writes)
{
    /// <summary>The ids that the events will have, for each of <see cref="Writes"/>.</summary>
    internal IReadOnlyList<Guid[]> Ids { get; } = [.. Writes.Select(write => write.Events.Select(_ => Guid.CreateVersion7(At)).ToArray())];

    /// <summary>What led to one of the events: what follows the arrival of a request in the same commit comes of that arrival.</summary>
    internal string BecauseOf(int write, int number)
    {
        for (var before = 0; before < number; before++)
        {
            if (Writes[write].Events[before] is AuthorizationEvent.Requested) return Ids[write][before].ToString();
        }

        return Because;
    }
}

/// <summary>
/// Many decisions' appends in one statement, which is one transaction. Streams are locked in id order, every expected version is compared
/// on the locked rows, and only what holds is written; the losers are returned by number. Writes every column as Marten's own append
/// does, which a test compares. See docs/group-commit.md.
/// </summary>
internal sealed class AppendBatch(IDocumentStore store)
{
    private const string Sql = $"""
        with w as materialized (select * from unnest($1, $2, $3, $4, $5) as w(item, id, type, expected, n)),
        held as materialized (select id, version from {GrantsStore.Schema}.mt_streams where id = any($2) order by id for no key update),
        lost as materialized (select distinct w.item from w left join held h on h.id = w.id where coalesce(h.version, 0) <> w.expected),
        won as materialized (select w.* from w where w.n > 0 and not exists (select from lost l where l.item = w.item)),
        moved as (update {GrantsStore.Schema}.mt_streams s set version = won.expected + won.n, timestamp = now() from won where s.id = won.id and won.expected > 0),
        opened as (insert into {GrantsStore.Schema}.mt_streams (id, type, version, timestamp, tenant_id)
            select id, type, n, now(), '*DEFAULT*' from won where expected = 0 order by id),
        written as (insert into {GrantsStore.Schema}.mt_events
                (seq_id, id, stream_id, version, data, type, tenant_id, timestamp, mt_dotnet_type, correlation_id, causation_id, headers, user_name, is_archived)
            select nextval('{GrantsStore.Schema}.mt_events_sequence'), e.id, e.stream, e.version, e.body, e.type, '*DEFAULT*', e.ts, e.dotnet, e.correlation, e.causation, e.headers, e.actor, false
            from (select * from unnest($6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) with ordinality
                    as e(item, id, stream, version, body, type, ts, dotnet, correlation, causation, headers, actor, o)
                where not exists (select from lost l where l.item = e.item) order by o) e)
        select item from lost
        """;

    private readonly EventGraphNames _names = new(store);
    private readonly ISerializer _serializer = ((DocumentStore)store).Options.Serializer();

    /// <summary>Commits. Returns the numbers of the items that lost; nothing of theirs is written.</summary>
    public async Task<IReadOnlyList<int>> CommitAsync(NpgsqlConnection connection, IReadOnlyList<Append> items, CancellationToken cancellation)
    {
        var writes = items.Sum(item => item.Writes.Count);
        var events = items.Sum(item => item.Writes.Sum(write => write.Events.Count));
        var (wItem, wStream, wType, wExpected, wCount) = (new int[writes], new Guid[writes], new string?[writes], new long[writes], new int[writes]);
        var (eItem, eId, eStream, eVersion, body, type) = (new int[events], new Guid[events], new Guid[events], new long[events], new string[events], new string[events]);
        var (at, dotnet, correlation, causation, headers, actor) = (new DateTime[events], new string[events], new string[events], new string[events], new string?[events], new string[events]);
        var (w, e) = (0, 0);
        for (var i = 0; i < items.Count; i++)
        {
            var item = items[i];
            var marks = HeadersOf(item.Cause);
            for (var k = 0; k < item.Writes.Count; k++)
            {
                var write = item.Writes[k];
                (wItem[w], wStream[w], wExpected[w], wCount[w]) = (i, write.Stream, write.Expected, write.Events.Count);
                wType[w++] = write.Events.Count > 0 ? _names.StreamOf(write.Events[0]) : null;
                for (var j = 0; j < write.Events.Count; j++, e++)
                {
                    (eItem[e], eId[e], eStream[e], eVersion[e]) = (i, item.Ids[k][j], write.Stream, write.Expected + j + 1);
                    (type[e], dotnet[e]) = _names.Of(write.Events[j]);
                    body[e] = _serializer.ToJson(write.Events[j]);
                    (at[e], correlation[e], causation[e], headers[e], actor[e]) = (item.At.UtcDateTime, item.Cause.Request, item.BecauseOf(k, j), marks, item.Cause.ActorOf(write.Events[j]));
                }
            }
        }

        // A transaction of its own, although one statement would be one by itself: a server that dies here leaves nothing, not even later.
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await using var command = new NpgsqlCommand(Sql, connection, transaction);
        Add(wItem, NpgsqlDbType.Integer);
        Add(wStream, NpgsqlDbType.Uuid);
        Add(wType, NpgsqlDbType.Text);
        Add(wExpected, NpgsqlDbType.Bigint);
        Add(wCount, NpgsqlDbType.Integer);
        Add(eItem, NpgsqlDbType.Integer);
        Add(eId, NpgsqlDbType.Uuid);
        Add(eStream, NpgsqlDbType.Uuid);
        Add(eVersion, NpgsqlDbType.Bigint);
        Add(body, NpgsqlDbType.Jsonb);
        Add(type, NpgsqlDbType.Text);
        Add(at, NpgsqlDbType.TimestampTz);
        Add(dotnet, NpgsqlDbType.Text);
        Add(correlation, NpgsqlDbType.Text);
        Add(causation, NpgsqlDbType.Text);
        Add(headers, NpgsqlDbType.Jsonb);
        Add(actor, NpgsqlDbType.Text);
        var lost = new List<int>();
        await using (var reader = await command.ExecuteReaderAsync(cancellation))
        {
            while (await reader.ReadAsync(cancellation)) lost.Add(reader.GetInt32(0));
        }

        await transaction.CommitAsync(cancellation);
        return lost;

        void Add(Array values, NpgsqlDbType elements) => command.Parameters.Add(new NpgsqlParameter { Value = values, NpgsqlDbType = NpgsqlDbType.Array | elements });
    }

    private static string? HeadersOf(Cause cause)
    {
        if (cause is { Client: null, Session: null, Origin: null, Network: null }) return null;
        using var buffer = new MemoryStream(256);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            foreach (var (name, value) in cause.Headers()) json.WriteString(name, value);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length);
    }

    /// <summary>How Marten names events and streams, asked once for each type.</summary>
    private sealed class EventGraphNames(IDocumentStore store)
    {
        private readonly Dictionary<Type, (string Stream, string Event, string DotNet)> _known = EventNames.All.Keys.ToDictionary(type => type, type =>
        {
            var graph = (EventGraph)((DocumentStore)store).Options.Events;
            var mapping = graph.EventMappingFor(type);
            return (graph.AggregateAliasFor(EventNames.StreamOf(type)), mapping.EventTypeName, mapping.DotNetTypeName);
        });

        public string StreamOf(IDomainEvent happened) => _known[happened.GetType()].Stream;

        public (string Event, string DotNet) Of(IDomainEvent happened) => _known[happened.GetType()] is var (_, name, dotnet) ? (name, dotnet) : default;
    }
}
