using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.Authorizations;

public sealed class RedeemCodeTests
{
    private static readonly Scenario Issued = Scenario.Given([Requested(), Authenticated(), Granted(), CodeIssued()]);
    private static readonly Scenario Redeemed = Issued.And([CodeRedeemed(), .. FamilyBegun()]);

    private static RedeemCode.Request Ask(Client? by = null) => new(by ?? AClient(), Callback, new Secret(Verifier), BankCatalogue, Issuer);

    private static Decision<IssuedTokens> Decide(Scenario given, RedeemCode.Request? ask = null, DateTimeOffset? now = null) =>
        RedeemCode.Decide(given.Authorization, given.Grant, given.Family, ask ?? Ask(), now ?? Noon);

    [Fact, Trait("Rule", "TK-1")]
    public void A_code_becomes_the_tokens_that_were_allowed_and_every_one_is_recorded()
    {
        var decision = Decide(Issued);

        var tokens = decision.Accepted();
        decision.Records([CodeRedeemed(), .. FamilyBegun()]);
        Assert.Equal(FamilyId, tokens.Family);
        Assert.Equal(1, tokens.RefreshGeneration);
        Assert.Equal(new AccessTokenId(FamilyId, GrantId, 1), tokens.Jti);
        Assert.Equal(new TokenFamilyEvent.IdTokenIssued(Noon, Noon.AddMinutes(10)), tokens.IdToken);
    }

    [Fact, Trait("Rule", "TK-1")]
    public void Without_offline_access_no_refresh_token_is_issued()
    {
        var decision = Decide(Scenario.Given([Requested(), Authenticated(), Granted(), CodeIssued(["openid", "accounts"])]));
        Assert.Null(decision.Accepted().RefreshGeneration);
        Assert.DoesNotContain(decision.Events, e => e.Event is TokenFamilyEvent.RefreshTokenIssued);
    }

    [Fact, Trait("Rule", "TK-1")]
    public void A_client_not_registered_for_refresh_tokens_gets_none() =>
        Assert.Null(Decide(Issued, Ask(AClient(Web with { GrantTypes = [GrantType.AuthorizationCode] }))).Accepted().RefreshGeneration);

    [Fact, Trait("Rule", "TK-1")]
    public void Without_openid_no_id_token_is_issued()
    {
        var decision = Decide(Scenario.Given([Requested(), Authenticated(), Granted(), CodeIssued(["accounts"])]));
        Assert.Null(decision.Accepted().IdToken);
        Assert.DoesNotContain(decision.Events, e => e.Event is TokenFamilyEvent.IdTokenIssued);
    }

    [Fact, Trait("Rule", "TK-5"), Trait("Attack", "T5")]
    public void No_token_outlives_the_grant_that_it_rests_on()
    {
        var until = Noon.AddMinutes(2);
        var decision = Decide(Scenario.Given([Requested(), Authenticated(), Granted(until: until), CodeIssued()]));
        Assert.Equal(until, decision.Accepted().AccessToken.ExpiresAt);
        var refresh = decision.Events.One<TokenFamilyEvent.RefreshTokenIssued>();
        Assert.Equal((until, until), (refresh.IdleExpiresAt, refresh.ExpiresAt));
    }

    [Fact, Trait("Rule", "TK-1")]
    public void Permissions_taken_back_after_the_code_was_issued_are_left_out()
    {
        var narrowed = Issued.And(On(GrantId, new GrantEvent.Narrowed(RequestId, ["history"], Noon)));
        var token = Decide(narrowed).Accepted().AccessToken;
        Assert.Equal(ScopeSet.Of(["openid", "accounts", "offline_access"]), token.Scopes);
        Assert.Equal(token.Scopes, token.Facts!.Scopes);
    }

    [Fact, Trait("Rule", "TK-2"), Trait("Attack", "C1"), Trait("Law", "L2")]
    public void A_code_used_twice_is_refused_and_ends_the_tokens_of_its_first_use()
    {
        var decision = Decide(Redeemed);
        decision.RefusedAndRecordedWith(ErrorCode.InvalidGrant);
        decision.Records(
            On(RequestId, new AuthorizationEvent.CodeReplayed(Noon)),
            On(FamilyId, new TokenFamilyEvent.Revoked(EndedBy.System, "its code was used twice", Noon)));
        Assert.False(Redeemed.After(decision).Family!.Stands(1));
    }

    [Fact, Trait("Rule", "TK-2"), Trait("Attack", "C1")]
    public void A_replay_long_after_the_code_ran_out_still_ends_the_tokens() =>
        Assert.True(Redeemed.After(Decide(Redeemed, now: Noon.AddDays(3))).Family!.Revoked);

    [Fact, Trait("Rule", "TK-2"), Trait("Attack", "C1")]
    public void A_replay_with_a_wrong_verifier_ends_the_tokens_too() =>
        Assert.True(Redeemed.After(Decide(Redeemed, Ask() with { Verifier = new Secret(new string('a', 43)) })).Family!.Revoked);

    [Fact, Trait("Rule", "TK-2"), Trait("Attack", "C1")]
    public void A_replay_is_recorded_once_however_often_it_is_tried()
    {
        var replayed = Redeemed.After(Decide(Redeemed));
        Decide(replayed).RefusedWith(ErrorCode.InvalidGrant);
    }

    [Fact, Trait("Rule", "TK-2"), Trait("Attack", "C1")]
    public void A_replay_of_a_code_whose_tokens_were_ended_before_is_recorded_without_ending_them_again()
    {
        var ended = Redeemed.And(On(FamilyId, new TokenFamilyEvent.Revoked(EndedBy.Person, "signed out", Noon)));
        Decide(ended).Records(On(RequestId, new AuthorizationEvent.CodeReplayed(Noon)));
    }

    [Fact, Trait("Rule", "TK-2"), Trait("Attack", "C3")]
    public void Another_clients_attempt_is_refused_and_does_not_burn_the_code()
    {
        var stolen = Decide(Issued, Ask(AnotherClient()));
        stolen.RefusedWith(ErrorCode.InvalidGrant);
        Decide(Issued.After(stolen)).Accepted();
    }

    [Fact, Trait("Rule", "TK-2"), Trait("Attack", "C3")]
    public void Another_client_with_a_used_code_cannot_end_the_rightful_ones_tokens() =>
        Decide(Redeemed, Ask(AnotherClient())).RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Rule", "TK-1"), Trait("Attack", "C3")]
    public void A_wrong_verifier_is_refused_and_does_not_burn_the_code()
    {
        var wrong = Decide(Issued, Ask() with { Verifier = new Secret(new string('a', 43)) });
        wrong.RefusedWith(ErrorCode.InvalidGrant);
        Decide(Issued.After(wrong)).Accepted();
    }

    [Fact, Trait("Rule", "TK-1"), Trait("Attack", "C6"), Trait("Rule", "20-9")]
    public void A_missing_verifier_is_refused() => Decide(Issued, Ask() with { Verifier = null }).RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Rule", "TK-1"), Trait("Attack", "C6")]
    public void The_challenge_itself_is_no_verifier() =>
        Decide(Issued, Ask() with { Verifier = new Secret(Challenge.Value) }).RefusedWith(ErrorCode.InvalidGrant);

    [Theory, Trait("Rule", "TK-1"), Trait("Attack", "C3")]
    [InlineData("https://tally.example/other")]
    [InlineData("https://tally.example/callback/")]
    [InlineData("https://tally.example/Callback")]
    [InlineData("https://tally.example/callback?")]
    public void A_redirect_uri_other_than_the_requests_is_refused(string uri) =>
        Decide(Issued, Ask() with { RedirectUri = new RedirectUri(uri) }).RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Rule", "TK-1"), Trait("Attack", "C3")]
    public void A_redirect_uri_that_was_in_the_request_must_be_repeated() =>
        Decide(Issued, Ask() with { RedirectUri = null }).RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Rule", "TK-1"), Trait("Rule", "20-7")]
    public void A_redirect_uri_that_was_not_in_the_request_may_be_left_out_or_be_the_registered_one()
    {
        var given = Scenario.Given([Requested(ARequest() with { RedirectUriGiven = false }), Authenticated(), Granted(), CodeIssued()]);
        Decide(given, Ask() with { RedirectUri = null }).Accepted();
        Decide(given).Accepted();
        Decide(given, Ask() with { RedirectUri = new RedirectUri("https://tally.example/other") }).RefusedWith(ErrorCode.InvalidGrant);
    }

    [Theory, Trait("Rule", "TK-1"), Trait("Attack", "C4")]
    [InlineData(59.999, true)]
    [InlineData(60, false)]
    [InlineData(61, false)]
    public void A_code_lives_less_than_sixty_seconds(double seconds, bool lives)
    {
        var decision = Decide(Issued, now: Noon.AddSeconds(seconds));
        if (lives) decision.Accepted();
        else decision.RefusedWith(ErrorCode.InvalidGrant);
    }

    [Fact, Trait("Attack", "C4"), Trait("Law", "L3")]
    public void A_code_whose_end_was_recorded_is_refused_even_by_a_clock_that_is_behind() =>
        Decide(Issued.And(On(RequestId, new AuthorizationEvent.CodeExpired(Noon)))).RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Rule", "TK-1"), Trait("Law", "L3"), Trait("Attack", "T23")]
    public void A_grant_revoked_between_code_and_redemption_leaves_no_token() =>
        Decide(Issued.And(On(GrantId, new GrantEvent.Revoked(EndedBy.Person, "", Noon)))).RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Rule", "TK-1"), Trait("Attack", "T5")]
    public void A_grant_that_ran_out_between_code_and_redemption_leaves_no_token() =>
        Decide(Scenario.Given([Requested(), Authenticated(), Granted(until: Noon.AddSeconds(30)), CodeIssued()]), now: Noon.AddSeconds(30))
            .RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Rule", "TK-1")]
    public void An_unknown_grant_leaves_no_token() => Decide(Scenario.Given([Requested(), Authenticated(), CodeIssued()])).RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Rule", "TK-1")]
    public void An_unknown_code_is_refused() => Decide(Scenario.Given([Granted()])).RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Rule", "TK-1")]
    public void A_request_without_a_code_cannot_be_redeemed() =>
        Decide(Scenario.Given([Requested(), Authenticated(), Granted()])).RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Law", "L2")]
    public void A_family_that_exists_already_is_never_opened_a_second_time() =>
        Decide(Issued.And(FamilyBegun())).RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Rule", "TK-1"), Trait("Attack", "T24")]
    public void A_suspended_client_is_refused() =>
        Decide(Issued, Ask(AClient(Web, new ClientEvent.Suspended("abuse", Noon)))).RefusedWith(ErrorCode.UnauthorizedClient);

    [Fact, Trait("Rule", "TK-1")]
    public void A_client_not_registered_for_codes_is_refused() =>
        Decide(Issued, Ask(AClient(Web with { GrantTypes = [GrantType.ClientCredentials] }))).RefusedWith(ErrorCode.UnauthorizedClient);
}
