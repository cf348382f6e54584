using System.Security.Cryptography;
using Grants.Projections;
using Microsoft.Extensions.Caching.Memory;
using Npgsql;

namespace Grants.Api.Keys;

/// <summary>
/// Key material in the database, wrapped by the <see cref="KeyEncryptionKey"/>: people's keys, sealing keys, signing keys. Not
/// events, because keys must be destroyable; nothing else is kept beside the log (design §6).
/// </summary>
public sealed class KeyVault(NpgsqlDataSource database, KeyEncryptionKey kek, TimeProvider clock) : IDisposable
{
    /// <summary>Keys don't change; they can only be destroyed, and then other nodes forget them within this time.</summary>
    private static readonly TimeSpan CacheFor = TimeSpan.FromMinutes(1);

    private readonly MemoryCache _cache = new(new MemoryCacheOptions { SizeLimit = 10_000 });

    /// <summary>The key of that name, or null.</summary>
    public async Task<byte[]?> FindAsync(string id, CancellationToken cancellation = default)
    {
        if (_cache.TryGetValue(id, out byte[]? known)) return known;
        await using var command = database.CreateCommand($"select wrapped from {GrantsStore.KeyVault} where id = $1");
        command.Parameters.Add(new NpgsqlParameter { Value = id });
        return await command.ExecuteScalarAsync(cancellation) is byte[] wrapped ? Remember(id, kek.Unwrap(id, wrapped)) : null;
    }

    /// <summary>The key of that name; made by <paramref name="make"/> (256 random bits by default) when there is none. Safe on many nodes: the first one stands.</summary>
    public async Task<byte[]> GetOrMakeAsync(string id, Func<byte[]>? make = null, CancellationToken cancellation = default)
    {
        if (await FindAsync(id, cancellation) is { } known) return known;
        await PutAsync(id, make?.Invoke() ?? RandomNumberGenerator.GetBytes(32), cancellation);
        return await FindAsync(id, cancellation) ?? throw new InvalidOperationException("A key that was just stored is gone.");
    }

    /// <summary>Stores a key unless one of that name is there.</summary>
    public async Task PutAsync(string id, byte[] key, CancellationToken cancellation = default)
    {
        await using var command = database.CreateCommand($"insert into {GrantsStore.KeyVault} (id, wrapped, created_at) values ($1, $2, $3) on conflict (id) do nothing");
        command.Parameters.Add(new NpgsqlParameter { Value = id });
        command.Parameters.Add(new NpgsqlParameter { Value = kek.Wrap(id, key) });
        command.Parameters.Add(new NpgsqlParameter { Value = clock.GetUtcNow() });
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>Destroys keys for good; other nodes forget them within <see cref="CacheFor"/>.</summary>
    public async Task DestroyAsync(IReadOnlyCollection<string> ids, CancellationToken cancellation = default)
    {
        await using var command = database.CreateCommand($"delete from {GrantsStore.KeyVault} where id = any($1)");
        command.Parameters.Add(new NpgsqlParameter { Value = ids.ToArray() });
        await command.ExecuteNonQueryAsync(cancellation);
        foreach (var id in ids) _cache.Remove(id);
    }

    /// <summary>All keys whose name begins so, in the order they were made.</summary>
    public async Task<IReadOnlyList<(string Id, byte[] Key)>> AllAsync(string prefix, CancellationToken cancellation = default)
    {
        await using var command = database.CreateCommand($"select id, wrapped from {GrantsStore.KeyVault} where starts_with(id, $1) order by created_at, id");
        command.Parameters.Add(new NpgsqlParameter { Value = prefix });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var keys = new List<(string, byte[])>();
        while (await reader.ReadAsync(cancellation))
        {
            var id = reader.GetString(0);
            keys.Add((id, kek.Unwrap(id, reader.GetFieldValue<byte[]>(1))));
        }

        return keys;
    }

    public void Dispose() => _cache.Dispose();

    private byte[] Remember(string id, byte[] key) =>
        _cache.Set(id, key, new MemoryCacheEntryOptions { Size = 1, AbsoluteExpirationRelativeToNow = CacheFor });
}
