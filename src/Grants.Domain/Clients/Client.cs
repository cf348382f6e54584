using Grants.Domain.Protocol;
using static Grants.Domain.Clients.ClientEvent;

namespace Grants.Domain.Clients;

public enum ClientStatus { Active, Suspended, Deleted }

/// <summary>A registered app as decisions see it.</summary>
/// <param name="Id">The stream's id.</param>
/// <param name="NameBefore">The name it had until <paramref name="NameChangedAt"/>; people who allowed it under that name are told.</param>
public sealed record Client(Guid Id, ClientId ClientId, ClientMetadata Metadata, ValueList<SecretHash> Secrets, ClientStatus Status,
    DateTimeOffset RegisteredAt, string? NameBefore = null, DateTimeOffset? NameChangedAt = null)
{
    public bool IsActive => Status == ClientStatus.Active;

    /// <summary>Why it may not use a grant type now, or null when it may: <c>unauthorized_client</c>, RFC 6749 §5.2.</summary>
    public OAuthError? WhyNotUse(string grantType) =>
        !IsActive ? new OAuthError(ErrorCode.UnauthorizedClient, "This client is not active.")
        : !Metadata.GrantTypes.Contains(grantType) ? new OAuthError(ErrorCode.UnauthorizedClient, "This client is not registered for this grant type.")
        : null;

    /// <summary>
    /// Why it gets no access token bound to this key, or bound to none when it proved none (null); null when it does. RFC 9449 §5.2 names
    /// no error for a client that registered <c>dpop_bound_access_tokens</c> and sends no proof: <c>invalid_request</c>.
    /// </summary>
    public OAuthError? WhyNotBoundTo(JwkThumbprint? jkt) => jkt is null && Metadata.DpopBoundAccessTokens == true
        ? new OAuthError(ErrorCode.InvalidRequest, "The access tokens of this client are bound to a key: send a DPoP proof.")
        : null;

    public static Client? Evolve(Client? state, Guid id, ClientEvent happened) => (state, happened) switch
    {
        (null, Registered e) => new Client(id, e.Client, e.Metadata, [], ClientStatus.Active, e.At),
        ({ Status: ClientStatus.Deleted }, _) => state,
        ({ } c, MetadataReplaced e) when e.Metadata.ClientName != c.Metadata.ClientName =>
            c with { Metadata = e.Metadata, NameBefore = c.Metadata.ClientName, NameChangedAt = e.At },
        ({ } c, MetadataReplaced e) => c with { Metadata = e.Metadata },
        ({ } c, SecretAdded e) => c with { Secrets = new(c.Secrets.Append(e.Hash)) },
        ({ } c, SecretRetired e) => c with { Secrets = new(c.Secrets.Where(secret => secret.KeyId != e.KeyId)) },
        ({ } c, Suspended) => c with { Status = ClientStatus.Suspended },
        ({ } c, Resumed) => c with { Status = ClientStatus.Active },
        ({ } c, Deleted) => c with { Status = ClientStatus.Deleted },
        _ => state,
    };
}
