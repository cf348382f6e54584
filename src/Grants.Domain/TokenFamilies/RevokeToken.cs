using Grants.Domain.AccessGrants;
using Grants.Domain.Protocol;

namespace Grants.Domain.TokenFamilies;

/// <summary>
/// Ends a token at its client's wish: RFC 7009 §2. A refresh token ends with its whole family, every access token of it included
/// (RFC 7009 §2.1), and the person's grant survives; an access token ends alone, and the refresh token lives on.
/// </summary>
public static class RevokeToken
{
    /// <param name="AccessToken">
    /// The access token's number in the family; null for a refresh token. Of which generation a refresh token is doesn't matter: a spent
    /// one names the same authorization as its successor, and a client that lost the answer to its last renewal has no other.
    /// </param>
    public sealed record Request(ClientId Client, int? AccessToken);

    /// <summary>
    /// The value tells whether anything was ended now. What is unknown or has ended is no error (RFC 7009 §2.2), another client's token
    /// is <c>invalid_grant</c>, whatever became of it. A refresh token whose time is over still ends its family: access tokens may
    /// outlive it.
    /// </summary>
    public static Decision<bool> Decide(TokenFamily? family, Grant? grant, Request ask, DateTimeOffset now)
    {
        if (family is null) return Protocol.Decide.Accept(false);
        if (family.Facts.Client != ask.Client) return Protocol.Decide.Refuse<bool>(ErrorCode.InvalidGrant, "The token was issued to another client.");
        if (family.Revoked || (family.Facts.Grant is not null && grant?.IsLive(now) != true)) return Protocol.Decide.Accept(false);
        const string why = "revoked by its client";
        return ask.AccessToken is not { } number
            ? Protocol.Decide.Accept(true, new StreamEvent(family.Id, new TokenFamilyEvent.Revoked(EndedBy.Client, why, now)))
            : family.Stands(number)
                ? Protocol.Decide.Accept(true, new StreamEvent(family.Id, new TokenFamilyEvent.AccessTokenRevoked(number, EndedBy.Client, why, now)))
                : Protocol.Decide.Accept(false);
    }
}
