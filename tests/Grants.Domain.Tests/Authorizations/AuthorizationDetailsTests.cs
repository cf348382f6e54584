using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.Authorizations;

/// <summary>What decisions make of authorization details: RFC 9396.</summary>
public sealed class AuthorizationDetailsTests
{
    private const string Bank = "https://bank.example";
    private const string Cards = "https://cards.example";
    private static readonly Guid NewGrant = Id(21);
    private static readonly Guid NewFamily = Id(20);

    // As a request holds them, and as they are once a person has allowed them: another key, the same mark.
    private static readonly AuthorizationDetail Pay45 = Detail("45");
    private static readonly AuthorizationDetail Pay60 = Detail("60");
    private static readonly AuthorizationDetail Own45 = Pay45 with { Text = new("own-45") };
    private static readonly AuthorizationDetail Own60 = Pay60 with { Text = new("own-60") };
    private static readonly AuthorizationDetail AtBank = Own45 with { Locations = [Bank] };
    private static readonly AuthorizationDetail AtCards = Own60 with { Locations = [Cards] };

    private static readonly ClientMetadata Payer = Web with { AuthorizationDetailsTypes = ["payment"] };
    private static readonly Client Tally = AClient(Payer);

    private static readonly Catalogue WithPayments = Catalogue.Evolve(BankCatalogue, Catalogue.StreamId,
        new CatalogueEvent.DetailsTypeDeclared(new DetailsTypeDefinition("payment", "{}", "Pay {amount}", "Moves money", false), Noon));

    private static AuthorizationDetail Detail(string mark) => new("payment", mark, new($"asked-{mark}"));

    private static AuthorizationRequest Asking(ScopeSet scopes, params string[] prompt) => ARequest(prompt) with { Scopes = scopes };

    private static Decision<NextStep> Continue(AuthorizationRequest request, params StreamEvent[] past)
    {
        var given = Scenario.Given([Requested(request), SessionStarted(), .. past]);
        return ContinueAuthorization.Decide(given.Authorization!, given.Grant, new(Tally, given.Session, NewFamily), Noon);
    }

    private static (Scenario Given, Decision<NextStep> Decision) Answer(AuthorizationRequest request, ValueList<AuthorizationDetail>? allowed, bool allow = true, ScopeSet? ticked = null, StreamEvent? past = null)
    {
        var given = Scenario.Given([Requested(request), SessionStarted(), Authenticated(), .. past is null ? (StreamEvent[])[] : [past]]);
        return (given, AnswerConsent.Decide(given.Authorization!, given.Grant, new(Tally, given.Session, allow, ticked ?? [], Text, NewGrant, NewFamily, Details: allowed), Noon));
    }

    private static StreamEvent GrantOf(ScopeSet scopes, params AuthorizationDetail[] details) =>
        On(GrantId, new GrantEvent.Created(Person, Fixtures.Tally, RequestId, scopes, [], Noon, Noon.AddDays(90), Details: details.Length > 0 ? new(details) : null));

    private static StreamEvent CodeFor(ScopeSet scopes, params AuthorizationDetail[] details) =>
        On(RequestId, new AuthorizationEvent.CodeIssued(GrantId, FamilyId, scopes, Noon, Noon.AddMinutes(1), Details: details.Length > 0 ? new(details) : null));

    private static Decision<IssuedTokens> Redeem(ScopeSet scopes, AuthorizationDetail[] allowed, AuthorizationDetail[]? standing = null, ValueList<string>? asked = null)
    {
        var given = Scenario.Given([Requested(), SessionStarted(), Authenticated(), GrantOf(scopes, standing ?? allowed), CodeFor(scopes, allowed)]);
        return RedeemCode.Decide(given.Authorization, given.Grant, given.Family, new(Tally, Callback, new(Verifier), WithPayments, Issuer, Details: asked), Noon);
    }

    private static Decision<IssuedTokens> Refresh(AuthorizationDetail[] held, AuthorizationDetail[] standing, ValueList<string>? asked = null, ScopeSet? scopes = null)
    {
        var facts = Facts with { Details = new(held) };
        var given = Scenario.Given([GrantOf(Asked, standing), .. FamilyBegun(facts)]);
        return RefreshTokens.Decide(given.Family, given.Grant, new(Tally, 1, scopes, WithPayments, Issuer, Details: asked), Noon.AddHours(1));
    }

    // Asking

    [Fact, Trait("Rule", "RR-1"), Trait("Attack", "R17")]
    public void Details_are_asked_about_although_every_scope_stands() =>
        Assert.IsType<NextStep.AskConsent>(Continue(Asking(Asked) with { Details = [Pay45] }, GrantOf(Asked)).Accepted());

    [Fact, Trait("Rule", "RR-1"), Trait("Attack", "R17")]
    public void One_new_detail_beside_one_that_stands_is_asked_about() =>
        Assert.IsType<NextStep.AskConsent>(Continue(Asking(Asked) with { Details = [Pay45, Pay60] }, GrantOf(Asked, Own45)).Accepted());

    [Theory, Trait("Rule", "RR-1")]
    [InlineData(true)]
    [InlineData(false)]
    public void The_very_details_that_stand_are_not_asked_about_again_with_scopes_or_without(bool scopes)
    {
        var asked = scopes ? Asked : ScopeSet.Empty;
        var decision = Continue(Asking(asked) with { Details = [Pay60] }, GrantOf(Asked, Own45, Own60));
        Assert.IsType<NextStep.Answer>(decision.Accepted());
        var code = decision.Events.One<AuthorizationEvent.CodeIssued>();
        Assert.Equal(asked, code.Scopes);
        Assert.Equal([Own60], code.Details); // the text that the person's key opens, not the request's
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Rule", "AZ-9")]
    public void Details_that_stand_are_asked_about_with_prompt_consent() =>
        Assert.IsType<NextStep.AskConsent>(Continue(Asking(Asked, "consent") with { Details = [Pay45] }, GrantOf(Asked, Own45)).Accepted());

    [Fact, Trait("Rule", "RR-1"), Trait("Rule", "AZ-10")]
    public void New_details_with_prompt_none_are_consent_required()
    {
        var step = Continue(Asking(Asked, "none") with { Details = [Pay45] }, GrantOf(Asked)).Accepted();
        Assert.Equal(ErrorCode.ConsentRequired, Assert.IsType<NextStep.Refuse>(step).Error.Code);
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Attack", "C15")]
    public void A_pushed_request_whose_type_the_client_has_lost_is_refused_when_it_is_used()
    {
        var given = Scenario.Given([Pushed(Asking(Asked) with { Details = [Pay45] }), SessionStarted()]);
        Decision<NextStep> By(Client client, Catalogue catalogue) =>
            BeginAuthorization.Decide(given.Authorization, "browser", catalogue, null, new(client, given.Session, NewFamily), Noon);

        Assert.IsType<NextStep.AskConsent>(By(Tally, WithPayments).Accepted());
        foreach (var (client, catalogue) in (List<(Client, Catalogue)>)[(AClient(), WithPayments), (Tally, BankCatalogue), (AClient(Web with { AuthorizationDetailsTypes = ["other"] }), WithPayments)])
        {
            var decision = By(client, catalogue);
            Assert.Equal(ErrorCode.InvalidAuthorizationDetails, Assert.IsType<NextStep.Refuse>(decision.Accepted()).Error.Code);
            Assert.Equal(ErrorCode.InvalidAuthorizationDetails, decision.Events.One<AuthorizationEvent.Refused>().Error);
        }
    }

    // Answering

    [Fact, Trait("Rule", "RR-1")]
    public void What_was_allowed_is_in_grant_and_code_as_the_persons_key_seals_it()
    {
        var (_, decision) = Answer(Asking(["accounts"]) with { Details = [Pay45, Pay60] }, [Own45, Own60]);
        decision.Records(
            On(NewGrant, new GrantEvent.Created(Person, Fixtures.Tally, RequestId, ["accounts"], [], Noon, Noon.AddDays(90), Details: [Own45, Own60])),
            On(RequestId, new AuthorizationEvent.ConsentGranted(NewGrant, ["accounts"], ["accounts"], [], Text, Noon)),
            On(RequestId, new AuthorizationEvent.CodeIssued(NewGrant, NewFamily, ["accounts"], Noon, Noon.AddSeconds(60), Details: [Own45, Own60])));
    }

    [Fact, Trait("Rule", "RR-1")]
    public void Details_are_enough_without_any_scope()
    {
        var (given, decision) = Answer(Asking([]) with { Details = [Pay45] }, [Own45]);
        Assert.IsType<NextStep.Answer>(decision.Accepted());
        Assert.Equal([Own45], given.After(decision).Find<Grant>(NewGrant)!.Details);

        // Also when every scope was optional and none was ticked.
        Assert.IsType<NextStep.Answer>(Answer(Asking(["history"]) with { Details = [Pay45] }, [Own45]).Decision.Accepted());
    }

    [Fact, Trait("Rule", "RR-1")]
    public void No_means_no_details_either()
    {
        var (given, decision) = Answer(Asking(Asked) with { Details = [Pay45] }, null, allow: false, past: GrantOf(Asked, Own60));
        Assert.Equal(ErrorCode.AccessDenied, Assert.IsType<NextStep.Refuse>(decision.Accepted()).Error.Code);
        Assert.Equal([Own60], given.After(decision).Grant!.Details);
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Attack", "R15")]
    public void Only_the_details_of_the_request_can_be_allowed_and_only_all_of_them()
    {
        foreach (var allowed in (ValueList<AuthorizationDetail>?[])[null, [Own45], [Own45, Own60, Own60], [Own60, Own45], [Own45, Detail("61")]])
            Answer(Asking(Asked) with { Details = [Pay45, Pay60] }, allowed).Decision.RefusedWith(ErrorCode.InvalidAuthorizationDetails);
        Answer(Asking(Asked), [Own45]).Decision.RefusedWith(ErrorCode.InvalidAuthorizationDetails);
    }

    [Fact, Trait("Rule", "RR-1")]
    public void A_later_answer_adds_its_details_and_keeps_the_others()
    {
        var (given, decision) = Answer(Asking(["accounts"]) with { Details = [Pay45, Pay60] }, [Own45, Own60], past: GrantOf(["accounts"], Own45));
        var widened = decision.Events.One<GrantEvent.Widened>();
        Assert.Equal([Own60], widened.Details);
        Assert.Null(widened.DetailsOver);
        Assert.Equal([Own45, Own60], given.After(decision).Grant!.Details);
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Attack", "E10")]
    public void A_grant_keeps_the_newest_32_details_and_the_event_says_which_went()
    {
        var many = Enumerable.Range(0, Grant.MostDetails).Select(i => Detail($"old{i}")).ToArray();
        // The oldest that stands is asked for again: it is not the one that goes.
        var (given, decision) = Answer(Asking([]) with { Details = [many[0], Pay45, Pay60] }, [many[0], Own45, Own60], past: GrantOf([], many));
        var widened = decision.Events.One<GrantEvent.Widened>();
        Assert.Equal([Own45, Own60], widened.Details);
        Assert.Equal(["old1", "old2"], widened.DetailsOver);
        var standing = given.After(decision).Grant!.Details!;
        Assert.Equal(Grant.MostDetails, standing.Count);
        Assert.Equal(["old0", "old3"], standing.Take(2).Select(detail => detail.Mark));
        Assert.Equal([Own45, Own60], standing.TakeLast(2));
    }

    [Fact, Trait("Rule", "RR-1")]
    public void An_answer_without_details_leaves_them_as_they_are()
    {
        var (given, decision) = Answer(Asking(Asked), null, ticked: ["history"], past: GrantOf(Asked, Own45));
        Assert.Equal([Own45], given.After(decision).Grant!.Details);
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Attack", "R18")]
    public void The_words_of_a_consent_name_each_detail_by_its_mark_and_change_their_version_with_it()
    {
        var none = ConsentWords.Of(Tally, Asked, WithPayments);
        var one = ConsentWords.Of(Tally, Asked, WithPayments, details: [Pay45]);
        Assert.Equal(new ConsentLine("payment", "Pay {amount}", "needed", "45"), one.Lines[^1]);
        Assert.Equal(none.Lines, one.Lines.Take(none.Lines.Count));
        Assert.Distinct([none.Version, one.Version, ConsentWords.Of(Tally, Asked, WithPayments, details: [Pay60]).Version, ConsentWords.Of(Tally, Asked, WithPayments, details: [Pay45, Pay60]).Version]);
        Assert.Equal(one.Version, ConsentWords.Of(Tally, Asked, WithPayments, details: [Own45]).Version);
    }

    // Tokens

    [Fact, Trait("Rule", "RR-1")]
    public void A_code_gives_its_details_to_the_family_and_the_access_token()
    {
        var tokens = Redeem(["accounts"], [Own45, Own60]).Accepted();
        Assert.Equal([Own45, Own60], tokens.Facts.Details);
        Assert.Equal(["45", "60"], tokens.AccessToken.Details);
        Assert.Equal([Own45, Own60], tokens.Details);
    }

    [Fact, Trait("Rule", "RR-1")]
    public void Without_details_nothing_is_said_of_them()
    {
        var tokens = Redeem(["accounts"], []).Accepted();
        Assert.Null(tokens.Facts.Details);
        Assert.Null(tokens.AccessToken.Details);
        Assert.Null(tokens.Details);
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Rule", "TK-3")]
    public void A_token_request_may_name_a_part_and_the_family_keeps_the_whole()
    {
        var tokens = Redeem(["accounts"], [Own45, Own60], asked: ["60"]).Accepted();
        Assert.Equal([Own60], tokens.Details);
        Assert.Equal([Own45, Own60], tokens.Facts.Details);

        tokens = Refresh([Own45, Own60], [Own45, Own60], asked: ["45"]).Accepted();
        Assert.Equal([Own45], tokens.Details);
        Assert.Equal([Own45, Own60], tokens.Facts.Details);
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Attack", "T6")]
    public void A_token_request_that_names_more_is_refused_and_uses_nothing_up()
    {
        Redeem(["accounts"], [Own45], asked: ["45", "60"]).RefusedWith(ErrorCode.InvalidAuthorizationDetails);
        Redeem(["accounts"], [], asked: ["45"]).RefusedWith(ErrorCode.InvalidAuthorizationDetails);
        Refresh([Own45], [Own45, Own60], asked: ["60"]).RefusedWith(ErrorCode.InvalidAuthorizationDetails);
    }

    [Fact, Trait("Rule", "RR-1")]
    public void A_refresh_keeps_the_details()
    {
        var decision = Refresh([Own45, Own60], [Own45, Own60]);
        Assert.Equal([Own45, Own60], decision.Accepted().Details);
        Assert.Equal([Own45, Own60], decision.Events.One<TokenFamilyEvent.RefreshTokenRotated>().Facts.Details);
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Law", "L3")]
    public void Details_that_no_longer_stand_in_the_grant_are_in_no_new_token()
    {
        Assert.Equal([Own60], Redeem(["accounts"], [Own45, Own60], standing: [Own60]).Accepted().Details);
        Assert.Null(Redeem(["accounts"], [Own45], standing: [Own60]).Accepted().Details);
        Assert.Equal([Own60], Refresh([Own45, Own60], [Own60]).Accepted().Details);
        Refresh([Own45, Own60], [Own60], asked: ["45"]).RefusedWith(ErrorCode.InvalidAuthorizationDetails);
    }

    [Fact, Trait("Rule", "RR-1")]
    public void The_place_of_a_detail_is_an_audience_of_its_token()
    {
        var tokens = Redeem([], [AtBank]).Accepted();
        Assert.Equal([Bank], tokens.AccessToken.Audience);
        Assert.Equal([AtBank], tokens.Details);

        tokens = Redeem([], [Own45]).Accepted();
        Assert.Equal([Issuer], tokens.AccessToken.Audience);
        Assert.Equal([Own45], tokens.Details); // without a place it is for whoever the token is for
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Attack", "T7")]
    public void A_detail_goes_only_to_the_places_that_it_names()
    {
        Assert.True(AtBank.IsFor([Issuer, Bank]));
        Assert.False(AtBank.IsFor([Issuer, Cards]));
        Assert.True(Own45.IsFor([Issuer]));
        // No such resource is declared, so the token is not for it, and the detail stays behind.
        var tokens = Redeem(["accounts"], [AtBank, AtCards]).Accepted();
        Assert.Equal([AtBank], tokens.Details);
        Assert.Equal([AtBank, AtCards], tokens.Facts.Details);
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Rule", "TK-7")]
    public void A_client_gets_details_for_itself_without_scopes_that_it_did_not_name()
    {
        Decision<IssuedTokens> Issue(ScopeSet? scopes, Client? client = null) =>
            IssueClientToken.Decide(new(client ?? Tally, scopes, FamilyId, WithPayments, Issuer, Details: [AtBank]), Noon);

        var tokens = Issue(null).Accepted();
        Assert.Empty(tokens.AccessToken.Scopes);
        Assert.Equal([AtBank], tokens.Details);
        Assert.Equal([Bank], tokens.AccessToken.Audience);
        Assert.Equal(ScopeSet.Of(["accounts"]), Issue(["accounts"]).Accepted().AccessToken.Scopes);
        Issue(null, AClient()).RefusedWith(ErrorCode.InvalidAuthorizationDetails);
    }

    // The catalogue

    [Fact, Trait("Rule", "RR-1")]
    public void A_type_is_declared_once_and_again_when_it_changes()
    {
        var type = WithPayments.DetailsType("payment")!;
        DeclareCatalogue.Request Ask(DetailsTypeDefinition declared) => new([], [], DetailsTypes: [declared]);
        Assert.Empty(DeclareCatalogue.Decide(WithPayments, Ask(type), Noon).Events);
        var changed = type with { Words = "Send {amount}" };
        var decision = DeclareCatalogue.Decide(WithPayments, Ask(changed), Noon);
        Assert.Equal(["authorization details type payment"], decision.Accepted());
        Assert.Equal(new CatalogueEvent.DetailsTypeDeclared(changed, Noon), decision.Events.One<CatalogueEvent.DetailsTypeDeclared>());
        Assert.Equal(changed, Assert.Single(Catalogue.Evolve(WithPayments, Catalogue.StreamId, new CatalogueEvent.DetailsTypeDeclared(changed, Noon)).DetailsTypes!));
        Assert.Null(WithPayments.DetailsType("Payment"));
    }
}
