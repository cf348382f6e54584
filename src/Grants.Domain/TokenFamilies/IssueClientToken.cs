using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Domain.TokenFamilies;

/// <summary>Gives a client a token for itself: RFC 6749 §4.4.</summary>
public static class IssueClientToken
{
    /// <param name="Scopes">Null or empty when the client names none; then it gets all that it is registered for, or none when it asks for details.</param>
    /// <param name="Jkt">The key that the client proved with the request (DPoP); null when it proved none.</param>
    /// <param name="Resources">What the token shall be for (RFC 8707 §2.2); null when none are named.</param>
    /// <param name="Details">What it asks for beside scopes, RFC 9396 §6.</param>
    public sealed record Request(Client Client, ScopeSet? Scopes, Guid NewFamily, Catalogue Catalogue, string Issuer, JwkThumbprint? Jkt = null, ValueList<string>? Resources = null, ValueList<AuthorizationDetail>? Details = null);

    /// <summary>No refresh token (RFC 6749 §4.4.3), no id_token: no person took part.</summary>
    public static Decision<IssuedTokens> Decide(Request ask, DateTimeOffset now)
    {
        if ((ask.Client.WhyNotUse(GrantType.ClientCredentials) ?? ask.Client.WhyNotBoundTo(ask.Jkt)) is { } fault) return new Refused<IssuedTokens>(fault, []);
        var metadata = ask.Client.Metadata;
        if (!metadata.IsConfidential)
            return Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.UnauthorizedClient, "Only a client that can keep a secret may act for itself.");

        // Scopes about a person mean nothing where no person takes part.
        var own = metadata.Scope.Except([StandardScopes.OpenId, StandardScopes.OfflineAccess]);
        var scopes = ask.Scopes is { Count: > 0 } asked ? asked : ask.Details is null ? own : ScopeSet.Empty;
        if (!scopes.IsSubsetOf(own) || scopes.Any(scope => !ask.Catalogue.Knows(scope)))
            return Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.InvalidScope, "The client may not ask for this scope.");

        if (!ask.Catalogue.Admits(metadata, ask.Details))
            return Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.InvalidAuthorizationDetails, "The client may not ask for details of this type.");

        var (target, misdirected) = TokenTarget.Of(own, null, scopes, ask.Resources, metadata, ask.Catalogue, ask.Issuer, ask.Details);
        if (target is null) return new Refused<IssuedTokens>(misdirected!, []);
        var facts = new FamilyFacts(ask.Client.ClientId, null, null, null, target.Scopes, null, Details: ask.Details);
        var accessToken = MintAccessToken.For(facts, target, 1, ask.Client, null, ask.Jkt, now, ask.Details);
        return Protocol.Decide.Accept(new IssuedTokens(ask.NewFamily, facts, accessToken, null, null), new StreamEvent(ask.NewFamily, accessToken));
    }
}
