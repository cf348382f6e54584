using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Grants.Testing;

/// <summary>
/// Remembers every credential and every piece of personal data that the tests came across, and every log line that was written
/// meanwhile: what was seen must not be found in what was stored (L6).
/// </summary>
public static class Witness
{
    private static readonly ConcurrentDictionary<string, string> Seen = new();
    private static readonly ConcurrentQueue<string> Lines = new();

    /// <summary>Something that must be stored nowhere in clear.</summary>
    /// <param name="kind">What it is, for the message: a failure must not print the thing itself.</param>
    public static string Saw(string kind, string secret)
    {
        if (secret.Length >= 8) Seen.TryAdd(secret, kind);
        return secret;
    }

    public static IReadOnlyCollection<string> Log => Lines;

    /// <summary>How many different secrets were seen: a scan over none proves nothing.</summary>
    public static int Count => Seen.Count;

    /// <summary>The kinds of what is found in a text.</summary>
    public static IReadOnlyList<string> FindIn(string text) => [.. Seen.Where(pair => text.Contains(pair.Key, StringComparison.Ordinal)).Select(pair => pair.Value).Distinct()];

    /// <summary>A logger that hears everything which the filters let through.</summary>
    internal sealed class LogProvider : ILoggerProvider
    {
        public ILogger CreateLogger(string categoryName) => new Listener(categoryName);

        public void Dispose() { }

        private sealed class Listener(string category) : ILogger
        {
            public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

            public bool IsEnabled(LogLevel logLevel) => true;

            public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
                Lines.Enqueue($"{logLevel} {category}: {formatter(state, exception)} {exception}");
        }
    }
}
