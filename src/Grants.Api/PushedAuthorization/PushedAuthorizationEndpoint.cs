using System.Text.Json.Serialization;
using Grants.Api.Authorize;
using Grants.Api.Dpop;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Domain.Authorizations;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Wolverine.Http;

namespace Grants.Api.PushedAuthorization;

/// <summary>The pushed authorization request endpoint: RFC 9126 §2. Clients authenticate as at the token endpoint; those without a secret name themselves.</summary>
public static class PushedAuthorizationEndpoint
{
    [WolverinePost("/par")]
    public static async Task<IResult> Post(HttpContext http, ClientAuthentication authentication, PushedRequests requests)
    {
        if (await Parameters.OfFormAsync(http.Request, http.RequestAborted) is not { } form)
            return new OAuthErrorResult(new OAuthError(ErrorCode.InvalidRequest, "The body must be application/x-www-form-urlencoded."));
        var authenticated = await authentication.AuthenticateAsync(http.Request, form, http.RequestAborted);
        return authenticated is ClientAuthenticationResult.Authenticated(var client) ? await requests.PushAsync(http, client, form) : ((ClientAuthenticationResult.Failed)authenticated).Result;
    }
}

/// <summary>Validates a request as if a browser had brought it, records it, and names it: <c>urn:ietf:params:oauth:request_uri:</c> and a sealed handle.</summary>
public sealed class PushedRequests(EventLog log, RequestReader reader, ArrivalLimits limits, DpopProofs proofs, Causes causes, SealedHandles handles, Settings settings, TimeProvider clock)
{
    private const string Prefix = "urn:ietf:params:oauth:request_uri:";

    /// <summary>Whether a <c>request_uri</c> names a request that was pushed here: any other would have to be fetched from elsewhere.</summary>
    public static bool IsReference(string? requestUri) => requestUri?.StartsWith(Prefix, StringComparison.Ordinal) == true;

    /// <summary>What comes after the prefix.</summary>
    public static string HandleIn(string requestUri) => requestUri[Prefix.Length..];

    public async Task<IResult> PushAsync(HttpContext http, Client client, Parameters form)
    {
        if (form["request_uri"] is not null) return Refuse(new OAuthError(ErrorCode.InvalidRequest, "A request_uri can't be pushed."));
        switch (await reader.ReadAsync(form.With("client_id", client.ClientId.Value), client, pushed: true, http.RequestAborted))
        {
            // What a browser would be shown: invalid_request, or what is wrong with the request object (RFC 9126 §2.3).
            case AuthorizeRequest.ShowPage(var error, _): return Refuse(error);
            case AuthorizeRequest.RedirectError refused: return Refuse(refused.Error);
            case AuthorizeRequest.Valid valid: return await AdmitAsync(http, client, valid);
            default: throw new System.Diagnostics.UnreachableException();
        }
    }

    /// <summary>
    /// The limit comes before the proof, whose <c>jti</c> is written down: a client without a secret is whoever says so, and nobody may
    /// fill that table either (E11). A key that was proven is what the code will be bound to, as if <c>dpop_jkt</c> had named it (RFC 9449 §10.1).
    /// </summary>
    private async Task<IResult> AdmitAsync(HttpContext http, Client client, AuthorizeRequest.Valid valid)
    {
        if (!(client.Metadata.IsConfidential ? limits.Admit(client.ClientId) : limits.Admit(client.ClientId, http.Connection.RemoteIpAddress)))
        {
            http.Response.Headers.RetryAfter = "60";
            return Refuse(new OAuthError(ErrorCode.TemporarilyUnavailable, "The limit of authorization requests per minute is reached."), StatusCodes.Status429TooManyRequests);
        }

        var (jkt, badProof) = await proofs.CheckAsync(http);
        if (badProof is not null) return Refuse(badProof);
        return valid.Request.BoundTo(jkt) is { } bound
            ? await RecordAsync(http, client, valid with { Request = bound })
            : Refuse(new OAuthError(ErrorCode.InvalidRequest, "dpop_jkt is not the key of the DPoP proof."));
    }

    private async Task<IResult> RecordAsync(HttpContext http, Client client, AuthorizeRequest.Valid valid)
    {
        var id = Guid.CreateVersion7(clock.GetUtcNow());
        var request = await reader.SealAsync(valid, http.RequestAborted);
        await log.Commit(await causes.Of(http, Cause.ByClient(client.ClientId), client.ClientId), [id],
            (_, now) => PushAuthorization.Decide(new(id, request, settings.PushedRequestLifetime), now), http.RequestAborted, begins: id);
        return new PushedAuthorizationResponse(Prefix + handles.Seal(new PushedHandle(id)), (int)settings.PushedRequestLifetime.TotalSeconds);
    }

    private static OAuthErrorResult Refuse(OAuthError error, int status = StatusCodes.Status400BadRequest) => new(error, status);
}

/// <summary>RFC 9126 §2.2.</summary>
public sealed class PushedAuthorizationResponse(string requestUri, int expiresInSeconds) : IResult
{
    public Task ExecuteAsync(HttpContext httpContext)
    {
        httpContext.Response.StatusCode = StatusCodes.Status201Created;
        OAuthErrorResult.NoStore(httpContext.Response);
        return httpContext.Response.WriteAsJsonAsync(new Body(requestUri, expiresInSeconds), httpContext.RequestAborted);
    }

    internal sealed record Body([property: JsonPropertyName("request_uri")] string RequestUri, [property: JsonPropertyName("expires_in")] int ExpiresInSeconds);
}
