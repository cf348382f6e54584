using System.Diagnostics.Metrics;
using System.Net;
using Grants.Api.Expiry;
using Grants.Api.Log;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.TokenFamilies;
using Grants.Testing;
using JasperFx.Events;
using JasperFx.Events.Daemon;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Grants.Api.Tests.Expiry;

/// <summary>What runs out is written down once, soon, in batches, by whatever number of nodes; and nothing depends on it.</summary>
public sealed class ExpiryRecorderTests(Log.TwoNodes nodes) : IClassFixture<Log.TwoNodes>
{
    private GrantsApp App => nodes.First;

    [Fact, Trait("Law", "L11"), Trait("Attack", "E15")]
    public async Task Each_kind_of_end_is_recorded_exactly_once_on_two_nodes_that_look_at_once()
    {
        await EndWhatOthersLeftAsync();
        using var http = App.NewClient();
        var (tokens, visitor, _, _) = await App.ConnectAsync(TestClient.Tally, TestConfiguration.Maya);
        var unused = Journey.Ask(TestClient.Tally);
        Assert.NotNull((await visitor.AllowAsync(unused)).Answer["code"]); // never redeemed
        await App.NewVisitor().GetAsync(Journey.Ask(TestClient.Tally).Address); // never answered
        var (family, grant) = (tokens.Streams().Family, tokens.Streams().Grant!.Value);
        var position = await App.PositionAsync();

        // A minute: the code. A quarter of an hour: the access token and the question. Half a day: the session. A month, three months.
        var expected = new (TimeSpan After, Type[] Types)[]
        {
            (TimeSpan.FromSeconds(61), [typeof(AuthorizationEvent.CodeExpired)]),
            (TimeSpan.FromMinutes(15), [typeof(TokenFamilyEvent.AccessTokenExpired), typeof(AuthorizationEvent.Abandoned)]),
            (TimeSpan.FromHours(12), [typeof(SessionEvent.Expired)]),
            (TimeSpan.FromDays(30), [typeof(TokenFamilyEvent.Expired)]),
            (TimeSpan.FromDays(61), [typeof(GrantEvent.Expired)]),
        };
        foreach (var (after, types) in expected)
        {
            App.Clock.Advance(after);
            // Decisions compare clocks: the end is an end before it is recorded.
            if (types.Contains(typeof(TokenFamilyEvent.AccessTokenExpired))) Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
            if (types.Contains(typeof(TokenFamilyEvent.Expired))) Assert.Equal("invalid_grant", (await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken)).Error);

            await App.CatchUpAsync();
            var written = await Task.WhenAll(Recorder(nodes.First).RecordAsync(default), Recorder(nodes.Second).RecordAsync(default), Recorder(nodes.Second).RecordAsync(default));
            var fresh = await App.EventsAfterAsync(position);
            Assert.Equal(types.Select(type => type.Name).Order(), fresh.Select(e => e.Data.GetType().Name).Order());
            Assert.Equal(types.Length, written.Sum());
            Assert.All(fresh, e => Assert.Equal(("system:expiry", "expiry"), (e.UserName, e.CorrelationId)));
            Assert.All(fresh, e => Assert.True(Guid.TryParse(e.CausationId, out _), "The cause of an end is the event before it."));
            Assert.All(fresh.Where(e => e.Data is not SessionEvent), e => Assert.Equal("tally", Grants.Projections.EventMetadata.Text(e, "client")));
            position = await App.PositionAsync();

            Assert.Equal(0, await App.RecordExpiriesAsync()); // the view has caught up: nothing left
            Assert.Equal(position, await App.PositionAsync());
        }

        Assert.Single(await App.EventsAsync(family), e => e.Data is TokenFamilyEvent.Expired);
        Assert.Single(await App.EventsAsync(grant), e => e.Data is GrantEvent.Expired);

        // The pair's one place is free again.
        var (again, _, _, _) = await App.ConnectAsync(TestClient.Tally, TestConfiguration.Maya);
        Assert.True(again.Ok);
        Assert.NotEqual(grant, again.Streams().Grant);
    }

    [Fact]
    public async Task Twelve_hundred_ends_at_once_are_recorded_in_batches()
    {
        await EndWhatOthersLeftAsync();
        var now = App.Clock.GetUtcNow();
        var subject = new SubjectId(Guid.CreateVersion7(now));
        var log = App.Services.GetRequiredService<EventLog>();
        var streams = Enumerable.Range(0, 1200).Select(i => Guid.CreateVersion7(now.AddMilliseconds(i))).ToList();
        foreach (var chunk in streams.Chunk(400))
        {
            await log.Commit(new Cause(Cause.System("test"), "test", "test"), chunk,
                (_, _) => Decide.Accept(true, chunk.Select(id => new StreamEvent(id, new SessionEvent.Started(subject, Authentication.ByPassword(now), now.AddMinutes(1))))), default);
        }

        App.Clock.Advance(TimeSpan.FromMinutes(2));
        var position = await App.PositionAsync();
        Assert.Equal(1200, await App.RecordExpiriesAsync());
        var recorded = await App.EventsAfterAsync(position);
        Assert.Equal(streams.Order(), recorded.Where(e => e.Data is SessionEvent.Expired).Select(e => e.StreamId).Order());
        Assert.Equal(1200, recorded.Count);
        Assert.Equal(0, await App.RecordExpiriesAsync());
    }

    [Fact]
    public async Task A_hint_that_is_wrong_writes_nothing()
    {
        // A stream that a view names too early, a token that was never issued, a stream that doesn't exist: looked at and left.
        var (tokens, _, _, _) = await App.ConnectAsync(TestClient.Poster, TestConfiguration.Lin);
        await App.RecordExpiriesAsync();
        var position = await App.PositionAsync();
        var (family, grant, nowhere) = (tokens.Streams().Family, tokens.Streams().Grant!.Value, Guid.CreateVersion7(App.Clock.GetUtcNow()));
        await ExecuteAsync("update grants.deadlines_v2 set due = 'epoch' where stream = $1", grant);
        await ExecuteAsync("insert into grants.deadlines_v2 (stream, due) values ($1, 'epoch'), ($2, 'epoch')", family, nowhere);
        foreach (var stream in (Guid[])[family, grant, nowhere])
        {
            await ExecuteAsync("""
                insert into grants.current_tokens_v3 (family, number, kind, client, scopes, audience, issued_at, expires_at, generation, state, position, version)
                values ($1, 99, 'access_token', 'poster', '', '', 'epoch', 'epoch', 0, 'live', 0, 1)
                """, stream);
        }

        Assert.Equal(0, await Recorder(App).RecordAsync(default));
        Assert.Equal(position, await App.PositionAsync());
        await ExecuteAsync("delete from grants.deadlines_v2 where due = 'epoch'");
        await ExecuteAsync("delete from grants.current_tokens_v3 where number = 99");
    }

    [Fact, Trait("Law", "L8")]
    public async Task Several_tokens_of_one_family_end_in_one_event()
    {
        await EndWhatOthersLeftAsync();
        using var http = App.NewClient();
        var (tokens, _, _, _) = await App.ConnectAsync(TestClient.Tally, TestConfiguration.Maya);
        var last = tokens;
        for (var i = 0; i < 3; i++) last = await http.RefreshAsync(TestClient.Tally, last.RefreshToken);
        App.Clock.Advance(TimeSpan.FromMinutes(16));
        await App.RecordExpiriesAsync();
        var events = await App.EventsAsync(tokens.Streams().Family);
        Assert.Equal([1, 2, 3, 4], Assert.Single(events.Select(e => e.Data).OfType<TokenFamilyEvent.AccessTokensExpired>()).Numbers);
        Assert.DoesNotContain(events, e => e.Data is TokenFamilyEvent.AccessTokenExpired);
    }

    [Fact, Trait("Law", "L3")]
    public async Task A_token_that_was_revoked_before_the_newest_renewal_is_not_recorded_as_run_out_though_the_view_says_so()
    {
        await EndWhatOthersLeftAsync();
        using var http = App.NewClient();
        var (tokens, _, _, _) = await App.ConnectAsync(TestClient.Tally, TestConfiguration.Maya);
        var family = tokens.Streams().Family;
        await App.AppendAsync(new StreamEvent(family, new TokenFamilyEvent.AccessTokenRevoked(1, EndedBy.Operator, "a test", App.Clock.GetUtcNow())));
        Assert.True((await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken)).Ok);
        await App.CatchUpAsync();
        await ExecuteAsync("update grants.current_tokens_v3 set state = 'live' where family = $1 and number = 1", family);
        App.Clock.Advance(TimeSpan.FromMinutes(16));
        Assert.Equal(1, await App.RecordExpiriesAsync());
        Assert.Equal([2], (await App.EventsAsync(family)).Select(e => e.Data).OfType<TokenFamilyEvent.AccessTokenExpired>().Select(ended => ended.Number));
        await ExecuteAsync("update grants.current_tokens_v3 set state = 'revoked' where family = $1 and number = 1", family);
    }

    [Fact, Trait("Law", "L8"), Trait("Attack", "E15")]
    public async Task Of_a_family_renewed_fifty_times_each_token_gets_one_end_whoever_records_it()
    {
        await EndWhatOthersLeftAsync();
        using var http = App.NewClient();
        var (tokens, _, _, _) = await App.ConnectAsync(TestClient.Tally, TestConfiguration.Maya);
        var family = tokens.Streams().Family;
        var last = tokens;
        for (var i = 1; i <= 50; i++)
        {
            App.Clock.Advance(TimeSpan.FromMinutes(1));
            last = await http.RefreshAsync(TestClient.Tally, last.RefreshToken);
            Assert.True(last.Ok);
            // Now and then, on both nodes at once, and without waiting for the view: it may be behind.
            if (i % 7 == 0) await Task.WhenAll(Recorder(nodes.First).RecordAsync(default), Recorder(nodes.Second).RecordAsync(default));
        }

        App.Clock.Advance(TimeSpan.FromMinutes(16));
        await App.RecordExpiriesAsync();
        await App.CatchUpAsync();
        var ends = (await App.EventsAsync(family)).SelectMany(e => e.Data switch
        {
            TokenFamilyEvent.AccessTokenExpired one => [one.Number],
            TokenFamilyEvent.AccessTokensExpired several => several.Numbers,
            _ => (IEnumerable<int>)[],
        });
        Assert.Equal(Enumerable.Range(1, 51), ends.Order());
    }

    [Fact, Trait("Attack", "E15")]
    public async Task While_one_node_records_the_others_leave_it_alone_and_nobody_reads_again_what_the_views_have_not_seen()
    {
        await EndWhatOthersLeftAsync();
        using var http = App.NewClient();
        Assert.True((await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"))).Ok);
        App.Clock.Advance(TimeSpan.FromHours(2));
        await App.CatchUpAsync();

        await using (var other = await App.Services.GetRequiredService<NpgsqlDataSource>().OpenConnectionAsync())
        {
            await using (var take = new NpgsqlCommand($"select pg_advisory_lock({ExpiryRecorder.RoundLock})", other)) await take.ExecuteNonQueryAsync();
            Assert.Null(await Recorder(nodes.First).RoundAsync(default));
            Assert.Null(await Recorder(nodes.Second).RoundAsync(default));
            await using (var leave = new NpgsqlCommand($"select pg_advisory_unlock({ExpiryRecorder.RoundLock})", other)) await leave.ExecuteNonQueryAsync();
        }

        var coordinator = App.Services.GetRequiredService<IProjectionCoordinator>();
        await coordinator.PauseAsync();
        try
        {
            Assert.Equal(1, await Recorder(nodes.Second).RoundAsync(default));
            Assert.Null(await Recorder(nodes.Second).RoundAsync(default)); // the view still names the token
            Assert.Equal(0, await Recorder(nodes.First).RoundAsync(default)); // and whoever looks sees in the stream that it has ended
        }
        finally
        {
            await coordinator.ResumeAsync();
        }

        await App.CatchUpAsync();
        Assert.Equal(0, await Recorder(nodes.Second).RoundAsync(default));
    }

    [Fact]
    public async Task What_is_recorded_is_counted_and_with_it_how_late()
    {
        await EndWhatOthersLeftAsync();
        var mine = new AsyncLocal<bool> { Value = true }; // other tests record at the same time
        var (count, lags) = (0L, new List<double>());
        using var listener = new MeterListener { InstrumentPublished = (instrument, it) => { if (instrument.Meter.Name == ExpiryRecorder.MeterName) it.EnableMeasurementEvents(instrument); } };
        listener.SetMeasurementEventCallback<long>((_, value, _, _) => count += mine.Value ? value : 0);
        listener.SetMeasurementEventCallback<double>((_, value, _, _) => { if (mine.Value) lags.Add(value); });
        listener.Start();

        using var http = App.NewClient();
        var token = await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"));
        App.Clock.Advance(TimeSpan.FromSeconds((int)token.Json["expires_in"]! + 77));
        Assert.Equal(1, await App.RecordExpiriesAsync());
        Assert.Equal(1, count);
        Assert.InRange(Assert.Single(lags), 76, 77 + 30);
    }

    /// <summary>The tests of this class share a database: nothing of the others may run out in between.</summary>
    private async Task EndWhatOthersLeftAsync()
    {
        App.Clock.Advance(TimeSpan.FromDays(200));
        await App.RecordExpiriesAsync();
    }

    private async Task ExecuteAsync(string sql, params Guid[] parameters)
    {
        await using var command = App.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand(sql);
        foreach (var id in parameters) command.Parameters.Add(new NpgsqlParameter { Value = id });
        await command.ExecuteNonQueryAsync();
    }

    private static ExpiryRecorder Recorder(GrantsApp app) => app.Services.GetRequiredService<ExpiryRecorder>();
}
