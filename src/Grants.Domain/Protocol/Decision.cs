namespace Grants.Domain.Protocol;

/// <summary>Something that happened, as one stream remembers it.</summary>
public interface IDomainEvent;

/// <summary>An event and the stream that it is appended to.</summary>
public sealed record StreamEvent(Guid Stream, IDomainEvent Event);

/// <summary>
/// What a decision comes to: a value or a refusal, and in both cases the events that record it. A refusal may leave events, too:
/// a replayed code ends the tokens of its first use.
/// </summary>
public abstract record Decision<T>(ValueList<StreamEvent> Events);

/// <summary>The request was met.</summary>
public sealed record Accepted<T>(T Value, ValueList<StreamEvent> Events) : Decision<T>(Events);

/// <summary>The request was refused with a standard error.</summary>
public sealed record Refused<T>(OAuthError Error, ValueList<StreamEvent> Events) : Decision<T>(Events);

/// <summary>Short ways to write a decision's end.</summary>
public static class Decide
{
    public static Decision<T> Accept<T>(T value, params IEnumerable<StreamEvent> events) => new Accepted<T>(value, new(events));

    public static Decision<T> Refuse<T>(string code, string description, params IEnumerable<StreamEvent> events) =>
        new Refused<T>(new OAuthError(code, description), new(events));
}

/// <summary>Who ended something: the <c>by</c> of an ending event.</summary>
public static class EndedBy
{
    public const string Person = "person";
    public const string Client = "client";
    public const string Operator = "operator";
    public const string System = "system";
}
