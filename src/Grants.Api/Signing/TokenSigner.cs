using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Domain.Catalogues;
using Grants.Domain.Claims;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.TokenFamilies;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Grants.Api.Signing;

/// <summary>The wire form of a token response, RFC 6749 §5.1.</summary>
/// <param name="Scope">Null when there is none: RFC 6749 §3.3 has no empty scope.</param>
/// <param name="Details">What the access token carries of <c>authorization_details</c>; null when nothing.</param>
public sealed record SignedTokens(string AccessToken, string TokenType, int ExpiresInSeconds, string? Scope, string? IdToken, JsonElement? Details = null);

/// <summary>Turns what was decided and committed into signed tokens, or into sealed handles where a resource wants opaque ones, and reads back tokens of our own.</summary>
public sealed class TokenSigner(KeyRing ring, SealedHandles handles, EventLog log, PairwiseNames names, Lookups lookups, Settings settings, TimeProvider clock)
{
    /// <summary>RFC 9068 §2.1.</summary>
    private const string AccessTokenType = "at+jwt";

    /// <summary>RFC 9701 §5; the media type of the answer is the same.</summary>
    internal const string IntrospectionType = "token-introspection+jwt";

    /// <summary>JARM §2.1 recommends at most ten minutes.</summary>
    private static readonly TimeSpan ResponseLifetime = TimeSpan.FromMinutes(5);

    private static readonly JsonWebTokenHandler Handler = new() { SetDefaultTimesOnTokenCreation = false, MapInboundClaims = false };

    /// <param name="nonce">That of the authorization request, for the first id_token alone.</param>
    /// <param name="asked">Claims of the person that the request wanted in it, OpenID Connect Core §5.5.</param>
    /// <param name="version">Where in the family's stream the access token's issue stands: an opaque one is read from there.</param>
    /// <param name="details">The access token's details, opened: RFC 9396 §9.1.</param>
    public async Task<SignedTokens> SignAsync(IssuedTokens tokens, Client client, string? nonce, JsonObject? asked, CancellationToken cancellation, long version = 0, JsonElement? details = null)
    {
        var accessToken = tokens.AccessToken.Form == TokenFormat.Opaque
            ? handles.Seal(new AccessHandle(tokens.Jti, version))
            : await SignAccessTokenAsync(tokens, client, details, cancellation);

        string? idToken = null;
        if (tokens.IdToken is not null)
        {
            var idKey = await ring.ActiveAsync(client.Metadata.IdTokenSignedResponseAlg, cancellation);
            var claims = TokenClaims.OfIdToken(tokens, settings.Issuer, nonce);
            foreach (var (name, value) in asked ?? []) claims.TryAdd(name, JsonSerializer.SerializeToElement(value));
            await NameAsync(claims, tokens.Facts, client, cancellation);
            // OpenID Connect Core §3.1.3.6: the left half of the hash that the id_token's own algorithm uses, here SHA-256.
            claims["at_hash"] = Base64UrlEncoder.Encode(SHA256.HashData(Encoding.ASCII.GetBytes(accessToken)).AsSpan(0, 16).ToArray());
            idToken = Handler.CreateToken(new SecurityTokenDescriptor { Claims = claims, SigningCredentials = idKey.Credentials });
        }

        var issued = tokens.AccessToken;
        return new SignedTokens(accessToken, tokens.TokenType, (int)(issued.ExpiresAt - issued.At).TotalSeconds, issued.Scopes.Count > 0 ? issued.Scopes.ToString() : null, idToken, details);
    }

    /// <summary>Puts in by what names a pairwise client knows person and session. A public one's claims stay as they are.</summary>
    private async Task NameAsync(Dictionary<string, object> claims, FamilyFacts facts, Client client, CancellationToken cancellation)
    {
        if (client.Metadata.PairwiseSector is null || facts.Subject is not { } person) return;
        claims["sub"] = await names.SubOfAsync(person, client, cancellation);
        if (claims.ContainsKey("sid")) claims["sid"] = await names.SidOfAsync(facts.Session!.Value, client, cancellation);
    }

    private async Task<string> SignAccessTokenAsync(IssuedTokens tokens, Client client, JsonElement? details, CancellationToken cancellation)
    {
        var named = tokens.Facts.Act is { } act ? tokens with { Facts = tokens.Facts with { Act = await names.ActorOfAsync(act, client, cancellation) } } : tokens;
        var claims = TokenClaims.OfAccessToken(named, settings.Issuer, client.Metadata.MayAct);
        await NameAsync(claims, tokens.Facts, client, cancellation);
        if (details is { } told) claims["authorization_details"] = told;
        return Handler.CreateToken(new SecurityTokenDescriptor
        {
            Claims = claims,
            TokenType = AccessTokenType,
            SigningCredentials = (await ring.ActiveAsync(tokens.AccessToken.Form ?? SigningAlgorithm.OfAccessTokens, cancellation)).Credentials,
        });
    }

    /// <summary>An authorization response in a JWT: JARM §2.1. Signed only, not encrypted.</summary>
    public async Task<string> SignResponseAsync(Client client, IEnumerable<KeyValuePair<string, string>> parameters, CancellationToken cancellation)
    {
        var key = await ring.ActiveAsync(client.Metadata.EffectiveAuthorizationSignedResponseAlg, cancellation);
        var claims = parameters.ToDictionary(parameter => parameter.Key, object (parameter) => parameter.Value);
        claims["iss"] = settings.Issuer;
        claims["aud"] = client.ClientId.Value;
        claims["exp"] = (clock.GetUtcNow() + ResponseLifetime).ToUnixTimeSeconds();
        return Handler.CreateToken(new SecurityTokenDescriptor { Claims = claims, SigningCredentials = key.Credentials });
    }

    /// <summary>
    /// An introspection answer in a JWT: RFC 9701 §5. It has no <c>sub</c> and no <c>exp</c> of its own, and a type of its own, so that nobody
    /// takes it for an access token (§8.1). Signed only, not encrypted.
    /// </summary>
    /// <param name="answer">What an answer in JSON would be.</param>
    public async Task<string> SignIntrospectionAsync(Client caller, JsonElement answer, CancellationToken cancellation)
    {
        var key = await ring.ActiveAsync(caller.Metadata.EffectiveIntrospectionSignedResponseAlg, cancellation);
        return Handler.CreateToken(new SecurityTokenDescriptor
        {
            Claims = new Dictionary<string, object>
            {
                ["iss"] = settings.Issuer,
                ["aud"] = caller.ClientId.Value,
                ["iat"] = clock.GetUtcNow().ToUnixTimeSeconds(),
                ["token_introspection"] = answer,
            },
            TokenType = IntrospectionType,
            SigningCredentials = key.Credentials,
        });
    }

    /// <summary>What an access token of ours says, if it is genuine, in time and meant for this server itself; else null.</summary>
    public Task<ReadAccessToken?> ReadAccessTokenAsync(string token, CancellationToken cancellation) => ReadAccessTokenAsync(token, settings.Issuer, cancellation);

    /// <summary>The same, whoever the token is meant for. Who may be told is for the caller to check.</summary>
    public Task<ReadAccessToken?> ReadAccessTokenForAnyoneAsync(string token, CancellationToken cancellation) => ReadAccessTokenAsync(token, audience: null, cancellation);

    /// <summary>An <c>id_token_hint</c>: our signature by any key that still stands, whoever it was for; it may have run out (OpenID Connect Core §3.1.2.1).</summary>
    public Task<IdTokenHint?> ReadIdTokenHintAsync(string token, CancellationToken cancellation) => ReadIdTokenAsync(token, lifetime: false, cancellation);

    /// <summary>The same, but only as long as its time isn't over.</summary>
    public Task<IdTokenHint?> ReadIdTokenAsync(string token, CancellationToken cancellation) => ReadIdTokenAsync(token, lifetime: true, cancellation);

    private async Task<IdTokenHint?> ReadIdTokenAsync(string token, bool lifetime, CancellationToken cancellation)
    {
        var result = await ValidateAsync(token, "JWT", audience: null, lifetime, cancellation);
        if (result?.Audiences.FirstOrDefault() is not { } audience) return null;
        var client = new ClientId(audience);
        var session = result.TryGetPayloadValue<string>("sid", out var sid) && Guid.TryParseExact(sid, "N", out var id) ? id : (Guid?)null;
        if (!SubjectId.TryParse(result.Subject, out var subject))
        {
            if (!PairwiseNames.IsPairwise(result.Subject) || await lookups.ClientAsync(client, cancellation) is not { } known || await names.PersonOfAsync(result.Subject, known, cancellation) is not { } person) return null;
            (subject, session) = (person, session is { } named ? await names.SessionOfAsync(named, known, cancellation) : null);
        }

        var authentication = result.TryGetPayloadValue<long>("auth_time", out var at) && result.TryGetPayloadValue<string>("acr", out var acr)
            ? new Authentication(DateTimeOffset.FromUnixTimeSeconds(at), acr, new(result.Claims.Where(claim => claim.Type == "amr").Select(claim => claim.Value)))
            : null;
        return new IdTokenHint(subject, client, session, DateTimeOffset.FromUnixTimeSeconds(result.GetPayloadValue<long>("exp")), authentication);
    }

    private async Task<ReadAccessToken?> ReadAccessTokenAsync(string token, string? audience, CancellationToken cancellation)
    {
        if (handles.OpenAccess(token) is { } handle)
        {
            return await ReadOpaqueAsync(handle, cancellation) is { } read && (audience is null || read.Audience.Contains(audience)) && clock.GetUtcNow() < DateTimeOffset.FromUnixTimeSeconds(read.ExpiresAt) ? read : null;
        }

        var jwt = await ValidateAsync(token, AccessTokenType, audience, lifetime: true, cancellation);
        if (jwt is null || !AccessTokenId.TryParse(jwt.Id, out var id)) return null;
        if (!ScopeSet.TryParse(jwt.TryGetPayloadValue<string>("scope", out var scope) ? scope : null, out var scopes)) return null;
        JwkThumbprint? jkt = null;
        if (jwt.TryGetPayloadValue<object>("cnf", out var confirmation))
        {
            // Whoever can't tell what a token is bound to must not take it for a bearer token.
            if (confirmation is not JsonElement { ValueKind: JsonValueKind.Object } members || !members.TryGetProperty("jkt", out var named) || !JwkThumbprint.TryParse(named.ToString(), out var key)) return null;
            jkt = key;
        }

        string? mayAct = null;
        if (jwt.TryGetPayloadValue<object>("may_act", out var permission))
        {
            // Whoever can't tell who alone may act must not let others act.
            if (permission is not JsonElement { ValueKind: JsonValueKind.Object } party || !party.TryGetProperty("sub", out var name) || name.ValueKind != JsonValueKind.String) return null;
            mayAct = name.GetString();
        }

        var client = new ClientId(jwt.GetPayloadValue<string>("client_id"));
        SubjectId? person = SubjectId.TryParse(jwt.Subject, out var subject) ? subject : null;
        // What its client's sector can't turn back any more names nobody: refused wherever the person counts, and still to be revoked.
        if (PairwiseNames.IsPairwise(jwt.Subject))
            person = (await lookups.ClientAsync(client, cancellation) is { } known ? await names.PersonOfAsync(jwt.Subject, known, cancellation) : null) ?? new SubjectId(Guid.Empty);
        return new ReadAccessToken(id, client, person, scopes,
            [.. jwt.Audiences], jwt.GetPayloadValue<long>("iat"), jwt.GetPayloadValue<long>("exp"),
            jwt.TryGetPayloadValue<string>("acr", out var acr) ? acr : null, jwt.TryGetPayloadValue<long>("auth_time", out var authTime) ? authTime : null, jkt, mayAct,
            jwt.TryGetPayloadValue<object>("authorization_details", out var details) && details is JsonElement { ValueKind: JsonValueKind.Array } objects ? objects : null)
        { Sub = jwt.Subject };
    }

    /// <summary>What a JWT would say stands in the event of its issue. The family's part of it may be said by the rotation right before.</summary>
    private async Task<ReadAccessToken?> ReadOpaqueAsync(AccessHandle handle, CancellationToken cancellation)
    {
        var events = await log.ReadAt(handle.Id.Family, handle.Version, cancellation);
        if (events is not [.., TokenFamilyEvent.AccessTokenIssued { Form: TokenFormat.Opaque } issued] || issued.Number != handle.Id.Number
            || (issued.Facts ?? (events[0] as TokenFamilyEvent.RefreshTokenRotated)?.Facts) is not { } facts || facts.Grant != handle.Id.Grant) return null;
        var sub = facts.Subject is not { } person ? facts.Client.Value
            : await lookups.ClientAsync(facts.Client, cancellation) is { } client ? await names.SubOfAsync(person, client, cancellation)
            : person.ToString();
        return new ReadAccessToken(handle.Id, facts.Client, facts.Subject, issued.Scopes, issued.Audience, issued.At.ToUnixTimeSeconds(), issued.ExpiresAt.ToUnixTimeSeconds(),
            facts.Authentication?.Acr, facts.Authentication?.At.ToUnixTimeSeconds(), issued.Jkt,
            SealedDetails: issued.Details is { } marks ? facts.Details.Named(marks) : null)
        { Sub = sub };
    }

    private async Task<JsonWebToken?> ValidateAsync(string token, string type, string? audience, bool lifetime, CancellationToken cancellation)
    {
        if (token.Length > 8192) return null;
        var keys = await ring.PublishedAsync(cancellation);
        var result = await Handler.ValidateTokenAsync(token, new TokenValidationParameters
        {
            ValidIssuer = settings.Issuer,
            ValidAudience = audience,
            ValidateAudience = audience is not null,
            ValidTypes = [type],
            ValidAlgorithms = SigningAlgorithm.Supported,
            // The kid picks the key, and a key is used with its own algorithm alone (RFC 8725 §3.1).
            IssuerSigningKeyResolver = (_, parsed, kid, _) => keys.Where(key => key.Key.Kid == kid && (parsed as JsonWebToken)?.Alg == key.Key.Algorithm).Select(key => key.Security),
            RequireExpirationTime = true,
            ValidateLifetime = lifetime,
            // Asked even where ValidateLifetime is false.
            LifetimeValidator = (_, expires, _, _) => !lifetime || (expires is { } end && clock.GetUtcNow().UtcDateTime < end),
        });
        // The library leaves crit to its caller. This server knows no such extension, so whoever demands one is refused (RFC 7515 §4.1.11).
        return result.IsValid && result.SecurityToken is JsonWebToken jwt && !jwt.TryGetHeaderValue<object>("crit", out _) ? jwt : null;
    }
}

/// <summary>What a genuine access token of ours says or, if it is opaque, stands for: RFC 9068 §2.2, RFC 9449 §6.1. Times are seconds since 1970.</summary>
/// <param name="Subject">Null when the client acts for itself; <c>sub</c> is the client then.</param>
/// <param name="AuthTime">When the person signed in; null where none did, as is <paramref name="Acr"/>.</param>
/// <param name="Jkt">The key without which it counts for nothing; null for a bearer token.</param>
/// <param name="MayAct">The one party that may act with it (RFC 8693 §4.4); null when nothing is said.</param>
/// <param name="Details">The <c>authorization_details</c> of a JWT, RFC 9396 §9.1; null when it has none.</param>
/// <param name="SealedDetails">Those of an opaque token, as its event keeps them.</param>
public sealed record ReadAccessToken(AccessTokenId Id, ClientId Client, SubjectId? Subject, ScopeSet Scopes, ValueList<string> Audience, long IssuedAt, long ExpiresAt, string? Acr, long? AuthTime, JwkThumbprint? Jkt,
    string? MayAct = null, JsonElement? Details = null, ValueList<AuthorizationDetail>? SealedDetails = null)
{
    /// <summary>The <c>sub</c> itself, by which its client knows the person. For answers; <see cref="Subject"/> is who it is.</summary>
    public required string Sub { get; init; }
}

/// <summary>What a genuine id_token of ours says about its person, client and session.</summary>
/// <param name="Authentication">How the person signed in.</param>
public sealed record IdTokenHint(SubjectId Subject, ClientId Client, Guid? Session, DateTimeOffset ExpiresAt, Authentication? Authentication);
