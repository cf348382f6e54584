using CsCheck;

namespace Grants.Domain.Tests.Protocol;

/// <summary>Texts to throw at parsers: ordinary characters, those that URIs and lists are made of, and those that nobody expects.</summary>
internal static class Texts
{
    private static readonly Gen<char> Odd = Gen.OneOf('\0', '\n', '\t', ' ', '"', '\\', '/', ':', '@', '#', '?', '%', '*', '.', '[', ']', '_', '-', '~', 'é', '\u3002', '\uD800', '\uFFFF');

    public static readonly Gen<string> Any = Gen.OneOf(
        Gen.String,
        Gen.String[Gen.OneOf(Gen.Char.AlphaNumeric, Odd), 0, 60],
        Gen.String[Gen.Char.AlphaNumeric, 30, 140]);
}
