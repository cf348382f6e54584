using CsCheck;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Grants.Domain.Tests.Protocol;
using static Grants.Domain.Subjects.SubjectEvent;

namespace Grants.Domain.Tests.Subjects;

public sealed class SubjectTests
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    private static readonly Guid Id = new("01900000-0000-7000-8000-000000000002");
    private static readonly Registered Begin = new("hash", new("v1.k.name"), new("v1.k.claims"), ["staff"], Noon);
    private static readonly Erased End = new(Noon);

    private static readonly Gen<SubjectEvent> Anything = Gen.OneOf<SubjectEvent>(Begin, new PasswordSet(new("v1.k.password"), Noon), new ClaimsReplaced(new("v1.k.other"), Noon),
        new RolesReplaced([], Noon), new SignInFailed(1, Noon), new SignInFailed(2, Noon), new LockedOut(Noon.AddMinutes(15), Noon), new SignInFailuresCleared(Noon),
        new Suspended("fraud", Noon), new Resumed(Noon), End);

    private static Subject? Fold(params IEnumerable<SubjectEvent> events) => events.Aggregate((Subject?)null, (state, e) => Subject.Evolve(state, Id, e));

    [Fact]
    public void A_person_registered_is_active_and_has_no_password_yet()
    {
        var subject = Fold(Begin)!;
        Assert.True(subject.IsActive);
        Assert.Null(subject.PasswordHash);
        Assert.Equal(new SubjectId(Id), subject.SubjectId);
        Assert.Equal(["staff"], subject.Roles);
    }

    [Fact]
    public void What_is_replaced_is_replaced_whole()
    {
        var subject = Fold(Begin, new PasswordSet(new("v1.k.1"), Noon), new PasswordSet(new("v1.k.2"), Noon), new ClaimsReplaced(new("v1.k.other"), Noon), new RolesReplaced(["auditor"], Noon))!;
        Assert.Equal((new SealedText("v1.k.2"), new SealedText("v1.k.other"), "auditor"), (subject.PasswordHash, subject.Claims, subject.Roles.ToString()));
    }

    [Fact, Trait("Attack", "U1")]
    public void Wrong_passwords_are_counted_until_a_lock_out_or_a_right_one()
    {
        Assert.Equal(2, Fold(Begin, new SignInFailed(1, Noon), new SignInFailed(2, Noon))!.FailedSignIns);

        var locked = Fold(Begin, new SignInFailed(5, Noon), new LockedOut(Noon.AddMinutes(15), Noon))!;
        Assert.Equal((0, Noon.AddMinutes(15)), (locked.FailedSignIns, locked.LockedUntil));

        var cleared = Subject.Evolve(locked with { FailedSignIns = 1 }, Id, new SignInFailuresCleared(Noon))!;
        Assert.Equal((0, null), (cleared.FailedSignIns, cleared.LockedUntil));
    }

    [Fact, Trait("Attack", "T24")]
    public void A_suspended_person_is_not_active_until_resumed()
    {
        Assert.False(Fold(Begin, new Suspended("fraud", Noon))!.IsActive);
        Assert.True(Fold(Begin, new Suspended("fraud", Noon), new Resumed(Noon))!.IsActive);
    }

    [Fact, Trait("Law", "L3")]
    public void A_person_erased_stays_erased() =>
        Gen.Select(Anything.Array[0, 10], Anything.Array[0, 10]).Always((before, after) =>
        {
            var ended = Fold([Begin, .. before, End]);
            Assert.Equal(SubjectStatus.Erased, ended!.Status);
            Assert.Equal(ended, Fold([Begin, .. before, End, .. after]));
        }, times: 300);

    [Fact]
    public void No_order_of_events_makes_the_fold_throw() =>
        Anything.Array[0, 20].Always(events => Fold(events) is null == !events.Contains(Begin), times: 500);
}
