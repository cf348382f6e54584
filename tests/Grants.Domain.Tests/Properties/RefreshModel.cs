using CsCheck;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Given;
using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.Properties;

/// <summary>
/// Plays whole lives of a family: redemptions, refreshes with old and new tokens, revocations, expiry, and the clock. A ledger
/// beside it knows only what was handed out, and says what may never happen.
/// </summary>
public sealed class RefreshModel
{
    public enum Move { Redeem, RefreshNewest, RefreshNewestByAnother, RefreshPrevious, RefreshOldest, NarrowGrant, RevokeGrant, RevokeRefreshToken, RevokeAccessToken, RecordExpiry, Wait }

    private static readonly Gen<(Move Move, int Seconds)[]> Lives = Gen.Select(
        Gen.Frequency((2, Gen.Const(Move.Redeem)), (12, Gen.Const(Move.RefreshNewest)), (1, Gen.Const(Move.RefreshNewestByAnother)), (4, Gen.Const(Move.RefreshPrevious)),
            (1, Gen.Const(Move.RefreshOldest)), (1, Gen.Const(Move.NarrowGrant)), (1, Gen.Const(Move.RevokeGrant)), (1, Gen.Const(Move.RevokeRefreshToken)), (2, Gen.Const(Move.RevokeAccessToken)),
            (2, Gen.Const(Move.RecordExpiry)), (6, Gen.Const(Move.Wait))),
        Gen.OneOf(0, 1, 10, 29, 30, 31, 61, 3600, 86_400, 29 * 86_400, 31 * 86_400)).Array[1, 30];

    [Fact, Trait("Law", "L2"), Trait("Law", "L3"), Trait("Law", "L8"), Trait("Attack", "T1"), Trait("Attack", "T2")]
    public void A_confidential_clients_family_never_has_two_live_generations_and_gives_nothing_after_its_end() => Play(AClient());

    [Fact, Trait("Law", "L2"), Trait("Law", "L3"), Trait("Law", "L8"), Trait("Attack", "T1"), Trait("Attack", "T2")]
    public void A_public_clients_family_never_has_two_live_generations_and_gives_nothing_after_its_end() => Play(AClient(PublicWeb));

    [Fact, Trait("Rule", "DP-4"), Trait("Law", "L2"), Trait("Law", "L3"), Trait("Law", "L8"), Trait("Attack", "T1"), Trait("Attack", "T2"), Trait("Attack", "T4")]
    public void A_family_that_is_bound_to_a_key_never_has_two_live_generations_and_gives_nothing_without_the_key() => Play(AClient(PublicWeb), Key);

    private static void Play(Client client, JwkThumbprint? jkt = null)
    {
        var furthest = 0;
        Law.Holds(Lives, moves => furthest = Math.Max(furthest, LiveThrough(client, jkt, moves)), moves => string.Join(", ", moves), cases: 600);
        Assert.True(furthest >= 6, "The generated lives must be long enough to tell something.");
    }

    /// <summary>The generation that the life reached.</summary>
    private static int LiveThrough(Client client, JwkThumbprint? jkt, (Move Move, int Seconds)[] moves)
    {
        var now = Noon;
        var stream = new List<StreamEvent>();
        var world = Scenario.Given([Requested(), Authenticated(), Granted(), CodeIssued()]);
        var (newest, tokens, redemptions, ended) = (0, 0, 0, false);
        var windowEnds = DateTimeOffset.MinValue;

        foreach (var (move, seconds) in moves)
        {
            switch (move)
            {
                case Move.Redeem:
                    Settle(RedeemCode.Decide(world.Authorization, world.Grant, world.Family, new(client, Callback, new Secret(Verifier), BankCatalogue, Issuer, jkt), now), presented: 0);
                    break;
                case Move.RefreshNewest when newest > 0:
                    Settle(Refresh(newest, client), newest);
                    break;
                case Move.RefreshPrevious when newest > 1:
                    Settle(Refresh(newest - 1, client), newest - 1);
                    break;
                case Move.RefreshOldest when newest > 2:
                    Settle(Refresh(1, client), 1);
                    break;
                case Move.RefreshNewestByAnother when newest > 0:
                    Refresh(newest, AnotherClient()).RefusedWith(ErrorCode.InvalidGrant);
                    if (jkt is not null) RefreshTokens.Decide(world.Family, world.Grant, new(client, newest, null, BankCatalogue, Issuer, AnotherKey), now).RefusedWith(ErrorCode.InvalidGrant);
                    break;
                case Move.NarrowGrant:
                    Happen(On(GrantId, new GrantEvent.Narrowed(RequestId, ["history"], now)));
                    break;
                case Move.RevokeGrant:
                    Happen([.. RevokeGrant.Decide(world.Grant, new(Person, EndedBy.Person, ""), now).Events]);
                    ended = true;
                    break;
                case Move.RevokeRefreshToken when world.Family is not null:
                    Happen([.. RevokeToken.Decide(world.Family, world.Grant, new(client.ClientId, null), now).Events]);
                    ended = true;
                    break;
                case Move.RevokeAccessToken when tokens > 0:
                    Happen([.. RevokeToken.Decide(world.Family, world.Grant, new(client.ClientId, tokens), now).Events]);
                    Assert.False(world.Family!.Stands(tokens) && world.Grant!.IsLive(now)); // that one alone: refreshing goes on
                    break;
                case Move.RecordExpiry:
                    Happen([.. RecordExpiry.Of(world.Authorization!, now).Select(e => On(RequestId, e)), .. RecordExpiry.Of(world.Grant!, now).Select(e => On(GrantId, e)),
                        .. world.Family is { } family ? RecordExpiry.Of(family, Issued(), now).Select(e => On(FamilyId, e)) : []]);
                    break;
                case Move.Wait:
                    now = now.AddSeconds(seconds);
                    break;
                default:
                    break;
            }
        }

        return newest;

        Decision<IssuedTokens> Refresh(int generation, Client by) => RefreshTokens.Decide(world.Family, world.Grant, new(by, generation, null, BankCatalogue, Issuer, jkt), now);

        IEnumerable<(int, DateTimeOffset)> Issued() => stream.Select(e => e.Event).OfType<TokenFamilyEvent.AccessTokenIssued>().Select(token => (token.Number, token.ExpiresAt));

        void Happen(params StreamEvent[] events)
        {
            stream.AddRange(events.Where(e => e.Stream == FamilyId));
            world = world.And(events);
        }

        void Settle(Decision<IssuedTokens> decision, int presented)
        {
            TailDecidesAlike();
            Happen([.. decision.Events]);
            if (decision is not Accepted<IssuedTokens>(var given, var events))
            {
                // Whoever presents a spent credential ends the family; from then on the ledger allows nothing.
                ended |= decision.Events.Any(e => e.Event is TokenFamilyEvent.Revoked);
                return;
            }

            Assert.False(ended, "A token came after the end.");
            Assert.True(now < Noon.AddDays(90), "A token came after the grant ran out.");
            Assert.Equal(++tokens, given.AccessToken.Number);
            if (presented == 0)
            {
                Assert.Equal(1, ++redemptions);
                newest = 1;
            }
            else if (presented == newest)
            {
                newest++;
                windowEnds = now + client.Metadata.RetryWindow(jkt is not null);
                Assert.Equal(newest, events.One<TokenFamilyEvent.RefreshTokenRotated>().Generation);
            }
            else
            {
                Assert.Equal(newest - 1, presented);
                Assert.True((client.Metadata.IsConfidential || jkt is not null) && now <= windowEnds, "A spent token worked outside its window.");
                Assert.DoesNotContain(events, e => e.Event is TokenFamilyEvent.RefreshTokenRotated);
            }

            Assert.Equal(newest, given.RefreshGeneration);
            Assert.Equal(newest, world.Family!.Refresh!.Generation);
        }

        // L8: a refresh reads only the last rotation and what follows it.
        void TailDecidesAlike()
        {
            var last = stream.FindLastIndex(e => e.Event is TokenFamilyEvent.RefreshTokenRotated);
            if (last < 0) return;
            var tail = Scenario.Given(stream.Skip(last)).Family;
            foreach (var generation in (int[])[1, newest - 1, newest, newest + 1])
            {
                var ask = new RefreshTokens.Request(client, generation, null, BankCatalogue, Issuer, jkt);
                Assert.Equal(RefreshTokens.Decide(world.Family, world.Grant, ask, now), RefreshTokens.Decide(tail, world.Grant, ask, now));
            }
        }
    }
}
