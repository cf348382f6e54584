using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Api.Signing;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;
using Wolverine.Http;

namespace Grants.Api.Revocation;

/// <summary>The revocation endpoint: RFC 7009. Counts on every node with the next request, since all read the streams.</summary>
public static class RevocationEndpoint
{
    /// <summary>Clients without a secret name themselves (RFC 7009 §2.1). <c>token_type_hint</c> isn't read: a token tells its own kind.</summary>
    [WolverinePost("/revoke")]
    public static async Task<IResult> Post(HttpContext http, ClientAuthentication authentication, TokenRevocation revocation)
    {
        if (await Parameters.OfFormAsync(http.Request, http.RequestAborted) is not { } form)
            return new OAuthErrorResult(new OAuthError(ErrorCode.InvalidRequest, "The body must be application/x-www-form-urlencoded."));
        var authenticated = await authentication.AuthenticateAsync(http.Request, form, http.RequestAborted);
        if (authenticated is not ClientAuthenticationResult.Authenticated(var client)) return ((ClientAuthenticationResult.Failed)authenticated).Result;
        return form["token"] is { } token
            ? await revocation.RevokeAsync(http, client, token)
            : new OAuthErrorResult(new OAuthError(ErrorCode.InvalidRequest, "token is missing."));
    }
}

/// <summary>Finds the streams that a token names and has it ended. 200 without a body, also for what is unknown or has ended (RFC 7009 §2.2).</summary>
public sealed class TokenRevocation(EventLog log, Lookups lookups, SealedHandles handles, TokenSigner signer, Causes causes)
{
    public async Task<IResult> RevokeAsync(HttpContext http, Client client, string token)
    {
        if (handles.OpenRefresh(token) is { } refresh) return await EndAsync(http, client, refresh.Family, refresh.Grant, null);
        if (await signer.ReadAccessTokenForAnyoneAsync(token, http.RequestAborted) is { Id: var access }) return await EndAsync(http, client, access.Family, access.Grant, access);
        // An id_token tells of a sign-in and opens nothing, so there is nothing to revoke (RFC 7009 §2.2.1).
        return await signer.ReadIdTokenHintAsync(token, http.RequestAborted) is null
            ? Done(http)
            : new OAuthErrorResult(new OAuthError(ErrorCode.UnsupportedTokenType, "Only access tokens and refresh tokens can be revoked."));
    }

    private async Task<IResult> EndAsync(HttpContext http, Client client, Guid family, Guid? grant, AccessTokenId? access)
    {
        // As at the token endpoint: a client without a secret calls from the person's device, and that origin is the person's data.
        var owner = grant is { } of && !client.Metadata.IsConfidential ? await lookups.OwnerOfAsync(of, http.RequestAborted) : null;
        var cause = await causes.Of(http, Cause.ByClient(client.ClientId), client.ClientId, subject: owner);
        var decision = await log.Commit(cause, grant is { } known ? [family, known] : [family],
            (streams, now) => RevokeToken.Decide(streams.Family(family), grant is { } id ? streams.Grant(id) : null, new(client.ClientId, access?.Number), now),
            http.RequestAborted, streams => streams.Family(family)?.Facts.Session, access);
        return decision is Refused<bool>(var error, _) ? new OAuthErrorResult(error) : Done(http);
    }

    /// <summary>No body and no content type: some clients take an answer with one for a fault.</summary>
    private static IResult Done(HttpContext http)
    {
        OAuthErrorResult.NoStore(http.Response);
        return Results.Ok();
    }
}
