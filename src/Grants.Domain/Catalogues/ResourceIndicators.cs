using System.Buffers;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Domain.Catalogues;

/// <summary>The parameter <c>resource</c>, RFC 8707 §2: which protected resources a client names, and whether it may.</summary>
public static class ResourceIndicators
{
    private const int MaxLength = 2000;
    private const int MaxNamed = 32;

    /// <summary>RFC 3986 §2 without <c>#</c>, which begins a fragment.</summary>
    private static readonly SearchValues<char> Characters =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?[]@!$&'()*+,;=%");

    /// <summary>
    /// The spelling by which two resources are compared: scheme and host in small letters, all else as it stands, so that a trailing slash
    /// makes a difference. Null for what is no absolute URI (RFC 3986 §4.3), has a fragment, or is longer than 2000 characters.
    /// </summary>
    public static string? Canonical(string text)
    {
        var scheme = text.IndexOf(':', StringComparison.Ordinal) + 1;
        if (text.Length > MaxLength || text.AsSpan().ContainsAnyExcept(Characters) || scheme < 2 || scheme == text.Length || !char.IsAsciiLetter(text[0])
            || !text.Take(scheme - 1).All(c => char.IsAsciiLetterOrDigit(c) || c is '+' or '-' or '.') || !Uri.TryCreate(text, UriKind.Absolute, out _)) return null;
        if (!text.AsSpan(scheme).StartsWith("//", StringComparison.Ordinal)) return text[..scheme].ToLowerInvariant() + text[scheme..];
        var path = text.AsSpan(scheme + 2).IndexOfAny('/', '?');
        var end = path < 0 ? text.Length : scheme + 2 + path;
        var host = scheme + 2 + text.AsSpan(scheme + 2, end - scheme - 2).LastIndexOf('@') + 1;
        return text[..scheme].ToLowerInvariant() + text[scheme..host] + text[host..end].ToLowerInvariant() + text[end..];
    }

    /// <summary>
    /// What an authorization request asks for, RFC 8707 §2.1: the resources as they are declared, each once, and of the scopes those that one
    /// of them understands or that are the issuer's. A request that names none is left as it is, with no resources (null).
    /// </summary>
    /// <param name="detailed">It also asks for details (RFC 9396), which a resource may be there for.</param>
    /// <returns>The error is <c>invalid_target</c>, or <c>invalid_scope</c> for a resource that none of the scopes means anything to.</returns>
    public static (ValueList<string>? Resources, ScopeSet Scopes, OAuthError? Error) Ask(IReadOnlyList<string> named, ScopeSet scopes, ClientMetadata client, Catalogue catalogue, bool detailed = false)
    {
        if (named.Count == 0) return (null, scopes, null);
        var (found, error) = Find(named, client, catalogue);
        if (found is null) return (null, scopes, error);
        return detailed || found.TrueForAll(resource => resource.Scopes.Overlaps(scopes))
            ? (new(found.Select(resource => resource.Resource)), ScopeSet.Of(scopes.Where(scope => StandardScopes.AreOfIssuer(scope) || found.Exists(resource => resource.Scopes.Contains(scope)))), null)
            : (null, scopes, NothingUnderstood);
    }

    internal static readonly OAuthError NothingUnderstood = new(ErrorCode.InvalidScope, "A resource that was named understands none of the scopes.");

    /// <summary>The resources that are meant; none, and why, when one can't be named by this client.</summary>
    internal static (List<ResourceDefinition>? Resources, OAuthError? Error) Find(IReadOnlyList<string> named, ClientMetadata client, Catalogue catalogue)
    {
        if (named.Count > MaxNamed) return (null, new OAuthError(ErrorCode.InvalidTarget, "At most 32 resources can be named."));
        var found = new List<ResourceDefinition>(named.Count);
        foreach (var text in named)
        {
            if (Canonical(text) is not { } canonical) return (null, new OAuthError(ErrorCode.InvalidTarget, "resource must be an absolute URI without a fragment."));
            var resource = catalogue.Resources.FirstOrDefault(resource => Canonical(resource.Resource) == canonical);
            // What others may have tokens for is nobody's business: both look alike.
            if (resource is null || !MayHaveTokensFor(client, resource)) return (null, new OAuthError(ErrorCode.InvalidTarget, "The client may not ask for this resource."));
            if (!found.Contains(resource)) found.Add(resource);
        }

        return (found, null);
    }

    internal static bool MayHaveTokensFor(ClientMetadata client, ResourceDefinition resource) =>
        client.AllowedResources?.Contains(resource.Resource) ?? resource.Scopes.Overlaps(client.Scope);
}
