using CsCheck;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.Properties;

/// <summary>Generators: any events in any order, likely or not, and any request.</summary>
internal static class Histories
{
    /// <summary>Moments around each boundary that a decision knows.</summary>
    public static readonly Gen<DateTimeOffset> Moment = Gen.OneOf(
        [.. new[] { -3600, -1, 0, 1, 30, 31, 59, 60, 61, 300, 599, 600, 899, 900, 86_400, 30 * 86_400, 90 * 86_400, 91 * 86_400 }.Select(second => Noon.AddSeconds(second))]);

    public static readonly Gen<ScopeSet> Scopes =
        Gen.OneOf("openid", "accounts", "history", "payments", "offline_access", "unknown").Array[0, 5].Select(tokens => ScopeSet.Of(tokens));

    public static readonly Gen<Client> AnyClient = Gen.OneOf(
        AClient(), AClient(PublicWeb), AClient(PublicWeb with { ApplicationType = "native" }), AClient(Web with { OptionalScopes = [] }),
        AClient(PublicWeb with { GrantTypes = [GrantType.DeviceCode, GrantType.RefreshToken] }), AClient(Web with { RefreshRetryWindow = TimeSpan.Zero }), AClient(Web with { GrantTypes = [] }), AClient(Web, new ClientEvent.Suspended("", Noon)), AnotherClient());

    private static readonly Gen<string> Who = Gen.OneOf(EndedBy.Person, EndedBy.Client, EndedBy.Operator, EndedBy.System);

    private static readonly Gen<SubjectId> Someone = Gen.OneOf(Person, Person, Person, AnotherPerson);

    /// <summary>None, mostly; else the one that the catalogue knows, one that it doesn't, or both.</summary>
    public static readonly Gen<ValueList<string>?> Resources = Gen.OneOf<ValueList<string>?>(null, null, null, ["https://bank.example"], ["https://books.example"], ["https://bank.example", "https://books.example"]);

    private static readonly Gen<ValueList<ScopeLimit>?> Limits = Gen.Select(Scopes, Resources, (scopes, resources) =>
        resources is null || scopes.Count == 0 ? null : new ValueList<ScopeLimit>(scopes.Select(scope => new ScopeLimit(scope, resources))));

    private static readonly Gen<FamilyFacts> AnyFacts = Gen.Select(Scopes, Gen.Bool, Resources, (scopes, own, resources) =>
        own ? new FamilyFacts(Tally, null, null, null, scopes, null) : Facts with { Scopes = scopes, Resources = resources });

    private static readonly Gen<AuthorizationRequest> AnyRequest = Gen.Select(Gen.Select(
        Scopes, Gen.OneOf<string[]>([], ["none"], ["login"], ["consent"], ["login", "consent"], ["select_account"]),
        Gen.OneOf<int?>(null, null, 0, 1, 600, int.MaxValue), Gen.OneOf<SubjectId?>(null, null, Person, AnotherPerson), Gen.Bool,
        (scopes, prompt, maxAge, hinted, given) => ARequest(prompt) with { Scopes = scopes, MaxAgeSeconds = maxAge, HintedSubject = hinted, RedirectUriGiven = given }), Resources, (request, resources) => request with { Resources = resources });

    public static readonly Gen<AuthorizationEvent> AuthorizationEnding = Gen.OneOf<AuthorizationEvent>(
        Moment.Select(at => (AuthorizationEvent)new AuthorizationEvent.ConsentDenied(Asked, Text, at)),
        Moment.Select(at => (AuthorizationEvent)new AuthorizationEvent.Refused(ErrorCode.LoginRequired, at)),
        Moment.Select(at => (AuthorizationEvent)new AuthorizationEvent.CodeExpired(at)),
        Moment.Select(at => (AuthorizationEvent)new AuthorizationEvent.Abandoned(at)));

    public static readonly Gen<AuthorizationEvent> AnyAuthorizationEvent = Gen.OneOf<AuthorizationEvent>(
        Gen.Select(AnyRequest, Moment, (request, at) => (AuthorizationEvent)new AuthorizationEvent.Requested(request, "browser", at, at + Authorization.Lifetime)),
        Gen.Select(AnyRequest, Moment, (request, at) => (AuthorizationEvent)new AuthorizationEvent.Pushed(request, at, at.AddSeconds(90))),
        Gen.Select(Scopes, Moment, (scopes, at) => (AuthorizationEvent)new AuthorizationEvent.DeviceRequested(Tally, scopes, "hash", null, at, at + RequestDevice.Lifetime)),
        Moment.Select(at => (AuthorizationEvent)new AuthorizationEvent.UserCodeEntered("browser", new SealedText("sealed"), at)),
        Gen.Select(Someone, Moment, (who, at) => (AuthorizationEvent)new AuthorizationEvent.SubjectAuthenticated(who, SessionId, Authentication.ByPassword(at), at)),
        Gen.Select(Scopes, Moment, (scopes, at) => (AuthorizationEvent)new AuthorizationEvent.ConsentGranted(GrantId, Asked, scopes, [], Text, at)),
        Gen.Select(Scopes, Moment, (scopes, at) => (AuthorizationEvent)new AuthorizationEvent.ConsentReused(GrantId, scopes, at)),
        Gen.Select(Scopes, Moment, (scopes, at) => (AuthorizationEvent)new AuthorizationEvent.CodeIssued(GrantId, FamilyId, scopes, at, at + Authorization.CodeLifetime)),
        Moment.Select(at => (AuthorizationEvent)new AuthorizationEvent.CodeRedeemed(FamilyId, at)),
        Moment.Select(at => (AuthorizationEvent)new AuthorizationEvent.CodeReplayed(at)),
        AuthorizationEnding);

    public static readonly Gen<GrantEvent> GrantEnding = Gen.OneOf<GrantEvent>(
        Gen.Select(Who, Moment, (by, at) => (GrantEvent)new GrantEvent.Revoked(by, "", at)),
        Moment.Select(at => (GrantEvent)new GrantEvent.Expired(at)));

    public static readonly Gen<GrantEvent> AnyGrantEvent = Gen.OneOf<GrantEvent>(
        Gen.Select(Someone, Scopes, Scopes, Moment, Limits, (who, scopes, refused, at, limits) => (GrantEvent)new GrantEvent.Created(who, Tally, RequestId, scopes, refused.Except(scopes), at, at.AddDays(90), limits)),
        Gen.Select(Scopes, Scopes, Moment, Limits, (scopes, refused, at, limits) => (GrantEvent)new GrantEvent.Widened(RequestId, scopes, refused, at, at.AddDays(90), limits)),
        Gen.Select(Scopes, Moment, (scopes, at) => (GrantEvent)new GrantEvent.Narrowed(RequestId, scopes, at)),
        GrantEnding);

    public static readonly Gen<TokenFamilyEvent> AnyFamilyEvent = Gen.OneOf<TokenFamilyEvent>(
        Gen.Select(Gen.Int[1, 5], AnyFacts, Moment, (number, facts, at) => (TokenFamilyEvent)new TokenFamilyEvent.AccessTokenIssued(number, facts, facts.Scopes, [Issuer], at, at.AddMinutes(5))),
        Gen.Select(AnyFacts, Moment, (facts, at) => (TokenFamilyEvent)new TokenFamilyEvent.RefreshTokenIssued(facts, 1, at, at.AddDays(30), at.AddDays(90))),
        Moment.Select(at => (TokenFamilyEvent)new TokenFamilyEvent.IdTokenIssued(at, at.AddMinutes(10))),
        Gen.Select(Gen.Int[2, 5], AnyFacts, Moment, (generation, facts, at) => (TokenFamilyEvent)new TokenFamilyEvent.RefreshTokenRotated(generation, facts, generation, at, at.AddDays(30), at.AddDays(90))),
        Gen.Select(Gen.Int[1, 5], Moment, (generation, at) => (TokenFamilyEvent)new TokenFamilyEvent.RefreshTokenReplayed(generation, at)),
        Gen.Select(Gen.Int[1, 5], Who, Moment, (number, by, at) => (TokenFamilyEvent)new TokenFamilyEvent.AccessTokenRevoked(number, by, "", at)),
        Gen.Select(Gen.Int[1, 5], Moment, (number, at) => (TokenFamilyEvent)new TokenFamilyEvent.AccessTokenExpired(number, at)),
        Gen.Select(Gen.Int[1, 5].Array[2, 4], Moment, (numbers, at) => (TokenFamilyEvent)new TokenFamilyEvent.AccessTokensExpired(new(numbers), at)),
        Gen.Select(Who, Moment, (by, at) => (TokenFamilyEvent)new TokenFamilyEvent.Revoked(by, "", at)),
        Moment.Select(at => (TokenFamilyEvent)new TokenFamilyEvent.Expired(at)));

    private static readonly Gen<SessionEvent> AnySessionEvent = Gen.OneOf<SessionEvent>(
        Gen.Select(Someone, Moment, (who, at) => (SessionEvent)new SessionEvent.Started(who, Authentication.ByPassword(at), at + SignIn.Lifetime)),
        Moment.Select(at => (SessionEvent)new SessionEvent.Reauthenticated(Authentication.ByPassword(at))),
        Moment.Select(at => (SessionEvent)new SessionEvent.Ended(EndedBy.Person, "", at)),
        Moment.Select(at => (SessionEvent)new SessionEvent.Expired(at)));

    /// <summary>Events of all four streams, in any order.</summary>
    public static readonly Gen<StreamEvent[]> Anything = Gen.OneOf<StreamEvent>(
        AnyAuthorizationEvent.Select(e => On(RequestId, e)), AnyGrantEvent.Select(e => On(GrantId, e)),
        AnyFamilyEvent.Select(e => On(FamilyId, e)), AnySessionEvent.Select(e => On(SessionId, e))).Array[0, 24];

    /// <summary>A story that makes sense up to some point, and then a few events of any kind.</summary>
    public static readonly Gen<StreamEvent[]> PlausibleThenAnything = Gen.Select(
        Gen.Frequency((3, Gen.Const(ARequest())), (1, AnyRequest)), Gen.Frequency((3, Gen.Const(Asked)), (1, Scopes)), Gen.OneOf(Noon.AddSeconds(50), Noon.AddDays(90)),
        Gen.Int[0, 11], Anything, Gen.Frequency((3, 0), (1, 1), (1, 4)),
        (request, granted, until, told, anything, more) =>
            ((StreamEvent[])[Requested(request), SessionStarted(), Authenticated(), Granted(granted, Asked.Except(granted), until), CodeIssued(), CodeRedeemed(), .. FamilyBegun(), Rotated(2), AccessTokenIssued(2)])
                .Take(told).Concat(anything.Take(more)).ToArray());

    public static readonly Gen<StreamEvent[]> Any = Gen.Frequency((1, Anything), (3, PlausibleThenAnything));

    public static string Print(IEnumerable<StreamEvent> history) => string.Join(Environment.NewLine, history.Select(e => e.Event));
}
