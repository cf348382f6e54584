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

namespace Grants.Api.DeviceAuthorization;

/// <summary>The device authorization endpoint: RFC 8628 §3.1. Clients authenticate as at the token endpoint; those without a secret name themselves.</summary>
public static class DeviceAuthorizationEndpoint
{
    [WolverinePost("/device_authorization")]
    public static async Task<IResult> Post(HttpContext http, ClientAuthentication authentication, DeviceRequests requests)
    {
        if (await Parameters.OfFormAsync(http.Request, http.RequestAborted) is not { } form)
            return new OAuthErrorResult(new OAuthError(ErrorCode.InvalidRequest, "The body must be application/x-www-form-urlencoded."));
        var authenticated = await authentication.AuthenticateAsync(http.Request, form, http.RequestAborted);
        if (authenticated is not ClientAuthenticationResult.Authenticated(var client)) return ((ClientAuthenticationResult.Failed)authenticated).Result;
        return client.WhyNotUse(GrantType.DeviceCode) is { } notAllowed ? new OAuthErrorResult(notAllowed) : await requests.RecordAsync(http, client, form);
    }
}

/// <summary>Records a device's request and gives out its two codes: a sealed handle for the device, eight letters for the person.</summary>
public sealed class DeviceRequests(EventLog log, Lookups lookups, UserCodes codes, ArrivalLimits limits, DpopProofs proofs, Causes causes, SealedHandles handles, Settings settings, TimeProvider clock)
{
    /// <summary>The limit comes before the proof, whose <c>jti</c> is written down (E11). A key that was proven has to be proven with each poll (RFC 9449 §10).</summary>
    public async Task<IResult> RecordAsync(HttpContext http, Client client, Parameters form)
    {
        if (!ScopeSet.TryParse(form["scope"], out var scopes)) return new OAuthErrorResult(new OAuthError(ErrorCode.InvalidScope, "scope has a character that is not allowed."));
        // What would be left out in silence is refused: a device can't ask for details.
        if (form["authorization_details"] is not null) return new OAuthErrorResult(new OAuthError(ErrorCode.InvalidAuthorizationDetails, "A device can't ask for authorization_details."));
        if (!(client.Metadata.IsConfidential ? limits.Admit(client.ClientId) : limits.Admit(client.ClientId, http.Connection.RemoteIpAddress)))
        {
            http.Response.Headers.RetryAfter = "60";
            return new OAuthErrorResult(new OAuthError(ErrorCode.TemporarilyUnavailable, "The limit of authorization requests per minute is reached."), StatusCodes.Status429TooManyRequests);
        }

        var (jkt, badProof) = await proofs.CheckAsync(http);
        if (badProof is not null) return new OAuthErrorResult(badProof);
        var catalogue = await lookups.CatalogueAsync(http.RequestAborted);
        var hash = await codes.HasherAsync(http.RequestAborted);
        var id = Guid.CreateVersion7(clock.GetUtcNow());
        var letters = "";
        var decision = await log.Commit(await causes.Of(http, Cause.ByClient(client.ClientId), client.ClientId), [id],
            // A fresh code for each attempt: what lost may have met another request's code.
            (_, now) => RequestDevice.Decide(new(id, client, scopes, hash(letters = UserCodes.Draw()), catalogue, jkt, form.All("resource")), now), http.RequestAborted, begins: id);
        return decision is Refused<DateTimeOffset>(var error, _)
            ? new OAuthErrorResult(error)
            : new DeviceAuthorizationResponse(handles.Seal(new DeviceHandle(id)), UserCode.Show(letters), settings.Url("/device"));
    }
}

/// <summary>RFC 8628 §3.2.</summary>
public sealed class DeviceAuthorizationResponse(string deviceCode, string userCode, string verificationUri) : IResult
{
    public Task ExecuteAsync(HttpContext httpContext)
    {
        OAuthErrorResult.NoStore(httpContext.Response);
        return httpContext.Response.WriteAsJsonAsync(new Body(deviceCode, userCode, verificationUri, $"{verificationUri}?user_code={userCode}",
            (int)RequestDevice.Lifetime.TotalSeconds, (int)RequestDevice.Interval.TotalSeconds), httpContext.RequestAborted);
    }

    internal sealed record Body(
        [property: JsonPropertyName("device_code")] string DeviceCode,
        [property: JsonPropertyName("user_code")] string UserCode,
        [property: JsonPropertyName("verification_uri")] string VerificationUri,
        [property: JsonPropertyName("verification_uri_complete")] string VerificationUriComplete,
        [property: JsonPropertyName("expires_in")] int ExpiresInSeconds,
        [property: JsonPropertyName("interval")] int IntervalSeconds);
}
