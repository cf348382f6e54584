using System.Collections;
using System.Runtime.CompilerServices;

namespace Grants.Domain.Protocol;

/// <summary>
/// A set of scope tokens, RFC 6749 §3.3: order carries no meaning, but the order given is kept for display. Equal when the
/// members are. Wire form: tokens of %x21 / %x23-5B / %x5D-7E separated by single spaces.
/// </summary>
[CollectionBuilder(typeof(ScopeSet), nameof(Create))]
public sealed class ScopeSet : IReadOnlyCollection<string>, IEquatable<ScopeSet>
{
    private readonly string[] _tokens;

    private ScopeSet(IEnumerable<string> tokens) => _tokens = [.. tokens.Distinct(StringComparer.Ordinal)];

    public static ScopeSet Empty { get; } = new([]);

    public int Count => _tokens.Length;

    public static ScopeSet Of(IEnumerable<string> tokens) => new(tokens);

    public static ScopeSet Create(ReadOnlySpan<string> tokens) => new(tokens.ToArray());

    /// <summary>Reads the wire form. False when a character is outside RFC 6749 §3.3's set; leading, trailing and double spaces are let pass.</summary>
    public static bool TryParse(string? text, out ScopeSet scopes)
    {
        scopes = Empty;
        if (text is null) return true;
        var tokens = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (!Array.TrueForAll(tokens, IsToken)) return false;
        scopes = new ScopeSet(tokens);
        return true;
    }

    public static bool IsToken(string token) =>
        token.Length is > 0 and <= 128 && token.All(c => c is '!' or (>= '#' and <= '[') or (>= ']' and <= '~'));

    public bool Contains(string token) => Array.IndexOf(_tokens, token) >= 0;

    public bool IsSubsetOf(ScopeSet other) => Array.TrueForAll(_tokens, other.Contains);

    public bool Overlaps(ScopeSet other) => Array.Exists(_tokens, other.Contains);

    public ScopeSet Union(ScopeSet other) => new(_tokens.Concat(other._tokens));

    public ScopeSet Intersect(ScopeSet other) => new(_tokens.Where(other.Contains));

    public ScopeSet Except(ScopeSet other) => new(_tokens.Where(token => !other.Contains(token)));

    public static bool operator ==(ScopeSet? one, ScopeSet? other) => Equals(one, other);

    public static bool operator !=(ScopeSet? one, ScopeSet? other) => !Equals(one, other);

    public bool Equals(ScopeSet? other) => other is not null && Count == other.Count && IsSubsetOf(other);

    public override bool Equals(object? obj) => Equals(obj as ScopeSet);

    public override int GetHashCode() => _tokens.Aggregate(0, (hash, token) => hash ^ StringComparer.Ordinal.GetHashCode(token));

    public IEnumerator<string> GetEnumerator() => ((IEnumerable<string>)_tokens).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public override string ToString() => string.Join(' ', _tokens);
}

/// <summary>Scopes whose meaning a specification fixes.</summary>
public static class StandardScopes
{
    /// <summary>OpenID Connect Core §3.1.2.1.</summary>
    public const string OpenId = "openid";

    /// <summary>OpenID Connect Core §11.</summary>
    public const string OfflineAccess = "offline_access";

    /// <summary>
    /// Those that ask for a sign-in, for claims at userinfo (OpenID Connect Core §5.4) or for lasting access: they are the issuer's, whatever
    /// resource a request names.
    /// </summary>
    public static bool AreOfIssuer(string scope) => scope is OpenId or OfflineAccess or "profile" or "email" or "address" or "phone";
}
