using CsCheck;
using Grants.Api.Expiry;
using Grants.Api.Log;
using Grants.Domain.AccessGrants;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.TokenFamilies;
using Grants.Testing;
using JasperFx.Events.Daemon;
using Marten;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Grants.Api.Tests.Log;

/// <summary>Long families are read from their newest rotation on, and nobody can tell (L8).</summary>
public sealed class TailTests(AppFixture app) : IClassFixture<AppFixture>
{
    private const string Issuer = TestConfiguration.Issuer;
    private static readonly DateTimeOffset Noon = new(2026, 6, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly ScopeSet Scopes = ["openid", "balances", "offline_access"];
    private static readonly SubjectId Person = new(new Guid("01900000-0000-7000-8000-000000000007"));
    private static readonly Client Web = Client.Evolve(null, Guid.Empty, new ClientEvent.Registered(new ClientId("web"), new ClientMetadata { ClientName = "Web", GrantTypes = [GrantType.RefreshToken], Scope = Scopes }, Noon))!;

    [Fact, Trait("Law", "L8"), Trait("Law", "L2")]
    public async Task After_300_refreshes_a_family_decides_introspects_and_replays_as_its_whole_stream_does()
    {
        var grant = AGrant();
        var family = app.Fresh();
        await using var door = new Door(app);
        var happened = Life(family, grant, 300, e => e switch
        {
            // Ends long before the tail, and one in it.
            TokenFamilyEvent.RefreshTokenRotated { Generation: 40 } => [new TokenFamilyEvent.AccessTokenRevoked(7, EndedBy.Client, "", Noon)],
            TokenFamilyEvent.RefreshTokenRotated { Generation: 90 } => [new TokenFamilyEvent.AccessTokenExpired(3, Noon), new TokenFamilyEvent.AccessTokensExpired([11, 12], Noon)],
            TokenFamilyEvent.RefreshTokenRotated { Generation: 300 } => [new TokenFamilyEvent.AccessTokenRevoked(299, EndedBy.Client, "", Noon)],
            _ => [],
        });
        Assert.True(await door.Writer.AppendAsync(app.Appending(new Write(family, 0, happened))));
        var whole = Fold(family, happened);
        Assert.Equal(300, whole.Refresh!.Generation);
        Assert.Equal([3, 7, 11, 12, 299], whole.Ended.Order());
        var last = whole.Refresh.IssuedAt;

        await using var other = new Door(app);
        for (var round = 0; round < 2; round++) // read afresh, and known already
        {
            var tail = (await other.Log.Read([family], default)).Family(family)!;
            Same(whole, tail);
            foreach (var generation in (int[])[-1, 0, 1, 2, 150, 298, 299, 300, 301])
            {
                foreach (var now in (DateTimeOffset[])[last, last.AddSeconds(20), last.AddSeconds(31), last.AddDays(29), last.AddDays(31), last.AddDays(91)])
                {
                    var ask = new RefreshTokens.Request(Web, generation, null, Catalogue.Empty, Issuer);
                    Assert.Equal(RefreshTokens.Decide(whole, grant, ask, now), RefreshTokens.Decide(tail, grant, ask, now));
                }
            }

            Assert.IsType<Accepted<IssuedTokens>>(RefreshTokens.Decide(tail, grant, new(Web, 300, null, Catalogue.Empty, Issuer), last));
            Assert.Equal(2, RefreshTokens.Decide(tail, grant, new(Web, 150, null, Catalogue.Empty, Issuer), last).Events.Count); // a replay, and the end

            // One lookup for each token, many of them in one query.
            var asked = await Task.WhenAll(Enumerable.Range(0, 303).Select(async number =>
                (Number: number, Family: (await other.Log.Read([family], default, new AccessTokenId(family, grant.Id, number))).Family(family)!)));
            // What ran out says so itself (RFC 7519 §4.1.4); what was revoked only the log knows.
            Assert.All(asked, one => Assert.Equal(one.Number is 3 or 11 or 12 || whole.Stands(one.Number), one.Family.Stands(one.Number)));
            Assert.All(asked, one => Same(whole, one.Family));
        }

        // The recorder of expiries needs every end since the tokens' issue.
        Assert.Equal(whole.Ended.Order(), (await EndingsAsync(other, family, 0)).Order());
        var version = happened.FindIndex(e => e is TokenFamilyEvent.AccessTokenExpired) + 1;
        Assert.Equal([3, 11, 12, 299], (await EndingsAsync(other, family, version - 1)).Order());
        Assert.Equal([11, 12, 299], (await EndingsAsync(other, family, version)).Order());
        Assert.Equal([299], (await other.Log.Read([family], default)).Family(family)!.Ended); // and nobody else carries them along

        // It goes on from the tail.
        var decision = await other.Log.Commit(Sample.ByTest, [family], (streams, _) => RefreshTokens.Decide(streams.Family(family), grant, new(Web, 300, null, Catalogue.Empty, Issuer), last.AddMinutes(1)), default);
        Assert.Equal(301, ((Accepted<IssuedTokens>)decision).Value.RefreshGeneration);
        Assert.Equal(Enumerable.Range(1, happened.Count + decision.Events.Count), (await app.EventsAsync(family)).Select(e => (int)e.Version));
    }

    [Fact, Trait("Law", "L8")]
    public async Task The_300th_refresh_reads_a_handful_of_rows_as_the_3rd_does()
    {
        // Nobody else may read events meanwhile.
        await app.CatchUpAsync();
        await app.Services.GetRequiredService<IProjectionCoordinator>().PauseAsync();
        try
        {
            var grant = AGrant();
            var (young, old) = (app.Fresh(), app.Fresh());
            await using (var door = new Door(app))
            {
                Assert.True(await door.Writer.AppendAsync(app.Appending(new Write(young, 0, Life(young, grant, 3)))));
                Assert.True(await door.Writer.AppendAsync(app.Appending(new Write(old, 0, Life(old, grant, 300)))));
            }

            await app.ExecuteAsync("analyze grants.mt_events");
            app.Services.GetRequiredService<NpgsqlDataSource>().Clear(); // a backend reports what it read when it ends
            // The whole stream would be 900; what else the server reads meanwhile is a handful.
            Assert.InRange(await RowsReadAsync(young, 3), 1, 40);
            Assert.InRange(await RowsReadAsync(old, 300), 1, 40);
        }
        finally
        {
            await app.Services.GetRequiredService<IProjectionCoordinator>().ResumeAsync();
        }
    }

    [Fact, Trait("Law", "L8"), Trait("Law", "L3"), Trait("Attack", "E14"), Trait("Attack", "T23")]
    public async Task What_another_node_wrote_between_two_reads_is_seen_by_the_second()
    {
        await using var here = new Door(app);
        await using var there = new Door(app);
        for (var seed = 1u; seed <= 6; seed++)
        {
            var random = new PCG(seed, 2026);
            var grant = AGrant();
            var family = app.Fresh();
            var happened = new List<TokenFamilyEvent>();
            Assert.Null((await here.Log.Read([family], default)).Family(family));
            happened.AddRange(Life(family, grant, 1));
            Assert.True(await there.Writer.AppendAsync(app.Appending(new Write(family, 0, [.. happened]))));
            for (var step = 0; step < 25; step++)
            {
                var state = Fold(family, happened);
                if (random.Next(4) == 0) Same(state, (await here.Log.Read([family], default)).Family(family)!); // two reads with nothing between
                var at = Noon.AddMinutes(step);
                TokenFamilyEvent[] news = random.Next(6) switch
                {
                    0 => [new TokenFamilyEvent.AccessTokenRevoked(1 + (int)random.Next((uint)state.AccessTokens), EndedBy.Client, "", at)],
                    1 => [new TokenFamilyEvent.AccessTokensExpired([1, state.AccessTokens], at)],
                    2 when step > 18 => [new TokenFamilyEvent.Revoked(EndedBy.Client, "", at)],
                    3 => [.. Refresh(state, grant, at), .. Refresh(Fold(family, [.. happened, .. Refresh(state, grant, at)]), grant, at.AddSeconds(40))], // two at once
                    _ => Refresh(state, grant, at),
                };
                if (random.Next(3) == 0)
                {
                    await using var session = app.Store.LightweightSession();
                    session.Events.Append(family, news);
                    await session.SaveChangesAsync();
                }
                else
                {
                    Assert.True(await there.Writer.AppendAsync(app.Appending(new Write(family, happened.Count, news))));
                }

                happened.AddRange(news);
                Same(Fold(family, happened), (await here.Log.Read([family], default)).Family(family)!);
                // A token whose end came before the newest rotation is still known to have been revoked when asked by name.
                var number = 1 + (int)random.Next((uint)state.AccessTokens);
                var revoked = Fold(family, happened).Revoked || happened.OfType<TokenFamilyEvent.AccessTokenRevoked>().Any(e => e.Number == number);
                var standing = (await here.Log.Read([family], default, new AccessTokenId(family, grant.Id, number))).Family(family)!;
                if (revoked) Assert.False(standing.Stands(number));
                else if (!Fold(family, happened).Ended.Contains(number)) Assert.True(standing.Stands(number));
            }
        }
    }

    [Fact, Trait("Law", "L7"), Trait("Attack", "E6")]
    public async Task The_end_of_a_token_is_recorded_once_though_its_family_was_renewed_and_the_view_is_behind()
    {
        await using var own = new AppFixture();
        await own.InitializeAsync();
        var (tokens, _, _, _) = await own.ConnectAsync(TestClient.Tally);
        using var http = own.NewClient();
        own.Clock.Advance(TimeSpan.FromMinutes(6));
        await own.CatchUpAsync();
        await own.Services.GetRequiredService<IProjectionCoordinator>().PauseAsync(); // from here on the list of deadlines stands still
        var recorder = own.Services.GetRequiredService<ExpiryRecorder>();
        Assert.True(await recorder.RecordAsync(default) > 0);
        Assert.True((await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken)).Ok);
        await recorder.RecordAsync(default);

        var ends = (await own.EventsAsync(tokens.Streams().Family)).Select(e => e.Data).ToList();
        Assert.Equal([1], ends.SelectMany(e => e switch
        {
            TokenFamilyEvent.AccessTokenExpired one => [one.Number],
            TokenFamilyEvent.AccessTokensExpired many => many.Numbers,
            _ => Enumerable.Empty<int>(),
        }));
    }

    private static async Task<IEnumerable<int>> EndingsAsync(Door door, Guid family, long since) =>
        (await door.Loader.SweepAsync([new StreamToRead(family, since)], default)).Family(family)!.Ended;

    /// <summary>All but the ends of single tokens, which no decision about the family needs.</summary>
    private static void Same(TokenFamily whole, TokenFamily tail) => Assert.Equal(whole with { Ended = [] }, tail with { Ended = [] });

    private static TokenFamily Fold(Guid family, IEnumerable<TokenFamilyEvent> happened) => happened.Aggregate((TokenFamily?)null, (state, e) => TokenFamily.Evolve(state, family, e))!;

    private static TokenFamilyEvent[] Refresh(TokenFamily state, Grant grant, DateTimeOffset now) => state.IsDead
        ? [new TokenFamilyEvent.AccessTokensExpired([1], now)]
        : [.. RefreshTokens.Decide(state, grant, new(Web, state.Refresh!.Generation, null, Catalogue.Empty, Issuer), now).Events.Select(e => (TokenFamilyEvent)e.Event)];

    private Grant AGrant() => Grant.Evolve(null, app.Fresh(), new GrantEvent.Created(Person, Web.ClientId, app.Fresh(), Scopes, [], Noon, Noon.AddDays(90)))!;

    /// <summary>A family as the real decisions make it, one refresh a minute.</summary>
    private static List<TokenFamilyEvent> Life(Guid family, Grant grant, int generations, Func<TokenFamilyEvent, TokenFamilyEvent[]>? then = null)
    {
        var facts = new FamilyFacts(Web.ClientId, Person, grant.Id, null, Scopes, Authentication.ByPassword(Noon));
        var happened = new List<TokenFamilyEvent>
        {
            new TokenFamilyEvent.AccessTokenIssued(1, facts, Scopes, [Issuer], Noon, Noon.AddMinutes(5)),
            new TokenFamilyEvent.RefreshTokenIssued(facts, 1, Noon, Noon.AddDays(30), grant.ExpiresAt),
        };
        var state = Fold(family, happened);
        while (state.Refresh!.Generation < generations)
        {
            var news = Refresh(state, grant, state.Refresh.IssuedAt.AddMinutes(1)).SelectMany(e => (TokenFamilyEvent[])[e, .. then?.Invoke(e) ?? []]).ToList();
            happened.AddRange(news);
            state = news.Aggregate(state, (now, e) => TokenFamily.Evolve(now, family, e)!);
        }

        return happened;
    }

    /// <summary>How many rows of mt_events the database touched for one read of a family that the door doesn't know yet.</summary>
    private async Task<long> RowsReadAsync(Guid family, int generation)
    {
        var before = await SettledAsync(-1);
        await using (var door = new Door(app))
        {
            Assert.Equal(generation, (await door.Log.Read([family], default)).Family(family)!.Refresh!.Generation);
        }

        return await SettledAsync(before) - before;
    }

    /// <summary>The count once it is above this and changes no more.</summary>
    private async Task<long> SettledAsync(long above)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        using var pause = new PeriodicTimer(TimeSpan.FromMilliseconds(300));
        for (long last = -1, now; ; last = now)
        {
            await pause.WaitForNextTickAsync(limit.Token);
            now = await TouchedAsync();
            if (now > above && now == last) return now;
        }
    }

    private async Task<long> TouchedAsync()
    {
        await using var command = app.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand("select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where schemaname = 'grants' and relname = 'mt_events'");
        return (long)(await command.ExecuteScalarAsync())!;
    }
}
