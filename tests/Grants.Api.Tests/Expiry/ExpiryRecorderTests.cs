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
    public async Task A_deadline_that_is_wrong_writes_nothing()
    {
        // The view is a hint only: a stream that it names too early, or that doesn't exist, is looked at and left.
        var (tokens, _, _, _) = await App.ConnectAsync(TestClient.Poster, TestConfiguration.Lin);
        await App.RecordExpiriesAsync();
        var position = await App.PositionAsync();
        await using (var plant = App.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand(
            "insert into grants.deadlines_v1 (stream, item, due) values ($1, 99, 'epoch'), ($2, 99, 'epoch'), ($3, 99, 'epoch')"))
        {
            foreach (var id in (Guid[])[tokens.Streams().Family, tokens.Streams().Grant!.Value, Guid.CreateVersion7(App.Clock.GetUtcNow())]) plant.Parameters.Add(new NpgsqlParameter { Value = id });
            await plant.ExecuteNonQueryAsync();
        }

        Assert.Equal(0, await Recorder(App).RecordAsync(default));
        Assert.Equal(position, await App.PositionAsync());
        await using var clean = App.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand("delete from grants.deadlines_v1 where item = 99");
        await clean.ExecuteNonQueryAsync();
    }

    /// <summary>The tests of this class share a database: nothing of the others may run out in between.</summary>
    private async Task EndWhatOthersLeftAsync()
    {
        App.Clock.Advance(TimeSpan.FromDays(200));
        await App.RecordExpiriesAsync();
    }

    private static ExpiryRecorder Recorder(GrantsApp app) => app.Services.GetRequiredService<ExpiryRecorder>();
}
