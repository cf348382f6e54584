using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests;

/// <summary>Each is asked a second time with what it recorded folded in, and then has nothing to add: any number of nodes may record.</summary>
public sealed class RecordExpiryTests
{
    private static IDomainEvent[] RequestEnds(Scenario given, DateTimeOffset now) => Once(given, RequestId, s => RecordExpiry.Of(s.Authorization!, now));

    private static IDomainEvent[] SessionEnds(Scenario given, DateTimeOffset now) => Once(given, SessionId, s => RecordExpiry.Of(s.Session!, now));

    private static IDomainEvent[] GrantEnds(Scenario given, DateTimeOffset now) => Once(given, GrantId, s => RecordExpiry.Of(s.Grant!, now));

    private static IDomainEvent[] FamilyEnds(Scenario given, DateTimeOffset now) => Once(given, FamilyId, s => RecordExpiry.Of(s.Family!, Tokens, now));

    /// <summary>As the view of current tokens tells them; a family that has only the first makes nothing of the second.</summary>
    private static readonly (int, DateTimeOffset)[] Tokens = [(1, Noon.AddMinutes(5)), (2, Noon.AddMinutes(7))];

    private static IDomainEvent[] Once(Scenario given, Guid stream, Func<Scenario, IEnumerable<IDomainEvent>> record)
    {
        IDomainEvent[] ends = [.. record(given)];
        Assert.Empty(record(given.And(ends.Select(e => On(stream, e)))));
        return ends;
    }

    [Fact]
    public void A_request_that_nobody_answered_is_abandoned_when_its_time_is_over()
    {
        var given = Scenario.Given([Requested(), Authenticated()]);
        Assert.Empty(RequestEnds(given, Noon.AddMinutes(15).AddTicks(-1)));
        Assert.Equal([new AuthorizationEvent.Abandoned(Noon.AddMinutes(15))], RequestEnds(given, Noon.AddMinutes(15)));
    }

    [Fact, Trait("Rule", "PAR-3"), Trait("Attack", "E10")]
    public void A_pushed_request_that_no_browser_came_with_is_abandoned_when_its_time_is_over()
    {
        var given = Scenario.Given(Pushed());
        Assert.Empty(RequestEnds(given, Noon.AddSeconds(90).AddTicks(-1)));
        Assert.Equal([new AuthorizationEvent.Abandoned(Noon.AddSeconds(90))], RequestEnds(given, Noon.AddSeconds(90)));
        Assert.Empty(RequestEnds(given.And(Requested()), Noon.AddSeconds(90)));
        Assert.Single(RequestEnds(given.And(Requested()), Noon.AddMinutes(15)));
    }

    [Fact, Trait("Attack", "C4")]
    public void A_code_that_nobody_redeemed_expires()
    {
        var given = Scenario.Given([Requested(), Authenticated(), CodeIssued()]);
        Assert.Empty(RequestEnds(given, Noon.AddSeconds(60).AddTicks(-1)));
        Assert.Equal([new AuthorizationEvent.CodeExpired(Noon.AddSeconds(60))], RequestEnds(given, Noon.AddSeconds(60)));
    }

    [Fact]
    public void A_request_that_was_answered_and_settled_has_nothing_left_to_run_out()
    {
        Assert.Empty(RequestEnds(Scenario.Given([Requested(), Authenticated(), CodeIssued(), CodeRedeemed()]), Noon.AddDays(1)));
        Assert.Empty(RequestEnds(Scenario.Given([Requested(), On(RequestId, new AuthorizationEvent.ConsentDenied(Asked, Text, Noon))]), Noon.AddDays(1)));
        Assert.Empty(RequestEnds(Scenario.Given([Requested(), On(RequestId, new AuthorizationEvent.Refused(ErrorCode.LoginRequired, Noon))]), Noon.AddDays(1)));
    }

    [Fact, Trait("Attack", "T5")]
    public void A_session_expires_unless_it_was_ended_before()
    {
        var given = Scenario.Given(SessionStarted());
        var end = Password.At + SignIn.Lifetime;
        Assert.Empty(SessionEnds(given, end.AddTicks(-1)));
        Assert.Equal([new SessionEvent.Expired(end)], SessionEnds(given, end));
        Assert.Empty(SessionEnds(given.And(On(SessionId, new SessionEvent.Ended(EndedBy.Person, "", Noon))), end));
    }

    [Fact, Trait("Attack", "T5")]
    public void A_grant_expires_unless_it_was_revoked_before()
    {
        var given = Scenario.Given(Granted());
        Assert.Empty(GrantEnds(given, Noon.AddDays(90).AddTicks(-1)));
        Assert.Equal([new GrantEvent.Expired(Noon.AddDays(90))], GrantEnds(given, Noon.AddDays(90)));
        Assert.Empty(GrantEnds(given.And(On(GrantId, new GrantEvent.Revoked(EndedBy.Person, "", Noon))), Noon.AddDays(90)));
    }

    [Fact]
    public void Each_access_token_expires_by_itself()
    {
        var given = Scenario.Given([.. FamilyBegun(), AccessTokenIssued(2, at: Noon.AddMinutes(2))]);
        Assert.Empty(FamilyEnds(given, Noon.AddMinutes(5).AddTicks(-1)));
        Assert.Equal([new TokenFamilyEvent.AccessTokenExpired(1, Noon.AddMinutes(5))], FamilyEnds(given, Noon.AddMinutes(5)));
        Assert.Equal([new TokenFamilyEvent.AccessTokensExpired([1, 2], Noon.AddMinutes(7))], FamilyEnds(given, Noon.AddMinutes(7)));
    }

    [Fact]
    public void An_access_token_that_was_revoked_does_not_expire_as_well() =>
        Assert.Empty(FamilyEnds(Scenario.Given([.. FamilyBegun(), On(FamilyId, new TokenFamilyEvent.AccessTokenRevoked(1, EndedBy.Client, "", Noon))]), Noon.AddMinutes(5)));

    [Fact, Trait("Attack", "T5")]
    public void A_family_expires_with_its_refresh_token()
    {
        var given = Scenario.Given(FamilyBegun());
        Assert.DoesNotContain(new TokenFamilyEvent.Expired(Noon.AddDays(30).AddTicks(-1)), FamilyEnds(given, Noon.AddDays(30).AddTicks(-1)));
        Assert.Contains(new TokenFamilyEvent.Expired(Noon.AddDays(30)), FamilyEnds(given, Noon.AddDays(30)));
    }

    [Fact]
    public void A_family_without_a_refresh_token_records_only_its_access_tokens() =>
        Assert.Equal([new TokenFamilyEvent.AccessTokenExpired(1, Noon.AddDays(365))], FamilyEnds(Scenario.Given(AccessTokenIssued(1)), Noon.AddDays(365)));

    [Fact, Trait("Law", "L3")]
    public void A_family_that_was_revoked_has_nothing_left_to_run_out() =>
        Assert.Empty(FamilyEnds(Scenario.Given([.. FamilyBegun(), On(FamilyId, new TokenFamilyEvent.Revoked(EndedBy.Client, "", Noon))]), Noon.AddDays(365)));
}
