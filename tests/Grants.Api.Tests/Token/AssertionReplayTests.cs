using System.Text.Json.Nodes;
using Grants.Api.Tests.Http;
using Grants.Api.Tests.Log;
using Grants.Testing;

namespace Grants.Api.Tests.Token;

/// <summary>Client assertions on two nodes.</summary>
public sealed class AssertionReplayTests(TwoNodes nodes) : IClassFixture<TwoNodes>
{
    private static readonly AssertionKey Key = new("one");

    [Fact, Trait("Rule", "CA-5"), Trait("Attack", "T19")]
    public async Task Of_many_that_show_one_assertion_on_two_nodes_one_is_served()
    {
        await nodes.First.DeclareClientAsync(new JsonObject { ["client_id"] = "two-nodes", ["client_name"] = "Two", ["grant_types"] = new JsonArray("client_credentials"), ["scope"] = "balances", ["token_endpoint_auth_method"] = "private_key_jwt", ["jwks"] = AssertionKey.SetOf(Key) });
        var assertion = Assertion.By(Key, Assertion.Claims("two-nodes", nodes.First.Clock.GetUtcNow()));
        var position = await nodes.First.PositionAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(async i =>
        {
            using var http = (i % 2 == 0 ? nodes.First : nodes.Second).NewClient();
            return await http.PostAsync("/token", assertion, ("grant_type", "client_credentials"));
        }));
        Assert.Single(answers, answer => answer.Ok);
        Assert.All(answers.Where(answer => !answer.Ok), answer => Assert.Equal("invalid_client", answer.Error));
        Assert.Equal(["token_family.access_token_issued"], await nodes.First.StoryAsync(position));
        using var other = nodes.Second.NewClient();
        Assert.Equal("invalid_client", (await other.PostAsync("/introspect", assertion, ("token", "any"))).Error);
    }

    [Fact, Trait("Rule", "CA-4")]
    public async Task A_secret_that_was_declared_on_one_node_counts_on_the_other()
    {
        var secret = Witness.Saw("client secret", Journey.Random());
        await nodes.First.DeclareClientAsync(new JsonObject { ["client_id"] = "two-macs", ["client_secret"] = secret, ["client_name"] = "Two", ["grant_types"] = new JsonArray("client_credentials"), ["scope"] = "balances", ["token_endpoint_auth_method"] = "client_secret_jwt" });
        foreach (var node in (GrantsApp[])[nodes.Second, nodes.First])
        {
            using var http = node.NewClient();
            Assert.True((await http.PostAsync("/token", Assertion.By(secret, Assertion.Claims("two-macs", node.Clock.GetUtcNow())), ("grant_type", "client_credentials"))).Ok);
        }
    }
}
