using System.Threading.Channels;
using System.Threading.RateLimiting;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Domain.Protocol;
using Microsoft.AspNetCore.Identity;

namespace Grants.Api.Login;

/// <summary>What came of a user name and a password. Unknown, wrong, locked and disabled are one and the same answer.</summary>
public enum SignInOutcome { Proven, Refused, TooManyTries }

/// <summary>
/// Checks a user name and a password with Identity's hasher and lock-out. Failures are written off the request, so that neither the
/// answer nor its timing tells whether the account exists (design §2).
/// </summary>
public sealed class PasswordSignIn(IServiceScopeFactory scopes, PersonalData personal, SignInFailures failures, Settings settings) : IDisposable
{
    private readonly PartitionedRateLimiter<string> _tries = PartitionedRateLimiter.Create<string, string>(key =>
        RateLimitPartition.GetFixedWindowLimiter(key, _ => new FixedWindowRateLimiterOptions { PermitLimit = settings.SignInsPerQuarterHour, Window = TimeSpan.FromMinutes(15), QueueLimit = 0 }));

    /// <summary>A hash of nobody's password: an unknown name costs what a wrong password costs.</summary>
    private readonly Lazy<string> _nobody = new(() => new PasswordHasher<Person>().HashPassword(null!, "nobody's password"));

    public async Task<(SignInOutcome Outcome, SubjectId? Subject)> TryAsync(string username, Secret password, Cause cause, CancellationToken cancellation)
    {
        var name = username.Normalize().ToUpperInvariant();
        using var lease = _tries.AttemptAcquire($"{cause.Network}|{await personal.LoginHashAsync(name, cancellation)}");
        if (!lease.IsAcquired) return (SignInOutcome.TooManyTries, null);

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

    public void Dispose() => _tries.Dispose();
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
