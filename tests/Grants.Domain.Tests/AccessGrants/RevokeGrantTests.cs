using Grants.Domain.AccessGrants;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.AccessGrants;

public sealed class RevokeGrantTests
{
    private static readonly Scenario Live = Scenario.Given(Granted());

    private static Decision<bool> Decide(Scenario given, SubjectId? owner) =>
        RevokeGrant.Decide(given.Grant, new(owner, owner is null ? EndedBy.Operator : EndedBy.Person, "no longer used"), Noon);

    [Fact, Trait("Law", "L3")]
    public void The_person_ends_what_the_person_allowed()
    {
        var decision = Decide(Live, Person);
        Assert.True(decision.Accepted());
        decision.Records(On(GrantId, new GrantEvent.Revoked(EndedBy.Person, "no longer used", Noon)));
        Assert.True(Live.After(decision).Grant!.Ended);
    }

    [Fact]
    public void An_operator_ends_anyones() => Decide(Live, null).Records(On(GrantId, new GrantEvent.Revoked(EndedBy.Operator, "no longer used", Noon)));

    [Fact]
    public void Another_persons_grant_is_answered_like_an_unknown_one()
    {
        var foreign = Decide(Live, AnotherPerson).RefusedWith(ErrorCode.InvalidRequest);
        Assert.Equal(Decide(Scenario.Given(), AnotherPerson).RefusedWith(ErrorCode.InvalidRequest), foreign);
    }

    [Fact]
    public void Ending_it_twice_is_no_error_and_recorded_once()
    {
        var again = Decide(Live.After(Decide(Live, Person)), Person);
        Assert.False(again.Accepted());
        again.Records();
    }
}
