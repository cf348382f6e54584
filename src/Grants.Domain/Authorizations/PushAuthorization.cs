using Grants.Domain.Protocol;

namespace Grants.Domain.Authorizations;

/// <summary>A client sends its request ahead of the browser: RFC 9126 §2. Never refused: what reaches it has been validated.</summary>
public static class PushAuthorization
{
    /// <param name="Id">The stream that the request begins.</param>
    /// <param name="Lifetime">How long a browser may take to come with it.</param>
    public sealed record Request(Guid Id, AuthorizationRequest Pushed, TimeSpan Lifetime);

    /// <summary>The value is the moment from which on no browser can begin it.</summary>
    public static Decision<DateTimeOffset> Decide(Request ask, DateTimeOffset now) =>
        Protocol.Decide.Accept(now + ask.Lifetime, new StreamEvent(ask.Id, new AuthorizationEvent.Pushed(ask.Pushed, now, now + ask.Lifetime)));
}
