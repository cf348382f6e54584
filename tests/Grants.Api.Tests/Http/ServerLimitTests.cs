using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Grants.Testing;

namespace Grants.Api.Tests.Http;

/// <summary>The built program, and bytes sent to it: what Kestrel refuses can't be seen in a test server.</summary>
public sealed class RawServer : IAsyncLifetime
{
    private ServerProcess? _process;

    public async ValueTask InitializeAsync() => _process = await ServerProcess.StartAsync(await GrantsApp.NewDatabaseAsync());

    /// <summary>The answer to these very bytes, headers and body; null when there was none.</summary>
    public async Task<string?> TrySendAsync(string request)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        using var client = new TcpClient();
        var answer = new MemoryStream();
        try
        {
            await client.ConnectAsync(IPAddress.Loopback, _process!.Port, patience.Token);
            await using var stream = client.GetStream();
            await stream.WriteAsync(Encoding.Latin1.GetBytes(request), patience.Token);
            await stream.CopyToAsync(answer, patience.Token);
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            // Closed before all was sent, as a server may that has read enough; what it said before counts.
        }

        return answer.Length == 0 ? null : Encoding.Latin1.GetString(answer.ToArray());
    }

    public ValueTask DisposeAsync()
    {
        _process?.Dispose();
        return ValueTask.CompletedTask;
    }
}

public sealed class ServerLimitTests(RawServer server) : IClassFixture<RawServer>
{
    [Fact, Trait("Attack", "P3")]
    public async Task A_request_line_may_have_8_KB()
    {
        Assert.Equal(400, await StatusAsync(Get("/authorize?state=" + new string('a', 7 * 1024))));
        Assert.Equal(414, await StatusAsync(Get("/authorize?state=" + new string('a', 9 * 1024))));
    }

    [Fact, Trait("Attack", "P3")]
    public async Task Headers_may_have_32_KB_and_be_100()
    {
        Assert.Equal(200, await StatusAsync(Get("/healthz", $"X-Long: {new string('a', 30 * 1024)}")));
        Assert.Equal(431, await StatusAsync(Get("/healthz", $"X-Long: {new string('a', 33 * 1024)}")));
        Assert.Equal(431, await StatusAsync(Get("/healthz", Enumerable.Range(0, 101).Select(i => $"X-{i}: a"))));
    }

    [Theory, Trait("Attack", "P3")]
    [InlineData("/token")]
    [InlineData("/authorize")]
    [InlineData("/signin")]
    [InlineData("/logout")]
    [InlineData("/userinfo")]
    public async Task A_body_may_have_64_KB(string path)
    {
        Assert.Equal(413, await StatusAsync(Post(path, $"a={new string('a', 65 * 1024)}")));
        var chunk = new string('a', 0x8000);
        Assert.Equal(413, await StatusAsync($"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n8000\r\n{chunk}\r\n8000\r\n{chunk}\r\n8000\r\n{chunk}\r\n0\r\n\r\n"));
    }

    [Theory, Trait("Attack", "P3")]
    [InlineData("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n")]
    [InlineData("Content-Length: 4\r\nContent-Length: 5", "a=bc")]
    [InlineData("Content-Length: -1", "")]
    [InlineData("Transfer-Encoding: xchunked", "a=b")]
    [InlineData("Transfer-Encoding: chunked", "zz\r\n")]
    public async Task A_request_whose_end_is_in_doubt_is_refused_and_the_connection_closed(string headers, string body)
    {
        var answer = await server.TrySendAsync($"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n{headers}\r\n\r\n{body}GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        Assert.StartsWith("HTTP/1.1 400 ", answer, StringComparison.Ordinal);
        Assert.DoesNotContain("200 OK", answer, StringComparison.Ordinal);
    }

    [Theory, Trait("Attack", "P3"), Trait("Attack", "P2")]
    [InlineData("")]
    [InlineData("Host: evil.example\r\n")]
    [InlineData("Host: localhost\r\nHost: evil.example\r\n")]
    [InlineData("Host: local host\r\n")]
    public async Task A_missing_double_or_unknown_host_is_refused(string host) =>
        Assert.Equal(400, await StatusAsync($"GET /.well-known/openid-configuration HTTP/1.1\r\n{host}Connection: close\r\n\r\n"));

    [Fact, Trait("Attack", "P20")]
    public async Task The_server_does_not_say_what_it_is_made_of()
    {
        foreach (var path in (string[])["/healthz", "/nothing", "/authorize", "/.well-known/openid-configuration"])
        {
            var answer = await server.TrySendAsync(Get(path));
            Assert.DoesNotContain("\nServer:", answer, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain("kestrel", answer, StringComparison.OrdinalIgnoreCase);
        }
    }

    [Fact, Trait("Attack", "R5")]
    public async Task A_header_can_not_be_split_by_what_a_request_says()
    {
        var answer = await server.TrySendAsync(Get("/authorize?client_id=tally&redirect_uri=http%3A%2F%2Flocalhost%3A5200%2Fcallback&response_type=code&scope=bad&state=a%0d%0aX-Injected:%201"));
        Assert.StartsWith("HTTP/1.1 303 ", answer, StringComparison.Ordinal);
        Assert.DoesNotContain("\nX-Injected", answer, StringComparison.Ordinal);
    }

    private static string Get(string path, params IEnumerable<string> headers) =>
        $"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{string.Concat(headers.Select(header => header + "\r\n"))}\r\n";

    private static string Post(string path, string body) =>
        $"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {body.Length}\r\n\r\n{body}";

    private async Task<int> StatusAsync(string request)
    {
        var answer = await server.TrySendAsync(request);
        Assert.NotNull(answer);
        return int.Parse(answer.Split(' ')[1], CultureInfo.InvariantCulture);
    }
}
