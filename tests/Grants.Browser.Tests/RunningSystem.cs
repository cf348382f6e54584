using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Grants.Api.Database;
using Grants.Browser.Tests;
using Grants.Testing;
using Microsoft.Playwright;
using Npgsql;

[assembly: AssemblyFixture(typeof(RunningSystem))]

namespace Grants.Browser.Tests;

/// <summary>
/// The whole system as a person meets it: the server with its private PostgreSQL, Tally Budget (twice) and Demo Bank as processes
/// on free ports over an empty data folder, and a Chromium. All of it is gone afterwards, or the run fails.
/// </summary>
public sealed partial class RunningSystem : IAsyncLifetime
{
    private const string ChromiumPath = "/usr/bin/chromium";

    private static readonly string[] ChromiumArguments =
        ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

    private readonly string _folder = Path.Combine(Path.GetTempPath(), "grants-browser-" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6)));
    private readonly List<ChildProgram> _programs = [];
    private Process? _undertaker;
    private IPlaywright? _playwright;
    private IBrowser? _browser;
    private NpgsqlDataSource? _log;

    public RunningSystem()
    {
        // Pictures show the addresses that a reader of the README will see.
        var ports = ScreenshotTests.Wanted ? new Queue<int>([5100, 5200, 5300]) : null;
        (Server, Tally, Bank, Brief) = (Address(ports), Address(ports), Address(ports), Address(null));
        Sample = new Sample(Tally, Brief, Bank);
    }

    public Uri Server { get; }

    public Uri Tally { get; }

    /// <summary>A second Tally Budget, for the client whose access tokens live for seconds.</summary>
    public Uri Brief { get; }

    public Uri Bank { get; }

    internal Sample Sample { get; }

    internal NpgsqlDataSource Log => _log ?? throw new InvalidOperationException("The server is not running.");

    private string DataFolder => Path.Combine(_folder, "data");

    public async ValueTask InitializeAsync()
    {
        if (!File.Exists(ChromiumPath)) throw new FileNotFoundException($"{ChromiumPath} is missing. On Debian and Ubuntu: apt-get install chromium. eng/test.sh does it.");
        Directory.CreateDirectory(_folder);
        Sample.Write(Path.Combine(_folder, "grants.json"));
        try
        {
            await StartAsync();
        }
        catch
        {
            await StopAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        var leaks = _log is null ? [] : await LeaksAsync();
        var faults = await StopAsync();
        Assert.True(faults.Count == 0, string.Join('\n', faults));
        Assert.True(leaks.Count == 0, $"In clear (L6): {string.Join("; ", leaks)}");
    }

    /// <summary>After the last story: what is in clear in the database or in what the programs printed, and must not be.</summary>
    private async Task<IReadOnlyList<string>> LeaksAsync()
    {
        var dump = await TestDatabases.DumpAsync(PrivatePostgres.Start(DataFolder, options: new() { Own = false }).ConnectionString);
        var search = Witness.Search();
        var found = search.FindIn(dump).Concat(StoredCredential().Matches(dump).Select(_ => "a credential in the database")).ToList();
        foreach (var printed in _programs.Select(program => program.Printed))
            found.AddRange(search.FindIn(printed).Concat(Credential().Matches(printed).Select(_ => "a credential in what a program printed")));
        return [.. found.Distinct()];
    }

    /// <summary>A browser window of its own: no cookie is shared.</summary>
    public async Task<IPage> NewPageAsync(BrowserNewContextOptions? options = null)
    {
        var context = await _browser!.NewContextAsync(options ?? new());
        context.SetDefaultTimeout(15_000);
        return await context.NewPageAsync();
    }

    /// <summary>Nothing that the programs printed, and so logged, holds what nobody else may read (L6).</summary>
    public void PrintedNoSecret()
    {
        foreach (var printed in _programs.Select(program => program.Printed))
        {
            Assert.Empty(Witness.FindIn(printed));
            Assert.DoesNotMatch(Credential(), printed);
        }
    }

    private async Task StartAsync()
    {
        var server = Start("src/Grants.Api", "grants.dll", Server, new()
        {
            ["Grants__Issuer"] = Origin(Server),
            ["Grants__Config"] = Path.Combine(_folder, "grants.json"),
            ["Grants__DataFolder"] = DataFolder,
            ["Grants__ExpirySeconds"] = "1",
        });
        StartUndertaker();
        var bank = Start("samples/DemoBank", "DemoBank.dll", Bank, new() { ["Bank__Authority"] = Origin(Server), ["Bank__Resource"] = Origin(Bank) });
        var tally = StartTally(Tally, "tally");
        var brief = StartTally(Brief, Sample.BriefClient);
        StartUndertaker();

        _playwright = await Playwright.CreateAsync();
        _browser = await _playwright.Chromium.LaunchAsync(new()
        {
            ExecutablePath = ChromiumPath,
            Args = Environment.IsPrivilegedProcess ? [.. ChromiumArguments, "--no-sandbox"] : ChromiumArguments,
        });
        await server.AnswersAsync($"{Origin(Server)}/readyz");
        await bank.AnswersAsync($"{Origin(Bank)}/healthz");
        await tally.AnswersAsync($"{Origin(Tally)}/healthz");
        await brief.AnswersAsync($"{Origin(Brief)}/healthz");
        _log = NpgsqlDataSource.Create(PrivatePostgres.Start(DataFolder, options: new() { Own = false }).ConnectionString);
    }

    private ChildProgram StartTally(Uri address, string client) => Start("samples/TallyBudget", "TallyBudget.dll", address, new()
    {
        ["Tally__Authority"] = Origin(Server),
        ["Tally__Bank"] = Origin(Bank),
        ["Tally__PublicUrl"] = Origin(address),
        ["Tally__ClientId"] = client,
        ["Tally__ClientSecret"] = Sample.TallySecret,
    });

    private ChildProgram Start(string project, string assembly, Uri address, Dictionary<string, string> environment)
    {
        var program = ChildProgram.Start(project, assembly, Origin(address), environment.Append(KeyValuePair.Create("ASPNETCORE_ENVIRONMENT", "Development")));
        _programs.Add(program);
        return program;
    }

    /// <summary>Stops what runs, the server last. Returns what went wrong on the way.</summary>
    private async Task<List<string>> StopAsync()
    {
        var faults = new List<string>();
        if (_browser is not null) await _browser.DisposeAsync();
        _playwright?.Dispose();
        if (_log is not null) await _log.DisposeAsync();
        foreach (var program in Enumerable.Reverse(_programs))
        {
            if (await program.StopAsync() is { } fault) faults.Add(fault);
            program.Dispose();
        }

        if (PrivatePostgres.IsRunning(DataFolder)) faults.Add("The server ended and left its PostgreSQL running.");
        if (LeftBehind() is { Count: > 0 } processes) faults.Add($"Processes stayed behind: {string.Join(", ", processes)}.");
        _undertaker?.Kill();
        _undertaker?.Dispose();
        if (faults.Count == 0) Directory.Delete(_folder, recursive: true);
        return faults;
    }

    /// <summary>Processes whose command line names this run's folder: PostgreSQL's own, above all.</summary>
    private List<string> LeftBehind()
    {
        if (!OperatingSystem.IsLinux()) return [];
        var found = new List<string>();
        foreach (var process in Directory.EnumerateDirectories("/proc").Where(entry => int.TryParse(Path.GetFileName(entry), out var id) && id != _undertaker?.Id))
        {
            try
            {
                var command = File.ReadAllText(Path.Combine(process, "cmdline")).Replace('\0', ' ');
                if (command.Contains(_folder, StringComparison.Ordinal)) found.Add(command);
            }
            catch (IOException)
            {
                // It ended while we looked.
            }
        }

        return found;
    }

    /// <summary>A shell that sees its input close when the test process is killed, and then cleans up in its place.</summary>
    private void StartUndertaker()
    {
        if (OperatingSystem.IsWindows()) return;
        const string script = """
            trap '' INT TERM HUP
            folder=$1
            shift
            read -r _
            kill -TERM "$@"
            for pid; do
                tries=0
                while kill -0 "$pid" 2>/dev/null && [ $tries -lt 150 ]; do sleep 0.2; tries=$((tries + 1)); done
            done
            rm -rf "$folder"
            """;
        _undertaker?.Kill();
        _undertaker?.Dispose();
        _undertaker = Process.Start(new ProcessStartInfo("/bin/sh",
            ["-c", script, "grants-test", _folder, .. _programs.Select(program => program.Id.ToString(CultureInfo.InvariantCulture))])
        {
            RedirectStandardInput = true,
            // A reader of the test run's output must not wait for this shell.
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        });
    }

    private static Uri Address(Queue<int>? wanted)
    {
        for (var port = wanted is { Count: > 0 } ? wanted.Dequeue() : 0; ; port = 0)
        {
            try
            {
                using var listener = new TcpListener(IPAddress.Loopback, port);
                listener.Start();
                return new Uri($"http://localhost:{((IPEndPoint)listener.LocalEndpoint).Port}");
            }
            catch (SocketException) when (port != 0)
            {
                // Taken; any other will do.
            }
        }
    }

    private static string Origin(Uri address) => address.GetLeftPart(UriPartial.Authority);

    /// <summary>A JWT, or a handle of this server: its kind, an underscore, and what is sealed.</summary>
    [GeneratedRegex(@"eyJ[\w-]{10,}|\bgr[crd]_[\w-]{20,}")]
    private static partial Regex Credential();

    /// <summary>The same for a dump, where sealed texts are long enough to begin like a JWT by chance: a whole one.</summary>
    [GeneratedRegex(@"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.|\bgr[crd]_[\w-]{20,}")]
    private static partial Regex StoredCredential();
}
