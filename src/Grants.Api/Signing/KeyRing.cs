using System.Security.Cryptography;
using System.Text.Json;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Domain.Clients;
using Grants.Domain.Keys;
using Grants.Domain.Protocol;
using Marten;
using Microsoft.IdentityModel.Tokens;

namespace Grants.Api.Signing;

/// <summary>A signing key with its private part. One object per key for as long as the ring holds it: importing a key per token costs four times the signature.</summary>
public sealed record RingKey(SigningKey Key, SecurityKey Security, SigningCredentials Credentials);

/// <summary>The keys that sign and verify, read from the inline view and the vault, and read again when <see cref="Changes"/> tells of one, and every half minute in any case.</summary>
public sealed class KeyRing(IDocumentStore store, EventLog log, KeyVault vault, Changes changes, Settings settings, TimeProvider clock) : IDisposable
{
    private static readonly TimeSpan RefreshEvery = TimeSpan.FromSeconds(30);
    private readonly SemaphoreSlim _reading = new(1, 1);
    private readonly Dictionary<string, AsymmetricAlgorithm> _private = [];

    // The library's default cache is the process's: it would go on using keys that this ring has disposed of.
    private readonly InMemoryCryptoProviderCache _signers = new();
    private Reading? _ring;

    /// <summary>All keys that stand in the JWKS: the next, the active and the retired ones.</summary>
    public async Task<IReadOnlyList<RingKey>> PublishedAsync(CancellationToken cancellation)
    {
        if (_ring is { } known && IsFresh(known)) return known.Keys;
        await _reading.WaitAsync(cancellation);
        try
        {
            if (_ring is { } fresh && IsFresh(fresh)) return fresh.Keys;
            var generation = changes.Generation;
            var keys = await ReadAsync(cancellation);
            _ring = new Reading(clock.GetUtcNow(), generation, keys);
            return keys;
        }
        finally
        {
            _reading.Release();
        }
    }

    // Without news from the database the ring is kept for its half minute: keys must be there even then.
    private bool IsFresh(Reading reading) => clock.GetUtcNow() - reading.At < RefreshEvery && (changes.Generation is not { } now || now == reading.Generation);

    /// <summary>The key that signs with this algorithm.</summary>
    public async Task<RingKey> ActiveAsync(string algorithm, CancellationToken cancellation) =>
        (await PublishedAsync(cancellation)).Single(key => key.Key.Algorithm == algorithm && key.Key.Status == SigningKeyStatus.Active);

    /// <summary>Makes what is missing (at first start an active key and the next one for each algorithm), and rotates what is due.</summary>
    /// <param name="rotate">Rotate now, if the next keys have been published for long enough.</param>
    /// <returns>How many events were written.</returns>
    public Task<int> MaintainAsync(Cause cause, CancellationToken cancellation, bool rotate = false) =>
        InTurnAsync(async known => await ChangeAsync(cause, known, keys => RotateSigningKeys.Decide(keys, settings.Keys, rotate, clock.GetUtcNow()), cancellation), cancellation);

    /// <summary>Revokes a key by its <c>kid</c> at once and lets the next one take over. What it signed is refused from then on.</summary>
    public Task<Decision<SigningKey>> RevokeAsync(Cause cause, string kid, string why, CancellationToken cancellation) => InTurnAsync(async known =>
    {
        var decision = RevokeSigningKey.Decide(known.FirstOrDefault(key => key.Kid == kid), why, clock.GetUtcNow());
        if (decision is Accepted<SigningKey> { Events.Count: > 0 }) await ChangeAsync(cause, known, _ => decision.Events, cancellation);
        return decision;
    }, cancellation);

    /// <summary>Every key there ever was, for lists.</summary>
    public async Task<IReadOnlyList<SigningKey>> AllAsync(CancellationToken cancellation)
    {
        await using var session = store.QuerySession();
        return await session.Query<SigningKey>().ToListAsync(cancellation);
    }

    /// <summary>One node at a time: two that start together on an empty database must not both make keys, nor both rotate.</summary>
    private async Task<T> InTurnAsync<T>(Func<IReadOnlyList<SigningKey>, Task<T>> act, CancellationToken cancellation)
    {
        await using var turn = store.LightweightSession();
        await turn.BeginTransactionAsync(cancellation);
        await using (await turn.ExecuteReaderAsync(new Npgsql.NpgsqlCommand("select pg_advisory_xact_lock(hashtext('grants.signing_keys'))"), cancellation)) { }
        return await act(await AllAsync(cancellation));
    }

    private async Task<int> ChangeAsync(Cause cause, IReadOnlyList<SigningKey> known, Func<IReadOnlyList<SigningKey>, IEnumerable<StreamEvent>> decide, CancellationToken cancellation)
    {
        // Making keys is no decision: how many are wanted is found out first. Nobody else changes keys meanwhile.
        var changed = After(known, decide(known));
        var fresh = new List<ProvideSigningKeys.NewKey>();
        foreach (var algorithm in SigningAlgorithm.Supported)
        {
            for (var missing = ProvideSigningKeys.Missing(changed, algorithm); missing > 0; missing--) fresh.Add(await MakeAsync(algorithm, cancellation));
        }

        var decision = await log.Commit(cause, [], (streams, now) =>
        {
            var keys = known.Select(key => streams.SigningKey(key.Id)).OfType<SigningKey>().ToList();
            var events = decide(keys).ToList();
            return Decide.Accept(true, [.. events, .. ProvideSigningKeys.Decide(After(keys, events), fresh, now)]);
        }, cancellation, reliesOn: [.. known.Select(key => key.Id)]);
        _ring = null;

        // Whatever the last one left undone is done here as well.
        var dead = After(known, decision.Events).Where(key => key.Status is SigningKeyStatus.Revoked or SigningKeyStatus.Destroyed).Select(key => VaultId(key.Kid)).ToList();
        if (dead.Count > 0) await vault.DestroyAsync(dead, cancellation);
        return decision.Events.Count;
    }

    private static IReadOnlyList<SigningKey> After(IReadOnlyList<SigningKey> keys, IEnumerable<StreamEvent> events)
    {
        var known = keys.ToDictionary(key => key.Id, SigningKey? (key) => key);
        foreach (var (stream, happened) in events) known[stream] = SigningKey.Evolve(known.GetValueOrDefault(stream), stream, (SigningKeyEvent)happened);
        return [.. known.Values.OfType<SigningKey>()];
    }

    public void Dispose()
    {
        _signers.Dispose();
        foreach (var key in _private.Values) key.Dispose();
        _reading.Dispose();
    }

    private async Task<ProvideSigningKeys.NewKey> MakeAsync(string algorithm, CancellationToken cancellation)
    {
        using AsymmetricAlgorithm key = algorithm == SigningAlgorithm.ES256 ? ECDsa.Create(ECCurve.NamedCurves.nistP256) : RSA.Create(2048);
        var jwk = PublicJwk(key);
        var kid = Base64UrlEncoder.Encode(new JsonWebKey(jwk).ComputeJwkThumbprint());
        await vault.PutAsync(VaultId(kid), key.ExportPkcs8PrivateKey(), cancellation);
        return new ProvideSigningKeys.NewKey(Guid.CreateVersion7(clock.GetUtcNow()), kid, algorithm, jwk);
    }

    private async Task<IReadOnlyList<RingKey>> ReadAsync(CancellationToken cancellation)
    {
        await using var session = store.QuerySession();
        var keys = await session.Query<SigningKey>().ToListAsync(cancellation);
        var ring = new List<RingKey>();
        foreach (var key in keys.Where(key => key.IsPublished).OrderBy(key => key.CreatedAt).ThenBy(key => key.Kid, StringComparer.Ordinal))
        {
            if (!_private.TryGetValue(key.Kid, out var material))
            {
                var pkcs8 = await vault.FindAsync(VaultId(key.Kid), cancellation) ?? throw new InvalidOperationException($"The private part of signing key {key.Kid} is not in the vault.");
                material = key.Algorithm == SigningAlgorithm.ES256 ? ECDsa.Create() : RSA.Create();
                material.ImportPkcs8PrivateKey(pkcs8, out _);
                _private[key.Kid] = material;
            }

            SecurityKey security = material is ECDsa ecdsa ? new ECDsaSecurityKey(ecdsa) { KeyId = key.Kid } : new RsaSecurityKey((RSA)material) { KeyId = key.Kid };
            security.CryptoProviderFactory = new CryptoProviderFactory(_signers);
            ring.Add(new RingKey(key, security, new SigningCredentials(security, key.Algorithm)));
        }

        return ring;
    }

    private sealed record Reading(DateTimeOffset At, long? Generation, IReadOnlyList<RingKey> Keys);

    private static string VaultId(string kid) => $"signing:{kid}";

    /// <summary>RFC 7517 parameters of the public part alone.</summary>
    private static string PublicJwk(AsymmetricAlgorithm key)
    {
        if (key is ECDsa ecdsa)
        {
            var point = ecdsa.ExportParameters(includePrivateParameters: false).Q;
            return JsonSerializer.Serialize(new { kty = "EC", crv = "P-256", x = Base64UrlEncoder.Encode(point.X), y = Base64UrlEncoder.Encode(point.Y) });
        }

        var rsa = ((RSA)key).ExportParameters(includePrivateParameters: false);
        return JsonSerializer.Serialize(new { kty = "RSA", n = Base64UrlEncoder.Encode(rsa.Modulus), e = Base64UrlEncoder.Encode(rsa.Exponent) });
    }
}
