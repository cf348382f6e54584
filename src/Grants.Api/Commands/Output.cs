using System.Globalization;

namespace Grants.Api.Commands;

/// <summary>What commands print: a plain table for people, one JSON object a line for programs. No colour, no wrapping, so it can be piped.</summary>
public static class Output
{
    /// <summary>Columns as wide as their widest cell; ends with the number of rows.</summary>
    public static void Table(IReadOnlyList<string> heads, IReadOnlyList<IReadOnlyList<string>> rows, string noun)
    {
        var widths = heads.Select((head, column) => rows.Select(row => row[column].Length).Append(head.Length).Max()).ToArray();
        Line(heads);
        Line([.. widths.Select(width => new string('-', width))]);
        foreach (var row in rows) Line(row);
        Console.Out.WriteLine($"{rows.Count} {noun}");

        void Line(IReadOnlyList<string> cells) => Console.Out.WriteLine(string.Join("  ", cells.Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd());
    }

    /// <summary>RFC 3339 in UTC, to the second.</summary>
    public static string Time(DateTimeOffset? time) => time?.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture) ?? "";

    /// <summary>The end of an id is its random part, and enough to tell two apart.</summary>
    public static string Tail(Guid id) => id.ToString("N")[^12..];

    public static void Fail(string message) => Console.Error.WriteLine($"error: {message}");
}
