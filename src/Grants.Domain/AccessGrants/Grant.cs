using Grants.Domain.Protocol;
using static Grants.Domain.AccessGrants.GrantEvent;

namespace Grants.Domain.AccessGrants;

/// <summary>All that can happen to what one person lets one client do.</summary>
public abstract record GrantEvent : IDomainEvent
{
    private GrantEvent() { }

    /// <param name="Authorization">The request whose consent this is.</param>
    public sealed record Created(SubjectId Subject, ClientId Client, Guid Authorization, ScopeSet Scopes, ScopeSet Refused, DateTimeOffset At, DateTimeOffset ExpiresAt) : GrantEvent;

    /// <param name="Added">Newly allowed; empty when the same permissions were confirmed for another while.</param>
    /// <param name="Refused">Optional permissions that the same answer left out.</param>
    public sealed record Widened(Guid Authorization, ScopeSet Added, ScopeSet Refused, DateTimeOffset At, DateTimeOffset ExpiresAt) : GrantEvent;

    public sealed record Narrowed(Guid Authorization, ScopeSet Removed, DateTimeOffset At) : GrantEvent;

    /// <param name="By">One of <see cref="EndedBy"/>.</param>
    public sealed record Revoked(string By, string Why, DateTimeOffset At) : GrantEvent;

    public sealed record Expired(DateTimeOffset At) : GrantEvent;
}

/// <summary>One answer on a consent page.</summary>
/// <param name="Granted">Needed and ticked permissions.</param>
/// <param name="Refused">Optional permissions left unticked.</param>
/// <param name="ExpiresAt">Until when the answer stands.</param>
public sealed record ConsentReceipt(Guid Authorization, ScopeSet Granted, ScopeSet Refused, DateTimeOffset At, DateTimeOffset ExpiresAt);

/// <summary>What one person lets one client do. One default grant per pair is live at a time.</summary>
/// <param name="Refused">Optional permissions that the person said no to: remembered, so as not to be asked again.</param>
/// <param name="Ended">Revoked or expired; nothing revives it (L3).</param>
public sealed record Grant(Guid Id, SubjectId Subject, ClientId Client, ScopeSet Scopes, ScopeSet Refused, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt, bool Ended)
{
    /// <summary>Person and client while the grant is live, null afterwards: unique in the database, so that two consents at once can't make two.</summary>
    public string? LiveKey => Ended ? null : KeyOf(Subject, Client);

    public static string KeyOf(SubjectId subject, ClientId client) => $"{subject}|{client}";

    public bool IsLive(DateTimeOffset now) => !Ended && now < ExpiresAt;

    /// <summary>The first consent between the two.</summary>
    public static IEnumerable<GrantEvent> Open(SubjectId subject, ClientId client, ConsentReceipt consent) =>
        [new Created(subject, client, consent.Authorization, consent.Granted, consent.Refused, consent.At, consent.ExpiresAt)];

    /// <summary>A later consent: what was asked about again is replaced by the new answer, the rest stays.</summary>
    public IEnumerable<GrantEvent> Answered(ConsentReceipt consent)
    {
        yield return new Widened(consent.Authorization, consent.Granted.Except(Scopes), consent.Refused, consent.At, consent.ExpiresAt);
        var taken = Scopes.Intersect(consent.Refused);
        if (taken.Count > 0) yield return new Narrowed(consent.Authorization, taken, consent.At);
    }

    public static Grant? Evolve(Grant? state, Guid id, GrantEvent happened) => (state, happened) switch
    {
        (null, Created e) => new Grant(id, e.Subject, e.Client, e.Scopes, e.Refused, e.At, e.ExpiresAt, Ended: false),
        ({ Ended: true }, _) => state,
        ({ } g, Widened e) => g with { Scopes = g.Scopes.Union(e.Added), Refused = g.Refused.Except(e.Added).Union(e.Refused), ExpiresAt = e.ExpiresAt },
        ({ } g, Narrowed e) => g with { Scopes = g.Scopes.Except(e.Removed), Refused = g.Refused.Union(e.Removed) },
        ({ } g, Revoked or Expired) => g with { Ended = true },
        _ => state,
    };
}

/// <summary>Ends what a person lets a client do, and with it every token that came of it.</summary>
public static class RevokeGrant
{
    /// <param name="Owner">The person who asks, when it is the person: another's grant is answered like an unknown one.</param>
    public sealed record Request(SubjectId? Owner, string By, string Why);

    /// <summary>The value tells whether it was live until now. Revoking twice is not an error.</summary>
    public static Decision<bool> Decide(Grant? grant, Request ask, DateTimeOffset now)
    {
        if (grant is null || (ask.Owner is { } owner && owner != grant.Subject))
            return Protocol.Decide.Refuse<bool>(ErrorCode.InvalidRequest, "There is no such access record.");
        return grant.Ended
            ? Protocol.Decide.Accept(false)
            : Protocol.Decide.Accept(true, new StreamEvent(grant.Id, new Revoked(ask.By, ask.Why, now)));
    }
}
