using System.Text.Json;
using System.Text.Json.Serialization;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Domain.Protocol;
using Microsoft.AspNetCore.Http.Features;

namespace Grants.Api.Http;

/// <summary>Makes the <see cref="Cause"/> of what a request brings about. Where it came from is sealed at once and never logged.</summary>
public sealed class Causes(PersonalData personal)
{
    /// <param name="subject">The person, when known: then the origin is sealed under that person's key.</param>
    public async Task<Cause> Of(HttpContext http, string actor, ClientId? client = null, Guid? session = null, SubjectId? subject = null)
    {
        var address = http.Connection.RemoteIpAddress;
        var origin = JsonSerializer.Serialize(new Origin(address?.ToString(), Shorten(http.Request.Headers.UserAgent.ToString())), ApiJson.Default.Origin);
        return new Cause(actor, RequestId(http), $"{http.Request.Method} {http.GetEndpoint()?.Metadata.GetMetadata<Microsoft.AspNetCore.Http.Metadata.IRouteDiagnosticsMetadata>()?.Route ?? http.Request.Path}",
            client, session, await personal.SealAsync(subject, origin, http.RequestAborted), await personal.NetworkHashAsync(address, http.RequestAborted));
    }

    /// <summary>
    /// Trace and span of this request, so that traces and events can be joined. The trace alone would not do: a caller chooses it,
    /// for as many requests as it likes (W3C Trace Context §3.2); the span is ours.
    /// </summary>
    public static string RequestId(HttpContext http) =>
        http.Features.Get<IHttpActivityFeature>()?.Activity is { } request ? $"{request.TraceId.ToHexString()}-{request.SpanId.ToHexString()}" : http.TraceIdentifier;

    internal sealed record Origin([property: JsonPropertyName("address")] string? Address, [property: JsonPropertyName("agent")] string Agent);

    private static string Shorten(string agent) => agent.Length <= 300 ? agent : agent[..300];
}
