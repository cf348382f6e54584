using Grants.Domain.AccessGrants;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.TokenFamilies;

public sealed class RefreshTokensTests
{
    private static readonly Scenario Begun = Scenario.Given([Granted(), .. FamilyBegun()]);

    /// <summary>Generation 2 stands since one o'clock.</summary>
    /// <summary>Without the facts, which the rotation before it says.</summary>
    private static StreamEvent Renewed(int number, DateTimeOffset at) => AccessTokenIssued(number, at: at) is { Event: TokenFamilyEvent.AccessTokenIssued token } e ? e with { Event = token with { Facts = null } } : throw new InvalidOperationException();

    private static readonly Scenario RotatedAtOne = Begun.And([Rotated(2, One), AccessTokenIssued(2, at: One)]);

    private static DateTimeOffset One => Noon.AddHours(1);

    private static Decision<IssuedTokens> Decide(Scenario given, int generation = 1, ScopeSet? scopes = null, Client? client = null, DateTimeOffset? now = null) =>
        RefreshTokens.Decide(given.Family, given.Grant, new(client ?? AClient(), generation, scopes, BankCatalogue, Issuer), now ?? One);

    private static void IsReplay(Decision<IssuedTokens> decision, int generation, DateTimeOffset now)
    {
        decision.RefusedAndRecordedWith(ErrorCode.InvalidGrant);
        decision.Records(
            On(FamilyId, new TokenFamilyEvent.RefreshTokenReplayed(generation, now)),
            On(FamilyId, new TokenFamilyEvent.Revoked(EndedBy.System, "a spent refresh token was used again", now)));
    }

    [Fact, Trait("Rule", "TK-3"), Trait("Rule", "TK-4"), Trait("Rule", "TK-6"), Trait("Law", "L2")]
    public void A_refresh_rotates_the_token_and_issues_the_next_access_token()
    {
        var decision = Decide(Begun);
        var tokens = decision.Accepted();
        Assert.Equal(2, tokens.RefreshGeneration);
        Assert.Equal(new AccessTokenId(FamilyId, GrantId, 2), tokens.Jti);
        decision.Records(Rotated(2, One), Renewed(2, One), On(FamilyId, new TokenFamilyEvent.IdTokenIssued(One, One.AddMinutes(10))));
    }

    [Fact, Trait("Rule", "TK-6")]
    public void Who_signed_in_and_when_stays_the_same_through_every_refresh()
    {
        var twice = RotatedAtOne.After(Decide(RotatedAtOne, 2));
        Assert.Equal(Facts, Decide(twice, 3).Accepted().Facts);
    }

    [Fact, Trait("Rule", "TK-3")]
    public void A_refresh_for_scopes_that_were_all_taken_back_gets_no_empty_token()
    {
        var taken = Begun.And(On(GrantId, new GrantEvent.Narrowed(RequestId, ["accounts"], One)));
        Decide(taken, scopes: ["accounts"]).RefusedWith(ErrorCode.InvalidScope);
    }

    [Fact, Trait("Rule", "TK-6")]
    public void A_refresh_without_openid_issues_no_id_token()
    {
        var decision = Decide(Begun, scopes: ["accounts"]);
        Assert.Null(decision.Accepted().IdToken);
        Assert.DoesNotContain(decision.Events, e => e.Event is TokenFamilyEvent.IdTokenIssued);
    }

    // Scope

    [Fact, Trait("Rule", "TK-3"), Trait("Attack", "T6")]
    public void More_than_was_granted_is_refused_and_does_not_burn_the_token()
    {
        var wider = Decide(Begun, scopes: ["accounts", "payments"]);
        wider.RefusedWith(ErrorCode.InvalidScope);
        Decide(Begun.After(wider)).Accepted();
    }

    [Fact, Trait("Rule", "TK-3")]
    public void Less_than_was_granted_is_given_and_leaves_the_rest_for_the_next_time()
    {
        var narrower = Decide(Begun, scopes: ["accounts"]);
        Assert.Equal(ScopeSet.Of(["accounts"]), narrower.Accepted().AccessToken.Scopes);
        Assert.Equal(Asked, Decide(Begun.After(narrower), 2).Accepted().AccessToken.Scopes);
    }

    [Fact, Trait("Rule", "TK-3")]
    public void No_scope_means_all_that_was_granted()
    {
        Assert.Equal(Asked, Decide(Begun, scopes: null).Accepted().AccessToken.Scopes);
        Assert.Equal(Asked, Decide(Begun, scopes: []).Accepted().AccessToken.Scopes);
    }

    [Fact, Trait("Rule", "TK-3"), Trait("Attack", "T23")]
    public void Permissions_taken_back_are_missing_from_the_next_token()
    {
        var narrowed = Begun.And(On(GrantId, new GrantEvent.Narrowed(RequestId, ["history"], Noon)));
        Assert.Equal(ScopeSet.Of(["openid", "accounts", "offline_access"]), Decide(narrowed).Accepted().AccessToken.Scopes);
    }

    [Fact, Trait("Rule", "TK-3"), Trait("Attack", "T6")]
    public void Permissions_granted_later_do_not_reach_an_older_refresh_token()
    {
        var widened = Begun.And(On(GrantId, new GrantEvent.Widened(RequestId, ["payments"], [], Noon, Noon.AddDays(90))));
        Assert.Equal(Asked, Decide(widened).Accepted().AccessToken.Scopes);
        Decide(widened, scopes: ["payments"]).RefusedWith(ErrorCode.InvalidScope);
    }

    // Replay and the retry window

    [Fact, Trait("Rule", "TK-4"), Trait("Attack", "T1"), Trait("Law", "L2")]
    public void A_spent_token_ends_the_family_and_its_successor_too()
    {
        var now = One.AddHours(1);
        var replay = Decide(RotatedAtOne, 1, now: now);
        IsReplay(replay, 1, now);
        var after = RotatedAtOne.After(replay);
        Decide(after, 2, now: now).RefusedWith(ErrorCode.InvalidGrant);
        Assert.False(after.Family!.Stands(2));
    }

    [Fact, Trait("Rule", "TK-4"), Trait("Attack", "T1")]
    public void A_replay_is_recorded_once_however_often_it_is_tried()
    {
        var now = One.AddHours(1);
        Decide(RotatedAtOne.After(Decide(RotatedAtOne, 1, now: now)), 1, now: now).RefusedWith(ErrorCode.InvalidGrant);
    }

    [Theory, Trait("Rule", "TK-4"), Trait("Attack", "T2"), Trait("Law", "L2")]
    [InlineData(0)]
    [InlineData(30)]
    public void A_confidential_client_whose_answer_was_lost_gets_the_same_successor_again(int seconds)
    {
        var now = One.AddSeconds(seconds);
        var decision = Decide(RotatedAtOne, 1, now: now);
        var tokens = decision.Accepted();
        Assert.Equal(2, tokens.RefreshGeneration);
        Assert.Equal(3, tokens.AccessToken.Number);
        decision.Records(AccessTokenIssued(3, at: now), On(FamilyId, new TokenFamilyEvent.IdTokenIssued(now, now.AddMinutes(10))));
        Assert.Equal(RotatedAtOne.Family!.Refresh, RotatedAtOne.After(decision).Family!.Refresh);
    }

    [Fact, Trait("Rule", "TK-4"), Trait("Attack", "T1")]
    public void After_thirty_seconds_a_repeated_token_is_a_replay()
    {
        var now = One.AddSeconds(30).AddTicks(1);
        IsReplay(Decide(RotatedAtOne, 1, now: now), 1, now);
    }

    [Fact, Trait("Rule", "TK-4"), Trait("Attack", "T1")]
    public void Repeating_does_not_make_the_window_longer()
    {
        var repeated = RotatedAtOne.After(Decide(RotatedAtOne, 1, now: One.AddSeconds(29)));
        IsReplay(Decide(repeated, 1, now: One.AddSeconds(31)), 1, One.AddSeconds(31));
    }

    [Fact, Trait("Rule", "TK-4"), Trait("Attack", "T1")]
    public void A_public_client_has_no_such_window() => IsReplay(Decide(RotatedAtOne, 1, client: AClient(PublicWeb)), 1, One);

    [Theory, Trait("Rule", "TK-4")]
    [InlineData(5, 5, true)]
    [InlineData(5, 6, false)]
    [InlineData(0, 0, false)]
    public void The_window_is_a_setting_of_the_client(int window, int seconds, bool repeated)
    {
        var client = AClient(Web with { RefreshRetryWindow = TimeSpan.FromSeconds(window) });
        var now = One.AddSeconds(seconds);
        if (repeated) Decide(RotatedAtOne, 1, client: client, now: now).Accepted();
        else IsReplay(Decide(RotatedAtOne, 1, client: client, now: now), 1, now);
    }

    [Fact, Trait("Rule", "TK-4"), Trait("Attack", "T1")]
    public void Once_the_successor_was_used_an_older_token_is_a_replay_even_inside_the_window()
    {
        var used = RotatedAtOne.After(Decide(RotatedAtOne, 2, now: One.AddSeconds(1)));
        IsReplay(Decide(used, 1, now: One.AddSeconds(2)), 1, One.AddSeconds(2));
    }

    [Theory, Trait("Rule", "TK-3")]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(2)]
    public void A_generation_that_was_never_issued_is_unknown_and_ends_nothing(int generation) => Decide(Begun, generation).RefusedWith(ErrorCode.InvalidGrant);

    // Expiry

    [Fact, Trait("Rule", "TK-5"), Trait("Attack", "T5")]
    public void A_token_not_used_for_thirty_days_is_dead()
    {
        Decide(Begun, now: Noon.AddDays(30).AddTicks(-1)).Accepted();
        Decide(Begun, now: Noon.AddDays(30)).RefusedWith(ErrorCode.InvalidGrant);
    }

    [Fact, Trait("Rule", "TK-5"), Trait("Attack", "T5")]
    public void Using_a_token_never_moves_its_end_at_the_latest()
    {
        var given = Begun;
        for (var (generation, day) = (1, 20); day <= 80; generation++, day += 20) given = given.After(Decide(given, generation, now: Noon.AddDays(day)));
        Assert.Equal(new RefreshState(5, Noon.AddDays(80), Noon.AddDays(90), Noon.AddDays(90)), given.Family!.Refresh);
        Decide(given, 5, now: Noon.AddDays(90)).RefusedWith(ErrorCode.InvalidGrant);
    }

    [Fact, Trait("Rule", "TK-5"), Trait("Attack", "T5")]
    public void Confirming_the_grant_for_another_while_does_not_prolong_an_older_refresh_token()
    {
        var prolonged = Begun.And([Rotated(2, Noon.AddDays(80)), On(GrantId, new GrantEvent.Widened(RequestId, [], [], Noon, Noon.AddDays(180)))]);
        Decide(prolonged, 2, now: Noon.AddDays(90)).RefusedWith(ErrorCode.InvalidGrant);
    }

    [Fact, Trait("Rule", "TK-5")]
    public void A_spent_token_is_merely_refused_once_its_successor_has_run_out() =>
        Decide(RotatedAtOne, 1, now: One.AddDays(30)).RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Law", "L3")]
    public void A_family_whose_end_was_recorded_is_refused_even_by_a_clock_that_is_behind() =>
        Decide(Begun.And(On(FamilyId, new TokenFamilyEvent.Expired(Noon)))).RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Rule", "TK-5"), Trait("Attack", "T5")]
    public void A_new_access_token_ends_with_the_grant() =>
        Assert.Equal(Noon.AddMinutes(61), Decide(Scenario.Given([Granted(until: Noon.AddMinutes(61)), .. FamilyBegun()])).Accepted().AccessToken.ExpiresAt);

    // Who and whether

    [Fact, Trait("Rule", "TK-3"), Trait("Attack", "T4")]
    public void Another_client_is_refused_and_ends_nothing()
    {
        Decide(Begun, client: AnotherClient()).RefusedWith(ErrorCode.InvalidGrant);
        Decide(RotatedAtOne, 1, client: AnotherClient(), now: One.AddHours(1)).RefusedWith(ErrorCode.InvalidGrant);
    }

    [Fact, Trait("Rule", "TK-3"), Trait("Law", "L3"), Trait("Attack", "T23")]
    public void After_the_grant_was_revoked_no_token_comes() =>
        Decide(Begun.And(On(GrantId, new GrantEvent.Revoked(EndedBy.Person, "", Noon)))).RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Rule", "TK-3"), Trait("Attack", "T5")]
    public void After_the_grant_ran_out_no_token_comes() =>
        Decide(Scenario.Given([Granted(until: One), .. FamilyBegun()])).RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Law", "L3")]
    public void After_the_family_was_revoked_no_token_comes() =>
        Decide(Begun.And(On(FamilyId, new TokenFamilyEvent.Revoked(EndedBy.Client, "", Noon)))).RefusedWith(ErrorCode.InvalidGrant);

    [Fact, Trait("Rule", "TK-3")]
    public void Without_grant_or_family_or_refresh_token_no_token_comes()
    {
        Decide(Scenario.Given(FamilyBegun())).RefusedWith(ErrorCode.InvalidGrant);
        Decide(Scenario.Given(Granted())).RefusedWith(ErrorCode.InvalidGrant);
        Decide(Scenario.Given([Granted(), AccessTokenIssued(1)])).RefusedWith(ErrorCode.InvalidGrant);
    }

    [Fact, Trait("Attack", "T24")]
    public void A_suspended_client_is_refused() =>
        Decide(Begun, client: AClient(Web, new ClientEvent.Suspended("abuse", Noon))).RefusedWith(ErrorCode.UnauthorizedClient);

    [Fact, Trait("Rule", "TK-3")]
    public void A_client_not_registered_for_refresh_tokens_is_refused() =>
        Decide(Begun, client: AClient(Web with { GrantTypes = [GrantType.AuthorizationCode] })).RefusedWith(ErrorCode.UnauthorizedClient);

    // Flat families

    [Fact, Trait("Law", "L8")]
    public void The_last_rotation_and_what_follows_it_decide_as_the_whole_stream_does()
    {
        List<StreamEvent> stream = [.. FamilyBegun()];
        var given = Begun;
        for (var (generation, hour) = (1, 1); generation <= 5; generation++, hour++)
        {
            var decision = Decide(given, generation, now: Noon.AddHours(hour));
            stream.AddRange(decision.Events);
            given = given.After(decision);

            var tail = Scenario.Given([Granted(), .. stream.Skip(stream.FindLastIndex(e => e.Event is TokenFamilyEvent.RefreshTokenRotated))]);
            Assert.Equal((given.Family!.Facts, given.Family.AccessTokens, given.Family.Refresh), (tail.Family!.Facts, tail.Family.AccessTokens, tail.Family.Refresh));
            foreach (var (presented, now) in new[] { (generation + 1, 60), (generation, 30), (generation, 31), (1, 0) })
            {
                var at = Noon.AddHours(hour).AddSeconds(now);
                Assert.Equal(Decide(given, presented, now: at), Decide(tail, presented, now: at));
            }
        }
    }
}
