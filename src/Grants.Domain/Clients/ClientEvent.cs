using Grants.Domain.Protocol;

namespace Grants.Domain.Clients;

/// <summary>All that can happen to one client. The wire names are in EventNames.cs of Projections and never change.</summary>
public abstract record ClientEvent : IDomainEvent
{
    private ClientEvent() { }

    public sealed record Registered(ClientId Client, ClientMetadata Metadata, DateTimeOffset At) : ClientEvent;

    public sealed record MetadataReplaced(ClientMetadata Metadata, DateTimeOffset At) : ClientEvent;

    public sealed record SecretAdded(SecretHash Hash, DateTimeOffset At) : ClientEvent;

    public sealed record SecretRetired(string KeyId, DateTimeOffset At) : ClientEvent;

    public sealed record Suspended(string Why, DateTimeOffset At) : ClientEvent;

    public sealed record Resumed(DateTimeOffset At) : ClientEvent;

    public sealed record Deleted(string Why, DateTimeOffset At) : ClientEvent;
}
