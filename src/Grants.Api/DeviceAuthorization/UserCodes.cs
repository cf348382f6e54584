using System.Buffers.Text;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Threading.RateLimiting;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Domain.Protocol;
using Grants.Projections;
using Npgsql;

namespace Grants.Api.DeviceAuthorization;

/// <summary>User codes as this server keeps them: a keyed hash in the event that gives the code out. 34 bits are soon tried out, but not without the key.</summary>
public sealed class UserCodes(KeyVault vault, LogDataSource database)
{
    public static string Draw() => RandomNumberGenerator.GetString(UserCode.Alphabet, UserCode.Length);

    /// <summary>What stands for a code in the log, 128 bits.</summary>
    public async Task<Func<string, string>> HasherAsync(CancellationToken cancellation)
    {
        var key = await vault.GetOrMakeAsync("user-code-hash:1", cancellation: cancellation);
        return letters => Base64Url.EncodeToString(HMACSHA256.HashData(key, Encoding.ASCII.GetBytes(letters)).AsSpan(0, 16));
    }

    /// <summary>The request that gave this code out, however it stands by now; null when none did.</summary>
    public async Task<Guid?> FindAsync(string letters, CancellationToken cancellation)
    {
        var hash = await HasherAsync(cancellation);
        await using var command = database.Value.CreateCommand($"select stream_id from {GrantsStore.Schema}.mt_events where type = '{GrantsStore.DeviceRequested}' and data ->> 'user_code' = $1");
        command.Parameters.Add(new NpgsqlParameter { Value = hash(letters) });
        return await command.ExecuteScalarAsync(cancellation) is Guid found ? found : null;
    }
}

/// <summary>
/// How many user codes may be typed: by one person, from one network, and by all (RFC 8628 §5.1). Right ones count like wrong ones,
/// since a count that comes before the answer holds when many are tried at once. Each node counts for itself.
/// </summary>
public sealed class UserCodeLimits(Settings settings) : IDisposable
{
    private const int PeopleOfANetwork = 10;
    private static readonly TimeSpan QuarterHour = TimeSpan.FromMinutes(15);

    private readonly PartitionedRateLimiter<SubjectId> _people = PerQuarterHour<SubjectId>(settings.UserCodesPerQuarterHour);
    private readonly PartitionedRateLimiter<string> _networks = PerQuarterHour<string>(PeopleOfANetwork * settings.UserCodesPerQuarterHour);
    private readonly FixedWindowRateLimiter _all = new(new() { PermitLimit = settings.UserCodesPerMinute, Window = TimeSpan.FromMinutes(1), QueueLimit = 0 });

    /// <summary>Counts one code. How long to wait before another is heard; null when this one is.</summary>
    public TimeSpan? Wait(SubjectId person, IPAddress? from)
    {
        using var one = _people.AttemptAcquire(person);
        if (!one.IsAcquired) return WaitOf(one, "UserCodesPerQuarterHour");
        using var network = _networks.AttemptAcquire(from is null ? "" : PersonalData.Network(from));
        if (!network.IsAcquired) return WaitOf(network, "UserCodesPerQuarterHour");
        using var all = _all.AttemptAcquire();
        return all.IsAcquired ? null : WaitOf(all, "UserCodesPerMinute");
    }

    public void Dispose()
    {
        _people.Dispose();
        _networks.Dispose();
        _all.Dispose();
    }

    private static TimeSpan WaitOf(RateLimitLease refused, string limit)
    {
        Refusals.Count(limit);
        return refused.TryGetMetadata(MetadataName.RetryAfter, out var wait) ? wait : QuarterHour;
    }

    private static PartitionedRateLimiter<TKey> PerQuarterHour<TKey>(int permits) where TKey : notnull => PartitionedRateLimiter.Create<TKey, TKey>(key =>
        RateLimitPartition.GetFixedWindowLimiter(key, _ => new FixedWindowRateLimiterOptions { PermitLimit = permits, Window = QuarterHour, QueueLimit = 0 }));
}
