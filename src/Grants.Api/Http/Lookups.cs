using Grants.Domain.AccessGrants;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Marten;

namespace Grants.Api.Http;

/// <summary>What decisions have to find by another key than a stream's id, from the inline views: exact, never late (design §7).</summary>
public sealed class Lookups(IDocumentStore store)
{
    public async Task<Client?> ClientAsync(ClientId id, CancellationToken cancellation)
    {
        // No client is registered with such characters, and the database can't even be asked about some of them (NUL).
        if (id.Value.Any(c => c is < '!' or > '~')) return null;
        await using var session = store.QuerySession();
        return await session.Query<Client>().FirstOrDefaultAsync(client => client.ClientId == id, cancellation);
    }

    public async Task<Catalogue> CatalogueAsync(CancellationToken cancellation)
    {
        await using var session = store.QuerySession();
        return await session.LoadAsync<Catalogue>(Catalogue.StreamId, cancellation) ?? Catalogue.Empty;
    }

    public async Task<Subject?> SubjectAsync(SubjectId id, CancellationToken cancellation)
    {
        await using var session = store.QuerySession();
        return await session.LoadAsync<Subject>(id.Value, cancellation);
    }

    /// <summary>Whose grant this is.</summary>
    public async Task<SubjectId?> OwnerOfAsync(Guid grant, CancellationToken cancellation)
    {
        await using var session = store.QuerySession();
        return (await session.LoadAsync<Grant>(grant, cancellation))?.Subject;
    }

    /// <summary>What stands between the two, if anything does.</summary>
    public async Task<Grant?> GrantAsync(SubjectId subject, ClientId client, CancellationToken cancellation)
    {
        await using var session = store.QuerySession();
        return await LiveGrantAsync(session, subject, client, cancellation) is { } id ? await session.LoadAsync<Grant>(id, cancellation) : null;
    }

    /// <summary>Whether the person behind a grant may still use their account. A suspended one keeps its grants, but nothing comes of them.</summary>
    public static async Task<bool> IsOwnerActiveAsync(IQuerySession session, Guid grant, CancellationToken cancellation) =>
        await session.LoadAsync<Grant>(grant, cancellation) is { } found
        && await session.LoadAsync<Subject>(found.Subject.Value, cancellation) is { IsActive: true };

    /// <summary>The stream of the grant that is live between the two, if there is one.</summary>
    public static async Task<Guid?> LiveGrantAsync(IQuerySession session, SubjectId subject, ClientId client, CancellationToken cancellation)
    {
        var key = Grant.KeyOf(subject, client);
        return (await session.Query<Grant>().FirstOrDefaultAsync(grant => grant.LiveKey == key, cancellation))?.Id;
    }
}
