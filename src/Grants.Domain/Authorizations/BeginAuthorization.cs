using Grants.Domain.AccessGrants;
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

    /// <summary>The event of its arrival.</summary>
    public static StreamEvent Arrival(Authorization arriving) =>
        new(arriving.Id, new AuthorizationEvent.Requested(arriving.Request, arriving.Browser, arriving.RequestedAt, arriving.ExpiresAt));
}
