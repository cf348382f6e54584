using Grants.Domain.Protocol;
using static Grants.Domain.Keys.SigningKeyEvent;

namespace Grants.Domain.Keys;

/// <summary>All that can happen to one signing key. The private part is never in an event.</summary>
public abstract record SigningKeyEvent : IDomainEvent
{
    private SigningKeyEvent() { }

    /// <param name="Kid">RFC 7638 thumbprint of the public key.</param>
    /// <param name="Algorithm">The one JWS algorithm it is used with.</param>
    /// <param name="PublicJwk">RFC 7517 parameters of the public key as JSON.</param>
    public sealed record Created(string Kid, string Algorithm, string PublicJwk, DateTimeOffset At) : SigningKeyEvent;

    /// <summary>From now on it stands in the JWKS.</summary>
    public sealed record Published(DateTimeOffset At) : SigningKeyEvent;

    /// <summary>From now on it signs.</summary>
    public sealed record Activated(DateTimeOffset At) : SigningKeyEvent;

    /// <summary>It signs no more, but still verifies.</summary>
    public sealed record Retired(DateTimeOffset At) : SigningKeyEvent;

    public sealed record Revoked(string Why, DateTimeOffset At) : SigningKeyEvent;

    /// <summary>Its private part is gone.</summary>
    public sealed record Destroyed(DateTimeOffset At) : SigningKeyEvent;
}

public enum SigningKeyStatus { Created, Published, Active, Retired, Revoked, Destroyed }

/// <summary>A key that signs tokens.</summary>
public sealed record SigningKey(Guid Id, string Kid, string Algorithm, string PublicJwk, SigningKeyStatus Status, DateTimeOffset CreatedAt, DateTimeOffset? ActivatedAt,
    DateTimeOffset? PublishedAt = null, DateTimeOffset? RetiredAt = null)
{
    /// <summary>Whether it stands in the JWKS: ahead of its first use, and until what it signed has run out.</summary>
    public bool IsPublished => Status is SigningKeyStatus.Published or SigningKeyStatus.Active or SigningKeyStatus.Retired;

    public static SigningKey? Evolve(SigningKey? state, Guid id, SigningKeyEvent happened) => (state, happened) switch
    {
        (null, Created e) => new SigningKey(id, e.Kid, e.Algorithm, e.PublicJwk, SigningKeyStatus.Created, e.At, null),
        ({ Status: SigningKeyStatus.Destroyed }, _) => state,
        ({ } k, Destroyed) => k with { Status = SigningKeyStatus.Destroyed },
        ({ Status: SigningKeyStatus.Revoked }, _) => state,
        ({ } k, Published e) => k with { Status = SigningKeyStatus.Published, PublishedAt = e.At },
        ({ } k, Activated e) => k with { Status = SigningKeyStatus.Active, ActivatedAt = e.At },
        ({ } k, Retired e) => k with { Status = SigningKeyStatus.Retired, RetiredAt = e.At },
        ({ } k, Revoked) => k with { Status = SigningKeyStatus.Revoked },
        _ => state,
    };
}

/// <summary>
/// Sees to it that each algorithm has one key that signs and one more that is published ahead of its use, so that a rotation
/// never meets a cache which doesn't know the new key (OpenID Connect Core §10.1.1).
/// </summary>
public static class ProvideSigningKeys
{
    /// <param name="Stream">The new key's stream.</param>
    public sealed record NewKey(Guid Stream, string Kid, string Algorithm, string PublicJwk);

    /// <summary>How many new keys an algorithm needs: the caller makes them, since making keys is no decision.</summary>
    public static int Missing(IEnumerable<SigningKey> keys, string algorithm)
    {
        var usable = keys.Where(key => key.Algorithm == algorithm).ToList();
        return (usable.Any(key => key.Status == SigningKeyStatus.Active) ? 0 : 1)
            + (usable.Any(key => key.Status == SigningKeyStatus.Published) ? 0 : 1);
    }

    public static IEnumerable<StreamEvent> Decide(IEnumerable<SigningKey> keys, IEnumerable<NewKey> fresh, DateTimeOffset now)
    {
        var known = keys.ToList();
        var active = known.Where(key => key.Status == SigningKeyStatus.Active).Select(key => key.Algorithm).ToHashSet();
        // When the signing key is gone, the one that caches know already takes over, not one they have never seen.
        foreach (var next in known.Where(key => key.Status == SigningKeyStatus.Published).OrderBy(key => key.CreatedAt))
        {
            if (active.Add(next.Algorithm)) yield return new(next.Id, new Activated(now));
        }

        foreach (var key in fresh)
        {
            yield return new(key.Stream, new Created(key.Kid, key.Algorithm, key.PublicJwk, now));
            yield return new(key.Stream, new Published(now));
            if (active.Add(key.Algorithm)) yield return new(key.Stream, new Activated(now));
        }
    }
}

/// <summary>When keys change.</summary>
/// <param name="SignsFor">How long a key signs.</param>
/// <param name="PublishedAhead">How long the next one stands in the JWKS before it signs: longer than anybody may keep the document (OpenID Connect Core §10.1.1).</param>
/// <param name="VerifiesFor">How long a retired key stays there: longer than what it signed is good for, and than an <c>id_token_hint</c> is welcome.</param>
public sealed record KeySchedule(TimeSpan SignsFor, TimeSpan PublishedAhead, TimeSpan VerifiesFor)
{
    public static readonly KeySchedule Default = new(TimeSpan.FromDays(90), TimeSpan.FromDays(1), TimeSpan.FromDays(30));
}

/// <summary>Lets the next key take over from one that has signed for long enough, and ends those whose time to verify is over.</summary>
public static class RotateSigningKeys
{
    /// <param name="atOnce">Don't wait for the signing key's time; the next one must have stood long enough in any case.</param>
    public static IEnumerable<StreamEvent> Decide(IEnumerable<SigningKey> keys, KeySchedule schedule, bool atOnce, DateTimeOffset now)
    {
        var known = keys.ToList();
        foreach (var active in known.Where(key => key.Status == SigningKeyStatus.Active && (atOnce || key.ActivatedAt + schedule.SignsFor <= now)))
        {
            var next = known.Where(key => key.Algorithm == active.Algorithm && key.Status == SigningKeyStatus.Published && (key.PublishedAt ?? key.CreatedAt) + schedule.PublishedAhead <= now).MinBy(key => key.CreatedAt);
            if (next is null) continue;
            yield return new(next.Id, new Activated(now));
            yield return new(active.Id, new Retired(now));
        }

        foreach (var old in known.Where(key => key.Status == SigningKeyStatus.Retired && key.RetiredAt + schedule.VerifiesFor <= now)) yield return new(old.Id, new Destroyed(now));
    }
}

/// <summary>An emergency: the key signs and verifies nothing any more, whatever it has signed.</summary>
public static class RevokeSigningKey
{
    /// <param name="key">Null: there is none of that name.</param>
    public static Decision<SigningKey> Decide(SigningKey? key, string why, DateTimeOffset now) => key switch
    {
        null => Protocol.Decide.Refuse<SigningKey>(ErrorCode.InvalidRequest, "There is no such key."),
        { Status: SigningKeyStatus.Revoked or SigningKeyStatus.Destroyed } => Protocol.Decide.Accept(key),
        _ => Protocol.Decide.Accept(key, new StreamEvent(key.Id, new Revoked(why, now))),
    };
}
