using Grants.Domain.Protocol;
using static Grants.Domain.Sessions.SessionEvent;

namespace Grants.Domain.Sessions;

/// <summary>All that can happen to one browser's sign-in.</summary>
public abstract record SessionEvent : IDomainEvent
{
    private SessionEvent() { }

    /// <param name="Authentication">How the person proved who they are.</param>
    /// <param name="ExpiresAt">The end at the latest, used or not. Exclusive: at this moment it is over.</param>
    public sealed record Started(SubjectId Subject, Authentication Authentication, DateTimeOffset ExpiresAt) : SessionEvent;

    public sealed record Reauthenticated(Authentication Authentication) : SessionEvent;

    /// <param name="By">One of <see cref="EndedBy"/>.</param>
    public sealed record Ended(string By, string Why, DateTimeOffset At) : SessionEvent;

    public sealed record Expired(DateTimeOffset At) : SessionEvent;
}

/// <summary>One act of signing in.</summary>
/// <param name="At"><c>auth_time</c>, OpenID Connect Core §2.</param>
/// <param name="Acr">The authentication context class reached.</param>
/// <param name="Amr">Methods used, RFC 8176.</param>
public sealed record Authentication(DateTimeOffset At, string Acr, ValueList<string> Amr)
{
    /// <summary>The class that a password alone reaches.</summary>
    public const string PasswordAcr = "urn:grants:acr:password";

    /// <summary>Every class that a sign-in can reach here.</summary>
    public static readonly ValueList<string> AcrValues = [PasswordAcr];

    public static Authentication ByPassword(DateTimeOffset now) => new(now, PasswordAcr, ["pwd"]);
}

/// <summary>A browser signed in. Its id is the <c>sid</c> claim and, sealed in a cookie, the browser's proof.</summary>
public sealed record Session(Guid Id, SubjectId Subject, Authentication Authentication, DateTimeOffset StartedAt, DateTimeOffset ExpiresAt, DateTimeOffset? EndedAt)
{
    public bool IsLive(DateTimeOffset now) => EndedAt is null && now < ExpiresAt;

    public static Session? Evolve(Session? state, Guid id, SessionEvent happened) => (state, happened) switch
    {
        (null, Started e) => new Session(id, e.Subject, e.Authentication, e.Authentication.At, e.ExpiresAt, null),
        ({ EndedAt: not null }, _) => state,
        ({ } s, Reauthenticated e) => s with { Authentication = e.Authentication },
        ({ } s, Ended e) => s with { EndedAt = e.At },
        ({ } s, Expired e) => s with { EndedAt = e.At },
        _ => state,
    };
}
