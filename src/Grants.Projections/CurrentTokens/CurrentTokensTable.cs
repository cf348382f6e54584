using System.Data.Common;
using JasperFx.Events;
using Marten;
using Marten.Events.Projections;
using Weasel.Postgresql.Tables;

namespace Grants.Projections.CurrentTokens;

/// <summary>Keeps the table of current tokens: reads the rows that a page touches, folds, writes them with one statement.</summary>
public sealed class CurrentTokensTable : IProjection
{
    /// <summary>A new number gives a new table and a rebuild beside the old one.</summary>
    public const int Version = 1;
    public static readonly string Name = $"current_tokens_v{Version}";

    public static readonly RowTable<CurrentToken> Rows = new RowTable<CurrentToken>(Name, Read)
        .Key("family", row => row.Family).Key("number", row => row.Number)
        .Has("kind", row => row.Kind).Has("client", row => row.Client)
        .MayHave("subject", row => row.Subject).MayHave("grant_id", row => row.Grant).MayHave("session", row => row.Session)
        .Has("scopes", row => row.Scopes).Has("audience", row => row.Audience)
        .Has("issued_at", row => row.IssuedAt).Has("expires_at", row => row.ExpiresAt)
        .MayHave("origin", row => row.Origin).MayHave("network", row => row.Network)
        .Has("generation", row => row.Generation).MayHave("last_used_at", row => row.LastUsedAt)
        .Has("state", row => row.State).MayHave("ended_at", row => row.EndedAt).MayHave("ended_by", row => row.EndedBy).MayHave("ended_why", row => row.EndedWhy)
        .Has("position", row => row.Position);

    public static Table Definition() => Rows.Definition(["grant_id"], ["client", "issued_at"]);

    public async Task ApplyAsync(IDocumentOperations operations, IReadOnlyList<IEvent> events, CancellationToken cancellation)
    {
        var (families, grants) = CurrentTokenRows.Touched(events);
        if (families.Length == 0 && grants.Length == 0) return;

        // Only what is live can still change, so a long family costs no more than a short one.
        var before = await Rows.ReadAsync(operations, "state = 'live' and (family = any($1) or grant_id = any($2))", cancellation, families, grants);
        var rows = CurrentTokenRows.Apply(before, events);
        if (rows.Count > 0) operations.QueueOperation(Rows.Upsert(rows));
    }

    private static CurrentToken Read(DbDataReader reader) => new(
        reader.GetGuid(0), reader.GetInt32(1), reader.GetString(2), reader.GetString(3), reader.Text(4), reader.Id(5), reader.Id(6), reader.GetString(7),
        reader.GetString(8), reader.GetFieldValue<DateTimeOffset>(9), reader.GetFieldValue<DateTimeOffset>(10), reader.Text(11), reader.Text(12), reader.GetInt32(13),
        reader.Time(14), reader.GetString(15), reader.Time(16), reader.Text(17), reader.Text(18), reader.GetInt64(19));
}
