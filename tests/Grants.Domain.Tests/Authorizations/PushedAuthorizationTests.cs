using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.Tests.Given;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.Authorizations;

/// <summary>Requests that their client sent ahead of the browser: RFC 9126.</summary>
public sealed class PushedAuthorizationTests
{
    private static readonly Guid NewFamily = Id(20);
    private static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(90);
    private static readonly DateTimeOffset Soon = Noon.AddSeconds(30);

    private static StreamEvent Begun(string browser = "browser", AuthorizationRequest? request = null) =>
        On(RequestId, new AuthorizationEvent.Requested(request ?? ARequest(), browser, Soon, Soon + Domain.Authorizations.Authorization.Lifetime));

    /// <summary>Pushed at noon by Tally; the person is signed in and has allowed all that is asked.</summary>
    private static Scenario Waiting(AuthorizationRequest? request = null) => Scenario.Given([Pushed(request), SessionStarted(), Granted()]);

    private static Decision<NextStep> Arrive(Scenario given, string browser = "browser", Client? client = null, Catalogue? catalogue = null, DateTimeOffset? now = null) =>
        BeginAuthorization.Decide(given.Authorization, browser, catalogue ?? BankCatalogue, given.Grant, new(client ?? AClient(), given.Session, NewFamily), now ?? Soon);

    [Fact, Trait("Rule", "PAR-3")]
    public void A_push_is_recorded_with_the_moment_up_to_which_a_browser_may_come()
    {
        var decision = PushAuthorization.Decide(new(RequestId, ARequest(), Lifetime), Noon);
        Assert.Equal(Noon + Lifetime, decision.Accepted());
        decision.Records(Pushed());
        var waiting = Scenario.Given(decision.Events).Authorization!;
        Assert.Equal((null, Noon + Lifetime, false), (waiting.Browser, waiting.ExpiresAt, waiting.Answered));
    }

    [Fact, Trait("Rule", "PAR-4"), Trait("Rule", "PAR-5")]
    public void The_first_browser_begins_it_and_has_the_time_that_every_request_has()
    {
        var decision = Arrive(Scenario.Given(Pushed()));
        Assert.Equal(new NextStep.SignIn(false), decision.Accepted());
        decision.Records(Begun());
        var begun = Scenario.Given([Pushed(), .. decision.Events]).Authorization!;
        Assert.Equal(("browser", Soon, Soon.AddMinutes(15)), (begun.Browser, begun.RequestedAt, begun.ExpiresAt));
    }

    [Fact, Trait("Rule", "PAR-5"), Trait("Law", "L2")]
    public void What_comes_next_is_decided_with_its_arrival_as_for_any_other_request()
    {
        var decision = Arrive(Waiting());
        Assert.IsType<NextStep.Answer>(decision.Accepted());
        var plain = BeginAuthorization.Decide(Scenario.Given(Begun()).Authorization!, Waiting().Grant, new(AClient(), Waiting().Session, NewFamily), Soon);
        Assert.Equal(plain.Events, decision.Events);
    }

    [Fact, Trait("Rule", "PAR-5")]
    public void The_same_browser_may_load_it_again_until_it_is_answered_also_after_the_push_has_run_out()
    {
        var begun = Scenario.Given([Pushed(), Begun()]);
        foreach (var now in (DateTimeOffset[])[Soon, Noon + Lifetime, Soon.AddMinutes(15).AddTicks(-1)])
        {
            var again = Arrive(begun, now: now);
            Assert.Equal(new NextStep.SignIn(false), again.Accepted());
            again.Records();
        }

        Arrive(begun, now: Soon.AddMinutes(15)).RefusedWith(ErrorCode.InvalidRequestUri);
    }

    [Fact, Trait("Rule", "PAR-5"), Trait("Law", "L2")]
    public void Once_it_is_answered_nobody_may_use_it_again()
    {
        foreach (var answer in (AuthorizationEvent[])[(AuthorizationEvent)CodeIssued().Event, new AuthorizationEvent.Refused(ErrorCode.LoginRequired, Soon), new AuthorizationEvent.ConsentDenied(Asked, Text, Soon)])
            Arrive(Waiting().And(Begun(), Authenticated(), On(RequestId, answer))).RefusedWith(ErrorCode.InvalidRequestUri);
    }

    [Fact, Trait("Rule", "PAR-5"), Trait("Attack", "C10")]
    public void Another_browser_than_the_one_that_began_it_is_refused() => Arrive(Waiting().And(Begun("another"))).RefusedWith(ErrorCode.InvalidRequestUri);

    [Fact, Trait("Rule", "PAR-4")]
    public void Unknown_foreign_and_expired_requests_are_refused_and_leave_nothing()
    {
        Arrive(Scenario.Given(SessionStarted())).RefusedWith(ErrorCode.InvalidRequestUri);
        Arrive(Waiting(), client: AnotherClient()).RefusedWith(ErrorCode.InvalidRequestUri);
        Arrive(Waiting(), now: Noon + Lifetime).RefusedWith(ErrorCode.InvalidRequestUri);
        Arrive(Waiting().And(On(RequestId, new AuthorizationEvent.Abandoned(Noon + Lifetime)))).RefusedWith(ErrorCode.InvalidRequestUri);
        Assert.IsType<NextStep.Answer>(Arrive(Waiting(), now: (Noon + Lifetime).AddTicks(-1)).Accepted());
    }

    [Fact, Trait("Rule", "PAR-5"), Trait("Attack", "C15")]
    public void A_scope_that_was_taken_from_the_client_since_is_an_answer_and_uses_the_request_up()
    {
        foreach (var decision in (Decision<NextStep>[])[
            Arrive(Waiting(), client: AClient(Web with { Scope = ["openid", "accounts", "offline_access"] })),
            Arrive(Waiting(), catalogue: BankCatalogue with { Scopes = [] })])
        {
            Assert.Equal(ErrorCode.InvalidScope, Assert.IsType<NextStep.Refuse>(decision.Accepted()).Error.Code);
            decision.Records(Begun(), On(RequestId, new AuthorizationEvent.Refused(ErrorCode.InvalidScope, Soon)));
            Arrive(Waiting().After(decision)).RefusedWith(ErrorCode.InvalidRequestUri);
        }
    }

    [Fact, Trait("Rule", "PAR-5"), Trait("Attack", "C15")]
    public void A_flow_or_a_life_that_was_taken_from_the_client_since_is_an_answer()
    {
        foreach (var client in (Client[])[AClient(Web with { GrantTypes = [GrantType.ClientCredentials] }), AClient(Web, new ClientEvent.Suspended("abuse", Noon))])
            Assert.Equal(ErrorCode.UnauthorizedClient, Assert.IsType<NextStep.Refuse>(Arrive(Waiting(), client: client).Accepted()).Error.Code);
    }

    [Fact, Trait("Rule", "PAR-5"), Trait("Attack", "C15"), Trait("Attack", "R4")]
    public void A_redirect_uri_or_response_mode_that_was_taken_from_the_client_since_is_never_answered_to()
    {
        Arrive(Waiting(), client: AClient(Web with { RedirectUris = ["https://tally.example/other"] })).RefusedWith(ErrorCode.InvalidRequest);
        Arrive(Waiting(), client: AClient(Web with { ResponseModes = [ResponseMode.FormPost] })).RefusedWith(ErrorCode.InvalidRequest);
    }

    [Fact, Trait("Rule", "AZ-11")]
    public void A_sign_in_from_before_the_push_is_no_fresh_proof_and_one_after_the_arrival_is()
    {
        var waiting = Waiting(ARequest("login"));
        Assert.Equal(new NextStep.SignIn(true), Arrive(waiting).Accepted());
        var fresh = Authentication.ByPassword(Soon.AddSeconds(5));
        var signedIn = waiting.And(Begun(request: ARequest("login")), On(SessionId, new SessionEvent.Reauthenticated(fresh)));
        Assert.IsType<NextStep.Answer>(Arrive(signedIn, now: Soon.AddSeconds(6)).Accepted());
    }

    [Fact, Trait("Law", "L3")]
    public void A_request_begins_once_whatever_is_told_afterwards()
    {
        var begun = Scenario.Given([Pushed(), Begun()]);
        Assert.Equal(begun.Authorization, begun.And(Begun("another"), Pushed()).Authorization);
        var over = Scenario.Given([Pushed(), On(RequestId, new AuthorizationEvent.Abandoned(Noon + Lifetime))]);
        Assert.Equal(over.Authorization, over.And(Begun()).Authorization);
    }
}
