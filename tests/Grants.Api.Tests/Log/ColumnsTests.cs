using System.Text.Json.Nodes;
using Grants.Api.Log;
using Grants.Domain.Authorizations;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.TokenFamilies;
using Grants.Projections;
using Grants.Testing;
using JasperFx.Events;
using Marten;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Grants.Api.Tests.Log;

/// <summary>The batch writes by itself what Marten's own append would write: every column, also those that a later version of Marten adds.</summary>
public sealed class ColumnsTests(AppFixture app) : IClassFixture<AppFixture>
{
    private static readonly DateTimeOffset At = new(2026, 3, 4, 5, 6, 7, 891, TimeSpan.Zero);
    private static readonly ScopeSet Scopes = ["openid", "balances", "offline_access"];
    private static readonly Cause Bare = new("client:tally", "request-1", "POST /token");
    private static readonly Cause Full = Bare with { Client = new ClientId("tally \"ü\" <&>"), Session = new Guid("01900000-0000-7000-8000-000000000002"), Origin = new SealedText("v1.k.c+/="), Network = "net" };

    // What must differ: ids, and the places in the log. The times of the events are given, those of the streams are the database's.
    private static readonly string[] Own = ["seq_id", "id", "stream_id"];
    private static readonly string[] OwnOfStreams = ["id", "timestamp", "created"];

    private static readonly IDomainEvent[][] Family =
    [
        [
            new TokenFamilyEvent.AccessTokenIssued(1, Facts(), Scopes, ["https://bank.example", "http://localhost:5100"], At, At.AddMinutes(5)),
            new TokenFamilyEvent.RefreshTokenIssued(Facts(), 1, At, At.AddDays(30), At.AddDays(90)),
            new TokenFamilyEvent.IdTokenIssued(At, At.AddMinutes(10)),
        ],
        [new TokenFamilyEvent.RefreshTokenRotated(2, Facts(), 1, At.AddTicks(1), At.AddDays(30), At.AddDays(90))],
        [new TokenFamilyEvent.AccessTokensExpired([1, 2], At), new TokenFamilyEvent.Revoked(EndedBy.Person, "quotes \" and \\ and 😀 and \u2028", At)],
    ];

    private static readonly IDomainEvent[][] Authorization =
    [
        [new AuthorizationEvent.Requested(new AuthorizationRequest(new ClientId("tally"), new RedirectUri("https://tally.example/cb?a=1&b=ü"), true, "query", Scopes, new CodeChallenge("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), ["login"], 60, null, new SealedText("v1.k.c")), "browser", At, At.AddMinutes(15))],
        [new AuthorizationEvent.Refused("access_denied", At), new AuthorizationEvent.Abandoned(At)],
    ];

    private static readonly IDomainEvent[][] Session = [[Sample.Started(1), Sample.Proof(2)], [new SessionEvent.Ended(EndedBy.Operator, "", At)]];

    public static TheoryData<bool> WithAndWithoutHeaders => [true, false];

    [Theory, Trait("Law", "L5"), Trait("Law", "L11")]
    [MemberData(nameof(WithAndWithoutHeaders))]
    public async Task The_batch_fills_every_column_as_an_ordinary_session_does(bool headers)
    {
        var cause = headers ? Full : Bare;
        await using var door = new Door(app);
        foreach (var steps in (IDomainEvent[][][])[Family, Authorization, Session])
        {
            var (batched, ordinary) = (app.Fresh(), app.Fresh());
            var version = 0L;
            foreach (var events in steps)
            {
                Assert.True(await door.Writer.AppendAsync(new Append(cause, "the cause", At, [new Write(batched, version, events)])));
                await AppendOrdinarilyAsync(ordinary, version, events, cause);
                version += events.Length;
            }

            await SameAsync("mt_events", "stream_id", Own, batched, ordinary, (int)version);
            await SameAsync("mt_streams", "id", OwnOfStreams, batched, ordinary, 1);
        }
    }

    [Fact, Trait("Law", "L2")]
    public async Task Ordinary_sessions_and_the_door_take_turns_on_one_stream()
    {
        await using var door = new Door(app);
        var stream = app.Fresh();
        Assert.True(await door.Writer.AppendAsync(app.Appending(new Write(stream, 0, [Sample.Started(1), Sample.Proof(2)]))));

        // Marten knows the stream, its kind and its version, and goes on from there.
        await using (var session = app.Store.LightweightSession())
        {
            var state = (await session.Events.FetchStreamStateAsync(stream))!;
            Assert.Equal((2, typeof(Session), false), (state.Version, state.AggregateType, state.IsArchived));
            Assert.InRange(app.Clock.GetUtcNow() - state.LastTimestamp, TimeSpan.FromMinutes(-1), TimeSpan.FromMinutes(1));
            Assert.Equal(state.LastTimestamp, state.Created);
            session.Events.Append(stream, 3, Sample.Proof(3)); // the version that it will have
            await session.SaveChangesAsync();
        }

        await using (var session = app.Store.LightweightSession())
        {
            await session.Events.AppendOptimistic(stream, Sample.Proof(4));
            // The door in between: now the session is the one that comes too late.
            Assert.True(await door.Writer.AppendAsync(app.Appending(Sample.Next(stream, 3))));
            await Assert.ThrowsAnyAsync<JasperFx.ConcurrencyException>(() => session.SaveChangesAsync());
        }

        // And the other way round.
        await using (var session = app.Store.LightweightSession())
        {
            await session.Events.AppendExclusive(stream, Sample.Proof(4));
            await session.SaveChangesAsync();
        }

        Assert.False(await door.Writer.AppendAsync(app.Appending(Sample.Next(stream, 4))));
        Assert.True(await door.Writer.AppendAsync(app.Appending(Sample.Next(stream, 5))));

        var events = await app.EventsAsync(stream);
        Assert.Equal([1, 2, 3, 3, 4, 5], events.Select(e => Sample.NumberOf(e.Data)));
        Assert.Equal([1, 2, 3, 4, 5, 6], events.Select(e => e.Version));
        Assert.Equal(events.Select(e => e.Sequence).Order(), events.Select(e => e.Sequence));
        await using var query = app.Store.QuerySession();
        Assert.Equal(2, (await query.Events.FetchStreamAsync(stream, version: 2)).Count);
        Assert.Equal(6, (await query.Events.QueryAllRawEvents().Where(e => e.StreamId == stream).ToListAsync()).Count);
    }

    [Fact, Trait("Attack", "E8")]
    public async Task What_the_door_wrote_reaches_the_asynchronous_views()
    {
        await using var door = new Door(app);
        var stream = app.Fresh();
        Assert.True(await door.Writer.AppendAsync(new Append(Full, "the cause", At, [new Write(stream, 0, Family[0])])));
        await app.CatchUpAsync();
        await using var command = app.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand($"select count(*) from {GrantsStore.Schema}.{GrantsStore.AsyncViews[1]} where family = $1");
        command.Parameters.Add(new NpgsqlParameter { Value = stream });
        Assert.NotEqual(0L, await command.ExecuteScalarAsync());
    }

    private static FamilyFacts Facts() => new(new ClientId("tally"), new SubjectId(new Guid("01900000-0000-7000-8000-000000000003")), new Guid("01900000-0000-7000-8000-000000000004"), null, Scopes, Authentication.ByPassword(At));

    private async Task AppendOrdinarilyAsync(Guid stream, long version, IDomainEvent[] events, Cause cause)
    {
        await using var session = app.Store.LightweightSession();
        var marked = events.Select(object (happened) =>
        {
            var e = session.Events.BuildEvent(happened);
            (e.Timestamp, e.UserName, e.CorrelationId, e.CausationId) = (At, cause.ActorOf(happened), cause.Request, "the cause");
            if (cause.Client is { } client) e.SetHeader(EventMetadata.Client, client.Value);
            if (cause.Session is { } id) e.SetHeader(EventMetadata.Session, id.ToString("N"));
            if (cause.Origin is { } origin) e.SetHeader(EventMetadata.Origin, origin.Value);
            if (cause.Network is { } network) e.SetHeader(EventMetadata.Network, network);
            return e;
        }).ToArray();
        if (version == 0) session.Events.StartStream(EventNames.StreamOf(events[0]), stream, marked);
        else session.Events.Append(stream, marked);
        await session.SaveChangesAsync();
    }

    /// <summary>Compares whole rows as the database shows them, so that a column which this test doesn't know is compared, too.</summary>
    private async Task SameAsync(string table, string key, string[] own, Guid batched, Guid ordinary, int rows)
    {
        var columns = await ColumnsAsync(table);
        Assert.Empty(own.Except(columns));
        var (ours, theirs) = (await RowsAsync(table, key, batched), await RowsAsync(table, key, ordinary));
        Assert.Equal(rows, ours.Count);
        Assert.Equal(rows, theirs.Count);
        foreach (var (one, other) in ours.Zip(theirs))
        {
            Assert.Equal(columns, one.Select(column => column.Key).Order());
            foreach (var column in columns)
            {
                // Text of jsonb is compared, not its meaning: the same bytes in the table.
                if (own.Contains(column)) Assert.Equal(other[column] is null, one[column] is null);
                else Assert.Equal($"{column}: {other[column]?.ToJsonString()}", $"{column}: {one[column]?.ToJsonString()}");
            }
        }
    }

    private async Task<IReadOnlyList<string>> ColumnsAsync(string table)
    {
        await using var command = app.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand("select array_agg(column_name::text) from information_schema.columns where table_schema = 'grants' and table_name = $1");
        command.Parameters.Add(new NpgsqlParameter { Value = table });
        return [.. ((string[])(await command.ExecuteScalarAsync())!).Order()];
    }

    private async Task<IReadOnlyList<JsonObject>> RowsAsync(string table, string key, Guid stream)
    {
#pragma warning disable CA2100 // Names of this file.
        await using var command = app.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand($"select to_jsonb(t)::text from grants.{table} t where {key} = $1 order by version");
#pragma warning restore CA2100
        command.Parameters.Add(new NpgsqlParameter { Value = stream });
        await using var reader = await command.ExecuteReaderAsync();
        var rows = new List<JsonObject>();
        while (await reader.ReadAsync()) rows.Add(JsonNode.Parse(reader.GetString(0))!.AsObject());
        return rows;
    }
}
