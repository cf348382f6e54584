using Grants.Api.Configuration;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Api.Signing;

namespace Grants.Api;

/// <summary>Makes an empty database ready before the first request: keys, then the declared configuration. On a filled one it changes nothing.</summary>
public sealed class Startup(SealedHandles handles, KeyRing ring, ConfigurationApplier applier, Settings settings) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        handles.Load(); // a wrong key-encryption key stops the start
        await ring.MaintainAsync(new Cause(Cause.System("start"), "start", "start"), cancellationToken);
        if (settings.Config is { } file)
        {
            var changes = await applier.ApplyAsync(DeclaredConfiguration.Read(file), "config", cancellationToken);
            if (changes.Count > 0) Console.Out.WriteLine($"Applied {Path.GetFileName(file)}: {string.Join(", ", changes)}");
        }

        if (settings.Development) Announce();
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    // On the console and nowhere else: these lines never pass through a logger.
    private void Announce()
    {
        Console.Out.WriteLine($"Issuer   {settings.Issuer}");
        Console.Out.WriteLine($"Health   {settings.Url("/healthz")}");
        foreach (var (username, password) in FirstStartFile.Read(settings)) Console.Out.WriteLine($"Sign in as {username}   password {password}");
        Console.Out.WriteLine("Development mode: made-up people, plain http, printed passwords. Never put this on a public address.");
    }
}
