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
    /// <param name="Jkt">The key that the client proved with the request (DPoP); null when it proved none.</param>
    /// <param name="Resources">What the access token shall be for, this time (RFC 8707 §2.2); null when none are named.</param>
    /// <param name="Details">The marks of the details that the access token shall carry (RFC 9396 §6); null for all.</param>
    public sealed record Request(Client Client, int Generation, ScopeSet? Scopes, Catalogue Catalogue, string Issuer, JwkThumbprint? Jkt = null, ValueList<string>? Resources = null, ValueList<string>? Details = null);

    public static Decision<IssuedTokens> Decide(TokenFamily? family, Grant? grant, Request ask, DateTimeOffset now)
    {
        if ((ask.Client.WhyNotUse(GrantType.RefreshToken) ?? ask.Client.WhyNotBoundTo(ask.Jkt)) is { } fault) return new Refused<IssuedTokens>(fault, []);
        if (family?.Refresh is not { } refresh) return Refuse("The refresh token is unknown.");
        if (family.Facts.Client != ask.Client.ClientId) return Refuse("The refresh token was issued to another client.");
        if (family.Revoked) return Refuse("The refresh token was revoked.");
        if (grant is null || !grant.IsLive(now)) return Refuse("The access was removed or has run out.");
        if (family.Expired || !refresh.IsLive(now)) return Refuse("The refresh token has expired.");
        if (ask.Generation < 1 || ask.Generation > refresh.Generation) return Refuse("The refresh token is unknown.");

        var bound = family.Facts.Jkt is not null;
        var holdsKey = !bound || family.Facts.Jkt == ask.Jkt;
        var window = ask.Client.Metadata.RetryWindow(bound);
        var repeated = holdsKey && ask.Generation == refresh.Generation - 1 && window > TimeSpan.Zero && now - refresh.IssuedAt <= window;
        if (ask.Generation < refresh.Generation && !repeated)
        {
            return Refuse("The refresh token was already used.",
                new StreamEvent(family.Id, new TokenFamilyEvent.RefreshTokenReplayed(ask.Generation, now)),
                new StreamEvent(family.Id, new TokenFamilyEvent.Revoked(EndedBy.System, "a spent refresh token was used again", now)));
        }

        // After the replay: a thief who got hold of an unbound token may have bound its successor to a key of its own, and the spent one in the
        // hands of the rightful client must end that family.
        if (!holdsKey) return Refuse("The refresh token is bound to another key.");

        var asked = ask.Scopes is { Count: > 0 } some ? some : family.Facts.Scopes;
        if (!asked.IsSubsetOf(family.Facts.Scopes))
            return Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.InvalidScope, "More was asked for than was granted.");
        var scopes = asked.Intersect(grant.ScopesAt(family.Facts.Resources));
        var standing = family.Facts.Details.Among(grant.Details);
        if (!standing.HaveAll(ask.Details)) return Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.InvalidAuthorizationDetails, "More was asked for than was granted.");
        var details = standing.Named(ask.Details);
        if (scopes.Count == 0 && details is null) return Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.InvalidScope, "Nothing of this was left to the client.");
        var (target, misdirected) = TokenTarget.Of(family.Facts.Scopes, family.Facts.Resources, scopes, ask.Resources, ask.Client.Metadata, ask.Catalogue, ask.Issuer, details);
        if (target is null) return new Refused<IssuedTokens>(misdirected!, []);

        var events = new List<TokenFamilyEvent>();
        var generation = refresh.Generation;
        var facts = family.Facts;
        if (!repeated)
        {
            generation++;
            // A refresh token that is issued to a client without a secret along with a proof is bound to that key, also when its predecessor was not.
            if (!ask.Client.Metadata.IsConfidential) facts = facts with { Jkt = facts.Jkt ?? ask.Jkt };
            var idle = now + ask.Client.Metadata.RefreshTokenIdle;
            events.Add(new TokenFamilyEvent.RefreshTokenRotated(generation, facts, family.AccessTokens, now,
                idle < refresh.ExpiresAt ? idle : refresh.ExpiresAt, refresh.ExpiresAt));
        }

        var accessToken = MintAccessToken.For(repeated ? facts : null, target, family.AccessTokens + 1, ask.Client, grant, ask.Jkt, now, details);
        events.Add(accessToken);
        var idToken = scopes.Contains(StandardScopes.OpenId) ? new TokenFamilyEvent.IdTokenIssued(now, now + IssuedTokens.IdTokenLifetime) : null;
        if (idToken is not null) events.Add(idToken);
        return Protocol.Decide.Accept(new IssuedTokens(family.Id, facts, accessToken, generation, idToken), events.Select(e => new StreamEvent(family.Id, e)));
    }

    private static Decision<IssuedTokens> Refuse(string description, params IEnumerable<StreamEvent> events) =>
        Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.InvalidGrant, description, events);
}
