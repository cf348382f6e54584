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
    private static readonly FamilyFacts Facts = new(new("tally"), null, null, null, ["x"], null);
    private static readonly ConsentText Words = new("0123456789abcdef", "en", "Tally", []);

    public static TheoryData<string, IDomainEvent, int, DateTimeOffset> Beginnings => new()
    {
        { "a request", new AuthorizationEvent.Requested(null!, "browser", Noon, Noon.AddMinutes(15)), 0, Noon.AddMinutes(15) },
        { "a code", new AuthorizationEvent.CodeIssued(Stream, Stream, ["x"], Noon, Noon.AddMinutes(1)), 0, Noon.AddMinutes(1) },
        { "a session", new SessionEvent.Started(default, Authentication.ByPassword(Noon), Noon.AddHours(12)), 0, Noon.AddHours(12) },
        { "a grant", new GrantEvent.Created(default, new("tally"), Stream, ["x"], [], Noon, Noon.AddDays(90)), 0, Noon.AddDays(90) },
        { "a grant renewed", new GrantEvent.Widened(Stream, [], [], Noon, Noon.AddDays(91)), 0, Noon.AddDays(91) },
        { "an access token", new TokenFamilyEvent.AccessTokenIssued(7, Facts, ["x"], ["y"], Noon, Noon.AddMinutes(5)), 7, Noon.AddMinutes(5) },
        { "a refresh token that idles out first", new TokenFamilyEvent.RefreshTokenIssued(Facts, 1, Noon, Noon.AddDays(30), Noon.AddDays(90)), 0, Noon.AddDays(30) },
        { "a refresh token at the end of its grant", new TokenFamilyEvent.RefreshTokenRotated(2, Facts, 1, Noon, Noon.AddDays(100), Noon.AddDays(90)), 0, Noon.AddDays(90) },
    };

    [Theory]
    [MemberData(nameof(Beginnings), DisableDiscoveryEnumeration = true)]
    public void What_will_run_out_has_a_deadline(string what, IDomainEvent happened, int item, DateTimeOffset due) =>
        Assert.True(Of(happened).SequenceEqual([new Deadline(Stream, item, due)]), what);

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
        { "a family revoked", new TokenFamilyEvent.Revoked(EndedBy.System, "x", Noon) },
    };

    [Theory]
    [MemberData(nameof(Endings), DisableDiscoveryEnumeration = true)]
    public void What_has_ended_has_no_deadline_left(string what, IDomainEvent happened) =>
        Assert.True(Of(happened).SequenceEqual([new Deadline(Stream, 0, null, WholeStream: true)]), what);

    [Fact]
    public void One_token_that_has_ended_takes_only_its_own_deadline_away()
    {
        Assert.Equal([new Deadline(Stream, 7, null)], Of(new TokenFamilyEvent.AccessTokenExpired(7, Noon)));
        Assert.Equal([new Deadline(Stream, 7, null)], Of(new TokenFamilyEvent.AccessTokenRevoked(7, EndedBy.Client, "x", Noon)));
        Assert.Equal([new Deadline(Stream, 0, null)], Of(new TokenFamilyEvent.Expired(Noon)));
    }

    [Fact]
    public void All_other_events_say_nothing_about_deadlines()
    {
        var speaking = Beginnings.Select(row => row.Data.Item2).Concat(Endings.Select(row => row.Data.Item2)).Select(e => e.GetType())
            .Concat([typeof(TokenFamilyEvent.AccessTokenExpired), typeof(TokenFamilyEvent.AccessTokensExpired), typeof(TokenFamilyEvent.AccessTokenRevoked), typeof(TokenFamilyEvent.Expired)]).ToHashSet();
        Assert.All(Examples.All.Where(example => !speaking.Contains(example.Event.GetType())), example => Assert.Empty(Of(example.Event)));
    }

    [Fact, Trait("Law", "L7")]
    public void The_deadlines_are_the_moments_at_which_there_is_something_to_record() =>
        Histories.Steps.Always(steps =>
        {
            var history = Histories.After(steps);
            var due = new Dictionary<(Guid Stream, int Item), DateTimeOffset>();
            foreach (var deadline in history.Events.SelectMany(DeadlinesTable.Of))
            {
                if (deadline.WholeStream) foreach (var key in due.Keys.Where(key => key.Stream == deadline.Stream).ToList()) due.Remove(key);
                else if (deadline.Due is { } moment) due[(deadline.Stream, deadline.Item)] = moment;
                else due.Remove((deadline.Stream, deadline.Item));
            }

            foreach (var stream in history.Streams)
            {
                var moments = due.Where(entry => entry.Key.Stream == stream).Select(entry => entry.Value).ToList();
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

    private static IEnumerable<Deadline> Of(IDomainEvent happened) => DeadlinesTable.Of(EventLog.Event(Stream, happened));
}
