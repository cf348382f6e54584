using Grants.Api.Details;
using Grants.Api.Http;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;

namespace Grants.Api.Token;

/// <summary>A token request after parsing; past this line nothing is a form field any more.</summary>
public abstract record TokenRequest
{
    private TokenRequest() { }

    /// <summary>RFC 6749 §4.1.3, RFC 7636 §4.5.</summary>
    /// <param name="Resources">As named, RFC 8707 §2.2; null when none are.</param>
    /// <param name="Details">The part of what was granted that the access token shall carry, RFC 9396 §6; null for all, here and below.</param>
    public sealed record AuthorizationCode(Secret Code, RedirectUri? RedirectUri, Secret? Verifier, ValueList<string>? Resources = null, IReadOnlyList<RequestedDetail>? Details = null) : TokenRequest;

    /// <summary>RFC 6749 §6.</summary>
    /// <param name="Resources">As named, RFC 8707 §2.2; null when none are.</param>
    public sealed record RefreshToken(Secret Token, ScopeSet? Scopes, ValueList<string>? Resources = null, IReadOnlyList<RequestedDetail>? Details = null) : TokenRequest;

    /// <summary>RFC 8628 §3.4.</summary>
    /// <param name="Resources">As named, RFC 8707 §2.2; null when none are.</param>
    public sealed record DeviceCode(Secret Code, ValueList<string>? Resources = null) : TokenRequest;

    /// <summary>RFC 6749 §4.4.</summary>
    /// <param name="Resources">As named, RFC 8707 §2.2; null when none are.</param>
    public sealed record ClientCredentials(ScopeSet? Scopes, ValueList<string>? Resources = null, IReadOnlyList<RequestedDetail>? Details = null) : TokenRequest;

    /// <summary>RFC 8693 §2.1.</summary>
    /// <param name="Targets">Every <c>resource</c> and <c>audience</c>: both name resources by their URIs.</param>
    /// <param name="IssuedType">What the answer calls the new token.</param>
    public sealed record TokenExchange(Shown Subject, Shown? Actor, ScopeSet? Scopes, ValueList<string> Targets, string IssuedType) : TokenRequest;

    /// <summary>RFC 7523 §2.1.</summary>
    /// <param name="Resources">As named, RFC 8707 §2.2; null when none are.</param>
    public sealed record JwtBearer(Secret Assertion, ScopeSet? Scopes, ValueList<string>? Resources = null) : TokenRequest;

    public sealed record Invalid(OAuthError Error) : TokenRequest;

    /// <summary>A token that the client shows.</summary>
    /// <param name="Type">One of <see cref="TokenTypeUri"/>, as the client says.</param>
    public sealed record Shown(Secret Token, string Type);

    public static TokenRequest Parse(Parameters form, Client client)
    {
        if (form["grant_type"] is not { } grantType) return Fault(ErrorCode.InvalidRequest, "grant_type is missing.");
        if (!GrantType.Supported.Contains(grantType)) return Fault(ErrorCode.UnsupportedGrantType, "This grant_type is not supported.");
        if (!client.Metadata.GrantTypes.Contains(grantType)) return Fault(ErrorCode.UnauthorizedClient, "The client may not use this grant_type.");
        if (!ScopeSet.TryParse(form["scope"], out var scopes)) return Fault(ErrorCode.InvalidScope, "scope has a character that is not allowed.");
        var asked = scopes.Count == 0 ? null : scopes;
        var resources = form.All("resource") is { Count: > 0 } named ? new ValueList<string>(named) : null;
        var (details, fault) = RequestedDetail.Parse(form["authorization_details"]);
        if (fault is not null) return new Invalid(fault);
        switch (grantType)
        {
            case GrantType.AuthorizationCode:
                if (form["code"] is not { } code) return Fault(ErrorCode.InvalidRequest, "code is missing.");
                if (form["code_verifier"] is { } text && !CodeChallenge.IsVerifier(text)) return Fault(ErrorCode.InvalidRequest, "code_verifier must be 43 to 128 unreserved characters.");
                return new AuthorizationCode(new Secret(code), form["redirect_uri"] is { } uri ? new RedirectUri(uri) : null, form["code_verifier"] is { } verifier ? new Secret(verifier) : null, resources, details);
            case GrantType.RefreshToken:
                return form["refresh_token"] is { } token ? new RefreshToken(new Secret(token), asked, resources, details) : Fault(ErrorCode.InvalidRequest, "refresh_token is missing.");
            case GrantType.DeviceCode:
                return form["device_code"] is { } device ? new DeviceCode(new Secret(device), resources) : Fault(ErrorCode.InvalidRequest, "device_code is missing.");
            case GrantType.TokenExchange:
                return Exchange(form, asked);
            case GrantType.JwtBearer:
                return form["assertion"] is { } assertion ? new JwtBearer(new Secret(assertion), asked, resources) : Fault(ErrorCode.InvalidRequest, "assertion is missing.");
            default:
                return new ClientCredentials(asked, resources, details);
        }
    }

    private static TokenRequest Exchange(Parameters form, ScopeSet? scopes)
    {
        if (form["subject_token"] is not { } subject || form["subject_token_type"] is not { } type) return Fault(ErrorCode.InvalidRequest, "subject_token and subject_token_type are needed.");
        if (type is not (TokenTypeUri.AccessToken or TokenTypeUri.IdToken or TokenTypeUri.Jwt)) return Fault(ErrorCode.InvalidRequest, "This subject_token_type is not supported.");
        Shown? actor = null;
        if (form["actor_token"] is { } shown && form["actor_token_type"] is { } actorType)
        {
            if (actorType is not (TokenTypeUri.AccessToken or TokenTypeUri.Jwt)) return Fault(ErrorCode.InvalidRequest, "This actor_token_type is not supported.");
            actor = new Shown(new Secret(shown), actorType);
        }
        else if (form["actor_token"] is not null || form["actor_token_type"] is not null)
        {
            return Fault(ErrorCode.InvalidRequest, "actor_token and actor_token_type go together.");
        }

        var issued = form["requested_token_type"] ?? TokenTypeUri.AccessToken;
        if (issued is not (TokenTypeUri.AccessToken or TokenTypeUri.Jwt)) return Fault(ErrorCode.InvalidRequest, "This requested_token_type is not supported.");
        var resources = form.All("resource");
        if (resources.Any(resource => ResourceIndicators.Canonical(resource) is null))
            return Fault(ErrorCode.InvalidTarget, "resource must be an absolute URI without a fragment.");
        return new TokenExchange(new Shown(new Secret(subject), type), actor, scopes, [.. resources, .. form.All("audience")], issued);
    }

    private static Invalid Fault(string code, string description) => new(new OAuthError(code, description));
}
