using System.Text.RegularExpressions;

namespace Grants.Domain.Protocol;

/// <summary>A redirection endpoint exactly as it was written, RFC 6749 §3.1.2. Compared as a string, never as a parsed URI (RFC 9700 §2.1).</summary>
public readonly partial record struct RedirectUri(string Value)
{
    /// <summary>
    /// Whether this registered value admits the one presented: equal character by character. The one exception is a native app's
    /// loopback redirect, whose port is chosen when it runs (RFC 8252 §7.3).
    /// </summary>
    public bool Admits(RedirectUri presented, bool native)
    {
        if (string.Equals(Value, presented.Value, StringComparison.Ordinal)) return true;
        if (!native) return false;
        var registered = Loopback().Match(Value);
        var asked = Loopback().Match(presented.Value);
        return registered.Success && asked.Success
            && registered.Groups["host"].Value == asked.Groups["host"].Value
            && registered.Groups["rest"].Value == asked.Groups["rest"].Value
            && Uri.TryCreate(presented.Value, UriKind.Absolute, out _); // a port above 65535 is none
    }

    /// <summary>
    /// Why this value may not be registered, or null when it may. RFC 9700 §2.1, RFC 8252 §7 and §8.4: absolute, no fragment, no
    /// wildcard, no user name; https, or http on the loopback interface, or for native apps a private scheme that contains a dot.
    /// </summary>
    public string? WhyNotRegistrable(bool native)
    {
        if (Value.Contains('*', StringComparison.Ordinal)) return "`*` is not allowed: list each address.";
        if (Value.Contains('#', StringComparison.Ordinal)) return "A fragment is not allowed.";
        if (Value.Contains('\\', StringComparison.Ordinal) || Value.Any(c => c <= ' ' || c > '~')) return "Only printable ASCII without backslashes is allowed.";
        // .NET takes a path such as /cb for a file's absolute URI.
        if (Value.StartsWith('/') || !Uri.TryCreate(Value, UriKind.Absolute, out var uri)) return "It is not an absolute URI.";
        if (uri.UserInfo.Length > 0 || UserName().IsMatch(Value)) return "A user name is not allowed.";
        if (DotSegment().IsMatch(Value)) return "Dot segments are not allowed.";
        return uri.Scheme switch
        {
            "https" => null,
            "http" when uri.Host is "localhost" or "127.0.0.1" or "[::1]" => null,
            "http" => "It must use https. http is fine only for 127.0.0.1, [::1] and localhost.",
            "javascript" or "data" or "file" or "vbscript" or "blob" or "about" or "ftp" or "ws" or "wss" => $"The scheme {uri.Scheme} is never allowed.",
            _ when !native => "It must use https.",
            _ when !uri.Scheme.Contains('.', StringComparison.Ordinal) => "A private scheme must be a reversed domain name, such as com.example.app.",
            _ => null,
        };
    }

    public override string ToString() => Value;

    [GeneratedRegex(@"^http://(?<host>127\.0\.0\.1|\[::1\]|localhost)(:[0-9]{1,5})?(?<rest>([/?].*)?)\z", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture | RegexOptions.NonBacktracking)]
    private static partial Regex Loopback();

    // Uri.UserInfo can't tell an empty user name from none.
    [GeneratedRegex(@"^[^/?]*//[^/?]*@", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex UserName();

    // A browser takes %2e for a dot, too.
    [GeneratedRegex(@"^[^?]*/(\.|%2[eE]){1,2}([/?]|\z)", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture | RegexOptions.NonBacktracking)]
    private static partial Regex DotSegment();
}
