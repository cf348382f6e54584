using Grants.Domain.AccessGrants;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.TokenFamilies;

/// <summary>The word of another issuer: RFC 7523 §2.1.</summary>
public sealed class AcceptAssertionTests
{
    private static readonly TrustedIssuer Elsewhere = new("https://elsewhere.example", "{}", null, ["ES256"], ["tally"], ["accounts", "payments", "offline_access"], null, []);
    private static readonly Client Asking = AClient(Web with { GrantTypes = [GrantType.JwtBearer] });
    private static readonly Grant Allowed = Scenario.Given(Granted()).Grant!;

    private static Decision<IssuedTokens> Accept(Grant? grant, TrustedIssuer? trusted = null, Client? client = null, ScopeSet? scopes = null, JwkThumbprint? jkt = null) =>
        AcceptAssertion.Decide(grant, new(client ?? Asking, trusted ?? Elsewhere, scopes, "aGFzaA", FamilyId, BankCatalogue, Issuer, jkt), Noon);

    [Fact, Trait("Rule", "TK-11")]
    public void The_client_gets_a_token_within_what_the_person_allowed_it_and_nothing_else()
    {
        var decision = Accept(Allowed);
        var tokens = decision.Accepted();
        Assert.Null(tokens.RefreshGeneration);
        Assert.Null(tokens.IdToken);
        var facts = new FamilyFacts(Tally, Person, GrantId, null, ["accounts"], null); // payments was never allowed, offline_access means nothing here
        decision.Records(
            On(FamilyId, new TokenFamilyEvent.AccessTokenIssued(1, facts, ["accounts"], ["https://bank.example"], Noon, Noon.AddMinutes(5))),
            On(FamilyId, new TokenFamilyEvent.AssertionAccepted("https://elsewhere.example", "aGFzaA", Noon)));
        Assert.Equal(Key, Accept(Allowed, jkt: Key).Accepted().AccessToken.Jkt);
    }

    [Fact, Trait("Rule", "TK-11"), Trait("Attack", "T24")]
    public void Without_a_live_grant_of_that_person_to_that_client_there_is_no_token()
    {
        Accept(null).RefusedWith(ErrorCode.InvalidGrant);
        Accept(Allowed with { Ended = true }).RefusedWith(ErrorCode.InvalidGrant);
        Accept(Allowed with { ExpiresAt = Noon }).RefusedWith(ErrorCode.InvalidGrant);
        Accept(Allowed with { Client = new ClientId("other") }).RefusedWith(ErrorCode.InvalidGrant);
    }

    [Theory, Trait("Rule", "TK-11"), Trait("Attack", "T6")]
    [InlineData("payments")] // trusted and registered, but not allowed
    [InlineData("history")] // allowed and registered, but not trusted
    [InlineData("accounts payments")]
    [InlineData("offline_access")]
    [InlineData("unknown")]
    public void No_more_than_person_issuer_and_registration_have_in_common_can_be_asked(string asked)
    {
        Assert.True(ScopeSet.TryParse(asked, out var scopes));
        Accept(Allowed, scopes: scopes).RefusedWith(ErrorCode.InvalidScope);
        Accept(Allowed, client: AClient(Web with { GrantTypes = [GrantType.JwtBearer], Scope = ["history"] })).RefusedWith(ErrorCode.InvalidScope);
    }

    [Fact, Trait("Rule", "TK-11"), Trait("Rule", "RI-1")]
    public void It_is_for_the_resources_that_are_named_and_within_what_was_allowed_there()
    {
        Decision<IssuedTokens> For(Grant grant, params string[] resources) => AcceptAssertion.Decide(grant, new(Asking, Elsewhere, null, "aGFzaA", FamilyId, BankCatalogue, Issuer, null, new(resources)), Noon);
        Assert.Equal(["https://bank.example"], For(Allowed, "https://bank.example").Accepted().AccessToken.Audience);
        For(Allowed, "https://unheard.example").RefusedWith(ErrorCode.InvalidTarget);
        var limited = Allowed with { Limits = [new("accounts", ["https://bank.example"])] };
        For(limited, "https://bank.example").Accepted();
        For(limited).RefusedWith(ErrorCode.InvalidScope);
    }

    [Fact, Trait("Rule", "TK-11"), Trait("Attack", "T19")]
    public void An_issuer_that_is_trusted_no_more_or_not_with_this_client_counts_for_nothing()
    {
        AcceptAssertion.Decide(Allowed, new(Asking, null, null, "aGFzaA", FamilyId, BankCatalogue, Issuer), Noon).RefusedWith(ErrorCode.InvalidGrant);
        Accept(Allowed, Elsewhere with { Clients = [] }).RefusedWith(ErrorCode.InvalidGrant);
        Accept(Allowed, Elsewhere with { Clients = ["other", "TALLY"] }).RefusedWith(ErrorCode.InvalidGrant);
    }

    [Fact, Trait("Rule", "TK-11"), Trait("Attack", "K9")]
    public void A_client_that_is_not_registered_for_it_or_not_active_is_refused()
    {
        Accept(Allowed, client: AClient()).RefusedWith(ErrorCode.UnauthorizedClient);
        Accept(Allowed, client: Asking with { Status = ClientStatus.Suspended }).RefusedWith(ErrorCode.UnauthorizedClient);
        Accept(Allowed, client: AClient(Web with { GrantTypes = [GrantType.JwtBearer], DpopBoundAccessTokens = true })).RefusedWith(ErrorCode.InvalidRequest);
    }

    [Fact, Trait("Rule", "TK-11")]
    public void An_issuer_is_declared_once_and_its_trust_can_be_taken_back()
    {
        var declared = DeclareCatalogue.Decide(BankCatalogue, new([], [], [Elsewhere]), Noon);
        Assert.Equal(["trusted issuer https://elsewhere.example"], declared.Accepted());
        var catalogue = declared.Events.Select(e => (CatalogueEvent)e.Event).Aggregate(BankCatalogue, (state, e) => Catalogue.Evolve(state, Catalogue.StreamId, e));
        Assert.Equal(Elsewhere, catalogue.Issuer("https://elsewhere.example"));
        Assert.Null(catalogue.Issuer("https://elsewhere.example/"));
        Assert.Empty(DeclareCatalogue.Decide(catalogue, new([], [], [Elsewhere]), Noon).Events);
        var ended = Elsewhere with { Clients = [] };
        var after = Catalogue.Evolve(catalogue, Catalogue.StreamId, DeclareCatalogue.Decide(catalogue, new([], [], [ended]), Noon).Events.One<CatalogueEvent.IssuerDeclared>());
        Assert.Equal([ended], after.TrustedIssuers);
    }
}
