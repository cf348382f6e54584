using System.Security.Cryptography;
using System.Text;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Domain.Authorizations;

/// <summary>Puts a consent question into the words that a page shows and an event keeps.</summary>
public static class ConsentWords
{
    /// <summary>The permissions that a page lists: <c>openid</c> is never one, and <c>offline_access</c> is said under "For how long".</summary>
    public static IEnumerable<string> Listed(ScopeSet asked) =>
        asked.Where(scope => scope is not (StandardScopes.OpenId or StandardScopes.OfflineAccess));

    /// <param name="resources">Those that the request names; null when it names none.</param>
    public static ConsentText Of(Client client, ScopeSet asked, Catalogue catalogue, ValueList<string>? resources = null, ValueList<AuthorizationDetail>? details = null)
    {
        ValueList<ConsentLine> lines =
        [
            .. Listed(asked).Select(scope => new ConsentLine(scope, catalogue.Scope(scope)?.Label ?? scope,
                client.Metadata.OptionalScopes.Contains(scope) ? "optional" : "needed")),
            .. asked.Contains(StandardScopes.OfflineAccess)
                ? (ConsentLine[])[new ConsentLine(StandardScopes.OfflineAccess, "Also when you are not using it", "needed")]
                : [],
            .. (resources ?? []).Select(resource => new ConsentLine(resource, $"Only at {NameOf(resource, catalogue)}", "needed")),
            .. (details ?? []).Select(detail => new ConsentLine(detail.Type, catalogue.DetailsType(detail.Type)?.Words ?? detail.Type, "needed", detail.Mark)),
        ];
        var words = string.Join('\n', lines.Select(line => $"{line.Scope}\t{line.Label}\t{line.Answer}{(line.Detail is null ? "" : "\t" + line.Detail)}").Prepend(client.Metadata.ClientName));
        var version = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(words)).AsSpan(0, 8));
        return new ConsentText(version, "en", client.Metadata.ClientName, lines);
    }

    /// <summary>A resource as people know it.</summary>
    public static string NameOf(string resource, Catalogue catalogue) => catalogue.Resources.FirstOrDefault(known => known.Resource == resource)?.Name ?? resource;
}
