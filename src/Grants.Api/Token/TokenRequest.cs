using Grants.Api.Http;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Api.Token;

/// <summary>A token request after parsing; past this line nothing is a form field any more.</summary>
public abstract record TokenRequest
{
    private TokenRequest() { }

    /// <summary>RFC 6749 §4.1.3, RFC 7636 §4.5.</summary>
    public sealed record AuthorizationCode(Secret Code, RedirectUri? RedirectUri, Secret? Verifier) : TokenRequest;

    /// <summary>RFC 6749 §6.</summary>
    public sealed record RefreshToken(Secret Token, ScopeSet? Scopes) : TokenRequest;

    /// <summary>RFC 8628 §3.4.</summary>
    public sealed record DeviceCode(Secret Code) : TokenRequest;

    /// <summary>RFC 6749 §4.4.</summary>
    public sealed record ClientCredentials(ScopeSet? Scopes) : TokenRequest;

    public sealed record Invalid(OAuthError Error) : TokenRequest;

    public static TokenRequest Parse(Parameters form, Client client)
    {
        if (form["grant_type"] is not { } grantType) return Fault(ErrorCode.InvalidRequest, "grant_type is missing.");
        if (!GrantType.Supported.Contains(grantType)) return Fault(ErrorCode.UnsupportedGrantType, "This grant_type is not supported.");
        if (!client.Metadata.GrantTypes.Contains(grantType)) return Fault(ErrorCode.UnauthorizedClient, "The client may not use this grant_type.");
        if (!ScopeSet.TryParse(form["scope"], out var scopes)) return Fault(ErrorCode.InvalidScope, "scope has a character that is not allowed.");
        var asked = scopes.Count == 0 ? null : scopes;
        switch (grantType)
        {
            case GrantType.AuthorizationCode:
                if (form["code"] is not { } code) return Fault(ErrorCode.InvalidRequest, "code is missing.");
                if (form["code_verifier"] is { } text && !CodeChallenge.IsVerifier(text)) return Fault(ErrorCode.InvalidRequest, "code_verifier must be 43 to 128 unreserved characters.");
                return new AuthorizationCode(new Secret(code), form["redirect_uri"] is { } uri ? new RedirectUri(uri) : null, form["code_verifier"] is { } verifier ? new Secret(verifier) : null);
            case GrantType.RefreshToken:
                return form["refresh_token"] is { } token ? new RefreshToken(new Secret(token), asked) : Fault(ErrorCode.InvalidRequest, "refresh_token is missing.");
            case GrantType.DeviceCode:
                return form["device_code"] is { } device ? new DeviceCode(new Secret(device)) : Fault(ErrorCode.InvalidRequest, "device_code is missing.");
            default:
                return new ClientCredentials(asked);
        }
    }

    private static Invalid Fault(string code, string description) => new(new OAuthError(code, description));
}
