using Grants.Domain.Protocol;
using static Grants.Domain.AccessGrants.GrantEvent;

namespace Grants.Domain.AccessGrants;

/// <summary>All that can happen to what one person lets one client do.</summary>
public abstract record GrantEvent : IDomainEvent
{
    private GrantEvent() { }

    /// <param name="Authorization">The request whose consent this is.</param>
    /// <param name="Limits">Which of the scopes are allowed at named resources alone; null: none.</param>
    /// <param name="Details">What was allowed beside scopes, sealed under the person's key.</param>
    public sealed record Created(SubjectId Subject, ClientId Client, Guid Authorization, ScopeSet Scopes, ScopeSet Refused, DateTimeOffset At, DateTimeOffset ExpiresAt,
        ValueList<ScopeLimit>? Limits = null, ValueList<AuthorizationDetail>? Details = null) : GrantEvent;

    /// <param name="Added">Newly allowed; empty when the same permissions were confirmed for another while.</param>
    /// <param name="Refused">Optional permissions that the same answer left out.</param>
    /// <param name="Limits">All limits that stand after this answer, whichever scopes they are of; null: none.</param>
    /// <param name="Details">Newly allowed details, sealed under the person's key.</param>
    /// <param name="DetailsOver">Marks of older details that no longer stand, to make room for these.</param>
    public sealed record Widened(Guid Authorization, ScopeSet Added, ScopeSet Refused, DateTimeOffset At, DateTimeOffset ExpiresAt, ValueList<ScopeLimit>? Limits = null,
        ValueList<AuthorizationDetail>? Details = null, ValueList<string>? DetailsOver = null) : GrantEvent;

    public sealed record Narrowed(Guid Authorization, ScopeSet Removed, DateTimeOffset At) : GrantEvent;

    /// <param name="By">One of <see cref="EndedBy"/>.</param>
    public sealed record Revoked(string By, string Why, DateTimeOffset At) : GrantEvent;

    public sealed record Expired(DateTimeOffset At) : GrantEvent;
}

/// <summary>A scope that was allowed at these resources and at no other (RFC 8707).</summary>
public sealed record ScopeLimit(string Scope, ValueList<string> Resources);

/// <summary>One answer on a consent page.</summary>
/// <param name="Granted">Needed and ticked permissions.</param>
/// <param name="Refused">Optional permissions left unticked.</param>
/// <param name="ExpiresAt">Until when the answer stands.</param>
/// <param name="Resources">Where; null when the request named no resource: wherever it is understood.</param>
/// <param name="Details">The details that were allowed along with them.</param>
public sealed record ConsentReceipt(Guid Authorization, ScopeSet Granted, ScopeSet Refused, DateTimeOffset At, DateTimeOffset ExpiresAt, ValueList<string>? Resources = null,
    ValueList<AuthorizationDetail>? Details = null);

/// <summary>What one person lets one client do. One default grant per pair is live at a time.</summary>
/// <param name="Refused">Optional permissions that the person said no to: remembered, so as not to be asked again.</param>
/// <param name="Ended">Revoked or expired; nothing revives it (L3).</param>
/// <param name="Limits">
/// How it remembers resources: a scope that was allowed in answer to a request that named some (RFC 8707) has a limit, which grows with
/// each further answer of that kind; one that was ever allowed without has none, and stands wherever it is understood. So do all scopes
/// of grants from before limits were recorded, and those that are the issuer's (<see cref="StandardScopes.AreOfIssuer"/>).
/// </param>
/// <param name="Details">The newest that were allowed, the oldest of them first.</param>
public sealed record Grant(Guid Id, SubjectId Subject, ClientId Client, ScopeSet Scopes, ScopeSet Refused, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt, bool Ended,
    ValueList<ScopeLimit>? Limits = null, ValueList<AuthorizationDetail>? Details = null)
{
    /// <summary>So many details stand at most: an app that asks for one with every payment must not make a grant without end (E10).</summary>
    public const int MostDetails = 32;

    /// <summary>Person and client while the grant is live, null afterwards: unique in the database, so that two consents at once can't make two.</summary>
    public string? LiveKey => Ended ? null : KeyOf(Subject, Client);

    public static string KeyOf(SubjectId subject, ClientId client) => $"{subject}|{client}";

    public bool IsLive(DateTimeOffset now) => !Ended && now < ExpiresAt;

    /// <summary>The scopes that are allowed at all of these resources.</summary>
    /// <param name="resources">Null: wherever a scope is understood.</param>
    public ScopeSet ScopesAt(ValueList<string>? resources) => Limits is null ? Scopes
        : ScopeSet.Of(Scopes.Where(scope => LimitOf(scope) is not { } limit || (resources is not null && resources.All(limit.Resources.Contains))));

    /// <summary>The first consent between the two.</summary>
    public static IEnumerable<GrantEvent> Open(SubjectId subject, ClientId client, ConsentReceipt consent) =>
        [new Created(subject, client, consent.Authorization, consent.Granted, consent.Refused, consent.At, consent.ExpiresAt, LimitsAfter(null, consent), consent.Details)];

    /// <summary>A later consent: what was asked about again is replaced by the new answer, the rest stays.</summary>
    public IEnumerable<GrantEvent> Answered(ConsentReceipt consent)
    {
        var held = ScopesAt(consent.Resources);
        yield return new Widened(consent.Authorization, consent.Granted.Except(held), consent.Refused, consent.At, consent.ExpiresAt, LimitsAfter(this, consent),
            consent.Details.NotAmong(Details), Over(consent.Details));
        var taken = held.Intersect(consent.Refused);
        if (taken.Count > 0) yield return new Narrowed(consent.Authorization, taken, consent.At);
    }

    /// <summary>The oldest that this answer doesn't name, as many as there are too many.</summary>
    private ValueList<string>? Over(ValueList<AuthorizationDetail>? answered) => answered is null || Details.NotAmong(answered) is not { } others
        ? null
        : AuthorizationDetails.OrNull(others.Take(others.Count + answered.Count - MostDetails).Select(detail => detail.Mark));

    public static Grant? Evolve(Grant? state, Guid id, GrantEvent happened) => (state, happened) switch
    {
        (null, Created e) => new Grant(id, e.Subject, e.Client, e.Scopes, e.Refused, e.At, e.ExpiresAt, Ended: false, e.Limits, e.Details),
        ({ Ended: true }, _) => state,
        ({ } g, Widened e) => g with { Scopes = g.Scopes.Union(e.Added), Refused = g.Refused.Except(e.Added).Union(e.Refused), ExpiresAt = e.ExpiresAt, Limits = e.Limits, Details = g.With(e) },
        ({ } g, Narrowed e) => g with { Scopes = g.Scopes.Except(e.Removed), Refused = g.Refused.Union(e.Removed) },
        ({ } g, Revoked or Expired) => g with { Ended = true },
        _ => state,
    };

    private static ValueList<ScopeLimit>? LimitsAfter(Grant? before, ConsentReceipt consent)
    {
        if (before?.Limits is null && consent.Resources is null) return null;
        var limits = new List<ScopeLimit>();
        foreach (var scope in (before?.Scopes ?? []).Union(consent.Granted))
        {
            var (held, limit) = (before?.Scopes.Contains(scope) == true, before?.LimitOf(scope));
            // What wasn't asked about stays as it was; what is allowed everywhere stays so.
            var after = !consent.Granted.Contains(scope) ? limit
                : consent.Resources is not { } named || StandardScopes.AreOfIssuer(scope) || (held && limit is null) ? null
                : new ScopeLimit(scope, new((limit?.Resources ?? []).Union(named)));
            if (after is not null) limits.Add(after);
        }

        return limits.Count > 0 ? new(limits) : null;
    }

    /// <summary>Only of a scope that it has: what was taken back leaves no limit behind.</summary>
    private ScopeLimit? LimitOf(string scope) => Scopes.Contains(scope) ? Limits?.FirstOrDefault(limit => limit.Scope == scope) : null;

    private ValueList<AuthorizationDetail>? With(Widened e) => e is { Details: null, DetailsOver: null }
        ? Details
        : AuthorizationDetails.OrNull((Details ?? []).Where(detail => e.DetailsOver?.Contains(detail.Mark) != true).Concat(e.Details ?? []));
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
