using System.Diagnostics;
using System.Net;
using System.Text.Json.Nodes;
using Grants.Api.Http;
using Grants.Api.Log;
using Grants.Api.Tests.Http;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Grants.Domain.TokenFamilies;
using Grants.Testing;
using Marten;
using Marten.Services;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace Grants.Api.Tests.Log;

/// <summary>What nodes keep in memory: told of changes, and never the last word where it matters (E14, T23).</summary>
public sealed class ChangesTests(TwoNodes nodes) : IClassFixture<TwoNodes>
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    [Fact, Trait("Attack", "E14")]
    public async Task What_config_apply_changed_on_one_node_the_other_knows_within_the_bound()
    {
        var secret = Witness.Saw("client secret", Journey.Random(24));
        var client = new TestClient("changing", secret, "", "balances");
        await DeclareAsync("Before", secret);
        await ListeningAsync(nodes.Second);
        using var http = nodes.Second.NewClient();
        Assert.True((await http.TokenAsync(client, ("grant_type", "client_credentials"))).Ok);
        Assert.Equal("Before", await NameAsync(nodes.Second)); // kept from here on

        var next = Witness.Saw("client secret", Journey.Random(24));
        await DeclareAsync("After", next);
        Assert.Equal("After", await NameAsync(nodes.First)); // the node itself forgot at once
        await UntilAsync(async () => await NameAsync(nodes.Second) == "After" && (await http.TokenAsync(client with { Secret = next }, ("grant_type", "client_credentials"))).Ok);

        // A retired secret counts nowhere any more.
        var old = (await nodes.Second.Services.GetRequiredService<Lookups>().ClientAsync(new ClientId("changing"), default))!.Secrets[0].KeyId;
        await nodes.First.AppendAsync(new StreamEvent(await nodes.First.StreamOfAsync(client), new ClientEvent.SecretRetired(old, nodes.First.Clock.GetUtcNow())));
        await UntilAsync(async () => (await http.TokenAsync(client, ("grant_type", "client_credentials"))).Response.StatusCode == HttpStatusCode.Unauthorized);

        async Task<string> NameAsync(GrantsApp node) => (await node.Services.GetRequiredService<Lookups>().ClientAsync(new ClientId("changing"), default))!.Metadata.ClientName;

        Task DeclareAsync(string name, string secret) => nodes.First.DeclareAsync(new JsonObject
        {
            ["clients"] = new JsonArray(new JsonObject { ["client_id"] = "changing", ["client_secret"] = secret, ["client_name"] = name, ["grant_types"] = new JsonArray("client_credentials"), ["scope"] = "balances" }),
        });
    }

    [Fact, Trait("Law", "L3"), Trait("Attack", "T23"), Trait("Attack", "E14")]
    public async Task A_client_or_person_suspended_elsewhere_gets_nothing_though_this_node_has_not_heard_of_it()
    {
        var (tokens, _, _, _) = await nodes.First.ConnectAsync(TestClient.Tally, TestConfiguration.Maya);
        using var http = nodes.Second.NewClient();
        await ListeningAsync(nodes.Second);
        var renewed = await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken);
        Assert.True(renewed.Ok);
        Assert.True((await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"))).Ok);
        var lookups = nodes.Second.Services.GetRequiredService<Lookups>();
        var report = (await lookups.ClientAsync(new ClientId(TestClient.Report.Id), default))!;
        var tally = (await lookups.ClientAsync(new ClientId(TestClient.Tally.Id), default))!;
        var person = (SubjectId.TryParse((string?)TokenAnswer.Claims(tokens.AccessToken)["sub"], out var subject) ? subject : throw new FormatException()).Value;

        // Past the door, so that nobody is told.
        await AppendUntoldAsync(report.Id, new ClientEvent.Suspended("a test", Now));
        Assert.True((await lookups.ClientAsync(report.ClientId, default))!.IsActive); // in memory it still is
        Assert.Equal("unauthorized_client", (await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"))).Error);

        await AppendUntoldAsync(person, new SubjectEvent.Suspended("a test", Now));
        Assert.Equal("invalid_grant", (await http.RefreshAsync(TestClient.Tally, renewed.RefreshToken)).Error);
        await AppendUntoldAsync(person, new SubjectEvent.Resumed(Now));
        await AppendUntoldAsync(tally.Id, new ClientEvent.Suspended("a test", Now));
        Assert.Equal("unauthorized_client", (await http.RefreshAsync(TestClient.Tally, renewed.RefreshToken)).Error);
        await AppendUntoldAsync(tally.Id, new ClientEvent.Resumed(Now));
        Assert.True((await http.RefreshAsync(TestClient.Tally, renewed.RefreshToken)).Ok);
        await AppendUntoldAsync(report.Id, new ClientEvent.Resumed(Now));
    }

    [Fact, Trait("Law", "L3"), Trait("Attack", "T23")]
    public async Task A_token_that_was_decided_before_its_client_was_suspended_and_would_commit_after_is_decided_again()
    {
        var client = await nodes.First.StreamOfAsync(new TestClient("odd:%+client", TestConfiguration.OddSecret, "", "balances"));
        await using var connection = new NpgsqlConnection(nodes.First.ConnectionString);
        await connection.OpenAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await using (var hold = new NpgsqlCommand("select 1 from grants.mt_streams where id = $1 for update", connection) { Parameters = { new NpgsqlParameter { Value = client } } }) await hold.ExecuteNonQueryAsync();
        var before = await nodes.First.PositionAsync();

        using var http = nodes.Second.NewClient();
        var asking = http.TokenAsync(new TestClient("odd:%+client", TestConfiguration.OddSecret, "", "balances"), ("grant_type", "client_credentials"));
        await Sample.BlockedByAsync(nodes.First, connection.ProcessID);
        Assert.False(asking.IsCompleted);
        await using (var session = nodes.First.Store.LightweightSession(SessionOptions.ForTransaction(transaction)))
        {
            session.Events.Append(client, new ClientEvent.Suspended("a test", Now));
            await session.SaveChangesAsync();
        }

        await transaction.CommitAsync();
        Assert.Equal("unauthorized_client", (await asking).Error);
        Assert.DoesNotContain(await nodes.First.EventsAfterAsync(before), e => e.Data is TokenFamilyEvent.AccessTokenIssued);
    }

    [Fact, Trait("Attack", "E14"), Trait("Attack", "P13")]
    public async Task A_node_that_can_not_hear_keeps_nothing_and_hears_again_by_itself()
    {
        var login = new NpgsqlConnectionStringBuilder(nodes.First.ConnectionString);
        var address = (await Dns.GetHostAddressesAsync(login.Host!)).First(one => one.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork);
        await using var wire = new CuttableWire(new IPEndPoint(address, login.Port));
        (login.Host, login.Port) = ("127.0.0.1", wire.Port);
        using var handle = new DatabaseHandle(SettingsWith(login.ConnectionString));
        using var changes = new Changes(handle, TimeProvider.System, NullLogger<Changes>.Instance);
        using var lookups = new Lookups(nodes.Second.Store, changes); // its own database connection is whole
        Assert.Null(changes.Generation); // before it listens it knows nothing
        await changes.StartAsync(default);
        await UntilAsync(() => Task.FromResult(changes.Generation is not null));
        await DeclareAsync("Heard");
        await UntilAsync(async () => await NameAsync() == "Heard");

        wire.Cut();
        var cut = Stopwatch.GetTimestamp();
        await DeclareAsync("Unheard");
        await UntilAsync(async () => await NameAsync() == "Unheard");
        Assert.InRange(Stopwatch.GetElapsedTime(cut), TimeSpan.Zero, Changes.Bound + Second);
        await UntilAsync(() => Task.FromResult(changes.Generation is null));
        foreach (var name in (string[])["Deaf 1", "Deaf 2", "Deaf 3"])
        {
            await DeclareAsync(name);
            Assert.Equal(name, await NameAsync()); // read through, at once
        }

        wire.Mend();
        await UntilAsync(() => Task.FromResult(changes.Generation is not null));
        Assert.Equal("Deaf 3", await NameAsync());
        await DeclareAsync("Again");
        await UntilAsync(async () => await NameAsync() == "Again");
        await changes.StopAsync(default);

        async Task<string> NameAsync() => (await lookups.ClientAsync(new ClientId("deaf"), default))!.Metadata.ClientName;

        Task DeclareAsync(string name) => nodes.First.DeclareAsync(new JsonObject
        {
            ["clients"] = new JsonArray(new JsonObject { ["client_id"] = "deaf", ["client_name"] = name, ["grant_types"] = new JsonArray("authorization_code"), ["redirect_uris"] = new JsonArray("https://deaf.example/cb"), ["token_endpoint_auth_method"] = "none", ["scope"] = "openid" }),
        });
    }

    [Fact, Trait("Attack", "E14"), Trait("Attack", "P13")]
    public async Task Thrown_out_by_the_database_a_listener_comes_back_and_what_it_missed_is_forgotten()
    {
        var login = new NpgsqlConnectionStringBuilder(nodes.First.ConnectionString) { ApplicationName = "eavesdropper" };
        using var handle = new DatabaseHandle(SettingsWith(login.ConnectionString));
        using var changes = new Changes(handle, TimeProvider.System, NullLogger<Changes>.Instance);
        await changes.StartAsync(default);
        await UntilAsync(() => Task.FromResult(changes.Generation is not null));
        for (var round = 0; round < 3; round++)
        {
            var before = changes.Generation;
            await nodes.First.ExecuteAsync("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'eavesdropper'");
            await nodes.First.ExecuteAsync("notify grants_changed"); // nobody is there to hear it
            await UntilAsync(() => Task.FromResult(changes.Generation is { } now && now != before));
        }

        await changes.StopAsync(default);
    }

    private DateTimeOffset Now => nodes.First.Clock.GetUtcNow();

    private static Settings SettingsWith(string connectionString)
    {
        var settings = TestSettings.In(TestConfiguration.DataFolder);
        return new Settings
        {
            Issuer = settings.Issuer,
            DataFolder = settings.DataFolder,
            ConnectionString = connectionString,
            Development = true,
            SingleNode = true,
            IsCommand = false,
            OrganisationName = settings.OrganisationName,
            AuthorizationsPerMinutePerNetwork = 1,
            AuthorizationsPerMinutePerClient = 1,
            SignInsPerQuarterHour = 1,
            ClientSecretsPerMinute = 1,
            Keys = Domain.Keys.KeySchedule.Default,
            ExpiryInterval = settings.ExpiryInterval,
        };
    }

    private async Task AppendUntoldAsync(Guid stream, IDomainEvent happened)
    {
        await using var session = nodes.First.Store.LightweightSession();
        session.Events.Append(stream, happened);
        await session.SaveChangesAsync();
    }

    private static Task ListeningAsync(GrantsApp node) => UntilAsync(() => Task.FromResult(node.Services.GetRequiredService<Changes>().Generation is not null));

    /// <summary>Within the bound, and a little for a busy machine.</summary>
    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using var limit = new CancellationTokenSource(Changes.Bound + 3 * Second);
        using var pause = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        while (!await condition()) await pause.WaitForNextTickAsync(limit.Token);
    }
}
