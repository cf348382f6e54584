using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using static Grants.Domain.Authorizations.AuthorizationEvent;

namespace Grants.Domain.Authorizations;

/// <summary>One authorization request: only what some decision needs to know.</summary>
/// <param name="Browser">Null as long as no browser has begun the request, which only a pushed one and a device's can be.</param>
/// <param name="Answered">A code or an error has gone back to the client; nothing more can be decided about the request.</param>
/// <param name="Device">The device that polls for the answer, RFC 8628; null when a redirect takes it.</param>
/// <param name="Error">What the client is told in place of a code, one of <see cref="ErrorCode"/>.</param>
public sealed record Authorization(Guid Id, AuthorizationRequest Request, string? Browser, DateTimeOffset RequestedAt, DateTimeOffset ExpiresAt,
    SubjectAuthenticated? Subject = null, CodeIssued? Code = null, Guid? RedeemedBy = null, bool Replayed = false, bool Answered = false, bool Closed = false,
    WaitingDevice? Device = null, string? Error = null)
{
    /// <summary>How long a person may take.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(15);

    /// <summary>How long a code lives: RFC 6749 §4.1.2 allows ten minutes, FAPI 2.0 §5.3.2.1 one.</summary>
    public static readonly TimeSpan CodeLifetime = TimeSpan.FromSeconds(60);

    /// <summary>
    /// Until when the answer can be fetched: a code for a minute, a device code as long as it was good for anyway, and a minute at least.
    /// </summary>
    public DateTimeOffset CodeExpiresAt(DateTimeOffset answeredAt)
    {
        var soon = answeredAt + CodeLifetime;
        return Device is not null && ExpiresAt > soon ? ExpiresAt : soon;
    }

    public bool IsOpen(DateTimeOffset now) => !Answered && now < ExpiresAt;

    public static Authorization? Evolve(Authorization? state, Guid id, AuthorizationEvent happened) => (state, happened) switch
    {
        (null, Requested e) => new Authorization(id, e.Request, e.Browser, e.At, e.ExpiresAt),
        (null, Pushed e) => new Authorization(id, e.Request, null, e.At, e.ExpiresAt),
        (null, DeviceRequested e) => new Authorization(id, AuthorizationRequest.OfDevice(e), null, e.At, e.ExpiresAt, Device: new WaitingDevice(null)),
        ({ Device: not null, Browser: null, Answered: false } a, UserCodeEntered e) => a with { Browser = e.Browser, Device = new WaitingDevice(e.UserCode) },
        ({ Device: null, Browser: null, Answered: false } a, Requested e) => a with { Request = e.Request, Browser = e.Browser, RequestedAt = e.At, ExpiresAt = e.ExpiresAt },
        ({ } a, SubjectAuthenticated e) => a with { Subject = e },
        ({ } a, CodeIssued e) => a with { Code = e, Answered = true },
        ({ } a, CodeRedeemed e) => a with { RedeemedBy = e.Family },
        ({ } a, CodeReplayed) => a with { Replayed = true },
        ({ } a, ConsentDenied) => a with { Answered = true, Closed = true, Error = ErrorCode.AccessDenied },
        ({ } a, Refused e) => a with { Answered = true, Closed = true, Error = e.Error },
        ({ } a, Abandoned) => a with { Answered = true, Closed = true },
        ({ } a, CodeExpired) => a with { Closed = true },
        _ => state, // consent_granted and consent_reused are kept for the audit trail; the code says what came of them
    };
}

/// <summary>The device that asked.</summary>
/// <param name="UserCode">The user code as it was typed, sealed for the person who did; null until then.</param>
public sealed record WaitingDevice(SealedText? UserCode);

/// <summary>What the server does next about an authorization request.</summary>
public abstract record NextStep
{
    private NextStep() { }

    /// <param name="Reauthenticate">The person is signed in, but the request wants a fresh proof.</param>
    public sealed record SignIn(bool Reauthenticate) : NextStep;

    /// <param name="Asked">What the page has to ask about.</param>
    public sealed record AskConsent(ScopeSet Asked) : NextStep;

    public sealed record Answer(Guid Grant, Guid Family) : NextStep;

    /// <summary>Goes to the redirect URI, RFC 6749 §4.1.2.1.</summary>
    public sealed record Refuse(OAuthError Error) : NextStep;

    /// <summary>The answer has been given before (Back button, second tab).</summary>
    public sealed record AnsweredAlready : NextStep;

    public sealed record TimedOut : NextStep;
}
