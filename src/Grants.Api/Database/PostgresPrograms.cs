using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Grants.Api.Database;

/// <summary>One installation of PostgreSQL's programs on this machine.</summary>
public sealed partial record PostgresPrograms(string Folder, int Version)
{
    private static readonly string[] Needed = ["initdb", "pg_ctl", "postgres"];

    private static readonly string[] Runuser = ["/usr/sbin/runuser", "/sbin/runuser", "/usr/bin/runuser"];

    // Nothing else of our environment is PostgreSQL's business: settings there may hold secrets, and PG… variables would redirect it.
    private static readonly string[] Inherited = ["PATH", "LD_LIBRARY_PATH", "TMPDIR", "TEMP", "TMP", "SystemRoot"];

    /// <summary>Finds an installation: the newest, or the one that can read a cluster of the given major version.</summary>
    public static PostgresPrograms Find(string? folder = null, int? version = null)
    {
        folder ??= Environment.GetEnvironmentVariable("PG_BIN");
        var found = new List<PostgresPrograms>();
        foreach (var candidate in folder is { Length: > 0 } ? [folder] : UsualFolders())
        {
            if (!Needed.All(name => File.Exists(Executable(candidate, name)))) continue;
            var programs = Of(candidate);
            if (version is null || programs.Version == version) return programs;
            found.Add(programs);
        }

        throw new PostgresMissingException((found, folder) switch
        {
            ([var other, ..], _) => $"The data folder was made by PostgreSQL {version}, and this machine has {other.Version} ({other.Folder}).",
            (_, { Length: > 0 }) => $"PostgreSQL's programs (initdb, pg_ctl, postgres) are not in {folder}.",
            _ => "PostgreSQL's programs (initdb, pg_ctl, postgres) were not found on this machine.",
        });
    }

    /// <summary>Runs one of the programs to its end, as the given user when one is named, and returns what it printed.</summary>
    public (int ExitCode, string Output) Run(string? user, string program, params IEnumerable<string> arguments) =>
        Execute(user, Executable(Folder, program), arguments);

    internal static (int ExitCode, string Output) Execute(string? user, string program, params IEnumerable<string> arguments)
    {
        string[] line = user is null ? [program, .. arguments] : [.. Become(user), program, .. arguments];
        var start = new ProcessStartInfo(line[0], line.Skip(1))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            // The current folder may be closed to that user.
            WorkingDirectory = Path.GetPathRoot(Path.GetTempPath())!,
        };
        var kept = Inherited.Select(name => (name, value: Environment.GetEnvironmentVariable(name))).Where(pair => pair.value is not null).ToList();
        start.Environment.Clear();
        foreach (var (name, value) in kept) start.Environment[name] = value;
        start.Environment["LC_ALL"] = "C";

        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, (output + error.GetAwaiter().GetResult()).Trim());
    }

    private static string[] Become(string user) =>
        Runuser.FirstOrDefault(File.Exists) is { } runuser
            ? [runuser, "-u", user, "--"]
            : ["sudo", "-n", "-u", user, "--"];

    private static PostgresPrograms Of(string folder)
    {
        // Some PATH folders hold links; the programs beside the link's target are a complete set.
        var real = File.ResolveLinkTarget(Executable(folder, "postgres"), returnFinalTarget: true)?.FullName;
        folder = real is null ? folder : Path.GetDirectoryName(real)!;
        var (_, output) = Execute(null, Executable(folder, "postgres"), "--version");
        return new PostgresPrograms(folder, int.Parse(Major().Match(output).Value, CultureInfo.InvariantCulture));
    }

    private static IEnumerable<string> UsualFolders() =>
    [
        .. (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries),
        .. Installed("/usr/lib/postgresql", "*", "bin"),
        .. Installed("/usr", "pgsql-*", "bin"),
        .. Installed("/opt/homebrew/opt", "postgresql*", "bin"),
        .. Installed("/usr/local/opt", "postgresql*", "bin"),
        .. Installed("/Applications/Postgres.app/Contents/Versions", "*", "bin"),
        .. Installed(Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.ProgramFiles), "PostgreSQL"), "*", "bin"),
    ];

    private static IEnumerable<string> Installed(string parent, string pattern, string below) => !Directory.Exists(parent) ? [] :
        Directory.EnumerateDirectories(parent, pattern)
            .OrderByDescending(path => int.TryParse(Major().Match(Path.GetFileName(path)).Value, CultureInfo.InvariantCulture, out var version) ? version : 0)
            .Select(path => Path.Combine(path, below));

    private static string Executable(string folder, string name) => Path.Combine(folder, OperatingSystem.IsWindows() ? name + ".exe" : name);

    [GeneratedRegex(@"\d+")]
    private static partial Regex Major();
}
