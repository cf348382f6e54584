using System.Collections.Concurrent;
using System.Net;
using Grants.Api.Tests.Introspection;
using Grants.Api.Tests.Log;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Grants.Domain.TokenFamilies;
using Grants.Projections;
using Grants.Testing;
using JasperFx.Events.Daemon;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Grants.Api.Tests.Revocation;

/// <summary>An end on one server is an end on the other with the very next request, while no asynchronous view moves.</summary>
public sealed class EndsOnTwoNodesTests(TwoNodes nodes) : IClassFixture<TwoNodes>
{
    [Fact, Trait("Attack", "T23"), Trait("Attack", "E14"), Trait("Rule", "AT-2")]
    public async Task An_opaque_token_of_one_node_is_read_on_the_other_and_ends_on_both()
    {
        using var first = nodes.First.NewClient();
        using var second = nodes.Second.NewClient();
        var tokens = await first.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"), ("resource", "http://localhost:5310"));
        Assert.StartsWith("gra_", tokens.AccessToken, StringComparison.Ordinal);
        Assert.Equal("statements", (string?)(await second.IntrospectAsync(TestClient.Bank, tokens.AccessToken)).Json["scope"]);
        Assert.Equal(HttpStatusCode.OK, (await second.RevokeAsync(TestClient.Report, tokens.AccessToken)).Response.StatusCode);
        foreach (var http in (HttpClient[])[first, second]) await http.AssertInactiveAsync(TestClient.Bank, tokens.AccessToken);
    }

    [Theory, Trait("Attack", "T23"), Trait("Attack", "E14"), Trait("Law", "L3"), Trait("Rule", "IN-2"), Trait("Rule", "RV-2")]
    [InlineData("the grant by its person")]
    [InlineData("the family by its client")]
    [InlineData("an access token by its client")]
    [InlineData("the client suspended")]
    [InlineData("the person suspended")]
    public async Task What_ends_on_one_node_is_inactive_on_the_other_at_once(string what)
    {
        await nodes.First.Services.GetRequiredService<IProjectionCoordinator>().PauseAsync(); // the second keeps none anyway
        var (tokens, visitor, _, _) = await nodes.First.ConnectAsync(TestClient.Tally, TestConfiguration.Maya);
        var (family, grant, client) = (tokens.Streams().Family, tokens.Streams().Grant!.Value, await nodes.First.StreamOfAsync(TestClient.Tally));
        Assert.True(SubjectId.TryParse((string?)TokenAnswer.Claims(tokens.IdToken)["sub"], out var person));
        using var first = nodes.First.NewClient();
        using var second = nodes.Second.NewClient();

        // The second node has seen it all live, and remembers what it may.
        Assert.True((bool)(await second.IntrospectAsync(TestClient.Bank, tokens.AccessToken)).Json["active"]!);
        Assert.True((bool)(await second.IntrospectAsync(TestClient.Tally, tokens.RefreshToken)).Json["active"]!);
        var (now, before) = (nodes.First.Clock.GetUtcNow(), await nodes.First.PositionAsync());
        switch (what)
        {
            case "the grant by its person":
                await visitor.SubmitAsync(await visitor.GetAsync($"/account/apps/{grant:N}/remove"));
                break;
            case "the family by its client":
                Assert.Equal(HttpStatusCode.OK, (await first.RevokeAsync(TestClient.Tally, tokens.RefreshToken)).Response.StatusCode);
                break;
            case "an access token by its client":
                Assert.Equal(HttpStatusCode.OK, (await first.RevokeAsync(TestClient.Tally, tokens.AccessToken)).Response.StatusCode);
                break;
            case "the client suspended":
                await nodes.First.AppendAsync(new StreamEvent(client, new ClientEvent.Suspended("a test", now)));
                break;
            default:
                await nodes.First.AppendAsync(new StreamEvent(person.Value, new SubjectEvent.Suspended("a test", now)));
                break;
        }

        try
        {
            await second.AssertInactiveAsync(TestClient.Bank, tokens.AccessToken);
            var own = await second.IntrospectAsync(TestClient.Tally, tokens.AccessToken);
            Assert.NotEqual(true, (bool?)own.Json["active"]); // a suspended client isn't even let in
            var refresh = await second.IntrospectAsync(TestClient.Tally, tokens.RefreshToken);
            Assert.Equal(what == "an access token by its client", (bool?)refresh.Json["active"] ?? false);
            Assert.Equal(HttpStatusCode.Unauthorized, (await second.UserInfoAsync(tokens.AccessToken)).StatusCode);

            // All that without the views: none has seen the end.
            Assert.True(await nodes.First.PositionAsync() > before);
            Assert.True(await FurthestViewAsync() < await nodes.First.PositionAsync());
        }
        finally
        {
            if (what == "the client suspended") await nodes.First.AppendAsync(new StreamEvent(client, new ClientEvent.Resumed(now)));
            if (what == "the person suspended") await nodes.First.AppendAsync(new StreamEvent(person.Value, new SubjectEvent.Resumed(now)));
        }
    }

    [Fact, Trait("Attack", "T23"), Trait("Law", "L8"), Trait("Rule", "RV-2")]
    public async Task An_access_token_that_was_ended_long_ago_stays_inactive_on_a_node_that_reads_only_the_newest_events()
    {
        using var first = nodes.First.NewClient();
        using var second = nodes.Second.NewClient();
        var (tokens, _, _, _) = await nodes.First.ConnectAsync(TestClient.Tally);
        await first.RevokeAsync(TestClient.Tally, tokens.AccessToken);
        var renewed = tokens;
        for (var i = 0; i < 4; i++) renewed = await first.RefreshAsync(TestClient.Tally, renewed.RefreshToken);
        await second.AssertInactiveAsync(TestClient.Bank, tokens.AccessToken);
        Assert.True((bool)(await second.IntrospectAsync(TestClient.Bank, renewed.AccessToken)).Json["active"]!);
        await second.AssertInactiveAsync(TestClient.Bank, tokens.AccessToken); // and from memory

        var position = await nodes.First.PositionAsync();
        Assert.Equal(HttpStatusCode.OK, (await second.RevokeAsync(TestClient.Tally, tokens.AccessToken)).Response.StatusCode);
        Assert.Equal(position, await nodes.First.PositionAsync());
    }

    [Fact, Trait("Law", "L3"), Trait("Attack", "T3")]
    public async Task After_a_client_has_revoked_on_one_node_no_renewal_on_any_gives_a_token_that_works()
    {
        var (tokens, _, _, _) = await nodes.First.ConnectAsync(TestClient.Tally);
        var revoked = new TaskCompletionSource();
        var enough = new TaskCompletionSource();
        var successes = new ConcurrentBag<(TokenAnswer Answer, bool StartedAfter)>();
        var looping = Enumerable.Range(0, 4).Select(worker => Task.Run(async () =>
        {
            using var http = (worker % 2 == 0 ? nodes.Second : nodes.First).NewClient();
            for (var after = 0; after < 3;)
            {
                var startedAfter = revoked.Task.IsCompleted;
                var answer = await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken); // within the retry window
                if (answer.Ok) successes.Add((answer, startedAfter));
                if (successes.Count >= 8) enough.TrySetResult();
                if (startedAfter) after++;
            }
        })).ToList();

        await enough.Task.WaitAsync(TimeSpan.FromSeconds(30));
        using var first = nodes.First.NewClient();
        Assert.Equal(HttpStatusCode.OK, (await first.RevokeAsync(TestClient.Tally, tokens.RefreshToken)).Response.StatusCode);
        revoked.SetResult();
        await Task.WhenAll(looping);

        Assert.DoesNotContain(successes, success => success.StartedAfter);
        using var second = nodes.Second.NewClient();
        foreach (var (answer, _) in successes) await second.AssertInactiveAsync(TestClient.Bank, answer.AccessToken);
        Assert.IsType<TokenFamilyEvent.Revoked>((await nodes.First.EventsAsync(tokens.Streams().Family))[^1].Data);
    }

    private async Task<long> FurthestViewAsync()
    {
        await using var command = nodes.First.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand(
            $"select coalesce(max(last_seq_id), 0) from {GrantsStore.Schema}.mt_event_progression where name = any($1)");
        command.Parameters.Add(new NpgsqlParameter { Value = GrantsStore.AsyncViews.Select(view => $"{view}:All").ToArray() });
        return (long)(await command.ExecuteScalarAsync())!;
    }
}
