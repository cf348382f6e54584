using Grants.Domain.Protocol;
using Grants.Projections;
using Grants.Projections.CurrentGrants;
using Grants.Projections.CurrentTokens;
using Npgsql;

namespace Grants.Api.Account;

/// <summary>How far a view has come.</summary>
/// <param name="Position">The log position that it stands for.</param>
/// <param name="Behind">How old the first event is that it hasn't seen; zero when it has seen all.</param>
public sealed record ViewPosition(long Position, TimeSpan Behind);

/// <summary>Reads the asynchronous views. What they say may be moments old, so every answer goes out with its position.</summary>
public sealed class AccessViews(NpgsqlDataSource database, TimeProvider clock)
{
    /// <summary>All that a person ever allowed, newest first.</summary>
    public Task<IReadOnlyList<CurrentGrant>> GrantsOfAsync(SubjectId subject, CancellationToken cancellation) =>
        GrantsAsync("where subject = $1", [subject.ToString()], cancellation);

    /// <summary>Grants by a condition of ours with its parameters, newest first.</summary>
    public async Task<IReadOnlyList<CurrentGrant>> GrantsAsync(string where, object[] parameters, CancellationToken cancellation)
    {
        var grants = await CurrentGrantsTable.Rows.ReadAsync(database, $"{where} order by created_at desc, id", parameters, cancellation);
        var uses = await LastUsesAsync([.. grants.Select(grant => grant.Id)], cancellation);
        return [.. grants.Select(grant => grant with { LastUsedAt = uses.GetValueOrDefault(grant.Id) })];
    }

    /// <summary>Tokens by a condition of ours with its parameters, newest first.</summary>
    public Task<IReadOnlyList<CurrentToken>> TokensAsync(string where, object[] parameters, CancellationToken cancellation) =>
        CurrentTokensTable.Rows.ReadAsync(database, $"{where} order by issued_at desc, family, number", parameters, cancellation);

    /// <summary>When each of these grants was last used: when its newest token was issued.</summary>
    private async Task<Dictionary<Guid, DateTimeOffset?>> LastUsesAsync(Guid[] grants, CancellationToken cancellation)
    {
        await using var command = Command(
            $"select id, (select max(issued_at) from {CurrentTokensTable.Rows.FullName} where grant_id = id) from unnest($1) as id", [grants]);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var uses = new Dictionary<Guid, DateTimeOffset?>();
        while (await reader.ReadAsync(cancellation)) uses[reader.GetGuid(0)] = reader.Time(1);
        return uses;
    }

    /// <summary>How many tokens of a grant were issued, and how many of them the view holds for usable.</summary>
    public async Task<(int Issued, int Live)> TokenCountsAsync(Guid grant, CancellationToken cancellation)
    {
        await using var command = Command(
            $"select count(*)::int, (count(*) filter (where state = 'live' and expires_at > $2))::int from {CurrentTokensTable.Rows.FullName} where grant_id = $1 and kind = 'access_token'", [grant, clock.GetUtcNow()]);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        return (reader.GetInt32(0), reader.GetInt32(1));
    }

    /// <summary>The position of the view that is furthest behind among those that the person's pages read.</summary>
    public async Task<ViewPosition> PositionAsync(CancellationToken cancellation)
    {
        await using var command = Command($"""
            with seen as (select coalesce(min(last_seq_id), 0) as position from {GrantsStore.Schema}.mt_event_progression where name = any($1))
            select seen.position, (select min(e.timestamp) from {GrantsStore.Schema}.mt_events e where e.seq_id > seen.position) from seen
            """, [new[] { $"{CurrentGrantsTable.ViewName}:All", $"{CurrentTokensTable.ViewName}:All" }]);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        var behind = reader.Time(1) is { } waiting ? clock.GetUtcNow() - waiting : TimeSpan.Zero;
        return new ViewPosition(reader.GetInt64(0), behind < TimeSpan.Zero ? TimeSpan.Zero : behind);
    }

    /// <summary>Waits until the views have seen everything up to now. False when that took longer than <paramref name="patience"/>.</summary>
    public async Task<bool> CatchUpAsync(TimeSpan patience, CancellationToken cancellation)
    {
        await using var newest = Command($"select coalesce(max(seq_id), 0) from {GrantsStore.Schema}.mt_events", []);
        var target = (long)(await newest.ExecuteScalarAsync(cancellation))!;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(patience);
        using var pause = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        try
        {
            while ((await PositionAsync(limit.Token)).Position < target) await pause.WaitForNextTickAsync(limit.Token);
            return true;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return false;
        }
    }

    private NpgsqlCommand Command(string sql, object[] parameters)
    {
        var command = database.CreateCommand(sql);
        foreach (var parameter in parameters) command.Parameters.Add(new NpgsqlParameter { Value = parameter });
        return command;
    }
}
