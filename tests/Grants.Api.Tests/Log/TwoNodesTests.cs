using System.Collections.Concurrent;
using System.Net;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;
using Grants.Testing;
using Marten.Services;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Grants.Api.Tests.Log;

/// <summary>Two servers on one database: races between them have one winner, and an end on one is an end on both.</summary>
public sealed class TwoNodesTests(TwoNodes nodes) : IClassFixture<TwoNodes>
{
    [Fact, Trait("Law", "L2"), Trait("Attack", "C2"), Trait("Attack", "C1")]
    public async Task Fifty_redemptions_of_one_code_on_two_nodes_give_tokens_once()
    {
        var asked = Journey.Ask(TestClient.Tally);
        var code = (await nodes.First.NewVisitor().AllowAsync(asked)).Answer["code"];
        var answers = await AtOnceAsync(50, http => http.RedeemAsync(asked, code));

        var winner = Assert.Single(answers, answer => answer.Ok);
        Assert.All(answers.Where(answer => !answer.Ok), answer => Assert.Equal((HttpStatusCode.BadRequest, "invalid_grant"), (answer.Response.StatusCode, answer.Error)));
        var family = (await nodes.First.EventsAsync(winner.Streams().Family)).Select(e => e.Data).ToList();
        Assert.Single(family.OfType<TokenFamilyEvent.AccessTokenIssued>());
        Assert.Single(family.OfType<TokenFamilyEvent.RefreshTokenIssued>());
        Assert.Single(family.OfType<TokenFamilyEvent.Revoked>()); // the others were replays, and a replay ends the family
        var authorization = (await nodes.First.EventsAfterAsync(0)).Where(e => e.Data is AuthorizationEvent.CodeRedeemed redeemed && redeemed.Family == winner.Streams().Family).ToList();
        var events = (await nodes.First.EventsAsync(Assert.Single(authorization).StreamId)).Select(e => e.Data).ToList();
        Assert.Single(events.OfType<AuthorizationEvent.CodeReplayed>());
    }

    [Fact, Trait("Law", "L2"), Trait("Attack", "T2")]
    public async Task Fifty_refreshes_of_a_confidential_client_on_two_nodes_have_one_successor()
    {
        var (tokens, _, _, _) = await nodes.First.ConnectAsync(TestClient.Tally);
        var answers = await AtOnceAsync(50, http => http.RefreshAsync(TestClient.Tally, tokens.RefreshToken));

        Assert.All(answers, answer => Assert.True(answer.Ok, answer.Json.ToJsonString()));
        var successor = Assert.Single(answers.Select(answer => answer.RefreshToken).Distinct());
        Assert.NotEqual(tokens.RefreshToken, successor);
        Assert.Equal(50, answers.Select(answer => answer.AccessToken).Distinct().Count());
        var family = (await nodes.First.EventsAsync(tokens.Streams().Family)).Select(e => e.Data).ToList();
        Assert.Single(family.OfType<TokenFamilyEvent.RefreshTokenRotated>());
        Assert.Equal(Enumerable.Range(1, 51), family.OfType<TokenFamilyEvent.AccessTokenIssued>().Select(e => e.Number).Order());

        using var http = nodes.Second.NewClient();
        Assert.True((await http.RefreshAsync(TestClient.Tally, successor)).Ok);
    }

    [Fact, Trait("Law", "L2"), Trait("Attack", "T2"), Trait("Attack", "T1")]
    public async Task Of_fifty_refreshes_of_a_public_client_one_succeeds_and_the_family_ends()
    {
        var (tokens, _, _, _) = await nodes.First.ConnectAsync(TestClient.BrowserApp);
        var answers = await AtOnceAsync(50, http => http.RefreshAsync(TestClient.BrowserApp, tokens.RefreshToken));

        var winner = Assert.Single(answers, answer => answer.Ok);
        Assert.All(answers.Where(answer => !answer.Ok), answer => Assert.Equal("invalid_grant", answer.Error));
        var family = (await nodes.First.EventsAsync(tokens.Streams().Family)).Select(e => e.Data).ToList();
        Assert.Single(family.OfType<TokenFamilyEvent.RefreshTokenRotated>());
        Assert.Single(family.OfType<TokenFamilyEvent.RefreshTokenReplayed>());
        Assert.Single(family.OfType<TokenFamilyEvent.Revoked>());
        using var http = nodes.Second.NewClient();
        Assert.Equal("invalid_grant", (await http.RefreshAsync(TestClient.BrowserApp, winner.RefreshToken)).Error);
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(winner.AccessToken)).StatusCode);
    }

    [Fact, Trait("Law", "L3"), Trait("Attack", "T3"), Trait("Attack", "T23")]
    public async Task After_a_removal_on_one_node_nothing_succeeds_on_the_other()
    {
        var (tokens, _, _, _) = await nodes.First.ConnectAsync(TestClient.Tally);
        var removed = new TaskCompletionSource();
        var enough = new TaskCompletionSource();
        var successes = new ConcurrentBag<(TokenAnswer Answer, bool StartedAfter)>();
        var failedAfter = 0;
        var looping = Enumerable.Range(0, 4).Select(worker => Task.Run(async () =>
        {
            using var http = (worker % 2 == 0 ? nodes.Second : nodes.First).NewClient();
            for (var after = 0; after < 5;)
            {
                var startedAfter = removed.Task.IsCompleted;
                // Within the retry window the first token keeps giving the same successor, so that every turn of the loop mints.
                var answer = await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken);
                if (answer.Ok) successes.Add((answer, startedAfter));
                else if (startedAfter) Interlocked.Increment(ref failedAfter);
                if (successes.Count >= 12) enough.TrySetResult();
                if (startedAfter) after++;
            }
        })).ToList();

        await enough.Task.WaitAsync(TimeSpan.FromSeconds(30));
        await nodes.First.AppendAsync(new StreamEvent(tokens.Streams().Grant!.Value, new GrantEvent.Revoked(EndedBy.Person, "removed", nodes.First.Clock.GetUtcNow())));
        removed.SetResult();
        await Task.WhenAll(looping);

        Assert.DoesNotContain(successes, success => success.StartedAfter);
        Assert.Equal(20, failedAfter);
        foreach (var node in (GrantsApp[])[nodes.First, nodes.Second])
        {
            using var http = node.NewClient();
            foreach (var (answer, _) in successes) Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(answer.AccessToken)).StatusCode);
        }

        // In the log, too, nothing was minted after the end.
        var end = (await nodes.First.EventsAsync(tokens.Streams().Grant!.Value))[^1].Sequence;
        Assert.All(await nodes.First.EventsAsync(tokens.Streams().Family), e => Assert.True(e.Sequence < end));
    }

    [Fact, Trait("Law", "L3"), Trait("Attack", "T3")]
    public async Task A_renewal_that_was_decided_before_a_removal_and_would_commit_after_it_is_decided_again()
    {
        var (tokens, _, _, _) = await nodes.First.ConnectAsync(TestClient.Tally);
        var grant = tokens.Streams().Grant!.Value;
        await using var connection = new NpgsqlConnection(nodes.First.ConnectionString);
        await connection.OpenAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await using (var hold = new NpgsqlCommand("select 1 from grants.mt_streams where id = $1 for update", connection) { Parameters = { new NpgsqlParameter { Value = grant } } }) await hold.ExecuteNonQueryAsync();

        // On the second node: read, decided, and now waiting at the grant, which it names as a guard.
        using var http = nodes.Second.NewClient();
        var refreshing = http.RefreshAsync(TestClient.Tally, tokens.RefreshToken);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        using var pause = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        await using (var waiting = nodes.First.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand(
            "select count(*) from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.datname = current_database()"))
        {
            while ((long)(await waiting.ExecuteScalarAsync(limit.Token))! == 0) await pause.WaitForNextTickAsync(limit.Token);
        }

        Assert.False(refreshing.IsCompleted);
        await using (var session = nodes.First.Store.LightweightSession(SessionOptions.ForTransaction(transaction)))
        {
            session.Events.Append(grant, new GrantEvent.Revoked(EndedBy.Person, "removed", nodes.First.Clock.GetUtcNow()));
            await session.SaveChangesAsync();
        }

        await transaction.CommitAsync();
        Assert.Equal("invalid_grant", (await refreshing).Error);
        Assert.DoesNotContain(await nodes.First.EventsAsync(tokens.Streams().Family), e => e.Data is TokenFamilyEvent.RefreshTokenRotated);
    }

    private async Task<TokenAnswer[]> AtOnceAsync(int count, Func<HttpClient, Task<TokenAnswer>> call)
    {
        var start = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var running = Enumerable.Range(0, count).Select(async i =>
        {
            using var http = (i % 2 == 0 ? nodes.First : nodes.Second).NewClient();
            await start.Task;
            return await call(http);
        }).ToList();
        start.SetResult();
        return await Task.WhenAll(running);
    }
}

/// <summary>Two nodes on one database.</summary>
public sealed class TwoNodes : IAsyncLifetime
{
    public GrantsApp First { get; } = new();

    public GrantsApp Second { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        await First.StartAsync();
        Second = await First.StartFurtherNodeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (Second is not null) await Second.DisposeAsync();
        await First.DisposeAsync();
    }
}
