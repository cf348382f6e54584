using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.TokenFamilies;

public sealed class IssueClientTokenTests
{
    private static Decision<IssuedTokens> Decide(ScopeSet? scopes = null, Client? client = null) =>
        IssueClientToken.Decide(new(client ?? AClient(), scopes, FamilyId, BankCatalogue, Issuer), Noon);

    [Fact, Trait("Rule", "TK-7")]
    public void A_client_gets_one_access_token_for_itself_and_nothing_else()
    {
        var decision = Decide(["accounts"]);
        var tokens = decision.Accepted();
        Assert.Null(tokens.RefreshGeneration);
        Assert.Null(tokens.IdToken);
        Assert.Equal(new AccessTokenId(FamilyId, null, 1), tokens.Jti);
        decision.Records(On(FamilyId, new TokenFamilyEvent.AccessTokenIssued(1, new FamilyFacts(Tally, null, null, null, ["accounts"], null), ["accounts"],
            ["https://bank.example"], Noon, Noon.AddMinutes(5))));
    }

    [Fact, Trait("Rule", "TK-7")]
    public void Without_scope_it_gets_all_that_it_is_registered_for_but_what_concerns_a_person()
    {
        ScopeSet expected = ["accounts", "history", "payments"];
        Assert.Equal(expected, Decide().Accepted().AccessToken.Scopes);
        Assert.Equal(expected, Decide([]).Accepted().AccessToken.Scopes);
    }

    [Theory, Trait("Rule", "TK-7"), Trait("Attack", "T6")]
    [InlineData("openid")]
    [InlineData("offline_access")]
    [InlineData("admin")]
    public void A_scope_that_it_may_not_have_is_refused(string scope) => Decide(["accounts", scope]).RefusedWith(ErrorCode.InvalidScope);

    [Fact, Trait("Rule", "TK-7")]
    public void A_scope_that_the_catalogue_does_not_know_is_refused() =>
        Decide(["unknown"], AClient(Web with { Scope = ["unknown"], OptionalScopes = [] })).RefusedWith(ErrorCode.InvalidScope);

    [Fact, Trait("Rule", "TK-7")]
    public void A_public_client_is_refused() => Decide(client: AClient(PublicWeb)).RefusedWith(ErrorCode.UnauthorizedClient);

    [Fact, Trait("Rule", "TK-7")]
    public void A_client_not_registered_for_it_is_refused() =>
        Decide(client: AClient(Web with { GrantTypes = [GrantType.AuthorizationCode] })).RefusedWith(ErrorCode.UnauthorizedClient);

    [Fact, Trait("Rule", "TK-7"), Trait("Attack", "T24")]
    public void A_suspended_or_deleted_client_is_refused()
    {
        Decide(client: AClient(Web, new ClientEvent.Suspended("abuse", Noon))).RefusedWith(ErrorCode.UnauthorizedClient);
        Decide(client: AClient(Web, new ClientEvent.Deleted("gone", Noon))).RefusedWith(ErrorCode.UnauthorizedClient);
    }
}
