using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Domain.TokenFamilies;

/// <summary>What one access token is for.</summary>
/// <param name="Audience">Resources, and the issuer where its userinfo endpoint may be called with the token.</param>
/// <param name="Scopes">What the audience understands of the scopes that were granted.</param>
/// <param name="Form">How the token is written, see <see cref="ResourceDefinition.TokenForm"/>.</param>
public sealed record TokenTarget(ValueList<string> Audience, ScopeSet Scopes, string? Form)
{
    /// <summary>
    /// RFC 8707 §2.2. A token for resources that are named is for these alone, and carries only scopes that they understand. One that is asked
    /// for without is for all that were granted, and for the issuer when <c>openid</c> is among the scopes or when nobody else would be left
    /// (RFC 9068 §3); where these want it written in different ways it is for those that want the plainest: a JWT before an opaque one, and
    /// the usual algorithm before the others.
    /// </summary>
    /// <param name="held">All scopes that were granted.</param>
    /// <param name="granted">The resources that the authorization named; null when it named none, then each that understands one of the scopes.</param>
    /// <param name="scopes">Those of the scopes that the token shall carry.</param>
    /// <param name="named">The resources that it is asked for; null when none are named.</param>
    /// <param name="details">The details that it shall carry: a resource may be there for their sake alone.</param>
    /// <returns>The error is <c>invalid_target</c>, or <c>invalid_scope</c> for a resource that none of the scopes means anything to.</returns>
    public static (TokenTarget? Target, OAuthError? Error) Of(ScopeSet held, ValueList<string>? granted, ScopeSet scopes, ValueList<string>? named, ClientMetadata client, Catalogue catalogue, string issuer,
        ValueList<AuthorizationDetail>? details = null)
    {
        if (named is not { Count: > 0 }) return Usual(granted, scopes, client, catalogue, issuer, details);
        var (found, error) = ResourceIndicators.Find(named, client, catalogue);
        if (found is null) return (null, error);
        if (!found.TrueForAll(resource => granted?.Contains(resource.Resource) ?? (resource.Scopes.Overlaps(held) || details.Name(resource.Resource)))) return Refuse("A resource that was named is not one of those that were granted.");
        if (found.Exists(resource => resource.TokenForm != found[0].TokenForm)) return Refuse("These resources want tokens of different kinds: ask for one token each.");
        if (!found.TrueForAll(resource => resource.Scopes.Overlaps(scopes) || details.For([resource.Resource]) is not null)) return (null, ResourceIndicators.NothingUnderstood);
        return (new TokenTarget(new(found.Select(resource => resource.Resource)), ScopeSet.Of(scopes.Where(scope => found.Exists(resource => resource.Scopes.Contains(scope)))), found[0].TokenForm), null);
    }

    private static (TokenTarget?, OAuthError?) Usual(ValueList<string>? granted, ScopeSet scopes, ClientMetadata client, Catalogue catalogue, string issuer,
        ValueList<AuthorizationDetail>? details)
    {
        var understanding = new List<ResourceDefinition>(catalogue.Resources.Count);
        foreach (var resource in catalogue.Resources)
        {
            if (resource.Scopes.Overlaps(scopes) || details.Name(resource.Resource) || (details is not null && granted?.Contains(resource.Resource) == true && details.For([resource.Resource]) is not null))
                understanding.Add(resource);
        }

        var chosen = granted is null && client.AllowedResources is null ? understanding
            : understanding.FindAll(resource => (granted is null || granted.Contains(resource.Resource)) && ResourceIndicators.MayHaveTokensFor(client, resource));
        var form = chosen.Count > 0 ? chosen[0].TokenForm : null;
        if (chosen.Exists(resource => resource.TokenForm != form))
        {
            form = chosen.MinBy(resource => Plainness(resource.TokenForm))!.TokenForm;
            chosen = chosen.FindAll(resource => resource.TokenForm == form);
        }

        var openid = scopes.Contains(StandardScopes.OpenId);
        if (chosen.Count == 0 && understanding.Count > 0 && !openid) return Refuse("No resource that was granted is left.");
        // No token carries what only those understand whom it isn't for.
        if (chosen.Count < understanding.Count)
        {
            scopes = ScopeSet.Of(scopes.Where(scope => StandardScopes.AreOfIssuer(scope)
                || chosen.Exists(resource => resource.Scopes.Contains(scope)) || !understanding.Exists(resource => resource.Scopes.Contains(scope))));
        }

        var audience = new List<string>(chosen.Count + 1);
        foreach (var resource in chosen) audience.Add(resource.Resource);
        if ((openid || audience.Count == 0) && !audience.Contains(issuer)) audience.Add(issuer);
        return (new TokenTarget(new(audience), scopes, form), null);
    }

    private static int Plainness(string? form) => form switch
    {
        null => -1,
        TokenFormat.Opaque => int.MaxValue,
        _ => SigningAlgorithm.Supported.ToList().IndexOf(form),
    };

    private static (TokenTarget?, OAuthError?) Refuse(string description) => (null, new OAuthError(ErrorCode.InvalidTarget, description));
}
