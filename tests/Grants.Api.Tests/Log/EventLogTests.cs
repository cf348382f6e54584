using System.Net;
using Grants.Api.Log;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.TokenFamilies;
using Grants.Testing;
using Marten;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Grants.Api.Tests.Log;

/// <summary>The one door to the log: whoever loses a race decides again, and nothing is ever half written.</summary>
public sealed class EventLogTests(AppFixture app) : IClassFixture<AppFixture>
{
    private static readonly Cause Test = new(Cause.System("test"), "request", "command");
    private static readonly SubjectId Nobody = new(new Guid("01900000-0000-7000-8000-000000000001"));

    private EventLog Log => app.Services.GetRequiredService<EventLog>();

    [Fact, Trait("Law", "L2"), Trait("Attack", "E2")]
    public async Task A_decision_that_loses_a_race_is_decided_again_with_what_then_stands()
    {
        var stream = await StartedAsync();
        var seen = new List<Authentication>();
        var decision = await Log.Commit(Test, [stream], (streams, now) =>
        {
            seen.Add(streams.Session(stream)!.Authentication);
            if (seen.Count == 1) Meanwhile(stream, Proof(1));
            return Decide.Accept(seen.Count, new StreamEvent(stream, Proof(2)));
        }, default);

        Assert.Equal(2, ((Accepted<int>)decision).Value);
        Assert.Equal([Proof(0).Authentication, Proof(1).Authentication], seen);
        Assert.Equal([0, 1, 2], (await app.EventsAsync(stream)).Select(e => MinuteOf(e.Data)));
    }

    [Fact, Trait("Law", "L3"), Trait("Attack", "E2")]
    public async Task A_guard_that_changed_stops_a_commit_though_it_gets_no_event()
    {
        var (stream, guard) = (await StartedAsync(), await StartedAsync());
        var decided = 0;
        var decision = await Log.Commit(Test, [stream, guard], (streams, now) =>
        {
            if (++decided == 1) Meanwhile(guard, new SessionEvent.Ended(EndedBy.Operator, "a test", now));
            return streams.Session(guard)!.IsLive(now) ? Decide.Accept(true, new StreamEvent(stream, Proof(1))) : Decide.Refuse<bool>(ErrorCode.InvalidGrant, "ended");
        }, default);

        Assert.IsType<Refused<bool>>(decision);
        Assert.Equal(2, decided);
        Assert.Single(await app.EventsAsync(stream));
    }

    [Fact, Trait("Law", "L2"), Trait("Attack", "E4")]
    public async Task Of_two_that_begin_the_same_stream_at_once_one_wins()
    {
        var stream = Fresh();
        using var both = new Barrier(2);
        var outcomes = await Task.WhenAll(Enumerable.Range(1, 2).Select(number => Task.Run(async () =>
        {
            var attempts = 0;
            var decision = await Log.Commit(Test, [stream], (streams, _) =>
            {
                if (++attempts == 1) Assert.True(both.SignalAndWait(TimeSpan.FromSeconds(20)));
                return streams.Session(stream) is null ? Decide.Accept(number, new StreamEvent(stream, Started(number))) : Decide.Refuse<int>(ErrorCode.InvalidGrant, "there already");
            }, default);
            return (decision, attempts);
        })));

        var winner = Assert.Single(outcomes, outcome => outcome.decision is Accepted<int>);
        Assert.Equal(2, Assert.Single(outcomes, outcome => outcome.decision is Refused<int>).attempts);
        var begun = (SessionEvent.Started)Assert.Single(await app.EventsAsync(stream)).Data;
        Assert.Equal(((Accepted<int>)winner.decision).Value, begun.Authentication.At.Minute);
    }

    [Fact, Trait("Law", "L1"), Trait("Attack", "E2")]
    public async Task Nothing_is_half_written_and_after_so_many_lost_races_the_door_gives_up()
    {
        var (first, attempts) = (Fresh(), 0);
        var second = Guid.Empty;
        await Assert.ThrowsAsync<TooBusyException>(() => Log.Commit(Test, (_, _) => Task.FromResult<IReadOnlyList<Guid>>([first, second = Fresh()]), (_, _) =>
        {
            attempts++;
            Meanwhile(second, Started(7));
            return Decide.Accept(true, new StreamEvent(first, Started(1)), new StreamEvent(second, Started(1)));
        }, default));

        Assert.Equal(6, attempts);
        Assert.Empty(await app.EventsAsync(first));
        Assert.Equal(7, MinuteOf(Assert.Single(await app.EventsAsync(second)).Data));
    }

    [Fact, Trait("Rule", "G-10"), Trait("Law", "L1")]
    public async Task A_client_is_told_to_come_back_when_every_attempt_was_lost_and_nothing_was_issued()
    {
        using var http = app.NewClient();
        var position = await app.PositionAsync();
        await ExecuteAsync("""
            create function public.always_lost() returns trigger language plpgsql as $$ begin raise exception 'lost' using errcode = 'GR409'; end $$;
            create trigger always_lost before insert on grants.mt_events for each row execute function public.always_lost();
            """);
        try
        {
            var answer = await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"));
            Assert.Equal((HttpStatusCode.ServiceUnavailable, "temporarily_unavailable"), (answer.Response.StatusCode, answer.Error));
            Assert.True(answer.Response.Headers.RetryAfter?.Delta > TimeSpan.Zero);
            Assert.False(answer.Json.ContainsKey("access_token"));
        }
        finally
        {
            await ExecuteAsync("drop trigger always_lost on grants.mt_events; drop function public.always_lost()");
        }

        Assert.Equal(position, await app.PositionAsync());
        Assert.True((await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"))).Ok);
    }

    [Fact, Trait("Law", "L1"), Trait("Attack", "P13")]
    public async Task A_commit_that_fails_hands_out_nothing_and_says_nothing_of_the_cause()
    {
        using var http = app.NewClient();
        await ExecuteAsync("""
            create function public.broken() returns trigger language plpgsql as $$ begin raise exception 'the disk is on fire' using errcode = 'XX000'; end $$;
            create constraint trigger broken after insert on grants.mt_events deferrable initially deferred for each row execute function public.broken();
            """);
        try
        {
            var answer = await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials")); // fails at the commit itself
            Assert.Equal((HttpStatusCode.InternalServerError, "server_error"), (answer.Response.StatusCode, answer.Error));
            Assert.False(answer.Json.ContainsKey("access_token"));
            Assert.DoesNotContain("fire", answer.Json.ToJsonString(), StringComparison.Ordinal);
        }
        finally
        {
            await ExecuteAsync("drop trigger broken on grants.mt_events; drop function public.broken()");
        }
    }

    [Fact, Trait("Law", "L11")]
    public async Task An_event_is_marked_with_all_that_its_cause_says()
    {
        var (stream, session) = (Fresh(), Fresh());
        await Log.Commit(new Cause("person:x", "request-1", "POST /x", new ClientId("c"), session, new SealedText("v1.k.c"), "net"), [stream],
            (_, _) => Decide.Accept(true, new StreamEvent(stream, Started(1))), default);
        var e = Assert.Single(await app.EventsAsync(stream));
        Assert.Equal(("person:x", "request-1", "POST /x"), (e.UserName, e.CorrelationId, e.CausationId));
        Assert.Equal(("c", session.ToString("N"), "v1.k.c", "net"), (Header("client"), Header("session"), Header("origin"), Header("network")));

        // From then on the event before is the cause.
        await Log.Commit(Test, [stream], (_, _) => Decide.Accept(true, new StreamEvent(stream, Proof(2))), default);
        Assert.Equal(e.Id.ToString(), (await app.EventsAsync(stream))[1].CausationId);

        string? Header(string name) => Grants.Projections.EventMetadata.Text(e, name);
    }

    [Fact, Trait("Law", "L2")]
    public async Task Of_many_streams_committed_at_once_those_that_moved_are_left_and_the_rest_is_written()
    {
        var streams = new List<Guid>();
        for (var i = 0; i < 5; i++) streams.Add(await StartedAsync());
        var first = true;
        var written = await Log.CommitEach(streams, (read, id, now) =>
        {
            if (id == streams[4] && first)
            {
                first = false;
                Meanwhile(streams[2], new SessionEvent.Ended(EndedBy.Operator, "a test", now));
            }

            return (Test, read.Session(id)!.IsLive(now) ? [new StreamEvent(id, Proof(3))] : []);
        }, default);

        Assert.Equal(4, written);
        foreach (var stream in streams)
            Assert.Equal(stream == streams[2] ? typeof(SessionEvent.Ended) : typeof(SessionEvent.Reauthenticated), Assert.Single((await app.EventsAsync(stream)).Skip(1)).Data.GetType());
    }

    private async Task<Guid> StartedAsync()
    {
        var stream = Fresh();
        await Log.Commit(Test, [stream], (_, _) => Decide.Accept(true, new StreamEvent(stream, Started(0))), default);
        return stream;
    }

    /// <summary>What somebody else commits while a decision is being made.</summary>
    private void Meanwhile(Guid stream, IDomainEvent happened) =>
        Task.Run(() => Log.Commit(Test, [stream], (_, _) => Decide.Accept(true, new StreamEvent(stream, happened)), default)).GetAwaiter().GetResult();

    private Guid Fresh() => Guid.CreateVersion7(app.Clock.GetUtcNow());

    private static SessionEvent.Started Started(int minute) => new(Nobody, Proof(minute).Authentication, DateTimeOffset.UnixEpoch.AddYears(200));

    private static SessionEvent.Reauthenticated Proof(int minute) => new(Authentication.ByPassword(DateTimeOffset.UnixEpoch.AddMinutes(minute)));

    private static int MinuteOf(object happened) => happened switch
    {
        SessionEvent.Started e => e.Authentication.At.Minute,
        SessionEvent.Reauthenticated e => e.Authentication.At.Minute,
        _ => -1,
    };

    private async Task ExecuteAsync(string sql)
    {
        await using var connection = new NpgsqlConnection(app.ConnectionString);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }
}
