using CsCheck;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.Properties;

public sealed class FoldingLaws
{
    [Fact]
    public void Folding_never_throws_whatever_the_order_of_events() => Law.Holds(Histories.Any, history => Scenario.Given(history), Histories.Print, cases: 1000);

    [Fact, Trait("Law", "L3")]
    public void Nothing_revives_a_grant_that_has_ended() =>
        Law.Holds(Gen.Select(Histories.AnyGrantEvent.Array[0, 5], Histories.GrantEnding, Histories.AnyGrantEvent.Array[0, 8], Histories.Moment), then =>
        {
            var (before, ending, after, now) = then;
            var ended = Scenario.Given([Granted(), .. before.Select(e => On(GrantId, e)), On(GrantId, ending)]);
            var later = ended.And(after.Select(e => On(GrantId, e)));
            Assert.Equal(ended.Grant, later.Grant);
            Assert.False(later.Grant!.IsLive(now));
            Assert.Null(later.Grant.LiveKey);
        });

    [Fact, Trait("Law", "L3")]
    public void Nothing_revives_a_family_that_was_revoked() =>
        Law.Holds(Gen.Select(Histories.AnyFamilyEvent.Array[0, 5], Histories.AnyFamilyEvent.Array[0, 8], Histories.Moment, Gen.Int[0, 6]), then =>
        {
            var (before, after, now, generation) = then;
            var family = Scenario.Given([.. FamilyBegun(), .. before.Select(e => On(FamilyId, e)),
                On(FamilyId, new TokenFamilyEvent.Revoked(EndedBy.Person, "", Noon)), .. after.Select(e => On(FamilyId, e))]).Family!;
            Assert.True(family.IsDead);
            Assert.All(Enumerable.Range(0, family.AccessTokens + 1), number => Assert.False(family.Stands(number)));
            Refuses(family, generation, now);
        });

    [Fact, Trait("Law", "L3")]
    public void Nothing_makes_a_family_that_ran_out_give_another_token() =>
        Law.Holds(Gen.Select(Histories.AnyFamilyEvent.Array[0, 8], Histories.Moment, Gen.Int[0, 6]), then =>
        {
            var (after, now, generation) = then;
            Refuses(Scenario.Given([.. FamilyBegun(), On(FamilyId, new TokenFamilyEvent.Expired(Noon)), .. after.Select(e => On(FamilyId, e))]).Family!, generation, now);
        });

    [Fact, Trait("Law", "L3")]
    public void Nothing_makes_a_request_that_was_settled_give_a_code_or_a_token() =>
        Law.Holds(Gen.Select(Histories.AuthorizationEnding, Histories.AnyAuthorizationEvent.Array[0, 8], Histories.Moment), then =>
        {
            var (ending, after, now) = then;
            // A code's expiry ends a request that has a code; the other endings, one that has none.
            StreamEvent[] code = ending is AuthorizationEvent.CodeExpired ? [CodeIssued()] : [];
            var given = Scenario.Given([Requested(), Authenticated(), .. code, SessionStarted(), Granted(), On(RequestId, ending), .. after.Select(e => On(RequestId, e))]);
            var step = ContinueAuthorization.Decide(given.Authorization!, given.Grant, new(AClient(), given.Session, Id(20)), now);
            Assert.IsType<NextStep.AnsweredAlready>(step.Accepted());
            Assert.IsType<Refused<IssuedTokens>>(RedeemCode.Decide(given.Authorization, given.Grant, given.Family, new(AClient(), Callback, new Secret(Verifier), BankCatalogue, Issuer), now));
        });

    private static void Refuses(TokenFamily family, int generation, DateTimeOffset now) =>
        RefreshTokens.Decide(family, Scenario.Given(Granted()).Grant, new(AClient(), generation, null, BankCatalogue, Issuer), now).RefusedWith(ErrorCode.InvalidGrant);
}
