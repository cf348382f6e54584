using System.Security.Cryptography;
using System.Text;
using Grants.Api.Log;
using Grants.Projections;
using Npgsql;

namespace Grants.Api.Http;

/// <summary>
/// Ids that may be used once until they run out, on all nodes together: <c>jti</c> of client assertions (RFC 7523 §3) and of DPoP proofs
/// (RFC 9449 §11.1). Only hashes are kept, and none longer than it could be used.
/// </summary>
public sealed class UsedIds(LogDataSource database, TimeProvider clock) : BackgroundService
{
    private static readonly TimeSpan SweepEvery = TimeSpan.FromMinutes(5);

    /// <summary>True for the first to use it, false for everybody later.</summary>
    /// <param name="kind">What it is an id of, such as <c>client_assertion</c>: equal ids of two kinds don't meet.</param>
    /// <param name="owner">Who made the id: a client, or a key's thumbprint.</param>
    /// <param name="expiresAt">From then on it is refused for its age, so that it may be forgotten.</param>
    public async Task<bool> UseAsync(string kind, string owner, string id, DateTimeOffset expiresAt, CancellationToken cancellation)
    {
        await using var command = database.Value.CreateCommand($"""
            insert into {GrantsStore.UsedIds} as u (hash, expires_at) values ($1, $2)
            on conflict (hash) do update set expires_at = excluded.expires_at where u.expires_at <= $3
            returning true
            """);
        // The lengths keep two different triples from giving one text.
        command.Parameters.Add(new NpgsqlParameter { Value = SHA256.HashData(Encoding.UTF8.GetBytes($"{kind}:{owner.Length}:{owner}:{id}")) });
        command.Parameters.Add(new NpgsqlParameter { Value = expiresAt.ToUniversalTime() });
        command.Parameters.Add(new NpgsqlParameter { Value = clock.GetUtcNow() });
        return await command.ExecuteScalarAsync(cancellation) is true;
    }

    /// <summary>Forgets what has run out. Returns how many.</summary>
    public async Task<int> SweepAsync(CancellationToken cancellation)
    {
        await using var command = database.Value.CreateCommand($"delete from {GrantsStore.UsedIds} where expires_at <= $1");
        command.Parameters.Add(new NpgsqlParameter { Value = clock.GetUtcNow() });
        return await command.ExecuteNonQueryAsync(cancellation);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            await Task.Delay(SweepEvery, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            try
            {
                if (!stoppingToken.IsCancellationRequested) await SweepAsync(stoppingToken);
            }
            catch (Exception e) when (e is NpgsqlException or TimeoutException or OperationCanceledException)
            {
                // The next sweep takes them along; an id that has run out harms nobody.
            }
        }
    }
}
