using CsCheck;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Properties;
using Grants.Domain.TokenFamilies;

namespace Grants.Domain.Tests.TokenFamilies;

/// <summary>Whom an access token is for, what it carries, and how it is written.</summary>
public sealed class TokenTargetTests
{
    private const string Issuer = "https://grants.example";
    private const string Bank = "https://bank.example";
    private const string Cards = "https://cards.example";
    private const string Ledger = "https://ledger.example";
    private const string Vault = "https://vault.example";

    private static readonly Catalogue Known = new(Catalogue.StreamId, [],
    [
        new(Vault, "Vault", ["vault", "keys"], TokenFormat.Opaque),
        new(Ledger, "Ledger", ["ledger", "keys"], TokenFormat.Jwt, SigningAlgorithm.RS256),
        new(Bank, "Bank", ["balances", "payments"], TokenFormat.Jwt),
        new(Cards, "Cards", ["cards", "payments"], TokenFormat.Jwt, SigningAlgorithm.ES256), // the usual one, by name
    ]);

    private static readonly ScopeSet Everything = ["openid", "profile", "offline_access", "balances", "payments", "cards", "ledger", "vault", "keys", "unheard_of"];
    private static readonly ClientMetadata App = new() { ClientName = "App", Scope = Everything };

    private static ScopeSet Scopes(string text) => ScopeSet.Of(text.Split(' ', StringSplitOptions.RemoveEmptyEntries));

    private static ValueList<string>? Uris(string? text) => text is null ? null : new(text.Split(' ', StringSplitOptions.RemoveEmptyEntries));

    private static (TokenTarget? Target, OAuthError? Error) Of(string held, string? granted, string? named, string? scopes = null, ClientMetadata? client = null) =>
        TokenTarget.Of(Scopes(held), Uris(granted), Scopes(scopes ?? held), Uris(named), client ?? App, Known, Issuer);

    private static void Is(string audience, string scopes, string? form, (TokenTarget? Target, OAuthError? Error) made)
    {
        Assert.Null(made.Error);
        Assert.Equal((audience, scopes, form), (made.Target!.Audience.ToString(), made.Target.Scopes.ToString(), made.Target.Form));
    }

    [Theory, Trait("Rule", "AT-1")]
    [InlineData("balances", Bank)]
    [InlineData("payments", Bank + " " + Cards)]
    [InlineData("openid", Issuer)]
    [InlineData("openid balances", Bank + " " + Issuer)]
    [InlineData("offline_access", Issuer)]
    [InlineData("", Issuer)]
    [InlineData("unheard_of", Issuer)]
    [InlineData("balances unheard_of", Bank)]
    public void Where_no_resource_was_ever_named_the_audience_is_who_understands_the_scopes(string scopes, string audience) => Is(audience, scopes, null, Of(scopes, null, null));

    [Theory, Trait("Rule", "RI-1"), Trait("Attack", "S8")]
    [InlineData("openid balances payments", Bank, Bank + " " + Issuer)]
    [InlineData("payments", Bank, Bank)]
    [InlineData("payments cards", Bank + " " + Cards, Bank + " " + Cards)]
    [InlineData("balances cards", Cards + " " + Bank, Bank + " " + Cards)]
    [InlineData("openid balances", Cards + " " + Bank, Bank + " " + Issuer)] // Cards would have no use for it
    public void Where_the_authorization_named_resources_a_token_without_is_for_those_alone(string scopes, string granted, string audience) => Is(audience, scopes, null, Of(scopes, granted, null));

    [Theory, Trait("Rule", "RI-1"), Trait("Attack", "S8"), Trait("Attack", "T7")]
    [InlineData("openid profile offline_access balances payments cards", Bank + " " + Cards, Bank, Bank, "balances payments")]
    [InlineData("openid profile balances payments cards", Bank + " " + Cards, Cards, Cards, "payments cards")]
    [InlineData("balances payments cards", Bank + " " + Cards, Cards + " " + Bank, Cards + " " + Bank, "balances payments cards")]
    [InlineData("balances payments cards", null, Bank, Bank, "balances payments")]
    [InlineData("balances", Bank, "HTTPS://BANK.example", Bank, "balances")]
    [InlineData("balances", Bank, Bank + " HTTPS://bank.EXAMPLE", Bank, "balances")]
    public void A_token_for_named_resources_is_for_those_alone_and_carries_what_they_understand(string held, string? granted, string named, string audience, string scopes) =>
        Is(audience, scopes, null, Of(held, granted, named));

    [Theory, Trait("Rule", "RI-1"), Trait("Attack", "T6")]
    [InlineData("balances payments", Bank, Cards)]
    [InlineData("balances payments", Bank, Bank + " " + Cards)]
    [InlineData("balances payments cards", Bank, Cards)]
    [InlineData("balances", null, Cards)] // nothing was granted that it understands
    [InlineData("balances", null, Bank + " " + Ledger)]
    [InlineData("balances", Bank, Issuer)]
    [InlineData("openid balances", null, Issuer)]
    [InlineData("balances", Bank, "https://unheard.example")]
    [InlineData("balances", Bank, Bank + "/")]
    [InlineData("balances", Bank, Bank + "#")]
    [InlineData("balances", Bank, "bank")]
    public void A_resource_that_was_not_granted_is_invalid_target(string held, string? granted, string named) => Assert.Equal(ErrorCode.InvalidTarget, Of(held, granted, named).Error?.Code);

    [Theory, Trait("Rule", "RI-1")]
    [InlineData("balances cards", Bank + " " + Cards, Cards, "balances")]
    [InlineData("balances cards", null, Cards, "balances")]
    [InlineData("openid balances", Bank, Bank, "openid")]
    [InlineData("balances cards", Bank + " " + Cards, Bank + " " + Cards, "cards")]
    public void A_granted_resource_that_understands_none_of_the_scopes_asked_for_is_invalid_scope(string held, string? granted, string named, string scopes) =>
        Assert.Equal(ErrorCode.InvalidScope, Of(held, granted, named, scopes).Error?.Code);

    [Fact, Trait("Rule", "RI-1"), Trait("Attack", "C15")]
    public void A_resource_that_the_client_may_not_have_any_more_is_refused_by_name_and_left_out_without()
    {
        var fenced = App with { AllowedResources = [Cards] };
        Assert.Equal(ErrorCode.InvalidTarget, Of("balances payments cards", Bank + " " + Cards, Bank, client: fenced).Error?.Code);
        Assert.Equal(ErrorCode.InvalidTarget, Of("balances payments cards", null, Bank, client: fenced).Error?.Code);
        Is(Cards, "payments cards", null, Of("balances payments cards", Bank + " " + Cards, null, client: fenced));
        Is(Cards, "payments cards", null, Of("balances payments cards", null, null, client: fenced));
        Is(Issuer, "openid profile", null, Of("openid profile balances", Bank, null, client: fenced));
        Assert.Equal(ErrorCode.InvalidTarget, Of("balances", Bank, null, client: fenced).Error?.Code);
        Assert.Equal(ErrorCode.InvalidTarget, Of("balances", null, null, client: fenced).Error?.Code);
    }

    [Theory, Trait("Rule", "AT-2"), Trait("Rule", "RI-1")]
    [InlineData("vault", Vault, TokenFormat.Opaque)]
    [InlineData("ledger", Ledger, SigningAlgorithm.RS256)]
    [InlineData("cards", Cards, null)]
    public void A_token_is_written_as_its_resource_wants_it(string scope, string resource, string? form)
    {
        Is(resource, scope, form, Of(scope, null, null));
        Is(resource, scope, form, Of(scope, null, resource));
        Is(resource, scope, form, Of(scope + " balances openid", resource + " " + Bank, resource));
        Is($"{resource} {Issuer}", "openid " + scope, form, Of("openid " + scope, resource, null));
    }

    [Theory, Trait("Rule", "AT-2"), Trait("Rule", "RI-1")]
    [InlineData(Bank + " " + Vault)]
    [InlineData(Bank + " " + Ledger)]
    [InlineData(Ledger + " " + Vault)]
    public void One_token_for_resources_that_want_it_in_different_ways_is_invalid_target(string named)
    {
        Assert.Equal(ErrorCode.InvalidTarget, Of("balances ledger vault", null, named).Error?.Code);
        Assert.Equal(ErrorCode.InvalidTarget, Of("balances ledger vault", named, named).Error?.Code);
    }

    [Theory, Trait("Rule", "AT-2"), Trait("Rule", "RI-1")]
    [InlineData("openid profile vault ledger balances cards", Bank + " " + Cards + " " + Issuer, "openid profile balances cards", null)]
    [InlineData("vault ledger unheard_of", Ledger, "ledger unheard_of", SigningAlgorithm.RS256)]
    [InlineData("keys", Ledger, "keys", SigningAlgorithm.RS256)]
    [InlineData("vault keys", Ledger, "keys", SigningAlgorithm.RS256)]
    [InlineData("vault openid", Vault + " " + Issuer, "vault openid", TokenFormat.Opaque)]
    public void A_token_that_names_none_is_for_those_that_want_the_plainest_form_and_carries_nothing_for_the_others(string scopes, string audience, string carried, string? form) =>
        Is(audience, carried, form, Of(scopes, null, null));

    private static readonly Gen<ScopeSet> AnyScopes = Gen.OneOf([.. Everything]).Array[0, 7].Select(tokens => ScopeSet.Of(tokens));

    private static readonly Gen<ValueList<string>?> AnyResources = Gen.OneOf<ValueList<string>?>(
        Gen.Const((ValueList<string>?)null), Gen.OneOf(Bank, Bank, Cards, Cards, Ledger, Vault, Issuer, "HTTPS://Bank.example", "https://bank.example/", "nonsense").Array[1, 3].Select(uris => (ValueList<string>?)new ValueList<string>(uris)));

    private static readonly Gen<ClientMetadata> AnyClient = Gen.OneOf(App, App, App with { AllowedResources = [Bank, Vault] }, App with { AllowedResources = [] }, App with { Scope = ["balances", "openid"] });

    [Fact, Trait("Rule", "RI-1"), Trait("Rule", "AT-1"), Trait("Attack", "T6"), Trait("Attack", "S8")]
    public void No_token_is_for_anybody_that_was_not_granted_nor_carries_more_than_was_asked_nor_goes_without_an_audience() =>
        Law.HoldsWhere(Gen.Select(AnyScopes, AnyScopes, AnyResources, AnyResources, AnyClient), given =>
        {
            var (held, asked, granted, named, client) = given;
            var scopes = asked.Intersect(held);
            var (target, error) = TokenTarget.Of(held, granted, scopes, named, client, Known, Issuer);
            if (target is null)
            {
                Assert.Contains(error!.Code, (string[])[ErrorCode.InvalidTarget, ErrorCode.InvalidScope]);
                return false;
            }

            var resources = target.Audience.Where(to => to != Issuer).Select(to => Known.Resources.Single(resource => resource.Resource == to)).ToList();
            Assert.NotEmpty(target.Audience);
            Assert.Equal(target.Audience.Distinct(), target.Audience);
            Assert.True(target.Scopes.IsSubsetOf(scopes));
            Assert.All(resources, resource =>
            {
                Assert.True(granted is null || granted.Contains(resource.Resource));
                Assert.True(client.AllowedResources is null || client.AllowedResources.Contains(resource.Resource));
                Assert.True(resource.Scopes.Overlaps(target.Scopes)); // nobody is named who can't use it
                Assert.Equal(target.Form, resource.TokenForm);
            });
            if (named is null) return true;
            Assert.DoesNotContain(Issuer, target.Audience);
            Assert.All(target.Scopes, scope => Assert.Contains(resources, resource => resource.Scopes.Contains(scope)));
            Assert.Equal(named.Select(uri => ResourceIndicators.Canonical(uri)).Distinct(), target.Audience);
            return true;
        }, cases: 5000);
}
