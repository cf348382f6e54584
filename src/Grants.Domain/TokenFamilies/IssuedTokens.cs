using Grants.Domain.Protocol;

namespace Grants.Domain.TokenFamilies;

/// <summary>What a token request was granted: the token response (RFC 6749 §5.1) before anything is signed or sealed.</summary>
/// <param name="Facts">What all tokens of the family have in common.</param>
/// <param name="RefreshGeneration">The generation of the refresh token to hand out; null when there is none.</param>
/// <param name="IdToken">Null without the <c>openid</c> scope.</param>
public sealed record IssuedTokens(Guid Family, FamilyFacts Facts, TokenFamilyEvent.AccessTokenIssued AccessToken, int? RefreshGeneration, TokenFamilyEvent.IdTokenIssued? IdToken)
{
    public AccessTokenId Jti => new(Family, Facts.Grant, AccessToken.Number);

    /// <summary>How long an id_token may be shown as proof of a sign-in.</summary>
    internal static readonly TimeSpan IdTokenLifetime = TimeSpan.FromMinutes(10);
}
