using System.Buffers;
using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
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

    /// <summary>A line that a program under test wrote elsewhere, such as the output of a server of its own process.</summary>
    public static void Heard(string line) => Lines.Enqueue(line);

    /// <summary>Everything seen so far, in every form it could hide in, ready to be looked for in large texts.</summary>
    public static LeakSearch Search() => new(Seen);

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

/// <summary>Looks for many secrets at once, plain and encoded.</summary>
public sealed class LeakSearch
{
    private readonly Dictionary<string, string> _forms = new(StringComparer.Ordinal);
    private readonly SearchValues<string> _any;

    public LeakSearch(IEnumerable<KeyValuePair<string, string>> seen)
    {
        foreach (var (text, kind) in seen)
        {
            foreach (var form in FormsOf(text)) _forms.TryAdd(form, kind);
        }

        _any = SearchValues.Create([.. _forms.Keys], StringComparison.Ordinal);
    }

    public int Forms => _forms.Count;

    /// <summary>The kinds of what is found, each with a little of what stands before it (never of the thing itself).</summary>
    public IReadOnlyList<string> FindIn(string text)
    {
        var found = new HashSet<string>();
        for (var start = 0; start < text.Length && text.AsSpan(start).IndexOfAny(_any) is var at and >= 0; start++)
        {
            start += at;
            var kind = _forms.First(form => text.AsSpan(start).StartsWith(form.Key, StringComparison.Ordinal)).Value;
            var line = text.LastIndexOf('\n', start) + 1;
            found.Add($"{kind} after \"{text[Math.Max(line, start - 60)..start]}\"");
        }

        return [.. found];
    }

    /// <summary>As it is, in capitals, as JSON, URL and hexadecimal write it, and in base64 wherever it may begin in a longer text.</summary>
    private static IEnumerable<string> FormsOf(string text)
    {
        // Of long ones the end alone, which is the part that proves something: a token stored without its end is worth nothing.
        var piece = text.Length > 64 ? text[^40..] : text;
        var bytes = Encoding.UTF8.GetBytes(piece);
        IEnumerable<string> forms =
        [
            piece, piece.ToUpperInvariant(), JsonEncodedText.Encode(piece).ToString(), JsonSerializer.Serialize(piece, JsonSerializerOptions.Default)[1..^1], Uri.EscapeDataString(piece), Uri.EscapeDataString(piece).Replace("%20", "+", StringComparison.Ordinal),
            Convert.ToHexStringLower(bytes), Convert.ToHexString(bytes),
        ];
        for (var shift = 0; shift < 3; shift++)
        {
            // Whole groups of three bytes that belong to the text alone.
            var whole = bytes.AsSpan(shift)[..((bytes.Length - shift) / 3 * 3)];
            if (whole.Length < 6) continue;
            var base64 = Convert.ToBase64String(whole);
            forms = forms.Append(base64).Append(base64.Replace('+', '-').Replace('/', '_'));
        }

        // A dump doubles backslashes.
        return forms.SelectMany(form => (string[])[form, form.Replace("\\", "\\\\", StringComparison.Ordinal)]).Distinct();
    }
}
