using System.Collections.Concurrent;
using Grants.Api.Log;
using Grants.Domain.AccessGrants;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Marten;
using Microsoft.Extensions.Caching.Memory;

namespace Grants.Api.Http;

/// <summary>
/// What decisions have to find by another key than a stream's id, from the inline views (design §7). Clients and the catalogue are kept
/// in memory until <see cref="Changes"/> tells that one changed; the rest is read each time.
/// </summary>
public sealed class Lookups(IDocumentStore store, Changes changes) : IDisposable
{
    private const int MaxClients = 10_000;
    private readonly ConcurrentDictionary<ClientId, (long Generation, Client Client)> _clients = new();
    private readonly MemoryCache _owners = new(new MemoryCacheOptions { SizeLimit = 100_000 });
    private readonly MemoryCache _live = new(new MemoryCacheOptions { SizeLimit = 100_000 });
    private KeptCatalogue? _catalogue;

    /// <summary>What is kept besides is stale under another number; null: nothing may be kept now.</summary>
    public long? Generation => changes.Generation;

    public async Task<Client?> ClientAsync(ClientId id, CancellationToken cancellation)
    {
        // No client is registered with such characters, and the database can't even be asked about some of them (NUL).
        if (id.Value.Any(c => c is < '!' or > '~')) return null;
        var generation = changes.Generation;
        if (_clients.TryGetValue(id, out var known) && known.Generation == generation) return known.Client;
        await using var session = store.QuerySession();
        var client = await session.Query<Client>().FirstOrDefaultAsync(client => client.ClientId == id, cancellation);
        // Names that nobody registered are not kept: strangers can make up any number of them.
        if (client is null || generation is not { } at) return client;
        if (_clients.Count >= MaxClients) _clients.Clear();
        _clients[id] = (at, client);
        return client;
    }

    public async Task<Catalogue> CatalogueAsync(CancellationToken cancellation)
    {
        var generation = changes.Generation;
        if (_catalogue is { } known && known.Generation == generation) return known.Catalogue;
        await using var session = store.QuerySession();
        var catalogue = await session.LoadAsync<Catalogue>(Catalogue.StreamId, cancellation) ?? Catalogue.Empty;
        _catalogue = generation is { } at ? new KeptCatalogue(at, catalogue) : null;
        return catalogue;
    }

    public async Task<Subject?> SubjectAsync(SubjectId id, CancellationToken cancellation)
    {
        await using var session = store.QuerySession();
        return await session.LoadAsync<Subject>(id.Value, cancellation);
    }

    /// <summary>The person whose user name has this hash.</summary>
    public async Task<SubjectId?> SubjectByLoginAsync(string loginHash, CancellationToken cancellation)
    {
        await using var session = store.QuerySession();
        return (await session.Query<Subject>().FirstOrDefaultAsync(subject => subject.LoginHash == loginHash, cancellation))?.SubjectId;
    }

    /// <summary>Whose grant this is. A grant never changes hands, so what was read once stays true.</summary>
    public async Task<SubjectId?> OwnerOfAsync(Guid grant, CancellationToken cancellation)
    {
        if (_owners.TryGetValue(grant, out SubjectId known)) return known;
        await using var session = store.QuerySession();
        if (await session.LoadAsync<Grant>(grant, cancellation) is not { } found) return null;
        return _owners.Set(grant, found.Subject, new MemoryCacheEntryOptions { Size = 1, SlidingExpiration = TimeSpan.FromHours(1) });
    }

    /// <summary>What stands between the two, if anything does.</summary>
    public async Task<Grant?> GrantAsync(SubjectId subject, ClientId client, CancellationToken cancellation)
    {
        await using var session = store.QuerySession();
        return await LiveGrantAsync(session, subject, client, cancellation) is { } id ? await session.LoadAsync<Grant>(id, cancellation) : null;
    }

    /// <summary>The stream of the grant that is live between the two, if there is one.</summary>
    public async Task<Guid?> LiveGrantAsync(IQuerySession session, SubjectId subject, ClientId client, CancellationToken cancellation)
    {
        var key = Grant.KeyOf(subject, client);
        if ((await session.Query<Grant>().FirstOrDefaultAsync(grant => grant.LiveKey == key, cancellation))?.Id is not { } found) return null;
        return _live.Set(key, found, new MemoryCacheEntryOptions { Size = 1, SlidingExpiration = TimeSpan.FromHours(1) });
    }

    /// <summary>The grant that was the live one when last looked for; null when nobody has looked. Its stream tells whether it still is.</summary>
    public Guid? LastLiveGrant(SubjectId subject, ClientId client) => _live.TryGetValue(Grant.KeyOf(subject, client), out Guid known) ? known : null;

    public void Dispose()
    {
        _owners.Dispose();
        _live.Dispose();
    }

    private sealed record KeptCatalogue(long Generation, Catalogue Catalogue);
}
