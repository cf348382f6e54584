using System.Text.Json;
using Grants.Api.Http;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Api.Configuration;

/// <summary>
/// Reads the document at a client's <c>sector_identifier_uri</c>, a JSON array in which each of its redirect URIs must stand: OpenID
/// Connect Core §8.1, Dynamic Registration §5. That is how the sector's host says that the client is one of its own.
/// </summary>
public sealed class SectorDocuments(GuardedFetcher fetcher, ILogger<SectorDocuments> logger)
{
    private static readonly Action<ILogger, string, string, Exception?> NotFetched = LoggerMessage.Define<string, string>(LogLevel.Warning, new EventId(1, "SectorDocumentNotFetched"),
        "The document at sector_identifier_uri of client {Client} could not be had: {Reason}");

    /// <summary>Why the sector doesn't own to the client (<c>invalid_client_metadata</c>), or null when it does. What went wrong on the way is for the log alone (P1).</summary>
    public async Task<OAuthError?> WhyNotAsync(ClientId id, ClientMetadata client, CancellationToken cancellation)
    {
        var fetched = await fetcher.GetAsync(client.SectorIdentifierUri!, "application/json", cancellation);
        if (fetched is not Fetched.Answer { Status: 200, ContentType: "application/json" } document)
        {
            NotFetched(logger, id.Value, fetched is Fetched.Failed(var reason) ? reason : fetched is Fetched.Answer { Status: not 200 and var status } ? $"status {status}" : "its type is not application/json", null);
            return Refuse("there is no JSON document that could be had.");
        }

        if (Listed(document.Body) is not { } listed) return Refuse("its document is not a JSON array of texts.");
        return client.RedirectUris.FirstOrDefault(uri => !listed.Contains(uri)) is { } missing ? Refuse($"its document doesn't list {missing}.") : null;
    }

    private static OAuthError Refuse(string why) => new(ErrorCode.InvalidClientMetadata, $"sector_identifier_uri: {why}");

    private static HashSet<string>? Listed(byte[] json)
    {
        try
        {
            return JsonSerializer.Deserialize<string[]>(json)?.ToHashSet(StringComparer.Ordinal);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
