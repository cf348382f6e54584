using System.Data.Common;
using JasperFx.Events;
using Marten;
using Marten.Events.Projections;
using Npgsql;
using NpgsqlTypes;
using Weasel.Postgresql.Tables;

namespace Grants.Projections.CurrentGrants;

/// <summary>Keeps the table of current grants: reads the rows that a page touches, folds, writes them with one statement.</summary>
public sealed class CurrentGrantsTable : IProjection
{
    /// <summary>A new number gives a new table and a rebuild beside the old one.</summary>
    public const int Version = 1;
    public static readonly string Name = $"current_grants_v{Version}";
    public static readonly string TableName = $"{GrantsStore.Schema}.{Name}";

    private const string Columns = "id, subject, client, scopes, declined, created_at, consented_at, expires_at, authorization_id, text_version, text_language, origin, network, last_used_at, state, ended_at, ended_by, ended_why, position";

    public static Table Definition()
    {
        var table = new Table(GrantsStore.TableNamed(Name));
        table.AddColumn("id", "uuid").AsPrimaryKey();
        table.AddColumn("subject", "text").NotNull();
        table.AddColumn("client", "text").NotNull();
        table.AddColumn("scopes", "text").NotNull();
        table.AddColumn("declined", "text").NotNull();
        table.AddColumn("created_at", "timestamptz").NotNull();
        table.AddColumn("consented_at", "timestamptz").NotNull();
        table.AddColumn("expires_at", "timestamptz").NotNull();
        table.AddColumn("authorization_id", "uuid").NotNull();
        table.AddColumn("text_version", "text");
        table.AddColumn("text_language", "text");
        table.AddColumn("origin", "text");
        table.AddColumn("network", "text");
        table.AddColumn("last_used_at", "timestamptz");
        table.AddColumn("state", "text").NotNull();
        table.AddColumn("ended_at", "timestamptz");
        table.AddColumn("ended_by", "text");
        table.AddColumn("ended_why", "text");
        table.AddColumn("position", "bigint").NotNull();
        table.Indexes.Add(new IndexDefinition($"{Name}_subject") { Columns = ["subject", "created_at"] });
        table.Indexes.Add(new IndexDefinition($"{Name}_client") { Columns = ["client", "created_at"] });
        return table;
    }

    public async Task ApplyAsync(IDocumentOperations operations, IReadOnlyList<IEvent> events, CancellationToken cancellation)
    {
        var touched = CurrentGrantRows.Touched(events);
        if (touched.Length == 0) return;
        await using var command = new NpgsqlCommand($"select {Columns} from {TableName} where id = any($1)");
        command.Parameters.Add(new NpgsqlParameter { Value = touched });
        var before = new List<CurrentGrant>();
        await using (var reader = await ((Marten.Internal.IMartenSession)operations).ExecuteReaderAsync(command, cancellation))
        {
            while (await reader.ReadAsync(cancellation)) before.Add(Read(reader));
        }

        var rows = CurrentGrantRows.Apply(before, events);
        if (rows.Count > 0) operations.QueueOperation(Upsert(rows));
    }

    /// <summary>Reads a row selected as <c>select * from</c> the table.</summary>
    public static CurrentGrant Read(DbDataReader reader) => new(
        reader.GetGuid(0), reader.GetString(1), reader.GetString(2), reader.GetString(3), reader.GetString(4), reader.GetFieldValue<DateTimeOffset>(5),
        reader.GetFieldValue<DateTimeOffset>(6), reader.GetFieldValue<DateTimeOffset>(7), reader.GetGuid(8), reader.Text(9), reader.Text(10), reader.Text(11), reader.Text(12),
        reader.Time(13), reader.GetString(14), reader.Time(15), reader.Text(16), reader.Text(17), reader.GetInt64(18));

    private static SqlOperation Upsert(IReadOnlyCollection<CurrentGrant> rows)
    {
        var values = string.Join(", ", Columns.Split(", ").Skip(1).Select(column => $"{column} = excluded.{column}"));
        return new SqlOperation(
            $"insert into {TableName} ({Columns}) select * from unnest({string.Join(',', Enumerable.Repeat("?", 19))}) on conflict (id) do update set {values}",
            (rows.Select(r => r.Id).ToArray(), NpgsqlDbType.Uuid), (rows.Select(r => r.Subject).ToArray(), NpgsqlDbType.Text),
            (rows.Select(r => r.Client).ToArray(), NpgsqlDbType.Text), (rows.Select(r => r.Scopes).ToArray(), NpgsqlDbType.Text),
            (rows.Select(r => r.Declined).ToArray(), NpgsqlDbType.Text), (rows.Select(r => r.CreatedAt.ToUniversalTime()).ToArray(), NpgsqlDbType.TimestampTz),
            (rows.Select(r => r.ConsentedAt.ToUniversalTime()).ToArray(), NpgsqlDbType.TimestampTz), (rows.Select(r => r.ExpiresAt.ToUniversalTime()).ToArray(), NpgsqlDbType.TimestampTz),
            (rows.Select(r => r.Authorization).ToArray(), NpgsqlDbType.Uuid), (rows.Select(r => r.TextVersion).ToArray(), NpgsqlDbType.Text),
            (rows.Select(r => r.TextLanguage).ToArray(), NpgsqlDbType.Text), (rows.Select(r => r.Origin).ToArray(), NpgsqlDbType.Text),
            (rows.Select(r => r.Network).ToArray(), NpgsqlDbType.Text), (rows.Select(r => r.LastUsedAt?.ToUniversalTime()).ToArray(), NpgsqlDbType.TimestampTz),
            (rows.Select(r => r.State).ToArray(), NpgsqlDbType.Text), (rows.Select(r => r.EndedAt?.ToUniversalTime()).ToArray(), NpgsqlDbType.TimestampTz),
            (rows.Select(r => r.EndedBy).ToArray(), NpgsqlDbType.Text), (rows.Select(r => r.EndedWhy).ToArray(), NpgsqlDbType.Text),
            (rows.Select(r => r.Position).ToArray(), NpgsqlDbType.Bigint));
    }
}
