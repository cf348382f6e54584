using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.Tests.Given;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.Authorizations;

public sealed class AnswerConsentTests
{
    private static readonly Guid NewGrant = Id(21);
    private static readonly Guid NewFamily = Id(20);
    private static readonly Scenario Shown = Scenario.Given([Requested(), SessionStarted(), Authenticated()]);
    private static readonly ScopeSet Needed = ["openid", "accounts", "offline_access"];

    private static Decision<NextStep> Decide(Scenario given, bool allow = true, ScopeSet? ticked = null, Client? client = null, DateTimeOffset? now = null) =>
        AnswerConsent.Decide(given.Authorization!, given.Grant, new(client ?? AClient(), given.Session, allow, ticked ?? ["history"], Text, NewGrant, NewFamily), now ?? Noon);

    private static void RecordsNothing<TStep>(Decision<NextStep> decision) where TStep : NextStep
    {
        Assert.IsType<TStep>(decision.Accepted());
        decision.Records();
    }

    [Fact]
    public void All_allowed_makes_a_grant_and_issues_a_code_in_one_commit()
    {
        var decision = Decide(Shown);
        Assert.Equal(new NextStep.Answer(NewGrant, NewFamily), decision.Accepted());
        decision.Records(
            On(NewGrant, new GrantEvent.Created(Person, Tally, RequestId, Asked, [], Noon, Noon.AddDays(90))),
            On(RequestId, new AuthorizationEvent.ConsentGranted(NewGrant, Asked, Asked, [], Text, Noon)),
            On(RequestId, new AuthorizationEvent.CodeIssued(NewGrant, NewFamily, Asked, Noon, Noon.AddSeconds(60))));
    }

    [Fact]
    public void An_optional_permission_left_unticked_is_in_neither_grant_nor_code_and_is_remembered_as_refused()
    {
        var decision = Decide(Shown, ticked: []);
        decision.Records(
            On(NewGrant, new GrantEvent.Created(Person, Tally, RequestId, Needed, ["history"], Noon, Noon.AddDays(90))),
            On(RequestId, new AuthorizationEvent.ConsentGranted(NewGrant, Asked, Needed, ["history"], Text, Noon)),
            On(RequestId, new AuthorizationEvent.CodeIssued(NewGrant, NewFamily, Needed, Noon, Noon.AddSeconds(60))));
    }

    [Fact]
    public void An_optional_permission_that_stands_and_had_no_box_on_the_page_stays_allowed()
    {
        var given = Shown.And(Granted());
        Decision<NextStep> Answer(ScopeSet offered) =>
            AnswerConsent.Decide(given.Authorization!, given.Grant, new(AClient(), given.Session, true, [], Text, NewGrant, NewFamily, offered), Noon);
        Assert.Contains("history", given.After(Answer([])).Grant!.Scopes);
        Assert.DoesNotContain("history", given.After(Answer(["history"])).Grant!.Scopes);
    }

    [Fact]
    public void No_is_told_to_the_app_and_grants_nothing()
    {
        var decision = Decide(Shown, allow: false);
        Assert.Equal(ErrorCode.AccessDenied, Assert.IsType<NextStep.Refuse>(decision.Accepted()).Error.Code);
        decision.Records(On(RequestId, new AuthorizationEvent.ConsentDenied(Asked, Text, Noon)));
    }

    [Fact]
    public void Allowing_nothing_of_what_was_asked_is_a_no_and_makes_no_token_without_scopes()
    {
        var given = Scenario.Given([Requested(ARequest() with { Scopes = ["history"] }), SessionStarted(), Authenticated()]);
        var decision = Decide(given, ticked: []);
        Assert.Equal(ErrorCode.AccessDenied, Assert.IsType<NextStep.Refuse>(decision.Accepted()).Error.Code);
        decision.Records(On(RequestId, new AuthorizationEvent.ConsentDenied(["history"], Text, Noon)));
    }

    [Fact]
    public void No_leaves_an_earlier_grant_as_it_was()
    {
        var given = Shown.And(Granted());
        Assert.Equal(given.Grant, given.After(Decide(given, allow: false)).Grant);
    }

    [Theory, Trait("Attack", "R15")]
    [InlineData("payments")] // the client may ask for it, but this request didn't
    [InlineData("accounts")] // needed ones have no box
    [InlineData("admin")]
    public void A_permission_that_the_page_did_not_offer_refuses_the_whole_answer(string forged) =>
        Decide(Shown, ticked: ["history", forged]).RefusedWith(ErrorCode.InvalidScope);

    [Fact, Trait("Attack", "C10")]
    public void An_answer_from_another_session_than_was_asked_leads_to_the_sign_in_page() =>
        RecordsNothing<NextStep.SignIn>(Decide(Scenario.Given([Requested(), SessionStarted(), Authenticated(session: Id(30))])));

    [Fact, Trait("Attack", "C10")]
    public void An_answer_by_another_person_than_was_asked_leads_to_the_sign_in_page() =>
        RecordsNothing<NextStep.SignIn>(Decide(Scenario.Given([Requested(), SessionStarted(), Authenticated(subject: AnotherPerson)])));

    [Fact, Trait("Attack", "C10"), Trait("Attack", "R15")]
    public void An_answer_before_anybody_was_asked_leads_to_the_sign_in_page() =>
        RecordsNothing<NextStep.SignIn>(Decide(Scenario.Given([Requested(), SessionStarted()])));

    [Fact]
    public void An_answer_by_nobody_leads_to_the_sign_in_page() => RecordsNothing<NextStep.SignIn>(Decide(Scenario.Given([Requested(), Authenticated()])));

    [Fact, Trait("Law", "L3")]
    public void An_answer_from_a_session_that_was_ended_leads_to_the_sign_in_page() =>
        RecordsNothing<NextStep.SignIn>(Decide(Shown.And(On(SessionId, new SessionEvent.Ended(EndedBy.Person, "", Noon)))));

    [Fact, Trait("Rule", "AZ-9"), Trait("Rule", "AZ-11")]
    public void The_consent_form_is_no_way_around_a_fresh_sign_in()
    {
        var given = Scenario.Given([Requested(ARequest("login")), SessionStarted(), Granted()]);
        var asked = ContinueAuthorization.Decide(given.Authorization!, given.Grant, new(AClient(), given.Session, NewFamily), Noon);
        RecordsNothing<NextStep.SignIn>(Decide(given.After(asked)));
    }

    [Fact, Trait("Law", "L2")]
    public void A_second_answer_changes_nothing()
    {
        RecordsNothing<NextStep.AnsweredAlready>(Decide(Shown.After(Decide(Shown))));
        RecordsNothing<NextStep.AnsweredAlready>(Decide(Shown.After(Decide(Shown, allow: false))));
        RecordsNothing<NextStep.AnsweredAlready>(Decide(Shown.After(Decide(Shown)), allow: false));
    }

    [Fact]
    public void After_fifteen_minutes_no_answer_counts() => RecordsNothing<NextStep.TimedOut>(Decide(Shown, now: Noon.AddMinutes(15)));

    [Fact, Trait("Attack", "T24")]
    public void A_client_suspended_while_the_page_was_open_gets_no_code()
    {
        var decision = Decide(Shown, client: AClient(Web, new ClientEvent.Suspended("abuse", Noon)));
        Assert.Equal(ErrorCode.UnauthorizedClient, Assert.IsType<NextStep.Refuse>(decision.Accepted()).Error.Code);
        decision.Records(On(RequestId, new AuthorizationEvent.Refused(ErrorCode.UnauthorizedClient, Noon)));
    }

    [Fact]
    public void A_second_consent_widens_the_one_grant()
    {
        var given = Shown.And(Granted(["openid", "payments"], until: Noon.AddDays(1)));
        var decision = Decide(given);
        Assert.Equal(new NextStep.Answer(GrantId, NewFamily), decision.Accepted());
        Assert.Equal(new GrantEvent.Widened(RequestId, ["accounts", "history", "offline_access"], [], Noon, Noon.AddDays(90)), decision.Events.One<GrantEvent>());
        var grant = given.After(decision).Grant!;
        Assert.Equal(ScopeSet.Of(["openid", "payments", "accounts", "history", "offline_access"]), grant.Scopes);
        Assert.Equal(Noon.AddDays(90), grant.ExpiresAt);
    }

    [Fact]
    public void What_was_allowed_before_but_not_asked_now_is_not_in_the_code() =>
        Assert.Equal(Asked, Decide(Shown.And(Granted(["openid", "payments"]))).Events.One<AuthorizationEvent.CodeIssued>().Scopes);

    [Fact]
    public void A_second_consent_takes_back_what_is_left_unticked_and_remembers_it()
    {
        var given = Shown.And(Granted());
        var decision = Decide(given, ticked: []);
        Assert.Equal(ScopeSet.Of(["history"]), decision.Events.One<GrantEvent.Narrowed>().Removed);
        var grant = given.After(decision).Grant!;
        Assert.Equal(Needed, grant.Scopes);
        Assert.Equal(ScopeSet.Of(["history"]), grant.Refused);
    }

    [Fact]
    public void A_refused_permission_allowed_by_a_second_consent_is_no_longer_refused()
    {
        var given = Shown.And(Granted(Needed, refused: ["history"]));
        var grant = given.After(Decide(given)).Grant!;
        Assert.Equal(Asked, grant.Scopes);
        Assert.Empty(grant.Refused);
    }

    [Fact, Trait("Law", "L3")]
    public void After_a_revocation_a_consent_makes_a_new_grant_and_leaves_the_old_one_ended()
    {
        var given = Shown.And([Granted(), On(GrantId, new GrantEvent.Revoked(EndedBy.Person, "", Noon))]);
        var decision = Decide(given);
        Assert.Equal(new NextStep.Answer(NewGrant, NewFamily), decision.Accepted());
        Assert.All(decision.Events, e => Assert.NotEqual(GrantId, e.Stream));
    }

    [Fact, Trait("Law", "L3")]
    public void A_grant_that_ran_out_unrecorded_is_closed_once_before_the_new_one_takes_its_place()
    {
        var given = Shown.And(Granted(until: Noon));
        var decision = Decide(given);
        Assert.Equal(On(GrantId, new GrantEvent.Expired(Noon)), decision.Events[0]);
        Assert.Single(decision.Events, e => e.Stream == GrantId);
        var after = given.After(decision);
        Assert.Null(after.Grant!.LiveKey);
        Assert.Equal(Grant.KeyOf(Person, Tally), after.Find<Grant>(NewGrant)!.LiveKey);
    }
}
