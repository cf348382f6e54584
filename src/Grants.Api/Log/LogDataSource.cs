using Npgsql;

namespace Grants.Api.Log;

/// <summary>
/// The connections of the door: statements are prepared once and planned once, whatever the size of a batch (docs/group-commit.md),
/// and a stream that somebody else holds is not waited for without end.
/// </summary>
/// <remarks>
/// A plan that is made on an almost empty log and kept would read whole tables for ever. All that the door asks for is found by an
/// index, so it is planned that way from the beginning, whatever the statistics say.
/// </remarks>
public sealed class LogDataSource(DatabaseHandle database) : IAsyncDisposable
{
    public NpgsqlDataSource Value { get; } = Build(database.ConnectionString);

    public ValueTask DisposeAsync() => Value.DisposeAsync();

    private const string Options = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off -c enable_mergejoin=off -c lock_timeout=10s";

    private static NpgsqlDataSource Build(string connectionString)
    {
        var settings = new NpgsqlConnectionStringBuilder(connectionString) { MaxAutoPrepare = 30, AutoPrepareMinUsages = 2 };
        settings.Options = $"{settings.Options} {Options}".Trim();
        return new NpgsqlDataSourceBuilder(settings.ConnectionString).Build();
    }
}
