namespace Grants.Api.Pages;

/// <summary>Whose pages these are: the issuer's name and host stand at the head of each, as a person should check them.</summary>
/// <param name="Name">The organisation, "Example Bank".</param>
/// <param name="Host">The issuer's host, "auth.example.org".</param>
/// <param name="Help">Where help is, if anywhere.</param>
/// <param name="Privacy">The privacy notice, if there is one.</param>
/// <param name="Base">The issuer's path, under which the stylesheet and the icon stand; empty when it has none.</param>
public sealed record SiteModel(string Name, string Host, Uri? Help, Uri? Privacy, string Base = "");

/// <summary>The hidden field that proves a form came from our own page.</summary>
public sealed record Antiforgery(string FieldName, string Token);

/// <summary>What is known about who made an app.</summary>
public enum AppBadge
{
    /// <summary>Someone here has looked at it.</summary>
    Checked,

    /// <summary>Nobody here has looked at it.</summary>
    NotChecked,

    /// <summary>A native app (RFC 8252): its name cannot be proven.</summary>
    RunsOnYourDevice,

    /// <summary>Made by the organisation that runs this server.</summary>
    OwnApp,
}

/// <summary>An app as people see it. Its name is cleaned on the way in, whoever makes the model.</summary>
/// <param name="Name">What it calls itself.</param>
/// <param name="Host">The host that it has proven, if any.</param>
/// <param name="HomePage">Its home page, https only.</param>
/// <param name="Badge">What is known about who made it.</param>
/// <param name="FirstSeen">"First seen here 12 Mar 2024", or "New here: first seen today".</param>
/// <param name="History">"New to you", or "You've used it since 2025".</param>
/// <param name="IsNewHere">True to set <paramref name="FirstSeen"/> in amber.</param>
public sealed record AppModel(
    string Name,
    string? Host,
    Uri? HomePage,
    AppBadge Badge,
    string? FirstSeen,
    string? History,
    bool IsNewHere = false)
{
    /// <summary>What it calls itself, on one line and without tricks.</summary>
    public string Name { get; init => field = DisplayText.Clean(value); } = DisplayText.Clean(Name);

    /// <summary>Its own words about itself are shown only when someone here has read them.</summary>
    public bool MaySpeak => Badge is AppBadge.Checked or AppBadge.OwnApp;
}

/// <summary>One permission (OAuth scope) in a person's words.</summary>
/// <param name="Scope">The scope itself (RFC 6749 §3.3), shown to developers only.</param>
/// <param name="Label">Verb first: "See your account balances".</param>
/// <param name="Details">A longer text.</param>
/// <param name="Risk">"Moves money", "Changes or deletes", "Acts as you", "Sees private data".</param>
/// <param name="Purpose">What the app says it is for.</param>
/// <param name="IsNew">Not asked of this person before.</param>
/// <param name="Needed">The app cannot work without it, so it has no box.</param>
/// <param name="AllowedBefore">This person's last answer was yes.</param>
/// <param name="RefusedBefore">This person's last answer was no.</param>
/// <param name="Ticked">Ticked in the form that is being shown again after a problem; never on first sight.</param>
public sealed record PermissionModel(
    string Scope,
    string Label,
    string? Details,
    string? Risk,
    string? Purpose,
    bool IsNew,
    bool Needed,
    bool AllowedBefore,
    bool RefusedBefore,
    bool Ticked = false);

/// <summary>A piece of a sentence.</summary>
/// <param name="Said">The app said it; otherwise the words are ours.</param>
public sealed record WordsPart(string Text, bool Said);

/// <summary>One authorization detail (RFC 9396 §2) in a person's words.</summary>
/// <param name="Type">Its type, shown to developers only.</param>
/// <param name="Words">"Pay 45.00 GBP to Merchant A".</param>
/// <param name="Risk">"Moves money".</param>
/// <param name="Fields">All that it says, as names and values; both cleaned.</param>
public sealed record DetailModel(string Type, IReadOnlyList<WordsPart> Words, string? Risk, IReadOnlyList<KeyValuePair<string, string>> Fields);

/// <summary>The sign-in page. Posts <c>username</c> and <c>password</c>.</summary>
/// <param name="Action">Where the form is posted to.</param>
/// <param name="App">The app that waits, if one does.</param>
/// <param name="Username">The address to show: typed before, hinted (OpenID Connect Core §3.1.2.1 login_hint), or fixed.</param>
/// <param name="Reauthenticate">True when this very person must show again who they are.</param>
/// <param name="Error">What went wrong: the same words for every cause. <see cref="WrongPassword"/> as a rule.</param>
/// <param name="TooManyTries">True shows <see cref="Throttled"/>, whether the account exists or not.</param>
/// <param name="SwitchAccountUrl">Where "Not you?" leads.</param>
public sealed record SignInModel(
    SiteModel Site,
    Antiforgery Antiforgery,
    string Action,
    AppModel? App,
    string? Username,
    bool Reauthenticate,
    string? Error,
    bool TooManyTries,
    string? SwitchAccountUrl)
{
    /// <summary>The one answer for an unknown address, a wrong password, a locked and a disabled account.</summary>
    public const string WrongPassword = "That email address and password don't match. Check both and try again.";

    /// <summary>The one answer when more people sign in than can be served.</summary>
    public const string Busy = "Many people are signing in right now, so your password was not looked at. Wait a few seconds, then try again.";

    /// <summary>The one answer to too many tries.</summary>
    public const string Throttled = "Too many tries. Wait 15 minutes, then try again.";
}

/// <summary>
/// The consent page. Posts <c>allow</c> once for each ticked optional permission and <c>decision</c>,
/// <c>allow</c> or <c>deny</c>.
/// </summary>
/// <param name="See">What the app will see.</param>
/// <param name="Do">What it will be able to do.</param>
/// <param name="Cannot">What it cannot do, "see your password".</param>
/// <param name="Duration">"Until 21 Feb 2027, even when you're not using it."</param>
/// <param name="ReturnsTo">The host that either answer leads to.</param>
/// <param name="ChangedName">The app's name when this person last allowed it, if it has changed.</param>
/// <param name="AlreadyAllowed">What it may do already; if there is any, the page asks only for more.</param>
/// <param name="TextVersion">The version of the words on the page; comes back with the answer as <c>text</c>.</param>
/// <param name="Error">What was wrong with the answer.</param>
/// <param name="Details">What it asks for in particular: these or nothing, without boxes.</param>
/// <param name="Device">The device that asks; null when an app in this browser does.</param>
public sealed record ConsentModel(
    SiteModel Site,
    Antiforgery Antiforgery,
    string Action,
    AppModel App,
    string SignedInAs,
    string NotYouUrl,
    IReadOnlyList<PermissionModel> See,
    IReadOnlyList<PermissionModel> Do,
    IReadOnlyList<string> Cannot,
    string Duration,
    string ReturnsTo,
    string? ChangedName,
    IReadOnlyList<PermissionModel> AlreadyAllowed,
    string TextVersion,
    string? Error,
    IReadOnlyList<DetailModel> Details,
    DeviceModel? Device = null)
{
    /// <summary>The services that it names as those where it uses all this (RFC 8707); empty when it names none.</summary>
    public IReadOnlyList<string> OnlyAt { get; init; } = [];
}

/// <summary>A device that waits for an answer, as the person who answers has to recognise it (RFC 8628 §5.4).</summary>
/// <param name="Code">The user code as the device shows it.</param>
/// <param name="Started">"40 seconds ago".</param>
/// <param name="Address">Where its request came from.</param>
/// <param name="FromElsewhere">That is another network than the one of this browser.</param>
public sealed record DeviceModel(string Code, string Started, string? Address, bool FromElsewhere);

/// <summary>The page where the code on a device is typed. Posts <c>user_code</c>.</summary>
/// <param name="UserCode">What stands in the field.</param>
/// <param name="Error">What was wrong with the code: <see cref="NotActive"/> or <see cref="Throttled"/>.</param>
public sealed record UserCodeModel(
    SiteModel Site,
    Antiforgery Antiforgery,
    string Action,
    string SignedInAs,
    string SignOutUrl,
    string? UserCode,
    string? Error)
{
    /// <summary>The one answer for a code that is unknown, used, expired or none at all.</summary>
    public const string NotActive = "That code isn't active. Check it, or get a new one on your device.";

    public const string Throttled = "Too many codes. Wait 15 minutes, then get a new one on your device.";
}

/// <summary>The page after the answer to a device.</summary>
/// <param name="Allowed">Whether it may go on.</param>
public sealed record DeviceAnsweredModel(
    SiteModel Site,
    AppModel App,
    bool Allowed,
    string ConnectedAppsUrl);

/// <summary>An error that must not be sent to the app (RFC 6749 §4.1.2.1), told to the person.</summary>
/// <param name="Title">"This link doesn't work".</param>
/// <param name="Message">What it means for the person and what to do next.</param>
/// <param name="ErrorCode">The OAuth error, for developers.</param>
/// <param name="Reason">What was wrong, for developers.</param>
/// <param name="Received">The value at fault as it came, for developers.</param>
/// <param name="RequestId">The reference under which the log knows this request.</param>
/// <param name="StartAgainUrl">The way out, if there is one.</param>
/// <param name="StartAgainText">Its words; "Start again" unless given.</param>
public sealed record ErrorModel(
    SiteModel Site,
    string Title,
    string Message,
    string? ErrorCode,
    string? Reason,
    string? Received,
    string RequestId,
    DateTimeOffset Time,
    string? StartAgainUrl,
    string? StartAgainText);

/// <summary>The question before signing out (OpenID Connect RP-Initiated Logout 1.0 §2).</summary>
/// <param name="Fields">The parameters of the request, carried through the form.</param>
public sealed record SignOutModel(
    SiteModel Site,
    Antiforgery Antiforgery,
    string Action,
    IReadOnlyDictionary<string, string> Fields,
    string StayUrl);

/// <summary>The page after signing out.</summary>
/// <param name="ReturnTo">The app that asked, if it did.</param>
/// <param name="ReturnUrl">Its registered address after signing out.</param>
public sealed record SignedOutModel(
    SiteModel Site,
    AppModel? ReturnTo,
    string? ReturnUrl,
    string SignInUrl,
    string ConnectedAppsUrl);

/// <summary>Where an access record stands.</summary>
public enum AccessState
{
    /// <summary>The app can use it.</summary>
    Live,

    /// <summary>Somebody removed it.</summary>
    Removed,

    /// <summary>Its time ran out.</summary>
    Expired,
}

/// <summary>One app's access to one person's account (the grant), as a card.</summary>
/// <param name="Url">The access record, /account/apps/{id}.</param>
/// <param name="RemoveUrl">The page that asks before removing.</param>
/// <param name="TopPermissions">The two riskiest.</param>
/// <param name="Offline">Also when the person is away.</param>
/// <param name="EndedWords">"You removed it".</param>
public sealed record ConnectedAppModel(
    string Url,
    string RemoveUrl,
    AppModel App,
    IReadOnlyList<PermissionModel> TopPermissions,
    DateTimeOffset AllowedAt,
    DateTimeOffset? LastUsedAt,
    DateTimeOffset? Until,
    bool Offline,
    AccessState State,
    DateTimeOffset? EndedAt,
    string? EndedWords);

/// <summary>How far a view has read the log.</summary>
public sealed record Freshness(long Position, double SecondsBehind);

/// <summary>The page of everything that may use an account, and what once could.</summary>
/// <param name="SignOutUrl">Where the "Sign out" form in the head is posted to.</param>
/// <param name="New">Allowed this week.</param>
/// <param name="InUse">The rest, used in the last 90 days.</param>
/// <param name="Unused">Not used for 90 days.</param>
/// <param name="Removed">Removed and expired.</param>
/// <param name="Banner">What has just been done.</param>
/// <param name="Zone">The zone that times are told in.</param>
/// <param name="Now">The time of the answer, for "today" and "yesterday".</param>
public sealed record ConnectedAppsModel(
    SiteModel Site,
    string SignedInAs,
    Antiforgery Antiforgery,
    string SignOutUrl,
    IReadOnlyList<ConnectedAppModel> New,
    IReadOnlyList<ConnectedAppModel> InUse,
    IReadOnlyList<ConnectedAppModel> Unused,
    IReadOnlyList<ConnectedAppModel> Removed,
    Freshness Freshness,
    string? Banner,
    TimeZoneInfo Zone,
    DateTimeOffset Now);

/// <summary>What sort of thing happened, for the mark beside it.</summary>
public enum TimelineKind
{
    /// <summary>Anything else.</summary>
    Other,

    /// <summary>Access was given or widened.</summary>
    Allowed,

    /// <summary>Access was used or renewed.</summary>
    Used,

    /// <summary>Access was refused, removed or ran out.</summary>
    Ended,

    /// <summary>Something that should not happen, such as a pass used twice.</summary>
    Alarm,
}

/// <summary>One event of an access record as a sentence.</summary>
/// <param name="Sentence">The sentence, with names put between isolates by <see cref="DisplayText.Isolated"/>.</param>
/// <param name="Details">More about it.</param>
/// <param name="Position">Its place in the log.</param>
/// <param name="Kind">The mark beside it.</param>
/// <param name="Opening">The words before the sentence that are set in bold: "You allowed".</param>
public sealed record TimelineEntryModel(
    DateTimeOffset At,
    string Sentence,
    string? Details,
    long Position,
    TimelineKind Kind = TimelineKind.Other,
    string? Opening = null);

/// <summary>One access record with its history, newest first.</summary>
/// <param name="AllAppsUrl">The list it belongs to.</param>
/// <param name="See">What the app sees.</param>
/// <param name="Do">What it is able to do.</param>
/// <param name="Refused">What was asked and refused.</param>
/// <param name="Passes">How many tokens of it can still be used.</param>
/// <param name="Timeline">Its events, newest first.</param>
/// <param name="Details">What was allowed in particular.</param>
public sealed record AccessModel(
    SiteModel Site,
    string SignedInAs,
    Antiforgery Antiforgery,
    string SignOutUrl,
    string AllAppsUrl,
    ConnectedAppModel Access,
    IReadOnlyList<PermissionModel> See,
    IReadOnlyList<PermissionModel> Do,
    IReadOnlyList<PermissionModel> Refused,
    int Passes,
    IReadOnlyList<TimelineEntryModel> Timeline,
    Freshness Freshness,
    string? Banner,
    TimeZoneInfo Zone,
    DateTimeOffset Now,
    IReadOnlyList<DetailModel> Details);

/// <summary>The page that asks before access is removed.</summary>
/// <param name="OfflineWords">"Services that check access offline may accept its current pass for up to 5 minutes."</param>
public sealed record RemoveAccessModel(
    SiteModel Site,
    Antiforgery Antiforgery,
    string Action,
    AppModel App,
    string KeepUrl,
    string OfflineWords);

/// <summary>An authorization response as a form (OAuth 2.0 Form Post Response Mode §2).</summary>
/// <param name="Action">The registered redirect_uri.</param>
/// <param name="Fields">The parameters of the response, in order.</param>
/// <param name="Nonce">The nonce of this answer's content security policy, for the one script that sends the form.</param>
public sealed record FormPostModel(
    SiteModel Site,
    AppModel App,
    string Action,
    IReadOnlyList<KeyValuePair<string, string>> Fields,
    string Nonce);

/// <summary>What stands at the issuer's own address.</summary>
/// <param name="SignedInAs">Who is signed in, if anybody.</param>
/// <param name="DiscoveryUrl">The OpenID Provider metadata.</param>
public sealed record HomeModel(
    SiteModel Site,
    Antiforgery Antiforgery,
    string? SignedInAs,
    string ConnectedAppsUrl,
    string SignInUrl,
    string SignOutUrl,
    string DiscoveryUrl);
