using Grants.Api.Dpop;
using Grants.Api.Tests.Log;
using Grants.Testing;

namespace Grants.Api.Tests.Dpop;

/// <summary>Proofs and nonces count alike on all servers of one database.</summary>
public sealed class DpopOnTwoNodesTests(TwoNodes nodes) : IClassFixture<TwoNodes>
{
    [Fact, Trait("Rule", "DP-2"), Trait("Rule", "DP-5"), Trait("Attack", "T10")]
    public async Task A_nonce_of_one_server_counts_on_the_other_and_a_proof_used_on_one_is_used_on_both()
    {
        using var key = new DpopKey();
        var refused = await SendAsync(nodes.First, Prove(null));
        Assert.Equal("use_dpop_nonce", refused.Error);
        var nonce = Assert.Single(refused.Response.Headers.GetValues(DpopProofs.NonceHeader));

        var proof = Prove(nonce);
        var used = await SendAsync(nodes.Second, proof);
        Assert.True(used.Ok, used.Json.ToJsonString());
        foreach (var node in (GrantsApp[])[nodes.First, nodes.Second]) Assert.Equal("invalid_dpop_proof", (await SendAsync(node, proof)).Error);

        // Of many at once on both, one.
        proof = Prove(nonce);
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => SendAsync(i % 2 == 0 ? nodes.First : nodes.Second, proof)));
        Assert.Single(answers, answer => answer.Ok);

        string Prove(string? nonce) => key.Prove(HttpMethod.Post, "/token", nodes.First.Clock.GetUtcNow(), nonce);
    }

    [Fact, Trait("Rule", "DP-4"), Trait("Attack", "T4"), Trait("Attack", "T23")]
    public async Task What_one_server_bound_to_a_key_needs_it_on_the_other()
    {
        using var key = new DpopKey();
        using var bound = nodes.First.NewClient(key);
        using var elsewhere = nodes.Second.NewClient(key);
        using var plain = nodes.Second.NewClient();
        var asked = Journey.Ask(TestClient.BrowserApp);
        var tokens = await bound.RedeemAsync(asked, (await nodes.First.NewVisitor().AllowAsync(asked)).Answer["code"]);
        Assert.Equal("invalid_grant", (await plain.RefreshAsync(TestClient.BrowserApp, tokens.RefreshToken)).Error);
        Assert.True((await elsewhere.RefreshAsync(TestClient.BrowserApp, tokens.RefreshToken)).Ok);
    }

    private static async Task<TokenAnswer> SendAsync(GrantsApp node, string proof)
    {
        using var http = node.NewClient();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/token")
        {
            Content = new FormUrlEncodedContent([KeyValuePair.Create("grant_type", "client_credentials")]),
            Headers = { Authorization = Journey.Basic(TestClient.Report.Id, TestClient.Report.Secret!) },
        };
        request.Headers.Add(DpopProofs.Header, proof);
        return await TokenAnswer.ReadAsync(await http.SendAsync(request));
    }
}
