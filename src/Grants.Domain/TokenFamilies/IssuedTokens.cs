using Grants.Domain.Protocol;

namespace Grants.Domain.TokenFamilies;

/// <summary>What a token request was granted: the token response (RFC 6749 §5.1) before anything is signed or sealed.</summary>
/// <param name="Facts">What all tokens of the family have in common.</param>
/// <param name="RefreshGeneration">The generation of the refresh token to hand out; null when there is none.</param>
/// <param name="IdToken">Null without the <c>openid</c> scope.</param>
public sealed record IssuedTokens(Guid Family, FamilyFacts Facts, TokenFamilyEvent.AccessTokenIssued AccessToken, int? RefreshGeneration, TokenFamilyEvent.IdTokenIssued? IdToken)
{
    /// <summary><c>token_type</c>, one of <see cref="TokenFamilies.TokenType"/>.</summary>
    public string TokenType => TokenFamilies.TokenType.Of(AccessToken.Jkt);

    /// <summary>The details that the access token carries: <c>authorization_details</c> of the answer, RFC 9396 §7.</summary>
    public ValueList<AuthorizationDetail>? Details => AccessToken.Details is { } marks ? Facts.Details.Named(marks) : null;

    public AccessTokenId Jti => new(Family, Facts.Grant, AccessToken.Number);

    /// <summary>How long an id_token may be shown as proof of a sign-in.</summary>
    internal static readonly TimeSpan IdTokenLifetime = TimeSpan.FromMinutes(10);
}

/// <summary>How an access token is to be used: <c>token_type</c>, RFC 6749 §7.1.</summary>
public static class TokenType
{
    /// <summary>RFC 6750.</summary>
    public const string Bearer = "Bearer";

    /// <summary>Together with a proof of the key that it is bound to: RFC 9449 §5.</summary>
    public const string Dpop = "DPoP";

    public static string Of(JwkThumbprint? jkt) => jkt is null ? Bearer : Dpop;
}
