using Grants.Projections;
using JasperFx;
using Npgsql;

namespace Grants.Api.Log;

/// <summary>Which failures of a commit only mean that somebody else was first.</summary>
internal static class LostRaces
{
    /// <summary>
    /// A stream that moved on (raised by expect_versions), a unique violation (a stream or a live grant that another commit made), a
    /// deadlock, and a stream that somebody holds for too long: in each case nothing of ours was written.
    /// </summary>
    public static bool Include(Exception exception) => exception switch
    {
        ConcurrencyException or JasperFx.Events.ExistingStreamIdCollisionException or Marten.Exceptions.ExistingStreamIdCollisionException => true,
        PostgresException { SqlState: GrantsStore.StreamMoved or PostgresErrorCodes.UniqueViolation or PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.LockNotAvailable } => true,
        { InnerException: { } inner } => Include(inner),
        _ => false,
    };
}

/// <summary>Every attempt at a commit was lost to others, or too many wait; nothing was written. Answered with 503 and <c>Retry-After</c>.</summary>
public sealed class TooBusyException(string message, Exception? inner = null) : Exception(message, inner);
