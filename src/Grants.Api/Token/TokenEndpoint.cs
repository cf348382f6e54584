using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Grants.Api.Authorize;
using Grants.Api.Details;
using Grants.Api.DeviceAuthorization;
using Grants.Api.Dpop;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Api.Signing;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Claims;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Grants.Domain.TokenFamilies;
using Wolverine.Http;

namespace Grants.Api.Token;

/// <summary>The token endpoint: RFC 6749 §3.2. Parse, authenticate the client, decide, commit, sign, answer.</summary>
public static class TokenEndpoint
{
    [WolverinePost("/token")]
    public static async Task<IResult> Post(HttpContext http, ClientAuthentication authentication, TokenGrants grants, TokenExchange exchange, JwtBearer bearer)
    {
        if (await Parameters.OfFormAsync(http.Request, http.RequestAborted) is not { } form)
            return new OAuthErrorResult(new OAuthError(ErrorCode.InvalidRequest, "The body must be application/x-www-form-urlencoded."));
        var authenticated = await authentication.AuthenticateAsync(http.Request, form, http.RequestAborted);
        if (authenticated is not ClientAuthenticationResult.Authenticated(var client)) return ((ClientAuthenticationResult.Failed)authenticated).Result;
        return TokenRequest.Parse(form, client) switch
        {
            TokenRequest.AuthorizationCode ask => await grants.RedeemAsync(http, client, ask),
            TokenRequest.DeviceCode ask => await grants.PollAsync(http, client, ask),
            TokenRequest.RefreshToken ask => await grants.RefreshAsync(http, client, ask),
            TokenRequest.ClientCredentials ask => await grants.IssueAsync(http, client, ask),
            TokenRequest.TokenExchange ask => await exchange.ExchangeAsync(http, client, ask),
            TokenRequest.JwtBearer ask => await bearer.AcceptAsync(http, client, ask),
            TokenRequest.Invalid(var error) => new OAuthErrorResult(error),
            _ => throw new System.Diagnostics.UnreachableException(),
        };
    }
}

/// <summary>
/// One method per grant type: which streams, which decision. The DPoP proof is checked when the handle is known to be ours: before that,
/// nobody may cause a query.
/// </summary>
public sealed class TokenGrants(EventLog log, Lookups lookups, SealedHandles handles, TokenSigner signer, PersonalData personal, DetailsReader details, DpopProofs proofs, RepeatedChallenges challenges, DevicePolls polls, Causes causes, Settings settings, TimeProvider clock)
{
    private static readonly OAuthError UnknownCode = new(ErrorCode.InvalidGrant, "The code is unknown.");
    private static readonly OAuthError UnknownDevice = new(ErrorCode.InvalidGrant, "The device code is unknown.");
    private static readonly OAuthError UnknownToken = new(ErrorCode.InvalidGrant, "The refresh token is unknown.");

    public async Task<IResult> RedeemAsync(HttpContext http, Client client, TokenRequest.AuthorizationCode ask)
    {
        if (handles.OpenCode(ask.Code.Expose()) is not { } code) return new OAuthErrorResult(UnknownCode);
        var (jkt, badProof) = await proofs.CheckAsync(http);
        if (badProof is not null) return new OAuthErrorResult(badProof);
        var catalogue = await lookups.CatalogueAsync(http.RequestAborted);
        var owner = await lookups.OwnerOfAsync(code.Grant, http.RequestAborted);
        var marks = await details.MarksAsync(ask.Details, http.RequestAborted);
        (Authorization? authorization, Subject? subject) = (null, null);
        var decision = await log.Commit(await CauseOf(http, client, owner), [code.Authorization, code.Grant, code.Family],
            (streams, now) =>
            {
                (authorization, subject) = (streams.Authorization(code.Authorization), owner is { } person ? streams.Subject(person.Value) : null);
                return RedeemCode.Decide(authorization, GrantOf(streams, code.Grant, owner), streams.Family(code.Family),
                    new(streams.Client(client.Id)!, ask.RedirectUri, ask.Verifier, catalogue, settings.Issuer, jkt, ask.Resources, marks), now);
            },
            http.RequestAborted, streams => streams.Authorization(code.Authorization)?.Subject?.Session, reliesOn: ReliedOn(client, owner), begins: code.Family);
        if (decision is Accepted<IssuedTokens>) challenges.Redeemed(client.ClientId, authorization!.Request.Challenge);
        return await Answer(http, client, decision, authorization, subject);
    }

    /// <summary>As long as nobody has answered, a poll only reads: no event tells of it (E11).</summary>
    public async Task<IResult> PollAsync(HttpContext http, Client client, TokenRequest.DeviceCode ask)
    {
        if (handles.OpenDevice(ask.Code.Expose()) is not { Authorization: var id }) return new OAuthErrorResult(UnknownDevice);
        var (jkt, badProof) = await proofs.CheckAsync(http);
        if (badProof is not null) return new OAuthErrorResult(badProof);
        var catalogue = await lookups.CatalogueAsync(http.RequestAborted);
        RedeemCode.Request Request(StreamsRead streams) => new(streams.Client(client.Id)!, null, null, catalogue, settings.Issuer, jkt, ask.Resources);

        var read = await log.Read([id, client.Id], http.RequestAborted);
        var waiting = read.Authorization(id);
        if (waiting?.Code is not { } code)
        {
            var refused = (Refused<IssuedTokens>)RedeemDeviceCode.Decide(waiting, null, null, Request(read), clock.GetUtcNow());
            return refused.Error.Code == ErrorCode.AuthorizationPending && await polls.TooSoonAsync(id, waiting!.ExpiresAt, http.RequestAborted)
                ? new OAuthErrorResult(new OAuthError(ErrorCode.SlowDown, "Wait 5 seconds longer between two polls from now on."))
                : new OAuthErrorResult(refused.Error);
        }

        var owner = await lookups.OwnerOfAsync(code.Grant, http.RequestAborted);
        var decision = await log.Commit(await CauseOf(http, client, owner), [id, code.Grant, code.Family],
            (streams, now) => RedeemDeviceCode.Decide(streams.Authorization(id), GrantOf(streams, code.Grant, owner), streams.Family(code.Family), Request(streams), now),
            http.RequestAborted, streams => streams.Authorization(id)?.Subject?.Session, reliesOn: ReliedOn(client, owner), begins: code.Family);
        return await Answer(http, client, decision);
    }

    public async Task<IResult> RefreshAsync(HttpContext http, Client client, TokenRequest.RefreshToken ask)
    {
        if (handles.OpenRefresh(ask.Token.Expose()) is not { } token) return new OAuthErrorResult(UnknownToken);
        var (jkt, badProof) = await proofs.CheckAsync(http);
        if (badProof is not null) return new OAuthErrorResult(badProof);
        var catalogue = await lookups.CatalogueAsync(http.RequestAborted);
        var owner = await lookups.OwnerOfAsync(token.Grant, http.RequestAborted);
        var marks = await details.MarksAsync(ask.Details, http.RequestAborted);
        StreamsRead? read = null;
        var decision = await log.Commit(await CauseOf(http, client, owner), [token.Family, token.Grant],
            (streams, now) => RefreshTokens.Decide((read = streams).Family(token.Family), GrantOf(streams, token.Grant, owner),
                new(streams.Client(client.Id)!, token.Generation, ask.Scopes, catalogue, settings.Issuer, jkt, ask.Resources, marks), now),
            http.RequestAborted, streams => streams.Family(token.Family)?.Facts.Session, reliesOn: ReliedOn(client, owner));
        return await Answer(http, client, decision, before: read);
    }

    public async Task<IResult> IssueAsync(HttpContext http, Client client, TokenRequest.ClientCredentials ask)
    {
        var (jkt, badProof) = await proofs.CheckAsync(http);
        if (badProof is not null) return new OAuthErrorResult(badProof);
        var catalogue = await lookups.CatalogueAsync(http.RequestAborted);
        if (ask.Details is { } asked && await details.WhyNotAsync(asked, client, catalogue, guarded: true) is { } fault) return new OAuthErrorResult(fault);
        var own = ask.Details is null ? null : await details.SealAsync(ask.Details, owner: null, http.RequestAborted);
        var family = Guid.CreateVersion7(clock.GetUtcNow());
        var decision = await log.Commit(await CauseOf(http, client, null), [],
            (streams, now) => IssueClientToken.Decide(new(streams.Client(client.Id)!, ask.Scopes, family, catalogue, settings.Issuer, jkt, ask.Resources, own), now), http.RequestAborted, reliesOn: ReliedOn(client, null));
        return await Answer(http, client, decision);
    }

    /// <summary>
    /// The client was found in memory and the person is no part of the handle, but nothing may come of a suspended one: their streams
    /// are read with the others and compared in the commit, so that a suspension on another node stops a token at once (E14, T23).
    /// </summary>
    private static IReadOnlyList<Guid> ReliedOn(Client client, SubjectId? owner) => owner is { } person ? [client.Id, person.Value] : [client.Id];

    /// <summary>The grant, as far as its person may still use the account: a suspended one keeps its grants, but nothing comes of them.</summary>
    internal static Grant? GrantOf(StreamsRead streams, Guid grant, SubjectId? owner) =>
        owner is { } person && streams.Subject(person.Value) is { IsActive: true } ? streams.Grant(grant) : null;

    /// <summary>
    /// A confidential client calls from its own server, a public one from the person's device: there the origin is that person's data
    /// and is sealed under that person's key.
    /// </summary>
    internal Task<Cause> CauseOf(HttpContext http, Client client, SubjectId? owner) => causes.Of(http, Cause.ByClient(client.ClientId), client.ClientId,
        subject: client.Metadata.IsConfidential ? null : owner);

    /// <summary>Runs after the commit and only then signs: nothing leaves that the log doesn't know (L1).</summary>
    /// <param name="authorization">The request that the code was for, and <paramref name="subject"/> the person who answered it.</param>
    /// <param name="before">What was decided by, for a family that was there before.</param>
    /// <param name="issuedType">What RFC 8693 §2.2.1 has the answer say of the token; null outside of an exchange.</param>
    internal async Task<IResult> Answer(HttpContext http, Client client, Decision<IssuedTokens> decision, Authorization? authorization = null, Subject? subject = null, StreamsRead? before = null, string? issuedType = null)
    {
        switch (decision)
        {
            case Refused<IssuedTokens>(var error, _):
                return new OAuthErrorResult(error);
            case Accepted<IssuedTokens>(var tokens, _):
                var nonce = tokens.IdToken is not null && authorization?.Request.Private is { } text && await personal.OpenAsync(text, http.RequestAborted) is { } json
                    ? JsonSerializer.Deserialize<PrivateParameters>(json)!.Nonce
                    : null;
                var asked = tokens.IdToken is not null && authorization?.Request.IdTokenClaims is { } names && subject is not null && await personal.OpenAsync(subject.Claims, http.RequestAborted) is { } known
                    ? TokenClaims.OfPerson(JsonNode.Parse(known)!.AsObject(), tokens.AccessToken.Scopes, names)
                    : null;
                // The commit compared the version, so that is where the event stands now.
                var version = tokens.AccessToken.Form == TokenFormat.Opaque
                    ? (before?.Version(tokens.Family) ?? 0) + decision.Events.Where(e => e.Stream == tokens.Family).TakeWhile(e => !ReferenceEquals(e.Event, tokens.AccessToken)).Count() + 1
                    : 0;
                var signed = await signer.SignAsync(tokens, client, nonce, asked, http.RequestAborted, version, await details.TellAsync(tokens.Details, http.RequestAborted));
                var refresh = tokens is { RefreshGeneration: { } generation, Facts.Grant: { } grant } ? handles.Seal(new RefreshHandle(tokens.Family, grant, generation)) : null;
                return new TokenResponse(signed, refresh, issuedType);
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }
}

/// <summary>RFC 6749 §5.1, OpenID Connect Core §3.1.3.3, RFC 8693 §2.2.1, RFC 9396 §7. <c>scope</c> is said whenever there is one, since a person may have allowed less than was asked.</summary>
public sealed class TokenResponse(SignedTokens tokens, string? refreshToken, string? issuedType = null) : IResult
{
    public Task ExecuteAsync(HttpContext httpContext)
    {
        OAuthErrorResult.NoStore(httpContext.Response);
        return httpContext.Response.WriteAsJsonAsync(new Body(tokens.AccessToken, tokens.TokenType, tokens.ExpiresInSeconds, tokens.Scope, refreshToken, tokens.IdToken, issuedType, tokens.Details), httpContext.RequestAborted);
    }

    internal sealed record Body(
        [property: JsonPropertyName("access_token")] string AccessToken,
        [property: JsonPropertyName("token_type")] string TokenType,
        [property: JsonPropertyName("expires_in")] int ExpiresInSeconds,
        [property: JsonPropertyName("scope"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Scope,
        [property: JsonPropertyName("refresh_token"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? RefreshToken,
        [property: JsonPropertyName("id_token"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? IdToken,
        [property: JsonPropertyName("issued_token_type"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? IssuedType,
        [property: JsonPropertyName("authorization_details"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] JsonElement? Details);
}
