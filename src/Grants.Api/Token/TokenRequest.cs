using Grants.Api.Http;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Api.Token;

/// <summary>A token request after parsing; past this line nothing is a form field any more.</summary>
public abstract record TokenRequest
{
    private TokenRequest() { }

    /// <summary>RFC 6749 §4.1.3, RFC 7636 §4.5.</summary>
    /// <param name="Resources">As named, RFC 8707 §2.2; null when none are.</param>
    public sealed record AuthorizationCode(Secret Code, RedirectUri? RedirectUri, Secret? Verifier, ValueList<string>? Resources = null) : TokenRequest;

    /// <summary>RFC 6749 §6.</summary>
    /// <param name="Resources">As named, RFC 8707 §2.2; null when none are.</param>
    public sealed record RefreshToken(Secret Token, ScopeSet? Scopes, ValueList<string>? Resources = null) : TokenRequest;

    /// <summary>RFC 6749 §4.4.</summary>
    /// <param name="Resources">As named, RFC 8707 §2.2; null when none are.</param>
    public sealed record ClientCredentials(ScopeSet? Scopes, ValueList<string>? Resources = null) : TokenRequest;

    public sealed record Invalid(OAuthError Error) : TokenRequest;

    public static TokenRequest Parse(Parameters form, Client client)
    {
        if (form["grant_type"] is not { } grantType) return Fault(ErrorCode.InvalidRequest, "grant_type is missing.");
        if (!GrantType.Supported.Contains(grantType)) return Fault(ErrorCode.UnsupportedGrantType, "This grant_type is not supported.");
        if (!client.Metadata.GrantTypes.Contains(grantType)) return Fault(ErrorCode.UnauthorizedClient, "The client may not use this grant_type.");
        if (!ScopeSet.TryParse(form["scope"], out var scopes)) return Fault(ErrorCode.InvalidScope, "scope has a character that is not allowed.");
        var asked = scopes.Count == 0 ? null : scopes;
        var resources = form.All("resource") is { Count: > 0 } named ? new ValueList<string>(named) : null;
        switch (grantType)
        {
            case GrantType.AuthorizationCode:
                if (form["code"] is not { } code) return Fault(ErrorCode.InvalidRequest, "code is missing.");
                if (form["code_verifier"] is { } text && !CodeChallenge.IsVerifier(text)) return Fault(ErrorCode.InvalidRequest, "code_verifier must be 43 to 128 unreserved characters.");
                return new AuthorizationCode(new Secret(code), form["redirect_uri"] is { } uri ? new RedirectUri(uri) : null, form["code_verifier"] is { } verifier ? new Secret(verifier) : null, resources);
            case GrantType.RefreshToken:
                return form["refresh_token"] is { } token ? new RefreshToken(new Secret(token), asked, resources) : Fault(ErrorCode.InvalidRequest, "refresh_token is missing.");
            default:
                return new ClientCredentials(asked, resources);
        }
    }

    private static Invalid Fault(string code, string description) => new(new OAuthError(code, description));
}
