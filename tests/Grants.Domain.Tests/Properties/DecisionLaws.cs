using CsCheck;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.Properties;

public sealed class DecisionLaws
{
    /// <summary>Everything that a request may bring along.</summary>
    public sealed record Ask(Client Client, DateTimeOffset Now, ScopeSet Scopes, bool Allow, int Generation, string? Verifier, string? RedirectUri, SubjectId? Owner);

    private static readonly Gen<Ask> AnyAsk = Gen.Select(
        Gen.Select(Histories.AnyClient, Histories.Moment, Histories.Scopes, Gen.Bool),
        Gen.Select(Gen.OneOf<int>(Gen.Int[-1, 6], Gen.Int), Gen.OneOf<string?>(Verifier, null, "", "short", new string('é', 43)),
            Gen.OneOf<string?>(Callback.Value, null, "", "https://evil.example"), Gen.OneOf<SubjectId?>(Person, AnotherPerson, null)),
        (one, two) => new Ask(one.Item1, one.Item2, one.Item3, one.Item4, two.Item1, two.Item2, two.Item3, two.Item4));

    private static readonly Gen<Ask> RightAsk = Gen.Select(Gen.OneOf(AClient(), AClient(PublicWeb)), Gen.Int[0, 45], Gen.OneOf<ScopeSet>([], ["history"], ["accounts"]), Gen.Int[1, 2],
        (client, second, scopes, generation) => new Ask(client, Noon.AddSeconds(second), scopes, true, generation, Verifier, Callback.Value, Person));

    private static readonly Gen<(StreamEvent[] History, Ask Ask)> Cases = Gen.Select(Histories.Any, Gen.Frequency((1, AnyAsk), (2, RightAsk)));

    [Fact]
    public void No_decision_throws_for_any_state_and_any_request() => Law.Holds(Cases, given =>
    {
        var (past, ask) = (Scenario.Given(given.History), given.Ask);
        Redeem(past, ask);
        Refresh(past, ask);
        TakeUp(past, ask);
        Poll(past, ask);
        EnterUserCode.Decide(past.Authorization, new(ask.Client, "browser", new SealedText("sealed"), BankCatalogue), ask.Now);
        IssueClientToken.Decide(new(ask.Client, ask.Scopes, Id(22), BankCatalogue, Issuer), ask.Now);
        RevokeGrant.Decide(past.Grant, new(ask.Owner, EndedBy.Person, ""), ask.Now);
        RevokeToken.Decide(past.Family, past.Grant, new(ask.Client.ClientId, ask.Allow ? ask.Generation : null), ask.Now);
        if (past.Authorization is not null)
        {
            Continue(past, ask);
            Answer(past, ask);
        }
    }, Print, cases: 1000);

    [Fact, Trait("Law", "L2")]
    public void Continuing_a_second_time_never_issues_a_second_code() => Law.HoldsWhere(Cases, given =>
    {
        var (past, ask) = (Scenario.Given(given.History), given.Ask);
        if (past.Authorization is null) return false;
        var first = Continue(past, ask);
        var second = Continue(past.After(first), ask);
        Assert.True(Codes(first) + Codes(second) <= 1);
        Assert.Empty(second.Events);
        return Codes(first) == 1;
    }, Print, cases: 1000);

    [Fact, Trait("Law", "L2"), Trait("Rule", "PAR-5")]
    public void A_pushed_request_gives_one_browser_one_code_and_another_browser_nothing() =>
        Law.HoldsWhere(Gen.Select(Cases, Gen.Int[0, 89], (given, second) => (given.History, given.Ask with { Now = Noon.AddSeconds(second) })), given =>
        {
            // A story about a request that came with a browser, begun by a push instead.
            var past = Scenario.Given([Pushed(), .. given.Item1.Where(e => e.Event is not AuthorizationEvent)]);
            var first = TakeUp(past, given.Item2);
            var once = past.After(first);
            if (first is not Accepted<NextStep>(var step, _)) return false;
            Assert.Empty(TakeUp(once, given.Item2).Events);
            Assert.IsType<Refused<NextStep>>(TakeUp(once, given.Item2, "another browser"));
            if (once.Authorization!.Answered) Assert.IsType<Refused<NextStep>>(TakeUp(once, given.Item2));
            else Assert.Equal(step, TakeUp(once, given.Item2).Accepted());
            return Codes(first) <= 1;
        }, Print, cases: 1000);

    [Fact, Trait("Law", "L2")]
    public void Answering_a_second_time_never_issues_a_second_code_or_grant() => Law.HoldsWhere(Cases, given =>
    {
        var (past, ask) = (Scenario.Given(given.History), given.Ask);
        if (past.Authorization is null) return false;
        var first = Answer(past, ask);
        var second = Answer(past.After(first), ask);
        Assert.True(Codes(first) <= 1);
        if (first.Events.Count > 0) Assert.Empty(second.Events);
        return Codes(first) == 1;
    }, Print, cases: 1000);

    [Fact, Trait("Law", "L2"), Trait("Rule", "TK-2")]
    public void Redeeming_a_second_time_never_issues_a_second_family_and_ends_the_first() => Law.HoldsWhere(Cases, given =>
    {
        var (past, ask) = (Scenario.Given(given.History), given.Ask);
        var first = Redeem(past, ask);
        var once = past.After(first);
        var second = Redeem(once, ask);
        if (first is not Accepted<IssuedTokens>(var tokens, _)) return false;
        Assert.IsType<Refused<IssuedTokens>>(second);
        Assert.True(once.After(second).Find<TokenFamily>(tokens.Family)!.Revoked || past.Authorization!.Replayed);
        Assert.Empty(Redeem(once.After(second), ask).Events);
        return true;
    }, Print, cases: 1000);

    [Fact, Trait("Law", "L2"), Trait("Rule", "DV-4"), Trait("Attack", "C13")]
    public void Polling_a_second_time_never_opens_a_second_family_and_ends_the_first() => Law.HoldsWhere(Gen.Select(Cases, Gen.Int[0, 59], (given, second) => (given.History, Ask: given.Ask with
    {
        Client = AClient(PublicWeb with { GrantTypes = [GrantType.DeviceCode, GrantType.RefreshToken] }),
        Now = Noon.AddSeconds(second),
    })), given =>
    {
        // A story about a request that came with a browser, begun by a device instead.
        var past = Scenario.Given([On(RequestId, new AuthorizationEvent.DeviceRequested(Tally, Asked, "hash", null, Noon, Noon + RequestDevice.Lifetime)), .. given.History.Where(e => e.Event is not (TokenFamilyEvent or AuthorizationEvent.CodeRedeemed or AuthorizationEvent.CodeReplayed))]);
        var first = Poll(past, given.Ask);
        var once = past.After(first);
        var second = Poll(once, given.Ask);
        if (first is not Accepted<IssuedTokens>(var tokens, _)) return false;
        Assert.IsType<Refused<IssuedTokens>>(second);
        Assert.True(once.After(second).Find<TokenFamily>(tokens.Family)!.Revoked);
        Assert.Empty(Poll(once.After(second), given.Ask).Events);
        Assert.IsType<Refused<IssuedTokens>>(Redeem(past, given.Ask));
        return true;
    }, Print, cases: 1000);

    [Fact, Trait("Law", "L2"), Trait("Rule", "TK-4")]
    public void Refreshing_a_second_time_never_gives_a_generation_a_second_successor() => Law.HoldsWhere(Cases, given =>
    {
        var (past, ask) = (Scenario.Given(given.History), given.Ask);
        var first = Refresh(past, ask);
        var once = past.After(first);
        var second = Refresh(once, ask);
        if (first is not Accepted<IssuedTokens>(var tokens, _)) return false;
        Assert.DoesNotContain(second.Events, e => e.Event is TokenFamilyEvent.RefreshTokenRotated);
        if (second is Accepted<IssuedTokens>(var again, _)) Assert.Equal(tokens.RefreshGeneration, again.RefreshGeneration);
        else Assert.True(once.After(second).Family!.Revoked || !once.Family!.Refresh!.IsLive(ask.Now));
        return true;
    }, Print, cases: 1000);

    [Fact, Trait("Law", "L3"), Trait("Rule", "RV-2")]
    public void Nothing_revives_a_token_that_its_client_revoked_and_a_second_revocation_records_nothing() =>
        Law.HoldsWhere(Gen.Select(Cases, Gen.Bool, Histories.Anything, Histories.Moment), given =>
        {
            var ((history, ask), alone, later, laterOn) = given;
            var past = Scenario.Given(history);
            var request = new RevokeToken.Request(ask.Client.ClientId, alone ? Math.Max(1, past.Family?.AccessTokens ?? 1) : null);
            var decision = RevokeToken.Decide(past.Family, past.Grant, request, ask.Now);
            Assert.True(decision.Events.Count <= 1);
            Assert.All(decision.Events, e => Assert.Equal(FamilyId, e.Stream)); // the grant isn't the client's to end
            if (decision is not Accepted<bool>(true, var events)) return false;
            Assert.Equal(past.Family!.Facts.Client, ask.Client.ClientId);
            foreach (var world in (Scenario[])[past.And(events), past.And(events).And(later)])
            {
                if (request.AccessToken is { } number) Assert.False(world.Family!.Stands(number));
                else Assert.All(Enumerable.Range(0, world.Family!.AccessTokens + 1), token => Assert.False(world.Family.Stands(token)));
                if (!alone) Assert.All(Enumerable.Range(0, 8), generation => Assert.IsType<Refused<IssuedTokens>>(Refresh(world, ask with { Generation = generation, Now = laterOn })));
                Assert.Empty(RevokeToken.Decide(world.Family, world.Grant, request, laterOn).Events);
            }

            // The other half: what was not named lives on as before.
            if (alone) Assert.Equal(Refresh(past, ask).GetType(), Refresh(past.And(events), ask).GetType());
            return true;
        }, given => Print(given.Item1), cases: 1000);

    [Fact]
    public void A_consent_never_grants_more_than_was_asked_and_every_asked_permission_gets_its_answer() => Law.HoldsWhere(Cases, given =>
    {
        var (past, ask) = (Scenario.Given(given.History), given.Ask);
        if (past.Authorization is not { } authorization || Answer(past, ask) is not Accepted<NextStep>(NextStep.Answer(var id, _), var events)) return false;
        var code = events.One<AuthorizationEvent.CodeIssued>().Scopes;
        var grant = past.And(events).Find<Grant>(id)!;
        Assert.True(code.IsSubsetOf(authorization.Request.Scopes));
        var held = grant.ScopesAt(authorization.Request.Resources);
        Assert.Equal(code, authorization.Request.Scopes.Intersect(held));
        Assert.True(authorization.Request.Scopes.IsSubsetOf(held.Union(grant.Refused)));
        Assert.True(ask.Client.Metadata.NeededOf(authorization.Request.Scopes).IsSubsetOf(code));
        Assert.True(grant.IsLive(ask.Now));
        return true;
    }, Print, cases: 1000);

    [Fact, Trait("Attack", "T6"), Trait("Attack", "T5")]
    public void A_token_never_carries_more_than_grant_and_family_allow_nor_outlives_the_grant() => Law.HoldsWhere(Cases, given =>
    {
        var (past, ask) = (Scenario.Given(given.History), given.Ask);
        var told = false;
        foreach (var decision in (Decision<IssuedTokens>[])[Redeem(past, ask), Refresh(past, ask)])
        {
            if (decision is not Accepted<IssuedTokens>(var tokens, _)) continue;
            Assert.True(tokens.AccessToken.Scopes.IsSubsetOf(past.Grant!.ScopesAt(tokens.Facts.Resources)));
            Assert.All(tokens.AccessToken.Audience, to => Assert.True(to == Issuer || tokens.Facts.Resources?.Contains(to) != false));
            Assert.True(tokens.AccessToken.Scopes.IsSubsetOf(tokens.Facts.Scopes));
            Assert.True(tokens.AccessToken.ExpiresAt <= past.Grant.ExpiresAt);
            Assert.Equal(ask.Client.ClientId, tokens.Facts.Client);
            told = true;
        }

        return told;
    }, Print, cases: 1000);

    [Fact, Trait("Rule", "DP-4"), Trait("Attack", "T4")]
    public void A_refresh_token_that_is_bound_to_a_key_gives_nothing_without_it() => Law.HoldsWhere(Cases, given =>
    {
        var (past, ask) = (Scenario.Given(given.History.Select(Bound)), given.Ask);
        foreach (var other in (JwkThumbprint?[])[null, AnotherKey]) Assert.IsType<Refused<IssuedTokens>>(Refresh(past, ask, other));
        return Refresh(past, ask, Key) is Accepted<IssuedTokens>(var tokens, _) && tokens.AccessToken.Jkt == Key;
    }, Print, cases: 1000);

    private static StreamEvent Bound(StreamEvent e) => e with
    {
        Event = e.Event switch
        {
            TokenFamilyEvent.AccessTokenIssued { Facts: { } facts } issued => issued with { Facts = facts with { Jkt = Key } },
            TokenFamilyEvent.RefreshTokenIssued issued => issued with { Facts = issued.Facts with { Jkt = Key } },
            TokenFamilyEvent.RefreshTokenRotated rotated => rotated with { Facts = rotated.Facts with { Jkt = Key } },
            _ => e.Event,
        },
    };

    private static Decision<NextStep> Continue(Scenario past, Ask ask) =>
        ContinueAuthorization.Decide(past.Authorization!, past.Grant, new(ask.Client, past.Session, Id(20)), ask.Now);

    private static Decision<NextStep> TakeUp(Scenario past, Ask ask, string browser = "browser") =>
        BeginAuthorization.Decide(past.Authorization, browser, BankCatalogue, past.Grant, new(ask.Client, past.Session, Id(20)), ask.Now);

    private static Decision<NextStep> Answer(Scenario past, Ask ask) =>
        AnswerConsent.Decide(past.Authorization!, past.Grant, new(ask.Client, past.Session, ask.Allow, ask.Scopes.Intersect(["history"]), Text, Id(21), Id(20)), ask.Now);

    private static Decision<IssuedTokens> Redeem(Scenario past, Ask ask) => RedeemCode.Decide(past.Authorization, past.Grant, past.Family,
        new(ask.Client, ask.RedirectUri is { } uri ? new RedirectUri(uri) : null, ask.Verifier is { } verifier ? new Secret(verifier) : null, BankCatalogue, Issuer), ask.Now);

    private static Decision<IssuedTokens> Poll(Scenario past, Ask ask) =>
        RedeemDeviceCode.Decide(past.Authorization, past.Grant, past.Family, new(ask.Client, null, null, BankCatalogue, Issuer), ask.Now);

    private static Decision<IssuedTokens> Refresh(Scenario past, Ask ask, JwkThumbprint? jkt = null) =>
        RefreshTokens.Decide(past.Family, past.Grant, new(ask.Client, ask.Generation, ask.Scopes, BankCatalogue, Issuer, jkt), ask.Now);

    private static int Codes(Decision<NextStep> decision) => decision.Events.Count(e => e.Event is AuthorizationEvent.CodeIssued);

    private static string Print((StreamEvent[] History, Ask Ask) given) => $"{Histories.Print(given.History)}{Environment.NewLine}{given.Ask}";
}
