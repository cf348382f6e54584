using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;


namespace Grants.Api.Database;

/// <summary>Where the files of a private PostgreSQL lie, and which user of the machine runs it.</summary>
/// <remarks>PostgreSQL refuses to run as root. So root lends the folder to an unprivileged user, and when that user can't reach
/// the data folder, the cluster lies elsewhere and the file "postgres-location" says where.</remarks>
internal sealed class ClusterFolder
{
    private static readonly bool Root = !OperatingSystem.IsWindows() && Environment.IsPrivilegedProcess;

    private readonly string _folder;

    private ClusterFolder(string folder, string? user) => (_folder, User) = (folder, user);

    public string? User { get; }
    public string Data => Path.Combine(_folder, "data");
    public string Log => Path.Combine(_folder, "log");
    public string PasswordFile => Path.Combine(_folder, "password");
    private string PidFile => Path.Combine(Data, "postmaster.pid");

    /// <summary>The major version that made the cluster; null when there is none yet.</summary>
    public int? Version => File.Exists(Path.Combine(Data, "PG_VERSION"))
        ? int.Parse(File.ReadAllText(Path.Combine(Data, "PG_VERSION")).Trim(), CultureInfo.InvariantCulture)
        : null;

    /// <summary>The folder as it stands; nothing is made or changed.</summary>
    public static ClusterFolder Find(string dataFolder)
    {
        var note = LocationNote(dataFolder);
        return new ClusterFolder(File.Exists(note) ? File.ReadAllText(note).Trim() : Path.Combine(dataFolder, "postgres"), user: null);
    }

    /// <summary>The folder ready for use: made where missing, owned by the user that will run PostgreSQL.</summary>
    public static ClusterFolder Open(string dataFolder)
    {
        var folder = Find(dataFolder)._folder;
        if (!Root)
        {
            Make(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            return new ClusterFolder(folder, user: null);
        }

        // A cluster that exists is run by whoever owns it.
        if (Directory.Exists(folder) && Owner(folder) is var owner and not "root") return new ClusterFolder(folder, owner);

        var user = PostgresPrograms.Execute(null, "id", "-u", "postgres").ExitCode == 0 ? "postgres" : "nobody";
        if (PostgresPrograms.Execute(user, "test", "-x", dataFolder).ExitCode != 0)
        {
            var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(dataFolder)))[..16];
            Make("/var/lib/grants", (UnixFileMode)0b111_101_101);
            folder = Path.Combine("/var/lib/grants", name);
            File.WriteAllText(LocationNote(dataFolder), folder + "\n");
        }

        Make(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Lend(user, folder);
        return new ClusterFolder(folder, user);
    }

    /// <summary>The data folder itself: closed to others, save that root's must let the unprivileged user pass through.</summary>
    public static void MakeDataFolder(string dataFolder) =>
        Make(dataFolder, (UnixFileMode)(Root ? 0b111_001_001 : 0b111_000_000));

    /// <summary>Writes a new file that only its owner may read; <paramref name="user"/> becomes the owner when named.</summary>
    public static void WriteSecret(string path, string text, string? user = null)
    {
        File.Delete(path);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using (var file = new StreamWriter(path, options)) file.Write(text);
        if (user is not null) Lend(user, path);
    }

    /// <summary>Process and port of the PostgreSQL that runs here; null when none does.</summary>
    public (int Pid, int Port)? Running()
    {
        string[] lines;
        try { lines = File.ReadAllLines(PidFile); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { return null; }

        if (lines.Length < 4
            || !int.TryParse(lines[0], CultureInfo.InvariantCulture, out var pid)
            || !int.TryParse(lines[3], CultureInfo.InvariantCulture, out var port)) return null;
        return IsPostgres(pid) ? (pid, port) : null;
    }

    /// <summary>Removes a pid file left behind by a crash whose number now belongs to another program.</summary>
    /// <remarks>PostgreSQL sorts out its other stale pid files, but takes any living process of its own user for a postmaster.</remarks>
    public void ForgetStalePid()
    {
        if (Running() is null) File.Delete(PidFile);
    }

    /// <summary>A name for something unfinished that is kept, not deleted.</summary>
    public static string Aside(string path) =>
        Enumerable.Range(1, int.MaxValue).Select(n => $"{path}.unfinished-{n}").First(name => !Path.Exists(name));

    internal static bool IsPostgres(int pid)
    {
        try
        {
            using var process = Process.GetProcessById(Math.Abs(pid));
            return process.ProcessName.StartsWith("postgres", StringComparison.Ordinal) && !IsZombie(process.Id);
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or IOException)
        {
            return false;
        }
    }

    // In a container nobody may collect an orphan that has ended; it stays listed for ever.
    private static bool IsZombie(int pid) =>
        OperatingSystem.IsLinux()
        && File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/stat")) is var stat
        && stat[stat.LastIndexOf(')') + 2] is 'Z' or 'X';

    private static string LocationNote(string dataFolder) => Path.Combine(dataFolder, "postgres-location");

    private static void Make(string folder, UnixFileMode mode)
    {
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(folder);
        else Directory.CreateDirectory(folder, mode);
    }

    private static string Owner(string path) =>
        PostgresPrograms.Execute(null, "stat", OperatingSystem.IsLinux() ? ["-c", "%U", path] : ["-f", "%Su", path]).Output;

    private static void Lend(string user, string path)
    {
        var (exitCode, output) = PostgresPrograms.Execute(null, "chown", user, path);
        if (exitCode != 0) throw new IOException($"The folder of the private PostgreSQL can't be given to the user {user}: {output}");
    }
}
