using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.Authorizations;

/// <summary>A device asks at noon, a person types its code half a minute later: RFC 8628.</summary>
public sealed class DeviceAuthorizationTests
{
    private static readonly DateTimeOffset Soon = Noon.AddSeconds(30);
    private static readonly DateTimeOffset End = Noon.AddMinutes(10);
    private static readonly SealedText Typed = new("v1.person.code");
    private static readonly ScopeSet Needed = ["openid", "accounts", "offline_access"];

    private static readonly ClientMetadata Tv = Web with { RedirectUris = [], GrantTypes = [GrantType.DeviceCode, GrantType.RefreshToken], TokenEndpointAuthMethod = ClientAuthMethod.None };

    private static StreamEvent DeviceRequested(ScopeSet? scopes = null, JwkThumbprint? jkt = null) =>
        On(RequestId, new AuthorizationEvent.DeviceRequested(Tally, scopes ?? Asked, "hash", jkt, Noon, End));

    private static StreamEvent Entered(string browser = "browser") => On(RequestId, new AuthorizationEvent.UserCodeEntered(browser, Typed, Soon));

    private static StreamEvent Answered(DateTimeOffset? expiresAt = null) => On(RequestId, new AuthorizationEvent.CodeIssued(GrantId, FamilyId, Asked, Soon, expiresAt ?? End));

    private static readonly Scenario Waiting = Scenario.Given([DeviceRequested(), SessionStarted()]);
    private static readonly Scenario Typing = Waiting.And(Entered(), Authenticated());
    private static readonly Scenario Allowed = Typing.And(Granted(), Answered());

    private static Decision<DateTimeOffset> Request(ClientMetadata? metadata = null, ScopeSet? scopes = null, Catalogue? catalogue = null, params ClientEvent[] then) =>
        RequestDevice.Decide(new(RequestId, AClient(metadata ?? Tv, then), scopes ?? Asked, "hash", catalogue ?? BankCatalogue), Noon);

    private static Decision<Guid> Enter(Scenario given, string browser = "browser", Client? client = null, Catalogue? catalogue = null, DateTimeOffset? now = null) =>
        EnterUserCode.Decide(given.Authorization, new(client ?? AClient(Tv), browser, Typed, catalogue ?? BankCatalogue), now ?? Soon);

    private static Decision<NextStep> Continue(Scenario given, DateTimeOffset? now = null) =>
        ContinueAuthorization.Decide(given.Authorization!, given.Grant, new(AClient(Tv), given.Session, FamilyId), now ?? Soon);

    private static Decision<NextStep> Answer(Scenario given, bool allow = true, DateTimeOffset? now = null) =>
        AnswerConsent.Decide(given.Authorization!, given.Grant, new(AClient(Tv), given.Session, allow, ["history"], Text, GrantId, FamilyId), now ?? Soon);

    private static Decision<IssuedTokens> Poll(Scenario given, Client? client = null, DateTimeOffset? now = null, JwkThumbprint? jkt = null, Catalogue? catalogue = null) =>
        RedeemDeviceCode.Decide(given.Authorization, given.Grant, given.Family, new(client ?? AClient(Tv), null, null, catalogue ?? BankCatalogue, Issuer, jkt), now ?? Soon);

    [Fact, Trait("Rule", "DV-1"), Trait("Rule", "DV-5")]
    public void A_request_is_recorded_with_its_scopes_and_lives_for_ten_minutes_at_most()
    {
        var decision = Request();
        Assert.Equal(End, decision.Accepted());
        decision.Records(DeviceRequested());
        var waiting = Scenario.Given(decision.Events).Authorization!;
        Assert.Equal((null, Noon, End, false), (waiting.Browser, waiting.RequestedAt, waiting.ExpiresAt, waiting.Answered));
        Assert.True(RequestDevice.Lifetime <= TimeSpan.FromMinutes(10));
    }

    [Fact, Trait("Rule", "DV-5"), Trait("Attack", "C12"), Trait("Attack", "K9")]
    public void Only_a_client_that_is_registered_for_it_may_use_devices()
    {
        Assert.DoesNotContain(GrantType.DeviceCode, new ClientMetadata { ClientName = "Any" }.GrantTypes); // off by default
        Request(Web).RefusedWith(ErrorCode.UnauthorizedClient);
        Request(then: new ClientEvent.Suspended("abuse", Noon)).RefusedWith(ErrorCode.UnauthorizedClient);
        Poll(Allowed, AClient(Web)).RefusedWith(ErrorCode.UnauthorizedClient);
    }

    [Fact, Trait("Rule", "DV-1"), Trait("Rule", "AZ-5")]
    public void It_may_ask_for_what_it_is_registered_for_and_is_known()
    {
        Request(scopes: ["openid", "admin"]).RefusedWith(ErrorCode.InvalidScope);
        Request(scopes: ["openid", "payments"], catalogue: Catalogue.Empty).RefusedWith(ErrorCode.InvalidScope);
        Request(Tv with { Scope = [] }, scopes: []).RefusedWith(ErrorCode.InvalidScope);
        // Who names none gets what it can't do without, and never access for when nobody is there.
        Assert.Equal(["openid", "accounts", "payments"], Request(scopes: []).Events.One<AuthorizationEvent.DeviceRequested>().Scopes);
    }

    [Fact, Trait("Rule", "AZ-18")]
    public void Without_refresh_tokens_offline_access_is_dropped_and_nothing_else_left_is_nothing_asked()
    {
        var metadata = Tv with { GrantTypes = [GrantType.DeviceCode] };
        Assert.Equal(["openid", "accounts", "history"], Request(metadata).Events.One<AuthorizationEvent.DeviceRequested>().Scopes);
        Request(metadata, scopes: ["offline_access"]).RefusedWith(ErrorCode.InvalidScope);
    }

    [Fact, Trait("Rule", "DV-2"), Trait("Rule", "DV-3")]
    public void The_browser_that_types_the_code_first_is_the_one_that_may_go_on_as_often_as_it_likes()
    {
        var decision = Enter(Waiting);
        Assert.Equal(RequestId, decision.Accepted());
        decision.Records(Entered());
        var typing = Waiting.And(decision.Events);
        Assert.Equal(("browser", Typed), (typing.Authorization!.Browser, typing.Authorization.Device!.UserCode));

        var again = Enter(typing);
        Assert.Equal(RequestId, again.Accepted());
        again.Records();
        Enter(typing, "another browser").RefusedWith(ErrorCode.InvalidGrant);
    }

    [Fact, Trait("Rule", "DV-2"), Trait("Attack", "C11")]
    public void Unknown_expired_answered_and_spent_codes_are_refused_in_the_same_words()
    {
        Assert.Single(((Decision<Guid>[])
        [
            Enter(Scenario.Given()),
            Enter(Waiting, now: End),
            Enter(Waiting.And(On(RequestId, new AuthorizationEvent.Abandoned(End)))),
            Enter(Allowed),
            Enter(Typing.And(On(RequestId, new AuthorizationEvent.ConsentDenied(Asked, Text, Soon)))),
            Enter(Typing, "another browser"),
            Enter(Scenario.Given(Requested())), // no device's
            Enter(Scenario.Given(Pushed())),
        ]).Select(decision => decision.RefusedWith(ErrorCode.InvalidGrant)).Distinct());
        Enter(Waiting, now: End.AddTicks(-1)).Accepted();
    }

    [Fact, Trait("Attack", "C15"), Trait("Attack", "T24")]
    public void What_the_client_may_not_have_any_more_is_asked_of_nobody_and_told_to_the_device()
    {
        foreach (var (client, catalogue, error) in ((Client, Catalogue, string)[])
        [
            (AClient(Tv with { Scope = ["openid"] }), BankCatalogue, ErrorCode.InvalidScope),
            (AClient(Tv), Catalogue.Empty, ErrorCode.InvalidScope),
            (AClient(Web), BankCatalogue, ErrorCode.UnauthorizedClient),
            (AClient(Tv, new ClientEvent.Suspended("abuse", Noon)), BankCatalogue, ErrorCode.UnauthorizedClient),
        ])
        {
            var decision = Enter(Waiting, client: client, catalogue: catalogue);
            decision.RefusedAndRecordedWith(ErrorCode.InvalidGrant);
            decision.Records(On(RequestId, new AuthorizationEvent.Refused(error, Soon)));
            Poll(Waiting.After(decision)).RefusedWith(error);
        }
    }

    [Fact, Trait("Rule", "DV-3"), Trait("Attack", "C12")]
    public void A_device_is_asked_about_each_time_whatever_was_allowed_before()
    {
        var step = Continue(Waiting.And(Entered(), Granted()));
        Assert.Equal(new NextStep.AskConsent(Asked), step.Accepted());
        Assert.Equal(Person, step.Events.One<AuthorizationEvent.SubjectAuthenticated>().Subject);
    }

    [Fact, Trait("Rule", "DV-3"), Trait("Attack", "C12")]
    public void Whoever_signed_in_more_than_a_quarter_of_an_hour_ago_signs_in_again()
    {
        Assert.IsType<NextStep.AskConsent>(Continue(Typing, Password.At.AddMinutes(15)).Accepted());
        Assert.Equal(new NextStep.SignIn(true), Continue(Typing, Password.At.AddMinutes(15).AddSeconds(1)).Accepted());
        var fresh = Scenario.Given([DeviceRequested(), SessionStarted(how: Authentication.ByPassword(Soon)), Entered()]);
        Assert.IsType<NextStep.AskConsent>(Continue(fresh, End.AddTicks(-1)).Accepted());
    }

    [Fact, Trait("Rule", "DV-3"), Trait("Rule", "DV-4")]
    public void Allowing_it_is_consent_as_anywhere_and_the_device_has_until_its_code_runs_out()
    {
        var decision = Answer(Typing);
        Assert.Equal(new NextStep.Answer(GrantId, FamilyId), decision.Accepted());
        decision.Records(
            On(GrantId, new GrantEvent.Created(Person, Tally, RequestId, Asked, [], Soon, Soon.AddDays(90))),
            On(RequestId, new AuthorizationEvent.ConsentGranted(GrantId, Asked, Asked, [], Text, Soon)),
            Answered());
    }

    [Fact, Trait("Rule", "DV-4")]
    public void Whoever_answers_in_the_last_second_leaves_the_device_a_minute()
    {
        var late = Answer(Typing, now: End.AddSeconds(-1));
        Assert.Equal(End.AddSeconds(59), late.Events.One<AuthorizationEvent.CodeIssued>().ExpiresAt);
        Assert.IsType<NextStep.TimedOut>(Answer(Typing, now: End).Accepted());
        Poll(Typing.After(late), now: End.AddSeconds(58)).Accepted();
    }

    [Fact, Trait("Rule", "DV-4")]
    public void Until_somebody_answers_a_poll_is_told_to_go_on_and_leaves_nothing_in_the_log()
    {
        foreach (var given in (Scenario[])[Waiting, Typing]) Poll(given).RefusedWith(ErrorCode.AuthorizationPending);
        Poll(Typing, now: End.AddTicks(-1)).RefusedWith(ErrorCode.AuthorizationPending);
        Poll(Typing, now: End).RefusedWith(ErrorCode.ExpiredToken);
        Poll(Typing.And(On(RequestId, new AuthorizationEvent.Abandoned(End))), now: Soon).RefusedWith(ErrorCode.ExpiredToken); // by a clock that is behind
    }

    [Fact, Trait("Rule", "DV-4"), Trait("Law", "L3")]
    public void A_no_is_told_to_the_device_and_stays_a_no()
    {
        var denied = Typing.After(Answer(Typing, allow: false));
        Poll(denied).RefusedWith(ErrorCode.AccessDenied);
        Poll(denied, now: End.AddDays(1)).RefusedWith(ErrorCode.AccessDenied);
        Assert.IsType<NextStep.AnsweredAlready>(Answer(denied).Accepted());
    }

    [Fact, Trait("Rule", "DV-4"), Trait("Rule", "TK-8")]
    public void A_yes_gives_the_tokens_that_a_code_would()
    {
        var decision = Poll(Allowed);
        var tokens = decision.Accepted();
        Assert.Equal((FamilyId, 1, Asked), (tokens.Family, tokens.RefreshGeneration, tokens.AccessToken.Scopes));
        Assert.Equal((Person, GrantId, SessionId), (tokens.Facts.Subject, tokens.Facts.Grant, tokens.Facts.Session));
        Assert.Equal(
            [typeof(AuthorizationEvent.CodeRedeemed), typeof(TokenFamilyEvent.AccessTokenIssued), typeof(TokenFamilyEvent.RefreshTokenIssued), typeof(TokenFamilyEvent.IdTokenIssued)],
            decision.Events.Select(e => e.Event.GetType()));
    }

    [Fact, Trait("Rule", "DV-4"), Trait("Attack", "C1"), Trait("Law", "L2")]
    public void A_second_redemption_is_a_replay_as_a_codes_is()
    {
        var redeemed = Allowed.After(Poll(Allowed));
        var decision = Poll(redeemed, now: End.AddDays(1));
        decision.RefusedAndRecordedWith(ErrorCode.InvalidGrant);
        decision.Records(On(RequestId, new AuthorizationEvent.CodeReplayed(End.AddDays(1))),
            On(FamilyId, new TokenFamilyEvent.Revoked(EndedBy.System, "its code was used twice", End.AddDays(1))));
        Poll(redeemed.After(decision)).RefusedWith(ErrorCode.InvalidGrant);
        Poll(redeemed, AnotherClient(Tv)).RefusedWith(ErrorCode.InvalidGrant); // and a stranger can't end them
    }

    [Fact, Trait("Rule", "DV-4"), Trait("Attack", "C3")]
    public void Another_client_learns_nothing_from_a_device_code()
    {
        foreach (var given in (Scenario[])[Waiting, Typing, Allowed, Typing.After(Answer(Typing, allow: false))])
            Poll(given, AnotherClient(Tv)).RefusedWith(ErrorCode.InvalidGrant);
    }

    [Fact, Trait("Rule", "DV-4"), Trait("Rule", "DP-6"), Trait("Attack", "T10")]
    public void A_device_that_proved_a_key_has_to_prove_it_with_each_poll()
    {
        var bound = Scenario.Given([DeviceRequested(jkt: Key), SessionStarted(), Entered(), Authenticated()]);
        foreach (var other in (JwkThumbprint?[])[null, AnotherKey])
        {
            Poll(bound, jkt: other).RefusedWith(ErrorCode.InvalidGrant);
            Poll(bound.And(Granted(), Answered()), jkt: other).RefusedWith(ErrorCode.InvalidGrant);
        }

        Poll(bound, jkt: Key).RefusedWith(ErrorCode.AuthorizationPending);
        var tokens = Poll(bound.And(Granted(), Answered()), jkt: Key).Accepted();
        Assert.Equal((Key, Key), (tokens.AccessToken.Jkt, tokens.Facts.Jkt));
        Poll(Allowed, AClient(Tv with { DpopBoundAccessTokens = true })).RefusedWith(ErrorCode.InvalidRequest);
    }

    [Fact, Trait("Attack", "C15"), Trait("Attack", "T24"), Trait("Attack", "T23")]
    public void Rights_are_looked_at_again_when_the_tokens_are_fetched()
    {
        Poll(Allowed, AClient(Tv, new ClientEvent.Suspended("abuse", Soon))).RefusedWith(ErrorCode.UnauthorizedClient);
        Poll(Allowed, AClient(Tv with { Scope = Needed })).RefusedWith(ErrorCode.InvalidScope);
        Poll(Allowed, catalogue: Catalogue.Empty).RefusedWith(ErrorCode.InvalidScope);
        Poll(Allowed.And(On(GrantId, new GrantEvent.Revoked(EndedBy.Person, "", Soon)))).RefusedWith(ErrorCode.InvalidGrant);
        Poll(Typing.And(Answered())).RefusedWith(ErrorCode.InvalidGrant); // whose grant counts for nothing now
        Assert.Equal(["openid", "accounts", "offline_access"], Poll(Allowed.And(On(GrantId, new GrantEvent.Narrowed(RequestId, ["history"], Soon)))).Accepted().AccessToken.Scopes);
    }

    [Fact, Trait("Rule", "DV-4")]
    public void What_was_answered_and_not_fetched_runs_out()
    {
        Poll(Allowed, now: End.AddTicks(-1)).Accepted();
        Poll(Allowed, now: End).RefusedWith(ErrorCode.ExpiredToken);
        Poll(Allowed.And(On(RequestId, new AuthorizationEvent.CodeExpired(End)))).RefusedWith(ErrorCode.ExpiredToken);
    }

    [Fact, Trait("Law", "L2")]
    public void A_family_that_exists_already_is_never_opened_a_second_time() => Poll(Allowed.And(FamilyBegun())).RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Attack", "C3")]
    public void Neither_kind_of_code_passes_for_the_other()
    {
        RedeemCode.Decide(Allowed.Authorization, Allowed.Grant, null, new(AClient(), Callback, new Secret(Verifier), BankCatalogue, Issuer), Soon).RefusedWith(ErrorCode.InvalidGrant);
        Poll(Scenario.Given([Requested(), Authenticated(), Granted(), CodeIssued()])).RefusedWith(ErrorCode.InvalidGrant);
        Poll(Scenario.Given([Pushed()])).RefusedWith(ErrorCode.InvalidGrant);
        Poll(Scenario.Given()).RefusedWith(ErrorCode.InvalidGrant);

        // Nor does a browser that comes with a request of its own take a device's over.
        Assert.Null(Waiting.And(Requested()).Authorization!.Browser);
        Assert.IsType<Refused<NextStep>>(BeginAuthorization.Decide(Typing.Authorization, "another browser", BankCatalogue, null, new(AClient(Tv), null, FamilyId), Soon));
    }

    [Fact, Trait("Attack", "E10")]
    public void What_nobody_answered_or_nobody_fetched_is_written_down_as_over()
    {
        foreach (var given in (Scenario[])[Waiting, Typing])
        {
            Assert.Empty(RecordExpiry.Of(given.Authorization!, End.AddTicks(-1)));
            Assert.Equal([new AuthorizationEvent.Abandoned(End)], RecordExpiry.Of(given.Authorization!, End));
        }

        Assert.Equal([new AuthorizationEvent.CodeExpired(End)], RecordExpiry.Of(Allowed.Authorization!, End));
    }

    [Fact, Trait("Rule", "RG-3")]
    public void A_device_client_needs_no_redirect_uri_and_may_have_refresh_tokens()
    {
        Assert.Null(DeclareClient.WhyNot(Tally, Tv));
        Assert.NotNull(DeclareClient.WhyNot(Tally, Tv with { GrantTypes = [GrantType.RefreshToken] }));
    }
}
