namespace Grants.Domain.Protocol;

/// <summary>
/// The short code that a device shows and a person types: eight letters without vowels, so that no words come about, shown as
/// <c>WDJB-MJHT</c>. There are 20^8 of them, 34.5 bits: RFC 8628 §6.1. A credential for minutes; nobody stores one in clear.
/// </summary>
public static class UserCode
{
    public const string Alphabet = "BCDFGHJKLMNPQRSTVWXZ";

    public const int Length = 8;

    /// <summary>What is longer can't be a slip of the fingers.</summary>
    private const int LongestTyped = 100;

    /// <summary>The eight letters in what was typed: case doesn't count, nor does anything outside of the alphabet (RFC 8628 §6.1). Null when there are more or fewer.</summary>
    public static string? Read(string? typed)
    {
        if (typed is null || typed.Length > LongestTyped) return null;
        var letters = string.Concat(typed.Select(char.ToUpperInvariant).Where(c => Alphabet.Contains(c, StringComparison.Ordinal)));
        return letters.Length == Length ? letters : null;
    }

    /// <summary>As a device and a page show it.</summary>
    public static string Show(string letters) => $"{letters[..4]}-{letters[4..]}";
}
