using Grants.Domain.AccessGrants;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.AccessGrants;

public sealed class GrantTests
{
    private static readonly Scenario Live = Scenario.Given(Granted(["openid", "accounts"], refused: ["history"]));

    private static Grant After(params GrantEvent[] happened) => Live.And(happened.Select(e => On(GrantId, e))).Grant!;

    [Fact]
    public void A_grant_begins_with_what_was_allowed_and_refused() =>
        Assert.Equal(new Grant(GrantId, Person, Tally, ["openid", "accounts"], ["history"], Noon, Noon.AddDays(90), Ended: false), Live.Grant);

    [Fact]
    public void Widening_adds_and_moves_the_end()
    {
        var grant = After(new GrantEvent.Widened(RequestId, ["history", "payments"], [], Noon, Noon.AddDays(120)));
        Assert.Equal(ScopeSet.Of(["openid", "accounts", "history", "payments"]), grant.Scopes);
        Assert.Empty(grant.Refused);
        Assert.Equal(Noon.AddDays(120), grant.ExpiresAt);
    }

    [Fact]
    public void Narrowing_removes_and_remembers_as_refused()
    {
        var grant = After(new GrantEvent.Narrowed(RequestId, ["accounts"], Noon));
        Assert.Equal(ScopeSet.Of(["openid"]), grant.Scopes);
        Assert.Equal(ScopeSet.Of(["history", "accounts"]), grant.Refused);
    }

    [Fact, Trait("Attack", "T5")]
    public void A_grant_is_over_at_the_moment_of_its_end_and_not_before()
    {
        Assert.True(Live.Grant!.IsLive(Noon.AddDays(90).AddTicks(-1)));
        Assert.False(Live.Grant.IsLive(Noon.AddDays(90)));
    }

    [Fact, Trait("Law", "L3")]
    public void Nothing_changes_a_grant_that_has_ended()
    {
        var ended = After(new GrantEvent.Revoked(EndedBy.Person, "", Noon));
        Assert.Equal(ended, After(new GrantEvent.Revoked(EndedBy.Person, "", Noon), new GrantEvent.Widened(RequestId, ["payments"], [], Noon, Noon.AddDays(200))));
        Assert.Null(ended.LiveKey);
        Assert.False(ended.IsLive(Noon));
    }

    [Fact]
    public void The_live_key_is_the_same_for_the_same_pair_and_other_for_another()
    {
        Assert.Equal(Grant.KeyOf(Person, Tally), Live.Grant!.LiveKey);
        Assert.NotEqual(Grant.KeyOf(AnotherPerson, Tally), Live.Grant.LiveKey);
        Assert.NotEqual(Grant.KeyOf(Person, new ClientId("other")), Live.Grant.LiveKey);
    }
}
