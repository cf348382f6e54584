using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Grants.Api.Database;
using Npgsql;

namespace Grants.Testing;

/// <summary>Fresh databases in milliseconds: a template is prepared once, each test class gets a clone of it.</summary>
/// <param name="prepare">Makes the schema in the empty template database whose connection string it is given. It must leave
/// no connection open other than pooled ones: PostgreSQL doesn't clone a database in use.</param>
public sealed class TestDatabases(Func<string, Task> prepare) : IDisposable
{
    // Clones of several test processes may lie side by side on a server named by GRANTS_TEST_POSTGRES.
    private readonly string _prefix = "grants_test_" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(4));
    private readonly SemaphoreSlim _oneAtATime = new(1, 1);
    private readonly List<string> _clones = [];
    private string? _template;

    /// <summary>The names of all clones so far, oldest first.</summary>
    public IReadOnlyList<string> Clones
    {
        get { lock (_clones) return [.. _clones]; }
    }

    /// <summary>A connection string to a new database with the prepared schema, nobody else's.</summary>
    public async Task<string> CloneAsync()
    {
        await _oneAtATime.WaitAsync();
        try
        {
            _template ??= await PrepareAsync();
            var name = string.Create(CultureInfo.InvariantCulture, $"{_prefix}_{_clones.Count + 1}");
            await ExecuteAsync($"create database {name} template {_template}");
            lock (_clones) _clones.Add(name);
            return ConnectionStringTo(name);
        }
        finally
        {
            _oneAtATime.Release();
        }
    }

    /// <summary>The connection string of a clone by its name.</summary>
    public static string ConnectionStringTo(string database) => new NpgsqlConnectionStringBuilder(TestServer.ConnectionString)
    {
        Database = database,
        // Many test classes share one server: connections are given back soon.
        MaxPoolSize = 60,
        ConnectionIdleLifetime = 5,
        ConnectionPruningInterval = 2,
    }.ConnectionString;

    /// <summary>All that is stored in a database, as the text that pg_dump writes.</summary>
    public static async Task<string> DumpAsync(string connectionString)
    {
        var login = new NpgsqlConnectionStringBuilder(connectionString);
        var pgDump = Path.Combine(PostgresPrograms.Find().Folder, "pg_dump");
        var start = new ProcessStartInfo(pgDump, ["-h", login.Host!, "-p", $"{login.Port}", "-U", login.Username!, "--no-password", login.Database!])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["PGPASSWORD"] = login.Password;
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var dump = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? dump : throw new InvalidOperationException($"pg_dump failed: {await error}");
    }

    /// <summary>Drops the clones and the template. A private server goes with the test process in any case.</summary>
    public void Dispose()
    {
        _oneAtATime.Dispose();
        foreach (var name in _template is null ? Clones : [.. Clones, _template])
        {
            using var connection = new NpgsqlConnection(TestServer.ConnectionString);
            connection.Open();
            using var drop = connection.CreateCommand();
            drop.CommandText = $"drop database if exists {name} with (force)";
            drop.ExecuteNonQuery();
        }
    }

    private async Task<string> PrepareAsync()
    {
        var name = _prefix + "_template";
        await ExecuteAsync($"drop database if exists {name} with (force)"); // of an attempt that failed
        await ExecuteAsync($"create database {name}");
        await prepare(ConnectionStringTo(name));
        // Data sources that prepare didn't dispose of keep pools of their own; nothing may connect to the template from here on.
        await using (var connection = new NpgsqlConnection(ConnectionStringTo(name))) NpgsqlConnection.ClearPool(connection);
        await ExecuteAsync($"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'");
        return name;
    }

    private static async Task ExecuteAsync(string sql)
    {
        await using var connection = new NpgsqlConnection(TestServer.ConnectionString);
        await connection.OpenAsync();
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // Names of databases can't be parameters; they are made here.
        command.CommandText = sql;
#pragma warning restore CA2100
        await command.ExecuteNonQueryAsync();
    }
}
