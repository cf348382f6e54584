using CsCheck;
using Grants.Domain.AccessGrants;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.Properties;

/// <summary>Whatever is exchanged for whatever, as often as anybody likes: nothing widens, nothing lives longer, nothing is hidden, and it ends.</summary>
public sealed class ExchangeLaws
{
    private const string Bank = "https://bank.example";

    private static readonly Gen<ScopeSet> Scopes = Gen.OneOf("openid", "accounts", "history", "payments", "offline_access").Array[1, 5].Select(tokens => ScopeSet.Of(tokens));

    private static readonly Gen<ValueList<string>> Audiences = Gen.OneOf(Bank, Issuer, "https://other.example").Array[1, 3].Select(list => new ValueList<string>(list));

    private static readonly Gen<TokenExchangeRule> Rules = Gen.Select(Gen.OneOf<ValueList<string>>(["a", "b", "c"], ["a"], ["b", "c"]), Audiences, Scopes, Gen.Bool,
        (from, audience, scope, impersonation) => new TokenExchangeRule(from, audience, scope, impersonation));

    /// <summary>One service that exchanges what the one before it got.</summary>
    public sealed record Hop(string Client, TokenExchangeRule[] Rules, bool Named, ScopeSet? Asked, string[] Targets, int Lifetime, int Wait, bool Meant);

    private static readonly Gen<Hop> Hops = Gen.Select(
        Gen.Select(Gen.OneOf("a", "b", "c"), Rules.Array[1, 3], Gen.Bool, Gen.OneOf(Scopes.Select(ScopeSet? (scopes) => scopes), Gen.Const((ScopeSet?)null))),
        Gen.Select(Gen.OneOf<string[]>([], [], [Bank], [Issuer], [Bank, Issuer]), Gen.Int[1, 900], Gen.Int[0, 60], Gen.Frequency((5, Gen.Const(true)), (1, Gen.Const(false)))),
        (one, two) => new Hop(one.Item1, one.Item2, one.Item3, one.Item4, two.Item1, two.Item2, two.Item3, two.Item4));

    private static readonly Gen<(Hop[] Hops, ScopeSet First, ScopeSet Granted)> Chains = Gen.Select(Hops.Array[1, 9], Scopes, Scopes, (hops, first, granted) => (hops, first, granted.Union(first)));

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T18"), Trait("Attack", "T6"), Trait("Attack", "S9")]
    public void An_exchange_never_widens_scope_or_life_never_hides_who_acted_and_never_goes_on_for_ever() => Law.HoldsWhere(Chains, given =>
    {
        var (now, told) = (Noon, 0);
        var grant = Scenario.Given(Granted(given.Granted, until: Noon.AddMinutes(20))).Grant!;
        var facts = Facts with { Client = new ClientId("a"), Scopes = given.First };
        var token = new ShownToken(TokenTypeUri.AccessToken, facts, given.First, [Bank, Issuer], Noon.AddMinutes(10), null, null, [new(FamilyId, 1, facts.Client)], Stands: true);
        for (var i = 0; i < given.Hops.Length; i++)
        {
            var hop = given.Hops[i];
            now = now.AddSeconds(hop.Wait);
            var id = new ClientId(hop.Client);
            var client = new Client(Id(60), id, new ClientMetadata
            {
                ClientName = hop.Client,
                GrantTypes = [GrantType.TokenExchange],
                TokenExchange = new(hop.Rules),
                Resources = hop.Meant ? [Bank, Issuer] : null,
                AccessTokenLifetime = TimeSpan.FromSeconds(hop.Lifetime),
            }, [], ClientStatus.Active, Noon);
            var actor = new ShownToken(TokenTypeUri.AccessToken, new FamilyFacts(id, null, null, null, [], null), [], [], now.AddMinutes(1), null, null, [new(Id(70 + i), 1, id)], Stands: true);
            var decision = ExchangeToken.Decide(new(client, token, grant, hop.Named ? actor : null, hop.Asked, new(hop.Targets), Id(80 + i), BankCatalogue, Issuer), now);
            if (decision is not Accepted<IssuedTokens>(var issued, var events))
            {
                Assert.Empty(decision.Events);
                continue;
            }

            told++;
            var minted = issued.AccessToken;
            var rule = hop.Rules.First(rule => rule.From.Contains(token.Facts.Client.Value) && (hop.Named || rule.Impersonation) && hop.Targets.All(rule.Audience.Contains));
            Assert.True(minted.Scopes.Count > 0 && minted.Scopes.IsSubsetOf(token.Scopes) && minted.Scopes.IsSubsetOf(grant.Scopes) && minted.Scopes.IsSubsetOf(rule.Scope));
            Assert.True(hop.Asked is null || minted.Scopes.IsSubsetOf(hop.Asked));
            Assert.True(minted.ExpiresAt <= token.ExpiresAt && minted.ExpiresAt <= grant.ExpiresAt && minted.ExpiresAt <= now.AddSeconds(hop.Lifetime));
            Assert.All(minted.Audience, target => Assert.Contains(target, rule.Audience));
            Assert.Equal((token.Facts.Subject, token.Facts.Grant, id), (issued.Facts.Subject, issued.Facts.Grant, issued.Facts.Client));
            Assert.Null(issued.RefreshGeneration);
            Assert.Null(issued.IdToken);
            Assert.Equal(hop.Named ? new Actor(hop.Client, id, token.Facts.Act) : token.Facts.Act, issued.Facts.Act);

            var exchanged = events.One<TokenFamilyEvent.TokenExchanged>();
            Assert.Equal(token.Line, exchanged.Parents);
            Assert.True(exchanged.Parents.Count <= ExchangeToken.MaxDepth);
            token = new ShownToken(TokenTypeUri.AccessToken, issued.Facts, minted.Scopes, minted.Audience, minted.ExpiresAt, null, null, [new(issued.Family, 1, id), .. exchanged.Parents], Stands: true);
        }

        Assert.True(told <= ExchangeToken.MaxDepth);
        return told >= 2;
    }, given => string.Join(Environment.NewLine, given.Hops.Select(hop => hop.ToString())), cases: 3000);

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T11")]
    public void A_bound_token_gives_nothing_without_a_proof() => Law.Holds(Hops, hop =>
    {
        var client = new Client(Id(60), new ClientId(hop.Client), new ClientMetadata { ClientName = hop.Client, GrantTypes = [GrantType.TokenExchange], TokenExchange = new(hop.Rules), Resources = [Bank] }, [], ClientStatus.Active, Noon);
        var token = new ShownToken(TokenTypeUri.AccessToken, Facts with { Client = new ClientId("a") }, Asked, [Bank], Noon.AddMinutes(5), Key, null, [new(FamilyId, 1, new ClientId("a"))], Stands: true);
        Assert.IsType<Refused<IssuedTokens>>(ExchangeToken.Decide(new(client, token, Scenario.Given(Granted()).Grant!, null, hop.Asked, new(hop.Targets), Id(80), BankCatalogue, Issuer), Noon));
    });
}
