using Grants.Domain.AccessGrants;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Keys;
using Grants.Domain.Subjects;
using JasperFx.Events;
using Marten.Events.Aggregation;

namespace Grants.Projections.Streams;

// One adapter for each stream whose state has to be found by another key than its id, in the same transaction as its events.
// Marten calls, the Domain folds.

/// <summary>Clients, found by <c>client_id</c>.</summary>
public sealed partial class ClientStream : SingleStreamProjection<Client, Guid>
{
    public ClientStream() => EventNames.TypesOf<ClientEvent>().ToList().ForEach(IncludeType);

    public override Client? Evolve(Client? snapshot, Guid id, IEvent e) => Client.Evolve(snapshot, id, (ClientEvent)e.Data);
}

/// <summary>People, found by the hash of their user name.</summary>
public sealed partial class SubjectStream : SingleStreamProjection<Subject, Guid>
{
    public SubjectStream() => EventNames.TypesOf<SubjectEvent>().ToList().ForEach(IncludeType);

    public override Subject? Evolve(Subject? snapshot, Guid id, IEvent e) => Subject.Evolve(snapshot, id, (SubjectEvent)e.Data);
}

/// <summary>Grants, found by person and client while they are live.</summary>
public sealed partial class GrantStream : SingleStreamProjection<Grant, Guid>
{
    public GrantStream() => EventNames.TypesOf<GrantEvent>().ToList().ForEach(IncludeType);

    public override Grant? Evolve(Grant? snapshot, Guid id, IEvent e) => Grant.Evolve(snapshot, id, (GrantEvent)e.Data);
}

/// <summary>Signing keys, read as a set.</summary>
public sealed partial class SigningKeyStream : SingleStreamProjection<SigningKey, Guid>
{
    public SigningKeyStream() => EventNames.TypesOf<SigningKeyEvent>().ToList().ForEach(IncludeType);

    public override SigningKey? Evolve(SigningKey? snapshot, Guid id, IEvent e) => SigningKey.Evolve(snapshot, id, (SigningKeyEvent)e.Data);
}

/// <summary>The catalogue of permissions and resources.</summary>
public sealed partial class CatalogueStream : SingleStreamProjection<Catalogue, Guid>
{
    public CatalogueStream() => EventNames.TypesOf<CatalogueEvent>().ToList().ForEach(IncludeType);

    public override Catalogue? Evolve(Catalogue? snapshot, Guid id, IEvent e) => Catalogue.Evolve(snapshot, id, (CatalogueEvent)e.Data);
}
