using Grants.Testing;

[assembly: AssemblyFixture(typeof(Grants.Api.Tests.Leaks.LeakScan))]

namespace Grants.Api.Tests.Leaks;

/// <summary>
/// After the last test of the run: looks through a dump of every database that was used, and through every log line that was written,
/// for everything that must be nowhere in clear (L6). Fails the run when it finds anything, or when it saw too little to prove anything.
/// </summary>
public sealed class LeakScan : IAsyncDisposable
{
    /// <summary>What the tests' configuration alone brings: passwords, secrets, names.</summary>
    private const int FewestOfAnyRun = 12;
    private const int FewestOfAWholeRun = 200;
    private const int DatabasesOfAWholeRun = 8;

    public async ValueTask DisposeAsync()
    {
        var databases = GrantsApp.AllDatabases;
        if (databases.Count == 0) return; // only tests without a server ran

        var search = Witness.Search();
        var (size, found) = (0L, new List<string>());
        foreach (var database in databases)
        {
            var dump = await TestDatabases.DumpAsync(database);
            size += dump.Length;
            found.AddRange(search.FindIn(dump).Select(leak => $"database: {leak}"));
        }

        var lines = Witness.Log;
        found.AddRange(lines.SelectMany(line => search.FindIn(line)).Distinct().Select(leak => $"log: {leak}"));
        Console.WriteLine($"Leak scan: looked for {Witness.Count} secrets in {search.Forms} forms through {size / 1024} KB of {databases.Count} databases and {lines.Count} log lines; found {found.Count}.");

        var fewest = databases.Count >= DatabasesOfAWholeRun ? FewestOfAWholeRun : FewestOfAnyRun;
        if (Witness.Count < fewest) throw new InvalidOperationException($"The scan for leaks knew only {Witness.Count} secrets: that proves nothing.");
        if (size < databases.Count * 10_000L) throw new InvalidOperationException("The dumps are too small to be whole.");
        if (found.Count > 0) throw new InvalidOperationException("In clear (L6): " + string.Join("; ", found.Distinct().Take(20)));
    }
}
