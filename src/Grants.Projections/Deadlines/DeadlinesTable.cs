using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Sessions;
using Grants.Domain.TokenFamilies;
using JasperFx.Events;
using Marten;
using Marten.Events.Projections;
using NpgsqlTypes;
using Weasel.Postgresql.Tables;

namespace Grants.Projections.Deadlines;

/// <summary>
/// What will run out and when, for the recorder of expiries. A hint only: the recorder folds the stream itself before it writes
/// anything down (L7).
/// </summary>
/// <param name="Item">0 for the stream as a whole, else an access token's number in its family.</param>
/// <param name="Due">Null: nothing to wait for any more.</param>
/// <param name="WholeStream">The stream ended, and with it every deadline that it had.</param>
public sealed record Deadline(Guid Stream, int Item, DateTimeOffset? Due, bool WholeStream = false);

/// <summary>Keeps the table of deadlines.</summary>
public sealed class DeadlinesTable : IProjection
{
    /// <summary>A new number gives a new table and a rebuild beside the old one.</summary>
    public const int Version = 1;
    public static readonly string Name = $"deadlines_v{Version}";
    public static readonly string TableName = $"{GrantsStore.Schema}.{Name}";

    public static Table Definition()
    {
        var table = new Table(GrantsStore.TableNamed(Name));
        table.AddColumn("stream", "uuid").AsPrimaryKey();
        table.AddColumn("item", "integer").AsPrimaryKey();
        table.AddColumn("due", "timestamptz").NotNull();
        table.Indexes.Add(new IndexDefinition($"{Name}_due") { Columns = ["due"] });
        return table;
    }

    public Task ApplyAsync(IDocumentOperations operations, IReadOnlyList<IEvent> events, CancellationToken cancellation)
    {
        var last = new Dictionary<(Guid, int), DateTimeOffset?>();
        var over = new HashSet<Guid>();
        foreach (var deadline in events.SelectMany(Of))
        {
            if (deadline.WholeStream)
            {
                over.Add(deadline.Stream);
                foreach (var key in last.Keys.Where(key => key.Item1 == deadline.Stream).ToList()) last.Remove(key);
            }
            else
            {
                last[(deadline.Stream, deadline.Item)] = deadline.Due;
            }
        }

        if (over.Count > 0) operations.QueueOperation(new SqlOperation($"delete from {TableName} where stream = any(?)", (over.ToArray(), NpgsqlDbType.Uuid)));
        var met = last.Where(entry => entry.Value is null).Select(entry => entry.Key).ToList();
        if (met.Count > 0)
        {
            operations.QueueOperation(new SqlOperation($"delete from {TableName} d using unnest(?, ?) as gone(stream, item) where d.stream = gone.stream and d.item = gone.item",
                (met.Select(key => key.Item1).ToArray(), NpgsqlDbType.Uuid), (met.Select(key => key.Item2).ToArray(), NpgsqlDbType.Integer)));
        }

        var set = last.Where(entry => entry.Value is not null).ToList();
        if (set.Count > 0)
        {
            operations.QueueOperation(new SqlOperation($"insert into {TableName} (stream, item, due) select * from unnest(?, ?, ?) on conflict (stream, item) do update set due = excluded.due",
                (set.Select(entry => entry.Key.Item1).ToArray(), NpgsqlDbType.Uuid), (set.Select(entry => entry.Key.Item2).ToArray(), NpgsqlDbType.Integer),
                (set.Select(entry => entry.Value!.Value.ToUniversalTime()).ToArray(), NpgsqlDbType.TimestampTz)));
        }

        return Task.CompletedTask;
    }

    /// <summary>What one event says about deadlines.</summary>
    public static IEnumerable<Deadline> Of(IEvent e)
    {
        var stream = e.StreamId;
        return e.Data switch
        {
            AuthorizationEvent.Requested requested => [new(stream, 0, requested.ExpiresAt)],
            AuthorizationEvent.CodeIssued code => [new(stream, 0, code.ExpiresAt)],
            AuthorizationEvent.CodeRedeemed or AuthorizationEvent.CodeExpired or AuthorizationEvent.Abandoned
                or AuthorizationEvent.ConsentDenied or AuthorizationEvent.Refused => [new(stream, 0, null, WholeStream: true)],
            SessionEvent.Started started => [new(stream, 0, started.ExpiresAt)],
            SessionEvent.Ended or SessionEvent.Expired => [new(stream, 0, null, WholeStream: true)],
            GrantEvent.Created created => [new(stream, 0, created.ExpiresAt)],
            GrantEvent.Widened widened => [new(stream, 0, widened.ExpiresAt)],
            GrantEvent.Revoked or GrantEvent.Expired => [new(stream, 0, null, WholeStream: true)],
            TokenFamilyEvent.AccessTokenIssued issued => [new(stream, issued.Number, issued.ExpiresAt)],
            TokenFamilyEvent.RefreshTokenIssued issued => [new(stream, 0, Earlier(issued.IdleExpiresAt, issued.ExpiresAt))],
            TokenFamilyEvent.RefreshTokenRotated rotated => [new(stream, 0, Earlier(rotated.IdleExpiresAt, rotated.ExpiresAt))],
            TokenFamilyEvent.AccessTokenExpired expired => [new(stream, expired.Number, null)],
            TokenFamilyEvent.AccessTokensExpired expired => expired.Numbers.Select(number => new Deadline(stream, number, null)),
            TokenFamilyEvent.AccessTokenRevoked revoked => [new(stream, revoked.Number, null)],
            TokenFamilyEvent.Expired => [new(stream, 0, null)],
            TokenFamilyEvent.Revoked => [new(stream, 0, null, WholeStream: true)],
            _ => (IEnumerable<Deadline>)[],
        };
    }

    private static DateTimeOffset Earlier(DateTimeOffset one, DateTimeOffset other) => one < other ? one : other;
}
