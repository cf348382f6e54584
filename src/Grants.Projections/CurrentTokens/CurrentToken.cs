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
/// <param name="Version">Where in its stream the token was issued, or the refresh token last renewed: its end stands after it.</param>
/// <param name="Actors">Who acts in the person's place, whoever acts now first; null where nobody is said to.</param>
/// <param name="Parents">The tokens that it was exchanged for, the nearest first, each as family and number; null for none. It ends with each of them.</param>
/// <param name="Root">The family of the last of them.</param>
public sealed record CurrentToken(Guid Family, int Number, string Kind, string Client, string? Subject, Guid? Grant, Guid? Session, string Scopes,
    string Audience, DateTimeOffset IssuedAt, DateTimeOffset ExpiresAt, string? Origin, string? Network, int Generation, DateTimeOffset? LastUsedAt,
    string State, DateTimeOffset? EndedAt, string? EndedBy, string? EndedWhy, long Position, long Version, string? Actors = null, string? Parents = null, Guid? Root = null)
{
    public const string AccessToken = "access_token";
    public const string RefreshToken = "refresh_token";
    public const string Live = "live";
    public const string Expired = "expired";
    public const string Revoked = "revoked";

    public bool IsLive => State == Live;

    /// <summary>Whether it came of a token of this family, or of this very token.</summary>
    internal bool CameOf(Guid family, int? number = null) => Parents?.Split(' ').Any(parent => number is { } one ? parent == Place(family, one) : parent.StartsWith($"{family:N}.", StringComparison.Ordinal)) == true;

    internal static string Place(Guid family, int number) => $"{family:N}.{number}";
}

/// <summary>Which live rows a page of events needs.</summary>
/// <param name="Renewed">Families of which the refresh token's row is enough.</param>
/// <param name="Whole">Families of which all live rows are needed.</param>
/// <param name="EndedGrants">Grants of which all live rows are needed.</param>
/// <param name="Revoked">Families of which a token was revoked: the live rows of all that may have come of it.</param>
public sealed record TouchedTokens(Guid[] Renewed, Guid[] Whole, Guid[] EndedGrants, Guid[] Revoked)
{
    public bool IsEmpty => Renewed.Length + Whole.Length + EndedGrants.Length + Revoked.Length == 0;
}

/// <summary>How one access token ended. Counts only for a row that is live: what has ended stays as it ended.</summary>
public sealed record TokenEnd(Guid Family, int Number, string State, DateTimeOffset At, string? By, string? Why, long Position);

/// <summary>Folds a page of events into what becomes of the rows of current tokens. Pure: rebuilt from zero it gives what it gave live (L5).</summary>
public static class CurrentTokenRows
{
    /// <summary>The events that say something about tokens; grants take theirs with them.</summary>
    public static IEnumerable<Type> Events =>
        [.. EventNames.TypesOf<TokenFamilyEvent>().Except([typeof(TokenFamilyEvent.IdTokenIssued), typeof(TokenFamilyEvent.RefreshTokenReplayed), typeof(TokenFamilyEvent.AssertionAccepted)]), typeof(GrantEvent.Revoked), typeof(GrantEvent.Expired)];

    /// <summary>
    /// The rows that the fold has to see. Not those of a family that begins in the page, since it has none yet, nor those of one of
    /// which only single access tokens end, since that can be said without them: the two events of most tokens, the issue and the end,
    /// read nothing. A renewal needs the refresh token's row alone, however many access tokens the family has had (L8). What is revoked
    /// takes along what came of it: so also the rows with the same root as those families.
    /// </summary>
    public static TouchedTokens Touched(IReadOnlyList<IEvent> page)
    {
        var begun = page.Where(e => e.Version == 1).Select(e => e.StreamId).ToHashSet();
        return new(
            Streams(e => e is TokenFamilyEvent.AccessTokenIssued or TokenFamilyEvent.RefreshTokenIssued or TokenFamilyEvent.RefreshTokenRotated or TokenFamilyEvent.Expired, begun),
            Streams(e => e is TokenFamilyEvent.Revoked or TokenFamilyEvent.TokenExchanged, begun),
            Streams(e => e is GrantEvent.Revoked or GrantEvent.Expired),
            Streams(e => e is TokenFamilyEvent.Revoked or TokenFamilyEvent.AccessTokenRevoked));

        Guid[] Streams(Func<object, bool> which, HashSet<Guid>? except = null) => [.. page.Where(e => which(e.Data) && except?.Contains(e.StreamId) != true).Select(e => e.StreamId).Distinct()];
    }

    /// <summary>Rows to write as they are, and the ends of tokens whose rows were not read.</summary>
    public static (IReadOnlyCollection<CurrentToken> Rows, IReadOnlyCollection<TokenEnd> Ends) Apply(IEnumerable<CurrentToken> before, IReadOnlyList<IEvent> page)
    {
        var rows = before.ToDictionary(row => (row.Family, row.Number));
        var changed = new HashSet<(Guid, int)>();
        var ends = new Dictionary<(Guid, int), TokenEnd>();
        foreach (var e in page)
        {
            foreach (var row in Changes(rows, e))
            {
                rows[(row.Family, row.Number)] = row;
                changed.Add((row.Family, row.Number));
            }

            foreach (var end in Ends(e))
            {
                if (!rows.TryGetValue((end.Family, end.Number), out var row))
                {
                    ends.TryAdd((end.Family, end.Number), end);
                }
                else if (row.IsLive)
                {
                    rows[(row.Family, row.Number)] = End(row, end.State, end.At, end.By, end.Why, e);
                    changed.Add((row.Family, row.Number));
                }
            }
        }

        return ([.. changed.Select(key => rows[key])], ends.Values);
    }

    /// <summary>The single access tokens that an event ends.</summary>
    private static IEnumerable<TokenEnd> Ends(IEvent e) => e.Data switch
    {
        TokenFamilyEvent.AccessTokenExpired ended => [new(e.StreamId, ended.Number, CurrentToken.Expired, ended.At, null, null, e.Sequence)],
        TokenFamilyEvent.AccessTokensExpired ended => ended.Numbers.Select(number => new TokenEnd(e.StreamId, number, CurrentToken.Expired, ended.At, null, null, e.Sequence)),
        TokenFamilyEvent.AccessTokenRevoked ended => [new(e.StreamId, ended.Number, CurrentToken.Revoked, ended.At, ended.By, ended.Why, e.Sequence)],
        _ => [],
    };

    /// <summary>The rows that any other event adds or changes.</summary>
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
                    ExpiresAt = issued.ExpiresAt, Origin = e.Text(EventMetadata.Origin), Network = e.Text(EventMetadata.Network), Generation = 0, LastUsedAt = null, Position = e.Sequence, Version = e.Version }],
            TokenFamilyEvent.RefreshTokenIssued issued =>
                [New(e, 0, CurrentToken.RefreshToken, issued.Facts, issued.Facts.Scopes.ToString(), "", issued.At, Earlier(issued.IdleExpiresAt, issued.ExpiresAt), 1)],
            TokenFamilyEvent.RefreshTokenRotated rotated when rows.TryGetValue((family, 0), out var row) && row.IsLive =>
                [row with { Generation = rotated.Generation, LastUsedAt = rotated.At, ExpiresAt = Earlier(rotated.IdleExpiresAt, rotated.ExpiresAt), Position = e.Sequence, Version = e.Version }],
            TokenFamilyEvent.Expired ended when rows.TryGetValue((family, 0), out var row) && row.IsLive => [End(row, CurrentToken.Expired, ended.At, null, null, e)],
            TokenFamilyEvent.TokenExchanged { Parents: [.., var root] parents } when rows.TryGetValue((family, 1), out var row) =>
                [row with { Parents = string.Join(' ', parents.Select(parent => CurrentToken.Place(parent.Family, parent.Number))), Root = root.Family, Position = e.Sequence }],
            TokenFamilyEvent.Revoked ended => EndAll(row => row.Family == family || row.CameOf(family), CurrentToken.Revoked, ended.At, ended.By, ended.Why),
            TokenFamilyEvent.AccessTokenRevoked ended => EndAll(row => row.CameOf(family, ended.Number), CurrentToken.Revoked, ended.At, ended.By, ended.Why),
            GrantEvent.Revoked ended => EndAll(row => row.Grant == e.StreamId, CurrentToken.Revoked, ended.At, ended.By, ended.Why),
            GrantEvent.Expired ended => EndAll(row => row.Grant == e.StreamId, CurrentToken.Expired, ended.At, null, null),
            _ => [],
        };

        List<CurrentToken> EndAll(Func<CurrentToken, bool> which, string state, DateTimeOffset at, string? by, string? why) =>
            [.. rows.Values.Where(row => row.IsLive && which(row)).Select(row => End(row, state, at, by, why, e))];
    }

    private static CurrentToken New(IEvent e, int number, string kind, FamilyFacts facts, string scopes, string audience, DateTimeOffset at, DateTimeOffset expiresAt, int generation) =>
        new(e.StreamId, number, kind, facts.Client.Value, facts.Subject?.ToString(), facts.Grant, facts.Session, scopes, audience, at, expiresAt,
            e.Text(EventMetadata.Origin), e.Text(EventMetadata.Network), generation, null, CurrentToken.Live, null, null, null, e.Sequence, e.Version, ActorsOf(facts.Act));

    private static string? ActorsOf(Actor? actor) => actor is null ? null : actor.Act is null ? actor.Subject : $"{actor.Subject} {ActorsOf(actor.Act)}";

    private static CurrentToken End(CurrentToken row, string state, DateTimeOffset at, string? by, string? why, IEvent e) =>
        row with { State = state, EndedAt = at, EndedBy = by, EndedWhy = why, Position = e.Sequence };

    private static DateTimeOffset Earlier(DateTimeOffset one, DateTimeOffset other) => one < other ? one : other;
}
