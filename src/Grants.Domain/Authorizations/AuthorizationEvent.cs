using Grants.Domain.Protocol;
using Grants.Domain.Sessions;

namespace Grants.Domain.Authorizations;

/// <summary>All that can happen to one authorization request, from its arrival to its code's end.</summary>
public abstract record AuthorizationEvent : IDomainEvent
{
    private AuthorizationEvent() { }

    /// <summary>The client sent its request ahead, and no browser has come with it yet: RFC 9126 §2.</summary>
    /// <param name="ExpiresAt">From this moment on no browser can begin the request any more.</param>
    public sealed record Pushed(AuthorizationRequest Request, DateTimeOffset At, DateTimeOffset ExpiresAt) : AuthorizationEvent;

    /// <summary>The request has come with a browser. First in its stream, or after <see cref="Pushed"/>.</summary>
    /// <param name="Browser">Keyed hash of the browser's own cookie: only that browser may go on with this request.</param>
    /// <param name="ExpiresAt">After this moment nobody can answer the request any more.</param>
    public sealed record Requested(AuthorizationRequest Request, string Browser, DateTimeOffset At, DateTimeOffset ExpiresAt) : AuthorizationEvent;

    /// <summary>A device asks, and waits for a person to type its user code in a browser elsewhere: RFC 8628 §3.1. First in its stream.</summary>
    /// <param name="UserCode">Keyed hash of the code. No two requests have the same: an index of the log sees to it.</param>
    /// <param name="DpopJkt">The key that the device proved, and has to prove with each poll; null when it proved none.</param>
    /// <param name="ExpiresAt">From this moment on nobody can answer any more.</param>
    /// <param name="Resources">The resources that it names (RFC 8707 §2), as they are declared; null when it names none.</param>
    public sealed record DeviceRequested(ClientId Client, ScopeSet Scopes, string UserCode, JwkThumbprint? DpopJkt, DateTimeOffset At, DateTimeOffset ExpiresAt, ValueList<string>? Resources = null) : AuthorizationEvent;

    /// <summary>A person who is signed in typed the user code. After <see cref="DeviceRequested"/>.</summary>
    /// <param name="Browser">Keyed hash of the browser's own cookie: only that browser may go on with this request.</param>
    /// <param name="UserCode">The code, sealed for the person, so that the page which asks can show it. It is spent.</param>
    public sealed record UserCodeEntered(string Browser, SealedText UserCode, DateTimeOffset At) : AuthorizationEvent;

    public sealed record SubjectAuthenticated(SubjectId Subject, Guid Session, Authentication Authentication, DateTimeOffset At) : AuthorizationEvent;

    /// <param name="Asked">All that the page asked about.</param>
    /// <param name="Declined">Optional permissions left unticked.</param>
    public sealed record ConsentGranted(Guid Grant, ScopeSet Asked, ScopeSet Granted, ScopeSet Declined, ConsentText Text, DateTimeOffset At) : AuthorizationEvent;

    /// <summary>All that was asked had been answered before, so no page was shown.</summary>
    public sealed record ConsentReused(Guid Grant, ScopeSet Scopes, DateTimeOffset At) : AuthorizationEvent;

    /// <param name="Family">The token family that the code will open: named here, so that no code can open two.</param>
    /// <param name="Details">As the grant keeps them; null when none were allowed.</param>
    public sealed record CodeIssued(Guid Grant, Guid Family, ScopeSet Scopes, DateTimeOffset At, DateTimeOffset ExpiresAt, ValueList<AuthorizationDetail>? Details = null) : AuthorizationEvent;

    public sealed record CodeRedeemed(Guid Family, DateTimeOffset At) : AuthorizationEvent;

    public sealed record CodeReplayed(DateTimeOffset At) : AuthorizationEvent;

    public sealed record ConsentDenied(ScopeSet Asked, ConsentText Text, DateTimeOffset At) : AuthorizationEvent;

    /// <param name="Error">The code that the client was told, one of <see cref="ErrorCode"/>.</param>
    public sealed record Refused(string Error, DateTimeOffset At) : AuthorizationEvent;

    public sealed record CodeExpired(DateTimeOffset At) : AuthorizationEvent;

    /// <summary>Nobody answered in time.</summary>
    public sealed record Abandoned(DateTimeOffset At) : AuthorizationEvent;
}

/// <summary>A validated authorization request: RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core §3.1.2.1.</summary>
/// <param name="RedirectUriGiven">False when the client left it out because it has only one; then the token request needn't repeat it.</param>
/// <param name="MaxAgeSeconds">The <c>max_age</c> asked for, or the client's default.</param>
/// <param name="HintedSubject">The person whom a verified <c>id_token_hint</c> names.</param>
/// <param name="Private">The client's <c>state</c> and <c>nonce</c> and the <c>login_hint</c>, sealed: their text is the client's and may hold anything.</param>
/// <param name="DpopJkt">The key that the code is bound to, RFC 9449 §10; null when it is bound to none.</param>
/// <param name="Resources">The resources that it names (RFC 8707 §2.1), as they are declared; null when it names none.</param>
/// <param name="AcrValues">Those of <c>acr_values</c> that can be reached here, one of which must be (RFC 9470 §5); null when it named none.</param>
/// <param name="IdTokenClaims">Claims of the person that the first id_token shall carry, OpenID Connect Core §5.5; null when none were asked for.</param>
/// <param name="Details">What is asked for beside scopes, RFC 9396 §2; null when nothing is.</param>
public sealed record AuthorizationRequest(ClientId Client, RedirectUri RedirectUri, bool RedirectUriGiven, string ResponseMode, ScopeSet Scopes,
    CodeChallenge Challenge, ValueList<string> Prompt, int? MaxAgeSeconds, SubjectId? HintedSubject, SealedText? Private, JwkThumbprint? DpopJkt = null,
    ValueList<string>? Resources = null, ValueList<string>? AcrValues = null, ValueList<string>? IdTokenClaims = null,
    ValueList<AuthorizationDetail>? Details = null)
{
    /// <summary>How old the sign-in of whoever answers a device may be. An open browser must not be enough to let somebody else's device in.</summary>
    public static readonly TimeSpan DeviceMaxAge = TimeSpan.FromMinutes(15);

    /// <summary>A device's request: it has no address to go back to, and its code never passes through a browser, so there is nothing to challenge.</summary>
    public static AuthorizationRequest OfDevice(AuthorizationEvent.DeviceRequested asked) =>
        new(asked.Client, new RedirectUri(""), false, "", asked.Scopes, new CodeChallenge(""), [], (int)DeviceMaxAge.TotalSeconds, null, null, asked.DpopJkt, asked.Resources);

    public bool Prompts(string value) => Prompt.Contains(value);

    /// <summary>The same for a key that was proven along with it; null when it names another one: RFC 9449 §10.1.</summary>
    public AuthorizationRequest? BoundTo(JwkThumbprint? proven) =>
        proven is null ? this : DpopJkt is { } named && named != proven ? null : this with { DpopJkt = proven };
}

/// <summary>Values of <c>prompt</c>, OpenID Connect Core §3.1.2.1.</summary>
public static class PromptValue
{
    public const string None = "none";
    public const string Login = "login";
    public const string Consent = "consent";
    public const string SelectAccount = "select_account";
    public static readonly ValueList<string> Supported = [None, Login, Consent, SelectAccount];
}

/// <summary>The words that a person saw when deciding.</summary>
/// <param name="Version">The first 16 hexadecimal digits of the SHA-256 of the app's name and all lines: equal when the words were.</param>
/// <param name="Language">BCP 47.</param>
public sealed record ConsentText(string Version, string Language, string AppName, ValueList<ConsentLine> Lines);

/// <param name="Scope">A scope, or a resource that the scopes are for.</param>
/// <param name="Answer"><c>needed</c> or <c>optional</c>: what the page let the person choose.</param>
/// <param name="Detail">
/// The mark of the detail that the line says; null for a permission. <paramref name="Scope"/> is its type then, and
/// <paramref name="Label"/> the template of its words: with the sealed detail it gives what was read.
/// </param>
public sealed record ConsentLine(string Scope, string Label, string Answer, string? Detail = null);
