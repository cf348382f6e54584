using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using CsCheck;
using Grants.Api.Log;
using Grants.Domain;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.Subjects;
using Grants.Domain.TokenFamilies;
using Grants.Testing;
using Microsoft.AspNetCore.WebUtilities;

namespace Grants.Api.Tests.Log;

/// <summary>
/// Random commands over a few streams, a dozen at a time, through two doors. Whatever comes of it must be explainable one command after
/// the other, in an order that agrees with the clock on the wall.
/// </summary>
public sealed class HistoriesTests(AppFixture app) : IClassFixture<AppFixture>
{
    private const int Commands = 300;
    private const int Callers = 12;
    private const uint Seeds = 8;

    private enum Move { Redeem, RefreshNewest, RefreshPrevious, RefreshOldest, Introspect, RevokeToken, RevokeFamily, RevokeGrant, NarrowGrant, IssueClientToken, SuspendPerson, SuspendClient, RecordExpiry, Wait }

    private static readonly Gen<(Move Move, int Which, int How)> Moves = Gen.Select(Gen.Frequency(
        (24, Gen.Const(Move.Redeem)), (80, Gen.Const(Move.RefreshNewest)), (10, Gen.Const(Move.RefreshPrevious)), (2, Gen.Const(Move.RefreshOldest)), (12, Gen.Const(Move.Introspect)),
        (10, Gen.Const(Move.RevokeToken)), (2, Gen.Const(Move.RevokeFamily)), (1, Gen.Const(Move.RevokeGrant)), (8, Gen.Const(Move.NarrowGrant)), (12, Gen.Const(Move.IssueClientToken)),
        (12, Gen.Const(Move.SuspendPerson)), (6, Gen.Const(Move.SuspendClient)), (5, Gen.Const(Move.RecordExpiry)), (6, Gen.Const(Move.Wait))),
        Gen.Int[0, 1_000], Gen.Int[0, 1_000]);

    [Fact, Trait("Law", "L2"), Trait("Law", "L3"), Trait("Law", "L7"), Trait("Law", "L8"), Trait("Attack", "E2"), Trait("Attack", "E14")]
    public async Task Whatever_is_asked_at_once_is_answered_as_if_one_after_the_other()
    {
        await using var one = new Door(app);
        await using var other = new Door(app);
        var histories = new List<History>();
        for (var seed = 1u; seed <= Seeds; seed++)
        {
            var position = await app.PositionAsync();
            var world = new World(app, seed);
            await world.BeginAsync();
            var moves = Enumerable.Range(1, Commands).Select(i => Moves.Generate(new PCG((uint)i, seed), null, out _)).ToList();
            var history = new History($"seed {seed}, command ");
            var next = -1;
            await Task.WhenAll(Enumerable.Range(0, Callers).Select(_ => Task.Run(async () =>
            {
                for (int i; (i = Interlocked.Increment(ref next)) < Commands;) await world.PlayAsync(history, (i % 2 == 0 ? one : other).Log, moves[i].Move, moves[i].Which, moves[i].How);
            })));

            var log = await app.EventsAfterAsync(position);
            history.IsExplainedBy(log);
            LogLaws.Hold(log);
            histories.Add(history);
        }

        // And they were histories worth checking.
        var story = string.Join(Environment.NewLine, histories);
        Assert.True(histories.TrueForAll(history => history.Attempts > history.Commands.Count), story);
        Assert.DoesNotContain(histories, history => history.Commands.Any(command => command.GaveUp));
        foreach (var (move, least) in ((Move, int)[])[(Move.Redeem, 30), (Move.RefreshNewest, 30), (Move.RefreshPrevious, 1), (Move.RevokeToken, 3), (Move.SuspendPerson, 10), (Move.SuspendClient, 10), (Move.NarrowGrant, 10), (Move.IssueClientToken, 20), (Move.RecordExpiry, 3)])
            Assert.True(histories.Sum(history => history.Commands.Count(command => command.What == move.ToString() && command.Written.Count > 0)) >= least, $"{move}: {story}");
    }

    /// <summary>Two clients, two people, what each of them allowed, and some codes.</summary>
    private sealed class World(GrantsApp app, uint seed)
    {
        private const string Verifier = "a-verifier-of-the-tests-0123456789-0123456789-x";
        private static readonly ScopeSet Scopes = ["openid", "balances", "offline_access"];
        private readonly ConcurrentDictionary<Guid, int> _newest = new();
        private readonly ConcurrentDictionary<Guid, ConcurrentBag<(int Number, DateTimeOffset ExpiresAt)>> _tokens = new();
        private int _redeemed = -1;
        private (Guid Id, ClientId Name)[] _clients = [];
        private Guid[] _people = [];
        private (Guid Id, int Client, int Person)[] _grants = [];
        private (Guid Id, Guid Family, int Grant)[] _codes = [];

        public async Task BeginAsync()
        {
            var now = app.Clock.GetUtcNow();
            _clients = [.. Enumerable.Range(0, 2).Select(i => (app.Fresh(), new ClientId($"client-{seed}-{i}")))];
            _people = [app.Fresh(), app.Fresh()];
            _grants = [(app.Fresh(), 0, 0), (app.Fresh(), 1, 0), (app.Fresh(), 0, 1), (app.Fresh(), 1, 1)];
            _codes = [.. Enumerable.Range(0, 20).Select(i => (app.Fresh(), app.Fresh(), (i % 8) switch { 4 => 1, 7 => 3, var n => 2 * (n % 2) }))];
            var challenge = new CodeChallenge(WebEncoders.Base64UrlEncode(SHA256.HashData(Encoding.ASCII.GetBytes(Verifier))));
            var web = new ClientMetadata { ClientName = "Web", RedirectUris = ["https://web.example/cb"], GrantTypes = GrantType.Supported, Scope = Scopes, AccessTokenLifetime = TimeSpan.FromSeconds(45) };
            await app.AppendAsync(
            [
                new(_clients[0].Id, new ClientEvent.Registered(_clients[0].Name, web, now)),
                new(_clients[1].Id, new ClientEvent.Registered(_clients[1].Name, web with { RefreshRetryWindow = TimeSpan.Zero, RefreshTokenIdle = TimeSpan.FromMinutes(6) }, now)),
                .. _people.Select((person, i) => new StreamEvent(person, new SubjectEvent.Registered($"login-{seed}-{i}", new SealedText("v1.k.c"), new SealedText("v1.k.c"), [], now))),
                .. _grants.Select((grant, i) => new StreamEvent(grant.Id, new GrantEvent.Created(new SubjectId(_people[grant.Person]), _clients[grant.Client].Name, _codes[i].Id, Scopes, [], now, i == 2 ? now.AddMinutes(9) : now.AddDays(90)))),
                .. _codes.SelectMany((code, i) => (IDomainEvent[])
                [
                    new AuthorizationEvent.Requested(new AuthorizationRequest(_clients[_grants[code.Grant].Client].Name, new RedirectUri("https://web.example/cb"), true, "query", Scopes, challenge, [], null, null, null), "browser", now, now.AddMinutes(15)),
                    new AuthorizationEvent.SubjectAuthenticated(new SubjectId(_people[_grants[code.Grant].Person]), code.Id, Authentication.ByPassword(now), now),
                    new AuthorizationEvent.CodeIssued(_grants[code.Grant].Id, code.Family, Scopes, now, i % 7 == 6 ? now.AddMinutes(1) : now.AddMinutes(12)),
                ], (code, happened) => new StreamEvent(code.Id, happened)),
            ]);
        }

        public async Task PlayAsync(History history, EventLog log, Move move, int which, int how)
        {
            var code = Choose(move, which, how);
            var grant = _grants[code.Grant];
            var client = _clients[grant.Client];
            var person = _people[grant.Person];
            Guid[] reliesOn = [client.Id, person];
            var what = move.ToString();
            switch (move)
            {
                case Move.Redeem:
                    Note(await history.PlayAsync(log, what, [code.Id, grant.Id, code.Family], reliesOn, (read, now) => RedeemCode.Decide(read.Authorization(code.Id), GrantOf(read, grant.Id, person), read.Family(code.Family),
                        new(read.Client(client.Id)!, new RedirectUri("https://web.example/cb"), new Secret(Verifier), Catalogue.Empty, TestConfiguration.Issuer), now), begins: code.Family));
                    break;
                case Move.RefreshNewest or Move.RefreshPrevious or Move.RefreshOldest:
                    var newest = _newest.GetValueOrDefault(code.Family, 1);
                    var generation = move == Move.RefreshNewest ? newest : move == Move.RefreshPrevious && client.Id == _clients[0].Id ? Math.Max(1, newest - 1) : how % 6 == 0 ? 1 : newest;
                    Note(await history.PlayAsync(log, what, [code.Family, grant.Id], reliesOn, (read, now) => RefreshTokens.Decide(read.Family(code.Family), GrantOf(read, grant.Id, person),
                        new(read.Client(client.Id)!, generation, null, Catalogue.Empty, TestConfiguration.Issuer), now)));
                    break;
                case Move.IssueClientToken:
                    var family = app.Fresh();
                    await history.PlayAsync(log, what, [], [client.Id], (read, now) => IssueClientToken.Decide(new(read.Client(client.Id)!, ["balances"], family, Declared, TestConfiguration.Issuer), now));
                    break;
                case Move.Introspect:
                    var asked = TokenOf(code.Family, grant.Id, how);
                    await history.PlayAsync(log, what, [code.Family, grant.Id, .. reliesOn], [], (read, now) =>
                        Decide.Accept(now < asked.ExpiresAt && read.Family(code.Family) is { } tokens && tokens.Stands(asked.Id.Number) && GrantOf(read, grant.Id, person) is { } lives && lives.IsLive(now) && read.Client(client.Id)!.IsActive), asked.Id);
                    break;
                case Move.RevokeToken or Move.RevokeFamily:
                    var token = TokenOf(code.Family, grant.Id, how);
                    await history.PlayAsync(log, what, [code.Family, grant.Id], [], (read, now) => move == Move.RevokeToken && now >= token.ExpiresAt
                        ? Decide.Accept(false) // the endpoint looks at the clock first
                        : RevokeToken.Decide(read.Family(code.Family), read.Grant(grant.Id), new(client.Name, move == Move.RevokeToken ? token.Id.Number : null), now), token.Id);
                    break;
                case Move.RevokeGrant:
                    await history.PlayAsync(log, what, [grant.Id], [], (read, now) => RevokeGrant.Decide(read.Grant(grant.Id), new(null, EndedBy.Person, ""), now));
                    break;
                case Move.NarrowGrant:
                    await history.PlayAsync(log, what, [grant.Id], [], (read, now) => read.Grant(grant.Id)!.IsLive(now)
                        ? Decide.Accept(true, new StreamEvent(grant.Id, new GrantEvent.Narrowed(code.Id, how % 3 == 0 ? ["openid"] : [], now)))
                        : Decide.Accept(false));
                    break;
                case Move.SuspendPerson: // and back again, or nothing else would happen any more
                    await history.PlayAsync(log, what, [person], [], (read, now) => read.Subject(person)!.IsActive ? Decide.Accept(true, new StreamEvent(person, new SubjectEvent.Suspended("", now))) : Decide.Accept(false));
                    await history.PlayAsync(log, "ResumePerson", [person], [], (read, now) => read.Subject(person)!.IsActive ? Decide.Accept(false) : Decide.Accept(true, new StreamEvent(person, new SubjectEvent.Resumed(now))));
                    break;
                case Move.SuspendClient:
                    await history.PlayAsync(log, what, [client.Id], [], (read, now) => read.Client(client.Id)!.IsActive ? Decide.Accept(true, new StreamEvent(client.Id, new ClientEvent.Suspended("", now))) : Decide.Accept(false));
                    await history.PlayAsync(log, "ResumeClient", [client.Id], [], (read, now) => read.Client(client.Id)!.IsActive ? Decide.Accept(false) : Decide.Accept(true, new StreamEvent(client.Id, new ClientEvent.Resumed(now))));
                    break;
                case Move.RecordExpiry:
                    var items = _codes.ToDictionary(one => one.Family, one => _tokens.GetValueOrDefault(one.Family)?.ToArray() ?? []);
                    await history.PlayEachAsync(log, what, [.. _codes.SelectMany(one => (Guid[])[one.Id, one.Family]), .. _grants.Select(one => one.Id)], (read, id, now) => new(Expired(read, id, items, now).Select(e => new StreamEvent(id, e))));
                    break;
                case Move.Wait:
                    app.Clock.Advance(TimeSpan.FromSeconds(((int[])[1, 8, 29, 31, 61])[how % 5]));
                    break;
                default:
                    throw new System.Diagnostics.UnreachableException();
            }
        }

        /// <summary>The only permission that clients ask for on their own account.</summary>
        private static readonly Catalogue Declared = Catalogue.Evolve(null, Catalogue.StreamId, new CatalogueEvent.ScopeDeclared(new ScopeDefinition("balances", "See balances", "see", null, null), DateTimeOffset.UnixEpoch));

        private static IEnumerable<IDomainEvent> Expired(StreamsRead read, Guid id, Dictionary<Guid, (int, DateTimeOffset)[]> items, DateTimeOffset now) => (read.Authorization(id), read.Grant(id), read.Family(id)) switch
        {
            ({ } authorization, _, _) => RecordExpiry.Of(authorization, now),
            (_, { } grant, _) => RecordExpiry.Of(grant, now),
            (_, _, { } family) => RecordExpiry.Of(family, items[id], now),
            _ => [],
        };

        /// <summary>As the token endpoint sees it: nothing comes of a suspended person's grant.</summary>
        private static Grant? GrantOf(StreamsRead read, Guid grant, Guid person) => read.Subject(person) is { IsActive: true } ? read.Grant(grant) : null;

        /// <summary>Mostly a code that nobody has used yet, and of the families one of the newest, so that callers meet.</summary>
        private (Guid Id, Guid Family, int Grant) Choose(Move move, int which, int how)
        {
            if (move == Move.Redeem) return _codes[how % 8 > 0 ? Interlocked.Increment(ref _redeemed) % _codes.Length : which % _codes.Length];
            var begun = _codes.Where(code => _newest.ContainsKey(code.Family)).ToList();
            return begun.Count == 0 ? _codes[which % _codes.Length] : begun[^(1 + which % Math.Min(3, begun.Count))];
        }

        /// <summary>A token that somebody was given, and until when it says that it is good.</summary>
        private (AccessTokenId Id, DateTimeOffset ExpiresAt) TokenOf(Guid family, Guid grant, int how)
        {
            var given = _tokens.GetValueOrDefault(family)?.ToArray() ?? [];
            var (number, expiresAt) = given.Length == 0 ? (1, DateTimeOffset.MinValue) : given[how % given.Length];
            return (new AccessTokenId(family, grant, number), expiresAt);
        }

        private void Note(Decision<IssuedTokens>? decision)
        {
            if (decision is not Accepted<IssuedTokens>(var tokens, _)) return;
            _tokens.GetOrAdd(tokens.Family, _ => []).Add((tokens.AccessToken.Number, tokens.AccessToken.ExpiresAt));
            if (tokens.RefreshGeneration is { } generation) _newest.AddOrUpdate(tokens.Family, generation, (_, known) => Math.Max(known, generation));
        }
    }
}
