using CsCheck;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.Tests.Protocol;
using static Grants.Domain.Sessions.SessionEvent;

namespace Grants.Domain.Tests.Sessions;

public sealed class SessionTests
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    private static readonly Guid Id = new("01900000-0000-7000-8000-000000000003");
    private static readonly Guid NewId = new("01900000-0000-7000-8000-000000000004");
    private static readonly SubjectId Sam = new(new Guid("01900000-0000-7000-8000-0000000000aa"));
    private static readonly SubjectId Kim = new(new Guid("01900000-0000-7000-8000-0000000000bb"));
    private static readonly Started Begin = new(Sam, Authentication.ByPassword(Noon), Noon + SignIn.Lifetime);

    private static readonly Gen<SessionEvent> Anything = Gen.OneOf<SessionEvent>(Begin, new Reauthenticated(Authentication.ByPassword(Noon.AddHours(1))),
        new Ended(EndedBy.Person, "signed out", Noon), new Expired(Noon + SignIn.Lifetime));

    private static Session? Fold(params IEnumerable<SessionEvent> events) => events.Aggregate((Session?)null, (state, e) => Session.Evolve(state, Id, e));

    [Fact, Trait("Attack", "U6")]
    public void A_session_is_over_at_its_last_moment_used_or_not()
    {
        var session = Fold(Begin, new Reauthenticated(Authentication.ByPassword(Noon.AddHours(11))))!;
        Assert.True(session.IsLive(Noon + SignIn.Lifetime - TimeSpan.FromTicks(1)));
        Assert.False(session.IsLive(Noon + SignIn.Lifetime));
    }

    [Fact, Trait("Attack", "U8"), Trait("Rule", "AZ-11")]
    public void A_fresh_proof_moves_the_time_of_authentication_and_not_that_of_the_start()
    {
        var session = Fold(Begin, new Reauthenticated(Authentication.ByPassword(Noon.AddHours(1))))!;
        Assert.Equal((Noon, Noon.AddHours(1)), (session.StartedAt, session.Authentication.At));
    }

    [Fact]
    public void A_password_alone_says_so() =>
        Assert.Equal(new Authentication(Noon, "urn:grants:acr:password", ["pwd"]), Authentication.ByPassword(Noon));

    [Fact]
    public void Signing_in_begins_a_session_of_twelve_hours()
    {
        var decision = Assert.IsType<Accepted<Guid>>(SignIn.Decide(null, new(Sam, NewId), Noon));
        Assert.Equal(NewId, decision.Value);
        Assert.Equal([new(NewId, new Started(Sam, Authentication.ByPassword(Noon), Noon.AddHours(12)))], decision.Events);
    }

    [Fact]
    public void The_same_person_at_the_same_browser_goes_on_in_the_same_session()
    {
        var decision = Assert.IsType<Accepted<Guid>>(SignIn.Decide(Fold(Begin), new(Sam, NewId), Noon.AddHours(1)));
        Assert.Equal(Id, decision.Value);
        Assert.Equal([new(Id, new Reauthenticated(Authentication.ByPassword(Noon.AddHours(1))))], decision.Events);
    }

    [Fact, Trait("Attack", "U4")]
    public void Another_person_at_the_same_browser_gets_another_session_and_ends_the_first()
    {
        var decision = Assert.IsType<Accepted<Guid>>(SignIn.Decide(Fold(Begin), new(Kim, NewId), Noon.AddHours(1)));
        Assert.Equal(NewId, decision.Value);
        Assert.Equal(2, decision.Events.Count);
        Assert.Equal(Kim, Assert.IsType<Started>(decision.Events.Single(e => e.Stream == NewId).Event).Subject);
        Assert.Equal(Noon.AddHours(1), Assert.IsType<Ended>(decision.Events.Single(e => e.Stream == Id).Event).At);
    }

    [Fact, Trait("Law", "L3"), Trait("Attack", "U4")]
    public void A_session_that_is_over_is_not_gone_on_with()
    {
        foreach (var over in new[] { Fold(Begin, new Ended(EndedBy.Person, "signed out", Noon)), Fold(Begin) })
        {
            var decision = Assert.IsType<Accepted<Guid>>(SignIn.Decide(over, new(Sam, NewId), Noon + SignIn.Lifetime));
            Assert.Equal(NewId, decision.Value);
            Assert.Equal(NewId, Assert.Single(decision.Events).Stream);
        }
    }

    [Fact, Trait("Attack", "U6")]
    public void Signing_out_ends_a_session_once()
    {
        var first = Assert.IsType<Accepted<bool>>(EndSession.Decide(Fold(Begin), EndedBy.Person, "signed out", Noon));
        Assert.True(first.Value);
        Assert.Equal([new(Id, new Ended(EndedBy.Person, "signed out", Noon))], first.Events);

        foreach (var over in new[] { null, Fold(Begin, new Ended(EndedBy.Person, "signed out", Noon)), Fold(Begin, new Expired(Noon)) })
        {
            var again = Assert.IsType<Accepted<bool>>(EndSession.Decide(over, EndedBy.Person, "signed out", Noon));
            Assert.False(again.Value);
            Assert.Empty(again.Events);
        }
    }

    [Fact, Trait("Law", "L3")]
    public void A_session_ended_stays_ended() =>
        Gen.Select(Anything.Array[0, 6], Anything.Array[0, 6]).Always((before, after) =>
        {
            var ended = Fold([Begin, .. before, new Expired(Noon)]);
            Assert.NotNull(ended!.EndedAt);
            Assert.Equal(ended, Fold([Begin, .. before, new Expired(Noon), .. after]));
        }, times: 300);

    [Fact]
    public void No_order_of_events_makes_the_fold_throw() =>
        Anything.Array[0, 12].Always(events => Fold(events) is null == !events.Contains(Begin), times: 300);
}
