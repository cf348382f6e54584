using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.TokenFamilies;

public sealed class TokenFamilyTests
{
    private static readonly Scenario Begun = Scenario.Given(FamilyBegun());

    [Fact]
    public void An_access_token_stands_until_its_end_is_recorded()
    {
        Assert.True(Begun.Family!.Stands(1));
        Assert.False(Begun.And(On(FamilyId, new TokenFamilyEvent.AccessTokenExpired(1, Noon))).Family!.Stands(1));
        Assert.False(Begun.And(On(FamilyId, new TokenFamilyEvent.AccessTokensExpired([1, 2], Noon))).Family!.Stands(1));
    }

    [Theory]
    [InlineData(-1), InlineData(0), InlineData(2)]
    public void A_token_that_was_never_issued_does_not_stand(int number) => Assert.False(Begun.Family!.Stands(number));

    [Fact, Trait("Law", "L8")]
    public void The_newest_rotation_tells_all_that_a_refresh_needs()
    {
        var whole = Begun.And([Rotated(2), On(FamilyId, new TokenFamilyEvent.AccessTokenIssued(2, null, ["balances"], ["https://bank.example"], Noon, Noon.AddMinutes(5)))]).Family!;
        var tail = Scenario.Given([Rotated(2), On(FamilyId, new TokenFamilyEvent.AccessTokenIssued(2, null, ["balances"], ["https://bank.example"], Noon, Noon.AddMinutes(5)))]).Family!;
        Assert.Equal((whole.Facts, whole.AccessTokens, whole.Refresh, whole.Revoked, whole.Expired), (tail.Facts, tail.AccessTokens, tail.Refresh, tail.Revoked, tail.Expired));
        Assert.True(tail.Stands(1));
    }

    [Fact, Trait("Law", "L3")]
    public void One_access_token_can_be_ended_and_the_others_stand()
    {
        var family = Begun.And([AccessTokenIssued(2), On(FamilyId, new TokenFamilyEvent.AccessTokenRevoked(1, EndedBy.Client, "", Noon))]).Family!;
        Assert.False(family.Stands(1));
        Assert.True(family.Stands(2));
    }

    [Fact]
    public void An_access_token_outlives_a_refresh_token_that_ran_out() =>
        Assert.True(Begun.And(On(FamilyId, new TokenFamilyEvent.Expired(Noon))).Family is { IsDead: true } family && family.Stands(1));

    [Fact, Trait("Law", "L3")]
    public void Nothing_of_a_revoked_family_stands() =>
        Assert.False(Begun.And([On(FamilyId, new TokenFamilyEvent.Revoked(EndedBy.Client, "", Noon)), AccessTokenIssued(2)]).Family!.Stands(2));
}
