using System.Diagnostics.Metrics;
using Grants.Api.Log;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Grants.Api.Tests.Log;

/// <summary>A door of its own to the database of an app under test, as a further node has one.</summary>
internal sealed class Door : IAsyncDisposable
{
    private readonly LogDataSource _database;

    public Door(GrantsApp app)
    {
        _database = new LogDataSource(app.Services.GetRequiredService<DatabaseHandle>());
        Loader = new StreamLoader(app.Store, _database);
        Writer = new LogWriter(app.Store, _database);
        Log = new EventLog(app.Store, Loader, Writer, app.Services.GetRequiredService<Changes>(), app.Clock);
    }

    public StreamLoader Loader { get; }

    public LogWriter Writer { get; }

    public EventLog Log { get; }

    public async ValueTask DisposeAsync()
    {
        await Writer.DisposeAsync();
        await Loader.DisposeAsync();
        await _database.DisposeAsync();
    }
}

/// <summary>Keeps rows of mt_streams locked, as a slow transaction elsewhere does.</summary>
internal sealed class Hold : IAsyncDisposable
{
    private readonly GrantsApp _app;
    private readonly NpgsqlConnection _connection;
    private NpgsqlTransaction _transaction = null!;

    private Hold(GrantsApp app) => (_app, _connection) = (app, new NpgsqlConnection(app.ConnectionString));

    public static async Task<Hold> OnAsync(GrantsApp app, params Guid[] streams)
    {
        var hold = new Hold(app);
        await hold._connection.OpenAsync();
        hold._transaction = await hold._connection.BeginTransactionAsync();
        await using var command = new NpgsqlCommand("select 1 from grants.mt_streams where id = any($1) order by id for update", hold._connection);
        command.Parameters.Add(new NpgsqlParameter { Value = streams });
        Assert.Equal(1, await command.ExecuteScalarAsync());
        return hold;
    }

    /// <summary>Until somebody waits for what is held.</summary>
    public Task WaitedForAsync() => Sample.BlockedByAsync(_app, _connection.ProcessID);

    public async ValueTask DisposeAsync()
    {
        await _transaction.DisposeAsync();
        await _connection.DisposeAsync();
    }
}

/// <summary>Small appends: sessions need nothing around them.</summary>
internal static class Sample
{
    public static readonly Cause ByTest = new(Cause.System("test"), "request", "command");
    private static readonly SubjectId Nobody = new(new Guid("01900000-0000-7000-8000-000000000001"));

    public static SessionEvent.Started Started(int number = 0) => new(Nobody, Proof(number).Authentication, DateTimeOffset.UnixEpoch.AddYears(200));

    public static SessionEvent.Reauthenticated Proof(int number) => new(Authentication.ByPassword(DateTimeOffset.UnixEpoch.AddMinutes(number)));

    /// <summary>The number that an event was made with.</summary>
    public static int NumberOf(object happened) => (int)(happened switch
    {
        SessionEvent.Started e => e.Authentication,
        SessionEvent.Reauthenticated e => e.Authentication,
        _ => throw new System.Diagnostics.UnreachableException(),
    }).At.Subtract(DateTimeOffset.UnixEpoch).TotalMinutes;

    public static Guid Fresh(this GrantsApp app) => Guid.CreateVersion7(app.Clock.GetUtcNow());

    public static Write Start(Guid stream) => new(stream, 0, [Started()]);

    public static Write Next(Guid stream, long expected) => new(stream, expected, [Proof((int)expected)]);

    public static Write Guard(Guid stream, long expected) => new(stream, expected, []);

    public static Append Appending(this GrantsApp app, params Write[] writes) => new(ByTest, "command", app.Clock.GetUtcNow(), writes);

    /// <summary>So many sessions, started.</summary>
    public static async Task<Guid[]> StartedAsync(this GrantsApp app, LogWriter writer, int count)
    {
        var streams = Enumerable.Range(0, count).Select(_ => app.Fresh()).ToArray();
        Assert.All(await writer.AppendManyAsync([.. streams.Select(stream => app.Appending(Start(stream)))]), Assert.True);
        return streams;
    }

    /// <summary>What mt_streams says of these streams; 0 for one that isn't there.</summary>
    public static async Task<IReadOnlyList<long>> VersionsAsync(this GrantsApp app, params Guid[] streams)
    {
        await using var command = app.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand("select array_agg(coalesce(s.version, 0) order by u.o) from unnest($1) with ordinality u(id, o) left join grants.mt_streams s on s.id = u.id");
        command.Parameters.Add(new NpgsqlParameter { Value = streams });
        return (long[])(await command.ExecuteScalarAsync())!;
    }

    /// <summary>Until a backend waits for a lock of this one. Asks from a connection of its own: a transaction sees the same activity all the time.</summary>
    public static async Task BlockedByAsync(GrantsApp app, int backend)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        using var pause = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        await using var command = app.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand("select exists (select from pg_stat_activity where datname = current_database() and $1 = any(pg_blocking_pids(pid)))");
        command.Parameters.Add(new NpgsqlParameter { Value = backend });
        while (!(bool)(await command.ExecuteScalarAsync(limit.Token))!) await pause.WaitForNextTickAsync(limit.Token);
    }

    public static async Task ExecuteAsync(this GrantsApp app, string sql)
    {
        await using var connection = new NpgsqlConnection(app.ConnectionString);
        await connection.OpenAsync();
#pragma warning disable CA2100 // Sentences of the tests.
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        await command.ExecuteNonQueryAsync();
    }

    /// <summary>Counts what an instrument of the log's meter counts, in the whole process.</summary>
    public static (MeterListener Listener, Func<long> Count) Counting(string instrument)
    {
        var count = 0L;
        var listener = new MeterListener
        {
            InstrumentPublished = (published, listening) =>
            {
                if (published.Meter.Name == "Grants.Log" && published.Name == instrument) listening.EnableMeasurementEvents(published);
            },
        };
        listener.SetMeasurementEventCallback<long>((_, value, _, _) => Interlocked.Add(ref count, value));
        listener.Start();
        return (listener, () => Interlocked.Read(ref count));
    }
}
