using Grants.Domain.AccessGrants;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;

namespace Grants.Domain.Authorizations;

/// <summary>Exchanges an authorization code for tokens: RFC 6749 §4.1.3, RFC 7636 §4.6, OpenID Connect Core §3.1.3.</summary>
public static class RedeemCode
{
    /// <param name="RedirectUri">As sent; null when the client left it out.</param>
    /// <param name="Verifier">As sent; null when the client left it out.</param>
    /// <param name="Jkt">The key that the client proved with the request (DPoP); null when it proved none.</param>
    /// <param name="Resources">What the access token shall be for (RFC 8707 §2.2); null when none are named.</param>
    /// <param name="Details">The marks of the details that the access token shall carry (RFC 9396 §6); null for all.</param>
    public sealed record Request(Client Client, RedirectUri? RedirectUri, Secret? Verifier, Catalogue Catalogue, string Issuer, JwkThumbprint? Jkt = null, ValueList<string>? Resources = null, ValueList<string>? Details = null);

    public static Decision<IssuedTokens> Decide(Authorization? authorization, Grant? grant, TokenFamily? family, Request ask, DateTimeOffset now)
    {
        if ((ask.Client.WhyNotUse(GrantType.AuthorizationCode) ?? ask.Client.WhyNotBoundTo(ask.Jkt)) is { } fault) return new Refused<IssuedTokens>(fault, []);
        if (authorization is not { Code: { } code, Subject: { } subject, Device: null }) return Refuse("The code is unknown.");
        if (authorization.Request.Client != ask.Client.ClientId) return Refuse("The code was issued to another client.");

        // After the client check, so that a stranger with a stale code can't end someone's tokens: RFC 6749 §4.1.2.
        if (authorization.RedeemedBy is not null) return Refuse("The code was already used.", Replay(authorization, code, family, now));
        if (now >= code.ExpiresAt || authorization.Closed) return Refuse("The code has expired.");
        if (!RedirectUriFits(authorization.Request, ask.RedirectUri)) return Refuse("redirect_uri is not the one the code was issued for.");
        if (ask.Verifier is null) return Refuse("code_verifier is missing.");
        if (!authorization.Request.Challenge.IsMetBy(ask.Verifier)) return Refuse("code_verifier does not match code_challenge.");
        if (authorization.Request.DpopJkt is { } key && ask.Jkt != key) return Refuse("The code is bound to another key."); // RFC 9449 §10
        if (grant is null || !grant.IsLive(now)) return Refuse("The access was removed.");
        if (family is not null) return Refuse("The code was already used.");
        return Issue(authorization, code, subject, grant, ask, now);
    }

    /// <summary>The tokens that an answered request comes to, whether a code fetches them or a device code.</summary>
    internal static Decision<IssuedTokens> Issue(Authorization authorization, AuthorizationEvent.CodeIssued code, AuthorizationEvent.SubjectAuthenticated subject, Grant grant, Request ask, DateTimeOffset now)
    {
        var details = code.Details.Among(grant.Details);
        if (!details.HaveAll(ask.Details)) return Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.InvalidAuthorizationDetails, "More was asked for than was granted.");

        var metadata = ask.Client.Metadata;
        var resources = authorization.Request.Resources;
        var facts = new FamilyFacts(ask.Client.ClientId, subject.Subject, grant.Id, subject.Session, code.Scopes.Intersect(grant.ScopesAt(resources)), subject.Authentication,
            // A client that proves itself by a secret may change its key, one without may not (RFC 9449 §5).
            metadata.IsConfidential ? null : ask.Jkt, resources, Details: details);
        var (target, misdirected) = TokenTarget.Of(facts.Scopes, resources, facts.Scopes, ask.Resources, metadata, ask.Catalogue, ask.Issuer, details.Named(ask.Details));
        if (target is null) return new Refused<IssuedTokens>(misdirected!, []);
        var events = new List<TokenFamilyEvent>();
        var accessToken = MintAccessToken.For(facts, target, 1, ask.Client, grant, ask.Jkt, now, details.Named(ask.Details));
        events.Add(accessToken);

        int? generation = null;
        if (facts.Scopes.Contains(StandardScopes.OfflineAccess) && metadata.GrantTypes.Contains(GrantType.RefreshToken))
        {
            generation = 1;
            events.Add(new TokenFamilyEvent.RefreshTokenIssued(facts, 1, now, Earlier(now + metadata.RefreshTokenIdle, grant.ExpiresAt), grant.ExpiresAt));
        }

        var idToken = facts.Scopes.Contains(StandardScopes.OpenId) ? new TokenFamilyEvent.IdTokenIssued(now, now + IssuedTokens.IdTokenLifetime) : null;
        if (idToken is not null) events.Add(idToken);

        return Protocol.Decide.Accept(new IssuedTokens(code.Family, facts, accessToken, generation, idToken),
        [
            new StreamEvent(authorization.Id, new AuthorizationEvent.CodeRedeemed(code.Family, now)),
            .. events.Select(e => new StreamEvent(code.Family, e)),
        ]);
    }

    /// <summary>The first replay ends the family; later ones find it ended and are only refused, so nobody can fill the log with them.</summary>
    internal static IEnumerable<StreamEvent> Replay(Authorization authorization, AuthorizationEvent.CodeIssued code, TokenFamily? family, DateTimeOffset now)
    {
        if (authorization.Replayed) yield break;
        yield return new StreamEvent(authorization.Id, new AuthorizationEvent.CodeReplayed(now));
        if (family is { Revoked: false })
            yield return new StreamEvent(code.Family, new TokenFamilyEvent.Revoked(EndedBy.System, "its code was used twice", now));
    }

    /// <summary>RFC 6749 §4.1.3: required and equal when the authorization request had it; OAuth 2.1 clients leave it out when it didn't.</summary>
    private static bool RedirectUriFits(AuthorizationRequest request, RedirectUri? presented) =>
        presented is { } uri ? uri == request.RedirectUri : !request.RedirectUriGiven;

    private static DateTimeOffset Earlier(DateTimeOffset one, DateTimeOffset other) => one < other ? one : other;

    private static Decision<IssuedTokens> Refuse(string description, params IEnumerable<StreamEvent> events) =>
        Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.InvalidGrant, description, events);
}
