using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.Tests.Given;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.Authorizations;

public sealed class ContinueAuthorizationTests
{
    private static readonly Guid NewFamily = Id(20);
    private static readonly AuthorizationEvent.SubjectAuthenticated Seen = new(Person, SessionId, Password, Noon);

    /// <summary>Signed in, and has allowed all that is asked.</summary>
    private static Scenario Known(AuthorizationRequest? request = null, Authentication? signedIn = null) =>
        Scenario.Given([Requested(request), SessionStarted(how: signedIn), Granted()]);

    private static Decision<NextStep> Decide(Scenario given, Client? client = null, DateTimeOffset? now = null) =>
        ContinueAuthorization.Decide(given.Authorization!, given.Grant, new(client ?? AClient(), given.Session, NewFamily), now ?? Noon);

    private static void Refuses(Decision<NextStep> decision, string error, params StreamEvent[] before)
    {
        Assert.Equal(error, Assert.IsType<NextStep.Refuse>(decision.Accepted()).Error.Code);
        decision.Records([.. before, On(RequestId, new AuthorizationEvent.Refused(error, Noon))]);
    }

    private static void Asks(Decision<NextStep> decision) => Assert.Equal(new NextStep.AskConsent(Asked), decision.Accepted());

    private static void SignsIn(Decision<NextStep> decision, bool again)
    {
        Assert.Equal(new NextStep.SignIn(again), decision.Accepted());
        decision.Records();
    }

    // Arrival

    [Fact, Trait("Rule", "AZ-9"), Trait("Law", "L2")]
    public void A_request_is_recorded_with_whatever_comes_next_and_decided_as_one_that_stands()
    {
        foreach (var (given, prompt) in (ReadOnlySpan<(Scenario, string?)>)[(Known(), null), (Scenario.Given(Requested()), null), (Scenario.Given(Requested(ARequest("none"))), "none")])
        {
            var later = Decide(given);
            var arriving = BeginAuthorization.Decide(given.Authorization!, given.Grant, new(AClient(), given.Session, NewFamily), Noon);
            Assert.Equal(later.Accepted(), arriving.Accepted());
            arriving.Records([Requested(prompt is null ? null : ARequest(prompt)), .. later.Events]);
        }
    }

    // Sign-in

    [Fact, Trait("Rule", "AZ-9")]
    public void Nobody_signed_in_leads_to_the_sign_in_page() => SignsIn(Decide(Scenario.Given(Requested())), again: false);

    [Fact, Trait("Rule", "AZ-10")]
    public void Nobody_signed_in_and_prompt_none_is_login_required() => Refuses(Decide(Scenario.Given(Requested(ARequest("none")))), ErrorCode.LoginRequired);

    [Fact, Trait("Rule", "AZ-10"), Trait("Attack", "T5")]
    public void A_session_that_ran_out_counts_as_none()
    {
        var old = Authentication.ByPassword(Noon - SignIn.Lifetime);
        SignsIn(Decide(Known(signedIn: old)), again: false);
        Refuses(Decide(Known(ARequest("none"), old)), ErrorCode.LoginRequired);
    }

    [Fact, Trait("Rule", "AZ-10"), Trait("Law", "L3")]
    public void A_session_that_was_ended_counts_as_none() =>
        SignsIn(Decide(Known().And(On(SessionId, new SessionEvent.Ended(EndedBy.Person, "", Noon)))), again: false);

    [Theory, Trait("Rule", "AZ-9")]
    [InlineData("login")]
    [InlineData("select_account")]
    public void A_prompt_for_a_sign_in_is_not_met_by_an_earlier_one(string prompt) => SignsIn(Decide(Known(ARequest(prompt))), again: true);

    [Theory, Trait("Rule", "AZ-9")]
    [InlineData("login")]
    [InlineData("select_account")]
    public void A_prompt_for_a_sign_in_is_met_by_one_given_for_this_request(string prompt)
    {
        var fresh = Known(ARequest(prompt)).And(On(SessionId, new SessionEvent.Reauthenticated(Authentication.ByPassword(Noon))));
        Assert.IsType<NextStep.Answer>(Decide(fresh).Accepted());
    }

    [Theory, Trait("Rule", "AZ-11")]
    [InlineData(599, true)] // the sign-in is 600 s old
    [InlineData(600, false)]
    [InlineData(int.MaxValue, false)]
    public void A_sign_in_older_than_max_age_has_to_be_renewed(int maxAge, bool renew)
    {
        var decision = Decide(Known(ARequest() with { MaxAgeSeconds = maxAge }));
        if (renew) SignsIn(decision, again: true);
        else Assert.IsType<NextStep.Answer>(decision.Accepted());
    }

    [Fact, Trait("Rule", "AZ-11")]
    public void Max_age_zero_wants_a_fresh_sign_in_even_from_who_signed_in_a_moment_ago()
    {
        var request = ARequest() with { MaxAgeSeconds = 0 };
        SignsIn(Decide(Known(request, Authentication.ByPassword(Noon.AddMilliseconds(-1)))), again: true);
    }

    [Fact, Trait("Rule", "AZ-11")]
    public void Max_age_zero_wants_a_fresh_sign_in_even_on_a_node_whose_clock_is_behind()
    {
        var before = Noon.AddSeconds(-1);
        SignsIn(Decide(Known(ARequest() with { MaxAgeSeconds = 0 }, Authentication.ByPassword(before)), now: before), again: true);
    }

    [Fact, Trait("Rule", "AZ-11")]
    public void Max_age_zero_is_met_by_a_sign_in_for_this_request_and_does_not_ask_for_ever() =>
        Assert.IsType<NextStep.Answer>(Decide(Known(ARequest() with { MaxAgeSeconds = 0 }, Authentication.ByPassword(Noon)), now: Noon.AddMinutes(5)).Accepted());

    [Fact, Trait("Rule", "AZ-10"), Trait("Rule", "AZ-11")]
    public void Max_age_that_needs_a_sign_in_and_prompt_none_is_login_required() =>
        Refuses(Decide(Known(ARequest("none") with { MaxAgeSeconds = 1 })), ErrorCode.LoginRequired);

    // acr_values

    private static readonly Authentication Lesser = new(Noon.AddMinutes(-10), "urn:example:lesser", ["pin"]);

    [Fact, Trait("Rule", "AZ-14"), Trait("Rule", "SU-1")]
    public void A_sign_in_of_the_class_that_is_wanted_is_enough_and_one_of_another_class_has_to_be_renewed()
    {
        Assert.IsType<NextStep.Answer>(Decide(Known(Wanting())).Accepted());
        SignsIn(Decide(Known(Wanting(), Lesser)), again: true);
        Refuses(Decide(Known(Wanting("none"), Lesser)), ErrorCode.LoginRequired);
        Assert.IsType<NextStep.Answer>(Decide(Known(signedIn: Lesser)).Accepted()); // where nobody asked
    }

    [Fact, Trait("Rule", "AZ-14"), Trait("Rule", "SU-1"), Trait("Attack", "U9")]
    public void A_sign_in_for_this_request_that_does_not_reach_the_class_ends_it_and_is_not_asked_for_again()
    {
        var fresh = Lesser with { At = Noon };
        Refuses(Decide(Known(Wanting(), fresh)), ErrorCode.UnmetAuthenticationRequirements, On(RequestId, new AuthorizationEvent.SubjectAuthenticated(Person, SessionId, fresh, Noon)));
    }

    private static AuthorizationRequest Wanting(params string[] prompt) => ARequest(prompt) with { AcrValues = [Authentication.PasswordAcr] };

    // id_token_hint

    [Fact, Trait("Rule", "AZ-13")]
    public void The_person_hinted_at_is_answered_for() =>
        Assert.IsType<NextStep.Answer>(Decide(Known(ARequest() with { HintedSubject = Person })).Accepted());

    [Fact, Trait("Rule", "AZ-13")]
    public void When_another_person_is_signed_in_than_hinted_at_the_sign_in_page_comes_first() =>
        SignsIn(Decide(Known(ARequest() with { HintedSubject = AnotherPerson })), again: false);

    [Fact, Trait("Rule", "AZ-13"), Trait("Rule", "AZ-10")]
    public void When_another_person_is_signed_in_than_hinted_at_prompt_none_is_login_required() =>
        Refuses(Decide(Known(ARequest("none") with { HintedSubject = AnotherPerson })), ErrorCode.LoginRequired);

    [Fact, Trait("Rule", "AZ-13")]
    public void When_another_person_signs_in_than_hinted_at_the_app_is_told_and_gets_no_one_elses_tokens() =>
        Refuses(Decide(Known(ARequest() with { HintedSubject = AnotherPerson }, Authentication.ByPassword(Noon))), ErrorCode.LoginRequired);

    // Consent

    [Fact, Trait("Attack", "R17")]
    public void A_first_request_asks_and_remembers_who_is_asked()
    {
        var decision = Decide(Scenario.Given([Requested(), SessionStarted()]));
        Asks(decision);
        decision.Records(On(RequestId, Seen));
    }

    [Fact]
    public void The_same_sign_in_is_recorded_once_however_often_the_page_is_loaded()
    {
        var given = Scenario.Given([Requested(), SessionStarted()]);
        var again = Decide(given.After(Decide(given)));
        Asks(again);
        again.Records();
    }

    [Fact]
    public void A_renewed_sign_in_in_the_same_session_is_recorded_since_auth_time_comes_from_it()
    {
        var renewed = Authentication.ByPassword(Noon.AddMinutes(1));
        var given = Scenario.Given([Requested(), SessionStarted(), Authenticated(), On(SessionId, new SessionEvent.Reauthenticated(renewed))]);
        Decide(given, now: Noon.AddMinutes(1)).Records(On(RequestId, new AuthorizationEvent.SubjectAuthenticated(Person, SessionId, renewed, Noon.AddMinutes(1))));
    }

    [Fact, Trait("Rule", "AZ-10")]
    public void No_consent_and_prompt_none_is_consent_required() =>
        Refuses(Decide(Scenario.Given([Requested(ARequest("none")), SessionStarted()])), ErrorCode.ConsentRequired, On(RequestId, Seen));

    [Fact, Trait("Rule", "AZ-10")]
    public void All_allowed_before_and_prompt_none_is_answered_without_a_page() =>
        Assert.IsType<NextStep.Answer>(Decide(Known(ARequest("none"))).Accepted());

    [Fact, Trait("Law", "L2")]
    public void What_was_allowed_before_is_not_asked_again_and_the_code_names_its_family()
    {
        var decision = Decide(Known());
        Assert.Equal(new NextStep.Answer(GrantId, NewFamily), decision.Accepted());
        decision.Records(
            On(RequestId, Seen),
            On(RequestId, new AuthorizationEvent.ConsentReused(GrantId, Asked, Noon)),
            On(RequestId, new AuthorizationEvent.CodeIssued(GrantId, NewFamily, Asked, Noon, Noon.AddSeconds(60))));
    }

    [Fact]
    public void A_code_carries_what_is_asked_now_even_when_more_was_allowed_before() =>
        Assert.Equal(ScopeSet.Of(["openid"]), Decide(Known(ARequest() with { Scopes = ["openid"] })).Events.One<AuthorizationEvent.CodeIssued>().Scopes);

    [Fact, Trait("Rule", "AZ-9")]
    public void Prompt_consent_asks_although_all_was_allowed_before() => Asks(Decide(Known(ARequest("consent"))));

    [Fact, Trait("Attack", "R17")]
    public void One_more_permission_asks() => Asks(Decide(Scenario.Given([Requested(), SessionStarted(), Granted(["openid", "accounts", "offline_access"])])));

    [Fact]
    public void An_optional_permission_that_was_refused_is_not_asked_again()
    {
        var decision = Decide(Scenario.Given([Requested(), SessionStarted(), Granted(["openid", "accounts", "offline_access"], refused: ["history"])]));
        Assert.IsType<NextStep.Answer>(decision.Accepted());
        Assert.Equal(ScopeSet.Of(["openid", "accounts", "offline_access"]), decision.Events.One<AuthorizationEvent.CodeIssued>().Scopes);
    }

    [Fact]
    public void A_refused_permission_that_the_app_now_needs_is_asked_again() =>
        Asks(Decide(Scenario.Given([Requested(), SessionStarted(), Granted(["openid", "accounts", "offline_access"], refused: ["history"])]),
            AClient(Web with { OptionalScopes = [] })));

    [Fact]
    public void A_refused_permission_is_asked_again_with_prompt_consent() =>
        Asks(Decide(Scenario.Given([Requested(ARequest("consent")), SessionStarted(), Granted(["openid", "accounts", "offline_access"], refused: ["history"])])));

    [Fact, Trait("Attack", "T5")]
    public void A_grant_that_ran_out_is_asked_again() => Asks(Decide(Scenario.Given([Requested(), SessionStarted(), Granted(until: Noon)])));

    [Fact, Trait("Law", "L3")]
    public void A_grant_that_was_revoked_is_asked_again() => Asks(Decide(Known().And(On(GrantId, new GrantEvent.Revoked(EndedBy.Person, "", Noon)))));

    [Theory, Trait("Attack", "R17")]
    [InlineData("http://127.0.0.1:4711/callback", true)]
    [InlineData("com.example.tally:/callback", true)]
    [InlineData("https://tally.example/callback", true)]
    [InlineData("http://localhost:4711/callback", false)]
    public void An_app_that_cannot_prove_who_it_is_asks_each_time(string redirect, bool native) =>
        Asks(Decide(Known(ARequest() with { RedirectUri = new RedirectUri(redirect) }), AClient(PublicWeb with { ApplicationType = native ? "native" : "web" })));

    [Fact, Trait("Rule", "AZ-10"), Trait("Attack", "R17")]
    public void An_app_that_cannot_prove_who_it_is_gets_nothing_by_prompt_none() =>
        Refuses(Decide(Known(ARequest("none")), AClient(PublicWeb with { ApplicationType = "native" })), ErrorCode.ConsentRequired, On(RequestId, Seen));

    [Fact, Trait("Attack", "R17")]
    public void A_public_app_proven_by_its_https_address_is_not_asked_again() => Assert.IsType<NextStep.Answer>(Decide(Known(), AClient(PublicWeb)).Accepted());

    // The request's own end

    [Fact, Trait("Law", "L2"), Trait("Attack", "C10")]
    public void A_request_that_has_its_code_is_answered_already()
    {
        var decision = Decide(Known().And(CodeIssued()));
        Assert.IsType<NextStep.AnsweredAlready>(decision.Accepted());
        decision.Records();
    }

    [Fact, Trait("Law", "L3")]
    public void A_request_that_was_denied_is_answered_already() =>
        Assert.IsType<NextStep.AnsweredAlready>(Decide(Known().And(On(RequestId, new AuthorizationEvent.ConsentDenied(Asked, Text, Noon)))).Accepted());

    [Fact]
    public void After_fifteen_minutes_a_request_has_timed_out()
    {
        Assert.IsType<NextStep.Answer>(Decide(Known(), now: Noon.AddMinutes(15).AddTicks(-1)).Accepted());
        var late = Decide(Known(), now: Noon.AddMinutes(15));
        Assert.IsType<NextStep.TimedOut>(late.Accepted());
        late.Records();
    }

    [Fact, Trait("Attack", "T24")]
    public void A_suspended_client_is_told_so_before_anybody_signs_in() =>
        Refuses(Decide(Scenario.Given(Requested()), AClient(Web, new ClientEvent.Suspended("abuse", Noon))), ErrorCode.UnauthorizedClient);
}
