using Grants.Domain.AccessGrants;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Domain.TokenFamilies;

/// <summary>The one place that says what an access token carries and for how long.</summary>
internal static class MintAccessToken
{
    /// <param name="facts">Null where the event before it says them.</param>
    /// <param name="jkt">The key that was proven with the request; null when none was.</param>
    /// <param name="details">What it may carry beside scopes, as far as its audience is concerned with it.</param>
    public static TokenFamilyEvent.AccessTokenIssued For(FamilyFacts? facts, TokenTarget target, int number, Client client, Grant? grant, JwkThumbprint? jkt, DateTimeOffset now,
        ValueList<AuthorizationDetail>? details = null)
    {
        var expiresAt = now + client.Metadata.AccessTokenLifetime;
        // Nothing outlives the consent that it rests on.
        if (grant is not null && grant.ExpiresAt < expiresAt) expiresAt = grant.ExpiresAt;
        return new TokenFamilyEvent.AccessTokenIssued(number, facts, target.Scopes, target.Audience, now, expiresAt, jkt, target.Form, details.For(target.Audience).Marks());
    }
}
