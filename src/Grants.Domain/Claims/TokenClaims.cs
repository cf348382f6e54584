using System.Text.Json;
using System.Text.Json.Nodes;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;

namespace Grants.Domain.Claims;

/// <summary>Pure construction of what tokens and userinfo say. Signing is elsewhere.</summary>
public static class TokenClaims
{
    /// <summary>A JWT access token's claims, RFC 9068 §2.2. Times are seconds since 1970.</summary>
    public static Dictionary<string, object> OfAccessToken(IssuedTokens tokens, string issuer)
    {
        var token = tokens.AccessToken;
        var facts = tokens.Facts;
        var claims = new Dictionary<string, object>
        {
            ["iss"] = issuer,
            ["sub"] = facts.Subject?.ToString() ?? facts.Client.Value,
            ["aud"] = token.Audience.Count == 1 ? token.Audience[0] : token.Audience.ToArray(),
            ["client_id"] = facts.Client.Value,
            ["jti"] = tokens.Jti.ToString(),
            ["iat"] = token.At.ToUnixTimeSeconds(),
            ["exp"] = token.ExpiresAt.ToUnixTimeSeconds(),
        };
        if (token.Scopes.Count > 0) claims["scope"] = token.Scopes.ToString();
        if (token.Jkt is { } jkt) claims["cnf"] = new Dictionary<string, object> { ["jkt"] = jkt.Value }; // RFC 9449 §6.1
        if (facts.Authentication is { } authentication)
        {
            claims["auth_time"] = authentication.At.ToUnixTimeSeconds();
            claims["acr"] = authentication.Acr;
            claims["amr"] = authentication.Amr.ToArray();
        }

        return claims;
    }

    /// <summary>An id_token's claims, OpenID Connect Core §2; <c>at_hash</c> is added where the access token is signed.</summary>
    /// <param name="nonce">That of the authorization request; null at a refresh (OpenID Connect Core §12.2).</param>
    public static Dictionary<string, object> OfIdToken(IssuedTokens tokens, string issuer, string? nonce)
    {
        var facts = tokens.Facts;
        var claims = new Dictionary<string, object>
        {
            ["iss"] = issuer,
            ["sub"] = facts.Subject!.Value.ToString(),
            ["aud"] = facts.Client.Value,
            ["iat"] = tokens.IdToken!.At.ToUnixTimeSeconds(),
            ["exp"] = tokens.IdToken.ExpiresAt.ToUnixTimeSeconds(),
            ["auth_time"] = facts.Authentication!.At.ToUnixTimeSeconds(),
            ["acr"] = facts.Authentication.Acr,
            ["amr"] = facts.Authentication.Amr.ToArray(),
            ["sid"] = facts.Session!.Value.ToString("N"),
        };
        if (nonce is not null) claims["nonce"] = nonce;
        return claims;
    }

    /// <summary>What userinfo tells, OpenID Connect Core §5.3 and §5.4: always <c>sub</c>, and of the rest what the scopes cover.</summary>
    /// <param name="sub">That of the access token, which is that of the id_token.</param>
    public static JsonObject OfUserInfo(string sub, JsonObject known, ScopeSet scopes)
    {
        var answer = new JsonObject { ["sub"] = sub };
        foreach (var scope in StandardClaims.ByScope.Keys.Where(scopes.Contains))
        {
            foreach (var claim in StandardClaims.ByScope[scope])
            {
                if (known[claim] is { } value && value.GetValueKind() is not JsonValueKind.Null) answer[claim] = value.DeepClone();
            }
        }

        return answer;
    }
}

/// <summary>OpenID Connect Core §5.1 and §5.4.</summary>
public static class StandardClaims
{
    public static readonly IReadOnlyDictionary<string, ValueList<string>> ByScope = new Dictionary<string, ValueList<string>>
    {
        ["profile"] = ["name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at"],
        ["email"] = ["email", "email_verified"],
        ["address"] = ["address"],
        ["phone"] = ["phone_number", "phone_number_verified"],
    };
}
