using System.Threading.RateLimiting;
using Grants.Api.Http;

namespace Grants.Api.Login;

/// <summary>
/// How many passwords are hashed at a time (E12). Each hash keeps a processor busy for about a tenth of a second, so a flood of sign-ins
/// could otherwise take them all from the token endpoint. The others wait in line, first those of one network among themselves: a network
/// that floods fills its own line, and people elsewhere wait for one hash of it at a time. When a line is full, the answer comes at once.
/// Each node counts for itself.
/// </summary>
public sealed class PasswordChecks : IDisposable
{
    private const string Everybody = "";
    private readonly PartitionedRateLimiter<string> _networks;
    private readonly PartitionedRateLimiter<string> _all;
    private readonly PartitionedRateLimiter<string> _both;

    public PasswordChecks(Settings settings)
    {
        _networks = PartitionedRateLimiter.Create<string, string>(network => Line(network, Math.Max(1, settings.PasswordChecks / 2), settings.PasswordChecksWaitingPerNetwork));
        _all = PartitionedRateLimiter.Create<string, string>(_ => Line(Everybody, settings.PasswordChecks, settings.PasswordChecksWaiting));
        _both = PartitionedRateLimiter.CreateChained(_networks, _all);
    }

    /// <summary>To be disposed of when the password is checked. Not acquired: the line is full, and nothing may be hashed.</summary>
    /// <param name="network">Where the sign-in comes from; null when that is unknown.</param>
    public async ValueTask<RateLimitLease> EnterAsync(string? network, CancellationToken cancellation)
    {
        var turn = await _both.AcquireAsync(network ?? "", cancellationToken: cancellation);
        if (!turn.IsAcquired) Refusals.Count("PasswordChecksWaiting");
        return turn;
    }

    public void Dispose()
    {
        _both.Dispose();
        _all.Dispose();
        _networks.Dispose();
    }

    private static RateLimitPartition<string> Line(string key, int atOnce, int waiting) => RateLimitPartition.GetConcurrencyLimiter(key,
        _ => new ConcurrencyLimiterOptions { PermitLimit = atOnce, QueueLimit = waiting, QueueProcessingOrder = QueueProcessingOrder.OldestFirst });
}
