using Grants.Domain.AccessGrants;
using Grants.Domain.TokenFamilies;
using JasperFx.Events;

namespace Grants.Projections.CurrentTokens;

/// <summary>One access token, or the refresh token of a family, and what became of it.</summary>
/// <param name="Number">An access token's number in its family; 0 for the refresh token, which keeps its row while it rotates.</param>
/// <param name="Origin">Where the first request came from, sealed as in the event.</param>
/// <param name="Generation">How often a refresh token has been renewed, plus one; 0 for access tokens.</param>
/// <param name="State"><c>live</c>, <c>expired</c> or <c>revoked</c>, as far as it has been recorded.</param>
/// <param name="Position">That of the last event which changed the row.</param>
public sealed record CurrentToken(Guid Family, int Number, string Kind, string Client, string? Subject, Guid? Grant, Guid? Session, string Scopes,
    string Audience, DateTimeOffset IssuedAt, DateTimeOffset ExpiresAt, string? Origin, string? Network, int Generation, DateTimeOffset? LastUsedAt,
    string State, DateTimeOffset? EndedAt, string? EndedBy, string? EndedWhy, long Position)
{
    public const string AccessToken = "access_token";
    public const string RefreshToken = "refresh_token";
    public const string Live = "live";
    public const string Expired = "expired";
    public const string Revoked = "revoked";

    public bool IsLive => State == Live;
}

/// <summary>Folds a page of events into rows of current tokens. Pure: rebuilt from zero it gives what it gave live (L5).</summary>
public static class CurrentTokenRows
{
    /// <summary>The rows that a page can change besides those it adds: the live ones of these families and grants.</summary>
    public static (Guid[] Families, Guid[] Grants) Touched(IReadOnlyList<IEvent> page) =>
    (
        [.. page.Where(e => e.Data is TokenFamilyEvent).Select(e => e.StreamId).Distinct()],
        [.. page.Where(e => e.Data is GrantEvent.Revoked or GrantEvent.Expired).Select(e => e.StreamId).Distinct()]
    );

    public static IReadOnlyCollection<CurrentToken> Apply(IEnumerable<CurrentToken> before, IReadOnlyList<IEvent> page)
    {
        var rows = before.ToDictionary(row => (row.Family, row.Number));
        var changed = new HashSet<(Guid, int)>();
        foreach (var e in page)
        {
            foreach (var row in Changes(rows, e))
            {
                rows[(row.Family, row.Number)] = row;
                changed.Add((row.Family, row.Number));
            }
        }

        return [.. changed.Select(key => rows[key])];
    }

    private static List<CurrentToken> Changes(Dictionary<(Guid, int), CurrentToken> rows, IEvent e)
    {
        var family = e.StreamId;
        return e.Data switch
        {
            TokenFamilyEvent.AccessTokenIssued { Facts: { } facts } issued =>
                [New(e, issued.Number, CurrentToken.AccessToken, facts, issued.Scopes.ToString(), issued.Audience.ToString(), issued.At, issued.ExpiresAt, 0)],
            // Issued together with a rotation: what the family's tokens have in common stands in the refresh token's row.
            TokenFamilyEvent.AccessTokenIssued issued when rows.TryGetValue((family, 0), out var refresh) =>
                [refresh with { Number = issued.Number, Kind = CurrentToken.AccessToken, Scopes = issued.Scopes.ToString(), Audience = issued.Audience.ToString(), IssuedAt = issued.At,
                    ExpiresAt = issued.ExpiresAt, Origin = e.Text(EventMetadata.Origin), Network = e.Text(EventMetadata.Network), Generation = 0, LastUsedAt = null, Position = e.Sequence }],
            TokenFamilyEvent.RefreshTokenIssued issued =>
                [New(e, 0, CurrentToken.RefreshToken, issued.Facts, issued.Facts.Scopes.ToString(), "", issued.At, Earlier(issued.IdleExpiresAt, issued.ExpiresAt), 1)],
            TokenFamilyEvent.RefreshTokenRotated rotated when rows.TryGetValue((family, 0), out var row) && row.IsLive =>
                [row with { Generation = rotated.Generation, LastUsedAt = rotated.At, ExpiresAt = Earlier(rotated.IdleExpiresAt, rotated.ExpiresAt), Position = e.Sequence }],
            TokenFamilyEvent.AccessTokenRevoked ended when rows.TryGetValue((family, ended.Number), out var row) =>
                End([row], CurrentToken.Revoked, ended.At, ended.By, ended.Why, e),
            TokenFamilyEvent.AccessTokenExpired ended when rows.TryGetValue((family, ended.Number), out var row) =>
                End([row], CurrentToken.Expired, ended.At, null, null, e),
            TokenFamilyEvent.AccessTokensExpired ended =>
                End(ended.Numbers.Select(number => rows.GetValueOrDefault((family, number))).OfType<CurrentToken>(), CurrentToken.Expired, ended.At, null, null, e),
            TokenFamilyEvent.Expired ended when rows.TryGetValue((family, 0), out var row) =>
                End([row], CurrentToken.Expired, ended.At, null, null, e),
            TokenFamilyEvent.Revoked ended =>
                End(rows.Values.Where(row => row.Family == family), CurrentToken.Revoked, ended.At, ended.By, ended.Why, e),
            GrantEvent.Revoked ended =>
                End(rows.Values.Where(row => row.Grant == e.StreamId), CurrentToken.Revoked, ended.At, ended.By, ended.Why, e),
            GrantEvent.Expired ended =>
                End(rows.Values.Where(row => row.Grant == e.StreamId), CurrentToken.Expired, ended.At, null, null, e),
            _ => [],
        };
    }

    private static CurrentToken New(IEvent e, int number, string kind, FamilyFacts facts, string scopes, string audience, DateTimeOffset at, DateTimeOffset expiresAt, int generation) =>
        new(e.StreamId, number, kind, facts.Client.Value, facts.Subject?.ToString(), facts.Grant, facts.Session, scopes, audience, at, expiresAt,
            e.Text(EventMetadata.Origin), e.Text(EventMetadata.Network), generation, null, CurrentToken.Live, null, null, null, e.Sequence);

    /// <summary>What has ended stays as it ended: a revoked token that also runs out was revoked.</summary>
    private static List<CurrentToken> End(IEnumerable<CurrentToken> rows, string state, DateTimeOffset at, string? by, string? why, IEvent e) =>
        [.. rows.Where(row => row.IsLive).Select(row => row with { State = state, EndedAt = at, EndedBy = by, EndedWhy = why, Position = e.Sequence })];

    private static DateTimeOffset Earlier(DateTimeOffset one, DateTimeOffset other) => one < other ? one : other;
}
