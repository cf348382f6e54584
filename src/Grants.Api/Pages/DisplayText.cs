using System.Globalization;
using System.Numerics;
using System.Text;

namespace Grants.Api.Pages;

/// <summary>
/// Makes text that a stranger chose fit to stand on our pages: one line, of limited length, with nothing in it that
/// turns, hides or overprints the words around it. HTML encoding is not done here; Razor does it.
/// Source: Unicode Standard Annex 9 (bidirectional text) and Technical Standard 39 (mixed alphabets).
/// </summary>
public static class DisplayText
{
    /// <summary>The longest name an app may show to a person.</summary>
    public const int NameLength = 60;

    // Written languages stack two, seldom more; a pile of them is made to climb over the lines above.
    private const int MarksInARow = 2;

    /// <summary>The name of an app, or words that say that it has none.</summary>
    public static string Clean(string? text) => Line(text, NameLength) is { Length: > 0 } name ? name : "App without a name";

    /// <summary>The text on one line of at most <paramref name="length"/> UTF-16 units, cut between characters.</summary>
    public static string Line(string? text, int length)
    {
        var line = new StringBuilder();
        var marks = 0;
        var gap = false;
        foreach (var rune in (text ?? "").EnumerateRunes())
        {
            if (Rune.IsWhiteSpace(rune))
            {
                gap = line.Length > 0;
                continue;
            }

            var category = Rune.GetUnicodeCategory(rune);
            if (IsUnseen(rune, category))
                continue;
            marks = category is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark ? marks + 1 : 0;
            if (marks > MarksInARow)
                continue;
            if (gap)
                line.Append(' ');
            gap = false;
            line.Append(rune.ToString());
        }

        return Cut(line.ToString(), length);
    }

    /// <summary>
    /// The name between Unicode isolates, for a sentence that is kept as plain text and so cannot hold a
    /// <c>bdi</c> element.
    /// </summary>
    public static string Isolated(string? name) => $"\u2068{Clean(name)}\u2069";

    /// <summary>True when one word mixes alphabets whose letters look alike, as in a Latin word with a Cyrillic "а".</summary>
    public static bool MixesAlphabets(string text)
    {
        var seen = 0u;
        foreach (var rune in text.EnumerateRunes())
        {
            seen = Rune.IsLetter(rune) ? seen | Alphabet(rune.Value) : 0;
            if (BitOperations.PopCount(seen) > 1)
                return true;
        }

        return false;
    }

    private static uint Alphabet(int letter) => letter switch
    {
        <= 0x24F or (>= 0x1E00 and <= 0x1EFF) => 1, // Latin
        (>= 0x370 and <= 0x3FF) or (>= 0x1F00 and <= 0x1FFF) => 2, // Greek
        >= 0x400 and <= 0x52F => 4, // Cyrillic
        >= 0x530 and <= 0x58F => 8, // Armenian
        >= 0x13A0 and <= 0x13FF => 16, // Cherokee
        (>= 0xFF21 and <= 0xFF5A) or (>= 0x1D400 and <= 0x1D7FF) => 32, // Full-width and mathematical Latin
        _ => 0,
    };

    private static bool IsUnseen(Rune rune, UnicodeCategory category) => rune.Value switch
    {
        0x200C or 0x200D => false, // Joiners: Persian, Indic scripts and joined emoji need them.
        0x034F or 0x115F or 0x1160 or 0x2800 or 0x3164 or 0xFFA0 => true, // Letters and marks drawn as nothing.
        _ => category is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.PrivateUse
            or UnicodeCategory.OtherNotAssigned or UnicodeCategory.Surrogate,
    };

    private static string Cut(string line, int length)
    {
        if (line.Length <= length)
            return line;
        var end = 0;
        while (end + StringInfo.GetNextTextElementLength(line, end) is var next && next < length)
            end = next;
        return $"{line[..end].TrimEnd()}…";
    }
}
