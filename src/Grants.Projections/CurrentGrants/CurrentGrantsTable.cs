using System.Data.Common;
using JasperFx.Events;
using JasperFx.Events.Projections;
using Marten;
using Marten.Events.Projections;
using Weasel.Postgresql.Tables;

namespace Grants.Projections.CurrentGrants;

/// <summary>Keeps the table of current grants: reads the rows that a page touches, folds, writes them with one statement.</summary>
public sealed class CurrentGrantsTable : ProjectionBase, IProjection
{
    /// <summary>A new number gives a new table and a rebuild beside the old one.</summary>
    public const string ViewName = "current_grants_v2";

    public static readonly RowTable<CurrentGrant> Rows = new RowTable<CurrentGrant>(ViewName, Read)
        .Key("id", row => row.Id)
        .Has("subject", row => row.Subject).Has("client", row => row.Client)
        .Has("scopes", row => row.Scopes).Has("declined", row => row.Declined)
        .Has("created_at", row => row.CreatedAt).Has("consented_at", row => row.ConsentedAt).Has("expires_at", row => row.ExpiresAt)
        .Has("authorization_id", row => row.Authorization).MayHave("text_version", row => row.TextVersion).MayHave("text_language", row => row.TextLanguage)
        .MayHave("origin", row => row.Origin).MayHave("network", row => row.Network)
        .Has("state", row => row.State).MayHave("ended_at", row => row.EndedAt).MayHave("ended_by", row => row.EndedBy).MayHave("ended_why", row => row.EndedWhy)
        .Has("position", row => row.Position)
        .Index(["subject", "created_at"])
        .Index(["client", "created_at"]);

    public CurrentGrantsTable()
    {
        Name = ViewName;
        CurrentGrantRows.Events.ToList().ForEach(IncludeType);
    }

    public async Task ApplyAsync(IDocumentOperations operations, IReadOnlyList<IEvent> events, CancellationToken cancellation)
    {
        var touched = CurrentGrantRows.Touched(events);
        if (touched.Length == 0) return;
        var rows = CurrentGrantRows.Apply(await Rows.ReadAsync(operations, "id = any($1)", cancellation, touched), events);
        if (rows.Count > 0) operations.QueueOperation(Rows.Upsert(rows));
    }

    private static CurrentGrant Read(DbDataReader reader) => new(
        reader.GetGuid(0), reader.GetString(1), reader.GetString(2), reader.GetString(3), reader.GetString(4), reader.GetFieldValue<DateTimeOffset>(5),
        reader.GetFieldValue<DateTimeOffset>(6), reader.GetFieldValue<DateTimeOffset>(7), reader.GetGuid(8), reader.Text(9), reader.Text(10), reader.Text(11), reader.Text(12),
        reader.GetString(13), reader.Time(14), reader.Text(15), reader.Text(16), reader.GetInt64(17));
}
