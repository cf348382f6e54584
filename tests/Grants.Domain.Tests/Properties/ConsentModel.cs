using CsCheck;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.Tests.Given;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.Properties;

/// <summary>
/// Plays what happens between one person and one app over months: requests, answers, reloads, revocations, expiry, in any order. A
/// ledger beside it knows only what the person said last about each permission, and says what no code may ever carry.
/// </summary>
public sealed class ConsentModel
{
    public enum Move { Ask, Continue, Allow, Deny, RevokeGrant, RecordExpiry, Wait }

    public sealed record Step(Move Move, ScopeSet Scopes, string Prompt, int Which, int Seconds);

    private static readonly Client App = AClient(Web with { OptionalScopes = ["history", "payments"] });

    private static readonly Gen<Step[]> Lives = Gen.Select(
        Gen.Frequency((6, Gen.Const(Move.Ask)), (3, Gen.Const(Move.Continue)), (7, Gen.Const(Move.Allow)), (1, Gen.Const(Move.Deny)), (1, Gen.Const(Move.RevokeGrant)), (2, Gen.Const(Move.RecordExpiry)), (4, Gen.Const(Move.Wait))),
        Gen.OneOf("openid", "accounts", "history", "payments").Array[1, 4].Select(tokens => ScopeSet.Of(tokens)), Gen.OneOf("", "", "none", "consent"), Gen.Int[0, 3],
        Gen.OneOf(0, 1, 899, 900, 3600, 43_200, 86_400, 40 * 86_400, 90 * 86_400),
        (move, scopes, prompt, which, seconds) => new Step(move, scopes, prompt, which, seconds)).Array[1, 40];

    [Fact, Trait("Law", "L2"), Trait("Law", "L3"), Trait("Attack", "R17"), Trait("Attack", "S3"), Trait("Attack", "T6"), Trait("Rule", "AZ-10")]
    public void No_code_carries_what_the_person_did_not_allow_last_and_none_comes_twice_or_after_the_end()
    {
        var (codes, silent) = (0, 0);
        Law.Holds(Lives, steps =>
        {
            var (issued, unasked) = LiveThrough(steps);
            codes += issued;
            silent += unasked;
        }, steps => string.Join(Environment.NewLine, steps.AsEnumerable()), cases: 3000);
        Assert.True(codes > 3000 && silent > 300, $"{codes} codes, {silent} without a question: too few to prove anything.");
    }

    /// <summary>How many codes were issued, and how many of them without a page.</summary>
    private static (int Codes, int Silent) LiveThrough(Step[] steps)
    {
        var (now, next) = (Noon, 100);
        var world = Scenario.Given();
        var (requests, grants, answered) = (new List<Guid>(), new List<Guid>(), new HashSet<Guid>());
        var session = Guid.Empty;
        // The ledger: what was said last, as long as it counts.
        var (allowed, refused, until) = (ScopeSet.Empty, ScopeSet.Empty, DateTimeOffset.MinValue);
        var (codes, silent) = (0, 0);

        foreach (var (move, scopes, prompt, which, seconds) in steps)
        {
            // Pages are about one of the newest requests.
            var request = requests.Count > which ? requests[^(which + 1)] : (Guid?)null;
            switch (move)
            {
                case Move.Ask:
                    SignIn();
                    var id = Id(next++);
                    requests.Add(id);
                    var arriving = new Authorization(id, ARequest(prompt is "" ? [] : [prompt]) with { Scopes = scopes }, "browser", now, now + Authorization.Lifetime);
                    Settle(id, BeginAuthorization.Decide(arriving, Live(), new(App, world.Find<Session>(session), Id(next++)), now), asked: false);
                    break;
                case Move.Continue when request is { } open:
                    Settle(open, ContinueAuthorization.Decide(world.Find<Authorization>(open)!, Live(), new(App, world.Find<Session>(session), Id(next++)), now), asked: false);
                    break;
                case Move.Allow or Move.Deny when request is { } open:
                    Answer(open, move == Move.Allow, scopes);
                    break;
                case Move.RevokeGrant:
                    world = world.And(RevokeGrant.Decide(Live(), new(Person, EndedBy.Person, ""), now).Events);
                    (allowed, refused, until) = ([], [], DateTimeOffset.MinValue);
                    break;
                case Move.RecordExpiry:
                    world = world.And([.. requests.SelectMany(r => RecordExpiry.Of(world.Find<Authorization>(r)!, now).Select(e => On(r, e))), .. grants.SelectMany(g => RecordExpiry.Of(world.Find<Grant>(g)!, now).Select(e => On(g, e)))]);
                    break;
                case Move.Wait:
                    now = now.AddSeconds(seconds);
                    break;
                default:
                    break;
            }

            Assert.True(grants.Count(grant => world.Find<Grant>(grant)!.LiveKey is not null) <= 1, "Two grants stand at once.");
            if (Live() is { } live && live.IsLive(now)) Assert.Equal((allowed, until), (live.Scopes, live.ExpiresAt));
            else Assert.True(until <= now, "What the person allowed is gone before its time.");
        }

        return (codes, silent);

        Grant? Live() => grants.Select(grant => world.Find<Grant>(grant)!).SingleOrDefault(grant => !grant.Ended);

        void SignIn()
        {
            if (world.Find<Session>(session)?.IsLive(now) == true) return;
            session = Id(next++);
            world = world.And(On(session, new SessionEvent.Started(Person, Authentication.ByPassword(now), now + Domain.Sessions.SignIn.Lifetime)));
        }

        void Answer(Guid id, bool yes, ScopeSet ticked)
        {
            SignIn();
            var authorization = world.Find<Authorization>(id)!;
            // A page is only there for who came through the question.
            Settle(id, ContinueAuthorization.Decide(authorization, Live(), new(App, world.Find<Session>(session), Id(next++)), now), asked: false);
            authorization = world.Find<Authorization>(id)!;
            var optional = authorization.Request.Scopes.Intersect(App.Metadata.OptionalScopes);
            var decision = AnswerConsent.Decide(authorization, Live(), new(App, world.Find<Session>(session), yes, ticked.Intersect(optional), Text, Id(next++), Id(next++)), now);
            if (decision is Accepted<NextStep>(NextStep.Answer, _))
            {
                Assert.True(yes, "A no became a code.");
                var kept = until > now ? (allowed, refused) : ([], []);
                var (said, not) = (authorization.Request.Scopes.Except(optional).Union(ticked.Intersect(optional)), optional.Except(ticked));
                (allowed, refused, until) = (kept.Item1.Union(said).Except(not), kept.Item2.Except(said).Union(not), now + App.Metadata.GrantLifetime);
            }

            Settle(id, decision, asked: true);
        }

        void Settle(Guid id, Decision<NextStep> decision, bool asked)
        {
            grants.AddRange(decision.Events.Where(e => e.Event is GrantEvent.Created).Select(e => e.Stream));
            world = world.And(decision.Events);
            var ends = decision.Events.Count(e => e.Event is AuthorizationEvent.CodeIssued or AuthorizationEvent.Refused or AuthorizationEvent.ConsentDenied);
            if (ends > 0) Assert.True(ends == 1 && answered.Add(id), "One request was answered twice.");
            if (decision.Events.Select(e => e.Event).OfType<AuthorizationEvent.CodeIssued>().SingleOrDefault() is not { } code) return;

            var request = world.Find<Authorization>(id)!.Request;
            codes++;
            if (!asked) silent++;
            Assert.True(now < until, "A code rests on a consent that is over.");
            Assert.Equal(request.Scopes.Intersect(allowed), code.Scopes);
            Assert.NotEmpty(code.Scopes);
            if (asked) return;
            Assert.False(request.Prompts(PromptValue.Consent), "The app wanted the person to be asked.");
            Assert.True(request.Scopes.IsSubsetOf(allowed.Union(refused)), "Something was never asked about.");
        }
    }
}
