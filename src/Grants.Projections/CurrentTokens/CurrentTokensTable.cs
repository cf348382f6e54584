using System.Data.Common;
using JasperFx.Events;
using Marten;
using Marten.Events.Projections;
using Npgsql;
using NpgsqlTypes;
using Weasel.Postgresql.Tables;

namespace Grants.Projections.CurrentTokens;

/// <summary>Keeps the table of current tokens: reads the rows that a page touches, folds, writes them with one statement.</summary>
public sealed class CurrentTokensTable : IProjection
{
    /// <summary>A new number gives a new table and a rebuild beside the old one.</summary>
    public const int Version = 1;
    public static readonly string Name = $"current_tokens_v{Version}";
    public static readonly string TableName = $"{GrantsStore.Schema}.{Name}";

    private const string Columns = "family, number, kind, client, subject, grant_id, session, scopes, audience, issued_at, expires_at, origin, network, generation, last_used_at, state, ended_at, ended_by, ended_why, position";

    public static Table Definition()
    {
        var table = new Table(GrantsStore.TableNamed(Name));
        table.AddColumn("family", "uuid").AsPrimaryKey();
        table.AddColumn("number", "integer").AsPrimaryKey();
        table.AddColumn("kind", "text").NotNull();
        table.AddColumn("client", "text").NotNull();
        table.AddColumn("subject", "text");
        table.AddColumn("grant_id", "uuid");
        table.AddColumn("session", "uuid");
        table.AddColumn("scopes", "text").NotNull();
        table.AddColumn("audience", "text").NotNull();
        table.AddColumn("issued_at", "timestamptz").NotNull();
        table.AddColumn("expires_at", "timestamptz").NotNull();
        table.AddColumn("origin", "text");
        table.AddColumn("network", "text");
        table.AddColumn("generation", "integer").NotNull();
        table.AddColumn("last_used_at", "timestamptz");
        table.AddColumn("state", "text").NotNull();
        table.AddColumn("ended_at", "timestamptz");
        table.AddColumn("ended_by", "text");
        table.AddColumn("ended_why", "text");
        table.AddColumn("position", "bigint").NotNull();
        table.Indexes.Add(new IndexDefinition($"{Name}_grant") { Columns = ["grant_id"] });
        table.Indexes.Add(new IndexDefinition($"{Name}_client") { Columns = ["client", "issued_at"] });
        return table;
    }

    public async Task ApplyAsync(IDocumentOperations operations, IReadOnlyList<IEvent> events, CancellationToken cancellation)
    {
        var (families, grants) = CurrentTokenRows.Touched(events);
        if (families.Length == 0 && grants.Length == 0) return;
        var before = await ReadAsync(operations, families, grants, cancellation);
        var rows = CurrentTokenRows.Apply(before, events);
        if (rows.Count > 0) operations.QueueOperation(Upsert(rows));
    }

    private static async Task<IReadOnlyList<CurrentToken>> ReadAsync(IDocumentOperations operations, Guid[] families, Guid[] grants, CancellationToken cancellation)
    {
        // Only what is live can still change, so a long family costs no more than a short one.
        await using var command = new NpgsqlCommand(
            $"select {Columns} from {TableName} where state = 'live' and family = any($1) union select {Columns} from {TableName} where state = 'live' and grant_id = any($2)");
        command.Parameters.Add(new NpgsqlParameter { Value = families });
        command.Parameters.Add(new NpgsqlParameter { Value = grants });
        await using var reader = await ((Marten.Internal.IMartenSession)operations).ExecuteReaderAsync(command, cancellation);
        var rows = new List<CurrentToken>();
        while (await reader.ReadAsync(cancellation)) rows.Add(Read(reader));
        return rows;
    }

    /// <summary>Reads a row selected as <c>select * from</c> the table.</summary>
    public static CurrentToken Read(DbDataReader reader) => new(
        reader.GetGuid(0), reader.GetInt32(1), reader.GetString(2), reader.GetString(3), reader.Text(4), reader.Id(5), reader.Id(6), reader.GetString(7),
        reader.GetString(8), reader.GetFieldValue<DateTimeOffset>(9), reader.GetFieldValue<DateTimeOffset>(10), reader.Text(11), reader.Text(12), reader.GetInt32(13),
        reader.Time(14), reader.GetString(15), reader.Time(16), reader.Text(17), reader.Text(18), reader.GetInt64(19));

    private static SqlOperation Upsert(IReadOnlyCollection<CurrentToken> rows)
    {
        var values = string.Join(", ", Columns.Split(", ").Skip(2).Select(column => $"{column} = excluded.{column}"));
        return new SqlOperation(
            $"insert into {TableName} ({Columns}) select * from unnest({string.Join(',', Enumerable.Repeat("?", 20))}) on conflict (family, number) do update set {values}",
            (rows.Select(r => r.Family).ToArray(), NpgsqlDbType.Uuid), (rows.Select(r => r.Number).ToArray(), NpgsqlDbType.Integer),
            (rows.Select(r => r.Kind).ToArray(), NpgsqlDbType.Text), (rows.Select(r => r.Client).ToArray(), NpgsqlDbType.Text),
            (rows.Select(r => r.Subject).ToArray(), NpgsqlDbType.Text), (rows.Select(r => r.Grant).ToArray(), NpgsqlDbType.Uuid),
            (rows.Select(r => r.Session).ToArray(), NpgsqlDbType.Uuid), (rows.Select(r => r.Scopes).ToArray(), NpgsqlDbType.Text),
            (rows.Select(r => r.Audience).ToArray(), NpgsqlDbType.Text), (rows.Select(r => r.IssuedAt.ToUniversalTime()).ToArray(), NpgsqlDbType.TimestampTz),
            (rows.Select(r => r.ExpiresAt.ToUniversalTime()).ToArray(), NpgsqlDbType.TimestampTz), (rows.Select(r => r.Origin).ToArray(), NpgsqlDbType.Text),
            (rows.Select(r => r.Network).ToArray(), NpgsqlDbType.Text), (rows.Select(r => r.Generation).ToArray(), NpgsqlDbType.Integer),
            (rows.Select(r => r.LastUsedAt?.ToUniversalTime()).ToArray(), NpgsqlDbType.TimestampTz), (rows.Select(r => r.State).ToArray(), NpgsqlDbType.Text),
            (rows.Select(r => r.EndedAt?.ToUniversalTime()).ToArray(), NpgsqlDbType.TimestampTz), (rows.Select(r => r.EndedBy).ToArray(), NpgsqlDbType.Text),
            (rows.Select(r => r.EndedWhy).ToArray(), NpgsqlDbType.Text), (rows.Select(r => r.Position).ToArray(), NpgsqlDbType.Bigint));
    }
}
