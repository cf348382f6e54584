using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.Authorizations;

/// <summary>Requests that name resources (RFC 8707), from their arrival to the last refresh. Bank and Books understand some of the same scopes.</summary>
public sealed class NamedResourcesTests
{
    private const string Bank = "https://bank.example";
    private const string Books = "https://books.example";

    private static readonly Catalogue Both = BankCatalogue with { Resources = [.. BankCatalogue.Resources, new(Books, "Books", ["accounts", "payments"], TokenFormat.Jwt)] };

    private static AuthorizationRequest RequestFor(params string[] resources) => ARequest() with { Resources = resources.Length == 0 ? null : new(resources) };

    private static ValueList<string>? Named(params string[] resources) => resources.Length == 0 ? null : new(resources);

    // What a grant remembers

    private static Grant After(Grant? grant, ScopeSet granted, ScopeSet refused, params string[] resources)
    {
        var consent = new ConsentReceipt(RequestId, granted, refused, Noon, Noon.AddDays(90), Named(resources));
        var events = grant is null ? Grant.Open(Person, Tally, consent) : grant.Answered(consent);
        return events.Aggregate(grant, (state, happened) => Grant.Evolve(state, GrantId, happened))!;
    }

    [Fact, Trait("Rule", "RI-1"), Trait("Law", "L5")]
    public void What_is_allowed_without_naming_a_resource_is_allowed_everywhere_and_written_as_before()
    {
        var grant = After(null, ["openid", "accounts"], ["history"]);
        Assert.Null(grant.Limits);
        foreach (var resources in (ValueList<string>?[])[null, [Bank], [Bank, Books]]) Assert.Equal(ScopeSet.Of(["openid", "accounts"]), grant.ScopesAt(resources));
        Assert.Equal(new GrantEvent.Widened(RequestId, ["history"], [], Noon, Noon.AddDays(90)), Assert.Single(grant.Answered(new ConsentReceipt(RequestId, ["accounts", "history"], [], Noon, Noon.AddDays(90)))));
    }

    [Fact, Trait("Rule", "RI-1"), Trait("Attack", "R17"), Trait("Attack", "S8")]
    public void What_is_allowed_at_one_resource_is_allowed_there_alone_but_for_what_is_the_issuers()
    {
        var grant = After(null, ["openid", "offline_access", "accounts"], [], Bank);
        Assert.Equal(Asked.Except(["history"]), grant.ScopesAt([Bank]));
        foreach (var resources in (ValueList<string>?[])[null, [Books], [Bank, Books]]) Assert.Equal(ScopeSet.Of(["openid", "offline_access"]), grant.ScopesAt(resources));
    }

    [Fact, Trait("Rule", "RI-1"), Trait("Attack", "R17")]
    public void Answers_for_one_resource_after_another_add_up_scope_by_scope()
    {
        var grant = After(After(null, ["accounts", "payments"], [], Bank), ["accounts"], [], Books);
        Assert.Equal(ScopeSet.Of(["accounts"]), grant.ScopesAt([Books, Bank]));
        Assert.Equal(ScopeSet.Of(["accounts"]), grant.ScopesAt([Books]));
        Assert.Equal(ScopeSet.Of(["accounts", "payments"]), grant.ScopesAt([Bank]));
        Assert.Empty(grant.ScopesAt(null));

        // Once allowed everywhere, it stays so whatever is answered for one resource later.
        var everywhere = After(After(grant, ["payments"], []), ["payments"], [], Books);
        Assert.Equal(ScopeSet.Of(["payments"]), everywhere.ScopesAt(null));
        Assert.Equal(ScopeSet.Of(["accounts", "payments"]), everywhere.ScopesAt([Books]));
    }

    [Fact, Trait("Rule", "RI-1"), Trait("Attack", "R17")]
    public void A_no_for_one_resource_takes_nothing_back_elsewhere_and_a_no_where_it_was_allowed_takes_it_back()
    {
        var grant = After(null, ["accounts", "history"], [], Bank);
        var elsewhere = After(grant, ["accounts"], ["history"], Books);
        Assert.Equal(ScopeSet.Of(["accounts", "history"]), elsewhere.ScopesAt([Bank]));
        Assert.Equal(ScopeSet.Of(["accounts"]), elsewhere.ScopesAt([Books]));

        var there = After(grant, ["accounts"], ["history"], Bank);
        Assert.Equal(ScopeSet.Of(["accounts"]), there.Scopes);

        // What was taken back leaves no trace that a later answer could revive.
        Assert.Equal(ScopeSet.Of(["accounts"]), After(there, ["history"], [], Books).ScopesAt([Bank]));
        Assert.Equal(ScopeSet.Of(["history"]), After(there, ["history"], [], Books).ScopesAt([Books]));
    }

    // Whether to ask

    private static Decision<NextStep> Continue(Grant? grant, AuthorizationRequest request)
    {
        var given = Scenario.Given(Requested(request), SessionStarted());
        return ContinueAuthorization.Decide(given.Authorization!, grant, new(AClient(), given.Session, Id(20)), Noon);
    }

    [Fact, Trait("Rule", "RI-1"), Trait("Attack", "R17")]
    public void A_resource_that_is_new_is_asked_about_and_one_that_was_answered_is_not()
    {
        var atBank = After(null, Asked, [], Bank);
        Assert.IsType<NextStep.Answer>(Continue(atBank, RequestFor(Bank)).Accepted());
        foreach (var wider in (AuthorizationRequest[])[RequestFor(Books), RequestFor(Bank, Books), RequestFor()]) Assert.Equal(new NextStep.AskConsent(Asked), Continue(atBank, wider).Accepted());

        var everywhere = After(null, Asked, []);
        foreach (var any in (AuthorizationRequest[])[RequestFor(Books), RequestFor(Bank, Books), RequestFor()]) Assert.IsType<NextStep.Answer>(Continue(everywhere, any).Accepted());
    }

    [Fact, Trait("Rule", "RI-1"), Trait("Rule", "AZ-10")]
    public void With_prompt_none_a_new_resource_is_consent_required() =>
        Assert.Equal(ErrorCode.ConsentRequired, Assert.IsType<NextStep.Refuse>(Continue(After(null, Asked, [], Bank), ARequest(PromptValue.None) with { Resources = [Books] }).Accepted()).Error.Code);

    [Fact, Trait("Rule", "RI-1"), Trait("Attack", "T6")]
    public void A_code_carries_only_what_is_allowed_at_the_resources_of_its_request()
    {
        var grant = After(After(null, Asked, [], Bank), Asked.Except(["history"]), ["history"], Books);
        Assert.Equal(Asked.Except(["history"]), Continue(grant, RequestFor(Books)).Events.One<AuthorizationEvent.CodeIssued>().Scopes);
        Assert.Equal(Asked, Continue(grant, RequestFor(Bank)).Events.One<AuthorizationEvent.CodeIssued>().Scopes);
    }

    [Fact, Trait("Rule", "RI-1"), Trait("Attack", "R17")]
    public void The_answer_on_the_page_is_remembered_with_the_resources_of_the_request()
    {
        var given = Scenario.Given(Requested(RequestFor(Bank)), SessionStarted(), Authenticated());
        var decision = AnswerConsent.Decide(given.Authorization!, null, new(AClient(), given.Session, true, ["history"], Text, GrantId, FamilyId), Noon);
        ValueList<ScopeLimit> limits = [new("accounts", [Bank]), new("history", [Bank])];
        Assert.Equal(limits, decision.Events.One<GrantEvent.Created>().Limits);
        Assert.Equal(new NextStep.Answer(GrantId, FamilyId), decision.Accepted());
    }

    [Fact, Trait("Attack", "R18"), Trait("Rule", "RI-1")]
    public void The_words_of_a_consent_name_the_resources_and_are_the_same_as_ever_without()
    {
        Assert.Equal(ConsentWords.Of(AClient(), Asked, Both), ConsentWords.Of(AClient(), Asked, Both, null));
        var (bank, books) = (ConsentWords.Of(AClient(), Asked, Both, [Bank]), ConsentWords.Of(AClient(), Asked, Both, [Books]));
        Assert.Equal(new ConsentLine(Bank, "Only at Demo Bank", "needed"), bank.Lines[^1]);
        Assert.NotEqual(bank.Version, books.Version);
    }

    // A pushed request whose client has lost a right meanwhile

    [Fact, Trait("Rule", "PAR-5"), Trait("Rule", "RI-1"), Trait("Attack", "C15")]
    public void A_pushed_request_for_a_resource_that_is_no_longer_allowed_is_refused_to_the_app()
    {
        var given = Scenario.Given(Pushed(RequestFor(Bank)), SessionStarted(), Granted());
        Decision<NextStep> TakeUp(ClientMetadata metadata, Catalogue catalogue) =>
            BeginAuthorization.Decide(given.Authorization, "browser", catalogue, given.Grant, new(AClient(metadata), given.Session, Id(20)), Noon);
        Assert.IsType<NextStep.Answer>(TakeUp(Web, Both).Accepted());
        foreach (var (metadata, catalogue) in ((ClientMetadata, Catalogue)[])[(Web with { AllowedResources = [Books] }, Both), (Web, Both with { Resources = [Both.Resources[1]] })])
        {
            var decision = TakeUp(metadata, catalogue);
            Assert.Equal(ErrorCode.InvalidTarget, Assert.IsType<NextStep.Refuse>(decision.Accepted()).Error.Code);
            Assert.Equal(ErrorCode.InvalidTarget, decision.Events.One<AuthorizationEvent.Refused>().Error);
        }
    }

    // Tokens

    private static Scenario CodeFor(params string[] resources) => Scenario.Given(Requested(RequestFor(resources)), SessionStarted(), Authenticated(), Granted(), CodeIssued());

    private static Decision<IssuedTokens> Redeem(Scenario given, Client? client = null, params string[] resources) =>
        RedeemCode.Decide(given.Authorization, given.Grant, given.Family, new(client ?? AClient(), Callback, new Secret(Verifier), Both, Issuer, null, Named(resources)), Noon);

    private static Decision<IssuedTokens> Refresh(Scenario given, int generation, ScopeSet? scopes, params string[] resources) =>
        RefreshTokens.Decide(given.Family, given.Grant, new(AClient(), generation, scopes, Both, Issuer, null, Named(resources)), Noon.AddMinutes(generation));

    [Fact, Trait("Rule", "RI-1"), Trait("Rule", "TK-3"), Trait("Attack", "S8")]
    public void A_family_keeps_all_its_resources_and_each_token_is_for_some_of_them()
    {
        var code = CodeFor(Bank, Books);
        var first = Redeem(code, null, Books);
        Assert.Equal(("accounts", Books), (first.Accepted().AccessToken.Scopes.ToString(), first.Accepted().AccessToken.Audience.ToString()));
        Assert.Equal((ValueList<string>)[Bank, Books], first.Accepted().Facts.Resources!);
        Assert.NotNull(first.Accepted().IdToken); // openid was granted, though this token doesn't carry it

        var second = Refresh(code.After(first), 1, null, Bank);
        Assert.Equal(("accounts history", Bank), (second.Accepted().AccessToken.Scopes.ToString(), second.Accepted().AccessToken.Audience.ToString()));
        var third = Refresh(code.After(first).After(second), 2, null);
        Assert.Equal((Asked.ToString(), $"{Bank} {Books} {Issuer}"), (third.Accepted().AccessToken.Scopes.ToString(), third.Accepted().AccessToken.Audience.ToString()));
        Assert.Equal(first.Accepted().Facts, third.Accepted().Facts);
    }

    [Fact, Trait("Rule", "RI-1"), Trait("Rule", "TK-1"), Trait("Attack", "T6")]
    public void A_resource_that_was_not_granted_is_refused_and_uses_neither_code_nor_refresh_token_up()
    {
        var code = CodeFor(Bank);
        foreach (var wrong in (string[])[Books, "https://unheard.example", "bank", Bank + "/", Bank + "#"]) Redeem(code, null, wrong).RefusedWith(ErrorCode.InvalidTarget);
        Redeem(code, AClient(Web with { AllowedResources = [Books] }), Bank).RefusedWith(ErrorCode.InvalidTarget);
        Redeem(code, AClient(Web with { AllowedResources = [Books] }), []).Accepted(); // for userinfo alone
        var family = code.After(Redeem(code, null, Bank));
        foreach (var wrong in (string[])[Books, "https://unheard.example", "bank"]) Refresh(family, 1, null, wrong).RefusedWith(ErrorCode.InvalidTarget);
        Refresh(family, 1, ["openid"], Bank).RefusedWith(ErrorCode.InvalidScope);
        Refresh(family, 1, ["accounts"], Bank).Accepted();
    }

    [Fact, Trait("Rule", "TK-2"), Trait("Rule", "RI-1")]
    public void A_replay_is_found_out_whatever_resource_it_names()
    {
        var used = CodeFor(Bank).After(Redeem(CodeFor(Bank)));
        Assert.Contains(Redeem(used, null, "nonsense").Events, e => e.Event is AuthorizationEvent.CodeReplayed);
        var rotated = used.After(Refresh(used, 1, null)).After(Refresh(used.After(Refresh(used, 1, null)), 2, null));
        Assert.Contains(Refresh(rotated, 1, null, "nonsense").Events, e => e.Event is TokenFamilyEvent.RefreshTokenReplayed);
    }

    [Fact, Trait("Rule", "RI-1"), Trait("Attack", "T6")]
    public void A_refresh_carries_nothing_that_is_now_allowed_elsewhere_alone()
    {
        var family = CodeFor(Bank).After(Redeem(CodeFor(Bank)));
        var moved = family.And(On(GrantId, new GrantEvent.Widened(RequestId, [], [], Noon, Noon.AddDays(90), [new("accounts", [Books])])));
        Assert.Equal("history", Refresh(moved, 1, null, Bank).Accepted().AccessToken.Scopes.ToString());
    }

    [Fact, Trait("Rule", "RI-1"), Trait("Rule", "TK-7"), Trait("Attack", "S8")]
    public void A_client_for_itself_names_any_resource_that_it_may_have()
    {
        Decision<IssuedTokens> Issue(ScopeSet? scopes, params string[] resources) => IssueClientToken.Decide(new(AClient(), scopes, FamilyId, Both, Issuer, null, Named(resources)), Noon);
        var decision = Issue(null, Books);
        Assert.Equal(("accounts payments", Books), (decision.Accepted().AccessToken.Scopes.ToString(), decision.Accepted().AccessToken.Audience.ToString()));
        Assert.Equal(decision.Accepted().AccessToken.Scopes, decision.Accepted().Facts.Scopes);
        Assert.Equal($"{Bank} {Books}", Issue(["accounts"], Bank, Books).Accepted().AccessToken.Audience.ToString());
        Issue(["history"], Books).RefusedWith(ErrorCode.InvalidScope);
        Issue(null, "https://unheard.example").RefusedWith(ErrorCode.InvalidTarget);
    }
}
