using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.Authorizations;

public sealed class ConsentWordsTests
{
    private static ConsentText Words(ClientMetadata? client = null, ScopeSet? asked = null, Catalogue? catalogue = null) =>
        ConsentWords.Of(AClient(client), asked ?? Asked, catalogue ?? BankCatalogue);

    private static Catalogue With(ScopeDefinition scope) => Catalogue.Evolve(BankCatalogue, Catalogue.StreamId, new CatalogueEvent.ScopeDeclared(scope, Noon));

    [Fact]
    public void The_page_lists_permissions_in_words_but_never_openid()
    {
        var text = Words();
        Assert.Equal(
            [
                new ConsentLine("accounts", "See your accounts", "needed"),
                new ConsentLine("history", "See your past payments", "optional"),
                new ConsentLine("offline_access", "Also when you are not using it", "needed"),
            ],
            text.Lines);
        Assert.Equal(("en", "Tally"), (text.Language, text.AppName));
    }

    [Fact]
    public void A_scope_that_the_catalogue_does_not_know_is_listed_by_its_name() =>
        Assert.Equal(new ConsentLine("unknown", "unknown", "needed"), Assert.Single(Words(asked: ["unknown"]).Lines));

    [Fact]
    public void The_same_words_have_the_same_version_of_sixteen_hexadecimal_digits()
    {
        Assert.Equal(Words(), Words());
        Assert.Matches("^[0-9a-f]{16}$", Words().Version);
        // A known answer, so that a version in an old event can be compared for ever.
        Assert.Equal("98fb70aa27edb693", Words().Version);
    }

    [Fact]
    public void The_version_changes_with_each_thing_that_a_person_reads()
    {
        string[] versions =
        [
            Words().Version,
            Words(Web with { ClientName = "Tally 2" }).Version,
            Words(Web with { OptionalScopes = [] }).Version,
            Words(asked: ["openid", "accounts", "history"]).Version,
            Words(asked: ["openid", "accounts"]).Version,
            Words(asked: ["openid", "history", "accounts", "offline_access"]).Version,
            Words(catalogue: With(new ScopeDefinition("accounts", "See all your accounts", "see", null, null))).Version,
        ];
        Assert.Distinct(versions);
    }

    [Fact]
    public void The_version_stays_when_nothing_changes_that_the_lines_say()
    {
        Assert.Equal(Words().Version, Words(Web with { AccessTokenLifetime = TimeSpan.FromHours(1), Checked = true }).Version);
        Assert.Equal(Words().Version, Words(catalogue: With(new ScopeDefinition("payments", "Pay anyone", "do", "Moves money", null))).Version);
        Assert.Equal(Words(asked: ["accounts"]).Version, Words(asked: ["openid", "accounts"]).Version);
    }
}
