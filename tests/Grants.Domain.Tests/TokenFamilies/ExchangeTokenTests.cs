using Grants.Domain.AccessGrants;
using Grants.Domain.Catalogues;
using Grants.Domain.Claims;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.TokenFamilies;

/// <summary>Token exchange, RFC 8693: Tally's token for a person is shown by the bank's service, which needs one for the ledger.</summary>
public sealed class ExchangeTokenTests
{
    private const string Bank = "https://bank.example";
    private static readonly Guid NewFamily = Id(30);
    private static readonly Guid ServiceFamily = Id(31);
    private static readonly ClientId Service = new("service");

    private static readonly TokenExchangeRule Rule = new(["tally"], [Bank, Issuer], ["openid", "accounts", "history", "payments"], Impersonation: false);

    private static readonly ClientMetadata ServiceMetadata = new() { ClientName = "Service", GrantTypes = [GrantType.TokenExchange], Resources = [Bank], TokenExchange = [Rule] };

    private static readonly TokenReference First = new(FamilyId, 1, Tally);

    private static readonly ShownToken Subject = new(TokenTypeUri.AccessToken, Facts, Asked, [Bank, Issuer], Noon.AddMinutes(5), null, null, [First], Stands: true);

    private static readonly TokenReference ActorReference = new(ServiceFamily, 1, Service);

    private static readonly ShownToken Actor = new(TokenTypeUri.AccessToken, new FamilyFacts(Service, null, null, null, ["accounts"], null), ["accounts"], [Bank], Noon.AddMinutes(5), null, null, [ActorReference], Stands: true);

    private static readonly Grant Granted = Scenario.Given(Fixtures.Granted()).Grant!;

    private static Client AService(ClientMetadata? metadata = null) => Scenario.Given(On(Id(12), new ClientEvent.Registered(Service, metadata ?? ServiceMetadata, Noon))).Find<Client>(Id(12))!;

    private static Client WithRule(TokenExchangeRule rule) => AService(ServiceMetadata with { TokenExchange = [rule] });

    private static Decision<IssuedTokens> Exchange(ShownToken? subject = null, ShownToken? actor = null, bool unnamed = false, Client? client = null, Grant? grant = null, ScopeSet? scopes = null,
        JwkThumbprint? jkt = null, DateTimeOffset? now = null, string[]? targets = null) =>
        ExchangeToken.Decide(new(client ?? AService(), subject ?? Subject, grant ?? Granted, unnamed ? null : actor ?? Actor, scopes, new(targets ?? []), NewFamily, BankCatalogue, Issuer, jkt), now ?? Noon.AddMinutes(1));

    private static void RefusedAs(Decision<IssuedTokens> decision, string words, string code = ErrorCode.InvalidRequest) =>
        Assert.Contains(words, decision.RefusedWith(code).Description, StringComparison.Ordinal);

    // What comes of it

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T18")]
    public void A_service_gets_one_token_for_the_person_that_says_who_acts_and_what_it_came_of()
    {
        var decision = Exchange(targets: [Bank], scopes: ["accounts"]);
        var tokens = decision.Accepted();
        Assert.Null(tokens.RefreshGeneration);
        Assert.Null(tokens.IdToken);
        Assert.Equal(new AccessTokenId(NewFamily, GrantId, 1), tokens.Jti);
        var facts = Facts with { Client = Service, Scopes = ["accounts"], Act = new Actor("service", Service) };
        decision.Records(
            On(NewFamily, new TokenFamilyEvent.AccessTokenIssued(1, facts, ["accounts"], [Bank], Noon.AddMinutes(1), Noon.AddMinutes(5))),
            On(NewFamily, new TokenFamilyEvent.TokenExchanged(TokenTypeUri.AccessToken, [First], ActorReference, Noon.AddMinutes(1))));

        var claims = TokenClaims.OfAccessToken(tokens, Issuer, "auditor");
        Assert.Equal((Person.ToString(), "service"), (claims["sub"], claims["client_id"]));
        var act = Assert.IsType<Dictionary<string, object>>(claims["act"]);
        Assert.Equal(("service", "service", false), (act["sub"], act["client_id"], act.ContainsKey("act")));
        Assert.Equal("auditor", Assert.IsType<Dictionary<string, object>>(claims["may_act"])["sub"]);
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Law", "L3")]
    public void The_new_family_remembers_its_parents()
    {
        var family = Scenario.Given().After(Exchange()).Find<TokenFamily>(NewFamily)!;
        Assert.Equal([First], family.Parents);
        Assert.True(family.Stands(1));
        Assert.Empty(Scenario.Given(FamilyBegun()).Family!.Parents);
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "S9")]
    public void Who_acted_before_stays_inside_of_who_acts_now_also_where_nobody_is_added()
    {
        var earlier = new Actor("broker", new ClientId("broker"), new Actor(AnotherPerson.ToString(), new ClientId("desk")));
        var delegated = Subject with { Facts = Facts with { Act = earlier } };
        Assert.Equal(new Actor("service", Service, earlier), Exchange(delegated).Accepted().Facts.Act);
        Assert.Equal(earlier, Exchange(delegated, unnamed: true, client: WithRule(Rule with { Impersonation = true })).Accepted().Facts.Act);

        var act = TokenClaims.OfActor(new Actor("service", Service, earlier));
        Assert.Equal("broker", ((Dictionary<string, object>)act["act"])["sub"]);
        Assert.Equal("desk", ((Dictionary<string, object>)((Dictionary<string, object>)act["act"])["act"])["client_id"]);
    }

    [Fact, Trait("Rule", "TK-10")]
    public void A_person_may_act_for_another()
    {
        var clerk = Actor with { Facts = new FamilyFacts(Service, AnotherPerson, Id(40), SessionId, ["accounts"], Password) };
        Assert.Equal(new Actor(AnotherPerson.ToString(), Service), Exchange(actor: clerk).Accepted().Facts.Act);
    }

    // Who may

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T18")]
    public void Impersonation_needs_a_rule_of_its_own()
    {
        RefusedAs(Exchange(unnamed: true), "send an actor_token");
        var decision = Exchange(unnamed: true, client: WithRule(Rule with { Impersonation = true }));
        Assert.Null(decision.Accepted().Facts.Act);
        Assert.Null(decision.Events.One<TokenFamilyEvent.TokenExchanged>().ActorToken);
        Assert.NotNull(Exchange(client: WithRule(Rule with { Impersonation = true })).Accepted().Facts.Act); // the stronger right has the lesser one in it
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T18"), Trait("Attack", "K9")]
    public void What_no_rule_permits_is_refused()
    {
        RefusedAs(Exchange(client: WithRule(Rule with { From = ["other"] })), "may not exchange tokens of the client");
        RefusedAs(Exchange(client: WithRule(Rule with { From = ["*"] })), "may not exchange tokens of the client");
        RefusedAs(Exchange(client: AService(ServiceMetadata with { TokenExchange = null })), "may not exchange tokens of the client");
        Exchange(client: AService(ServiceMetadata with { GrantTypes = [] })).RefusedWith(ErrorCode.UnauthorizedClient);
        Exchange(client: AService(ServiceMetadata with { TokenEndpointAuthMethod = ClientAuthMethod.None })).RefusedWith(ErrorCode.UnauthorizedClient);
        Exchange(client: AService() with { Status = ClientStatus.Suspended }).RefusedWith(ErrorCode.UnauthorizedClient);
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T18"), Trait("Attack", "S8")]
    public void A_token_that_was_neither_issued_to_the_caller_nor_meant_for_it_is_refused()
    {
        RefusedAs(Exchange(client: AService(ServiceMetadata with { Resources = null })), "neither issued to this client nor meant for it");
        RefusedAs(Exchange(Subject with { Audience = [Issuer] }), "neither issued to this client nor meant for it");
        var own = Subject with { Facts = Facts with { Client = Service }, Audience = [Issuer] };
        Exchange(own, client: WithRule(Rule with { From = ["service"] })).Accepted();
        RefusedAs(Exchange(Subject with { Type = TokenTypeUri.IdToken, Line = [] }), "neither issued to this client nor meant for it"); // an id_token is for its client alone
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T23")]
    public void A_token_that_does_not_stand_is_refused_and_so_is_one_whose_grant_does_not()
    {
        RefusedAs(Exchange(Subject with { Stands = false }), "subject_token is unknown");
        RefusedAs(Exchange(now: Noon.AddMinutes(5)), "subject_token is unknown");
        Exchange(now: Noon.AddMinutes(5).AddMilliseconds(-1)).Accepted();
        RefusedAs(Exchange(grant: Granted with { Ended = true }), "subject_token is unknown");
        RefusedAs(Exchange(grant: Granted with { ExpiresAt = Noon.AddMinutes(1) }), "subject_token is unknown");
        RefusedAs(Exchange(actor: Actor with { Stands = false }), "actor_token is unknown");
        RefusedAs(Exchange(actor: Actor with { ExpiresAt = Noon }), "actor_token is unknown");
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T18")]
    public void An_actor_token_must_be_the_callers_own_and_speak_for_one_party()
    {
        RefusedAs(Exchange(actor: Actor with { Facts = Actor.Facts with { Client = Tally } }), "another client");
        RefusedAs(Exchange(actor: Actor with { Line = [ActorReference, First] }), "came of an exchange");
        RefusedAs(Exchange(actor: Actor with { Facts = Actor.Facts with { Act = new Actor("x", Tally) } }), "came of an exchange");
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T21")]
    public void A_clients_token_for_itself_is_no_subject_token() =>
        RefusedAs(Exchange(Subject with { Facts = Facts with { Subject = null } }), "not a person's");

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T18")]
    public void Who_alone_may_act_is_obeyed()
    {
        RefusedAs(Exchange(Subject with { MayAct = "other" }), "may_act");
        Exchange(Subject with { MayAct = "service" }).Accepted();
        var clerk = Actor with { Facts = new FamilyFacts(Service, AnotherPerson, Id(40), SessionId, ["accounts"], Password) };
        RefusedAs(Exchange(Subject with { MayAct = "service" }, clerk), "may_act"); // the clerk acts, not the service
        var impersonates = WithRule(Rule with { Impersonation = true });
        RefusedAs(Exchange(Subject with { MayAct = "other" }, unnamed: true, client: impersonates), "may_act");
        Exchange(Subject with { MayAct = "service" }, unnamed: true, client: impersonates).Accepted();
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "S9"), Trait("Attack", "T18")]
    public void No_more_than_four_tokens_stand_behind_one()
    {
        TokenReference[] line = [.. Enumerable.Range(50, 5).Select(n => new TokenReference(Id(n), 1, Tally))];
        Assert.Equal(4, Exchange(Subject with { Line = new(line.Take(4)) }).Events.One<TokenFamilyEvent.TokenExchanged>().Parents.Count);
        RefusedAs(Exchange(Subject with { Line = new(line) }), "too many exchanges");
    }

    // Keys

    [Fact, Trait("Rule", "TK-10"), Trait("Rule", "DP-3"), Trait("Attack", "T11")]
    public void A_bound_token_is_never_exchanged_for_one_that_is_not()
    {
        var bound = Subject with { Jkt = Key };
        RefusedAs(Exchange(bound), "send a DPoP proof");
        Assert.Equal(AnotherKey, Exchange(bound, jkt: AnotherKey).Accepted().AccessToken.Jkt); // whom it was meant for has a key of its own
        var own = bound with { Facts = Facts with { Client = Service }, Audience = [Issuer] };
        var service = WithRule(Rule with { From = ["service"] });
        RefusedAs(Exchange(own, client: service), "send a DPoP proof");
        RefusedAs(Exchange(own, client: service, jkt: AnotherKey), "bound to another key"); // whose it is has its key
        Assert.Equal(Key, Exchange(own, client: service, jkt: Key).Accepted().AccessToken.Jkt);

        RefusedAs(Exchange(actor: Actor with { Jkt = Key }), "actor_token is bound to another key");
        RefusedAs(Exchange(actor: Actor with { Jkt = Key }, jkt: AnotherKey), "actor_token is bound to another key");
        Exchange(actor: Actor with { Jkt = Key }, jkt: Key).Accepted();
        Assert.Equal("DPoP", Exchange(jkt: Key).Accepted().TokenType);
        Exchange(client: AService(ServiceMetadata with { DpopBoundAccessTokens = true })).RefusedWith(ErrorCode.InvalidRequest);
    }

    // What it carries

    [Theory, Trait("Rule", "TK-10"), Trait("Attack", "T6")]
    [InlineData("accounts", "accounts")]
    [InlineData("accounts history", "accounts history")]
    [InlineData("", "openid accounts history")] // what token, grant, rule and audience have in common
    public void It_carries_what_is_asked_within_what_was_shown(string asked, string carried)
    {
        Assert.True(ScopeSet.TryParse(asked, out var scopes));
        Assert.True(ScopeSet.TryParse(carried, out var expected));
        var token = Exchange(scopes: scopes).Accepted().AccessToken;
        Assert.Equal(expected, token.Scopes);
    }

    [Theory, Trait("Rule", "TK-10"), Trait("Attack", "T6"), Trait("Attack", "T18")]
    [InlineData("payments")] // the rule has it, the token has not
    [InlineData("accounts payments")]
    [InlineData("offline_access")] // the token has it, the rule has not
    [InlineData("unknown")]
    public void More_than_token_and_rule_have_is_refused(string asked)
    {
        Assert.True(ScopeSet.TryParse(asked, out var scopes));
        Exchange(scopes: scopes).RefusedWith(ErrorCode.InvalidScope);
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T6")]
    public void What_the_person_has_taken_back_is_not_carried()
    {
        var narrowed = Granted with { Scopes = ["accounts"] };
        Assert.Equal(["accounts"], Exchange(grant: narrowed).Accepted().AccessToken.Scopes);
        Exchange(grant: narrowed, scopes: ["history"]).RefusedWith(ErrorCode.InvalidScope);
        Exchange(grant: Granted with { Scopes = ["payments"] }).RefusedWith(ErrorCode.InvalidScope);
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Rule", "RI-1")]
    public void It_is_for_what_is_named_or_else_for_all_of_the_rule_that_understands_it()
    {
        Assert.Equal([Bank], Exchange(targets: [Bank]).Accepted().AccessToken.Audience);
        Assert.Equal([Bank], Exchange(targets: ["HTTPS://Bank.example"]).Accepted().AccessToken.Audience);
        Assert.Equal(["accounts", "history"], Exchange(targets: [Bank]).Accepted().AccessToken.Scopes); // openid means nothing to the bank
        Assert.Equal([Issuer], Exchange(targets: [Issuer]).Accepted().AccessToken.Audience);
        Assert.Equal(["openid"], Exchange(targets: [Issuer]).Accepted().AccessToken.Scopes);
        Assert.Equal([Bank, Issuer], Exchange(targets: [Bank, Issuer, Bank]).Accepted().AccessToken.Audience);
        Assert.Equal([Bank, Issuer], Exchange().Accepted().AccessToken.Audience);
        Assert.Equal([Bank], Exchange(scopes: ["accounts"]).Accepted().AccessToken.Audience);
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Rule", "RI-1"), Trait("Attack", "T6")]
    public void An_audience_that_no_rule_permits_or_that_understands_nothing_is_refused()
    {
        Exchange(targets: ["https://other.example"]).RefusedWith(ErrorCode.InvalidTarget);
        Exchange(targets: [Bank, "https://other.example"]).RefusedWith(ErrorCode.InvalidTarget);
        Exchange(targets: [Bank + "/"]).RefusedWith(ErrorCode.InvalidTarget);
        Exchange(targets: [Bank], scopes: ["openid"]).RefusedWith(ErrorCode.InvalidTarget);
        Exchange(targets: [Issuer], scopes: ["accounts"]).RefusedWith(ErrorCode.InvalidTarget);
        Exchange(client: WithRule(Rule with { Audience = ["https://gone.example"] })).RefusedWith(ErrorCode.InvalidTarget);
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Rule", "RI-1"), Trait("Attack", "T6")]
    public void What_was_allowed_at_one_resource_alone_is_not_carried_to_another()
    {
        var limited = Granted with { Limits = [new("history", ["https://elsewhere.example"])] };
        Assert.Equal(["accounts"], Exchange(grant: limited, targets: [Bank]).Accepted().AccessToken.Scopes);
        Exchange(grant: limited, scopes: ["history"], targets: [Bank]).RefusedWith(ErrorCode.InvalidTarget);
        Exchange(grant: limited, scopes: ["history"]).RefusedWith(ErrorCode.InvalidTarget);
        Assert.Equal(["accounts", "history"], Exchange(grant: Granted with { Limits = [new("history", [Bank])] }, targets: [Bank]).Accepted().AccessToken.Scopes);
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Rule", "AT-2")]
    public void It_is_written_as_its_audience_wants_it()
    {
        const string Vault = "https://vault.example";
        var catalogue = BankCatalogue with { Resources = [.. BankCatalogue.Resources, new ResourceDefinition(Vault, "Vault", ["accounts"], TokenFormat.Opaque)] };
        Decision<IssuedTokens> For(bool jwt, params string[] targets) => ExchangeToken.Decide(
            new(WithRule(Rule with { Audience = [Vault, Bank, Issuer] }), Subject, Granted, Actor, null, new(targets), NewFamily, catalogue, Issuer, null, jwt), Noon.AddMinutes(1));
        Assert.Equal(TokenFormat.Opaque, For(false, Vault).Accepted().AccessToken.Form);
        Assert.Equal(TokenFormat.Opaque, For(false, Vault, Issuer).Accepted().AccessToken.Form);
        Assert.Null(For(true, Bank).Accepted().AccessToken.Form);
        For(true, Vault).RefusedWith(ErrorCode.InvalidRequest);
        For(false, Vault, Bank).RefusedWith(ErrorCode.InvalidTarget);
        Assert.Equal([Vault, Issuer], For(false).Accepted().AccessToken.Audience); // the first one's kind
    }

    [Fact, Trait("Rule", "TK-10")]
    public void The_first_rule_that_fits_counts()
    {
        var client = AService(ServiceMetadata with { TokenExchange = [Rule with { Audience = [Issuer] }, Rule with { Scope = ["history"], Impersonation = true }] });
        Assert.Equal(["openid"], Exchange(client: client).Accepted().AccessToken.Scopes);
        Assert.Equal(["history"], Exchange(client: client, targets: [Bank]).Accepted().AccessToken.Scopes);
        Assert.Equal(["history"], Exchange(client: client, unnamed: true).Accepted().AccessToken.Scopes);
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T18")]
    public void It_never_outlives_what_it_came_of()
    {
        Assert.Equal(Noon.AddMinutes(5), Exchange().Accepted().AccessToken.ExpiresAt); // the subject token's
        var hour = Subject with { ExpiresAt = Noon.AddHours(1) };
        Assert.Equal(Noon.AddMinutes(6), Exchange(hour).Accepted().AccessToken.ExpiresAt); // the client's five minutes
        Assert.Equal(Noon.AddMinutes(3), Exchange(hour, grant: Granted with { ExpiresAt = Noon.AddMinutes(3) }).Accepted().AccessToken.ExpiresAt);
    }
}
