using System.Diagnostics;
using System.Security.Cryptography;
using Grants.Api.Database;
using Npgsql;

namespace Grants.Api.Tests.Database;

/// <summary>The private PostgreSQL of design §9, each test in a data folder of its own.</summary>
public sealed class PrivatePostgresTests : IDisposable
{
    private static readonly PrivatePostgresOptions Server = PrivatePostgresOptions.Throwaway;
    private static readonly PrivatePostgresOptions Command = Server with { Own = false };

    private readonly string _folder = Path.Combine(Path.GetTempPath(), "grants-postgres-" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6)));

    private ClusterFolder Cluster => ClusterFolder.Find(_folder);

    public void Dispose()
    {
        NpgsqlConnection.ClearAllPools();
        if (!Directory.Exists(_folder)) return;
        if (PrivatePostgres.IsRunning(_folder)) PrivatePostgres.Start(_folder, options: Server).Dispose();
        var cluster = Path.GetDirectoryName(Cluster.Data)!;
        if (Directory.Exists(cluster)) Directory.Delete(cluster, recursive: true);
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void A_second_start_keeps_the_data()
    {
        using (var first = PrivatePostgres.Start(_folder, options: Server)) Execute(first, "create table kept as select 42 as answer");
        using var second = PrivatePostgres.Start(_folder, options: Server);
        Assert.Equal(42, Execute(second, "select answer from kept"));
    }

    [Fact]
    public void Disposing_leaves_no_process()
    {
        var postgres = PrivatePostgres.Start(_folder, options: Server);
        var pid = Cluster.Running()!.Value.Pid;
        Assert.True(ClusterFolder.IsPostgres(pid));
        Assert.True(PrivatePostgres.IsRunning(_folder));

        postgres.Dispose();
        postgres.Dispose();

        Assert.False(PrivatePostgres.IsRunning(_folder));
        Assert.True(SpinWait.SpinUntil(() => !ClusterFolder.IsPostgres(pid), TimeSpan.FromSeconds(5)));
    }

    [Fact]
    public void A_command_attaches_to_the_server_and_does_not_stop_it()
    {
        using var server = PrivatePostgres.Start(_folder, options: Server);
        using (var command = PrivatePostgres.Start(_folder, options: Command))
        {
            Assert.False(command.Started);
            Assert.Equal(server.ConnectionString, command.ConnectionString);
        }

        Assert.Equal(1, Execute(server, "select 1"));
    }

    [Fact]
    public void A_command_alone_starts_it_for_its_own_duration()
    {
        using (var command = PrivatePostgres.Start(_folder, options: Command)) Assert.True(command.Started);
        Assert.False(PrivatePostgres.IsRunning(_folder));
    }

    [Fact]
    public void A_second_server_on_the_folder_is_refused()
    {
        using var server = PrivatePostgres.Start(_folder, options: Server);
        var refusal = Assert.Throws<InvalidOperationException>(() => PrivatePostgres.Start(_folder, options: Server));
        Assert.Contains("in use by another Grants server", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(1, Execute(server, "select 1"));
    }

    [Fact]
    public void What_a_killed_server_left_running_is_adopted()
    {
        var killed = PrivatePostgres.Start(_folder, options: Server);
        var pid = Cluster.Running()!.Value.Pid;
        killed.Abandon();

        using (var next = PrivatePostgres.Start(_folder, options: Server))
        {
            Assert.True(next.Started);
            Assert.Equal(pid, Cluster.Running()!.Value.Pid);
            Assert.Equal(1, Execute(next, "select 1"));
        }

        Assert.True(SpinWait.SpinUntil(() => !ClusterFolder.IsPostgres(pid), TimeSpan.FromSeconds(5)));
    }

    [Fact]
    public void A_postgres_that_was_killed_is_started_again_with_its_data()
    {
        using var killed = PrivatePostgres.Start(_folder, options: Server with { Durable = true });
        Execute(killed, "create table kept as select 42 as answer");
        var pid = Cluster.Running()!.Value.Pid;
        using (var postmaster = Process.GetProcessById(pid)) postmaster.Kill();
        killed.Abandon();
        Assert.True(SpinWait.SpinUntil(() => !ClusterFolder.IsPostgres(pid), TimeSpan.FromSeconds(5)));

        using var next = PrivatePostgres.Start(_folder, options: Server);
        Assert.Equal(42, Execute(next, "select answer from kept"));
    }

    [Fact]
    public void What_an_interrupted_initdb_left_is_kept_aside()
    {
        using (PrivatePostgres.Start(_folder, options: Server)) { }
        Directory.Move(Cluster.Data, Cluster.Data + ".new");

        using (PrivatePostgres.Start(_folder, options: Server)) Assert.NotNull(Cluster.Version);
        Assert.True(File.Exists(Path.Combine(Cluster.Data + ".new.unfinished-1", "PG_VERSION")));
    }

    [Fact]
    public void Secrets_are_for_the_owner_alone_and_demanded()
    {
        using var postgres = PrivatePostgres.Start(_folder, options: Server);
        if (!OperatingSystem.IsWindows())
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(ClusterSecrets.PathIn(_folder)));
        Assert.False(File.Exists(Cluster.PasswordFile));

        var wrong = new NpgsqlConnectionStringBuilder(postgres.ConnectionString) { Password = "wrong", Pooling = false };
        using var connection = new NpgsqlConnection(wrong.ConnectionString);
        var refusal = Assert.Throws<PostgresException>(connection.Open);
        Assert.Equal(PostgresErrorCodes.InvalidPassword, refusal.SqlState);
    }

    [Fact]
    public void The_application_role_owns_its_database_and_is_no_superuser()
    {
        using var postgres = PrivatePostgres.Start(_folder, options: Server with { CanCreateDatabases = false });
        Assert.Equal("False False", Execute(postgres, "select initcap(rolsuper::text) || ' ' || initcap(rolcreatedb::text) from pg_roles where rolname = current_user"));
        Assert.Equal("grants", Execute(postgres, "select pg_get_userbyid(datdba)::text from pg_database where datname = current_database()"));
    }

    [Fact]
    public void Personal_data_in_a_failing_statement_does_not_reach_the_log()
    {
        using var postgres = PrivatePostgres.Start(_folder, options: Server);
        Execute(postgres, "create table people (email text primary key)");
        Execute(postgres, "insert into people values ('sam@demo.example')");
        Assert.Throws<PostgresException>(() => Execute(postgres, "insert into people values ('sam@demo.example')"));
        Assert.Throws<PostgresException>(() => Execute(postgres, "select 'sam@demo.example'::uuid"));

        var log = File.ReadAllText(Cluster.Log);
        Assert.Contains("ready to accept connections", log, StringComparison.Ordinal);
        Assert.DoesNotContain("sam@demo.example", log, StringComparison.Ordinal);
        Assert.DoesNotContain("STATEMENT", log, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_the_programs_the_message_names_three_ways_out()
    {
        Directory.CreateDirectory(_folder);
        var missing = Assert.Throws<PostgresMissingException>(() => PrivatePostgres.Start(_folder, options: Server with { BinFolder = _folder }));
        Assert.Contains("apt-get install postgresql", missing.Message, StringComparison.Ordinal);
        Assert.Contains("docker compose up", missing.Message, StringComparison.Ordinal);
        Assert.Contains("ConnectionStrings__Grants", missing.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));
    }

    private static object? Execute(PrivatePostgres postgres, string sql)
    {
        using var connection = new NpgsqlConnection(postgres.ConnectionString);
        connection.Open();
        using var command = new NpgsqlCommand(sql, connection);
        return command.ExecuteScalar();
    }
}
