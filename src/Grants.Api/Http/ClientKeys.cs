using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Text;
using Grants.Api.Signing;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Api.Http;

/// <summary>
/// The public keys of clients: those that they registered (<c>jwks</c>), and those that stand at their <c>jwks_uri</c>. The latter
/// are kept as long as the site says, a minute at least and an hour at most, and asked for again when a key is missing, since a client
/// may have rotated (OpenID Connect Core §10.1.1). A site is never asked more than once a minute, whatever anybody sends here: also
/// not after a failure, and then what it said last counts on, for a day.
/// </summary>
public sealed class ClientKeys(GuardedFetcher fetcher, TimeProvider clock, ILogger<ClientKeys> logger)
{
    internal static readonly TimeSpan AskAgainAfter = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan KeptUnlessSaid = TimeSpan.FromMinutes(15);
    private static readonly TimeSpan KeptAtMost = TimeSpan.FromHours(1);
    private static readonly TimeSpan CountsWithoutNews = TimeSpan.FromDays(1);
    private const int MaxSites = 2_000;

    private static readonly Action<ILogger, string, string, Exception?> NotFetched = LoggerMessage.Define<string, string>(LogLevel.Warning, new EventId(1, "ClientKeysNotFetched"),
        "The keys at jwks_uri of client {Client} could not be had: {Reason}");

    private readonly ConditionalWeakTable<ClientMetadata, JwkSet> _registered = [];
    private readonly ConcurrentDictionary<(ClientId, string), Site> _sites = new();

    /// <summary>The keys that may have made a signature of this client's. Empty when there is none.</summary>
    internal async Task<IReadOnlyList<Jwk>> FindAsync(Client client, string algorithm, string? kid, CancellationToken cancellation)
    {
        if (client.Metadata.Jwks is not null) return _registered.GetValue(client.Metadata, metadata => JwkSet.Parse(Encoding.UTF8.GetBytes(metadata.Jwks!)) ?? JwkSet.Empty).Find(algorithm, kid);
        if (client.Metadata.JwksUri is not { } address) return [];
        if (_sites.Count >= MaxSites) _sites.Clear();
        var site = _sites.GetOrAdd((client.ClientId, address), _ => new Site());
        Task asking;
        lock (site.Turn)
        {
            var now = clock.GetUtcNow();
            if (now < site.FreshUntil && site.Keys.Find(algorithm, kid) is { Count: > 0 } known) return known;
            if (site.Asking is null)
            {
                if (now - site.AskedAt < AskAgainAfter) return site.KeysAt(now).Find(algorithm, kid);
                site.AskedAt = now;
                // Nobody's request carries this one: whoever hangs up must not be able to spend the client's minute.
                site.Asking = Task.Run(() => AskAsync(site, client.ClientId, address), CancellationToken.None);
            }

            asking = site.Asking;
        }

        await asking.WaitAsync(cancellation);
        lock (site.Turn) return site.KeysAt(clock.GetUtcNow()).Find(algorithm, kid);
    }

    private async Task AskAsync(Site site, ClientId client, string address)
    {
        JwkSet? keys = null;
        TimeSpan? maxAge = null;
        try
        {
            var answer = await fetcher.GetAsync(address, "application/jwk-set+json, application/json", CancellationToken.None);
            string? reason = null;
            switch (answer)
            {
                case Fetched.Answer { Status: 200, ContentType: "application/json" or "application/jwk-set+json" } found:
                    (keys, maxAge) = (JwkSet.Parse(found.Body), found.MaxAge);
                    if (keys is null) reason = "no JWK Set";
                    break;
                case Fetched.Answer { Status: 200 }:
                    reason = "its type is not application/jwk-set+json";
                    break;
                case Fetched.Answer(var status, _, _, _):
                    reason = $"status {status}";
                    break;
                case Fetched.Failed(var why):
                    reason = why;
                    break;
            }

            if (reason is not null) NotFetched(logger, client.Value, reason, null);
        }
        finally
        {
            lock (site.Turn)
            {
                if (keys is not null)
                {
                    var now = clock.GetUtcNow();
                    var keep = maxAge ?? KeptUnlessSaid;
                    site.Keys = keys;
                    site.FreshUntil = now + (keep < AskAgainAfter ? AskAgainAfter : keep > KeptAtMost ? KeptAtMost : keep);
                    site.CountsUntil = now + CountsWithoutNews;
                }

                site.Asking = null;
            }
        }
    }

    /// <summary>What is known of one client's site. Everything under <see cref="Turn"/>.</summary>
    private sealed class Site
    {
        public readonly Lock Turn = new();
        public JwkSet Keys = JwkSet.Empty;
        public DateTimeOffset AskedAt = DateTimeOffset.MinValue;
        public DateTimeOffset FreshUntil = DateTimeOffset.MinValue;
        public DateTimeOffset CountsUntil = DateTimeOffset.MinValue;
        public Task? Asking;

        public JwkSet KeysAt(DateTimeOffset now) => now < CountsUntil ? Keys : JwkSet.Empty;
    }
}
