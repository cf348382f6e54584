using Grants.Domain.Protocol;
using static Grants.Domain.Subjects.SubjectEvent;

namespace Grants.Domain.Subjects;

/// <summary>All that can happen to one person's account. What identifies the person is sealed under a key of that person's own.</summary>
public abstract record SubjectEvent : IDomainEvent
{
    private SubjectEvent() { }

    /// <param name="LoginHash">Keyed hash of the normalised user name: finds the account, tells nothing without the key.</param>
    /// <param name="Username">The user name as typed.</param>
    /// <param name="Claims">A JSON object of OpenID Connect Core §5.1 claims.</param>
    public sealed record Registered(string LoginHash, SealedText Username, SealedText Claims, ValueList<string> Roles, DateTimeOffset At) : SubjectEvent;

    /// <param name="PasswordHash">The password hasher's output, sealed.</param>
    public sealed record PasswordSet(SealedText PasswordHash, DateTimeOffset At) : SubjectEvent;

    public sealed record ClaimsReplaced(SealedText Claims, DateTimeOffset At) : SubjectEvent;

    public sealed record RolesReplaced(ValueList<string> Roles, DateTimeOffset At) : SubjectEvent;

    /// <param name="Count">Failures since the last sign-in or lock-out, this one included.</param>
    public sealed record SignInFailed(int Count, DateTimeOffset At) : SubjectEvent;

    public sealed record LockedOut(DateTimeOffset Until, DateTimeOffset At) : SubjectEvent;

    /// <summary>A right password after wrong ones set the count back.</summary>
    public sealed record SignInFailuresCleared(DateTimeOffset At) : SubjectEvent;

    public sealed record Suspended(string Why, DateTimeOffset At) : SubjectEvent;

    public sealed record Resumed(DateTimeOffset At) : SubjectEvent;

    public sealed record Erased(DateTimeOffset At) : SubjectEvent;
}

public enum SubjectStatus { Active, Suspended, Erased }

/// <summary>A person as decisions see it.</summary>
public sealed record Subject(Guid Id, string LoginHash, SealedText Username, SealedText Claims, ValueList<string> Roles, SealedText? PasswordHash,
    int FailedSignIns, DateTimeOffset? LockedUntil, SubjectStatus Status)
{
    public SubjectId SubjectId => new(Id);

    public bool IsActive => Status == SubjectStatus.Active;

    public static Subject? Evolve(Subject? state, Guid id, SubjectEvent happened) => (state, happened) switch
    {
        (null, Registered e) => new Subject(id, e.LoginHash, e.Username, e.Claims, e.Roles, null, 0, null, SubjectStatus.Active),
        ({ Status: SubjectStatus.Erased }, _) => state,
        ({ } s, PasswordSet e) => s with { PasswordHash = e.PasswordHash },
        ({ } s, ClaimsReplaced e) => s with { Claims = e.Claims },
        ({ } s, RolesReplaced e) => s with { Roles = e.Roles },
        ({ } s, SignInFailed e) => s with { FailedSignIns = e.Count },
        ({ } s, LockedOut e) => s with { LockedUntil = e.Until, FailedSignIns = 0 },
        ({ } s, SignInFailuresCleared) => s with { FailedSignIns = 0, LockedUntil = null },
        ({ } s, Suspended) => s with { Status = SubjectStatus.Suspended },
        ({ } s, Resumed) => s with { Status = SubjectStatus.Active },
        ({ } s, Erased) => s with { Status = SubjectStatus.Erased },
        _ => state,
    };
}
