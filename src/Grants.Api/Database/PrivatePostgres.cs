using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace Grants.Api.Database;

/// <summary>The PostgreSQL that belongs to a data folder: made at first use, reachable on the loopback interface alone, stopped by its owner.</summary>
/// <remarks>Nothing here is ever deleted but the file that hands the first password to initdb.</remarks>
public sealed class PrivatePostgres : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly ClusterFolder _cluster;
    private FileStream? _held;

    private PrivatePostgres(string dataFolder, ClusterFolder cluster, PostgresPrograms programs, int port, ClusterSecrets secrets, FileStream? held)
    {
        _cluster = cluster;
        _held = held;
        DataFolder = dataFolder;
        Programs = programs;
        ConnectionString = Login(port, "grants", "grants", secrets.Application).ConnectionString;
    }

    public string DataFolder { get; }

    /// <summary>Database "grants" as user "grants", who owns it and is no superuser.</summary>
    public string ConnectionString { get; }

    /// <summary>Whether this object started or adopted the PostgreSQL, and so stops it when disposed.</summary>
    public bool Started => _held is not null;

    public PostgresPrograms Programs { get; }

    /// <summary>Starts the private PostgreSQL of a data folder, or attaches to the one that runs there already. Blocks until it answers.</summary>
    public static PrivatePostgres Start(string dataFolder, Action<string>? say = null, PrivatePostgresOptions? options = null)
    {
        options ??= new PrivatePostgresOptions();
        dataFolder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(dataFolder));
        for (var waited = Stopwatch.StartNew(); ; Pause())
        {
            if (!options.Own && Attach(dataFolder, options) is { } attached) return attached;
            var programs = PostgresPrograms.Find(options.BinFolder, ClusterFolder.Find(dataFolder).Version);
            if (Lock(dataFolder) is { } held)
            {
                try
                {
                    return TakeOver(dataFolder, programs, held, say ?? (_ => { }), options);
                }
                catch
                {
                    held.Dispose();
                    throw;
                }
            }

            if (options.Own)
                throw new InvalidOperationException(
                    $"The data folder {dataFolder} is in use by another Grants server or command. End that one, or give this one its own folder (Grants__DataFolder).");
            // Someone else is starting or stopping it; soon it either answers or is ours to start.
            if (waited.Elapsed > Patience)
                throw new TimeoutException($"The private PostgreSQL of {dataFolder} belongs to another process and doesn't answer. Its log: {ClusterFolder.Find(dataFolder).Log}");
        }
    }

    /// <summary>Whether the private PostgreSQL of this data folder answers.</summary>
    public static bool IsRunning(string dataFolder) => AnsweringPort(Path.GetFullPath(dataFolder)) is not null;

    public void Dispose()
    {
        if (_held is null) return;
        Stop(Programs, _cluster);
        _held.Dispose();
        _held = null;
    }

    /// <summary>Lets go of the data folder and leaves PostgreSQL running, as happens to a process that is killed.</summary>
    internal void Abandon()
    {
        _held?.Dispose();
        _held = null;
    }

    private static PrivatePostgres? Attach(string dataFolder, PrivatePostgresOptions options)
    {
        if (AnsweringPort(dataFolder) is not { } port || ClusterSecrets.Find(dataFolder) is not { } secrets) return null;
        var cluster = ClusterFolder.Find(dataFolder);
        return new PrivatePostgres(dataFolder, cluster, PostgresPrograms.Find(options.BinFolder, cluster.Version), port, secrets, held: null);
    }

    private static int? AnsweringPort(string dataFolder) =>
        ClusterFolder.Find(dataFolder).Running() is { } running
        && ClusterSecrets.Find(dataFolder) is { } secrets
        && TryConnect(Login(running.Port, "grants", "grants", secrets.Application)) is null ? running.Port : null;

    private static PrivatePostgres TakeOver(string dataFolder, PostgresPrograms programs, FileStream held, Action<string> say, PrivatePostgresOptions options)
    {
        var cluster = ClusterFolder.Open(dataFolder);
        var secrets = ClusterSecrets.Find(dataFolder);
        if (cluster.Version is null)
        {
            say($"Making a private PostgreSQL {programs.Version} in {cluster.Data}");
            secrets ??= ClusterSecrets.Create(dataFolder);
            Make(programs, cluster, secrets, options);
        }
        else if (secrets is null)
        {
            throw new InvalidOperationException($"{cluster.Data} holds a database, but its password file {ClusterSecrets.PathIn(dataFolder)} is missing. Restore that file.");
        }

        try
        {
            int port;
            if (cluster.Running() is { } running && Answers(cluster, running.Port, secrets))
            {
                port = running.Port;
                say($"Adopting the private PostgreSQL that was left running on port {port}");
            }
            else
            {
                port = Launch(programs, cluster, options);
                if (!Answers(cluster, port, secrets)) throw new InvalidOperationException($"The private PostgreSQL ended again. Its log: {cluster.Log}");
                say($"Started the private PostgreSQL {programs.Version} on port {port}");
            }

            PrepareDatabase(port, secrets, options);
            File.WriteAllText(Path.Combine(dataFolder, "postgres.port"), $"{port}\n");
            return new PrivatePostgres(dataFolder, cluster, programs, port, secrets, held);
        }
        catch
        {
            Stop(programs, cluster);
            throw;
        }
    }

    private static void Make(PostgresPrograms programs, ClusterFolder cluster, ClusterSecrets secrets, PrivatePostgresOptions options)
    {
        // initdb works in a folder of another name, and the rename says that it came to its end. What an interrupted one left is kept aside.
        var unfinished = cluster.Data + ".new";
        foreach (var leftover in new[] { unfinished, cluster.Data }.Where(Directory.Exists)) Directory.Move(leftover, ClusterFolder.Aside(leftover));

        ClusterFolder.WriteSecret(cluster.PasswordFile, secrets.Superuser, cluster.User);
        try
        {
            string[] arguments = ["-D", unfinished, "-U", "postgres", "-A", "scram-sha-256", $"--pwfile={cluster.PasswordFile}", "-E", "UTF8", "--locale=C", "--data-checksums"];
            var (exitCode, output) = programs.Run(cluster.User, "initdb", options.Durable ? arguments : [.. arguments, "--no-sync"]);
            if (exitCode != 0) throw new InvalidOperationException($"initdb could not make the private PostgreSQL in {unfinished}:\n{output}");
        }
        finally
        {
            File.Delete(cluster.PasswordFile);
        }

        Directory.Move(unfinished, cluster.Data);
    }

    private static int Launch(PostgresPrograms programs, ClusterFolder cluster, PrivatePostgresOptions options)
    {
        cluster.ForgetStalePid();
        for (var attempt = 1; ; attempt++)
        {
            var port = FreePort();
            var settings = string.Join(' ', Settings(port, options).Select(setting => "-c " + setting));
            var (exitCode, output) = programs.Run(cluster.User, "pg_ctl", "start", "-s", "-w", "-t", $"{Patience.TotalSeconds}", "-D", cluster.Data, "-l", cluster.Log, "-o", settings);
            if (exitCode == 0) return port;

            if (cluster.Running() is not null) Stop(programs, cluster);
            // Another program may have taken the port since we found it free.
            if (attempt < 5 && !IsFree(port)) continue;
            throw new InvalidOperationException($"The private PostgreSQL did not start. Its log: {cluster.Log}\n{output}");
        }
    }

    private static IEnumerable<string> Settings(int port, PrivatePostgresOptions options)
    {
        var safe = options.Durable ? "on" : "off";
        return
        [
            $"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "password_encryption=scram-sha-256",
            $"max_connections={options.MaxConnections}", $"shared_buffers={options.SharedBuffers}", $"max_wal_size={options.MaxWalSize}", "wal_buffers=16MB",
            $"fsync={safe}", $"synchronous_commit={safe}", $"full_page_writes={safe}",
            "timezone=UTC", "log_timezone=UTC",
            // What a person sent must not reach a log file, so errors, which may quote it, stay out as well: the caller gets them anyway.
            "logging_collector=off", "log_min_messages=log", "log_min_error_statement=panic", "log_error_verbosity=terse", "log_statement=none",
            "log_min_duration_statement=-1", "log_parameter_max_length=0", "log_parameter_max_length_on_error=0", "log_lock_waits=off",
            "log_connections=off", "log_disconnections=off", "log_hostname=off",
        ];
    }

    /// <summary>Waits until it answers (true) or has ended (false).</summary>
    private static bool Answers(ClusterFolder cluster, int port, ClusterSecrets secrets)
    {
        for (var waited = Stopwatch.StartNew(); ; Pause())
        {
            var refusal = TryConnect(Login(port, "postgres", "postgres", secrets.Superuser));
            if (refusal is null) return true;
            if (refusal is PostgresException { SqlState: PostgresErrorCodes.InvalidPassword })
                throw new InvalidOperationException("The private PostgreSQL refuses the password in postgres.secret. Restore the file that belongs to this data folder.", refusal);
            if (cluster.Running() is null) return false;
            if (waited.Elapsed > Patience)
                throw new InvalidOperationException($"The private PostgreSQL does not answer on port {port}. Its log: {cluster.Log}", refusal);
        }
    }

    private static void PrepareDatabase(int port, ClusterSecrets secrets, PrivatePostgresOptions options)
    {
        using var connection = new NpgsqlConnection(Login(port, "postgres", "postgres", secrets.Superuser).ConnectionString);
        connection.Open();
        using var command = connection.CreateCommand();

        command.CommandText = "select count(*) from pg_roles where rolname = 'grants'";
        var verb = command.ExecuteScalar() is 0L ? "create" : "alter";
        var createDatabases = options.CanCreateDatabases ? "createdb" : "nocreatedb";
        // The password is hexadecimal, and statements are not logged.
        command.CommandText = $"{verb} role grants login nosuperuser {createDatabases} password '{secrets.Application}'";
        command.ExecuteNonQuery();

        command.CommandText = "select count(*) from pg_database where datname = 'grants'";
        if (command.ExecuteScalar() is not 0L) return;
        command.CommandText = "create database grants owner grants";
        command.ExecuteNonQuery();
    }

    private static void Stop(PostgresPrograms programs, ClusterFolder cluster)
    {
        if (cluster.Running() is null) return;
        string[] arguments = ["stop", "-s", "-w", "-t", $"{Patience.TotalSeconds}", "-D", cluster.Data, "-m"];
        var (exitCode, output) = programs.Run(cluster.User, "pg_ctl", [.. arguments, "fast"]);
        if (exitCode != 0) (exitCode, output) = programs.Run(cluster.User, "pg_ctl", [.. arguments, "immediate"]);
        if (exitCode != 0 && cluster.Running() is not null)
            throw new InvalidOperationException($"The private PostgreSQL did not stop. Its log: {cluster.Log}\n{output}");
    }

    // An advisory lock of the operating system: it ends with the process, however that ends.
    private static FileStream? Lock(string dataFolder)
    {
        ClusterFolder.MakeDataFolder(dataFolder);
        try
        {
            return new FileStream(Path.Combine(dataFolder, "server.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static NpgsqlConnectionStringBuilder Login(int port, string database, string user, string password) => new()
    {
        Host = "127.0.0.1",
        Port = port,
        Database = database,
        Username = user,
        Password = password,
        // Nothing leaves the machine; asking for encryption first would cost a round trip.
        SslMode = SslMode.Disable,
        GssEncryptionMode = GssEncryptionMode.Disable,
        Pooling = user != "postgres",
    };

    private static NpgsqlException? TryConnect(NpgsqlConnectionStringBuilder login)
    {
        login.Pooling = false;
        login.Timeout = 5;
        try
        {
            using var connection = new NpgsqlConnection(login.ConnectionString);
            connection.Open();
            return null;
        }
        catch (NpgsqlException e)
        {
            return e;
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static bool IsFree(int port)
    {
        try
        {
            using var listener = new TcpListener(IPAddress.Loopback, port);
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static void Pause() => Task.Delay(100).GetAwaiter().GetResult();
}
