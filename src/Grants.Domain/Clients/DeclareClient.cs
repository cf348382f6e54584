using Grants.Domain.Protocol;

namespace Grants.Domain.Clients;

/// <summary>Brings a client to what the declared configuration says of it: registers it, or records only what differs.</summary>
public static class DeclareClient
{
    /// <param name="Stream">The id of the client's stream, or of a new one.</param>
    /// <param name="Secret">The secret that it shall have; null leaves its secrets as they are.</param>
    public sealed record Request(Guid Stream, ClientId Client, ClientMetadata Metadata, SecretHash? Secret);

    /// <summary>The value tells whether anything changed. Refused with RFC 7591 §3.2.2's codes.</summary>
    public static Decision<bool> Decide(Client? client, Request ask, DateTimeOffset now)
    {
        if (WhyNot(ask.Client, ask.Metadata) is { } fault) return new Refused<bool>(fault, []);
        if (ask.Secret is not null && !ask.Metadata.HasSecret)
            return Protocol.Decide.Refuse<bool>(ErrorCode.InvalidClientMetadata, $"A client that authenticates with {ask.Metadata.TokenEndpointAuthMethod} has no secret.");
        if (client is { Status: ClientStatus.Deleted })
            return Protocol.Decide.Refuse<bool>(ErrorCode.InvalidClientMetadata, "This client was deleted; a deleted client's id is not used again.");

        var events = new List<ClientEvent>();
        if (client is null) events.Add(new ClientEvent.Registered(ask.Client, ask.Metadata, now));
        else if (client.Metadata != ask.Metadata) events.Add(new ClientEvent.MetadataReplaced(ask.Metadata, now));

        if (ask.Secret is { } secret && (client is null || client.Secrets.All(known => known.Sha256 != secret.Sha256)))
        {
            // The file names the one secret that counts, so an older one ends with the same commit.
            foreach (var old in client?.Secrets ?? []) events.Add(new ClientEvent.SecretRetired(old.KeyId, now));
            events.Add(new ClientEvent.SecretAdded(secret, now));
        }
        else if (!ask.Metadata.HasSecret)
        {
            // Nothing may stay that it could fall back to.
            foreach (var old in client?.Secrets ?? []) events.Add(new ClientEvent.SecretRetired(old.KeyId, now));
        }

        return Protocol.Decide.Accept(events.Count > 0, events.Select(e => new StreamEvent(ask.Stream, e)));
    }

    /// <summary>What RFC 7591 §2, RFC 9700 §2.1 and OAuth 2.1 don't let a client be registered with; null when all is well.</summary>
    public static OAuthError? WhyNot(ClientId id, ClientMetadata client)
    {
        if (id.Value.Length is 0 or > 256 || id.Value.Any(c => c is < '!' or > '~'))
            return Metadata("client_id must be 1 to 256 printable ASCII characters.");
        if (id.Value.StartsWith(SubjectId.Prefix, StringComparison.Ordinal) || id.Value.StartsWith("https://", StringComparison.Ordinal))
            return Metadata("client_id must not begin with sub_ or https://.");
        if (client.ClientName.Length is 0 or > 200 || client.ClientName.Any(char.IsControl))
            return Metadata("client_name must be 1 to 200 characters without control characters.");
        if (client.GrantTypes.FirstOrDefault(type => !GrantType.Supported.Contains(type)) is { } grantType)
            return Metadata($"grant_types: {grantType} is not supported.");
        if (client.ResponseModes.FirstOrDefault(mode => !ResponseMode.Supported.Contains(mode)) is { } mode)
            return Metadata($"response_modes: {mode} is not supported.");
        if (!ClientAuthMethod.Supported.Contains(client.TokenEndpointAuthMethod))
            return Metadata($"token_endpoint_auth_method: {client.TokenEndpointAuthMethod} is not supported.");
        if (WhyNotKeys(client) is { } keys)
            return Metadata(keys);
        if (!SigningAlgorithm.Supported.Contains(client.IdTokenSignedResponseAlg))
            return Metadata($"id_token_signed_response_alg: {client.IdTokenSignedResponseAlg} is not supported.");
        if (client.AuthorizationSignedResponseAlg is { } responseAlg && !SigningAlgorithm.Supported.Contains(responseAlg))
            return Metadata($"authorization_signed_response_alg: {responseAlg} is not supported.");
        if (client.IntrospectionSignedResponseAlg is { } introspectionAlg && !SigningAlgorithm.Supported.Contains(introspectionAlg))
            return Metadata($"introspection_signed_response_alg: {introspectionAlg} is not supported.");
        if (client.RequestObjectSigningAlg is { } requestAlg && !SigningAlgorithm.Supported.Contains(requestAlg))
            return Metadata($"request_object_signing_alg: {requestAlg} is not supported.");
        if (client.RequestObjectSigningAlg is not null && client is { Jwks: null, JwksUri: null })
            return Metadata("request_object_signing_alg needs jwks.");
        if (client.RequireSignedRequestObject == true && client.RequestObjectSigningAlg is null)
            return Metadata("require_signed_request_object needs request_object_signing_alg.");
        if (client.ApplicationType is not ("web" or "native"))
            return Metadata("application_type must be web or native.");
        if (client.GrantTypes.Contains(GrantType.ClientCredentials) && !client.IsConfidential)
            return Metadata("client_credentials needs a client that can keep a secret.");
        if (WhyNotExchange(client) is { } exchange)
            return Metadata(exchange);
        if (client.GrantTypes.Contains(GrantType.RefreshToken) && !client.GrantTypes.Contains(GrantType.AuthorizationCode) && !client.GrantTypes.Contains(GrantType.DeviceCode))
            return Metadata($"refresh_token needs authorization_code or {GrantType.DeviceCode}.");
        if (client.GrantTypes.Contains(GrantType.AuthorizationCode) && client.RedirectUris.Count == 0)
            return new OAuthError(ErrorCode.InvalidRedirectUri, "authorization_code needs at least one redirect_uri.");
        if (!client.OptionalScopes.IsSubsetOf(client.Scope))
            return Metadata("grants_optional_scopes must be part of scope.");
        // The consent page offers no box for these two, so a person could never tick them.
        if (client.OptionalScopes.Contains(StandardScopes.OpenId) || client.OptionalScopes.Contains(StandardScopes.OfflineAccess))
            return Metadata("grants_optional_scopes must not have openid or offline_access.");
        if (client.Resources is not null && !client.IsConfidential)
            return Metadata("grants_resources needs a client that can keep a secret.");
        if (client.DefaultMaxAge < 0)
            return Metadata("default_max_age must be 0 or greater.");
        if (client.Purposes.Any(purpose => purpose.Text.Length is 0 or > 80))
            return Metadata("grants_purposes: a text must be 1 to 80 characters.");
        if (new[] { client.AccessTokenLifetime, client.RefreshTokenIdle, client.GrantLifetime }.Any(time => time <= TimeSpan.Zero)
            || client.RefreshRetryWindow < TimeSpan.Zero)
            return Metadata("Lifetimes must be greater than zero.");
        foreach (var uri in client.RedirectUris.Concat(client.PostLogoutRedirectUris))
        {
            if (new RedirectUri(uri).WhyNotRegistrable(client.IsNative) is { } why)
                return new OAuthError(ErrorCode.InvalidRedirectUri, $"{uri}: {why}");
        }

        return WhyNotSector(client) is { } sector ? Metadata(sector) : null;
    }

    /// <summary>What is wrong with what it may exchange. Whether there are such resources is for whoever has the catalogue to say.</summary>
    private static string? WhyNotExchange(ClientMetadata client)
    {
        if (client.GrantTypes.Contains(GrantType.TokenExchange) != (client.TokenExchange is not null))
            return "The grant type token-exchange and grants_token_exchange go together.";
        if (client.TokenExchange is not null && !client.IsConfidential)
            return "The grant type token-exchange needs a client that can keep a secret.";
        if ((client.TokenExchange ?? []).Any(rule => rule.From.Count == 0 || rule.Audience.Count == 0 || rule.Scope.Count == 0))
            return "grants_token_exchange: from, audience and scope must not be empty.";
        // Nothing could come of it: an exchange gives no refresh token.
        if ((client.TokenExchange ?? []).Any(rule => rule.Scope.Contains(StandardScopes.OfflineAccess)))
            return "grants_token_exchange: scope must not have offline_access.";
        return client.MayAct is { } party && (party.Length is 0 or > 256 || party.StartsWith(SubjectId.Prefix, StringComparison.Ordinal)) ? "grants_may_act must be a client_id." : null;
    }

    /// <summary>What is wrong with how it is to sign its assertions. Whether a key in <c>jwks</c> can be used is for whoever reads JSON to say.</summary>
    private static string? WhyNotKeys(ClientMetadata client)
    {
        if (client is { Jwks: not null, JwksUri: not null })
            return "jwks and jwks_uri must not be given together.";
        if (client.TokenEndpointAuthMethod == ClientAuthMethod.PrivateKeyJwt && client is { Jwks: null, JwksUri: null })
            return "private_key_jwt needs jwks or jwks_uri.";
        if (client.JwksUri is { } uri && !IsDocumentAddress(uri))
            return "jwks_uri must be an https address without user name and fragment, at most 2000 characters; http is fine only on loopback.";
        if (client.TokenEndpointAuthSigningAlg is { } algorithm)
        {
            var allowed = client.TokenEndpointAuthMethod switch
            {
                ClientAuthMethod.PrivateKeyJwt => AssertionAlgorithm.OfKeys,
                ClientAuthMethod.SecretJwt => AssertionAlgorithm.OfSecrets,
                _ => [],
            };
            if (allowed.Count == 0) return "token_endpoint_auth_signing_alg needs private_key_jwt or client_secret_jwt.";
            if (!allowed.Contains(algorithm)) return $"token_endpoint_auth_signing_alg: {algorithm} is not supported with {client.TokenEndpointAuthMethod}.";
        }

        return client.AssertionAudience is null or AssertionAudience.Issuer or AssertionAudience.Endpoint ? null : "grants_assertion_audience must be issuer or endpoint.";
    }

    /// <summary>What is wrong with how it is to know people. Whether the document lists its redirect URIs is for whoever fetches it to say.</summary>
    private static string? WhyNotSector(ClientMetadata client)
    {
        if (client.SubjectType is { } type && !SubjectIdentifierType.Supported.Contains(type))
            return $"subject_type: {type} is not supported.";
        if (client.SectorIdentifierUri is { } uri && !IsDocumentAddress(uri))
            return "sector_identifier_uri must be an https address without user name and fragment, at most 2000 characters; http is fine only on loopback.";
        return client.SubjectType == SubjectIdentifierType.Pairwise && client.Sector is null
            ? "pairwise needs a sector_identifier_uri, unless all redirect_uris have one host of the app's own."
            : null;
    }

    private static bool IsDocumentAddress(string text) => text.Length <= 2000 && !text.Any(c => c is <= ' ' or > '~' or '\\') && !text.StartsWith('/')
        && Uri.TryCreate(text, UriKind.Absolute, out var uri) && (uri.Scheme == "https" || (uri.Scheme == "http" && uri.IsLoopback))
        && uri.UserInfo.Length == 0 && uri.Fragment.Length == 0;

    private static OAuthError Metadata(string description) => new(ErrorCode.InvalidClientMetadata, description);
}
