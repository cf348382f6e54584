using System.Text.Json;
using JasperFx.Events;

namespace Grants.Projections;

/// <summary>
/// The names under which an event's metadata is kept. Actor is Marten's user name, request its correlation id, cause its causation
/// id; the rest are headers.
/// </summary>
public static class EventMetadata
{
    /// <summary>Header: the client that asked, or for which something was done.</summary>
    public const string Client = "client";

    /// <summary>Header: the browser session, 32 hexadecimal digits.</summary>
    public const string Session = "session";

    /// <summary>Header: address and user agent, sealed.</summary>
    public const string Origin = "origin";

    /// <summary>Header: keyed hash of the network (IPv4 /24, IPv6 /48) that a request came from.</summary>
    public const string Network = "network";

    /// <summary>A header as text, or null. Headers read from the database are JSON elements, those of the writing session plain text.</summary>
    public static string? Text(this IEvent happened, string header) => happened.GetHeader(header) switch
    {
        string text => text,
        JsonElement { ValueKind: JsonValueKind.String } element => element.GetString(),
        _ => null,
    };
}
