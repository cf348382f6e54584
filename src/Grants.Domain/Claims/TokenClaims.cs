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
    /// <param name="mayAct">The one party that may act with it (RFC 8693 §4.4); null when nothing is said.</param>
    public static Dictionary<string, object> OfAccessToken(IssuedTokens tokens, string issuer, string? mayAct = null)
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
        if (facts.Act is { } actor) claims["act"] = OfActor(actor);
        if (mayAct is not null) claims["may_act"] = new Dictionary<string, object> { ["sub"] = mayAct };
        if (facts.Authentication is { } authentication)
        {
            claims["auth_time"] = authentication.At.ToUnixTimeSeconds();
            claims["acr"] = authentication.Acr;
            claims["amr"] = authentication.Amr.ToArray();
        }

        return claims;
    }

    /// <summary><c>act</c>, RFC 8693 §4.1: whoever acts now, and inside of it whoever acted before.</summary>
    public static Dictionary<string, object> OfActor(Actor actor)
    {
        var claim = new Dictionary<string, object> { ["sub"] = actor.Subject, ["client_id"] = actor.Client.Value };
        if (actor.Act is { } before) claim["act"] = OfActor(before);
        return claim;
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
        var answer = OfPerson(known, scopes);
        answer.Insert(0, "sub", sub);
        return answer;
    }

    /// <summary>What is known of a person, as far as the scopes cover it.</summary>
    /// <param name="names">Only these; null means all.</param>
    public static JsonObject OfPerson(JsonObject known, ScopeSet scopes, ValueList<string>? names = null)
    {
        var told = new JsonObject();
        foreach (var claim in StandardClaims.ByScope.Where(scope => scopes.Contains(scope.Key)).SelectMany(scope => scope.Value).Where(claim => names?.Contains(claim) != false))
        {
            if (known[claim] is { } value && value.GetValueKind() is not JsonValueKind.Null) told[claim] = value.DeepClone();
        }

        return told;
    }
}

/// <summary>OpenID Connect Core §5.1 and §5.4.</summary>
public static class StandardClaims
{
    /// <summary>The scope that a claim belongs to; null for one that no scope holds.</summary>
    public static string? ScopeOf(string claim) => ByScope.FirstOrDefault(scope => scope.Value.Contains(claim)).Key;

    public static readonly IReadOnlyDictionary<string, ValueList<string>> ByScope = new Dictionary<string, ValueList<string>>
    {
        ["profile"] = ["name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at"],
        ["email"] = ["email", "email_verified"],
        ["address"] = ["address"],
        ["phone"] = ["phone_number", "phone_number_verified"],
    };
}
