using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Grants.Testing;

/// <summary>The built program as a process of its own, on a free port: real sockets and the machine's clock. The witness hears what it prints.</summary>
public sealed class ServerProcess : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private readonly Process _process;

    private ServerProcess(Process process, int port) => (_process, Port) = (process, port);

    public int Port { get; }

    public Uri Address => new($"http://localhost:{Port}");

    /// <summary>Its issuer identifier, which is its origin.</summary>
    public string Issuer => $"http://localhost:{Port}";

    /// <summary>Starts the server and waits until it is ready.</summary>
    /// <param name="database">A connection string; <see cref="GrantsApp.NewDatabaseAsync"/> makes a fresh one.</param>
    /// <param name="config">A declared configuration in place of the tests' own.</param>
    public static Task<ServerProcess> StartAsync(string database, string? config = null)
    {
        var port = FreePort();
        return StartAsync("src/Grants.Api", "grants.dll", port, "/readyz",
        [
            new("ConnectionStrings__Grants", database), new("Grants__Issuer", $"http://localhost:{port}"), new("Grants__DataFolder", TestConfiguration.DataFolder),
            new("Grants__Config", config ?? TestConfiguration.File), new("Grants__SingleNode", "true"),
        ]);
    }

    /// <summary>Starts the sample API. It takes the tokens of that server for <see cref="TestConfiguration.Bank"/>, wherever it listens.</summary>
    public static Task<ServerProcess> StartBankAsync(string authority) =>
        StartAsync("samples/DemoBank", "DemoBank.dll", FreePort(), "/healthz", [new("Bank__Authority", authority), new("Bank__Resource", TestConfiguration.Bank)]);

    private static async Task<ServerProcess> StartAsync(string project, string assembly, int port, string health, KeyValuePair<string, string>[] environment)
    {
        var start = new ProcessStartInfo("dotnet", [Program(project, assembly), "--urls", $"http://localhost:{port}"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = TestConfiguration.DataFolder,
        };
        foreach (var (name, value) in environment.Append(new("ASPNETCORE_ENVIRONMENT", "Development"))) start.Environment[name] = value;
        var server = new ServerProcess(Process.Start(start)!, port);
        server._process.OutputDataReceived += (_, line) => Witness.Heard(line.Data ?? "");
        server._process.ErrorDataReceived += (_, line) => Witness.Heard(line.Data ?? "");
        server._process.BeginOutputReadLine();
        server._process.BeginErrorReadLine();
        try
        {
            await server.AnswersAsync(health);
        }
        catch
        {
            server.Dispose();
            throw;
        }

        return server;
    }

    /// <summary>A machine: no cookies, no redirects followed.</summary>
    public HttpClient NewClient() => new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false }) { BaseAddress = Address };

    /// <summary>What a library under test uses as its back channel: proves a key with each request.</summary>
    public static HttpMessageHandler NewHandler(DpopKey key) => new DpopHandler(key, TimeProvider.System, new SocketsHttpHandler());

    /// <summary>A browser without cookies yet.</summary>
    public Visitor NewVisitor() => new(NewClient(), Issuer);

    /// <summary>SIGKILL: no handler runs, nothing is flushed.</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    public void Dispose()
    {
        if (!_process.HasExited) Kill();
        _process.Dispose();
    }

    private async Task AnswersAsync(string path)
    {
        using var http = NewClient();
        using var pause = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        for (var waited = Stopwatch.StartNew(); waited.Elapsed < Patience; await pause.WaitForNextTickAsync())
        {
            if (_process.HasExited) throw new InvalidOperationException($"The program ended with {_process.ExitCode}: {string.Join('\n', Witness.Log.TakeLast(20))}");
            try
            {
                using var response = await http.GetAsync(new Uri(path, UriKind.Relative));
                if (response.IsSuccessStatusCode) return;
            }
            catch (HttpRequestException)
            {
                // Not listening yet.
            }
        }

        throw new TimeoutException($"The program did not start: {string.Join('\n', Witness.Log.TakeLast(20))}");
    }

    /// <summary>Where the program was built for the same configuration as these tests; among the tests' own files it would load them, too.</summary>
    private static string Program(string project, string assembly)
    {
        var framework = new DirectoryInfo(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        return Path.Combine(SourceTree.Root.FullName, project, "bin", framework.Parent!.Name, framework.Name, assembly);
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
