using System.Globalization;
using Grants.Api.Details;
using Grants.Api.Http;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;

namespace Grants.Api.Authorize;

/// <summary>What the client sent along for itself; sealed before it is stored.</summary>
public sealed record PrivateParameters(string? State, string? Nonce, string? LoginHint);

/// <summary>An authorization request after parsing: RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core §3.1.2.1.</summary>
public abstract record AuthorizeRequest
{
    private AuthorizeRequest() { }

    /// <summary>Client or redirect URI are not proven, or the answer can't be encoded as asked: shown here, never redirected (RFC 6749 §4.1.2.1).</summary>
    /// <param name="Received">What was wrong, as sent.</param>
    public sealed record ShowPage(OAuthError Error, string? Received) : AuthorizeRequest;

    /// <summary>Everything else goes back to the app.</summary>
    public sealed record RedirectError(Client Client, RedirectUri RedirectUri, string ResponseMode, string? State, bool PromptNone, OAuthError Error) : AuthorizeRequest;

    /// <param name="IdTokenHint">As sent; <see cref="RequestReader"/> verifies it.</param>
    /// <param name="Subject">The <c>sub</c> that the <c>claims</c> parameter wants, as sent.</param>
    /// <param name="Details">What <see cref="RequestReader"/> found good of <c>authorization_details</c>; null when there are none.</param>
    public sealed record Valid(Client Client, AuthorizationRequest Request, PrivateParameters Private, string? IdTokenHint, string? Subject = null,
        IReadOnlyList<RequestedDetail>? Details = null) : AuthorizeRequest;

    /// <summary>Parses in the order that protocol and safety want: client, redirect URI, response mode, and then all else.</summary>
    /// <param name="client">The client that <c>client_id</c> names, if there is one.</param>
    /// <param name="refusal">Why the request can't be taken in this way at all, told where its errors go.</param>
    public static AuthorizeRequest Parse(Parameters parameters, Client? client, Catalogue catalogue, OAuthError? refusal = null)
    {
        if (parameters.IsRepeated("client_id")) return Page(ErrorCode.InvalidRequest, "client_id was sent more than once.", null);
        if (parameters["client_id"] is not { } clientId) return Page(ErrorCode.InvalidRequest, "client_id is missing.", null);
        if (client is not { IsActive: true }) return Page(ErrorCode.InvalidClient, "There is no such client.", clientId);

        if (parameters.IsRepeated("redirect_uri")) return Page(ErrorCode.InvalidRequest, "redirect_uri was sent more than once.", null);
        var metadata = client.Metadata;
        RedirectUri redirectUri;
        if (parameters["redirect_uri"] is { } given)
        {
            redirectUri = new RedirectUri(given);
            if (!metadata.Admits(redirectUri))
                return Page(ErrorCode.InvalidRequest, "redirect_uri is not registered for this client.", given);
        }
        else if (metadata.RedirectUris.Count == 1 && parameters["scope"]?.Split(' ').Contains(StandardScopes.OpenId) != true)
        {
            redirectUri = new RedirectUri(metadata.RedirectUris[0]);
        }
        else
        {
            return Page(ErrorCode.InvalidRequest, "redirect_uri is missing.", null);
        }

        if (parameters.IsRepeated("response_mode")) return Page(ErrorCode.InvalidRequest, "response_mode was sent more than once.", null);
        var mode = parameters["response_mode"] ?? ResponseMode.Query;
        if (!metadata.ResponseModes.Contains(mode)) return Page(ErrorCode.InvalidRequest, "This response_mode is not available.", mode);

        var state = parameters.IsRepeated("state") ? null : parameters["state"];
        var prompt = new ValueList<string>((parameters["prompt"] ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries));
        AuthorizeRequest Error(string code, string description) =>
            new RedirectError(client, redirectUri, mode, state, prompt.Contains(PromptValue.None), new OAuthError(code, description));

        if (parameters.Fault is { } fault) return Error(fault.Code, fault.Description);
        if (refusal is not null) return Error(refusal.Code, refusal.Description);
        if (parameters["request"] is not null) return Error(ErrorCode.RequestNotSupported, "This client is not registered for request objects (request_object_signing_alg).");
        if (parameters["request_uri"] is not null) return Error(ErrorCode.RequestUriNotSupported, "request_uri is not supported.");
        if (parameters["registration"] is not null) return Error(ErrorCode.RegistrationNotSupported, "registration is not supported.");
        if (parameters["response_type"] is not { } responseType) return Error(ErrorCode.InvalidRequest, "response_type is missing.");
        if (responseType != "code") return Error(ErrorCode.UnsupportedResponseType, "The only response_type is code.");
        if (!metadata.GrantTypes.Contains(GrantType.AuthorizationCode)) return Error(ErrorCode.UnauthorizedClient, "The client may not use this flow.");

        if (!ScopeSet.TryParse(parameters["scope"], out var scopes)) return Error(ErrorCode.InvalidScope, "scope has a character that is not allowed.");
        // An app that names no scope gets what it is registered for and can't do without: some clients never send one. Details are enough (RFC 9396 §2).
        var detailed = parameters["authorization_details"] is not null;
        if (scopes.Count == 0 && !detailed) scopes = metadata.NeededOf(metadata.Scope).Except([StandardScopes.OfflineAccess]);
        if (scopes.Count == 0 && !detailed) return Error(ErrorCode.InvalidScope, "scope is missing.");
        if (!scopes.IsSubsetOf(metadata.Scope) || scopes.Any(scope => !catalogue.Knows(scope))) return Error(ErrorCode.InvalidScope, "The client may not ask for this scope.");

        ClaimsParameter? claims = null;
        if (parameters["claims"] is { } claimsText && scopes.Contains(StandardScopes.OpenId))
        {
            if ((claims = ClaimsParameter.Parse(claimsText)) is null) return Error(ErrorCode.InvalidRequest, "claims is not of the form of OpenID Connect Core section 5.5.");
            scopes = scopes.Union(ScopeSet.Of(claims.Scopes.Where(scope => metadata.Scope.Contains(scope) && catalogue.Knows(scope))));
        }

        (var resources, scopes, var misdirected) = ResourceIndicators.Ask(parameters.All("resource"), scopes, metadata, catalogue, detailed);
        if (misdirected is not null) return Error(misdirected.Code, misdirected.Description);
        // OpenID Connect Core §11: ignored where no refresh token could come of it.
        if (!metadata.GrantTypes.Contains(GrantType.RefreshToken)) scopes = scopes.Except([StandardScopes.OfflineAccess]);

        if (parameters["code_challenge"] is not { } challengeText) return Error(ErrorCode.InvalidRequest, "code_challenge is missing (PKCE, RFC 7636).");
        if (parameters["code_challenge_method"] != CodeChallenge.Method) return Error(ErrorCode.InvalidRequest, "code_challenge_method must be S256.");
        if (!CodeChallenge.TryParse(challengeText, out var challenge)) return Error(ErrorCode.InvalidRequest, "code_challenge must be 43 to 128 unreserved characters.");

        JwkThumbprint? dpopJkt = null;
        if (parameters["dpop_jkt"] is { } jkt)
        {
            if (!JwkThumbprint.TryParse(jkt, out var key)) return Error(ErrorCode.InvalidRequest, "dpop_jkt must be the SHA-256 thumbprint of a key (RFC 9449 section 10).");
            dpopJkt = key;
        }

        if (prompt.FirstOrDefault(value => !PromptValue.Supported.Contains(value)) is { } unknown)
            return Page(ErrorCode.InvalidRequest, "prompt has a value that is not available.", unknown); // Initiating User Registration 1.0 §3: HTTP 400
        if (prompt.Contains(PromptValue.None) && prompt.Count > 1) return Error(ErrorCode.InvalidRequest, "prompt=none stands alone.");

        // Every answer leads to an access token, whose resource may insist on what is asked for here: RFC 9470 §5. An essential acr of the
        // claims parameter wants the same. Of the names only known ones are kept, since the others could be any text.
        ValueList<string>? acrValues = null;
        var wanted = parameters["acr_values"]?.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        foreach (var asked in (IEnumerable<string>?[])[wanted is [] ? null : wanted, claims?.RequiredAcr])
        {
            if (asked is null) continue;
            acrValues = [.. (acrValues ?? Authentication.AcrValues).Intersect(asked)];
            if (acrValues.Count == 0) return Error(ErrorCode.UnmetAuthenticationRequirements, "None of the authentication context classes asked for can be reached.");
        }

        var maxAge = metadata.DefaultMaxAge;
        if (parameters["max_age"] is { } maxAgeText)
        {
            if (!int.TryParse(maxAgeText, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)) return Error(ErrorCode.InvalidRequest, "max_age must be a number of seconds.");
            maxAge = seconds;
        }

        return new Valid(client,
            new AuthorizationRequest(client.ClientId, redirectUri, parameters["redirect_uri"] is not null, mode, scopes, challenge, prompt, maxAge, null, null, dpopJkt, resources,
                AcrValues: acrValues, IdTokenClaims: claims is { InIdToken: { Count: > 0 } names } ? names : null),
            new PrivateParameters(state, parameters["nonce"], parameters["login_hint"]), parameters["id_token_hint"], claims?.Subject);
    }

    private static ShowPage Page(string code, string description, string? received) => new(new OAuthError(code, description), received);
}
