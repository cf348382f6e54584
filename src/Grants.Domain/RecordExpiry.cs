using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.TokenFamilies;

namespace Grants.Domain;

/// <summary>
/// Writes down that something ran out. Never decides anything: decisions compare clocks. Each returns only what isn't in the
/// stream yet, so it may run any number of times on any number of nodes.
/// </summary>
public static class RecordExpiry
{
    public static IEnumerable<IDomainEvent> Of(Authorization authorization, DateTimeOffset now)
    {
        if (!authorization.Answered && now >= authorization.ExpiresAt)
            yield return new AuthorizationEvent.Abandoned(now);
        else if (authorization is { Code: { } code, RedeemedBy: null, Closed: false } && now >= code.ExpiresAt)
            yield return new AuthorizationEvent.CodeExpired(now);
    }

    public static IEnumerable<IDomainEvent> Of(Session session, DateTimeOffset now)
    {
        if (session.EndedAt is null && now >= session.ExpiresAt) yield return new SessionEvent.Expired(now);
    }

    public static IEnumerable<IDomainEvent> Of(Grant grant, DateTimeOffset now)
    {
        if (!grant.Ended && now >= grant.ExpiresAt) yield return new GrantEvent.Expired(now);
    }

    /// <param name="family">Folded from events that include every end of these tokens.</param>
    /// <param name="tokens">Access tokens, by number, with the expiry that they were issued with.</param>
    public static IEnumerable<IDomainEvent> Of(TokenFamily family, IEnumerable<(int Number, DateTimeOffset ExpiresAt)> tokens, DateTimeOffset now)
    {
        if (family.Revoked) yield break; // ended before its time: there is nothing left to run out
        var over = tokens.Where(token => now >= token.ExpiresAt && family.Stands(token.Number)).Select(token => token.Number).Distinct().Order().ToList();
        if (over.Count == 1) yield return new TokenFamilyEvent.AccessTokenExpired(over[0], now);
        if (over.Count > 1) yield return new TokenFamilyEvent.AccessTokensExpired(new(over), now);
        if (!family.Expired && family.Refresh is { } refresh && !refresh.IsLive(now)) yield return new TokenFamilyEvent.Expired(now);
    }
}
