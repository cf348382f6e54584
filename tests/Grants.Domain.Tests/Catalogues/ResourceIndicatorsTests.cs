using CsCheck;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Protocol;

namespace Grants.Domain.Tests.Catalogues;

public sealed class ResourceIndicatorsTests
{
    private static readonly Catalogue Known = new(Catalogue.StreamId, [],
    [
        new("https://bank.example", "Bank", ["balances", "payments"], TokenFormat.Jwt),
        new("https://Cards.example/v1/", "Cards", ["cards", "payments"], TokenFormat.Jwt),
        new("urn:example:vault", "Vault", ["vault"], TokenFormat.Opaque),
    ]);

    private static readonly ClientMetadata App = new() { ClientName = "App", Scope = ["openid", "profile", "offline_access", "balances", "payments", "cards"] };

    private static (ValueList<string>? Resources, ScopeSet Scopes, OAuthError? Error) Ask(string scopes, string[] named, ClientMetadata? client = null) =>
        ResourceIndicators.Ask(named, ScopeSet.Of(scopes.Split(' ')), client ?? App, Known);

    [Theory, Trait("Rule", "RI-1")]
    [InlineData("https://bank.example", "https://bank.example")]
    [InlineData("HTTPS://Bank.EXAMPLE", "https://bank.example")]
    [InlineData("https://bank.example/", "https://bank.example/")] // the slash makes another resource
    [InlineData("https://bank.example/Path/A", "https://bank.example/Path/A")]
    [InlineData("https://BANK.example:8443?Tenant=A", "https://bank.example:8443?Tenant=A")]
    [InlineData("https://User@Bank.example/x", "https://User@bank.example/x")]
    [InlineData("https://bank.example/x@Y", "https://bank.example/x@Y")]
    [InlineData("https://[2001:DB8::1]/x", "https://[2001:db8::1]/x")]
    [InlineData("https://bank.example:443", "https://bank.example:443")] // a port is no matter of spelling
    [InlineData("https://bank.example/%41", "https://bank.example/%41")]
    [InlineData("URN:Example:Vault", "urn:Example:Vault")]
    public void Scheme_and_host_are_compared_in_small_letters_and_all_else_as_it_stands(string text, string canonical) =>
        Assert.Equal(canonical, ResourceIndicators.Canonical(text));

    [Theory, Trait("Rule", "RI-1")]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("bank.example")]
    [InlineData("/v1")]
    [InlineData("//bank.example/v1")]
    [InlineData("https:")]
    [InlineData("https://")]
    [InlineData("https:///v1")]
    [InlineData(":x")]
    [InlineData("1https://bank.example")]
    [InlineData("ht tps://bank.example")]
    [InlineData("https://bank.example#")]
    [InlineData("https://bank.example/#part")]
    [InlineData("https://bank.example/a b")]
    [InlineData(" https://bank.example")]
    [InlineData("https://bank.example\n")]
    [InlineData("https://bank.example\0")]
    [InlineData("https://bank.example\\v1")]
    [InlineData("https://bänk.example")]
    [InlineData("https://bank.example:99999")]
    [InlineData("https://bank.example/<script>")]
    public void What_is_no_absolute_uri_or_has_a_fragment_is_no_resource(string text)
    {
        Assert.Null(ResourceIndicators.Canonical(text));
        Assert.Equal(ErrorCode.InvalidTarget, Ask("balances", [text]).Error?.Code);
    }

    [Fact, Trait("Rule", "RI-1")]
    public void A_resource_is_at_most_2000_characters_long()
    {
        Assert.NotNull(ResourceIndicators.Canonical("https://bank.example/".PadRight(2000, 'x')));
        Assert.Null(ResourceIndicators.Canonical("https://bank.example/".PadRight(2001, 'x')));
    }

    [Fact, Trait("Rule", "RI-1")]
    public void A_canonical_spelling_is_its_own_and_no_text_is_too_strange_for_an_answer() =>
        Gen.OneOf<string>(Gen.String, Gen.Select(Gen.OneOf("https", "HTTP", "urn", "a+b"), Gen.OneOf("://", ":", ":/"), Gen.OneOf("Host", "u@H", "[::1]", ""), Gen.OneOf("", ":1", "/P", "?Q", "/", "@", "#"), (a, b, c, d) => a + b + c + d)).Always(text =>
        {
            if (ResourceIndicators.Canonical(text) is not { } canonical) return;
            Assert.Equal(canonical, ResourceIndicators.Canonical(canonical));
            Assert.Equal(text, canonical, ignoreCase: true);
        }, times: 1000);

    [Fact, Trait("Rule", "RI-1")]
    public void Without_a_resource_a_request_is_left_as_it_is()
    {
        var asked = Ask("openid balances unheard-of", []);
        Assert.Equal(((ValueList<string>?)null, (OAuthError?)null), (asked.Resources, asked.Error));
        Assert.Equal("openid balances unheard-of", asked.Scopes.ToString());
    }

    [Theory, Trait("Rule", "RI-1"), Trait("Rule", "MC-3")]
    [InlineData("openid profile offline_access balances", "https://bank.example", "openid profile offline_access balances")]
    [InlineData("openid balances cards", "https://bank.example", "openid balances")]
    [InlineData("payments", "https://bank.example https://cards.example/v1/", "payments")]
    [InlineData("balances cards unheard-of", "https://bank.example https://cards.example/v1/", "balances cards")]
    public void Scopes_stay_that_a_named_resource_understands_or_that_are_the_issuers(string scopes, string named, string kept)
    {
        var asked = Ask(scopes, named.Split(' '));
        Assert.Null(asked.Error);
        Assert.Equal(kept, asked.Scopes.ToString());
    }

    [Fact, Trait("Rule", "RI-1")]
    public void Resources_are_told_apart_by_meaning_and_told_as_they_are_declared()
    {
        var asked = Ask("balances cards", ["HTTPS://CARDS.example/v1/", "https://bank.example", "https://cards.example/v1/", "https://BANK.example"]);
        Assert.Equal(["https://Cards.example/v1/", "https://bank.example"], asked.Resources!);
    }

    [Theory, Trait("Rule", "RI-1"), Trait("Attack", "S8")]
    [InlineData("https://unheard.example")]
    [InlineData("https://bank.example/")]
    [InlineData("https://cards.example/v1")]
    [InlineData("https://cards.example/V1/")]
    [InlineData("http://bank.example")]
    [InlineData("urn:example:vault")] // known, but the app has no scope that it understands
    [InlineData("https://bank.example https://cards.example/v1/")] // one parameter, one resource
    public void An_unknown_resource_and_one_that_the_client_may_not_have_are_refused_in_the_same_words(string named)
    {
        var error = Ask("balances", ["https://bank.example", named]).Error!;
        Assert.Equal(ErrorCode.InvalidTarget, error.Code);
        if (ResourceIndicators.Canonical(named) is not null) Assert.Equal(Ask("balances", ["https://nobody.example"]).Error, error);
    }

    [Fact, Trait("Rule", "RI-1")]
    public void At_most_32_are_named_even_if_they_are_all_the_same()
    {
        Assert.Equal(["https://bank.example"], Ask("balances", [.. Enumerable.Repeat("https://bank.example", 32)]).Resources!);
        Assert.Equal(ErrorCode.InvalidTarget, Ask("balances", [.. Enumerable.Repeat("https://bank.example", 33)]).Error?.Code);
    }

    [Fact, Trait("Rule", "RI-1")]
    public void A_list_of_allowed_resources_is_the_whole_of_them()
    {
        var fenced = App with { AllowedResources = ["https://bank.example", "urn:example:vault"], Scope = ["balances", "payments", "cards", "vault"] };
        Assert.Null(Ask("balances", ["https://bank.example"], fenced).Error);
        Assert.Null(Ask("vault", ["urn:example:vault"], fenced).Error);
        Assert.Equal(ErrorCode.InvalidTarget, Ask("cards", ["https://cards.example/v1/"], fenced).Error?.Code);
        Assert.Equal(ErrorCode.InvalidTarget, Ask("balances", ["https://bank.example"], fenced with { AllowedResources = [] }).Error?.Code);
    }

    [Theory, Trait("Rule", "RI-1"), Trait("Rule", "AZ-5")]
    [InlineData("cards", "https://bank.example")]
    [InlineData("openid profile", "https://bank.example")]
    [InlineData("balances", "https://bank.example https://cards.example/v1/")]
    public void A_resource_that_understands_none_of_the_scopes_is_invalid_scope(string scopes, string named) =>
        Assert.Equal(ErrorCode.InvalidScope, Ask(scopes, named.Split(' ')).Error?.Code);
}
