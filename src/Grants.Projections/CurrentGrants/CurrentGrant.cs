using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Protocol;
using JasperFx.Events;

namespace Grants.Projections.CurrentGrants;

/// <summary>What one person lets one client do, and what became of it.</summary>
/// <param name="Scopes">Space separated, as allowed now.</param>
/// <param name="Declined">Optional permissions that were left out.</param>
/// <param name="Authorization">The request whose consent stands last.</param>
/// <param name="TextVersion">The version of the words that were shown with it.</param>
/// <param name="Origin">Where the consent came from, sealed as in the event.</param>
/// <param name="State"><c>live</c>, <c>expired</c> or <c>revoked</c>, as far as it has been recorded.</param>
/// <param name="Position">That of the last event which changed the row.</param>
public sealed record CurrentGrant(Guid Id, string Subject, string Client, string Scopes, string Declined, DateTimeOffset CreatedAt, DateTimeOffset ConsentedAt,
    DateTimeOffset ExpiresAt, Guid Authorization, string? TextVersion, string? TextLanguage, string? Origin, string? Network,
    string State, DateTimeOffset? EndedAt, string? EndedBy, string? EndedWhy, long Position)
{
    /// <summary>When the newest of its tokens was issued. No column: whoever shows the row asks the view of tokens.</summary>
    public DateTimeOffset? LastUsedAt { get; init; }

    public const string Live = "live";
    public const string Expired = "expired";
    public const string Revoked = "revoked";
}

/// <summary>Folds a page of events into rows of current grants. Pure: rebuilt from zero it gives what it gave live (L5).</summary>
public static class CurrentGrantRows
{
    public static IEnumerable<Type> Events => [.. EventNames.TypesOf<GrantEvent>(), typeof(AuthorizationEvent.ConsentGranted)];

    /// <summary>The grants that a page says something about.</summary>
    public static Guid[] Touched(IReadOnlyList<IEvent> page) => [.. page.Select(GrantOf).OfType<Guid>().Distinct()];

    public static IReadOnlyCollection<CurrentGrant> Apply(IEnumerable<CurrentGrant> before, IReadOnlyList<IEvent> page)
    {
        var rows = before.ToDictionary(row => row.Id);
        var changed = new HashSet<Guid>();
        foreach (var e in page)
        {
            if (GrantOf(e) is not { } id || Evolve(rows.GetValueOrDefault(id), e) is not { } row) continue;
            rows[id] = row;
            changed.Add(id);
        }

        return [.. changed.Select(id => rows[id])];
    }

    private static Guid? GrantOf(IEvent e) => e.Data switch
    {
        GrantEvent => e.StreamId,
        AuthorizationEvent.ConsentGranted consent => consent.Grant,
        _ => null,
    };

    private static CurrentGrant? Evolve(CurrentGrant? row, IEvent e) => ((row, e.Data) switch
    {
        (null, GrantEvent.Created c) => new CurrentGrant(e.StreamId, c.Subject.ToString(), c.Client.Value, c.Scopes.ToString(), c.Refused.ToString(), c.At, c.At, c.ExpiresAt,
            c.Authorization, null, null, e.Text(EventMetadata.Origin), e.Text(EventMetadata.Network), CurrentGrant.Live, null, null, null, e.Sequence),
        ({ } g, GrantEvent.Widened w) => g with
        {
            Scopes = Set(g.Scopes).Union(w.Added).ToString(),
            Declined = Set(g.Declined).Except(w.Added).Union(w.Refused).ToString(),
            ConsentedAt = w.At,
            ExpiresAt = w.ExpiresAt,
            Authorization = w.Authorization,
            Origin = e.Text(EventMetadata.Origin),
            Network = e.Text(EventMetadata.Network),
        },
        ({ } g, GrantEvent.Narrowed n) => g with { Scopes = Set(g.Scopes).Except(n.Removed).ToString(), Declined = Set(g.Declined).Union(n.Removed).ToString() },
        ({ } g, AuthorizationEvent.ConsentGranted c) => g with { TextVersion = c.Text.Version, TextLanguage = c.Text.Language },
        ({ State: CurrentGrant.Live } g, GrantEvent.Revoked r) => g with { State = CurrentGrant.Revoked, EndedAt = r.At, EndedBy = r.By, EndedWhy = r.Why },
        ({ State: CurrentGrant.Live } g, GrantEvent.Expired x) => g with { State = CurrentGrant.Expired, EndedAt = x.At },
        _ => null,
    }) is { } next ? next with { Position = e.Sequence } : null;

    private static ScopeSet Set(string scopes) => ScopeSet.Of(scopes.Split(' ', StringSplitOptions.RemoveEmptyEntries));
}
