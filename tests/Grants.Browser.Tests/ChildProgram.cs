using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace Grants.Browser.Tests;

/// <summary>One of the real programs, run as a process of its own from its build output.</summary>
internal sealed class ChildProgram : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(5) };

    private readonly string _name;
    private readonly Process _process;
    private readonly ConcurrentQueue<string> _printed = new();

    private ChildProgram(string name, Process process) => (_name, _process) = (name, process);

    public int Id => _process.Id;

    /// <summary>All that it wrote to its output and its log, which are the same thing here.</summary>
    public string Printed => string.Join('\n', _printed);

    public static ChildProgram Start(string project, string assembly, string address, IEnumerable<KeyValuePair<string, string>> environment)
    {
        var file = Path.Combine(Root, project, "bin", BuildConfiguration, "net10.0", assembly);
        if (!File.Exists(file)) throw new FileNotFoundException($"{project} has not been built as {BuildConfiguration}: {assembly} is missing.");
        var start = new ProcessStartInfo("dotnet", [file, "--urls", address])
        {
            WorkingDirectory = Path.Combine(Root, project),
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // What is set for the person at this machine must not reach the programs under test.
        foreach (var inherited in start.Environment.Keys.Where(IsOurs).ToList()) start.Environment.Remove(inherited);
        foreach (var (name, value) in environment) start.Environment[name] = value;

        var program = new ChildProgram(assembly, new Process { StartInfo = start });
        program._process.OutputDataReceived += (_, line) => program._printed.Enqueue(line.Data ?? "");
        program._process.ErrorDataReceived += (_, line) => program._printed.Enqueue(line.Data ?? "");
        program._process.Start();
        program._process.BeginOutputReadLine();
        program._process.BeginErrorReadLine();
        return program;
    }

    /// <summary>Waits until an address of the program answers 200.</summary>
    public async Task AnswersAsync(string address)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        for (var waited = Stopwatch.StartNew(); waited.Elapsed < Patience; await timer.WaitForNextTickAsync())
        {
            if (_process.HasExited) throw new InvalidOperationException($"{_name} ended with {_process.ExitCode}:\n{Printed}");
            try
            {
                using var response = await Http.GetAsync(new Uri(address));
                if (response.IsSuccessStatusCode) return;
            }
            catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
            {
                // Not listening yet.
            }
        }

        throw new TimeoutException($"{_name} does not answer at {address}:\n{Printed}");
    }

    /// <summary>Asks the program to end, as Ctrl-C and a service manager do. Returns what was wrong about the way it ended; null: nothing.</summary>
    public async Task<string?> StopAsync()
    {
        if (_process.HasExited) return $"{_name} had ended before, with {_process.ExitCode}:\n{Printed}";
        using (var kill = Process.Start("kill", ["-TERM", Id.ToString(CultureInfo.InvariantCulture)])) await kill.WaitForExitAsync();
        using var late = new CancellationTokenSource(Patience);
        try
        {
            await _process.WaitForExitAsync(late.Token);
        }
        catch (OperationCanceledException)
        {
            _process.Kill(entireProcessTree: true);
            return $"{_name} did not end within {Patience.TotalSeconds} seconds of SIGTERM and was killed:\n{Printed}";
        }

        return _process.ExitCode == 0 ? null : $"{_name} ended with {_process.ExitCode} after SIGTERM:\n{Printed}";
    }

    public void Dispose() => _process.Dispose();

    /// <summary>The repository: five folders above the test program.</summary>
    public static string Root { get; } = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", "..", "..", ".."));

    /// <summary>Debug or Release: the programs are taken from the same build as the tests.</summary>
    private static string BuildConfiguration { get; } = Path.GetFileName(Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..")));

    private static bool IsOurs(string name) =>
        new[] { "Grants__", "Tally__", "Bank__", "ConnectionStrings__", "ASPNETCORE_", "DOTNET_ENVIRONMENT" }.Any(prefix => name.StartsWith(prefix, StringComparison.OrdinalIgnoreCase));
}
