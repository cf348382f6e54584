using Npgsql;

namespace Grants.Api.Log;

/// <summary>
/// The connections of the door: statements are prepared once and planned once, whatever the size of a batch (docs/group-commit.md),
/// and a stream that somebody else holds is not waited for without end.
/// </summary>
public sealed class LogDataSource(DatabaseHandle database) : IAsyncDisposable
{
    public NpgsqlDataSource Value { get; } = Build(database.ConnectionString);

    public ValueTask DisposeAsync() => Value.DisposeAsync();

    private static NpgsqlDataSource Build(string connectionString)
    {
        var settings = new NpgsqlConnectionStringBuilder(connectionString) { MaxAutoPrepare = 30, AutoPrepareMinUsages = 2 };
        settings.Options = $"{settings.Options} -c plan_cache_mode=force_generic_plan -c lock_timeout=10s".Trim();
        return new NpgsqlDataSourceBuilder(settings.ConnectionString).Build();
    }
}
