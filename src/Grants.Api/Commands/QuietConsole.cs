using System.Text;
using System.Text.RegularExpressions;
using Spectre.Console;

namespace Grants.Api.Commands;

/// <summary>
/// The command-line library says which assemblies it searches before it does anything. Those lines would spoil what commands print
/// for other programs, so everything up to the first other line is dropped.
/// </summary>
internal static partial class QuietConsole
{
    public static IAnsiConsole Make()
    {
        var piped = Console.IsOutputRedirected;
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(new Filter(Console.Out)),
            Ansi = piped ? AnsiSupport.No : AnsiSupport.Detect,
            ColorSystem = piped ? ColorSystemSupport.NoColors : ColorSystemSupport.Detect,
        });
        if (piped) console.Profile.Width = 400; // a line stays a line
        return console;
    }

    private sealed partial class Filter(TextWriter inner) : TextWriter
    {
        private bool _speaking;

        public override Encoding Encoding => inner.Encoding;

        public override void Write(char value) => Write(value.ToString());

        public override void Write(string? value)
        {
            var text = EscapeSequence().Replace(value ?? "", "");
            if (!_speaking && (string.IsNullOrWhiteSpace(text) || text.StartsWith("Searching '", StringComparison.Ordinal))) return;
            _speaking = true;
            inner.Write(value);
        }

        public override void Flush() => inner.Flush();

        [GeneratedRegex(@"\x1b\[[0-9;]*[A-Za-z]")]
        private static partial Regex EscapeSequence();
    }
}
