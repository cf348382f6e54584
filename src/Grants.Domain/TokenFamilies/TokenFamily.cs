using System.Buffers.Binary;
using System.Buffers.Text;
using System.Collections.Immutable;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using static Grants.Domain.TokenFamilies.TokenFamilyEvent;

namespace Grants.Domain.TokenFamilies;

/// <summary>What stays the same for all tokens of one family.</summary>
/// <param name="Subject">Null when the client acts for itself (client credentials); so are grant, session and authentication.</param>
/// <param name="Scopes">All that the family may carry; a single token may carry less.</param>
/// <param name="Jkt">The key that its refresh tokens are bound to: that of a client without a secret (RFC 9449 §5). Access tokens name their own.</param>
/// <param name="Resources">Those that its authorization named (RFC 8707): each access token is for some of them. Null when it named none.</param>
/// <param name="Act">Who acts in the subject's place, in tokens that came of an exchange (RFC 8693 §4.1); null where nobody is said to.</param>
/// <param name="Details">All details that the family may carry (RFC 9396); a single token may carry fewer. Null when there are none.</param>
public sealed record FamilyFacts(ClientId Client, SubjectId? Subject, Guid? Grant, Guid? Session, ScopeSet Scopes, Authentication? Authentication, JwkThumbprint? Jkt = null,
    ValueList<string>? Resources = null, Actor? Act = null, ValueList<AuthorizationDetail>? Details = null);

/// <summary>Whoever acts in a subject's place: <c>act</c>, RFC 8693 §4.1.</summary>
/// <param name="Subject">Its own <c>sub</c>: a client's id, or a person's.</param>
/// <param name="Client">The client that the token which proved it was issued to.</param>
/// <param name="Act">Who acted before it; null for the first one.</param>
public sealed record Actor(string Subject, ClientId Client, Actor? Act = null);

/// <summary>An access token, by its place in the log.</summary>
/// <param name="Client">Whom it was issued to.</param>
public sealed record TokenReference(Guid Family, int Number, ClientId Client);

/// <summary>All that can happen to the tokens that come from one code, exchange, assertion or client-credentials call.</summary>
public abstract record TokenFamilyEvent : IDomainEvent
{
    private TokenFamilyEvent() { }

    /// <param name="Number">1, 2, 3 … within the family; with the ids of family and grant it is the token's <c>jti</c>.</param>
    /// <param name="Facts">Null where the rotation right before it in the stream has just said them.</param>
    /// <param name="Scopes">What this token carries.</param>
    /// <param name="Jkt">The key that this token is bound to (<c>cnf.jkt</c>, RFC 9449 §6); null for a bearer token.</param>
    /// <param name="Form">How it was written: <c>opaque</c>, or the algorithm that signed the JWT; null for the usual one, as in all events from before there was a choice.</param>
    /// <param name="Details">The marks of the details that this token carries; null when it carries none.</param>
    public sealed record AccessTokenIssued(int Number, FamilyFacts? Facts, ScopeSet Scopes, ValueList<string> Audience, DateTimeOffset At, DateTimeOffset ExpiresAt, JwkThumbprint? Jkt = null,
        string? Form = null, ValueList<string>? Details = null) : TokenFamilyEvent;

    /// <summary>The first refresh token. Carries the family's state so far, so that a later refresh needs no older event (L8).</summary>
    /// <param name="IdleExpiresAt">Dead from then on unless used before.</param>
    /// <param name="ExpiresAt">Dead from then on, used or not.</param>
    public sealed record RefreshTokenIssued(FamilyFacts Facts, int AccessTokens, DateTimeOffset At, DateTimeOffset IdleExpiresAt, DateTimeOffset ExpiresAt) : TokenFamilyEvent;

    public sealed record IdTokenIssued(DateTimeOffset At, DateTimeOffset ExpiresAt) : TokenFamilyEvent;

    /// <summary>What the access token before it in the stream was given for: RFC 8693.</summary>
    /// <param name="SubjectTokenType">One of <see cref="TokenTypeUri"/>.</param>
    /// <param name="Parents">
    /// The token that it was exchanged for, then the one that this was exchanged for, and so on: it stands as long as all of them do.
    /// Empty when an id_token was shown, which has no place in the log.
    /// </param>
    /// <param name="ActorToken">What proved who acts; null when nobody is said to (impersonation, RFC 8693 §1.1).</param>
    public sealed record TokenExchanged(string SubjectTokenType, ValueList<TokenReference> Parents, TokenReference? ActorToken, DateTimeOffset At) : TokenFamilyEvent;

    /// <summary>What the access token before it in the stream was given for: a JWT that another issuer signed (RFC 7523 §2.1).</summary>
    /// <param name="AssertionHash">base64url of the SHA-256 of its <c>jti</c>: finds it in the issuer's own log, and may name nobody.</param>
    public sealed record AssertionAccepted(string Issuer, string AssertionHash, DateTimeOffset At) : TokenFamilyEvent;

    /// <param name="Generation">That of the successor; the first refresh token has generation 1.</param>
    /// <param name="Facts">The family's state, carried as in <see cref="RefreshTokenIssued"/>.</param>
    public sealed record RefreshTokenRotated(int Generation, FamilyFacts Facts, int AccessTokens, DateTimeOffset At, DateTimeOffset IdleExpiresAt, DateTimeOffset ExpiresAt) : TokenFamilyEvent;

    /// <param name="Generation">That of the spent token which came again.</param>
    public sealed record RefreshTokenReplayed(int Generation, DateTimeOffset At) : TokenFamilyEvent;

    public sealed record AccessTokenRevoked(int Number, string By, string Why, DateTimeOffset At) : TokenFamilyEvent;

    public sealed record AccessTokenExpired(int Number, DateTimeOffset At) : TokenFamilyEvent;

    /// <summary>Several access tokens whose end was recorded at once. One event for all, so that the end of many tokens makes no long stream (L8).</summary>
    public sealed record AccessTokensExpired(ValueList<int> Numbers, DateTimeOffset At) : TokenFamilyEvent;

    /// <param name="By">One of <see cref="EndedBy"/>.</param>
    public sealed record Revoked(string By, string Why, DateTimeOffset At) : TokenFamilyEvent;

    /// <summary>The refresh token's time ran out; no further token can come of this family.</summary>
    public sealed record Expired(DateTimeOffset At) : TokenFamilyEvent;
}

/// <summary>The refresh token that stands.</summary>
public sealed record RefreshState(int Generation, DateTimeOffset IssuedAt, DateTimeOffset IdleExpiresAt, DateTimeOffset ExpiresAt)
{
    public bool IsLive(DateTimeOffset now) => now < IdleExpiresAt && now < ExpiresAt;
}

/// <summary>
/// All tokens that come from one code, exchange, assertion or client-credentials call. The same whether it is folded from the whole stream or from
/// the newest event on that carries the state (L8); only <paramref name="Ended"/> knows no more than the events that were read.
/// </summary>
/// <param name="AccessTokens">How many were issued so far: the newest one's number.</param>
/// <param name="Ended">Access tokens whose end stands in the events that were read.</param>
public sealed record TokenFamily(Guid Id, FamilyFacts Facts, int AccessTokens, RefreshState? Refresh, ImmutableHashSet<int> Ended, bool Revoked, bool Expired)
{
    public bool IsDead => Revoked || Expired;

    /// <summary>The tokens that its own was exchanged for (RFC 8693), the nearest first: it stands as long as all of them do. Mostly none.</summary>
    public ValueList<TokenReference> Parents { get; init; } = [];

    /// <summary>Whether nobody has ended this access token, its grant aside. That its time isn't over is for the token itself to say (RFC 7519 §4.1.4).</summary>
    public bool Stands(int number) => !Revoked && number >= 1 && number <= AccessTokens && !Ended.Contains(number);

    public static TokenFamily? Evolve(TokenFamily? state, Guid id, TokenFamilyEvent happened) => (state, happened) switch
    {
        (null, AccessTokenIssued { Facts: { } facts } e) => new TokenFamily(id, facts, e.Number, null, [], false, false),
        (null, RefreshTokenIssued e) => new TokenFamily(id, e.Facts, e.AccessTokens, First(e), [], false, false),
        (null, RefreshTokenRotated e) => new TokenFamily(id, e.Facts, e.AccessTokens, Next(e), [], false, false),
        (null, _) => null,
        ({ } f, AccessTokenIssued e) => f with { AccessTokens = e.Number },
        ({ } f, RefreshTokenIssued e) => f with { Refresh = First(e) },
        ({ } f, RefreshTokenRotated e) => f with { Facts = e.Facts, Refresh = Next(e) }, // a rotation may bind the family to a key
        ({ } f, TokenExchanged e) => f with { Parents = e.Parents },
        ({ } f, AccessTokenRevoked e) => f with { Ended = f.Ended.Add(e.Number) },
        ({ } f, AccessTokenExpired e) => f with { Ended = f.Ended.Add(e.Number) },
        ({ } f, AccessTokensExpired e) => f with { Ended = f.Ended.Union(e.Numbers) },
        ({ } f, TokenFamilyEvent.Revoked) => f with { Revoked = true },
        ({ } f, TokenFamilyEvent.Expired) => f with { Expired = true },
        _ => state,
    };

    private static RefreshState First(RefreshTokenIssued e) => new(1, e.At, e.IdleExpiresAt, e.ExpiresAt);

    private static RefreshState Next(RefreshTokenRotated e) => new(e.Generation, e.At, e.IdleExpiresAt, e.ExpiresAt);
}

/// <summary>
/// The <c>jti</c> of an access token, RFC 9068 §2.2: base64url(family ‖ grant ‖ number), 48 characters. It names every stream that
/// tells whether the token still stands, so a lookup needs no table. Not a credential.
/// </summary>
public readonly record struct AccessTokenId(Guid Family, Guid? Grant, int Number)
{
    public static bool TryParse(string? text, out AccessTokenId id)
    {
        id = default;
        if (text is not { Length: 48 } || !Base64Url.IsValid(text)) return false;
        Span<byte> bytes = stackalloc byte[36];
        if (!Base64Url.TryDecodeFromChars(text, bytes, out var length) || length != 36) return false;
        var grant = new Guid(bytes[16..32], bigEndian: true);
        id = new AccessTokenId(new Guid(bytes[..16], bigEndian: true), grant == Guid.Empty ? null : grant, BinaryPrimitives.ReadInt32BigEndian(bytes[32..]));
        return true;
    }

    public override string ToString()
    {
        Span<byte> bytes = stackalloc byte[36];
        Family.TryWriteBytes(bytes[..16], bigEndian: true, out _);
        (Grant ?? Guid.Empty).TryWriteBytes(bytes[16..32], bigEndian: true, out _);
        BinaryPrimitives.WriteInt32BigEndian(bytes[32..], Number);
        return Base64Url.EncodeToString(bytes);
    }
}
