using Grants.Domain.AccessGrants;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Domain.TokenFamilies;

/// <summary>Renews access: RFC 6749 §6, with rotation and replay detection as RFC 9700 §4.14.2 describes.</summary>
public static class RefreshTokens
{
    /// <param name="Generation">That of the refresh token presented.</param>
    /// <param name="Scopes">Null or empty when the client asks for all it has.</param>
    public sealed record Request(Client Client, int Generation, ScopeSet? Scopes, Catalogue Catalogue, string Issuer);

    public static Decision<IssuedTokens> Decide(TokenFamily? family, Grant? grant, Request ask, DateTimeOffset now)
    {
        if (ask.Client.WhyNotUse(GrantType.RefreshToken) is { } fault) return new Refused<IssuedTokens>(fault, []);
        if (family?.Refresh is not { } refresh) return Refuse("The refresh token is unknown.");
        if (family.Facts.Client != ask.Client.ClientId) return Refuse("The refresh token was issued to another client.");
        if (family.Revoked) return Refuse("The refresh token was revoked.");
        if (grant is null || !grant.IsLive(now)) return Refuse("The access was removed or has run out.");
        if (family.Expired || !refresh.IsLive(now)) return Refuse("The refresh token has expired.");
        if (ask.Generation < 1 || ask.Generation > refresh.Generation) return Refuse("The refresh token is unknown.");

        var repeated = ask.Generation == refresh.Generation - 1
            && ask.Client.Metadata.EffectiveRetryWindow > TimeSpan.Zero
            && now - refresh.IssuedAt <= ask.Client.Metadata.EffectiveRetryWindow;
        if (ask.Generation < refresh.Generation && !repeated)
        {
            return Refuse("The refresh token was already used.",
                new StreamEvent(family.Id, new TokenFamilyEvent.RefreshTokenReplayed(ask.Generation, now)),
                new StreamEvent(family.Id, new TokenFamilyEvent.Revoked(EndedBy.System, "a spent refresh token was used again", now)));
        }

        var asked = ask.Scopes is { Count: > 0 } some ? some : family.Facts.Scopes;
        if (!asked.IsSubsetOf(family.Facts.Scopes))
            return Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.InvalidScope, "More was asked for than was granted.");
        var scopes = asked.Intersect(grant.Scopes);
        if (scopes.Count == 0) return Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.InvalidScope, "Nothing of this was left to the client.");

        var events = new List<TokenFamilyEvent>();
        var generation = refresh.Generation;
        if (!repeated)
        {
            generation++;
            var idle = now + ask.Client.Metadata.RefreshTokenIdle;
            events.Add(new TokenFamilyEvent.RefreshTokenRotated(generation, family.Facts, family.AccessTokens, now,
                idle < refresh.ExpiresAt ? idle : refresh.ExpiresAt, refresh.ExpiresAt));
        }

        var accessToken = MintAccessToken.For(repeated ? family.Facts : null, scopes, family.AccessTokens + 1, ask.Client, grant, ask.Catalogue, ask.Issuer, now);
        events.Add(accessToken);
        var idToken = scopes.Contains(StandardScopes.OpenId) ? new TokenFamilyEvent.IdTokenIssued(now, now + IssuedTokens.IdTokenLifetime) : null;
        if (idToken is not null) events.Add(idToken);
        return Protocol.Decide.Accept(new IssuedTokens(family.Id, family.Facts, accessToken, generation, idToken), events.Select(e => new StreamEvent(family.Id, e)));
    }

    private static Decision<IssuedTokens> Refuse(string description, params IEnumerable<StreamEvent> events) =>
        Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.InvalidGrant, description, events);
}
