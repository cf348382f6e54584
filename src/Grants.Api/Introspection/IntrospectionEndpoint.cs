using System.Text.Json;
using System.Text.Json.Serialization;
using Grants.Api.Details;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Api.Signing;
using Grants.Api.Token;
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
    public static async Task<IResult> Post(HttpContext http, ClientAuthentication authentication, IntrospectionAnswers answers, TokenSigner signer)
    {
        if (await Parameters.OfFormAsync(http.Request, http.RequestAborted) is not { } form)
            return new OAuthErrorResult(new OAuthError(ErrorCode.InvalidRequest, "The body must be application/x-www-form-urlencoded."));
        var authenticated = await authentication.AuthenticateAsync(http.Request, form, http.RequestAborted, secretNeeded: true);
        if (authenticated is not ClientAuthenticationResult.Authenticated(var caller)) return ((ClientAuthenticationResult.Failed)authenticated).Result;
        if (form["token"] is not { } token) return new OAuthErrorResult(new OAuthError(ErrorCode.InvalidRequest, "token is missing."));
        var answer = new IntrospectionResponse(await answers.AnswerAsync(caller, token, http.RequestAborted));
        return WantsJwt(http.Request) ? new SignedIntrospectionResponse(await signer.SignIntrospectionAsync(caller, answer.ToJson(), http.RequestAborted)) : answer;
    }

    /// <summary>RFC 9701 §4: the caller names the media type. Whoever takes anything gets JSON, as ever.</summary>
    internal static bool WantsJwt(HttpRequest request)
    {
        var accepted = request.GetTypedHeaders().Accept;
        return Quality(SignedIntrospectionResponse.MediaType) is > 0 and var jwt && jwt >= Quality("application/json");

        double Quality(string type) => accepted.Where(range => range.MediaType.Equals(type, StringComparison.OrdinalIgnoreCase)).Select(range => range.Quality ?? 1).DefaultIfEmpty(0).Max();
    }
}

/// <summary>
/// Says what still stands of a token, and only to whom it concerns: an access token to the client that has it and to those that act
/// for a resource of its audience, a refresh token to its client alone (RFC 7662 §4).
/// </summary>
public sealed class IntrospectionAnswers(TokenSigner signer, SealedHandles handles, EventLog log, Lookups lookups, DetailsReader details, Lineage lineage, PairwiseNames names, Settings settings, TimeProvider clock)
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
        if (streams.Family(token.Id.Family) is not { } family || !family.Stands(token.Id.Number) || !await lineage.StandsAsync(family, cancellation) || streams.Client(caller.Id) is not { IsActive: true } current || !MaySee(current, token)
            || Standing(streams, client.Id, token.Id.Grant, token.Subject?.Value, token.Scopes, new(token.Audience.Where(to => to != settings.Issuer))) is not { } scopes) return null;
        var standing = token.Id.Grant is { } id ? streams.Grant(id)?.Details : null;
        var resources = token.Client == caller.ClientId ? null : current.Metadata.Resources ?? [];
        var told = token.Details is { } carried ? await details.TellAsync(carried, token.Id.Grant is null ? null : mark => standing.Has(mark), resources, cancellation)
            : token.SealedDetails is { } kept ? await details.TellAsync((token.Id.Grant is null ? kept : kept.Among(standing)) is var left && resources is not null ? left.For(resources) : left, cancellation)
            : null;
        return new IntrospectionResponse.Body(true, TextOf(scopes), token.Client.Value, TokenType.Of(token.Jkt), token.ExpiresAt, token.IssuedAt, token.Sub, token.Audience,
            settings.Issuer, token.Id.ToString(), token.Acr, token.AuthTime, token.Jkt is { } jkt ? new IntrospectionResponse.Confirmation(jkt.Value) : null,
            IntrospectionResponse.Acting.Of(await names.ActorOfAsync(family.Facts.Act, client, cancellation)), told);
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
            || Standing(streams, caller.Id, token.Grant, person.Value, family.Facts.Scopes, family.Facts.Resources) is not { } scopes) return null;
        var expiresAt = refresh.IdleExpiresAt < refresh.ExpiresAt ? refresh.IdleExpiresAt : refresh.ExpiresAt;
        return new IntrospectionResponse.Body(true, TextOf(scopes), caller.ClientId.Value, null, expiresAt.ToUnixTimeSeconds(), refresh.IssuedAt.ToUnixTimeSeconds(), await names.SubOfAsync(person, caller, cancellation),
            null, settings.Issuer, null, null, null, null, null,
            await details.TellAsync(family.Facts.Details.Among(streams.Grant(token.Grant)?.Details), cancellation));
    }

    private static bool MaySee(Client caller, ReadAccessToken token) => token.Client == caller.ClientId || (caller.Metadata.Resources ?? []).Any(token.Audience.Contains);

    /// <summary>What is left of the scopes; null when client, person or grant no longer stands.</summary>
    /// <param name="resources">Where the scopes are for; null: wherever they are understood.</param>
    private ScopeSet? Standing(StreamsRead streams, Guid client, Guid? grant, Guid? person, ScopeSet scopes, ValueList<string>? resources)
    {
        if (streams.Client(client) is not { IsActive: true } || (person is { } owner && streams.Subject(owner) is not { IsActive: true })) return null;
        if (grant is not { } id) return scopes;
        return streams.Grant(id) is { } found && found.IsLive(clock.GetUtcNow()) ? scopes.Intersect(found.ScopesAt(resources)) : null;
    }

    private static string? TextOf(ScopeSet scopes) => scopes.Count > 0 ? scopes.ToString() : null;
}

/// <summary>RFC 7662 §2.2, RFC 9470 §6.2, RFC 9449 §6.2, RFC 9396 §9.2, RFC 8693 §4.1. Inactive is one and the same body for every reason (RFC 7662 §4).</summary>
/// <param name="body">Null for inactive.</param>
internal sealed class IntrospectionResponse(IntrospectionResponse.Body? body) : IResult
{
    private static readonly byte[] Inactive = """{"active":false}"""u8.ToArray();

    /// <summary>The whole answer, to be put into a JWT.</summary>
    public JsonElement ToJson() => body is null ? JsonElement.Parse(Inactive) : JsonSerializer.SerializeToElement(body, ApiJson.Default.IntrospectionBody);

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
        [property: JsonPropertyName("cnf"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] Confirmation? Confirmation,
        [property: JsonPropertyName("act"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] Acting? Act,
        [property: JsonPropertyName("authorization_details"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] JsonElement? Details = null);

    /// <summary>What the token is bound to.</summary>
    internal sealed record Confirmation([property: JsonPropertyName("jkt")] string Jkt);

    /// <summary>Who acts for the person, and inside of it who acted before.</summary>
    internal sealed record Acting(
        [property: JsonPropertyName("sub")] string Subject,
        [property: JsonPropertyName("client_id")] string ClientId,
        [property: JsonPropertyName("act"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] Acting? Act)
    {
        public static Acting? Of(Actor? actor) => actor is null ? null : new(actor.Subject, actor.Client.Value, Of(actor.Act));
    }
}

/// <summary>RFC 9701 §5: the same as a signed JWT, for callers who must prove later what they were told.</summary>
internal sealed class SignedIntrospectionResponse(string jwt) : IResult
{
    public const string MediaType = "application/" + TokenSigner.IntrospectionType;

    public Task ExecuteAsync(HttpContext httpContext)
    {
        OAuthErrorResult.NoStore(httpContext.Response);
        httpContext.Response.ContentType = MediaType;
        return httpContext.Response.WriteAsync(jwt, httpContext.RequestAborted);
    }
}
