using System.Data.Common;
using JasperFx.Events;
using Marten;
using Npgsql;
using NpgsqlTypes;
using Weasel.Postgresql.Tables;

namespace Grants.Projections;

/// <summary>
/// The table of a view, each column said once: its name, its type and where its value stands in a row. Makes the definition, the
/// upsert and the reading of it.
/// </summary>
/// <param name="name">Without the schema; ends with the view's version.</param>
/// <param name="read">A row from a reader whose columns stand in the order of their declaration.</param>
public sealed class RowTable<TRow>(string name, Func<DbDataReader, TRow> read)
{
    private readonly List<Column> _columns = [];
    private readonly List<IndexDefinition> _indexes = [];

    private sealed record Column(string Name, string SqlType, NpgsqlDbType Type, bool Key, bool Null, Func<IReadOnlyCollection<TRow>, Array> Values);

    public string FullName { get; } = $"{GrantsStore.Schema}.{name}";

    private string Names => string.Join(", ", _columns.Select(column => column.Name));

    public RowTable<TRow> Key<T>(string column, Func<TRow, T> value) => Add(column, value, key: true, mayBeNull: false);

    public RowTable<TRow> Has<T>(string column, Func<TRow, T> value) => Add(column, value, key: false, mayBeNull: false);

    public RowTable<TRow> MayHave<T>(string column, Func<TRow, T> value) => Add(column, value, key: false, mayBeNull: true);

    /// <summary>A further index.</summary>
    /// <param name="where">The rows that stand in it; null for all.</param>
    public RowTable<TRow> Index(string[] columns, string? where = null)
    {
        _indexes.Add(new IndexDefinition($"{name}_{columns[0]}") { Columns = columns, Predicate = where });
        return this;
    }

    /// <summary>What Weasel creates the table from.</summary>
    public Table Definition()
    {
        var table = new Table(GrantsStore.TableNamed(name));
        foreach (var column in _columns)
        {
            var added = table.AddColumn(column.Name, column.SqlType);
            if (column.Key) added.AsPrimaryKey();
            else if (!column.Null) added.NotNull();
        }

        foreach (var index in _indexes) table.Indexes.Add(index);
        return table;
    }

    /// <summary>Writes rows over those with the same key, in one statement.</summary>
    public SqlOperation Upsert(IReadOnlyCollection<TRow> rows)
    {
        var keys = string.Join(", ", _columns.Where(column => column.Key).Select(column => column.Name));
        var changes = string.Join(", ", _columns.Where(column => !column.Key).Select(column => $"{column.Name} = excluded.{column.Name}"));
        return new SqlOperation(
            $"insert into {FullName} ({Names}) select * from unnest({string.Join(", ", _columns.Select(_ => "?"))}) on conflict ({keys}) do update set {changes}",
            [.. _columns.Select(column => (column.Values(rows), column.Type))]);
    }

    /// <summary>The rows that a condition selects, inside the daemon's own unit of work.</summary>
    public async Task<IReadOnlyList<TRow>> ReadAsync(IDocumentOperations operations, string condition, CancellationToken cancellation, params Guid[][] ids)
    {
        await using var command = new NpgsqlCommand($"select {Names} from {FullName} where {condition}");
        foreach (var set in ids) command.Parameters.Add(new NpgsqlParameter { Value = set });
        await using var reader = await ((Marten.Internal.IMartenSession)operations).ExecuteReaderAsync(command, cancellation);
        return await ReadAsync(reader, cancellation);
    }

    /// <summary>The rows that a condition selects, for those who show them.</summary>
    public async Task<IReadOnlyList<TRow>> ReadAsync(NpgsqlDataSource database, string rest, IReadOnlyList<object> parameters, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand($"select {Names} from {FullName} {rest}");
        foreach (var parameter in parameters) command.Parameters.Add(new NpgsqlParameter { Value = parameter });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await ReadAsync(reader, cancellation);
    }

    private async Task<IReadOnlyList<TRow>> ReadAsync(DbDataReader reader, CancellationToken cancellation)
    {
        var rows = new List<TRow>();
        while (await reader.ReadAsync(cancellation)) rows.Add(read(reader));
        return rows;
    }

    private RowTable<TRow> Add<T>(string column, Func<TRow, T> value, bool key, bool mayBeNull)
    {
        var (sql, type) = (Nullable.GetUnderlyingType(typeof(T)) ?? typeof(T)) switch
        {
            var t when t == typeof(Guid) => ("uuid", NpgsqlDbType.Uuid),
            var t when t == typeof(int) => ("integer", NpgsqlDbType.Integer),
            var t when t == typeof(long) => ("bigint", NpgsqlDbType.Bigint),
            var t when t == typeof(DateTimeOffset) => ("timestamptz", NpgsqlDbType.TimestampTz),
            _ => ("text", NpgsqlDbType.Text),
        };

        // The database takes moments in UTC alone.
        Array Values(IReadOnlyCollection<TRow> rows) => value switch
        {
            Func<TRow, DateTimeOffset> moment => rows.Select(row => moment(row).ToUniversalTime()).ToArray(),
            Func<TRow, DateTimeOffset?> moment => rows.Select(row => moment(row)?.ToUniversalTime()).ToArray(),
            _ => rows.Select(value).ToArray(),
        };
        _columns.Add(new Column(column, sql, type, key, mayBeNull, Values));
        return this;
    }
}
