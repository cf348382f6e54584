using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Marten;
using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.Options;

namespace Grants.Api.Login;

/// <summary>A person's account as ASP.NET Core Identity handles it. Lives for one request; what changes is written as events.</summary>
public sealed class Person
{
    public required SubjectId Subject { get; init; }

    /// <summary>Who or what touches the account: marks the events.</summary>
    public required Cause Cause { get; set; }

    public string? UserName { get; set; }
    public string? PasswordHash { get; set; }
    public int AccessFailedCount { get; set; }
    public DateTimeOffset? LockoutEnd { get; set; }

    /// <summary>The account as it was read.</summary>
    public required Subject Before { get; init; }
    public required string? PasswordHashBefore { get; init; }
}

/// <summary>Identity's store over the <c>subject</c> stream and its inline view: nothing is written beside events.</summary>
public sealed class PersonStore(IDocumentStore store, EventLog log, PersonalData personal) : IUserPasswordStore<Person>, IUserLockoutStore<Person>
{
    /// <summary>Marks what Identity itself changes while it looks an account up (nothing so far).</summary>
    private static readonly Cause Unmarked = new(Cause.System("sign-in"), "", "sign-in");

    public async Task<Person?> FindByNameAsync(string normalizedUserName, CancellationToken cancellationToken)
    {
        var hash = await personal.LoginHashAsync(normalizedUserName, cancellationToken);
        await using var session = store.QuerySession();
        return await Read(await session.Query<Subject>().FirstOrDefaultAsync(subject => subject.LoginHash == hash, cancellationToken), cancellationToken);
    }

    public async Task<Person?> FindByIdAsync(string userId, CancellationToken cancellationToken)
    {
        if (!SubjectId.TryParse(userId, out var id)) return null;
        await using var session = store.QuerySession();
        return await Read(await session.LoadAsync<Subject>(id.Value, cancellationToken), cancellationToken);
    }

    private async Task<Person?> Read(Subject? subject, CancellationToken cancellationToken)
    {
        if (subject is null || !subject.IsActive) return null;
        var hash = subject.PasswordHash is { } text ? await personal.OpenAsync(text, cancellationToken) : null;
        return new Person
        {
            Subject = subject.SubjectId,
            Cause = Unmarked,
            UserName = await personal.OpenAsync(subject.Username, cancellationToken),
            PasswordHash = hash,
            PasswordHashBefore = hash,
            AccessFailedCount = subject.FailedSignIns,
            LockoutEnd = subject.LockedUntil,
            Before = subject,
        };
    }

    /// <summary>Appends what Identity changed on the object since it was read.</summary>
    public async Task<IdentityResult> UpdateAsync(Person user, CancellationToken cancellationToken)
    {
        var id = user.Subject.Value;
        var newHash = user.PasswordHash != user.PasswordHashBefore && user.PasswordHash is { } hash ? await personal.SealAsync(user.Subject, hash, cancellationToken) : (SealedText?)null;
        await log.Commit(user.Cause, [id], (streams, now) =>
        {
            var events = new List<SubjectEvent>();
            if (streams.Subject(id) is { IsActive: true } subject)
            {
                if (newHash is { } sealedHash) events.Add(new SubjectEvent.PasswordSet(sealedHash, now));
                if (user.LockoutEnd is { } until && until != user.Before.LockedUntil) events.AddRange([new SubjectEvent.SignInFailed(subject.FailedSignIns + 1, now), new SubjectEvent.LockedOut(until, now)]);
                else if (user.AccessFailedCount > user.Before.FailedSignIns) events.Add(new SubjectEvent.SignInFailed(subject.FailedSignIns + 1, now));
                else if (user.AccessFailedCount < user.Before.FailedSignIns) events.Add(new SubjectEvent.SignInFailuresCleared(now));
            }

            return Decide.Accept(true, events.Select(e => new StreamEvent(id, e)));
        }, cancellationToken);
        return IdentityResult.Success;
    }

    public Task<IdentityResult> CreateAsync(Person user, CancellationToken cancellationToken) => throw new NotSupportedException("People are declared in the configuration.");

    public Task<IdentityResult> DeleteAsync(Person user, CancellationToken cancellationToken) => throw new NotSupportedException("People are erased, not deleted.");

    public Task<string> GetUserIdAsync(Person user, CancellationToken cancellationToken) => Task.FromResult(user.Subject.ToString());

    public Task<string?> GetUserNameAsync(Person user, CancellationToken cancellationToken) => Task.FromResult(user.UserName);

    public Task SetUserNameAsync(Person user, string? userName, CancellationToken cancellationToken) => Set(() => user.UserName = userName);

    public Task<string?> GetNormalizedUserNameAsync(Person user, CancellationToken cancellationToken) => Task.FromResult(user.UserName?.ToUpperInvariant());

    // Found by keyed hash; the normalised name itself is kept nowhere.
    public Task SetNormalizedUserNameAsync(Person user, string? normalizedName, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task SetPasswordHashAsync(Person user, string? passwordHash, CancellationToken cancellationToken) => Set(() => user.PasswordHash = passwordHash);

    public Task<string?> GetPasswordHashAsync(Person user, CancellationToken cancellationToken) => Task.FromResult(user.PasswordHash);

    public Task<bool> HasPasswordAsync(Person user, CancellationToken cancellationToken) => Task.FromResult(user.PasswordHash is not null);

    public Task<DateTimeOffset?> GetLockoutEndDateAsync(Person user, CancellationToken cancellationToken) => Task.FromResult(user.LockoutEnd);

    public Task SetLockoutEndDateAsync(Person user, DateTimeOffset? lockoutEnd, CancellationToken cancellationToken) => Set(() => user.LockoutEnd = lockoutEnd);

    public Task<int> IncrementAccessFailedCountAsync(Person user, CancellationToken cancellationToken) => Task.FromResult(++user.AccessFailedCount);

    public Task ResetAccessFailedCountAsync(Person user, CancellationToken cancellationToken) => Set(() => user.AccessFailedCount = 0);

    public Task<int> GetAccessFailedCountAsync(Person user, CancellationToken cancellationToken) => Task.FromResult(user.AccessFailedCount);

    public Task<bool> GetLockoutEnabledAsync(Person user, CancellationToken cancellationToken) => Task.FromResult(true);

    public Task SetLockoutEnabledAsync(Person user, bool enabled, CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() { }

    private static Task Set(Action change)
    {
        change();
        return Task.CompletedTask;
    }
}

/// <summary>
/// ASP.NET Core Identity's user manager with the server's own clock: Identity reads the machine's, and lock-outs must follow the same
/// time as everything else in the log.
/// </summary>
public sealed class People(IUserStore<Person> store, IOptions<IdentityOptions> options, IPasswordHasher<Person> hasher, ILookupNormalizer normalizer,
    IdentityErrorDescriber errors, IServiceProvider services, ILogger<UserManager<Person>> logger, TimeProvider clock)
    : UserManager<Person>(store, options, hasher, [], [], normalizer, errors, services, logger)
{
    public override Task<bool> IsLockedOutAsync(Person user) => Task.FromResult(user.LockoutEnd > clock.GetUtcNow());

    public override async Task<IdentityResult> AccessFailedAsync(Person user)
    {
        if (await Store.IncrementAsync(user) >= Options.Lockout.MaxFailedAccessAttempts)
        {
            user.LockoutEnd = clock.GetUtcNow() + Options.Lockout.DefaultLockoutTimeSpan;
            user.AccessFailedCount = 0;
        }

        return await UpdateUserAsync(user);
    }
}

internal static class LockoutStore
{
    public static Task<int> IncrementAsync(this IUserStore<Person> store, Person user) =>
        ((IUserLockoutStore<Person>)store).IncrementAccessFailedCountAsync(user, CancellationToken.None);
}
