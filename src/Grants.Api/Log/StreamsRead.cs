using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Keys;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.Subjects;
using Grants.Domain.TokenFamilies;

namespace Grants.Api.Log;

/// <summary>An event as decisions see it.</summary>
public sealed record LoggedEvent(Guid Stream, long Version, Guid Id, object Data);

/// <summary>The streams that a decision asked for, as they stood when they were read. A stream that doesn't exist folds to null.</summary>
public sealed class StreamsRead(IReadOnlyList<Guid> ids, IReadOnlyDictionary<Guid, IReadOnlyList<LoggedEvent>> events)
{
    public Authorization? Authorization(Guid id) => Fold<Authorization, AuthorizationEvent>(id, Domain.Authorizations.Authorization.Evolve);

    public Grant? Grant(Guid id) => Fold<Grant, GrantEvent>(id, Domain.AccessGrants.Grant.Evolve);

    public TokenFamily? Family(Guid id) => Fold<TokenFamily, TokenFamilyEvent>(id, TokenFamily.Evolve);

    public Session? Session(Guid id) => Fold<Session, SessionEvent>(id, Domain.Sessions.Session.Evolve);

    public Subject? Subject(Guid id) => Fold<Subject, SubjectEvent>(id, Domain.Subjects.Subject.Evolve);

    public Client? Client(Guid id) => Fold<Client, ClientEvent>(id, Domain.Clients.Client.Evolve);

    public Catalogue? Catalogue(Guid id) => Fold<Catalogue, CatalogueEvent>(id, Domain.Catalogues.Catalogue.Evolve);

    public SigningKey? SigningKey(Guid id) => Fold<SigningKey, SigningKeyEvent>(id, Domain.Keys.SigningKey.Evolve);

    /// <summary>The version that a stream had; 0 when it didn't exist.</summary>
    internal long Version(Guid id) => Newest(id)?.Version ?? 0;

    /// <summary>Every stream that was asked for, in the order of asking.</summary>
    internal IReadOnlyList<Guid> Ids => ids;

    /// <summary>The same reading, narrowed to one stream.</summary>
    internal StreamsRead Only(Guid id) => new([id], events);

    /// <summary>The newest event of the first stream named: what led here.</summary>
    internal Guid? LastEvent => ids.Count > 0 ? Newest(ids[0])?.Id : null;

    // Not simply the last one: endings from before the part that was read come after it.
    // A stream that a decision begins without having asked for it must be new.
    private LoggedEvent? Newest(Guid id) => events.GetValueOrDefault(id)?.MaxBy(e => e.Version);

    private TState? Fold<TState, TEvent>(Guid id, Func<TState?, Guid, TEvent, TState?> evolve) where TState : class
    {
        if (!ids.Contains(id)) throw new InvalidOperationException($"A decision wants a {typeof(TState).Name} that was not read.");
        TState? state = null;
        foreach (var e in events[id])
        {
            // A stream of another kind is as good as none: handles are sealed, but a kind is not taken on trust.
            if (e.Data is TEvent happened) state = evolve(state, id, happened);
        }

        return state;
    }
}
