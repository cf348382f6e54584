using Grants.Domain.Protocol;

namespace Grants.Domain.Sessions;

/// <summary>Begins a session, or renews the one that the same person already has in this browser.</summary>
public static class SignIn
{
    /// <summary>The longest that a browser stays signed in.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromHours(12);

    /// <param name="NewSession">The id that a new one gets.</param>
    public sealed record Request(SubjectId Subject, Guid NewSession);

    /// <summary>The value is the session's id: a new one unless this very person confirms an existing one.</summary>
    public static Decision<Guid> Decide(Session? current, Request ask, DateTimeOffset now)
    {
        var authentication = Authentication.ByPassword(now);
        if (current is not null && current.IsLive(now) && current.Subject == ask.Subject)
            return Protocol.Decide.Accept(current.Id, new StreamEvent(current.Id, new SessionEvent.Reauthenticated(authentication)));

        var started = new StreamEvent(ask.NewSession, new SessionEvent.Started(ask.Subject, authentication, now + Lifetime));
        return current is not null && current.IsLive(now)
            // Another person at the same browser: the first one's session must not stay behind.
            ? Protocol.Decide.Accept(ask.NewSession, started, new StreamEvent(current.Id, new SessionEvent.Ended(EndedBy.Person, "another person signed in", now)))
            : Protocol.Decide.Accept(ask.NewSession, started);
    }
}

/// <summary>Ends a session: OpenID Connect RP-Initiated Logout §2, or the person's own wish.</summary>
public static class EndSession
{
    /// <summary>Ending what is over is not an error.</summary>
    public static Decision<bool> Decide(Session? session, string by, string why, DateTimeOffset now) =>
        session is null || !session.IsLive(now)
            ? Protocol.Decide.Accept(false)
            : Protocol.Decide.Accept(true, new StreamEvent(session.Id, new SessionEvent.Ended(by, why, now)));
}
