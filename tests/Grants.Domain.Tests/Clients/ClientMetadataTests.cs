using CsCheck;
using Grants.Domain.Clients;
using Grants.Domain.Tests.Protocol;

namespace Grants.Domain.Tests.Clients;

public sealed class ClientMetadataTests
{
    private static readonly ClientMetadata Web = new() { ClientName = "Tally" };

    [Theory]
    [InlineData("https://tally.example/callback", "tally.example")]
    [InlineData("https://tally.example:8443/callback", "tally.example:8443")]
    [InlineData("https://TALLY.example/callback", "tally.example")]
    [InlineData("http://localhost:5200/callback", "localhost:5200")]
    [InlineData("com.example.tally:/callback", null)]
    [InlineData("/callback", null)]
    [InlineData("", null)]
    public void A_redirect_proves_the_host_of_a_web_app(string uri, string? host) => Assert.Equal(host, Web.ProvenHost(uri));

    [Fact]
    public void A_redirect_to_the_persons_own_device_proves_no_host()
    {
        Assert.Null((Web with { ApplicationType = "native" }).ProvenHost("http://127.0.0.1:51004/callback"));
        Assert.Null((Web with { ApplicationType = "native" }).ProvenHost("https://tally.example/callback"));
    }

    [Theory, Trait("Rule", "PW-1")]
    [InlineData("tally.example", false, "https://tally.example/callback")]
    [InlineData("tally.example", false, "https://tally.example/callback", "https://TALLY.example:8443/other")]
    [InlineData("localhost", false, "http://localhost:5200/callback")]
    [InlineData("tally.example", true, "https://tally.example/claimed")]
    [InlineData(null, false, "https://tally.example/callback", "https://tally.test/callback")]
    [InlineData(null, false, "https://tally.example/callback", "https://www.tally.example/callback")]
    [InlineData(null, true, "http://127.0.0.1/callback")]
    [InlineData(null, true, "com.example.tally://callback/here")]
    [InlineData(null, true, "https://tally.example/claimed", "http://127.0.0.1/callback")]
    [InlineData(null, false)]
    public void The_sector_is_the_one_host_that_is_the_apps_own(string? sector, bool native, params string[] redirects)
    {
        var client = Web with { ApplicationType = native ? "native" : "web", RedirectUris = new(redirects) };
        Assert.Equal(sector, client.Sector);
        Assert.Null(client.PairwiseSector);
        Assert.Equal(sector, (client with { SubjectType = SubjectIdentifierType.Pairwise }).PairwiseSector);
        Assert.Equal("sector.example", (client with { SectorIdentifierUri = "https://sector.example:8443/uris.json" }).Sector);
    }

    [Fact]
    public void No_text_makes_it_throw() =>
        Texts.Any.Always(text =>
        {
            foreach (var address in (string[])[text, "https://" + text]) _ = (Web with { RedirectUris = [address] }).Sector ?? (Web with { SectorIdentifierUri = address }).Sector;
            Web.ProvenHost(text);
            Web.ProvenHost("https://" + text);
        }, times: FixedSeed.Many);

    [Theory, Trait("Rule", "TK-4")]
    [InlineData(ClientAuthMethod.Basic, false, null, 30)]
    [InlineData(ClientAuthMethod.Post, false, null, 30)]
    [InlineData(ClientAuthMethod.None, false, null, 0)]
    [InlineData(ClientAuthMethod.None, true, null, 30)]
    [InlineData(ClientAuthMethod.Basic, false, 0, 0)]
    [InlineData(ClientAuthMethod.Basic, false, 5, 5)]
    [InlineData(ClientAuthMethod.None, false, 5, 5)]
    [InlineData(ClientAuthMethod.None, true, 0, 0)]
    public void A_lost_answer_may_be_asked_for_again_within_the_window(string method, bool bound, int? set, int effective) =>
        Assert.Equal(TimeSpan.FromSeconds(effective),
            (Web with { TokenEndpointAuthMethod = method, RefreshRetryWindow = set is { } seconds ? TimeSpan.FromSeconds(seconds) : null }).RetryWindow(bound));

    [Theory, Trait("Rule", "IN-3")]
    [InlineData(null, "RS256")]
    [InlineData("ES256", "ES256")]
    public void Introspection_answers_are_signed_as_the_specification_says_unless_another_algorithm_is_registered(string? registered, string effective) =>
        Assert.Equal(effective, (Web with { IntrospectionSignedResponseAlg = registered }).EffectiveIntrospectionSignedResponseAlg);

    [Fact]
    public void What_is_not_optional_is_needed()
    {
        var client = Web with { Scope = ["a", "b", "c"], OptionalScopes = ["b"] };
        Assert.Equal(["a", "c"], client.NeededOf(["a", "b", "c"]));
        Assert.Empty(client.NeededOf(["b"]));
    }
}
