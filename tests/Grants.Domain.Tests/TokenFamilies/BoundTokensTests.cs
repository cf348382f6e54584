using Grants.Domain.Authorizations;
using Grants.Domain.Claims;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.TokenFamilies;

/// <summary>Tokens that are bound to a client's key: RFC 9449.</summary>
public sealed class BoundTokensTests
{
    private static readonly Scenario Issued = Scenario.Given([Requested(), Authenticated(), Granted(), CodeIssued()]);
    private static readonly Client Public = AClient(PublicWeb);
    private static readonly Client OnlyBound = AClient(Web with { DpopBoundAccessTokens = true });

    private static DateTimeOffset One => Noon.AddHours(1);

    private static Decision<IssuedTokens> Redeem(Scenario given, JwkThumbprint? jkt, Client? client = null) =>
        RedeemCode.Decide(given.Authorization, given.Grant, given.Family, new(client ?? Public, Callback, new Secret(Verifier), BankCatalogue, Issuer, jkt), Noon);

    private static Decision<IssuedTokens> Refresh(Scenario given, JwkThumbprint? jkt, int generation = 1, Client? client = null, DateTimeOffset? now = null) =>
        RefreshTokens.Decide(given.Family, given.Grant, new(client ?? Public, generation, null, BankCatalogue, Issuer, jkt), now ?? One);

    private static Decision<IssuedTokens> ForItself(JwkThumbprint? jkt, Client? client = null) =>
        IssueClientToken.Decide(new(client ?? AClient(), null, FamilyId, BankCatalogue, Issuer, jkt), Noon);

    private static Scenario Redeemed(JwkThumbprint? jkt, Client? client = null) => Issued.After(Redeem(Issued, jkt, client));

    private static void IsReplay(Decision<IssuedTokens> decision, int generation)
    {
        decision.RefusedAndRecordedWith(ErrorCode.InvalidGrant);
        Assert.Equal(generation, decision.Events.One<TokenFamilyEvent.RefreshTokenReplayed>().Generation);
        decision.Events.One<TokenFamilyEvent.Revoked>();
    }

    // What is bound

    [Fact, Trait("Rule", "DP-3")]
    public void An_access_token_is_bound_to_the_key_that_was_proven_with_the_request_and_else_to_none()
    {
        foreach (var jkt in (JwkThumbprint?[])[Key, null])
        {
            foreach (var decision in (Decision<IssuedTokens>[])[Redeem(Issued, jkt), Redeem(Issued, jkt, AClient()), Refresh(Redeemed(jkt), jkt), ForItself(jkt)])
            {
                var tokens = decision.Accepted();
                Assert.Equal(jkt, tokens.AccessToken.Jkt);
                Assert.Equal(jkt, decision.Events.One<TokenFamilyEvent.AccessTokenIssued>().Jkt);
                Assert.Equal(jkt is null ? "Bearer" : "DPoP", tokens.TokenType);
                var confirmation = TokenClaims.OfAccessToken(tokens, Issuer).GetValueOrDefault("cnf");
                Assert.Equal(jkt?.Value, (confirmation as Dictionary<string, object>)?["jkt"]);
            }
        }
    }

    [Fact, Trait("Rule", "DP-4")]
    public void The_refresh_token_is_bound_too_when_its_client_has_no_secret()
    {
        Assert.Equal(Key, Redeem(Issued, Key).Events.One<TokenFamilyEvent.RefreshTokenIssued>().Facts.Jkt);
        Assert.Null(Redeem(Issued, Key, AClient()).Events.One<TokenFamilyEvent.RefreshTokenIssued>().Facts.Jkt);
        Assert.Null(Redeem(Issued, null).Events.One<TokenFamilyEvent.RefreshTokenIssued>().Facts.Jkt);
        Assert.Null(ForItself(Key).Accepted().Facts.Jkt); // it has none
    }

    // Refreshing

    [Fact, Trait("Rule", "DP-4"), Trait("Attack", "T4")]
    public void A_bound_refresh_token_needs_its_key_at_each_refresh_and_is_not_burnt_without_it()
    {
        var given = Redeemed(Key);
        for (var generation = 1; generation <= 3; generation++)
        {
            Refresh(given, null, generation).RefusedWith(ErrorCode.InvalidGrant);
            Refresh(given, AnotherKey, generation).RefusedWith(ErrorCode.InvalidGrant);
            var decision = Refresh(given, Key, generation);
            Assert.Equal(generation + 1, decision.Accepted().RefreshGeneration);
            Assert.Equal(Key, decision.Events.One<TokenFamilyEvent.RefreshTokenRotated>().Facts.Jkt);
            given = given.After(decision);
        }
    }

    [Fact, Trait("Rule", "DP-4")]
    public void A_client_with_a_secret_may_change_its_key_or_leave_it_out()
    {
        var given = Redeemed(Key, AClient());
        var (generation, client) = (1, AClient());
        foreach (var jkt in (JwkThumbprint?[])[AnotherKey, null, Key])
        {
            var decision = Refresh(given, jkt, generation++, client);
            Assert.Equal(jkt, decision.Accepted().AccessToken.Jkt);
            Assert.Null(decision.Events.One<TokenFamilyEvent.RefreshTokenRotated>().Facts.Jkt);
            given = given.After(decision);
        }
    }

    [Fact, Trait("Rule", "DP-4"), Trait("Law", "L8")]
    public void A_refresh_token_that_was_not_bound_is_from_the_first_proof_on()
    {
        var first = Refresh(Redeemed(null), Key);
        Assert.Equal(Key, first.Accepted().Facts.Jkt);
        var bound = Redeemed(null).After(first);
        Refresh(bound, null, 2).RefusedWith(ErrorCode.InvalidGrant);
        Refresh(bound, Key, 2).Accepted();

        var tail = Scenario.Given([Granted(), .. first.Events]);
        Assert.Equal(bound.Family!.Facts, tail.Family!.Facts);
        Refresh(tail, null, 2).RefusedWith(ErrorCode.InvalidGrant);
    }

    [Fact, Trait("Rule", "TK-4"), Trait("Rule", "DP-4"), Trait("Attack", "T2")]
    public void Whoever_has_the_key_gets_a_lost_answer_again_for_thirty_seconds()
    {
        var once = Redeemed(Key).After(Refresh(Redeemed(Key), Key));
        var again = Refresh(once, Key, now: One.AddSeconds(30));
        Assert.Equal((2, Key), (again.Accepted().RefreshGeneration, again.Accepted().AccessToken.Jkt!.Value));
        Assert.DoesNotContain(again.Events, e => e.Event is TokenFamilyEvent.RefreshTokenRotated);
        Assert.Equal(Key, again.Events.One<TokenFamilyEvent.AccessTokenIssued>().Facts!.Jkt);

        IsReplay(Refresh(once, Key, now: One.AddSeconds(30).AddTicks(1)), 1);
        IsReplay(Refresh(once, Key, client: AClient(PublicWeb with { RefreshRetryWindow = TimeSpan.Zero })), 1);
    }

    [Fact, Trait("Rule", "TK-4"), Trait("Attack", "T1"), Trait("Attack", "T4")]
    public void A_spent_token_without_its_key_ends_the_family_even_inside_the_window()
    {
        var once = Redeemed(Key).After(Refresh(Redeemed(Key), Key));
        IsReplay(Refresh(once, null), 1);
        IsReplay(Refresh(once, AnotherKey), 1);

        // The thief of an unbound token was first and bound its successor to a key of its own: the rightful client's try must end it.
        var stolen = Redeemed(null).After(Refresh(Redeemed(null), AnotherKey));
        var tried = Refresh(stolen, null);
        IsReplay(tried, 1);
        Refresh(stolen.After(tried), AnotherKey, 2).RefusedWith(ErrorCode.InvalidGrant);
    }

    // dpop_jkt

    [Fact, Trait("Rule", "DP-6"), Trait("Attack", "C3")]
    public void A_code_that_is_bound_to_a_key_needs_it_and_is_not_burnt_without_it()
    {
        var given = Scenario.Given([Requested(ARequest() with { DpopJkt = Key }), Authenticated(), Granted(), CodeIssued()]);
        foreach (var client in (Client[])[Public, AClient()])
        {
            foreach (var other in (JwkThumbprint?[])[null, AnotherKey])
            {
                var decision = Redeem(given, other, client);
                decision.RefusedWith(ErrorCode.InvalidGrant);
                Redeem(given.After(decision), Key, client).Accepted();
            }
        }
    }

    [Fact, Trait("Rule", "PAR-8"), Trait("Rule", "DP-6")]
    public void A_request_is_bound_to_the_key_that_was_proven_with_it_and_must_not_name_another()
    {
        var plain = ARequest();
        var named = plain with { DpopJkt = Key };
        Assert.Equal(named, plain.BoundTo(Key));
        Assert.Equal(named, named.BoundTo(Key));
        Assert.Null(named.BoundTo(AnotherKey));
        Assert.Equal(plain, plain.BoundTo(null));
        Assert.Equal(named, named.BoundTo(null));
    }

    // dpop_bound_access_tokens

    [Fact, Trait("Rule", "DP-6")]
    public void A_client_whose_tokens_are_always_bound_gets_none_without_a_proof()
    {
        var given = Redeemed(Key, OnlyBound);
        Redeem(Issued, null, OnlyBound).RefusedWith(ErrorCode.InvalidRequest);
        Refresh(given, null, client: OnlyBound).RefusedWith(ErrorCode.InvalidRequest);
        ForItself(null, OnlyBound).RefusedWith(ErrorCode.InvalidRequest);
        Redeem(Issued, Key, OnlyBound).Accepted();
        Refresh(given, AnotherKey, client: OnlyBound).Accepted();
        ForItself(Key, OnlyBound).Accepted();
    }

    // Thumbprints

    [Theory, Trait("Rule", "DP-3")]
    [InlineData("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", true)]
    [InlineData("___________________________________________", true)]
    [InlineData("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4", false)]
    [InlineData("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I=", false)]
    [InlineData("0ZcOCORZNYy+DWpqq30jZyJGHTN0d2HglBV3uiguA4I", false)]
    [InlineData("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4é", false)]
    [InlineData("", false)]
    [InlineData(null, false)]
    public void A_thumbprint_is_43_characters_of_base64url(string? text, bool good)
    {
        Assert.Equal(good, JwkThumbprint.TryParse(text, out var jkt));
        Assert.Equal(good ? text : null, jkt.Value);
    }
}
