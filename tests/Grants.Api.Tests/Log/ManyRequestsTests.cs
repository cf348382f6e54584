using Grants.Api.Log;
using Grants.Testing;

namespace Grants.Api.Tests.Log;

/// <summary>What a commit, a load and a cause must not do to others.</summary>
public sealed class ManyRequestsTests(AppFixture app) : IClassFixture<AppFixture>
{
    [Fact, Trait("Law", "L11")]
    public async Task What_a_decision_only_relies_on_is_not_the_cause_of_its_events()
    {
        using var http = app.NewClient();
        var answer = await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"));
        Assert.Equal("POST /token", Assert.Single(await app.EventsAsync(answer.Streams().Family)).CausationId);
    }

    [Fact, Trait("Law", "L1"), Trait("Attack", "E2")]
    public async Task An_append_that_can_not_even_be_sent_fails_alone()
    {
        await using var door = new Door(app);
        var streams = Enumerable.Range(0, 3).Select(_ => app.Fresh()).ToArray();
        // Half of a surrogate pair can't be encoded.
        await Assert.ThrowsAnyAsync<ArgumentException>(() => door.Writer.AppendManyAsync([.. streams.Select((stream, i) => app.Appending(Sample.Start(stream)) with { Cause = i == 1 ? Sample.ByTest with { Actor = "system:\ud800" } : Sample.ByTest })]));
        Assert.Equal([1, 0, 1], await app.VersionsAsync(streams));
    }

    [Fact, Trait("Attack", "P13")]
    public async Task A_loader_that_was_closed_says_so_and_keeps_nobody_waiting()
    {
        var door = new Door(app);
        await door.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => door.Log.Read([app.Fresh()], default).WaitAsync(TimeSpan.FromSeconds(5)));
    }
}
