using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Grants.Domain.TokenFamilies;
using Grants.Testing;
using Npgsql;

namespace Grants.Api.Tests.Log;

/// <summary>The built program as a process of its own, killed at the worst moments (L1).</summary>
public sealed class KilledServerTests
{
    [Fact, Trait("Law", "L1")]
    public async Task Killed_between_decision_and_commit_it_has_sent_nothing_and_written_nothing()
    {
        var database = await GrantsApp.NewDatabaseAsync();
        using var server = await ServerProcess.StartAsync(database);
        var before = await CountAsync(database, "select count(*) from grants.mt_events");
        await using var locker = new NpgsqlConnection(database);
        await locker.OpenAsync();
        await using var transaction = await locker.BeginTransactionAsync();
        await using (var hold = new NpgsqlCommand("lock table grants.mt_events in exclusive mode", locker)) await hold.ExecuteNonQueryAsync(); // reading goes on, writing waits

        using var socket = new TcpClient();
        await socket.ConnectAsync(IPAddress.Loopback, server.Port);
        var stream = socket.GetStream();
        const string body = "grant_type=client_credentials";
        await stream.WriteAsync(Encoding.ASCII.GetBytes(
            $"POST /token HTTP/1.1\r\nHost: localhost:{server.Port}\r\nAuthorization: {Journey.Basic("night-report", TestConfiguration.ReportSecret)}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {body.Length}\r\n\r\n{body}"));

        // The decision is made and its insert waits for our lock.
        const string waiting = "select count(*) from pg_locks l join pg_stat_activity a using (pid) where l.relation = 'grants.mt_events'::regclass and not l.granted and a.datname = current_database()";
        await UntilAsync(async () => await CountAsync(database, waiting) > 0);
        // A server that answered before its commit would have all the time it needs to do so.
        var answer = BytesUntilEndAsync(stream);
        await Assert.ThrowsAsync<TimeoutException>(() => answer.WaitAsync(TimeSpan.FromSeconds(3)));
        server.Kill();

        Assert.Equal(0, await answer);
        await transaction.RollbackAsync();
        await UntilAsync(async () => await CountAsync(database, waiting) == 0 && await CountAsync(database, "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'") == 0);
        Assert.Equal(before, await CountAsync(database, "select count(*) from grants.mt_events"));
        Assert.Equal(0L, await CountAsync(database, "select count(*) from grants.mt_events where type = 'token_family.access_token_issued'"));
    }

    [Fact, Trait("Law", "L1")]
    public async Task Whatever_token_was_received_before_a_kill_has_its_event()
    {
        var database = await GrantsApp.NewDatabaseAsync();
        using var server = await ServerProcess.StartAsync(database);
        var received = new ConcurrentBag<AccessTokenId>();
        var enough = new TaskCompletionSource();
        var asking = Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            using var http = new HttpClient { BaseAddress = server.Address };
            while (true)
            {
                try
                {
                    var answer = await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"));
                    if (!answer.Ok) continue;
                    received.Add(answer.Streams());
                    if (received.Count >= 60) enough.TrySetResult();
                }
                catch (Exception e) when (e is HttpRequestException or IOException or TaskCanceledException)
                {
                    return; // killed
                }
            }
        })).ToList();
        await enough.Task.WaitAsync(TimeSpan.FromSeconds(60));
        server.Kill(); // in the middle of further requests
        await Task.WhenAll(asking).WaitAsync(TimeSpan.FromSeconds(30));

        var written = new HashSet<Guid>();
        await using var connection = new NpgsqlConnection(database);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand("select stream_id from grants.mt_events where type = 'token_family.access_token_issued'", connection);
        await using var reader = await command.ExecuteReaderAsync();
        while (await reader.ReadAsync()) written.Add(reader.GetGuid(0));
        Assert.True(received.Count >= 60);
        Assert.All(received, token => Assert.Contains(token.Family, written));
    }

    private static async Task<int> BytesUntilEndAsync(NetworkStream stream)
    {
        var buffer = new byte[1024];
        try
        {
            return await stream.ReadAsync(buffer).AsTask().WaitAsync(TimeSpan.FromSeconds(20));
        }
        catch (IOException)
        {
            return 0; // reset instead of closed
        }
    }

    private static async Task<long> CountAsync(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(database);
        await connection.OpenAsync();
#pragma warning disable CA2100 // Sentences of this file.
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        return (long)(await command.ExecuteScalarAsync())!;
    }

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        using var pause = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (!await condition()) await pause.WaitForNextTickAsync(limit.Token);
    }
}
