using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Authentication;

namespace Grants.Api.Http;

/// <summary>What came of a request to a place that somebody else has named.</summary>
public abstract record Fetched
{
    private Fetched() { }

    /// <summary>An answer of whatever status; a redirect is one, too, and is not followed.</summary>
    /// <param name="ContentType">The media type alone, in small letters. Whether it is the right one is for the caller to say.</param>
    /// <param name="MaxAge">How long the answer may be kept, as its Cache-Control says (RFC 9111 §5.2.2); null when it says nothing.</param>
    public sealed record Answer(int Status, string? ContentType, TimeSpan? MaxAge, byte[] Body) : Fetched;

    /// <param name="Reason">For the log. It tells about the inside of a network, so it is never sent to whoever caused the request.</param>
    public sealed record Failed(string Reason) : Fetched;
}

/// <summary>
/// The one way out for requests whose address comes from a client: SSRF stops here (P1). https on ports 443 and 8443; only to public
/// addresses, looked at after every resolution and then connected to as they are, so that a second answer of the resolver can't lead
/// elsewhere; no redirects, proxies, cookies, credentials or compression; 5 seconds and 64 KiB in all; 16 requests at a time.
/// </summary>
/// <remarks>
/// <c>Grants__OutgoingHttp__Allow</c> names origins that are reached although their address or port isn't public: an operator's own
/// services, and the sites of tests, which in Development may speak http on loopback.
/// </remarks>
public sealed class GuardedFetcher : IDisposable
{
    private const int MaxBytes = 64 * 1024;

    private static readonly int[] Ports = [443, 8443];

    private readonly HttpClient _http;
    private readonly SemaphoreSlim _places = new(16, 16);
    private readonly IReadOnlyCollection<string> _allowed;
    private readonly TimeSpan _timeout;
    private readonly Func<string, CancellationToken, Task<IPAddress[]>> _resolve;
    private readonly Func<IPEndPoint, CancellationToken, Task<Stream>> _connect;

    public GuardedFetcher(Settings settings) : this(settings.OutgoingHttpAllow, TimeSpan.FromSeconds(5), Dns.GetHostAddressesAsync, ConnectAsync) { }

    internal GuardedFetcher(IReadOnlyCollection<string> allowed, TimeSpan timeout, Func<string, CancellationToken, Task<IPAddress[]>>? resolve = null, Func<IPEndPoint, CancellationToken, Task<Stream>>? connect = null)
    {
        (_allowed, _timeout, _resolve, _connect) = (allowed, timeout, resolve ?? Dns.GetHostAddressesAsync, connect ?? ConnectAsync);
        _http = new HttpClient(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseProxy = false,
            UseCookies = false,
            Credentials = null,
            PreAuthenticate = false,
            AutomaticDecompression = DecompressionMethods.None,
            ActivityHeadersPropagator = null, // whose request led to this is nobody's business out there
            MaxResponseHeadersLength = 16, // KiB
            ConnectTimeout = timeout, // a request that gives up leaves its connection to this
            PooledConnectionLifetime = TimeSpan.Zero, // each request resolves and looks anew
            ConnectCallback = ConnectToPublicAsync,
        })
        { Timeout = Timeout.InfiniteTimeSpan }; // SendAsync has its own, which counts the body as well
    }

    /// <summary>Reads a document. Throws nothing but for the caller's own cancellation.</summary>
    /// <param name="accept">The media types that are wanted.</param>
    public async Task<Fetched> GetAsync(string address, string accept, CancellationToken cancellation)
    {
        if (!Uri.TryCreate(address, UriKind.Absolute, out var uri)) return new Fetched.Failed("not an absolute address");
        using var request = new HttpRequestMessage(HttpMethod.Get, uri);
        request.Headers.TryAddWithoutValidation("Accept", accept);
        return await SendAsync(request, cancellation);
    }

    /// <summary>Sends any request. Throws nothing but for the caller's own cancellation.</summary>
    public async Task<Fetched> SendAsync(HttpRequestMessage request, CancellationToken cancellation)
    {
        if (WhyNot(request.RequestUri!) is { } why) return new Fetched.Failed(why);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(_timeout);
        var waited = false;
        try
        {
            await _places.WaitAsync(limit.Token);
            waited = true;
            using var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token);
            return response.Content.Headers.ContentLength > MaxBytes || await ReadAsync(response.Content, limit.Token) is not { } body
                ? new Fetched.Failed("larger than 64 KiB")
                : new Fetched.Answer((int)response.StatusCode, response.Content.Headers.ContentType?.MediaType?.ToLowerInvariant(), MaxAge(response.Headers.CacheControl), body);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return new Fetched.Failed("no answer in time");
        }
        catch (HttpRequestException e)
        {
            return new Fetched.Failed(e switch
            {
                { InnerException: RefusedException refused } => refused.Message,
                { InnerException: AuthenticationException } => "its certificate is not trusted",
                _ => $"no answer: {e.HttpRequestError}",
            });
        }
        catch (IOException)
        {
            return new Fetched.Failed("the answer broke off");
        }
        finally
        {
            if (waited) _places.Release();
        }
    }

    public void Dispose()
    {
        _http.Dispose();
        _places.Dispose();
    }

    /// <summary>Whether an address is one of the public Internet (IANA special-purpose address registries; RFC 6890). Addresses that carry an IPv4 one count as that one.</summary>
    internal static bool IsPublic(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6) address = address.MapToIPv4();
        if (address.AddressFamily == AddressFamily.InterNetwork) return !Array.Exists(NotPublic4, network => network.Contains(address));
        var bytes = address.GetAddressBytes();
        if (Nat64.Contains(address)) return IsPublic(new IPAddress(bytes.AsSpan(12, 4)));
        if (SixToFour.Contains(address)) return IsPublic(new IPAddress(bytes.AsSpan(2, 4)));
        return Global6.Contains(address) && !Array.Exists(NotPublic6, network => network.Contains(address));
    }

    private static readonly IPNetwork[] NotPublic4 =
    [
        .. ((string[])
        [
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
            "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        ]).Select(IPNetwork.Parse),
    ];

    private static readonly IPNetwork Global6 = IPNetwork.Parse("2000::/3");
    private static readonly IPNetwork Nat64 = IPNetwork.Parse("64:ff9b::/96");
    private static readonly IPNetwork SixToFour = IPNetwork.Parse("2002::/16");

    /// <summary>Within 2000::/3: protocol assignments (Teredo among them) and documentation.</summary>
    private static readonly IPNetwork[] NotPublic6 = [.. ((string[])["2001::/23", "2001:db8::/32", "3fff::/20"]).Select(IPNetwork.Parse)];

    private string? WhyNot(Uri address) => address switch
    {
        { UserInfo.Length: > 0 } => "a user name in the address",
        _ when IsAllowed(address) => null,
        { Scheme: not "https" } => "not https",
        _ when !Ports.Contains(address.Port) => "a port other than 443 and 8443",
        _ => null,
    };

    private bool IsAllowed(Uri address) => _allowed.Contains(address.GetLeftPart(UriPartial.Authority), StringComparer.OrdinalIgnoreCase);

    private async ValueTask<Stream> ConnectToPublicAsync(SocketsHttpConnectionContext context, CancellationToken cancellation)
    {
        var allowed = IsAllowed(context.InitialRequestMessage.RequestUri!);
        IPAddress[] addresses;
        try
        {
            addresses = await _resolve(context.DnsEndPoint.Host, cancellation);
        }
        catch (SocketException)
        {
            throw new RefusedException("its name has no address");
        }

        // One private address among public ones is no accident.
        if (addresses.Length == 0) throw new RefusedException("its name has no address");
        if (!allowed && !Array.TrueForAll(addresses, IsPublic)) throw new RefusedException("its name leads to an address that is not public");
        for (var i = 0; ; i++)
        {
            try
            {
                return await _connect(new IPEndPoint(addresses[i], context.DnsEndPoint.Port), cancellation);
            }
            catch (SocketException) when (i < addresses.Length - 1)
            {
                // The next address, then.
            }
        }
    }

    private static async Task<Stream> ConnectAsync(IPEndPoint to, CancellationToken cancellation)
    {
        var socket = new Socket(to.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(to, cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Null when there is more than fits: what is said of its length need not be true.</summary>
    private static async Task<byte[]?> ReadAsync(HttpContent content, CancellationToken cancellation)
    {
        await using var stream = await content.ReadAsStreamAsync(cancellation);
        var buffer = new byte[MaxBytes + 1];
        var length = await stream.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellation);
        return length > MaxBytes ? null : buffer[..length];
    }

    private static TimeSpan? MaxAge(CacheControlHeaderValue? said) => said is null ? null : said.NoStore || said.NoCache ? TimeSpan.Zero : said.MaxAge;

    private sealed class RefusedException(string message) : IOException(message);
}
