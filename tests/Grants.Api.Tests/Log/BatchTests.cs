using System.Collections.Concurrent;
using System.Net;
using Grants.Api.Log;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;
using Grants.Testing;
using Marten.Services;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using static Grants.Api.Tests.Log.Sample;

namespace Grants.Api.Tests.Log;

/// <summary>Many appends in one commit: each stands or falls for itself.</summary>
public sealed class BatchTests(AppFixture app) : IClassFixture<AppFixture>
{
    [Fact, Trait("Law", "L2"), Trait("Law", "L3"), Trait("Attack", "E2"), Trait("Attack", "E4")]
    public async Task In_one_batch_those_win_whose_streams_stand_as_they_were_seen_and_of_the_others_there_is_no_trace()
    {
        await using var door = new Door(app);
        var s = await app.StartedAsync(door.Writer, 9); // each at version 1
        var n = Enumerable.Range(0, 16).Select(_ => app.Fresh()).ToArray(); // not there yet
        var absent = app.Fresh();
        (bool Wins, Append Append)[] batch =
        [
            (true, app.Appending(Next(s[0], 1), Start(n[0]))), // two streams
            (false, app.Appending(Next(s[1], 2), Start(n[1]))), // ahead of its stream
            (true, app.Appending(Next(s[2], 1), Guard(s[3], 1))), // a guard that holds
            (false, app.Appending(Next(s[4], 1), Guard(s[5], 7))), // one that is broken
            (false, app.Appending(Next(absent, 3))), // no such stream
            (false, app.Appending(Start(n[2]), Guard(absent, 1))), // nor this
            (true, app.Appending(Start(n[3]), Guard(app.Fresh(), 0))), // relied on not being there, and it isn't
            (false, app.Appending(Start(n[4]), Guard(s[6], 0))), // but this is
            (false, app.Appending(Start(s[6]), Start(n[5]))), // began already
            (true, app.Appending(Start(n[6]))), // new
            (false, app.Appending(Start(n[6]), Start(n[7]))), // the same again
            (false, app.Appending(Next(s[0], 2), Start(n[8]))), // what the first item made, but it can't have seen that
            (false, app.Appending(Next(s[0], 1), Start(n[9]))), // a stream that the first item took
            (false, app.Appending(Start(n[10]), Guard(s[2], 1))), // a guard on what is written in this batch
            (false, app.Appending(Start(n[11]), Guard(n[0], 0))), // a guard on what begins in this batch
            (true, app.Appending(Start(n[12]), Guard(s[3], 1))), // a guard beside the same guard
            (true, app.Appending(Next(s[3], 1))), // written after it was only relied on
            (true, app.Appending(new Write(s[7], 1, [Proof(1), Proof(2), Proof(3)]), Next(s[8], 1))), // several events
        ];

        Assert.Equal(batch.Select(item => item.Wins), await door.Writer.AppendManyAsync([.. batch.Select(item => item.Append)]));
        Assert.Equal([2, 1, 2, 2, 1, 1, 1, 4, 2], await app.VersionsAsync(s));
        Assert.Equal([1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0], await app.VersionsAsync(n));
        Assert.Equal([0], await app.VersionsAsync(absent));
        foreach (var (stream, version) in ((Guid[])[.. s, .. n, absent]).Zip(await app.VersionsAsync([.. s, .. n, absent])))
            Assert.Equal(Enumerable.Range(1, (int)version).Select(v => (long)v), (await app.EventsAsync(stream)).Select(e => e.Version));
        Assert.Equal([0, 1, 2, 3], (await app.EventsAsync(s[7])).Select(e => NumberOf(e.Data)));

        // In the log, whoever relied on a stream comes before whoever changed it.
        Assert.True((await app.EventsAsync(s[2]))[1].Sequence < (await app.EventsAsync(s[3]))[1].Sequence);
        Assert.True((await app.EventsAsync(n[12]))[0].Sequence < (await app.EventsAsync(s[3]))[1].Sequence);
    }

    [Theory, Trait("Law", "L1"), Trait("Attack", "E2")]
    [InlineData("before insert on grants.mt_events for each row", "")]
    [InlineData("after insert on grants.mt_events deferrable initially deferred for each row", "constraint")]
    public async Task A_batch_that_fails_as_a_whole_is_taken_apart_so_that_only_the_guilty_fail(string when, string kind)
    {
        await using var door = new Door(app);
        await app.ExecuteAsync($"""
            create function public.poisoned() returns trigger language plpgsql as $$ begin if new.user_name = 'system:poison' then raise exception 'poison' using errcode = 'XX000'; end if; return new; end $$;
            create {kind} trigger poisoned {when} execute function public.poisoned();
            """);
        try
        {
            var streams = Enumerable.Range(0, 8).Select(_ => app.Fresh()).ToArray();
            var (listener, splits) = Counting("grants.log.batch.split");
            using var counting = listener;
            var answers = await TogetherAsync(door, [.. streams.Select((stream, i) => app.Appending(Start(stream)) with { Cause = i is 2 or 5 ? ByTest with { Actor = "system:poison" } : ByTest })]);
            for (var i = 0; i < answers.Count; i++)
            {
                if (i is 2 or 5) Assert.Equal("XX000", (await Assert.ThrowsAsync<PostgresException>(() => answers[i])).SqlState);
                else Assert.True(await answers[i]);
            }

            Assert.True(splits() > 0, "They were not in one batch.");
            Assert.Equal([1, 1, 0, 1, 1, 0, 1, 1], await app.VersionsAsync(streams));
        }
        finally
        {
            await app.ExecuteAsync("drop trigger poisoned on grants.mt_events; drop function public.poisoned()");
        }
    }

    [Fact, Trait("Law", "L2"), Trait("Attack", "E4")]
    public async Task A_stream_that_begins_elsewhere_in_the_same_moment_costs_the_others_in_the_batch_nothing()
    {
        await using var door = new Door(app);
        var (contested, innocent) = (app.Fresh(), app.Fresh());
        await using var connection = new NpgsqlConnection(app.ConnectionString);
        await connection.OpenAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await using (var session = app.Store.LightweightSession(SessionOptions.ForTransaction(transaction)))
        {
            session.Events.StartStream<Domain.Sessions.Session>(contested, Started(9));
            await session.SaveChangesAsync(); // there, but nobody else can see it yet
        }

        var both = door.Writer.AppendManyAsync([app.Appending(Start(contested)), app.Appending(Start(innocent))]);
        await BlockedByAsync(app, connection.ProcessID);
        await transaction.CommitAsync();
        Assert.Equal([false, true], await both);
        Assert.Equal([1, 1], await app.VersionsAsync(contested, innocent));
        Assert.Equal(9, NumberOf(Assert.Single(await app.EventsAsync(contested)).Data));
    }

    [Fact, Trait("Rule", "G-10"), Trait("Attack", "P13")]
    public async Task When_too_much_waits_the_next_one_is_sent_away_and_all_that_waits_is_written()
    {
        var writer = app.Services.GetRequiredService<LogWriter>();
        using var http = app.NewClient();
        var held = Assert.Single(await app.StartedAsync(writer, 1));
        var waiting = new List<Task<bool>>();
        await using (var hold = await Hold.OnAsync(app, held))
        {
            var first = writer.AppendAsync(app.Appending(Next(held, 1)));
            await hold.WaitedForAsync();
            Assert.Throws<TooBusyException>(() =>
            {
                while (waiting.Count <= LogWriter.Capacity) waiting.Add(writer.AppendAsync(app.Appending(Start(app.Fresh()))));
            });
            Assert.Equal(LogWriter.Capacity, waiting.Count);
            waiting.Add(first);

            var before = await app.PositionAsync();
            var answer = await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"));
            Assert.Equal((HttpStatusCode.ServiceUnavailable, "temporarily_unavailable"), (answer.Response.StatusCode, answer.Error));
            Assert.True(answer.Response.Headers.RetryAfter?.Delta > TimeSpan.Zero);
            Assert.False(answer.Json.ContainsKey("access_token"));
            Assert.Equal(before, await app.PositionAsync());
        }

        Assert.All(await Task.WhenAll(waiting), Assert.True);
        Assert.True((await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"))).Ok);
    }

    [Fact, Trait("Law", "L1")]
    public async Task On_its_way_out_the_writer_commits_what_was_handed_in_and_takes_nothing_more()
    {
        var door = new Door(app);
        var held = Assert.Single(await app.StartedAsync(door.Writer, 1));
        var streams = Enumerable.Range(0, 600).Select(_ => app.Fresh()).ToArray(); // several batches
        List<Task<bool>> waiting;
        Task closing;
        await using (var hold = await Hold.OnAsync(app, held))
        {
            waiting = [door.Writer.AppendAsync(app.Appending(Next(held, 1)))];
            await hold.WaitedForAsync();
            waiting.AddRange(streams.Select(stream => door.Writer.AppendAsync(app.Appending(Start(stream)))));
            closing = door.DisposeAsync().AsTask();
            await Assert.ThrowsAsync<TooBusyException>(async () => await door.Writer.AppendAsync(app.Appending(Start(app.Fresh()))));
            await Task.Delay(50);
            Assert.False(closing.IsCompleted);
        }

        await closing;
        Assert.All(waiting, answer => Assert.True(answer is { IsCompletedSuccessfully: true, Result: true }));
        Assert.All(await app.VersionsAsync(streams), version => Assert.Equal(1, version));
    }

    [Fact, Trait("Law", "L1")]
    public async Task A_request_that_was_given_up_has_written_all_or_nothing()
    {
        await using var door = new Door(app);
        var held = Assert.Single(await app.StartedAsync(door.Writer, 1));
        var pairs = Enumerable.Range(0, 60).Select(_ => (One: app.Fresh(), Other: app.Fresh())).ToArray();
        var abandoned = 0;
        await using (var hold = await Hold.OnAsync(app, held))
        {
            var first = door.Writer.AppendAsync(app.Appending(Next(held, 1)));
            await hold.WaitedForAsync();
            using var patience = new CancellationTokenSource();
            var running = pairs.Select((pair, i) => Task.Run(async () =>
            {
                try
                {
                    await door.Log.Commit(ByTest, [pair.One, pair.Other], (_, _) => Decide.Accept(true, new StreamEvent(pair.One, Started(1)), new StreamEvent(pair.Other, Started(2))), i % 2 == 0 ? patience.Token : default);
                }
                catch (OperationCanceledException)
                {
                    Interlocked.Increment(ref abandoned);
                }
            })).ToList();
            await Task.Delay(100);
            await patience.CancelAsync(); // some are still reading, the rest is in the queue
            await hold.DisposeAsync();
            await Task.WhenAll(running);
            Assert.True(await first);
        }

        Assert.Equal(30, abandoned);
        Assert.True(await door.Writer.AppendAsync(app.Appending(Next(held, 2)))); // whatever was in the queue is through
        var versions = await app.VersionsAsync([.. pairs.SelectMany(pair => (Guid[])[pair.One, pair.Other])]);
        for (var i = 0; i < pairs.Length; i++)
        {
            Assert.Equal(versions[2 * i], versions[2 * i + 1]);
            if (i % 2 == 1) Assert.Equal(1, versions[2 * i]);
        }
    }

    /// <summary>Hands in all of them while the writer waits, so that they go into one batch.</summary>
    private async Task<List<Task<bool>>> TogetherAsync(Door door, List<Append> appends)
    {
        var held = Assert.Single(await app.StartedAsync(door.Writer, 1));
        await using var hold = await Hold.OnAsync(app, held);
        var first = door.Writer.AppendAsync(app.Appending(Next(held, 1)));
        await hold.WaitedForAsync();
        var answers = appends.Select(door.Writer.AppendAsync).ToList();
        await hold.DisposeAsync();
        Assert.True(await first);
        return answers;
    }
}

/// <summary>The database throws everybody out in the middle of the work, several times.</summary>
public sealed class ThrownOutTests(AppFixture app) : IClassFixture<AppFixture>
{
    [Fact, Trait("Law", "L1"), Trait("Attack", "P13")]
    public async Task Whatever_was_answered_while_connections_died_has_its_event_and_service_resumes_by_itself()
    {
        var received = new ConcurrentBag<AccessTokenId>();
        var failures = new ConcurrentBag<(HttpStatusCode, string?)>();
        using var stop = new CancellationTokenSource();
        var asking = Enumerable.Range(0, 6).Select(_ => Task.Run(async () =>
        {
            using var http = app.NewClient();
            while (!stop.IsCancellationRequested)
            {
                var answer = await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"));
                if (answer.Ok) received.Add(answer.Streams());
                else failures.Add((answer.Response.StatusCode, answer.Error));
            }
        })).ToList();

        for (var round = 1; round <= 4; round++)
        {
            var goal = received.Count + 25;
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30)); // service resumes each time
            using var pause = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
            while (received.Count < goal) await pause.WaitForNextTickAsync(limit.Token);
            if (round < 4) await app.ExecuteAsync("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()");
        }

        await stop.CancelAsync();
        await Task.WhenAll(asking);
        Assert.NotEmpty(failures); // somebody was hit
        Assert.All(failures, failure => Assert.Equal((HttpStatusCode.ServiceUnavailable, "temporarily_unavailable"), failure));
        var written = (await app.EventsAfterAsync(0)).Where(e => e.Data is TokenFamilyEvent.AccessTokenIssued).Select(e => e.StreamId).ToHashSet();
        Assert.All(received, token => Assert.Contains(token.Family, written));
        Assert.Equal(received.Count, received.Distinct().Count());
    }
}
