using System.Text.Json.Serialization;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Api.Signing;
using Grants.Domain.AccessGrants;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;
using Wolverine.Http;

namespace Grants.Api.Introspection;

/// <summary>The introspection endpoint: RFC 7662. Reads the streams, so an end on any node counts with the next call; appends nothing (L4).</summary>
public static class IntrospectionEndpoint
{
    /// <summary>
    /// Only a client that proves itself is answered: RFC 7662 §2.1 wants the endpoint authorized against token scanning, and whoever
    /// merely names a public client's <c>client_id</c> has proven nothing. <c>token_type_hint</c> isn't read: a token tells its own kind.
    /// </summary>
    [WolverinePost("/introspect")]
    public static async Task<IResult> Post(HttpContext http, ClientAuthentication authentication, IntrospectionAnswers answers)
    {
        if (await Parameters.OfFormAsync(http.Request, http.RequestAborted) is not { } form)
            return new OAuthErrorResult(new OAuthError(ErrorCode.InvalidRequest, "The body must be application/x-www-form-urlencoded."));
        var authenticated = await authentication.AuthenticateAsync(http.Request, form, http.RequestAborted, secretNeeded: true);
        if (authenticated is not ClientAuthenticationResult.Authenticated(var caller)) return ((ClientAuthenticationResult.Failed)authenticated).Result;
        if (form["token"] is not { } token) return new OAuthErrorResult(new OAuthError(ErrorCode.InvalidRequest, "token is missing."));
        return new IntrospectionResponse(await answers.AnswerAsync(caller, token, http.RequestAborted));
    }
}

/// <summary>
/// Says what still stands of a token, and only to whom it concerns: an access token to the client that has it and to those that act
/// for a resource of its audience, a refresh token to its client alone (RFC 7662 §4).
/// </summary>
public sealed class IntrospectionAnswers(TokenSigner signer, SealedHandles handles, EventLog log, Lookups lookups, PairwiseNames names, Settings settings, TimeProvider clock)
{
    /// <summary>Null for inactive, whatever the reason. What isn't a token of ours, or is none of the caller's business, costs no query.</summary>
    internal async Task<IntrospectionResponse.Body?> AnswerAsync(Client caller, string token, CancellationToken cancellation) =>
        handles.OpenRefresh(token) is { } refresh ? await OfAsync(caller, refresh, cancellation)
        : await signer.ReadAccessTokenForAnyoneAsync(token, cancellation) is { } access ? await OfAsync(caller, access, cancellation)
        : null;

    private async Task<IntrospectionResponse.Body?> OfAsync(Client caller, ReadAccessToken token, CancellationToken cancellation)
    {
        if (!MaySee(caller, token)) return null;
        var client = token.Client == caller.ClientId ? caller : await lookups.ClientAsync(token.Client, cancellation);
        if (client is null) return null;

        // The client that was found may be a moment old, so its stream is read, too.
        Guid?[] named = [token.Id.Family, token.Id.Grant, client.Id, caller.Id, token.Subject?.Value];
        var streams = await log.Read([.. named.OfType<Guid>()], cancellation, token.Id);
        if (streams.Family(token.Id.Family)?.Stands(token.Id.Number) != true || streams.Client(caller.Id) is not { IsActive: true } current || !MaySee(current, token)
            || Standing(streams, client.Id, token.Id.Grant, token.Subject?.Value, token.Scopes) is not { } scopes) return null;
        return new IntrospectionResponse.Body(true, TextOf(scopes), token.Client.Value, TokenType.Of(token.Jkt), token.ExpiresAt, token.IssuedAt, token.Sub, token.Audience,
            settings.Issuer, token.Id.ToString(), token.Acr, token.AuthTime, token.Jkt is { } jkt ? new IntrospectionResponse.Confirmation(jkt.Value) : null);
    }

    /// <summary>
    /// Only the newest refresh token is active. A spent one can still be exchanged once more within the retry window, but that is a way
    /// to get a lost answer, not a token that stands.
    /// </summary>
    private async Task<IntrospectionResponse.Body?> OfAsync(Client caller, RefreshHandle token, CancellationToken cancellation)
    {
        if (await lookups.OwnerOfAsync(token.Grant, cancellation) is not { } person) return null;
        var streams = await log.Read([token.Family, token.Grant, caller.Id, person.Value], cancellation);
        if (streams.Family(token.Family) is not { IsDead: false, Refresh: { } refresh } family || family.Facts.Client != caller.ClientId
            || refresh.Generation != token.Generation || !refresh.IsLive(clock.GetUtcNow())
            || Standing(streams, caller.Id, token.Grant, person.Value, family.Facts.Scopes) is not { } scopes) return null;
        var expiresAt = refresh.IdleExpiresAt < refresh.ExpiresAt ? refresh.IdleExpiresAt : refresh.ExpiresAt;
        return new IntrospectionResponse.Body(true, TextOf(scopes), caller.ClientId.Value, null, expiresAt.ToUnixTimeSeconds(), refresh.IssuedAt.ToUnixTimeSeconds(), await names.SubOfAsync(person, caller, cancellation),
            null, settings.Issuer, null, null, null, null);
    }

    private static bool MaySee(Client caller, ReadAccessToken token) => token.Client == caller.ClientId || (caller.Metadata.Resources ?? []).Any(token.Audience.Contains);

    /// <summary>What is left of the scopes; null when client, person or grant no longer stands.</summary>
    private ScopeSet? Standing(StreamsRead streams, Guid client, Guid? grant, Guid? person, ScopeSet scopes)
    {
        if (streams.Client(client) is not { IsActive: true } || (person is { } owner && streams.Subject(owner) is not { IsActive: true })) return null;
        if (grant is not { } id) return scopes;
        return streams.Grant(id) is { } found && found.IsLive(clock.GetUtcNow()) ? scopes.Intersect(found.Scopes) : null;
    }

    private static string? TextOf(ScopeSet scopes) => scopes.Count > 0 ? scopes.ToString() : null;
}

/// <summary>RFC 7662 §2.2, RFC 9470 §6.2, RFC 9449 §6.2. Inactive is one and the same body for every reason (RFC 7662 §4).</summary>
/// <param name="body">Null for inactive.</param>
internal sealed class IntrospectionResponse(IntrospectionResponse.Body? body) : IResult
{
    private static readonly byte[] Inactive = """{"active":false}"""u8.ToArray();

    public Task ExecuteAsync(HttpContext httpContext)
    {
        var response = httpContext.Response;
        OAuthErrorResult.NoStore(response);
        if (body is not null) return response.WriteAsJsonAsync(body, ApiJson.Default.IntrospectionBody, cancellationToken: httpContext.RequestAborted);
        response.ContentType = "application/json; charset=utf-8";
        return response.BodyWriter.WriteAsync(Inactive, httpContext.RequestAborted).AsTask();
    }

    /// <summary>An active token. Times are seconds since 1970.</summary>
    /// <param name="Scope">What the token carries and the person still allows; null when that is nothing, since RFC 6749 §3.3 has no empty scope.</param>
    /// <param name="TokenType">RFC 6749 §7.1; null for a refresh token, which isn't shown to any resource.</param>
    internal sealed record Body(
        [property: JsonPropertyName("active")] bool Active,
        [property: JsonPropertyName("scope"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Scope,
        [property: JsonPropertyName("client_id")] string ClientId,
        [property: JsonPropertyName("token_type"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? TokenType,
        [property: JsonPropertyName("exp")] long ExpiresAt,
        [property: JsonPropertyName("iat")] long IssuedAt,
        [property: JsonPropertyName("sub")] string Subject,
        [property: JsonPropertyName("aud"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<string>? Audience,
        [property: JsonPropertyName("iss")] string Issuer,
        [property: JsonPropertyName("jti"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Id,
        [property: JsonPropertyName("acr"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Acr,
        [property: JsonPropertyName("auth_time"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] long? AuthTime,
        [property: JsonPropertyName("cnf"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] Confirmation? Confirmation);

    /// <summary>What the token is bound to.</summary>
    internal sealed record Confirmation([property: JsonPropertyName("jkt")] string Jkt);
}
