using System.Threading.Channels;
using System.Threading.RateLimiting;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Domain.Protocol;
using Microsoft.AspNetCore.Identity;

namespace Grants.Api.Login;

/// <summary>What came of a user name and a password. Unknown, wrong, locked and disabled are one and the same answer; when busy, nothing was tried.</summary>
public enum SignInOutcome { Proven, Refused, TooManyTries, Busy }

/// <summary>
/// Checks a user name and a password with Identity's hasher and lock-out. Failures are written off the request, so that neither the
/// answer nor its timing tells whether the account exists (design §2).
/// </summary>
public sealed class PasswordSignIn(IServiceScopeFactory scopes, PersonalData personal, PasswordChecks checks, SignInFailures failures, Settings settings) : IDisposable
{
    private readonly PartitionedRateLimiter<string> _tries = PerQuarterHour(settings.SignInsPerQuarterHour);

    /// <summary>Only failures count here: many people may be behind one address.</summary>
    private readonly PartitionedRateLimiter<string> _failures = PerQuarterHour(settings.FailedSignInsPerQuarterHourPerNetwork);

    /// <summary>A hash of nobody's password: an unknown name costs what a wrong password costs.</summary>
    private readonly Lazy<string> _nobody = new(() => new PasswordHasher<Person>().HashPassword(null!, "nobody's password"));

    public async Task<(SignInOutcome Outcome, SubjectId? Subject)> TryAsync(string username, Secret password, Cause cause, CancellationToken cancellation)
    {
        var name = username.Normalize().ToUpperInvariant();
        using var network = _failures.AttemptAcquire(cause.Network ?? "", permitCount: 0);
        if (!network.IsAcquired) return TooMany("FailedSignInsPerQuarterHourPerNetwork");
        using var lease = _tries.AttemptAcquire($"{cause.Network}|{await personal.LoginHashAsync(name, cancellation)}");
        if (!lease.IsAcquired) return TooMany("SignInsPerQuarterHour");

        using var turn = await checks.EnterAsync(cause.Network, cancellation);
        if (!turn.IsAcquired) return (SignInOutcome.Busy, null);
        var tried = await CheckAsync(username, password, cause);
        Refusals.CountSignIn(proven: tried.Outcome == SignInOutcome.Proven);
        if (tried.Outcome == SignInOutcome.Refused) _failures.AttemptAcquire(cause.Network ?? "").Dispose();
        return tried;
    }

    private async Task<(SignInOutcome Outcome, SubjectId? Subject)> CheckAsync(string username, Secret password, Cause cause)
    {
        await using var scope = scopes.CreateAsyncScope();
        var people = scope.ServiceProvider.GetRequiredService<People>();
        var person = await people.FindByNameAsync(username);
        if (person is null)
        {
            people.PasswordHasher.VerifyHashedPassword(null!, _nobody.Value, password.Expose());
            return (SignInOutcome.Refused, null);
        }

        person.Cause = cause with { Actor = Cause.Person(person.Subject) };
        var right = await people.CheckPasswordAsync(person, password.Expose());
        if (await people.IsLockedOutAsync(person)) return (SignInOutcome.Refused, null);
        if (!right)
        {
            failures.Add(person.Subject, cause);
            return (SignInOutcome.Refused, null);
        }

        if (person.AccessFailedCount > 0) await people.ResetAccessFailedCountAsync(person);
        return (SignInOutcome.Proven, person.Subject);
    }

    public void Dispose()
    {
        _tries.Dispose();
        _failures.Dispose();
    }

    private static (SignInOutcome Outcome, SubjectId? Subject) TooMany(string limit)
    {
        Refusals.Count(limit);
        return (SignInOutcome.TooManyTries, null);
    }

    private static PartitionedRateLimiter<string> PerQuarterHour(int permits) => PartitionedRateLimiter.Create<string, string>(key =>
        RateLimitPartition.GetFixedWindowLimiter(key, _ => new FixedWindowRateLimiterOptions { PermitLimit = permits, Window = TimeSpan.FromMinutes(15), QueueLimit = 0 }));
}

/// <summary>Writes failed sign-ins to real accounts, one after the other, off the requests that failed.</summary>
public sealed class SignInFailures(IServiceScopeFactory scopes, ILogger<SignInFailures> logger) : BackgroundService
{
    private static readonly Action<ILogger, string, Exception?> Failed =
        LoggerMessage.Define<string>(LogLevel.Error, new EventId(1, "SignInFailureNotRecorded"), "A failed sign-in could not be recorded: {Reason}");

    // Bounded: whoever floods sign-ins gets fewer events written, not more memory used. The rate limit keeps real ones far below.
    private readonly Channel<(SubjectId, Cause)> _waiting = Channel.CreateBounded<(SubjectId, Cause)>(new BoundedChannelOptions(1000) { FullMode = BoundedChannelFullMode.DropOldest });

    public void Add(SubjectId subject, Cause cause) => _waiting.Writer.TryWrite((subject, cause));

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await foreach (var (subject, cause) in _waiting.Reader.ReadAllAsync(stoppingToken))
        {
            try
            {
                await using var scope = scopes.CreateAsyncScope();
                var people = scope.ServiceProvider.GetRequiredService<People>();
                if (await people.FindByIdAsync(subject.ToString()) is not { } person || await people.IsLockedOutAsync(person)) continue;
                person.Cause = cause with { Actor = Cause.System("sign-in") };
                await people.AccessFailedAsync(person);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                Failed(logger, e.GetType().Name, null); // the next one may fare better; the message could hold personal data
            }
        }
    }
}
