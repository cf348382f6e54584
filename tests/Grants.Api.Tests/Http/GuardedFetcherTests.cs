using System.Net;
using System.Net.Sockets;
using Grants.Api.Http;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.FileProviders;
using Microsoft.Extensions.Hosting;

namespace Grants.Api.Tests.Http;

/// <summary>Requests to addresses that somebody else has named: what is asked, and what no socket is opened for.</summary>
public sealed class GuardedFetcherTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    [Theory, Trait("Attack", "P1")]
    [InlineData("8.8.8.8", true)]
    [InlineData("93.184.216.34", true)]
    [InlineData("172.15.255.255", true)]
    [InlineData("172.32.0.0", true)]
    [InlineData("100.63.255.255", true)]
    [InlineData("100.128.0.0", true)]
    [InlineData("2606:2800:220:1:248:1893:25c8:1946", true)]
    [InlineData("64:ff9b::808:808", true)] // NAT64 of a public one
    [InlineData("2002:808:808::1", true)] // 6to4 of a public one
    [InlineData("::ffff:8.8.8.8", true)]
    [InlineData("0.0.0.0", false)]
    [InlineData("0.1.2.3", false)]
    [InlineData("10.0.0.1", false)]
    [InlineData("100.64.0.1", false)] // shared by carriers
    [InlineData("100.127.255.255", false)]
    [InlineData("127.0.0.1", false)]
    [InlineData("127.255.255.254", false)]
    [InlineData("169.254.169.254", false)] // metadata of clouds
    [InlineData("172.16.0.1", false)]
    [InlineData("172.31.255.255", false)]
    [InlineData("192.0.0.192", false)]
    [InlineData("192.0.2.1", false)]
    [InlineData("192.88.99.1", false)]
    [InlineData("192.168.1.1", false)]
    [InlineData("198.18.0.1", false)]
    [InlineData("198.19.255.255", false)]
    [InlineData("198.51.100.1", false)]
    [InlineData("203.0.113.1", false)]
    [InlineData("224.0.0.1", false)]
    [InlineData("239.255.255.255", false)]
    [InlineData("240.0.0.1", false)]
    [InlineData("255.255.255.255", false)]
    [InlineData("::", false)]
    [InlineData("::1", false)]
    [InlineData("::127.0.0.1", false)]
    [InlineData("::ffff:127.0.0.1", false)]
    [InlineData("::ffff:10.0.0.1", false)]
    [InlineData("::ffff:169.254.169.254", false)]
    [InlineData("64:ff9b::7f00:1", false)]
    [InlineData("64:ff9b::a9fe:a9fe", false)]
    [InlineData("64:ff9b:1::1", false)] // a network's own NAT64
    [InlineData("100::1", false)]
    [InlineData("2001::1", false)] // Teredo
    [InlineData("2001:db8::1", false)]
    [InlineData("2002:7f00:1::1", false)]
    [InlineData("2002:a00:1::1", false)]
    [InlineData("2002:c0a8:101::1", false)]
    [InlineData("3fff::1", false)]
    [InlineData("4000::1", false)]
    [InlineData("fc00::1", false)]
    [InlineData("fd12:3456::1", false)]
    [InlineData("fe80::1", false)]
    [InlineData("fec0::1", false)]
    [InlineData("ff02::1", false)]
    public void An_address_is_public_or_is_not(string address, bool isPublic) => Assert.Equal(isPublic, GuardedFetcher.IsPublic(IPAddress.Parse(address)));

    [Theory, Trait("Attack", "P1")]
    [InlineData("http://public.example/jwks")]
    [InlineData("ftp://public.example/jwks")]
    [InlineData("file:///etc/hostname")]
    [InlineData("gopher://public.example/")]
    [InlineData("jwks")]
    [InlineData("")]
    [InlineData("https://user@public.example/jwks")]
    [InlineData("https://user:secret@public.example/jwks")]
    [InlineData("https://public.example:22/")]
    [InlineData("https://public.example:80/")]
    [InlineData("https://public.example:5432/")]
    [InlineData("https://public.example:65535/")]
    [InlineData("https://127.0.0.1/")]
    [InlineData("https://127.1/")]
    [InlineData("https://0x7f.1/")]
    [InlineData("https://2130706433/")]
    [InlineData("https://0177.0.0.1/")]
    [InlineData("https://[::1]/")]
    [InlineData("https://[::ffff:127.0.0.1]/")]
    [InlineData("https://[::ffff:7f00:1]/")]
    [InlineData("https://[64:ff9b::7f00:1]/")]
    [InlineData("https://169.254.169.254/latest/meta-data")]
    [InlineData("https://10.0.0.1:8443/")]
    [InlineData("https://private.example/")]
    [InlineData("https://mixed.example/")]
    [InlineData("https://nowhere.example/")]
    [InlineData("https://unknown.example/")]
    [InlineData("https://localhost/")]
    [InlineData("https://LOCALHOST./")]
    public async Task No_socket_is_opened_for_what_is_not_public(string address)
    {
        var opened = new List<IPEndPoint>();
        using var fetcher = new GuardedFetcher([], Patience, Resolve, Refuse(opened));
        Assert.IsType<Fetched.Failed>(await fetcher.GetAsync(address, "*/*", default));
        Assert.Empty(opened);
    }

    [Fact, Trait("Attack", "P1")]
    public async Task What_is_connected_to_is_the_address_that_was_looked_at_and_each_request_looks_again()
    {
        var opened = new List<IPEndPoint>();
        var resolved = 0;
        // The second answer for the same name is another one: rebinding.
        using var fetcher = new GuardedFetcher([], Patience, (_, _) => Task.FromResult(new[] { IPAddress.Parse(resolved++ == 0 ? "93.184.216.34" : "127.0.0.1") }), Refuse(opened));
        Assert.IsType<Fetched.Failed>(await fetcher.GetAsync("https://rebind.example/jwks", "*/*", default));
        Assert.Equal([new IPEndPoint(IPAddress.Parse("93.184.216.34"), 443)], opened);
        Assert.Equal(1, resolved);
        Assert.IsType<Fetched.Failed>(await fetcher.GetAsync("https://rebind.example/jwks", "*/*", default));
        Assert.Equal(2, resolved);
        Assert.Single(opened);
    }

    [Fact, Trait("Attack", "P1")]
    public async Task Every_address_of_a_name_is_tried_in_turn()
    {
        var opened = new List<IPEndPoint>();
        using var fetcher = new GuardedFetcher([], Patience, (_, _) => Task.FromResult(new[] { IPAddress.Parse("2606:2800:220:1:248:1893:25c8:1946"), IPAddress.Parse("93.184.216.34") }), Refuse(opened));
        Assert.IsType<Fetched.Failed>(await fetcher.GetAsync("https://two.example:8443/jwks", "*/*", default));
        Assert.Equal([AddressFamily.InterNetworkV6, AddressFamily.InterNetwork], opened.Select(end => end.AddressFamily));
        Assert.All(opened, end => Assert.Equal(8443, end.Port));
    }

    [Fact, Trait("Attack", "P1")]
    public async Task An_origin_that_the_operator_names_is_reached_and_its_neighbours_are_not()
    {
        await using var site = await KeySite.StartAsync();
        await using var other = await KeySite.StartAsync();
        site.Says("""{"keys":[]}""", "Application/JSON; charset=utf-8", "public, max-age=60");
        using var fetcher = new GuardedFetcher([site.Origin], Patience);
        var answer = Assert.IsType<Fetched.Answer>(await fetcher.GetAsync(site.Origin + "/jwks?a=1", "application/json", default));
        Assert.Equal((200, "application/json", TimeSpan.FromMinutes(1)), (answer.Status, answer.ContentType, answer.MaxAge));
        Assert.Equal("""{"keys":[]}"""u8.ToArray(), answer.Body);
        Assert.IsType<Fetched.Failed>(await fetcher.GetAsync(other.Origin + "/jwks", "*/*", default));
        Assert.IsType<Fetched.Failed>(await fetcher.GetAsync(site.Origin.Replace("127.0.0.1", "localhost", StringComparison.Ordinal), "*/*", default));
        Assert.Equal((1, 0), (site.Asked, other.Asked));
    }

    [Theory, Trait("Attack", "P1")]
    [InlineData(301)]
    [InlineData(302)]
    [InlineData(303)]
    [InlineData(307)]
    [InlineData(308)]
    public async Task A_redirect_is_an_answer_and_is_not_followed(int status)
    {
        await using var inside = await KeySite.StartAsync();
        await using var site = await KeySite.StartAsync();
        site.Answer = http =>
        {
            http.Response.StatusCode = status;
            http.Response.Headers.Location = inside.Origin;
            return Task.CompletedTask;
        };
        using var fetcher = new GuardedFetcher([site.Origin, inside.Origin], Patience);
        Assert.Equal(status, Assert.IsType<Fetched.Answer>(await fetcher.GetAsync(site.Origin, "*/*", default)).Status);
        Assert.Equal(0, inside.Asked);
    }

    [Theory, Trait("Attack", "P1"), Trait("Attack", "T9")]
    [InlineData(64 * 1024, true, true)]
    [InlineData(64 * 1024, false, true)]
    [InlineData(64 * 1024 + 1, true, false)]
    [InlineData(64 * 1024 + 1, false, false)]
    [InlineData(10_000_000, true, false)]
    [InlineData(10_000_000, false, false)]
    public async Task More_than_fits_is_not_read(int size, bool said, bool fits)
    {
        await using var site = await KeySite.StartAsync();
        site.Answer = async http =>
        {
            if (said) http.Response.ContentLength = size;
            var piece = new byte[1000];
            for (var left = size; left > 0 && !http.RequestAborted.IsCancellationRequested; left -= piece.Length) await http.Response.Body.WriteAsync(piece.AsMemory(0, Math.Min(left, piece.Length)), http.RequestAborted);
        };
        using var fetcher = new GuardedFetcher([site.Origin], Patience);
        var fetched = await fetcher.GetAsync(site.Origin, "*/*", default);
        if (fits) Assert.Equal(size, Assert.IsType<Fetched.Answer>(fetched).Body.Length);
        else Assert.Equal("larger than 64 KiB", Assert.IsType<Fetched.Failed>(fetched).Reason);
    }

    [Theory, Trait("Attack", "P1"), Trait("Attack", "E13")]
    [InlineData("nothing")]
    [InlineData("the head")]
    [InlineData("a drop at a time")]
    public async Task A_slow_answer_is_given_up(string comes)
    {
        await using var site = await KeySite.StartAsync();
        site.Answer = async http =>
        {
            if (comes != "nothing") await http.Response.StartAsync(http.RequestAborted);
            using var drops = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
            while (await drops.WaitForNextTickAsync(http.RequestAborted))
            {
                if (comes != "a drop at a time") continue;
                await http.Response.WriteAsync(" ", http.RequestAborted);
                await http.Response.Body.FlushAsync(http.RequestAborted);
            }
        };
        using var fetcher = new GuardedFetcher([site.Origin], TimeSpan.FromMilliseconds(400));
        Assert.Equal("no answer in time", Assert.IsType<Fetched.Failed>(await fetcher.GetAsync(site.Origin, "*/*", default).WaitAsync(Patience)).Reason);
    }

    [Fact, Trait("Attack", "P1"), Trait("Attack", "E13")]
    public async Task No_more_than_sixteen_requests_are_under_way_at_a_time()
    {
        await using var site = await KeySite.StartAsync();
        var go = new TaskCompletionSource();
        site.Answer = _ => go.Task;
        using var fetcher = new GuardedFetcher([site.Origin], Patience);
        var all = Enumerable.Range(0, 40).Select(_ => fetcher.GetAsync(site.Origin, "*/*", default)).ToList();
        await Answers.UntilAsync(() => Task.FromResult(site.Asked >= 16));
        using var pause = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        for (var i = 0; i < 3; i++) await pause.WaitForNextTickAsync();
        Assert.Equal(16, site.Asked);
        go.SetResult();
        Assert.All(await Task.WhenAll(all), fetched => Assert.IsType<Fetched.Answer>(fetched));
        Assert.Equal(40, site.Asked);
    }

    [Fact, Trait("Attack", "P1"), Trait("Attack", "E13")]
    public async Task A_connection_that_nobody_waits_for_any_more_is_given_up_too()
    {
        var given = new TaskCompletionSource();
        using var fetcher = new GuardedFetcher([], TimeSpan.FromMilliseconds(300), (_, _) => Task.FromResult(new[] { IPAddress.Parse("93.184.216.34") }), async (_, cancellation) =>
        {
            await using var told = cancellation.Register(() => given.TrySetResult());
            await Task.Delay(Timeout.Infinite, cancellation);
            throw new System.Diagnostics.UnreachableException();
        });
        Assert.IsType<Fetched.Failed>(await fetcher.GetAsync("https://silent.example/", "*/*", default).WaitAsync(Patience));
        await given.Task.WaitAsync(Patience);
    }

    [Fact, Trait("Attack", "P1")]
    public async Task An_answer_that_breaks_off_and_a_site_that_is_not_there_are_failures()
    {
        await using var site = await KeySite.StartAsync();
        site.Answer = async http =>
        {
            http.Response.ContentLength = 100;
            await http.Response.WriteAsync("half");
            await http.Response.Body.FlushAsync();
            http.Abort();
        };
        using var fetcher = new GuardedFetcher([site.Origin, "http://127.0.0.1:1"], Patience);
        Assert.IsType<Fetched.Failed>(await fetcher.GetAsync(site.Origin, "*/*", default));
        Assert.IsType<Fetched.Failed>(await fetcher.GetAsync("http://127.0.0.1:1/", "*/*", default));
    }

    [Fact, Trait("Attack", "P1")]
    public async Task Nothing_is_carried_along_from_one_request_to_the_next()
    {
        await using var site = await KeySite.StartAsync();
        var heads = new List<string[]>();
        site.Answer = http =>
        {
            heads.Add([.. http.Request.Headers.Keys.Order()]);
            http.Response.Cookies.Append("kept", "1");
            return Task.CompletedTask;
        };
        using var fetcher = new GuardedFetcher([site.Origin], Patience);
        using var activity = new System.Diagnostics.Activity("request").Start();
        await fetcher.GetAsync(site.Origin, "application/json", default);
        await fetcher.GetAsync(site.Origin, "application/json", default);
        Assert.Equal(2, heads.Count);
        Assert.All(heads, head => Assert.Equal(["Accept", "Host"], head));
    }

    [Fact, Trait("Attack", "P1")]
    public async Task The_caller_may_give_up()
    {
        await using var site = await KeySite.StartAsync();
        site.Answer = http => Task.Delay(Timeout.Infinite, http.RequestAborted);
        using var fetcher = new GuardedFetcher([site.Origin], Patience);
        using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => fetcher.GetAsync(site.Origin, "*/*", cancel.Token));
    }

    [Theory, Trait("Attack", "P1")]
    [InlineData("https://keys.internal.example:9443", false, "https://keys.internal.example:9443")]
    [InlineData("https://10.1.2.3/", false, "https://10.1.2.3")]
    [InlineData("http://127.0.0.1:9000", true, "http://127.0.0.1:9000")]
    [InlineData("http://localhost:9000/", true, "http://localhost:9000")]
    [InlineData("http://127.0.0.1:9000", false, null)]
    [InlineData("http://keys.example", true, null)]
    [InlineData("http://10.1.2.3", true, null)]
    [InlineData("https://keys.example/jwks", true, null)]
    [InlineData("https://keys.example/?a=1", true, null)]
    [InlineData("https://keys.example/#a", true, null)]
    [InlineData("https://me@keys.example", true, null)]
    [InlineData("ftp://keys.example", true, null)]
    [InlineData("keys.example", true, null)]
    [InlineData("*", true, null)]
    public void An_exception_is_a_whole_origin_and_http_only_a_developers_own(string origin, bool development, string? allowed)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection([new("Grants:Issuer", "https://grants.example"), new("Grants:OutgoingHttp:Allow:0", origin)]).Build();
        Settings Read() => Settings.From(configuration, new Somewhere(development ? "Development" : "Production"), command: false);
        if (allowed is not null) Assert.Equal([allowed], Read().OutgoingHttpAllow);
        else Assert.Contains("Grants__OutgoingHttp__Allow", Assert.Throws<SettingsException>(Read).Message, StringComparison.Ordinal);
    }

    private sealed class Somewhere(string name) : IHostEnvironment
    {
        public string EnvironmentName { get; set; } = name;

        public string ApplicationName { get; set; } = "grants";

        public string ContentRootPath { get; set; } = "";

        public IFileProvider ContentRootFileProvider { get; set; } = new NullFileProvider();
    }

    private static Task<IPAddress[]> Resolve(string host, CancellationToken cancellation) => Task.FromResult<IPAddress[]>(host.TrimEnd('.').ToLowerInvariant() switch
    {
        "private.example" => [IPAddress.Parse("10.1.2.3")],
        "mixed.example" => [IPAddress.Parse("93.184.216.34"), IPAddress.Parse("10.1.2.3")],
        "nowhere.example" => [],
        "unknown.example" => throw new SocketException((int)SocketError.HostNotFound),
        "localhost" => [IPAddress.Loopback, IPAddress.IPv6Loopback],
        var other => IPAddress.TryParse(other.Trim('[', ']'), out var literal) ? [literal] : [IPAddress.Parse("93.184.216.34")],
    });

    private static Func<IPEndPoint, CancellationToken, Task<Stream>> Refuse(List<IPEndPoint> opened) => (to, _) =>
    {
        opened.Add(to);
        return Task.FromException<Stream>(new SocketException((int)SocketError.ConnectionRefused));
    };
}
