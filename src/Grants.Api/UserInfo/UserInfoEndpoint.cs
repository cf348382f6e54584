using System.Globalization;
using System.Text.Json.Nodes;
using Grants.Api.Discovery;
using Grants.Api.Dpop;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Api.Signing;
using Grants.Api.Token;
using Grants.Domain.Claims;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.TokenFamilies;
using Wolverine.Http;

namespace Grants.Api.UserInfo;

/// <summary>The userinfo endpoint: OpenID Connect Core §5.3. Reads the streams, so removed access is refused at once; appends nothing (L4).</summary>
public static class UserInfoEndpoint
{
    [WolverineGet("/userinfo")]
    public static Task<IResult> Get(HttpContext http, UserInfoAnswers answers) => answers.AnswerAsync(http, null);

    /// <summary>RFC 6750 §2.2: the token may stand in a form instead of the header.</summary>
    [WolverinePost("/userinfo")]
    public static async Task<IResult> Post(HttpContext http, UserInfoAnswers answers) =>
        await answers.AnswerAsync(http, http.Request.HasFormContentType ? await Parameters.OfFormAsync(http.Request, http.RequestAborted) : null);
}

/// <summary>Checks the access token, and the proof of the key that it is bound to, and says what its scopes cover.</summary>
public sealed class UserInfoAnswers(TokenSigner signer, EventLog log, Lookups lookups, Lineage lineage, PersonalData personal, DpopProofs proofs, Settings settings, TimeProvider clock)
{
    public async Task<IResult> AnswerAsync(HttpContext http, Parameters? form)
    {
        if (form?.Fault is not null || (form?["access_token"] is not null && http.Request.Headers.Authorization.Count > 0) || http.Request.Headers.Authorization.Count > 1)
            return Refuse(TokenType.Bearer, StatusCodes.Status400BadRequest, ErrorCode.InvalidRequest, "The access token was sent in more than one way.");

        // RFC 6750 §3.1: who sent nothing is told nothing. A token in the query is no token (OAuth 2.1 §5).
        var header = http.Request.Headers.Authorization.ToString();
        var scheme = header.StartsWith("DPoP ", StringComparison.OrdinalIgnoreCase) ? TokenType.Dpop : TokenType.Bearer;
        var sent = header.StartsWith(scheme + " ", StringComparison.OrdinalIgnoreCase) ? header[(scheme.Length + 1)..].Trim() : form?["access_token"];
        if (string.IsNullOrEmpty(sent))
            return new OAuthErrorResult(new OAuthError(ErrorCode.InvalidToken, "An access token is needed."), StatusCodes.Status401Unauthorized,
                $"{BearerChallenge.Missing}, {BearerChallenge.Parameters([Metadata])}, {DpopChallenge.Missing}");

        if (await signer.ReadAccessTokenAsync(sent, http.RequestAborted) is not { Id: { Grant: { } grantId } id, Subject: { } subject } token) return InvalidToken(scheme);
        // A bound token is worth nothing without its key, and who says DPoP must not get by with a token that has none (RFC 9449 §7.2).
        if (TokenType.Of(token.Jkt) != scheme) return Refuse(scheme, StatusCodes.Status401Unauthorized, ErrorCode.InvalidToken, "The access token is of another token_type.");
        if (scheme == TokenType.Dpop)
        {
            var (key, fault) = await proofs.CheckAsync(http, sent);
            if (fault is not null) return Refuse(scheme, StatusCodes.Status401Unauthorized, fault.Code, fault.Description);
            if (key is null) return Refuse(scheme, StatusCodes.Status401Unauthorized, ErrorCode.InvalidDpopProof, "A DPoP proof is needed.");
            if (key != token.Jkt) return Refuse(scheme, StatusCodes.Status401Unauthorized, ErrorCode.InvalidToken, "The access token is bound to another key.");
        }

        if (await lookups.ClientAsync(token.Client, http.RequestAborted) is not { } client) return InvalidToken(scheme);
        var streams = await log.Read([id.Family, grantId, subject.Value, client.Id], http.RequestAborted, id);
        if (streams.Family(id.Family) is not { } family || !family.Stands(id.Number) || !await lineage.StandsAsync(family, http.RequestAborted) || streams.Grant(grantId) is not { } grant || !grant.IsLive(clock.GetUtcNow())
            || streams.Client(client.Id) is not { IsActive: true } || streams.Subject(subject.Value) is not { IsActive: true } person) return InvalidToken(scheme);

        // What the token carries, less what the person has taken back since.
        var scopes = token.Scopes.Intersect(grant.Scopes);
        if (!scopes.Contains(StandardScopes.OpenId)) return Refuse(scheme, StatusCodes.Status403Forbidden, ErrorCode.InsufficientScope, "The access token lacks the openid scope.", ("scope", StandardScopes.OpenId));
        // Both times in whole seconds, as the token has the one.
        if (settings.UserInfoSignIn is { } needed && !needed.IsMetBy(token.Acr, token.AuthTime is { } signedIn ? DateTimeOffset.FromUnixTimeSeconds(signedIn) : null, DateTimeOffset.FromUnixTimeSeconds(clock.GetUtcNow().ToUnixTimeSeconds())))
            return Refuse(scheme, StatusCodes.Status401Unauthorized, ErrorCode.InsufficientUserAuthentication, "The person has to sign in again.", [.. WantedOf(needed)]);

        var claims = await personal.OpenAsync(person.Claims, http.RequestAborted) is { } json ? JsonNode.Parse(json)!.AsObject() : [];
        OAuthErrorResult.NoStore(http.Response);
        return Results.Json(TokenClaims.OfUserInfo(token.Sub, claims, scopes));
    }

    /// <summary>Where a caller reads what this API wants: RFC 9728 §5.1.</summary>
    private (string Name, string Value) Metadata => ("resource_metadata", settings.WellKnownUrl(ProtectedResourceEndpoint.Name, "/userinfo"));

    private OAuthErrorResult InvalidToken(string scheme) => Refuse(scheme, StatusCodes.Status401Unauthorized, ErrorCode.InvalidToken, "The access token is invalid, has expired or was removed.");

    private OAuthErrorResult Refuse(string scheme, int status, string code, string description, params (string Name, string Value)[] more) => new(new OAuthError(code, description), status,
        scheme == TokenType.Dpop ? DpopChallenge.For(code, description, [.. more, Metadata]) : $"{BearerChallenge.For(code, description, [.. more, Metadata])}, {DpopChallenge.Missing}");

    /// <summary>RFC 9470 §3: what the app has to ask the authorization endpoint for.</summary>
    private static IEnumerable<(string Name, string Value)> WantedOf(AuthenticationRequirement needed)
    {
        if (needed.AcrValues.Count > 0) yield return ("acr_values", needed.AcrValues.ToString());
        if (needed.MaxAge is { } maxAge) yield return ("max_age", ((long)maxAge.TotalSeconds).ToString(CultureInfo.InvariantCulture));
    }
}
