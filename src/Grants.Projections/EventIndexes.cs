using System.Data.Common;
using Weasel.Core;
using Weasel.Core.Migrations;
using Weasel.Postgresql;

namespace Grants.Projections;

/// <summary>An index of the log that only events of one type stand in, so that all others cost nothing.</summary>
/// <param name="columns">As <c>create index</c> takes them.</param>
internal sealed class EventIndex(string name, string type, string columns, bool unique) : ISchemaObject
{
    /// <summary>
    /// Finds the revocation of one access token, however long ago in its family's stream: the only event that a reader of the newest part
    /// may miss.
    /// </summary>
    public static readonly EventIndex RevokedTokens = new("mt_events_revoked_tokens", GrantsStore.RevokedToken, "stream_id, ((data ->> 'number')::int)", unique: false);

    /// <summary>Finds the request that a user code names, and lets no code be given out twice, in the very transaction that would (E4).</summary>
    public static readonly EventIndex UserCodes = new("mt_events_user_codes", GrantsStore.DeviceRequested, "(data ->> 'user_code')", unique: true);

    public static IReadOnlyList<EventIndex> All => [RevokedTokens, UserCodes];

    public string Name => name;

    public DbObjectName Identifier { get; } = GrantsStore.TableNamed(name);

    public IEnumerable<DbObjectName> AllNames() => [Identifier];

    public void WriteCreateStatement(Migrator migrator, TextWriter writer) => writer.WriteLine(
        $"create {(unique ? "unique " : "")}index if not exists {name} on {GrantsStore.Schema}.mt_events ({columns}) where type = '{type}';");

    public void WriteDropStatement(Migrator migrator, TextWriter writer) => writer.WriteLine($"drop index if exists {GrantsStore.Schema}.{name};");

    public void ConfigureQueryCommand(Weasel.Core.DbCommandBuilder builder) =>
        builder.Append($"select count(*) from pg_indexes where schemaname = '{GrantsStore.Schema}' and indexname = '{name}';");

    public async Task<ISchemaObjectDelta> CreateDeltaAsync(DbDataReader reader, CancellationToken ct = default) =>
        new SchemaObjectDelta(this, await reader.ReadAsync(ct) && reader.GetInt64(0) > 0 ? SchemaPatchDifference.None : SchemaPatchDifference.Create);
}

/// <summary>Comes after Marten's own tables.</summary>
internal sealed class EventIndexesFeature() : FeatureSchemaBase("event_indexes", new PostgresqlMigrator())
{
    protected override IEnumerable<ISchemaObject> schemaObjects() => EventIndex.All;
}
