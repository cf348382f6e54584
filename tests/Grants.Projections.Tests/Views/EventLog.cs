using Grants.Domain.Protocol;
using JasperFx.Events;

namespace Grants.Projections.Tests.Views;

/// <summary>Events as a projection gets them: in order, each with its position and where it came from.</summary>
internal sealed class EventLog
{
    public const string Origin = "v1.k1.b3JpZ2lu";
    public const string Network = "bmV0d29yaw";

    private readonly List<IEvent> _events = [];

    public IReadOnlyList<IEvent> Events => _events;

    public EventLog Add(Guid stream, params IEnumerable<IDomainEvent> happened)
    {
        foreach (var one in happened) _events.Add(Event(stream, one, _events.Count + 1, _events.Count(e => e.StreamId == stream) + 1));
        return this;
    }

    /// <summary>As the server's log appends a decision: stream by stream, in the order in which the decision first names them.</summary>
    public EventLog Add(IEnumerable<StreamEvent> decided)
    {
        foreach (var stream in decided.GroupBy(e => e.Stream)) Add(stream.Key, stream.Select(e => e.Event));
        return this;
    }

    /// <param name="version">Its place in its stream.</param>
    public static IEvent Event(Guid stream, IDomainEvent happened, long position = 1, long version = 2)
    {
        var e = (IEvent)Activator.CreateInstance(typeof(Event<>).MakeGenericType(happened.GetType()), happened)!;
        e.StreamId = stream;
        e.Sequence = position;
        e.Version = version;
        e.SetHeader(EventMetadata.Origin, $"{Origin}.{position}");
        e.SetHeader(EventMetadata.Network, Network);
        return e;
    }
}
