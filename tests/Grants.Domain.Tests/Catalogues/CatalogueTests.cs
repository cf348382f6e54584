using CsCheck;
using Grants.Domain.Catalogues;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Protocol;

namespace Grants.Domain.Tests.Catalogues;

public sealed class CatalogueTests
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    private static readonly ScopeDefinition Balances = new("balances", "See your account balances", "see", "private data", null);
    private static readonly ScopeDefinition Payments = new("payments", "Make payments", "do", "Moves money", "At most 100 a day.");
    private static readonly ResourceDefinition Bank = new("https://bank.example", "Demo Bank", ["balances", "payments"], "jwt");
    private static readonly ResourceDefinition Cards = new("https://cards.example", "Demo Cards", ["cards", "payments"], "jwt");
    private static readonly DeclareCatalogue.Request All = new([Balances, Payments], [Bank, Cards]);

    private static Catalogue? Fold(Catalogue? catalogue, Decision<ValueList<string>> decision) =>
        decision.Events.Aggregate(catalogue, (state, happened) => Catalogue.Evolve(state, happened.Stream, (CatalogueEvent)happened.Event));

    private static Catalogue Declared => Fold(null, DeclareCatalogue.Decide(null, All, Noon))!;

    [Fact]
    public void What_is_declared_is_known_afterwards()
    {
        Assert.Equal(new Catalogue(Catalogue.StreamId, [Balances, Payments], [Bank, Cards]), Declared);
        Assert.Equal(Balances, Declared.Scope("balances"));
        Assert.Null(Declared.Scope("Balances"));
    }

    [Fact]
    public void Declaring_the_same_twice_records_nothing()
    {
        var decision = Assert.IsType<Accepted<ValueList<string>>>(DeclareCatalogue.Decide(Declared, All, Noon.AddDays(1)));
        Assert.Empty(decision.Events);
        Assert.Empty(decision.Value);
    }

    [Fact]
    public void Only_what_differs_is_recorded_and_told()
    {
        var relabelled = Balances with { Label = "See what is in your accounts" };
        var decision = Assert.IsType<Accepted<ValueList<string>>>(DeclareCatalogue.Decide(Declared, All with { Scopes = [relabelled, Payments] }, Noon));
        Assert.Equal(["scope balances"], decision.Value);
        Assert.Equal([new(Catalogue.StreamId, new CatalogueEvent.ScopeDeclared(relabelled, Noon))], decision.Events);
        Assert.Equal(relabelled, Fold(Declared, decision)!.Scope("balances"));
        Assert.Equal(2, Fold(Declared, decision)!.Scopes.Count);
    }

    [Fact]
    public void Leaving_something_out_withdraws_nothing()
    {
        var decision = DeclareCatalogue.Decide(Declared, new([], [Bank]), Noon);
        Assert.Empty(decision.Events);
    }

    [Theory, Trait("Rule", "AZ-5")]
    [InlineData("openid", true)]
    [InlineData("offline_access", true)]
    [InlineData("balances", true)]
    [InlineData("profile", false)]
    [InlineData("cards", false)] // a resource names it, but no words were declared for it
    [InlineData("", false)]
    public void A_scope_is_known_when_it_was_declared_or_a_specification_fixes_it(string scope, bool known) => Assert.Equal(known, Declared.Knows(scope));

    [Fact]
    public void Whatever_is_declared_in_whatever_order_the_last_words_count() =>
        Gen.OneOf<CatalogueEvent>(new CatalogueEvent.ScopeDeclared(Balances, Noon), new CatalogueEvent.ScopeDeclared(Balances with { Label = "x" }, Noon),
            new CatalogueEvent.ScopeDeclared(Payments, Noon), new CatalogueEvent.ResourceDeclared(Bank, Noon), new CatalogueEvent.ResourceDeclared(Bank with { Scopes = [] }, Noon))
            .Array[1, 12].Always(events =>
            {
                var catalogue = events.Aggregate((Catalogue?)null, (state, e) => Catalogue.Evolve(state, Catalogue.StreamId, e))!;
                Assert.Equal(catalogue.Scopes.DistinctBy(scope => scope.Name), catalogue.Scopes);
                Assert.Equal(catalogue.Resources.DistinctBy(resource => resource.Resource), catalogue.Resources);
                if (events[^1] is CatalogueEvent.ScopeDeclared last) Assert.Equal(last.Scope, catalogue.Scope(last.Scope.Name));
            }, times: 300);
}
