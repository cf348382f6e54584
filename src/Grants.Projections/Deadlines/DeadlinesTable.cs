using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Sessions;
using JasperFx.Events;
using JasperFx.Events.Projections;
using Marten;
using Marten.Events.Projections;
using NpgsqlTypes;

namespace Grants.Projections.Deadlines;

/// <summary>
/// When a request, a code, a session or a grant will run out, for the recorder of expiries. A hint only: the recorder folds the
/// stream itself before it writes anything down (L7). Tokens aren't here: their own view knows when they end.
/// </summary>
/// <param name="Due">Null: nothing to wait for any more.</param>
public sealed record Deadline(Guid Stream, DateTimeOffset? Due);

/// <summary>Keeps the table of deadlines.</summary>
public sealed class DeadlinesTable : ProjectionBase, IProjection
{
    /// <summary>A new number gives a new table and a rebuild beside the old one.</summary>
    public const string ViewName = "deadlines_v2";

    public static readonly RowTable<Deadline> Rows = new RowTable<Deadline>(ViewName, reader => new Deadline(reader.GetGuid(0), reader.Time(1)))
        .Key("stream", row => row.Stream).Has("due", row => row.Due)
        .Index(["due"]);

    public DeadlinesTable()
    {
        Name = ViewName;
        foreach (var type in (Type[])[.. EventNames.TypesOf<AuthorizationEvent>(), .. EventNames.TypesOf<SessionEvent>(), .. EventNames.TypesOf<GrantEvent>()]) IncludeType(type);
    }

    public Task ApplyAsync(IDocumentOperations operations, IReadOnlyList<IEvent> events, CancellationToken cancellation)
    {
        var last = events.Select(Of).OfType<Deadline>().GroupBy(deadline => deadline.Stream).Select(stream => stream.Last()).ToLookup(deadline => deadline.Due is null);
        if (last[true].Any()) operations.QueueOperation(new SqlOperation($"delete from {Rows.FullName} where stream = any(?)", (last[true].Select(over => over.Stream).ToArray(), NpgsqlDbType.Uuid)));
        if (last[false].Any()) operations.QueueOperation(Rows.Upsert([.. last[false]]));
        return Task.CompletedTask;
    }

    /// <summary>What one event says about the deadline of its stream; null when nothing.</summary>
    public static Deadline? Of(IEvent e) => e.Data switch
    {
        AuthorizationEvent.Pushed pushed => new(e.StreamId, pushed.ExpiresAt),
        AuthorizationEvent.Requested requested => new(e.StreamId, requested.ExpiresAt),
        AuthorizationEvent.DeviceRequested device => new(e.StreamId, device.ExpiresAt),
        AuthorizationEvent.CodeIssued code => new(e.StreamId, code.ExpiresAt),
        SessionEvent.Started started => new(e.StreamId, started.ExpiresAt),
        GrantEvent.Created created => new(e.StreamId, created.ExpiresAt),
        GrantEvent.Widened widened => new(e.StreamId, widened.ExpiresAt),
        AuthorizationEvent.CodeRedeemed or AuthorizationEvent.CodeExpired or AuthorizationEvent.Abandoned or AuthorizationEvent.ConsentDenied or AuthorizationEvent.Refused
            or SessionEvent.Ended or SessionEvent.Expired or GrantEvent.Revoked or GrantEvent.Expired => new(e.StreamId, null),
        _ => null,
    };
}
