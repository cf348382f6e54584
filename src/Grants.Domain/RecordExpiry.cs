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

    public static IEnumerable<IDomainEvent> Of(TokenFamily family, DateTimeOffset now)
    {
        if (family.Revoked) yield break; // ended before its time: there is nothing left to run out
        foreach (var (number, expiresAt) in family.Open)
        {
            if (now >= expiresAt) yield return new TokenFamilyEvent.AccessTokenExpired(number, now);
        }

        if (!family.Expired && family.Refresh is { } refresh && !refresh.IsLive(now)) yield return new TokenFamilyEvent.Expired(now);
    }
}
