using System.Text.RegularExpressions;

namespace Grants.Api.Tests.Samples;

/// <summary>
/// As much of the .http format as the samples use: variables, named requests, and two habits of ours in comments. A line that begins
/// with <c>node</c> is the command whose output belongs into the next variable, and <c>Answers 400 with …</c> is what comes back.
/// </summary>
internal static partial class HttpFile
{
    /// <summary>What a variable has that a person fills in.</summary>
    public const string FillIn = "fill-in";

    /// <summary>One thing that a person does, from top to bottom.</summary>
    internal abstract record Step
    {
        private Step() { }

        /// <param name="Command">What prints the value; null when it comes from elsewhere.</param>
        public sealed record Assign(string Name, string Value, string? Command) : Step;

        /// <summary>A command that stands for itself.</summary>
        public sealed record Run(string Command) : Step;

        /// <param name="Name">By which later lines refer to the answer.</param>
        /// <param name="Contains">A part of the answer's body, white space aside.</param>
        public sealed record Send(string? Name, int? Status, string? Contains, string Method, string Address, IReadOnlyList<(string Name, string Value)> Headers, string Body) : Step;
    }

    public static IReadOnlyList<Step> Read(string text)
    {
        var steps = new List<Step>();
        foreach (var block in Separator().Split(text))
        {
            var (name, status, contains, command) = ((string?)null, (int?)null, (string?)null, (string?)null);
            void RunPending()
            {
                if (command is not null) steps.Add(new Step.Run(command));
                command = null;
            }

            var lines = block.Split('\n');
            for (var i = 0; i < lines.Length; i++)
            {
                var line = lines[i].Trim();
                if (Named().Match(line) is { Success: true } named) name = named.Groups[1].Value;
                else if (Answers().Match(line) is { Success: true } answers) (status, contains) = (int.Parse(answers.Groups[1].ValueSpan, null), answers.Groups[2].Success ? answers.Groups[2].Value : null);
                else if (Command().Match(line) is { Success: true } typed)
                {
                    RunPending();
                    command = typed.Groups[1].Value;
                }
                else if (Variable().Match(line) is { Success: true } variable)
                {
                    if (variable.Groups[2].Value != FillIn) RunPending();
                    steps.Add(new Step.Assign(variable.Groups[1].Value, variable.Groups[2].Value, command));
                    command = null;
                }
                else if (Request().Match(line) is { Success: true } request)
                {
                    RunPending();
                    var headers = lines.Skip(i + 1).TakeWhile(header => header.Trim().Length > 0).Select(header => header.Split(':', 2)).Select(parts => (parts[0].Trim(), parts[1].Trim())).ToList();
                    steps.Add(new Step.Send(name, status, contains, request.Groups[1].Value, request.Groups[2].Value, headers, string.Join('\n', lines.Skip(i + 2 + headers.Count)).Trim()));
                    break;
                }
                else if (line.Length > 0 && line[0] != '#')
                {
                    throw new FormatException($"This line is neither a comment nor a variable nor a request: {line}");
                }
            }

            RunPending();
        }

        return steps;
    }

    /// <summary>Puts in what <c>{{…}}</c> stands for.</summary>
    /// <param name="valueOf">The value of a variable, or of <c>name.response.body.$.member</c> and <c>name.response.headers.Name</c>.</param>
    public static string Fill(string text, Func<string, string> valueOf) => Reference().Replace(text, match => valueOf(match.Groups[1].Value));

    /// <summary>A command line in its words; quotation marks hold one together.</summary>
    public static IReadOnlyList<string> Words(string command) => [.. Word().Matches(command).Select(match => match.Groups[1].Success ? match.Groups[1].Value : match.Value)];

    [GeneratedRegex("^###.*$", RegexOptions.Multiline)]
    private static partial Regex Separator();

    [GeneratedRegex(@"^# @name (\w+)$")]
    private static partial Regex Named();

    [GeneratedRegex(@"^# Answers (\d{3})(?: with (.+))?$")]
    private static partial Regex Answers();

    [GeneratedRegex(@"^#\s+(node samples/.+)$")]
    private static partial Regex Command();

    [GeneratedRegex(@"^@(\w+)\s*=\s*(.+)$")]
    private static partial Regex Variable();

    [GeneratedRegex(@"^(GET|POST|DELETE|PUT) (\S+)$")]
    private static partial Regex Request();

    [GeneratedRegex(@"\{\{([^{}]+)\}\}")]
    private static partial Regex Reference();

    [GeneratedRegex("\"([^\"]*)\"|\\S+")]
    private static partial Regex Word();
}
