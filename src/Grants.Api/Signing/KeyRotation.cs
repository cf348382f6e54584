using Grants.Api.Log;
using Npgsql;

namespace Grants.Api.Signing;

/// <summary>Looks once an hour whether signing keys are due to change. Any number of nodes may: they take turns, and the second finds nothing to do (E15).</summary>
public sealed class KeyRotation(KeyRing ring, ILogger<KeyRotation> logger) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    private static readonly Action<ILogger, string, Exception?> Failed =
        LoggerMessage.Define<string>(LogLevel.Error, new EventId(1, "RotationFailed"), "Signing keys could not be looked after; it is tried again in an hour: {Reason}");

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            await Task.Delay(Interval, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            try
            {
                if (!stoppingToken.IsCancellationRequested) await ring.MaintainAsync(new Cause(Cause.System("key-rotation"), "key-rotation", "key-rotation"), stoppingToken);
            }
            catch (Exception e) when (e is NpgsqlException or TimeoutException or TooBusyException or OperationCanceledException)
            {
                if (!stoppingToken.IsCancellationRequested) Failed(logger, e.GetType().Name, null);
            }
        }
    }
}
