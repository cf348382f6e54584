using Grants.Domain.Authorizations;
using Grants.Domain.Protocol;
using Grants.Projections;

namespace Grants.Api.Log;

/// <summary>Who did something, for whom, through what and from where: what each event of a commit is marked with (L11).</summary>
/// <param name="Actor"><c>person:…</c>, <c>client:…</c>, <c>operator:…</c> or <c>system:…</c>.</param>
/// <param name="Request">The request's id: equal for all that one request caused.</param>
/// <param name="Command">What was asked, such as <c>POST /token</c>: the cause of events that no earlier event led to.</param>
/// <param name="Origin">Address and user agent, sealed.</param>
/// <param name="Network">Keyed hash of the network.</param>
public sealed record Cause(string Actor, string Request, string Command, ClientId? Client = null, Guid? Session = null, SealedText? Origin = null, string? Network = null)
{
    /// <summary>What stands in an event's headers (<see cref="EventMetadata"/>).</summary>
    internal IEnumerable<(string Name, string Value)> Headers()
    {
        if (Client is { } client) yield return (EventMetadata.Client, client.Value);
        if (Session is { } session) yield return (EventMetadata.Session, session.ToString("N"));
        if (Origin is { } origin) yield return (EventMetadata.Origin, origin.Value);
        if (Network is { } network) yield return (EventMetadata.Network, network);
    }

    /// <summary>An authorization request is its client's, whoever's browser brings it. Everything else is the actor's own.</summary>
    internal string ActorOf(IDomainEvent happened) => happened is AuthorizationEvent.Requested && Client is { } client ? ByClient(client) : Actor;

    public static string Person(SubjectId subject) => $"person:{subject}";

    public static string ByClient(ClientId client) => $"client:{client}";

    public static string System(string name) => $"system:{name}";

    public static string Operator(string name) => $"operator:{name}";
}
