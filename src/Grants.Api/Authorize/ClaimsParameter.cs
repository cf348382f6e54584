using System.Text;
using System.Text.Json;
using Grants.Api.Signing;
using Grants.Domain.Claims;
using Grants.Domain.Protocol;

namespace Grants.Api.Authorize;

/// <summary>The <c>claims</c> request parameter, OpenID Connect Core §5.5, as far as this server can answer it. Claims that it doesn't know are left out.</summary>
/// <param name="InIdToken">Claims of a person that the id_token shall carry.</param>
/// <param name="InUserInfo">Claims that userinfo shall tell.</param>
/// <param name="Subject">The person it must be; null when anybody may answer.</param>
/// <param name="RequiredAcr">The authentication context classes of which one must be reached (§5.5.1.1); null when none must.</param>
public sealed record ClaimsParameter(ValueList<string> InIdToken, ValueList<string> InUserInfo, string? Subject, ValueList<string>? RequiredAcr)
{
    /// <summary>Null for what isn't of the form of §5.5.</summary>
    public static ClaimsParameter? Parse(string text)
    {
        if (JsonMembers.Parse(Encoding.UTF8.GetBytes(text)) is not { } json || Members(json, "id_token") is not { } idToken || Members(json, "userinfo") is not { } userInfo) return null;
        var subject = Values(idToken, "sub").Concat(Values(userInfo, "sub")).FirstOrDefault();
        // Asked for without being essential, acr is in every id_token anyhow.
        var acr = idToken.GetValueOrDefault("acr") is { } asked && asked["essential"] is { ValueKind: JsonValueKind.True } ? Values(idToken, "acr") : [];
        return new ClaimsParameter(Known(idToken), Known(userInfo), subject, acr is [] ? null : new(acr));
    }

    /// <summary>The scopes that hold what is asked for: people are asked about scopes, whose words they can read.</summary>
    public IEnumerable<string> Scopes => InIdToken.Concat(InUserInfo).Select(StandardClaims.ScopeOf).OfType<string>().Distinct();

    /// <summary>Each claim with what is said of it, null for a claim asked for in the default manner. Null when a member isn't of that form.</summary>
    private static Dictionary<string, JsonMembers?>? Members(JsonMembers json, string name)
    {
        var claims = new Dictionary<string, JsonMembers?>(StringComparer.Ordinal);
        if (json[name] is not { } value) return claims;
        if (JsonMembers.Of(value) is not { } members) return null;
        foreach (var (claim, request) in members.All)
        {
            var said = JsonMembers.Of(request);
            if (said is null && request.ValueKind != JsonValueKind.Null) return null;
            if (said?["essential"] is { ValueKind: not (JsonValueKind.True or JsonValueKind.False) } || said?["values"] is { ValueKind: not JsonValueKind.Array }) return null;
            claims[claim] = said;
        }

        return claims;
    }

    private static List<string> Values(Dictionary<string, JsonMembers?> claims, string claim)
    {
        if (claims.GetValueOrDefault(claim) is not { } said) return [];
        var several = said["values"] is { } values ? values.EnumerateArray().Select(JsonMembers.TextOf) : [];
        return [.. several.Prepend(said.Text("value")).OfType<string>()];
    }

    private static ValueList<string> Known(Dictionary<string, JsonMembers?> claims) => new(claims.Keys.Where(claim => StandardClaims.ScopeOf(claim) is not null).Order(StringComparer.Ordinal));
}
