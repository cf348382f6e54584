using Grants.Api.Log;
using Grants.Domain.Authorizations;
using Grants.Projections;
using Npgsql;

namespace Grants.Api.DeviceAuthorization;

/// <summary>
/// When each waiting device polled last and how long it has to wait, on all nodes together: RFC 8628 §3.5. One row for each device, and
/// none longer than its code: a poll is no event, or a device could fill the log (E11).
/// </summary>
public sealed class DevicePolls(LogDataSource database, TimeProvider clock) : BackgroundService
{
    private static readonly TimeSpan SweepEvery = TimeSpan.FromMinutes(5);

    /// <summary>Takes note of a poll. True when it came too soon: then the device has to wait five seconds longer from now on.</summary>
    /// <param name="expiresAt">From then on the device code is refused for its age, so that the row may go.</param>
    public async Task<bool> TooSoonAsync(Guid device, DateTimeOffset expiresAt, CancellationToken cancellation)
    {
        // The row's lock makes two polls at once come one after the other, whatever node they came to.
        await using var command = database.Value.CreateCommand($"""
            insert into {GrantsStore.DevicePolls} as p (device, polled_at, wait_seconds, too_soon, expires_at) values ($1, $2, $3, false, $4)
            on conflict (device) do update set polled_at = greatest(p.polled_at, $2),
                too_soon = $2 < p.polled_at + make_interval(secs => p.wait_seconds),
                wait_seconds = p.wait_seconds + case when $2 < p.polled_at + make_interval(secs => p.wait_seconds) then $3 else 0 end
            returning too_soon
            """);
        command.Parameters.Add(new NpgsqlParameter { Value = device });
        command.Parameters.Add(new NpgsqlParameter { Value = clock.GetUtcNow() });
        command.Parameters.Add(new NpgsqlParameter { Value = (int)RequestDevice.Interval.TotalSeconds });
        command.Parameters.Add(new NpgsqlParameter { Value = expiresAt.ToUniversalTime() });
        return await command.ExecuteScalarAsync(cancellation) is true;
    }

    /// <summary>Forgets devices whose codes have run out. Returns how many.</summary>
    public async Task<int> SweepAsync(CancellationToken cancellation)
    {
        await using var command = database.Value.CreateCommand($"delete from {GrantsStore.DevicePolls} where expires_at <= $1");
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
                // The next sweep takes them along; a device that nobody waits for harms nobody.
            }
        }
    }
}
