using Grants.Domain.AccessGrants;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Domain.TokenFamilies;

/// <summary>
/// Gives a client a token for a person on the word of another issuer: RFC 7523 §2.1. The issuer says who the person is, not what the
/// person allows: that is for the person's own grant to the client, without which there is no token. Never a refresh token.
/// </summary>
public static class AcceptAssertion
{
    /// <param name="Trusted">The issuer as the catalogue has it now; null when it isn't trusted as it was when the assertion was checked.</param>
    /// <param name="Scopes">Null or empty when the client names none.</param>
    /// <param name="AssertionHash">See <see cref="TokenFamilyEvent.AssertionAccepted"/>.</param>
    /// <param name="Resources">What the token shall be for (RFC 8707 §2.2); null when none are named.</param>
    public sealed record Request(Client Client, TrustedIssuer? Trusted, ScopeSet? Scopes, string AssertionHash, Guid NewFamily, Catalogue Catalogue, string Issuer, JwkThumbprint? Jkt = null, ValueList<string>? Resources = null);

    /// <param name="grant">What the person allows the client; null when the person may not use the account either.</param>
    public static Decision<IssuedTokens> Decide(Grant? grant, Request ask, DateTimeOffset now)
    {
        if ((ask.Client.WhyNotUse(GrantType.JwtBearer) ?? ask.Client.WhyNotBoundTo(ask.Jkt)) is { } fault) return new Refused<IssuedTokens>(fault, []);
        if (ask.Trusted is not { } trusted || !trusted.Clients.Contains(ask.Client.ClientId.Value)) return Refuse("The assertion is not valid here.");
        if (grant is null || grant.Client != ask.Client.ClientId || !grant.IsLive(now)) return Refuse("The person of the assertion has not allowed this client anything.");

        var metadata = ask.Client.Metadata;
        var (resources, _, unknown) = ResourceIndicators.Ask(ask.Resources ?? [], grant.Scopes, metadata, ask.Catalogue);
        if (unknown is not null) return new Refused<IssuedTokens>(unknown, []);
        var allowed = grant.ScopesAt(resources).Intersect(trusted.Scope).Intersect(metadata.Scope).Except([StandardScopes.OfflineAccess]);
        var scopes = ask.Scopes is { Count: > 0 } asked ? asked : allowed;
        if (scopes.Count == 0 || !scopes.IsSubsetOf(allowed))
            return Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.InvalidScope, "The person, or the issuer of the assertion, does not allow this scope.");

        var (target, misdirected) = TokenTarget.Of(allowed, null, scopes, ask.Resources, metadata, ask.Catalogue, ask.Issuer);
        if (target is null) return new Refused<IssuedTokens>(misdirected!, []);

        // No session and no sign-in: nobody signed in here.
        var facts = new FamilyFacts(ask.Client.ClientId, grant.Subject, grant.Id, null, target.Scopes, null);
        var accessToken = MintAccessToken.For(facts, target, 1, ask.Client, grant, ask.Jkt, now);
        return Protocol.Decide.Accept(new IssuedTokens(ask.NewFamily, facts, accessToken, null, null),
            new StreamEvent(ask.NewFamily, accessToken), new StreamEvent(ask.NewFamily, new TokenFamilyEvent.AssertionAccepted(trusted.Issuer, ask.AssertionHash, now)));
    }

    private static Decision<IssuedTokens> Refuse(string description) => Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.InvalidGrant, description);
}
