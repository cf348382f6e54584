using Grants.Api.Http;
using Grants.Api.Log;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;

namespace Grants.Api.Token;

/// <summary>
/// The tokens that an exchanged one came of (RFC 8693): it stands as long as all of them do. See docs/decisions/0012-exchanged-tokens.md.
/// </summary>
public sealed class Lineage(EventLog log, Lookups lookups)
{
    /// <summary>Whether all that a family's token was exchanged for still stands. Of most families that is nothing, and nothing is read.</summary>
    public async Task<bool> StandsAsync(TokenFamily family, CancellationToken cancellation)
    {
        if (family.Parents.Count == 0) return true;
        if (await ClientsAsync(family.Parents, cancellation) is not { } clients) return false;
        var streams = await log.Read([.. family.Parents.Select(token => token.Family), .. clients.Values], TokensOf(family.Parents), cancellation);
        return Stands(streams, family.Parents, clients);
    }

    /// <summary>The streams of the clients that hold these tokens; null when one of them isn't known. A client's stream never changes.</summary>
    internal async Task<IReadOnlyDictionary<ClientId, Guid>?> ClientsAsync(IEnumerable<TokenReference> line, CancellationToken cancellation)
    {
        var clients = new Dictionary<ClientId, Guid>();
        foreach (var holder in line.Select(token => token.Client).Distinct())
        {
            if (await lookups.ClientAsync(holder, cancellation) is not { } client) return null;
            clients[holder] = client.Id;
        }

        return clients;
    }

    /// <summary>Whether nobody has ended one of these tokens or its family, nor suspended its client.</summary>
    internal static bool Stands(StreamsRead streams, IEnumerable<TokenReference> line, IReadOnlyDictionary<ClientId, Guid> clients) =>
        line.All(token => streams.Family(token.Family)?.Stands(token.Number) == true && streams.Client(clients[token.Client]) is { IsActive: true });

    /// <summary>So that the revocation of one is found although it may lie before the newest rotation.</summary>
    internal static IReadOnlyList<AccessTokenId> TokensOf(IEnumerable<TokenReference> line) => [.. line.Select(token => new AccessTokenId(token.Family, null, token.Number))];
}
