using System.Collections.Concurrent;
using System.Diagnostics;
using Grants.Api.Log;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Grants.Domain.TokenFamilies;
using JasperFx.Events;
using EventLog = Grants.Api.Log.EventLog;

namespace Grants.Api.Tests.Log;

/// <summary>
/// Writes down what many callers asked of the door at once and what they were told, and afterwards looks for one order of all of it,
/// one command after the other, in which each answer is right.
/// </summary>
internal sealed class History(string name)
{
    private readonly ConcurrentBag<Command> _commands = [];
    private int _count;
    private int _attempts;

    public IReadOnlyCollection<Command> Commands => _commands;

    /// <summary>How often something was decided: more often than there were commands when somebody lost a race.</summary>
    public int Attempts => _attempts;

    public async Task<Decision<T>?> PlayAsync<T>(EventLog log, string what, IReadOnlyList<Guid> streams, IReadOnlyList<Guid> reliesOn, Func<StreamsRead, DateTimeOffset, Decision<T>> decide, AccessTokenId? token = null, Guid? begins = null)
    {
        var command = New(what, [.. streams, .. reliesOn], (read, now) => decide(read, now));
        try
        {
            var decision = await log.Commit(CauseOf(command), streams, (read, now) =>
            {
                Saw(command, read, now);
                return decide(read, now);
            }, default, token: token, reliesOn: reliesOn, begins: begins);
            (command.Decision, command.Events) = (decision, decision.Events);
            return decision;
        }
        catch (TooBusyException)
        {
            command.GaveUp = true;
            return null;
        }
        finally
        {
            Over(command);
        }
    }

    /// <summary>What the recorder of expiries does: each stream for itself, and whoever comes too late leaves it.</summary>
    public async Task PlayEachAsync(EventLog log, string what, IReadOnlyList<Guid> streams, Func<StreamsRead, Guid, DateTimeOffset, ValueList<StreamEvent>> decide)
    {
        var each = streams.ToDictionary(id => id, id => New(what, [id], (read, now) => decide(read, id, now)));
        await log.CommitEach([.. streams.Select(id => new StreamToRead(id, 0))], (read, id, now) =>
        {
            var command = each[id];
            Saw(command, read, now);
            command.MayLose = true;
            command.Decision = command.Events = decide(read, id, now);
            return (CauseOf(command), command.Events);
        }, default);
        foreach (var command in each.Values) Over(command);
    }

    /// <summary>What came of the commands, for the message of a test that wants more of it.</summary>
    public override string ToString() => $"{_attempts} attempts; " + string.Join("; ", _commands
        .GroupBy(command => $"{command.What} {(command.GaveUp ? "gave up" : command.Written.Count > 0 ? "written" : (command.Decision as Refused<IssuedTokens>)?.Error.Description ?? "nothing to do")}")
        .OrderBy(kind => kind.Key, StringComparer.Ordinal).Select(kind => $"{kind.Key}: {kind.Count()}"));

    /// <param name="log">All that was written since before the first command, in the order of the log.</param>
    public void IsExplainedBy(IReadOnlyList<IEvent> log)
    {
        var written = log.GroupBy(e => e.CorrelationId!).ToDictionary(commit => commit.Key, commit => commit.ToList());
        foreach (var command in _commands) HoldsWhatWasAnswered(command, written.GetValueOrDefault(command.Request) ?? []);
        Assert.Equal(_commands.Where(command => command.Written.Count > 0).Select(command => command.Request).Order(), written.Keys.Where(request => request.StartsWith(name, StringComparison.Ordinal)).Order());

        var streams = OneAfterTheOther(written.Values.OrderBy(commit => commit[0].Sequence));
        var commits = _commands.Where(command => command.Written.Count > 0).ToList();
        foreach (var command in _commands.Where(command => !command.GaveUp))
        {
            InRealTime(command, commits, streams);
            if (command.Written.Count == 0) InOneMoment(command, commits, streams);
        }
    }

    private static void HoldsWhatWasAnswered(Command command, List<IEvent> written)
    {
        command.Written = written;
        if (command.GaveUp || (command.MayLose && written.Count == 0)) Same(command, [], written.Select(e => e.Data));
        else Same(command, command.Events, written.Select(e => new StreamEvent(e.StreamId, (IDomainEvent)e.Data)));
    }

    /// <summary>In the order of the log, with whole streams instead of tails and no memory, each command decides exactly what it wrote.</summary>
    private Dictionary<Guid, List<IEvent>> OneAfterTheOther(IEnumerable<List<IEvent>> commits)
    {
        var requests = _commands.ToDictionary(command => command.Request);
        var streams = new Dictionary<Guid, List<IEvent>>();
        foreach (var commit in commits)
        {
            if (requests.TryGetValue(commit[0].CorrelationId!, out var command))
            {
                foreach (var id in command.Streams) Same(command, streams.GetValueOrDefault(id)?.Count ?? 0L, command.Seen[id]);
                Same(command, command.Decision, command.Decide(Read(command, streams, id => streams.GetValueOrDefault(id)?.Count ?? 0), command.Now));
            }

            foreach (var e in commit)
            {
                if (!streams.TryGetValue(e.StreamId, out var stream)) streams[e.StreamId] = stream = [];
                stream.Add(e);
                Assert.Equal(stream.Count, e.Version);
            }
        }

        return streams;
    }

    /// <summary>Whoever began after another one was answered has seen what that one did; nobody saw what had not been asked yet.</summary>
    private static void InRealTime(Command command, List<Command> commits, Dictionary<Guid, List<IEvent>> streams)
    {
        foreach (var id in command.Streams)
        {
            var first = First(id, commits, streams);
            var atLeast = Math.Max(first, Newest(commits.Where(commit => commit.Over < command.Begun)));
            var atMost = Math.Max(first, Newest(commits.Where(commit => commit.Begun < command.Over)));
            if (command.Seen[id] < atLeast || command.Seen[id] > atMost) throw new InvalidOperationException($"{command}: saw version {command.Seen[id]} of {id}, which stood between {atLeast} and {atMost}.");

            long Newest(IEnumerable<Command> some) => some.SelectMany(commit => commit.Written).Where(e => e.StreamId == id).Select(e => e.Version).DefaultIfEmpty(0).Max();
        }
    }

    /// <summary>The version that a stream had before the first command wrote to it.</summary>
    private static long First(Guid id, List<Command> commits, Dictionary<Guid, List<IEvent>> streams) =>
        commits.SelectMany(commit => commit.Written).Where(e => e.StreamId == id).Select(e => e.Version - 1).DefaultIfEmpty(streams.GetValueOrDefault(id)?.Count ?? 0).Min();

    /// <summary>What left no event in the log is right for one state of all its streams together.</summary>
    private static void InOneMoment(Command command, List<Command> commits, Dictionary<Guid, List<IEvent>> streams)
    {
        foreach (var commit in commits)
        {
            var touched = commit.Written.Where(e => command.Seen.ContainsKey(e.StreamId)).Select(e => e.Version <= command.Seen[e.StreamId]).Distinct().ToList();
            if (touched.Count > 1) throw new InvalidOperationException($"{command}: saw one half of {commit}.");
        }

        Same(command, command.Decision, command.Decide(Read(command, streams, id => (int)command.Seen[id]), command.Now));
        if (!command.MayLose || command.Events.Count == 0) return;
        if (!commits.Exists(commit => commit.Begun < command.Over && commit.Written.Exists(e => e.StreamId == command.Streams[0] && e.Version > command.Seen[command.Streams[0]])))
            throw new InvalidOperationException($"{command}: was not written, though nobody was in its way.");
    }

    private static StreamsRead Read(Command command, Dictionary<Guid, List<IEvent>> streams, Func<Guid, int> version) =>
        new(command.Streams, command.Streams.Distinct().ToDictionary(id => id, IReadOnlyList<LoggedEvent> (id) => [.. streams.GetValueOrDefault(id)?.Take(version(id)).Select(e => new LoggedEvent(id, e.Version, e.Id, e.Data)) ?? []]));

    private static void Same(Command command, object? expected, object? actual)
    {
        if (!Equals(expected, actual)) throw new InvalidOperationException($"{command}: {expected} is not {actual}.");
    }

    private static void Same<T>(Command command, IEnumerable<T> expected, IEnumerable<T> actual) => Same(command, new ValueList<T>(expected), (object)new ValueList<T>(actual));

    private Command New(string what, IReadOnlyList<Guid> streams, Func<StreamsRead, DateTimeOffset, object> decide) =>
        new($"{name}{Interlocked.Increment(ref _count)}", what, streams, decide) { Begun = Stopwatch.GetTimestamp() };

    private void Over(Command command)
    {
        command.Over = Stopwatch.GetTimestamp();
        _commands.Add(command);
    }

    private void Saw(Command command, StreamsRead read, DateTimeOffset now)
    {
        Interlocked.Increment(ref _attempts);
        command.Now = now;
        command.Seen = command.Streams.Distinct().ToDictionary(id => id, read.Version);
    }

    private static Cause CauseOf(Command command) => new(Cause.System("test"), command.Request, command.What);

    internal sealed class Command(string request, string what, IReadOnlyList<Guid> streams, Func<StreamsRead, DateTimeOffset, object> decide)
    {
        public string Request => request;

        public string What => what;

        public IReadOnlyList<Guid> Streams => streams;

        public Func<StreamsRead, DateTimeOffset, object> Decide => decide;

        public long Begun { get; init; }

        public long Over { get; set; }

        /// <summary>The clock and the versions in the attempt that counted.</summary>
        public DateTimeOffset Now { get; set; }

        public IReadOnlyDictionary<Guid, long> Seen { get; set; } = new Dictionary<Guid, long>();

        public object? Decision { get; set; }

        public ValueList<StreamEvent> Events { get; set; } = [];

        /// <summary>Every attempt was lost.</summary>
        public bool GaveUp { get; set; }

        public bool MayLose { get; set; }

        public List<IEvent> Written { get; set; } = [];

        public bool Wrote(Guid stream) => Written.Exists(e => e.StreamId == stream);

        public override string ToString() => $"{request} ({what})";
    }
}

/// <summary>What no log may ever show, whatever was asked (L2, L3).</summary>
internal static class LogLaws
{
    public static void Hold(IReadOnlyList<IEvent> log)
    {
        var (people, clients, grants, families) = (new HashSet<Guid>(), new HashSet<ClientId>(), new HashSet<Guid>(), new HashSet<Guid>()); // suspended, suspended, ended, revoked
        var names = log.Where(e => e.Data is ClientEvent.Registered).ToDictionary(e => e.StreamId, e => ((ClientEvent.Registered)e.Data).Client);
        var (facts, generations, tokens, redeemed, replayed) = (new Dictionary<Guid, FamilyFacts>(), new Dictionary<Guid, int>(), new Dictionary<Guid, int>(), new HashSet<Guid>(), new HashSet<Guid>());
        foreach (var e in log)
        {
            switch (e.Data)
            {
                case SubjectEvent.Suspended: people.Add(e.StreamId); break;
                case SubjectEvent.Resumed: people.Remove(e.StreamId); break;
                case ClientEvent.Suspended: clients.Add(names[e.StreamId]); break;
                case ClientEvent.Resumed: clients.Remove(names[e.StreamId]); break;
                case GrantEvent.Revoked or GrantEvent.Expired: Assert.True(grants.Add(e.StreamId)); break;
                case AuthorizationEvent.CodeRedeemed: Assert.True(redeemed.Add(e.StreamId)); break;
                case AuthorizationEvent.CodeReplayed: Assert.True(redeemed.Contains(e.StreamId) && replayed.Add(e.StreamId)); break;
                case TokenFamilyEvent.Revoked: Assert.True(families.Add(e.StreamId)); break;
                case TokenFamilyEvent.RefreshTokenIssued first:
                    facts[e.StreamId] = first.Facts;
                    Assert.True(generations.TryAdd(e.StreamId, 1));
                    break;
                case TokenFamilyEvent.RefreshTokenRotated next:
                    Assert.Equal(generations[e.StreamId] + 1, next.Generation);
                    generations[e.StreamId] = next.Generation;
                    Assert.DoesNotContain(e.StreamId, families);
                    break;
                case TokenFamilyEvent.AccessTokenIssued token:
                    if (token.Facts is { } said) facts[e.StreamId] = said;
                    var whose = facts[e.StreamId];
                    Assert.Equal(tokens.GetValueOrDefault(e.StreamId) + 1, token.Number);
                    tokens[e.StreamId] = token.Number;
                    Assert.DoesNotContain(e.StreamId, families);
                    Assert.DoesNotContain(whose.Client, clients);
                    if (whose.Grant is { } grant) Assert.DoesNotContain(grant, grants);
                    if (whose.Subject is { } person) Assert.DoesNotContain(person.Value, people);
                    break;
                default: break;
            }
        }
    }
}
