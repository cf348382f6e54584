using System.Net;
using Grants.Api.Log;
using Grants.Api.Tests.Http;
using Grants.Domain.AccessGrants;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Testing;

namespace Grants.Api.Tests.Log;

/// <summary>What a node remembers spares it the reading, and never answers for the log.</summary>
public sealed class MemoryTests(TwoNodes nodes) : IClassFixture<TwoNodes>
{
    private static readonly Cause Test = Sample.ByTest;

    private GrantsApp App => nodes.First;

    [Fact, Trait("Law", "L2"), Trait("Law", "L3")]
    public async Task What_was_written_here_is_decided_on_without_reading_and_what_was_written_elsewhere_is_read()
    {
        await using var here = new Door(App);
        await using var there = new Door(App);
        var stream = App.Fresh();
        Assert.Equal([0], await NextAsync(here, stream, begins: true)); // taken not to exist
        Assert.Equal([1], await NextAsync(here, stream));
        Assert.Equal([2], await NextAsync(there, stream)); // known to the log alone
        Assert.Equal([2, 3], await NextAsync(here, stream)); // remembered, lost, read
        Assert.Equal([3, 4], await NextAsync(there, stream)); // here as well
        Assert.Equal([5], await NextAsync(here, stream)); // no longer trusted: asked at once
        Assert.Equal(Enumerable.Range(0, 6), (await App.EventsAsync(stream)).Select(e => Sample.NumberOf(e.Data)));
    }

    [Fact, Trait("Law", "L2"), Trait("Attack", "E2")]
    public async Task A_stream_that_was_to_begin_here_but_exists_is_read()
    {
        await using var here = new Door(App);
        var stream = App.Fresh();
        Assert.True(await here.Writer.AppendAsync(App.Appending(Sample.Start(stream))));
        Assert.Equal([0, 1], await NextAsync(here, stream, begins: true));
    }

    [Fact, Trait("Attack", "E14"), Trait("Law", "L3")]
    public async Task Nothing_is_refused_by_memory()
    {
        await using var here = new Door(App);
        await using var there = new Door(App);
        var (stream, guard) = (App.Fresh(), App.Fresh());
        foreach (var each in (Guid[])[stream, guard]) await NextAsync(here, each, begins: true);
        var seen = new List<long>();
        await NextAsync(there, guard);

        // By what is remembered this would be refused, and the refusal writes something, too.
        var decision = await here.Log.Commit(Test, [stream], (streams, _) =>
        {
            seen.Add(streams.Version(guard));
            return seen[^1] > 1 ? Decide.Accept(true, new StreamEvent(stream, Sample.Proof(1))) : Decide.Refuse<bool>(ErrorCode.InvalidGrant, "too early", new StreamEvent(stream, Sample.Proof(9)));
        }, default, reliesOn: [guard]);

        Assert.IsType<Accepted<bool>>(decision);
        Assert.Equal([1, 2], seen);
        Assert.Equal([0, 1], (await App.EventsAsync(stream)).Select(e => Sample.NumberOf(e.Data)));
    }

    [Fact, Trait("Law", "L3"), Trait("Attack", "E2")]
    public async Task A_guard_that_is_remembered_and_changed_elsewhere_stops_the_commit()
    {
        await using var here = new Door(App);
        await using var there = new Door(App);
        var (stream, guard) = (App.Fresh(), App.Fresh());
        foreach (var each in (Guid[])[stream, guard]) await NextAsync(here, each, begins: true);
        await there.Log.Commit(Test, [guard], (_, now) => Decide.Accept(true, new StreamEvent(guard, new SessionEvent.Ended(EndedBy.Operator, "a test", now))), default);

        var decision = await here.Log.Commit(Test, [stream], (streams, now) =>
            streams.Session(guard)!.IsLive(now) ? Decide.Accept(true, new StreamEvent(stream, Sample.Proof(1))) : Decide.Refuse<bool>(ErrorCode.InvalidGrant, "ended"), default, reliesOn: [guard]);
        Assert.IsType<Refused<bool>>(decision);
        Assert.Single(await App.EventsAsync(stream));
    }

    [Fact, Trait("Law", "L3"), Trait("Rule", "AZ-10")]
    public async Task A_grant_that_was_found_lately_and_was_replaced_elsewhere_is_looked_for_again()
    {
        var (tokens, visitor, _, _) = await nodes.First.ConnectAsync(TestClient.Tally, TestConfiguration.Lin);
        var silently = Journey.Ask(TestClient.Tally, ("prompt", "none"));
        Assert.True((await visitor.SendOnceAsync(new HttpRequestMessage(HttpMethod.Get, silently.Address))).Answer.ContainsKey("code"));

        // On the other node the app is removed and allowed again: another grant, of which this node knows nothing.
        await nodes.Second.AppendAsync(new StreamEvent(tokens.Streams().Grant!.Value, new GrantEvent.Revoked(EndedBy.Person, "removed", nodes.Second.Clock.GetUtcNow())));
        (await visitor.GetAsync(silently.Address)).TellsTheApp("consent_required", silently);
        using var http = nodes.First.NewClient();
        Assert.Equal("invalid_grant", (await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken)).Error); // now this node has seen the end
        await nodes.Second.ConnectAsync(TestClient.Tally, TestConfiguration.Lin);
        var answered = await visitor.SendOnceAsync(new HttpRequestMessage(HttpMethod.Get, silently.Address));
        Assert.True(answered.Answer.ContainsKey("code"), answered.Location);
        Assert.Equal(HttpStatusCode.OK, (await http.RedeemAsync(silently, answered.Answer["code"])).Response.StatusCode);
    }

    /// <summary>Appends the next event to a session; the versions that were decided on.</summary>
    private static async Task<List<int>> NextAsync(Door door, Guid stream, bool begins = false)
    {
        var seen = new List<int>();
        await door.Log.Commit(Test, [stream], (streams, _) =>
        {
            seen.Add((int)streams.Version(stream));
            return Decide.Accept(true, new StreamEvent(stream, seen[^1] == 0 ? Sample.Started() : Sample.Proof(seen[^1])));
        }, default, begins: begins ? stream : null);
        return seen;
    }
}
