using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Keys;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Grants.Domain.TokenFamilies;
using Grants.Projections.CurrentGrants;
using Grants.Projections.CurrentTokens;
using Grants.Projections.Deadlines;
using Grants.Projections.Streams;
using JasperFx.Events;
using JasperFx.Events.Projections;
using Marten;
using Marten.Schema;
using Weasel.Core;
using Weasel.Postgresql;
using Weasel.Postgresql.Functions;
using Weasel.Postgresql.Tables;

namespace Grants.Projections;

/// <summary>The one place that tells Marten how events are named and stored, and which views there are.</summary>
public static class GrantsStore
{
    public const string Schema = "grants";

    /// <summary>Key material, wrapped: see docs/decisions/0003-sealed-personal-data.md.</summary>
    public const string KeyVault = $"{Schema}.key_vault";

    /// <summary>Hashes of ids that may be used once, until they run out: no history, and nothing that a view could be rebuilt from.</summary>
    public const string UsedIds = $"{Schema}.used_ids";

    /// <summary>When each device that waits for an answer polled last, and how long it has to wait: while it waits, and no history either.</summary>
    public const string DevicePolls = $"{Schema}.device_polls";

    /// <summary>
    /// What expect_versions raises. A state of our own: PostgreSQL's 40001 counts as transient, and Marten would repeat the same
    /// statement in vain before anybody could decide again.
    /// </summary>
    public const string StreamMoved = "GR409";

    /// <summary>The event that ends one access token before its time: rare, and found by an index of its own (L8).</summary>
    public static readonly string RevokedToken = EventNames.All[typeof(TokenFamilyEvent.AccessTokenRevoked)];

    /// <summary>The event that gives a user code out: its hash stands in the member <c>user_code</c>, and in a unique index.</summary>
    public static readonly string DeviceRequested = EventNames.All[typeof(AuthorizationEvent.DeviceRequested)];

    /// <summary>The names of the asynchronous views, as the daemon and the command line know them.</summary>
    public static readonly IReadOnlyList<string> AsyncViews = [CurrentGrantsTable.ViewName, CurrentTokensTable.ViewName, DeadlinesTable.ViewName];

    public static void Configure(StoreOptions options)
    {
        options.DatabaseSchemaName = Schema;
        options.UseSystemTextJsonForSerialization(EnumStorage.AsString, Casing.SnakeCase, Json.Configure);

        options.Events.StreamIdentity = StreamIdentity.AsGuid;
        foreach (var index in EventIndex.All) options.Events.IgnoreIndex(index.Name);
        options.Storage.Add(new EventIndexesFeature());
        options.Events.UseMandatoryStreamTypeDeclaration = true;
        options.Events.UseAdvisoryLockTransaction = true;
        options.Events.MetadataConfig.EnableAll();
        options.Events.MetadataConfig.UserNameEnabled = true;
        foreach (var (type, name) in EventNames.All) options.Events.MapEventType(type, name);

        options.RegisterValueType<ClientId>();
        options.Schema.For<Client>().UniqueIndex(UniqueIndexType.Computed, "client_id_is_unique", client => client.ClientId);
        options.Schema.For<Subject>().UniqueIndex(UniqueIndexType.Computed, "login_is_unique", subject => subject.LoginHash);
        options.Schema.For<Grant>().UniqueIndex(UniqueIndexType.Computed, "one_live_grant", grant => grant.LiveKey!);
        options.Projections.Add(new ClientStream(), ProjectionLifecycle.Inline);
        options.Projections.Add(new SubjectStream(), ProjectionLifecycle.Inline);
        options.Projections.Add(new GrantStream(), ProjectionLifecycle.Inline);
        options.Projections.Add(new SigningKeyStream(), ProjectionLifecycle.Inline);
        options.Projections.Add(new CatalogueStream(), ProjectionLifecycle.Inline);

        AddView(options, new CurrentGrantsTable(), CurrentGrantsTable.Rows.Definition());
        AddView(options, new CurrentTokensTable(), CurrentTokensTable.Rows.Definition());
        AddView(options, new DeadlinesTable(), DeadlinesTable.Rows.Definition());

        options.Storage.ExtendedSchemaObjects.Add(VaultTable());
        options.Storage.ExtendedSchemaObjects.Add(UsedIdsTable());
        options.Storage.ExtendedSchemaObjects.Add(DevicePollsTable());
        options.Storage.ExtendedSchemaObjects.Add(ExpectVersions());
    }

    internal static PostgresqlObjectName TableNamed(string name) => new(Schema, name, SchemaUtils.IdentifierUsage.General);

    /// <summary>A view that the daemon keeps behind the log. It gets the events of the types that it names; the others aren't even loaded for it.</summary>
    private static void AddView<TView>(StoreOptions options, TView view, Table table) where TView : ProjectionBase, Marten.Events.Projections.IProjection
    {
        options.Projections.Add(view, ProjectionLifecycle.Async, view.Name, asyncOptions =>
        {
            asyncOptions.BatchSize = 2000;
            asyncOptions.DeleteDataInTableOnTeardown(table.Identifier.QualifiedName);
        });
        options.Storage.ExtendedSchemaObjects.Add(table);
    }

    private static Table VaultTable()
    {
        var table = new Table(TableNamed("key_vault"));
        table.AddColumn("id", "text").AsPrimaryKey();
        table.AddColumn("wrapped", "bytea").NotNull();
        table.AddColumn("created_at", "timestamptz").NotNull();
        return table;
    }

    private static Table UsedIdsTable()
    {
        var table = new Table(TableNamed("used_ids"));
        table.AddColumn("hash", "bytea").AsPrimaryKey();
        table.AddColumn("expires_at", "timestamptz").NotNull();
        table.Indexes.Add(new IndexDefinition("used_ids_by_end") { Columns = ["expires_at"] });
        return table;
    }

    private static Table DevicePollsTable()
    {
        var table = new Table(TableNamed("device_polls"));
        table.AddColumn("device", "uuid").AsPrimaryKey();
        table.AddColumn("polled_at", "timestamptz").NotNull();
        table.AddColumn("wait_seconds", "integer").NotNull();
        table.AddColumn("too_soon", "boolean").NotNull();
        table.AddColumn("expires_at", "timestamptz").NotNull();
        table.Indexes.Add(new IndexDefinition("device_polls_by_end") { Columns = ["expires_at"] });
        return table;
    }

    /// <summary>
    /// Locks the named streams in id order and raises <see cref="StreamMoved"/> unless each still has the version that a decision saw; version 0 is a
    /// stream that must not exist. Run before anything is appended, so that a loser takes no sequence number.
    /// </summary>
    private static Function ExpectVersions() => Function.ForSql($"""
        create or replace function {Schema}.expect_versions(ids uuid[], versions bigint[]) returns void language plpgsql as $$
        declare moved uuid;
        begin
            perform 1 from {Schema}.mt_streams where id = any(ids) order by id for no key update;
            select e.id into moved from unnest(ids, versions) as e(id, version)
                left join {Schema}.mt_streams s on s.id = e.id
                where coalesce(s.version, 0) <> e.version limit 1;
            if found then
                raise exception 'stream % has moved on', moved using errcode = '{StreamMoved}';
            end if;
        end $$;
        """);
}
