using CsCheck;
using Grants.Domain.Clients;
using Grants.Domain.Keys;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Protocol;
using static Grants.Domain.Keys.SigningKeyEvent;

namespace Grants.Domain.Tests.Keys;

public sealed class SigningKeyTests
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    private static readonly Created Begin = new("kid", SigningAlgorithm.ES256, "{}", Noon);

    private static readonly Gen<SigningKeyEvent> Anything = Gen.OneOf<SigningKeyEvent>(Begin, new Published(Noon), new Activated(Noon), new Retired(Noon),
        new Revoked("leaked", Noon), new Destroyed(Noon));

    private static readonly Gen<SigningKey> Key = Gen.Select(Gen.Int[1, 9], Gen.OneOf(SigningAlgorithm.ES256, SigningAlgorithm.RS256), Gen.Enum<SigningKeyStatus>(), Gen.Int[0, 99])
        .Select((number, algorithm, status, minute) => new SigningKey(Stream(number), $"kid{number}", algorithm, "{}", status, Noon.AddMinutes(-minute), null));

    private static Guid Stream(int number) => new(number, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0]);

    private static SigningKey? Fold(params IEnumerable<SigningKeyEvent> events) => events.Aggregate((SigningKey?)null, (state, e) => SigningKey.Evolve(state, Stream(1), e));

    private static List<SigningKey> After(IEnumerable<SigningKey> keys, IEnumerable<StreamEvent> events)
    {
        var known = keys.ToDictionary(key => key.Id, SigningKey? (key) => key);
        foreach (var (stream, happened) in events) known[stream] = SigningKey.Evolve(known.GetValueOrDefault(stream), stream, (SigningKeyEvent)happened);
        return [.. known.Values.OfType<SigningKey>()];
    }

    private static List<ProvideSigningKeys.NewKey> Fresh(IReadOnlyList<SigningKey> keys, params IEnumerable<string> algorithms)
    {
        var number = 100;
        return [.. algorithms.SelectMany(algorithm => Enumerable.Range(0, ProvideSigningKeys.Missing(keys, algorithm))
            .Select(_ => new ProvideSigningKeys.NewKey(Stream(++number), $"kid{number}", algorithm, "{}")))];
    }

    [Fact]
    public void A_key_is_published_ahead_of_its_use_and_after_it()
    {
        Assert.False(Fold(Begin)!.IsPublished);
        Assert.True(Fold(Begin, new Published(Noon))!.IsPublished);
        Assert.True(Fold(Begin, new Published(Noon), new Activated(Noon))!.IsPublished);
        Assert.True(Fold(Begin, new Published(Noon), new Activated(Noon), new Retired(Noon))!.IsPublished);
        Assert.False(Fold(Begin, new Published(Noon), new Revoked("leaked", Noon))!.IsPublished);
        Assert.False(Fold(Begin, new Published(Noon), new Destroyed(Noon))!.IsPublished);
    }

    [Fact, Trait("Law", "L3")]
    public void A_revoked_key_never_signs_or_verifies_again() =>
        Gen.Select(Anything.Array[0, 6], Anything.Array[0, 6]).Always((before, after) =>
            !Fold([Begin, .. before, new Revoked("leaked", Noon), .. after])!.IsPublished, times: 300);

    [Fact, Trait("Law", "L3")]
    public void A_destroyed_key_stays_destroyed() =>
        Gen.Select(Anything.Array[0, 6], Anything.Array[0, 6]).Always((before, after) =>
            Fold([Begin, .. before, new Destroyed(Noon), .. after])!.Status == SigningKeyStatus.Destroyed, times: 300);

    [Fact]
    public void No_order_of_events_makes_the_fold_throw() =>
        Anything.Array[0, 12].Always(events => Fold(events) is null == !events.Contains(Begin), times: 300);

    [Fact]
    public void The_first_start_makes_one_key_that_signs_and_one_that_waits()
    {
        var fresh = Fresh([], SigningAlgorithm.ES256);
        Assert.Equal(2, fresh.Count);
        Assert.Equal([SigningKeyStatus.Active, SigningKeyStatus.Published], After([], ProvideSigningKeys.Decide([], fresh, Noon)).Select(key => key.Status));
    }

    [Fact]
    public void When_the_signing_key_is_gone_the_published_one_takes_over_and_not_a_new_one()
    {
        SigningKey gone = new(Stream(1), "kid1", SigningAlgorithm.ES256, "{}", SigningKeyStatus.Revoked, Noon, Noon);
        SigningKey waiting = gone with { Id = Stream(2), Kid = "kid2", Status = SigningKeyStatus.Published };
        var fresh = Fresh([gone, waiting], SigningAlgorithm.ES256);
        var after = After([gone, waiting], ProvideSigningKeys.Decide([gone, waiting], fresh, Noon));
        Assert.Equal("kid2", Assert.Single(after, key => key.Status == SigningKeyStatus.Active).Kid);
        Assert.Equal("kid101", Assert.Single(after, key => key.Status == SigningKeyStatus.Published).Kid);
    }

    [Fact]
    public void Of_two_that_wait_the_older_takes_over()
    {
        SigningKey younger = new(Stream(1), "kid1", SigningAlgorithm.ES256, "{}", SigningKeyStatus.Published, Noon, null);
        SigningKey older = younger with { Id = Stream(2), Kid = "kid2", CreatedAt = Noon.AddDays(-1) };
        Assert.Equal([new(Stream(2), new Activated(Noon))], ProvideSigningKeys.Decide([younger, older], [], Noon));
    }

    [Fact]
    public void Afterwards_each_algorithm_has_one_key_that_signs_and_one_that_waits_and_a_second_time_nothing_happens() =>
        Key.Array[0, 8].Select(keys => keys.DistinctBy(key => key.Id).ToList()).Always(keys =>
        {
            var after = After(keys, ProvideSigningKeys.Decide(keys, Fresh(keys, SigningAlgorithm.Supported), Noon));
            foreach (var algorithm in SigningAlgorithm.Supported)
            {
                var before = keys.Count(key => key.Algorithm == algorithm && key.Status == SigningKeyStatus.Active);
                Assert.Equal(Math.Max(1, before), after.Count(key => key.Algorithm == algorithm && key.Status == SigningKeyStatus.Active));
                Assert.Contains(after, key => key.Algorithm == algorithm && key.Status == SigningKeyStatus.Published);
                Assert.Equal(0, ProvideSigningKeys.Missing(after, algorithm));
            }

            Assert.Empty(ProvideSigningKeys.Decide(after, [], Noon));
        }, times: 500);

    // Rotation

    private static readonly KeySchedule Schedule = new(TimeSpan.FromDays(90), TimeSpan.FromDays(1), TimeSpan.FromDays(30));

    private static SigningKey AKey(int number, SigningKeyStatus status, DateTimeOffset since) => new(Stream(number), $"kid{number}", SigningAlgorithm.ES256, "{}", status, since,
        status == SigningKeyStatus.Active ? since : null, since, status == SigningKeyStatus.Retired ? since : null);

    [Fact, Trait("Attack", "P8")]
    public void A_key_that_has_signed_for_long_enough_hands_over_to_the_next()
    {
        SigningKey[] keys = [AKey(1, SigningKeyStatus.Active, Noon), AKey(2, SigningKeyStatus.Published, Noon)];
        Assert.Empty(RotateSigningKeys.Decide(keys, Schedule, false, Noon.AddDays(90).AddTicks(-1)));
        Assert.Equal([new StreamEvent(Stream(2), new Activated(Noon.AddDays(90))), new StreamEvent(Stream(1), new Retired(Noon.AddDays(90)))], RotateSigningKeys.Decide(keys, Schedule, false, Noon.AddDays(90)));
        Assert.Equal(2, RotateSigningKeys.Decide(keys, Schedule, true, Noon.AddDays(1)).Count());
    }

    [Fact, Trait("Attack", "P8"), Trait("Rule", "MD-3")]
    public void No_key_signs_before_everybody_can_know_it()
    {
        SigningKey[] keys = [AKey(1, SigningKeyStatus.Active, Noon), AKey(2, SigningKeyStatus.Published, Noon.AddDays(95))];
        Assert.Empty(RotateSigningKeys.Decide(keys, Schedule, true, Noon.AddDays(96).AddTicks(-1)));
        Assert.Equal(2, RotateSigningKeys.Decide(keys, Schedule, false, Noon.AddDays(96)).Count());
    }

    [Fact, Trait("Rule", "MD-3")]
    public void A_retired_key_is_destroyed_when_nothing_that_it_signed_is_good_any_more()
    {
        SigningKey[] keys = [AKey(1, SigningKeyStatus.Retired, Noon)];
        Assert.Empty(RotateSigningKeys.Decide(keys, Schedule, false, Noon.AddDays(30).AddTicks(-1)));
        Assert.Equal([new StreamEvent(Stream(1), new Destroyed(Noon.AddDays(30)))], RotateSigningKeys.Decide(keys, Schedule, false, Noon.AddDays(30)));
    }

    [Fact, Trait("Attack", "P8"), Trait("Attack", "E15")]
    public void Whatever_the_keys_after_a_rotation_each_algorithm_that_had_a_signing_key_has_one_and_a_second_rotation_does_nothing() =>
        Gen.Select(Key.Array[0, 6].Select(keys => keys.DistinctBy(key => key.Id).ToList()), Gen.Bool).Always((keys, atOnce) =>
        {
            // One key signs for each algorithm, and that is how it stays.
            keys = [.. keys.Where(key => key.Status != SigningKeyStatus.Active || keys.Find(other => other.Status == SigningKeyStatus.Active && other.Algorithm == key.Algorithm) == key)];
            var signing = keys.Where(key => key.Status == SigningKeyStatus.Active).ToList();
            var after = After(keys, RotateSigningKeys.Decide(keys, Schedule, atOnce, Noon));
            var again = RotateSigningKeys.Decide(after, Schedule, false, Noon).ToList();
            return after.Count(key => key.Status == SigningKeyStatus.Active) == signing.Count && again.Count == 0 && after.All(key => keys.Exists(before => before.Id == key.Id));
        }, times: 300);

    [Fact, Trait("Attack", "P8")]
    public void A_key_is_revoked_once_and_a_key_that_is_not_there_is_refused()
    {
        var key = AKey(1, SigningKeyStatus.Active, Noon);
        Assert.Equal([new StreamEvent(Stream(1), new Revoked("leaked", Noon))], RevokeSigningKey.Decide(key, "leaked", Noon).Events);
        Assert.Empty(RevokeSigningKey.Decide(key with { Status = SigningKeyStatus.Revoked }, "leaked", Noon).Events);
        Assert.IsType<Refused<SigningKey>>(RevokeSigningKey.Decide(null, "leaked", Noon));
    }
}
