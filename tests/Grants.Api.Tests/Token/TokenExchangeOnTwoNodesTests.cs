using System.Net;
using Grants.Api.Tests.Introspection;
using Grants.Api.Tests.Log;
using Grants.Domain.AccessGrants;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Grants.Domain.TokenFamilies;
using Grants.Testing;
using static Grants.Api.Tests.Token.Exchanging;

namespace Grants.Api.Tests.Token;

/// <summary>What ends on one server ends all that was made of it on the other, and an assertion counts once on both.</summary>
public sealed class TokenExchangeOnTwoNodesTests(TwoNodes nodes) : IClassFixture<TwoNodes>
{
    [Theory, Trait("Rule", "TK-10"), Trait("Attack", "T18"), Trait("Attack", "T23"), Trait("Attack", "E14"), Trait("Law", "L3")]
    [InlineData("the grant")]
    [InlineData("the family by its client")]
    [InlineData("the first token by its client")]
    [InlineData("the token in between by its client")]
    [InlineData("the app suspended")]
    [InlineData("the service in between suspended")]
    [InlineData("the person suspended")]
    public async Task What_ends_on_one_node_ends_all_that_came_of_it_on_the_other_at_once(string what)
    {
        await nodes.First.DeclareExchangesAsync();
        using var first = nodes.First.NewClient();
        using var second = nodes.Second.NewClient();
        var (tokens, _, _, _) = await nodes.First.ConnectAsync(TestClient.Tally, TestConfiguration.Maya);
        var child = await first.DelegateAsync(Service, tokens.AccessToken, ("scope", "openid balances"));
        var grandchild = await second.ExchangeAsync(Proxy, child.AccessToken);
        Assert.True(grandchild.Ok, grandchild.Json.ToJsonString());
        Assert.True((bool)(await second.IntrospectAsync(TestClient.Bank, grandchild.AccessToken)).Json["active"]!);
        Assert.Equal(HttpStatusCode.OK, (await second.UserInfoAsync(grandchild.AccessToken)).StatusCode);

        var now = nodes.First.Clock.GetUtcNow();
        Assert.True(SubjectId.TryParse((string?)TokenAnswer.Claims(tokens.IdToken)["sub"], out var person));
        List<StreamEvent> repair = [];
        async Task SuspendAsync(TestClient client)
        {
            var stream = await nodes.First.StreamOfAsync(client);
            await nodes.First.AppendAsync(new StreamEvent(stream, new ClientEvent.Suspended("a test", now)));
            repair.Add(new StreamEvent(stream, new ClientEvent.Resumed(now)));
        }

        switch (what)
        {
            case "the grant":
                await nodes.First.AppendAsync(new StreamEvent(tokens.Streams().Grant!.Value, new GrantEvent.Revoked(EndedBy.Person, "removed", now)));
                break;
            case "the family by its client":
                Assert.True((await first.RevokeAsync(TestClient.Tally, tokens.RefreshToken)).Ok);
                break;
            case "the first token by its client":
                Assert.True((await first.RevokeAsync(TestClient.Tally, tokens.AccessToken)).Ok);
                break;
            case "the token in between by its client":
                Assert.True((await first.RevokeAsync(Service, child.AccessToken)).Ok);
                break;
            case "the app suspended":
                await SuspendAsync(TestClient.Tally);
                break;
            case "the service in between suspended":
                await SuspendAsync(Service);
                break;
            default:
                await nodes.First.AppendAsync(new StreamEvent(person.Value, new SubjectEvent.Suspended("a test", now)));
                repair.Add(new StreamEvent(person.Value, new SubjectEvent.Resumed(now)));
                break;
        }

        try
        {
            await second.AssertInactiveAsync(TestClient.Bank, grandchild.AccessToken);
            Assert.Equal(HttpStatusCode.Unauthorized, (await second.UserInfoAsync(grandchild.AccessToken)).StatusCode);
            var position = await nodes.First.PositionAsync();
            Assert.Equal("invalid_request", (await second.ExchangeAsync(Proxy, grandchild.AccessToken)).Error);
            Assert.Equal("invalid_request", (await second.ExchangeAsync(Proxy, child.AccessToken)).Error);
            Assert.Equal(position, await nodes.First.PositionAsync());
            // What it came of lives on, where it wasn't the one that ended.
            Assert.Equal(what is "the token in between by its client" or "the service in between suspended", (bool?)(await second.IntrospectAsync(TestClient.Bank, tokens.AccessToken)).Json["active"]);
        }
        finally
        {
            foreach (var e in repair) await nodes.First.AppendAsync(e);
        }
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T3"), Trait("Law", "L3")]
    public async Task An_exchange_that_races_with_the_end_of_its_token_leaves_nothing_alive()
    {
        await nodes.First.DeclareExchangesAsync();
        using var first = nodes.First.NewClient();
        using var second = nodes.Second.NewClient();
        for (var round = 0; round < 5; round++)
        {
            var (tokens, _, _, _) = await nodes.First.ConnectAsync(TestClient.Tally);
            var exchanging = Enumerable.Range(0, 6).Select(i => (i % 2 == 0 ? first : second).ExchangeAsync(Proxy, tokens.AccessToken)).ToList();
            Assert.True((await first.RevokeAsync(TestClient.Tally, tokens.AccessToken)).Ok);
            foreach (var answer in await Task.WhenAll(exchanging))
            {
                if (answer.Ok) await second.AssertInactiveAsync(TestClient.Bank, answer.AccessToken);
                else Assert.Equal("invalid_request", answer.Error);
            }
        }
    }

    [Fact, Trait("Rule", "TK-11"), Trait("Attack", "T19")]
    public async Task Of_many_that_show_one_assertion_on_two_nodes_one_is_served()
    {
        await nodes.First.DeclareExchangesAsync();
        await nodes.First.ConnectAsync(Partner);
        var assertion = About(nodes.First.Clock.GetUtcNow());
        var position = await nodes.First.PositionAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(async i =>
        {
            using var http = (i % 2 == 0 ? nodes.First : nodes.Second).NewClient();
            return await http.ShowAsync(Partner, assertion);
        }));
        Assert.Single(answers, answer => answer.Ok);
        Assert.All(answers.Where(answer => !answer.Ok), answer => Assert.Equal("invalid_grant", answer.Error));
        Assert.Equal([typeof(TokenFamilyEvent.AccessTokenIssued), typeof(TokenFamilyEvent.AssertionAccepted)], (await nodes.First.EventsAfterAsync(position)).Select(e => e.Data.GetType()));
        using var other = nodes.Second.NewClient();
        Assert.Equal("invalid_grant", (await other.ShowAsync(Partner, assertion)).Error);
    }
}
