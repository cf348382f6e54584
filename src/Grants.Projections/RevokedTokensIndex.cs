using System.Data.Common;
using Weasel.Core;
using Weasel.Core.Migrations;
using Weasel.Postgresql;

namespace Grants.Projections;

/// <summary>
/// Finds the revocation of one access token, however long ago in its family's stream: the only event that a reader of the newest part
/// may miss. Partial, so that all other events cost nothing.
/// </summary>
internal sealed class RevokedTokensIndex : ISchemaObject
{
    public const string Name = "mt_events_revoked_tokens";

    public DbObjectName Identifier { get; } = GrantsStore.TableNamed(Name);

    public IEnumerable<DbObjectName> AllNames() => [Identifier];

    public void WriteCreateStatement(Migrator migrator, TextWriter writer) => writer.WriteLine(
        $"create index if not exists {Name} on {GrantsStore.Schema}.mt_events (stream_id, ((data ->> 'number')::int)) where type = '{GrantsStore.RevokedToken}';");

    public void WriteDropStatement(Migrator migrator, TextWriter writer) => writer.WriteLine($"drop index if exists {GrantsStore.Schema}.{Name};");

    public void ConfigureQueryCommand(Weasel.Core.DbCommandBuilder builder) =>
        builder.Append($"select count(*) from pg_indexes where schemaname = '{GrantsStore.Schema}' and indexname = '{Name}'");

    public async Task<ISchemaObjectDelta> CreateDeltaAsync(DbDataReader reader, CancellationToken ct = default) =>
        new SchemaObjectDelta(this, await reader.ReadAsync(ct) && reader.GetInt64(0) > 0 ? SchemaPatchDifference.None : SchemaPatchDifference.Create);
}

/// <summary>Comes after Marten's own tables.</summary>
internal sealed class RevokedTokensFeature() : FeatureSchemaBase("revoked_tokens", new PostgresqlMigrator())
{
    protected override IEnumerable<ISchemaObject> schemaObjects() => [new RevokedTokensIndex()];
}
