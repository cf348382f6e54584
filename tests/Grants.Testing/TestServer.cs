using System.Diagnostics;
using System.Security.Cryptography;
using Grants.Api.Database;
using Npgsql;

namespace Grants.Testing;

/// <summary>The PostgreSQL of this test process: its own, in a temporary folder, unless GRANTS_TEST_POSTGRES names another.</summary>
internal static class TestServer
{
    private static readonly Lazy<string> LazyConnectionString = new(Start);

    /// <summary>Logs in as a role that may create databases.</summary>
    public static string ConnectionString => LazyConnectionString.Value;

    private static string Start()
    {
        if (Environment.GetEnvironmentVariable("GRANTS_TEST_POSTGRES") is { Length: > 0 } given) return given;

        var folder = Path.Combine(Path.GetTempPath(), "grants-test-" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6)));
        var postgres = PrivatePostgres.Start(folder, options: PrivatePostgresOptions.Throwaway);
        var undertaker = Undertaker(folder);
        AppDomain.CurrentDomain.ProcessExit += (_, _) =>
        {
            NpgsqlConnection.ClearAllPools();
            // The runner ends a process that takes some seconds to exit and calls the run failed; removing dozens of databases
            // can take longer than that, so the shell does it, which sees its input close.
            if (undertaker is not null)
            {
                undertaker.StandardInput.Close();
                return;
            }
            postgres.Dispose();
            Remove(folder);
        };
        return postgres.ConnectionString;
    }

    /// <summary>A shell that outlives the test process, killed or not, sees its input close, and cleans up.</summary>
    private static Process? Undertaker(string folder)
    {
        if (OperatingSystem.IsWindows()) return null;
        const string script = """
            trap '' INT TERM HUP
            read -r _
            pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -INT "$pid" && while kill -0 "$pid" 2>/dev/null && [ -e "$1/data/postmaster.pid" ]; do sleep 0.1; done
            rm -rf "$1" "$2"
            """;
        return Process.Start(new ProcessStartInfo("/bin/sh", ["-c", script, "grants-test", ClusterPath(folder), folder])
        {
            RedirectStandardInput = true,
            // A reader of the test run's output must not wait for this shell.
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        });
    }

    private static void Remove(string folder)
    {
        var cluster = ClusterPath(folder);
        if (Directory.Exists(cluster)) Directory.Delete(cluster, recursive: true);
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
    }

    private static string ClusterPath(string folder)
    {
        var note = Path.Combine(folder, "postgres-location");
        return File.Exists(note) ? File.ReadAllText(note).Trim() : Path.Combine(folder, "postgres");
    }
}
