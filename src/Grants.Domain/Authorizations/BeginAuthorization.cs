using Grants.Domain.AccessGrants;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Domain.Authorizations;

/// <summary>A request arrives, and what comes next is decided with it: RFC 6749 §3.1.</summary>
public static class BeginAuthorization
{
    /// <param name="arriving">The request as it will be once it is recorded; nothing has happened to it yet.</param>
    public static Decision<NextStep> Decide(Authorization arriving, Grant? grant, ContinueAuthorization.Request ask, DateTimeOffset now)
    {
        if (ContinueAuthorization.Decide(arriving, grant, ask, now) is not Accepted<NextStep>(var step, var events)) throw new InvalidOperationException("Continuing is never refused as a whole.");
        return Protocol.Decide.Accept(step, [Arrival(arriving), .. events]);
    }

    /// <summary>
    /// A pushed request arrives: RFC 9126 §4. The browser that comes with it first is the only one that may go on with it, as often as
    /// it likes until the request is answered. Refused when it may not be used here: then nothing goes back to the app.
    /// </summary>
    /// <param name="browser">The mark of the browser that asks.</param>
    public static Decision<NextStep> Decide(Authorization? pushed, string browser, Catalogue catalogue, Grant? grant, ContinueAuthorization.Request ask, DateTimeOffset now)
    {
        if (pushed is null || pushed.Request.Client != ask.Client.ClientId) return Refuse(ErrorCode.InvalidRequestUri, "The request_uri is unknown.");
        if (pushed.Answered) return Refuse(ErrorCode.InvalidRequestUri, "The request_uri was used before.");
        if (!pushed.IsOpen(now)) return Refuse(ErrorCode.InvalidRequestUri, "The request_uri has expired.");
        if (pushed.Browser is { } known)
            return known == browser ? ContinueAuthorization.Decide(pushed, grant, ask, now) : Refuse(ErrorCode.InvalidRequestUri, "The request_uri was used in another browser.");

        // What the client may do can have been narrowed since: RFC 9126 §7.4.
        var (request, metadata) = (pushed.Request, ask.Client.Metadata);
        if (!metadata.Admits(request.RedirectUri)) return Refuse(ErrorCode.InvalidRequest, "redirect_uri is not registered for this client any more.");
        if (!metadata.ResponseModes.Contains(request.ResponseMode)) return Refuse(ErrorCode.InvalidRequest, "This response_mode is not available any more.");
        var arriving = pushed with { Browser = browser, RequestedAt = now, ExpiresAt = now + Authorization.Lifetime };
        var fault = !metadata.GrantTypes.Contains(GrantType.AuthorizationCode) ? new OAuthError(ErrorCode.UnauthorizedClient, "The client may not use this flow.")
            : !request.Scopes.IsSubsetOf(metadata.Scope) || request.Scopes.Any(scope => !catalogue.Knows(scope)) ? new OAuthError(ErrorCode.InvalidScope, "The client may not ask for this scope.")
            : !catalogue.Admits(metadata, request.Details) ? new OAuthError(ErrorCode.InvalidAuthorizationDetails, "The client may not ask for details of this type.")
            : ResourceIndicators.Ask(request.Resources ?? [], request.Scopes, metadata, catalogue, detailed: request.Details is not null).Error;
        return fault is null
            ? Decide(arriving, grant, ask, now)
            : Protocol.Decide.Accept<NextStep>(new NextStep.Refuse(fault), Arrival(arriving), new StreamEvent(arriving.Id, new AuthorizationEvent.Refused(fault.Code, now)));
    }

    /// <summary>The event of its arrival.</summary>
    public static StreamEvent Arrival(Authorization arriving) =>
        new(arriving.Id, new AuthorizationEvent.Requested(arriving.Request, arriving.Browser!, arriving.RequestedAt, arriving.ExpiresAt));

    private static Decision<NextStep> Refuse(string code, string description) => Protocol.Decide.Refuse<NextStep>(code, description);
}
