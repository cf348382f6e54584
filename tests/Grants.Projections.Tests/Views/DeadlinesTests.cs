using CsCheck;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.TokenFamilies;
using Grants.Projections.Deadlines;
using Grants.Projections.Tests.Events;

namespace Grants.Projections.Tests.Views;

public sealed class DeadlinesTests
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    private static readonly Guid Stream = new("01900000-0000-7000-8000-0000000000a1");
    private static readonly ConsentText Words = new("0123456789abcdef", "en", "Tally", []);

    public static TheoryData<string, IDomainEvent, DateTimeOffset> Beginnings => new()
    {
        { "a pushed request", new AuthorizationEvent.Pushed(null!, Noon, Noon.AddSeconds(90)), Noon.AddSeconds(90) },
        { "a device's request", new AuthorizationEvent.DeviceRequested(new("tally"), ["x"], "hash", null, Noon, Noon.AddMinutes(10)), Noon.AddMinutes(10) },
        { "a request", new AuthorizationEvent.Requested(null!, "browser", Noon, Noon.AddMinutes(15)), Noon.AddMinutes(15) },
        { "a code", new AuthorizationEvent.CodeIssued(Stream, Stream, ["x"], Noon, Noon.AddMinutes(1)), Noon.AddMinutes(1) },
        { "a session", new SessionEvent.Started(default, Authentication.ByPassword(Noon), Noon.AddHours(12)), Noon.AddHours(12) },
        { "a grant", new GrantEvent.Created(default, new("tally"), Stream, ["x"], [], Noon, Noon.AddDays(90)), Noon.AddDays(90) },
        { "a grant renewed", new GrantEvent.Widened(Stream, [], [], Noon, Noon.AddDays(91)), Noon.AddDays(91) },
    };

    [Theory]
    [MemberData(nameof(Beginnings), DisableDiscoveryEnumeration = true)]
    public void What_will_run_out_has_a_deadline(string what, IDomainEvent happened, DateTimeOffset due) =>
        Assert.True(Of(happened) == new Deadline(Stream, due), what);

    public static TheoryData<string, IDomainEvent> Endings => new()
    {
        { "a code redeemed", new AuthorizationEvent.CodeRedeemed(Stream, Noon) },
        { "a code that ran out", new AuthorizationEvent.CodeExpired(Noon) },
        { "a request abandoned", new AuthorizationEvent.Abandoned(Noon) },
        { "a consent denied", new AuthorizationEvent.ConsentDenied(["x"], Words, Noon) },
        { "a request refused", new AuthorizationEvent.Refused(ErrorCode.LoginRequired, Noon) },
        { "a session ended", new SessionEvent.Ended(EndedBy.Person, "signed out", Noon) },
        { "a session that ran out", new SessionEvent.Expired(Noon) },
        { "a grant revoked", new GrantEvent.Revoked(EndedBy.Person, "x", Noon) },
        { "a grant that ran out", new GrantEvent.Expired(Noon) },
    };

    [Theory]
    [MemberData(nameof(Endings), DisableDiscoveryEnumeration = true)]
    public void What_has_ended_has_no_deadline_left(string what, IDomainEvent happened) =>
        Assert.True(Of(happened) == new Deadline(Stream, null), what);

    [Fact]
    public void All_other_events_say_nothing_about_deadlines()
    {
        var speaking = Beginnings.Select(row => row.Data.Item2).Concat(Endings.Select(row => row.Data.Item2)).Select(e => e.GetType()).ToHashSet();
        Assert.All(Examples.All.Where(example => !speaking.Contains(example.Event.GetType())), example => Assert.Null(Of(example.Event)));
    }

    [Fact, Trait("Law", "L5")]
    public void The_events_that_speak_are_loaded() =>
        Assert.Empty(Beginnings.Select(row => row.Data.Item2).Concat(Endings.Select(row => row.Data.Item2)).Select(e => e.GetType()).Except(new DeadlinesTable().IncludedEventTypes));

    [Fact, Trait("Law", "L7")]
    public void The_deadlines_are_the_moments_at_which_there_is_something_to_record() =>
        Histories.Steps.Always(steps =>
        {
            var history = Histories.After(steps);
            var due = new Dictionary<Guid, DateTimeOffset>();
            foreach (var deadline in history.Events.Select(DeadlinesTable.Of).OfType<Deadline>())
            {
                if (deadline.Due is { } moment) due[deadline.Stream] = moment;
                else due.Remove(deadline.Stream);
            }

            var tokens = CurrentTokensTests.InPages([history.Events]).ToLookup(row => row.Family);
            foreach (var stream in history.Streams)
            {
                // The tokens of a grant that has ended ended with it, and so did those whose parents have: nothing is left to record.
                if (tokens[stream].Any(row => (row.Grant is { } grant && history.HasEnded(grant)) || (row.Parents is not null && !history.Stands(stream, row.Number))))
                {
                    Assert.DoesNotContain(tokens[stream], row => row.IsLive);
                    continue;
                }

                var moments = tokens.Contains(stream) ? tokens[stream].Where(row => row.IsLive).Select(row => row.ExpiresAt).ToList() : due.TryGetValue(stream, out var one) ? [one] : [];
                Assert.Equal(moments.Count, Ends(history.Expiries(stream, DateTimeOffset.MaxValue)));
                foreach (var moment in moments)
                {
                    Assert.Equal(moments.Count(other => other <= moment), Ends(history.Expiries(stream, moment)));
                    Assert.Equal(moments.Count(other => other < moment), Ends(history.Expiries(stream, moment - TimeSpan.FromTicks(1))));
                }
            }
        }, times: 200);

    /// <summary>One event may record the ends of several tokens.</summary>
    private static int Ends(IEnumerable<IDomainEvent> expiries) => expiries.Sum(e => e is TokenFamilyEvent.AccessTokensExpired several ? several.Numbers.Count : 1);

    private static Deadline? Of(IDomainEvent happened) => DeadlinesTable.Of(EventLog.Event(Stream, happened));
}
