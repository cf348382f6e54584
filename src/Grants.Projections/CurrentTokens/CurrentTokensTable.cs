using System.Data.Common;
using JasperFx.Events;
using JasperFx.Events.Projections;
using Marten;
using Marten.Events.Projections;
using NpgsqlTypes;
using Weasel.Postgresql.Tables;

namespace Grants.Projections.CurrentTokens;

/// <summary>Keeps the table of current tokens: reads the rows that the fold has to see, folds, writes what comes of it with one statement for each kind.</summary>
public sealed class CurrentTokensTable : ProjectionBase, IProjection
{
    /// <summary>A new number gives a new table and a rebuild beside the old one.</summary>
    public const string ViewName = "current_tokens_v3";

    public static readonly RowTable<CurrentToken> Rows = new RowTable<CurrentToken>(ViewName, Read)
        .Key("family", row => row.Family).Key("number", row => row.Number)
        .Has("kind", row => row.Kind).Has("client", row => row.Client)
        .MayHave("subject", row => row.Subject).MayHave("grant_id", row => row.Grant).MayHave("session", row => row.Session)
        .Has("scopes", row => row.Scopes).Has("audience", row => row.Audience)
        .Has("issued_at", row => row.IssuedAt).Has("expires_at", row => row.ExpiresAt)
        .MayHave("origin", row => row.Origin).MayHave("network", row => row.Network)
        .Has("generation", row => row.Generation).MayHave("last_used_at", row => row.LastUsedAt)
        .Has("state", row => row.State).MayHave("ended_at", row => row.EndedAt).MayHave("ended_by", row => row.EndedBy).MayHave("ended_why", row => row.EndedWhy)
        .Has("position", row => row.Position).Has("version", row => row.Version).MayHave("actors", row => row.Actors)
        .MayHave("parents", row => row.Parents).MayHave("root", row => row.Root)
        .Index(["grant_id", "issued_at"], where: "grant_id is not null")
        .Index(["client", "issued_at"])
        .Index(["root"], where: "root is not null and state = 'live'")
        .Index(["expires_at"], where: "state = 'live'"); // what the recorder of expiries asks for

    public CurrentTokensTable()
    {
        Name = ViewName;
        CurrentTokenRows.Events.ToList().ForEach(IncludeType);
    }

    public async Task ApplyAsync(IDocumentOperations operations, IReadOnlyList<IEvent> events, CancellationToken cancellation)
    {
        var touched = CurrentTokenRows.Touched(events);
        var before = touched.IsEmpty ? []
            : await Rows.ReadAsync(operations, $"""
                state = 'live' and ((family = any($1) and number = 0) or family = any($2) or grant_id = any($3)
                    or root = any(array(select coalesce(root, family) from {Rows.FullName} where family = any($4))))
                """, cancellation, touched.Renewed, touched.Whole, touched.EndedGrants, touched.Revoked);
        var (rows, ends) = CurrentTokenRows.Apply(before, events);
        if (rows.Count > 0) operations.QueueOperation(Rows.Upsert(rows));
        if (ends.Count > 0) operations.QueueOperation(End(ends));
    }

    private static SqlOperation End(IReadOnlyCollection<TokenEnd> ends) => new(
        $"""
        update {Rows.FullName} t set state = e.state, ended_at = e.ended_at, ended_by = e.ended_by, ended_why = e.ended_why, position = e.position
        from unnest(?, ?, ?, ?, ?, ?, ?) as e(family, number, state, ended_at, ended_by, ended_why, position)
        where t.family = e.family and t.number = e.number and t.state = 'live'
        """,
        (ends.Select(end => end.Family).ToArray(), NpgsqlDbType.Uuid), (ends.Select(end => end.Number).ToArray(), NpgsqlDbType.Integer),
        (ends.Select(end => end.State).ToArray(), NpgsqlDbType.Text), (ends.Select(end => end.At.ToUniversalTime()).ToArray(), NpgsqlDbType.TimestampTz),
        (ends.Select(end => end.By).ToArray(), NpgsqlDbType.Text), (ends.Select(end => end.Why).ToArray(), NpgsqlDbType.Text),
        (ends.Select(end => end.Position).ToArray(), NpgsqlDbType.Bigint));

    private static CurrentToken Read(DbDataReader reader) => new(
        reader.GetGuid(0), reader.GetInt32(1), reader.GetString(2), reader.GetString(3), reader.Text(4), reader.Id(5), reader.Id(6), reader.GetString(7),
        reader.GetString(8), reader.GetFieldValue<DateTimeOffset>(9), reader.GetFieldValue<DateTimeOffset>(10), reader.Text(11), reader.Text(12), reader.GetInt32(13),
        reader.Time(14), reader.GetString(15), reader.Time(16), reader.Text(17), reader.Text(18), reader.GetInt64(19), reader.GetInt64(20), reader.Text(21), reader.Text(22), reader.Id(23));
}
