using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.TokenFamilies;

public sealed class TokenFamilyTests
{
    private static readonly Scenario Begun = Scenario.Given(FamilyBegun());

    [Fact]
    public void An_access_token_stands_until_its_end()
    {
        Assert.True(Begun.Family!.IsLive(1, Noon.AddMinutes(5).AddTicks(-1)));
        Assert.False(Begun.Family.IsLive(1, Noon.AddMinutes(5)));
        Assert.False(Begun.Family.IsLive(2, Noon));
    }

    [Fact, Trait("Law", "L3")]
    public void One_access_token_can_be_ended_and_the_others_stand()
    {
        var family = Begun.And([AccessTokenIssued(2), On(FamilyId, new TokenFamilyEvent.AccessTokenRevoked(1, EndedBy.Client, "", Noon))]).Family!;
        Assert.False(family.IsLive(1, Noon));
        Assert.True(family.IsLive(2, Noon));
    }

    [Fact]
    public void An_access_token_outlives_a_refresh_token_that_ran_out() =>
        Assert.True(Begun.And(On(FamilyId, new TokenFamilyEvent.Expired(Noon))).Family is { IsDead: true } family && family.IsLive(1, Noon));

    [Fact, Trait("Law", "L3")]
    public void Nothing_of_a_revoked_family_stands() =>
        Assert.False(Begun.And([On(FamilyId, new TokenFamilyEvent.Revoked(EndedBy.Client, "", Noon)), AccessTokenIssued(2)]).Family!.IsLive(2, Noon));
}
