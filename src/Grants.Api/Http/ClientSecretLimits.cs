using System.Net;
using System.Threading.RateLimiting;
using Grants.Api.Keys;
using Grants.Domain.Protocol;

namespace Grants.Api.Http;

/// <summary>
/// How often a minute a client's secret may be got wrong from one network (K1). Only failures count, and only for that network, so
/// that nobody can lock a client out from elsewhere. Each node counts for itself.
/// </summary>
public sealed class ClientSecretLimits(Settings settings) : IDisposable
{
    private readonly PartitionedRateLimiter<(ClientId, string)> _failures = PartitionedRateLimiter.Create<(ClientId, string), (ClientId, string)>(key =>
        RateLimitPartition.GetFixedWindowLimiter(key, _ => new FixedWindowRateLimiterOptions { PermitLimit = settings.ClientSecretsPerMinute, Window = TimeSpan.FromMinutes(1), QueueLimit = 0 }));

    /// <summary>Whether another try is heard at all.</summary>
    public bool Admits(ClientId client, IPAddress? from)
    {
        using var lease = _failures.AttemptAcquire(Key(client, from), permitCount: 0);
        if (!lease.IsAcquired) Refusals.Count("ClientSecretsPerMinute");
        return lease.IsAcquired;
    }

    public void Failed(ClientId client, IPAddress? from)
    {
        Refusals.CountFailedClient();
        _failures.AttemptAcquire(Key(client, from)).Dispose();
    }

    public void Dispose() => _failures.Dispose();

    private static (ClientId, string) Key(ClientId client, IPAddress? from) => (client, from is null ? "" : PersonalData.Network(from));
}
