using Grants.Domain.AccessGrants;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.TokenFamilies;

public sealed class RevokeTokenTests
{
    private const string Why = "revoked by its client";
    private static readonly Scenario Live = Scenario.Given([Granted(), .. FamilyBegun(), Rotated(2), AccessTokenIssued(2)]);
    private static readonly FamilyFacts OfMachine = new(Tally, null, null, null, ["accounts"], null);

    private static Decision<bool> Decide(Scenario given, int? accessToken, ClientId? client = null, DateTimeOffset? now = null) =>
        RevokeToken.Decide(given.Family, given.Grant, new(client ?? Tally, accessToken), now ?? Noon);

    [Fact, Trait("Rule", "RV-2"), Trait("Law", "L3")]
    public void A_refresh_token_ends_with_every_access_token_of_its_family_and_the_grant_survives()
    {
        var decision = Decide(Live, null);
        Assert.True(decision.Accepted());
        decision.Records(On(FamilyId, new TokenFamilyEvent.Revoked(EndedBy.Client, Why, Noon)));
        var after = Live.After(decision);
        Assert.False(after.Family!.Stands(1) || after.Family.Stands(2));
        Assert.True(after.Grant!.IsLive(Noon));
    }

    [Fact, Trait("Rule", "RV-2"), Trait("Law", "L3")]
    public void An_access_token_ends_alone_and_the_refresh_token_lives_on()
    {
        var decision = Decide(Live, 1);
        Assert.True(decision.Accepted());
        decision.Records(On(FamilyId, new TokenFamilyEvent.AccessTokenRevoked(1, EndedBy.Client, Why, Noon)));
        var after = Live.After(decision);
        Assert.False(after.Family!.Stands(1));
        Assert.True(after.Family.Stands(2) && !after.Family.IsDead);
        Assert.IsType<Accepted<IssuedTokens>>(RefreshTokens.Decide(after.Family, after.Grant, new(AClient(), 2, null, BankCatalogue, Issuer), Noon));
    }

    [Fact, Trait("Rule", "RV-2")]
    public void A_machines_access_token_ends_though_no_grant_stands_behind_it()
    {
        var machine = Scenario.Given(AccessTokenIssued(1, OfMachine));
        Decide(machine, 1).Records(On(FamilyId, new TokenFamilyEvent.AccessTokenRevoked(1, EndedBy.Client, Why, Noon)));
    }

    [Theory, Trait("Rule", "RV-1"), Trait("Attack", "T17")]
    [InlineData(null)]
    [InlineData(1)]
    [InlineData(99)]
    public void Another_clients_token_is_refused_in_the_same_words_whatever_became_of_it(int? accessToken)
    {
        var other = new ClientId("other");
        var refused = Decide(Live, accessToken, other).RefusedWith(ErrorCode.InvalidGrant);
        Assert.Equal(refused, Decide(Live.After(Decide(Live, null)), accessToken, other).RefusedWith(ErrorCode.InvalidGrant));
        Assert.Equal(refused, Decide(Live.And(On(GrantId, new GrantEvent.Expired(Noon))), accessToken, other).RefusedWith(ErrorCode.InvalidGrant));
        Assert.Equal(refused, Decide(Scenario.Given(AccessTokenIssued(1, OfMachine)), accessToken, other).RefusedWith(ErrorCode.InvalidGrant));
    }

    [Theory, Trait("Rule", "RV-1")]
    [InlineData(null)]
    [InlineData(1)]
    public void Revoking_twice_records_nothing_the_second_time(int? accessToken)
    {
        var again = Decide(Live.After(Decide(Live, accessToken)), accessToken);
        Assert.False(again.Accepted());
        again.Records();
    }

    public static TheoryData<string, Scenario, int?> Ended => new()
    {
        { "a family that isn't there", Scenario.Given(Granted()), null },
        { "an access token of a family that isn't there", Scenario.Given(Granted()), 1 },
        { "an access token that was never issued", Live, 3 },
        { "an access token that ran out", Live.And(On(FamilyId, new TokenFamilyEvent.AccessTokensExpired([1, 2], Noon))), 1 },
        { "an access token of a revoked family", Live.And(On(FamilyId, new TokenFamilyEvent.Revoked(EndedBy.System, "", Noon))), 1 },
        { "a refresh token of a revoked grant", Live.And(On(GrantId, new GrantEvent.Revoked(EndedBy.Person, "", Noon))), null },
        { "an access token of a revoked grant", Live.And(On(GrantId, new GrantEvent.Revoked(EndedBy.Person, "", Noon))), 1 },
        { "a refresh token whose grant isn't there", Scenario.Given(FamilyBegun()), null },
    };

    [Theory, Trait("Rule", "RV-1")]
    [MemberData(nameof(Ended), DisableDiscoveryEnumeration = true)]
    public void What_is_unknown_or_has_ended_is_no_error_and_recorded_nowhere(string what, Scenario given, int? accessToken)
    {
        var decision = Decide(given, accessToken);
        Assert.False(decision.Accepted(), what);
        decision.Records();
    }

    [Fact, Trait("Rule", "RV-2")]
    public void A_refresh_token_that_ran_out_still_ends_its_family_since_access_tokens_may_outlive_it()
    {
        var ranOut = Live.And(On(FamilyId, new TokenFamilyEvent.Expired(Noon.AddDays(30))));
        Assert.True(ranOut.Family!.Stands(2));
        var decision = Decide(ranOut, null, now: Noon.AddDays(31));
        Assert.True(decision.Accepted());
        Assert.False(ranOut.After(decision).Family!.Stands(2));
    }
}
