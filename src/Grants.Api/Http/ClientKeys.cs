using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Text;
using Grants.Api.Signing;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;

namespace Grants.Api.Http;

/// <summary>
/// The public keys of clients and trusted issuers: those that are registered (<c>jwks</c>), and those that stand at their <c>jwks_uri</c>. The latter
/// are kept as long as the site says, a minute at least and an hour at most, and asked for again when a key is missing, since its owner
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
        "The keys at jwks_uri of {Owner} could not be had: {Reason}");

    private readonly ConditionalWeakTable<object, JwkSet> _registered = [];
    private readonly ConcurrentDictionary<(string, string), Site> _sites = new();

    /// <summary>The keys that may have made a signature of this client's. Empty when there is none.</summary>
    internal Task<IReadOnlyList<Jwk>> FindAsync(Client client, string algorithm, string? kid, CancellationToken cancellation) =>
        FindAsync(client.Metadata, $"client {client.ClientId}", client.Metadata.Jwks, client.Metadata.JwksUri, algorithm, kid, cancellation);

    /// <summary>The same of an issuer that is trusted.</summary>
    internal Task<IReadOnlyList<Jwk>> FindAsync(TrustedIssuer issuer, string algorithm, string? kid, CancellationToken cancellation) =>
        FindAsync(issuer, $"issuer {issuer.Issuer}", issuer.Jwks, issuer.JwksUri, algorithm, kid, cancellation);

    /// <param name="registration">What says it: its keys are read once, for as long as it is in use.</param>
    private async Task<IReadOnlyList<Jwk>> FindAsync(object registration, string owner, string? jwks, string? jwksUri, string algorithm, string? kid, CancellationToken cancellation)
    {
        if (jwks is not null) return _registered.GetValue(registration, _ => JwkSet.Parse(Encoding.UTF8.GetBytes(jwks)) ?? JwkSet.Empty).Find(algorithm, kid);
        if (jwksUri is not { } address) return [];
        if (_sites.Count >= MaxSites) _sites.Clear();
        var site = _sites.GetOrAdd((owner, address), _ => new Site());
        Task asking;
        lock (site.Turn)
        {
            var now = clock.GetUtcNow();
            if (now < site.FreshUntil && site.Keys.Find(algorithm, kid) is { Count: > 0 } known) return known;
            if (site.Asking is null)
            {
                if (now - site.AskedAt < AskAgainAfter) return site.KeysAt(now).Find(algorithm, kid);
                site.AskedAt = now;
                // Nobody's request carries this one: whoever hangs up must not be able to spend the owner's minute.
                site.Asking = Task.Run(() => AskAsync(site, owner, address), CancellationToken.None);
            }

            asking = site.Asking;
        }

        await asking.WaitAsync(cancellation);
        lock (site.Turn) return site.KeysAt(clock.GetUtcNow()).Find(algorithm, kid);
    }

    private async Task AskAsync(Site site, string owner, string address)
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

            if (reason is not null) NotFetched(logger, owner, reason, null);
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

    /// <summary>What is known of one owner's site. Everything under <see cref="Turn"/>.</summary>
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
