using CsCheck;
using Grants.Api.Log;
using Grants.Domain.AccessGrants;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Testing;

namespace Grants.Api.Tests.Log;

/// <summary>Four doors on one database, a few streams, and hundreds of commits that want several of them at once.</summary>
public sealed class ManyDoorsTests(AppFixture app) : IClassFixture<AppFixture>
{
    private const int Commands = 400;
    private static readonly SubjectId Person = new(new Guid("01900000-0000-7000-8000-000000000005"));

    [Fact, Trait("Law", "L2"), Trait("Attack", "E2"), Trait("Attack", "E4")]
    public async Task Nothing_is_lost_or_doubled_and_nobody_sees_a_deadlock()
    {
        var doors = Enumerable.Range(0, 4).Select(_ => new Door(app)).ToArray();
        // Sessions are written by the batch, grants by ordinary sessions.
        var streams = Enumerable.Range(0, 12).Select(_ => app.Fresh()).ToArray();
        await app.AppendAsync([.. streams.Select((stream, i) => new StreamEvent(stream, i % 3 == 2
            ? new GrantEvent.Created(Person, new ClientId($"client-{i}"), stream, ["balances"], [], app.Clock.GetUtcNow(), app.Clock.GetUtcNow().AddDays(1))
            : Sample.Started()))]);
        var grants = streams.Where((_, i) => i % 3 == 2).ToHashSet();

        var random = new PCG(11, 2026);
        var plans = Enumerable.Range(0, Commands).Select(_ => Picked(random, streams)).ToArray();
        var attempts = 0;
        var next = -1;
        await Task.WhenAll(Enumerable.Range(0, 16).Select(worker => Task.Run(async () =>
        {
            for (int i; (i = Interlocked.Increment(ref next)) < Commands;)
            {
                var (one, other, relied) = (plans[i][0], plans[i][1], plans[i][2]);
                var decision = await doors[(worker + i) % 4].Log.Commit(Sample.ByTest with { Request = $"command-{i}" }, [one, other], (read, now) =>
                {
                    Interlocked.Increment(ref attempts);
                    Assert.True(read.Version(one) > 0 && read.Version(other) > 0 && read.Version(relied) > 0);
                    return Decide.Accept(i, Happening(one), Happening(other));

                    StreamEvent Happening(Guid stream) => new(stream, grants.Contains(stream) ? new GrantEvent.Narrowed(stream, [], now) : new SessionEvent.Reauthenticated(Authentication.ByPassword(now)));
                }, default, reliesOn: [relied]);
                Assert.Equal(i, ((Accepted<int>)decision).Value);
            }
        })));
        foreach (var door in doors) await door.DisposeAsync();

        Assert.True(attempts > Commands, "Nobody lost: this proves nothing.");
        var events = (await app.EventsAfterAsync(0)).Where(e => e.CorrelationId!.StartsWith("command-", StringComparison.Ordinal)).ToList();
        Assert.Equal(2 * Commands, events.Count);
        for (var i = 0; i < Commands; i++)
            Assert.Equal(plans[i].Take(2).Order(), events.Where(e => e.CorrelationId == $"command-{i}").Select(e => e.StreamId).Order());

        foreach (var (stream, version) in streams.Zip(await app.VersionsAsync(streams)))
        {
            var written = await app.EventsAsync(stream);
            Assert.Equal(Enumerable.Range(1, (int)version), written.Select(e => (int)e.Version));
            Assert.Equal(written.Select(e => e.Sequence).Order(), written.Select(e => e.Sequence));
        }
    }

    private static Guid[] Picked(PCG random, Guid[] streams)
    {
        var picked = new List<Guid>();
        while (picked.Count < 3)
        {
            var stream = streams[random.Next((uint)streams.Length)];
            if (!picked.Contains(stream)) picked.Add(stream);
        }

        return [.. picked];
    }
}
