using Grants.Domain.Protocol;

namespace Grants.Domain.Clients;

/// <summary>
/// What a client said of itself, in RFC 7591 §2's terms, with its defaults filled in; members of our own come last.
/// Every event holds the whole of it, so that what stood on any day can be read from one event.
/// </summary>
public sealed record ClientMetadata
{
    public required string ClientName { get; init; }
    public string? ClientUri { get; init; }
    public ValueList<string> RedirectUris { get; init; } = [];
    public ValueList<string> PostLogoutRedirectUris { get; init; } = [];
    public ValueList<string> GrantTypes { get; init; } = [GrantType.AuthorizationCode];
    public ValueList<string> ResponseModes { get; init; } = [ResponseMode.Query, ResponseMode.FormPost];
    public string TokenEndpointAuthMethod { get; init; } = ClientAuthMethod.Basic;

    /// <summary><c>web</c> or <c>native</c>, OpenID Connect Dynamic Registration §2.</summary>
    public string ApplicationType { get; init; } = "web";

    /// <summary>The scopes it may ask for.</summary>
    public ScopeSet Scope { get; init; } = ScopeSet.Empty;
    public string IdTokenSignedResponseAlg { get; init; } = SigningAlgorithm.ES256;

    /// <summary>What signs its authorization responses (JARM §4); null: RS256, as that specification says.</summary>
    public string? AuthorizationSignedResponseAlg { get; init; }

    /// <summary>What signs the introspection answers that it wants as a JWT (RFC 9701 §6); null: RS256, as that specification says.</summary>
    public string? IntrospectionSignedResponseAlg { get; init; }
    public int? DefaultMaxAge { get; init; }
    public bool RequireAuthTime { get; init; }

    /// <summary>Those of <see cref="Scope"/> that a person may leave out and still use the app.</summary>
    public ScopeSet OptionalScopes { get; init; } = ScopeSet.Empty;

    /// <summary>The app's own words for why it wants a scope. Shown as its claim, and only when the app has been checked.</summary>
    public ValueList<ScopePurpose> Purposes { get; init; } = [];

    /// <summary>The operator vouches for who runs this app.</summary>
    public bool Checked { get; init; }

    /// <summary>Run by the operator itself.</summary>
    public bool OwnApp { get; init; }
    public TimeSpan AccessTokenLifetime { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>A refresh token that isn't used for so long dies.</summary>
    public TimeSpan RefreshTokenIdle { get; init; } = TimeSpan.FromDays(30);

    /// <summary>How long what a person allowed stands, counted from the last consent. Refresh tokens never outlive it.</summary>
    public TimeSpan GrantLifetime { get; init; } = TimeSpan.FromDays(90);

    /// <summary>
    /// For how long a refresh token that was just used may be presented again for the same successor, when an answer was lost.
    /// Null: the default, 30 s for those who prove themselves, by a secret or by the key that the token is bound to, and 0 for others.
    /// </summary>
    public TimeSpan? RefreshRetryWindow { get; init; }

    /// <summary>Ends redirects with the harmless fragment <c>#_</c>, so that a browser doesn't put an old one back: RFC 9700 §4.1.3.</summary>
    public bool AppendFragment { get; init; }

    /// <summary>
    /// The protected resources that it acts for, by the URIs of the catalogue: it may introspect access tokens that are meant for
    /// them, whoever they were issued to. Null, never empty, when there is none: older events don't have the member.
    /// </summary>
    public ValueList<string>? Resources { get; init; }

    /// <summary>
    /// The protected resources that it may have access tokens for, by the URIs of the catalogue. Null: each that understands one of its
    /// scopes; older events don't have the member.
    /// </summary>
    public ValueList<string>? AllowedResources { get; init; }

    /// <summary>It must push its authorization requests: RFC 9126 §6. Null, never false: older events don't have the member.</summary>
    public bool? RequirePushedAuthorizationRequests { get; init; }

    /// <summary>The one algorithm of its client assertions, OpenID Connect Dynamic Registration §2. Null: each that its method allows.</summary>
    public string? TokenEndpointAuthSigningAlg { get; init; }

    /// <summary>Its public keys as a JWK Set in JSON (RFC 7517 §5). Never together with <see cref="JwksUri"/>.</summary>
    public string? Jwks { get; init; }

    /// <summary>Where its public keys are found.</summary>
    public string? JwksUri { get; init; }

    /// <summary>The one algorithm that its request objects are signed with: RFC 9101 §10.5. Null: it sends none.</summary>
    public string? RequestObjectSigningAlg { get; init; }

    /// <summary>It must send its requests as signed request objects: RFC 9101 §10.5. Null, never false: older events don't have the member.</summary>
    public bool? RequireSignedRequestObject { get; init; }

    /// <summary>
    /// Its access tokens are always bound to a key, RFC 9449 §5.2: without a DPoP proof it gets none. Null, never false, when it may send
    /// one or not: older events don't have the member.
    /// </summary>
    public bool? DpopBoundAccessTokens { get; init; }

    /// <summary>What the <c>aud</c> of its assertions may be, one of <see cref="AssertionAudience"/>. Null: the issuer and nothing else.</summary>
    public string? AssertionAudience { get; init; }

    /// <summary>Which tokens of which clients it may exchange, and for what (RFC 8693). Null, never empty, when it may exchange none: older events don't have the member.</summary>
    public ValueList<TokenExchangeRule>? TokenExchange { get; init; }

    /// <summary>The one client that may act with the access tokens of this one: <c>may_act</c>, RFC 8693 §4.4. Null: whoever a rule of its own permits to.</summary>
    public string? MayAct { get; init; }

    /// <summary>One of <see cref="SubjectIdentifierType"/>. Null, never <c>public</c>, which is the default: older events don't have the member.</summary>
    public string? SubjectType { get; init; }

    /// <summary>Where a JSON array lists the redirect URIs of all apps of its sector: OpenID Connect Core §8.1.</summary>
    public string? SectorIdentifierUri { get; init; }

    /// <summary>The types of <c>authorization_details</c> that it may ask for, RFC 9396 §10. Null, never empty, when there are none.</summary>
    public ValueList<string>? AuthorizationDetailsTypes { get; init; }

    public bool IsConfidential => TokenEndpointAuthMethod != ClientAuthMethod.None;

    /// <summary>Whether it shares a secret with the server, whatever way it is used.</summary>
    public bool HasSecret => TokenEndpointAuthMethod is ClientAuthMethod.Basic or ClientAuthMethod.Post or ClientAuthMethod.SecretJwt;

    public bool IsNative => ApplicationType == "native";

    public string EffectiveAuthorizationSignedResponseAlg => AuthorizationSignedResponseAlg ?? SigningAlgorithm.RS256;

    public string EffectiveIntrospectionSignedResponseAlg => IntrospectionSignedResponseAlg ?? SigningAlgorithm.RS256;

    /// <summary>
    /// The sector identifier, OpenID Connect Core §8.1: the host of <see cref="SectorIdentifierUri"/>, else the one host of all redirect
    /// URIs. Null when that is several, or none that is the app's own, as with a private scheme and a native app's loopback address.
    /// </summary>
    public string? Sector => SectorIdentifierUri is { } uri ? HostOf(uri)
        : RedirectUris.Select(redirect => !IsNative || redirect.StartsWith("https:", StringComparison.OrdinalIgnoreCase) ? HostOf(redirect) : null).Distinct().ToArray() is [{ } one] ? one
        : null;

    /// <summary>The sector within which it knows people by <c>sub</c>s of its own; null for a public client, which knows them as all public ones do.</summary>
    public string? PairwiseSector => SubjectType == SubjectIdentifierType.Pairwise ? Sector : null;

    /// <param name="bound">Whether the refresh token is bound to a key.</param>
    public TimeSpan RetryWindow(bool bound) => RefreshRetryWindow ?? (IsConfidential || bound ? TimeSpan.FromSeconds(30) : TimeSpan.Zero);

    /// <summary>Whether a request may name this redirect URI.</summary>
    public bool Admits(RedirectUri presented) => RedirectUris.Any(registered => new RedirectUri(registered).Admits(presented, IsNative));

    /// <summary>The scopes that the app can't do without.</summary>
    public ScopeSet NeededOf(ScopeSet asked) => asked.Except(OptionalScopes);

    /// <summary>
    /// The host that a redirect to <paramref name="redirectUri"/> proves, or null when the app runs on the person's own device.
    /// </summary>
    public string? ProvenHost(string redirectUri) =>
        !IsNative && Uri.TryCreate(redirectUri, UriKind.Absolute, out var uri) && uri.Scheme is "https" or "http"
            ? new Uri(redirectUri).Authority
            : null;

    private static string? HostOf(string address) => Uri.TryCreate(address, UriKind.Absolute, out var uri) && uri.Scheme is "https" or "http" ? uri.Host : null;
}

/// <summary>An app's reason for one scope, at most 80 characters.</summary>
public sealed record ScopePurpose(string Scope, string Text);

/// <summary>What a client may exchange tokens for: RFC 8693 §2. Whatever no rule permits is refused.</summary>
/// <param name="From">The clients whose tokens it may show. There is no name for all.</param>
/// <param name="Audience">What the new token may be meant for: resources of the catalogue, or the issuer for its userinfo endpoint.</param>
/// <param name="Scope">The most that it may carry; never more than the token shown.</param>
/// <param name="Impersonation">It may do without an <c>actor_token</c>: then the new token doesn't say that anybody acts for the person (RFC 8693 §1.1).</param>
public sealed record TokenExchangeRule(ValueList<string> From, ValueList<string> Audience, ScopeSet Scope, bool Impersonation);

/// <summary>Grant types, RFC 7591 §2.</summary>
public static class GrantType
{
    public const string AuthorizationCode = "authorization_code";
    public const string RefreshToken = "refresh_token";
    public const string ClientCredentials = "client_credentials";

    /// <summary>RFC 8628 §3.4.</summary>
    public const string DeviceCode = "urn:ietf:params:oauth:grant-type:device_code";

    /// <summary>RFC 8693 §2.1.</summary>
    public const string TokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange";

    /// <summary>RFC 7523 §2.1.</summary>
    public const string JwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    public static readonly ValueList<string> Supported = [AuthorizationCode, RefreshToken, ClientCredentials, DeviceCode, TokenExchange, JwtBearer];
}

/// <summary>Ways for a client to authenticate at the token endpoint, RFC 7591 §2.</summary>
public static class ClientAuthMethod
{
    public const string Basic = "client_secret_basic";
    public const string Post = "client_secret_post";
    public const string SecretJwt = "client_secret_jwt";
    public const string PrivateKeyJwt = "private_key_jwt";
    public const string None = "none";
    public static readonly ValueList<string> Supported = [Basic, Post, SecretJwt, PrivateKeyJwt, None];
}

/// <summary>JWS algorithms of client assertions, RFC 7518 §3.1. <c>none</c> is not among them and never will be.</summary>
public static class AssertionAlgorithm
{
    /// <summary>Those of <c>private_key_jwt</c>.</summary>
    public static readonly ValueList<string> OfKeys = ["ES256", "PS256", "RS256"];

    /// <summary>Those of <c>client_secret_jwt</c>.</summary>
    public static readonly ValueList<string> OfSecrets = ["HS256", "HS384", "HS512"];

    public static readonly ValueList<string> Supported = [.. OfKeys, .. OfSecrets];

    /// <summary>The octets that a secret needs at least: as many as the hash has (RFC 7518 §3.2).</summary>
    public static int SecretOctets(string? algorithm) => algorithm switch { "HS384" => 48, "HS512" => 64, _ => 32 };
}

/// <summary>Whom a client names as the audience of its assertions: <c>grants_assertion_audience</c>.</summary>
public static class AssertionAudience
{
    /// <summary>The issuer identifier as one string: RFC 7523bis, OpenID Connect Core §9, FAPI 2.0 §5.3.2.1. The default.</summary>
    public const string Issuer = "issuer";

    /// <summary>Also the token endpoint or the endpoint that is called, alone or in a list: what RFC 7523 §3 and RFC 9126 §2 once let clients send.</summary>
    public const string Endpoint = "endpoint";
}

/// <summary>Subject identifier types, OpenID Connect Core §8.</summary>
public static class SubjectIdentifierType
{
    /// <summary>The same <c>sub</c> for all such clients.</summary>
    public const string Public = "public";

    /// <summary>Another <c>sub</c> in each sector.</summary>
    public const string Pairwise = "pairwise";
    public static readonly ValueList<string> Supported = [Public, Pairwise];
}

/// <summary>How the authorization response travels: OAuth 2.0 Multiple Response Types §2.1, Form Post Response Mode, and signed in one JWT: JARM §2.3.</summary>
public static class ResponseMode
{
    public const string Query = "query";
    public const string Fragment = "fragment";
    public const string FormPost = "form_post";
    public const string QueryJwt = "query.jwt";
    public const string FragmentJwt = "fragment.jwt";
    public const string FormPostJwt = "form_post.jwt";

    /// <summary>The default for the response type, which is <see cref="QueryJwt"/> for a code.</summary>
    public const string Jwt = "jwt";
    public static readonly ValueList<string> Supported = [Query, FormPost, Fragment, QueryJwt, FormPostJwt, FragmentJwt, Jwt];

    public static bool IsSigned(string mode) => mode is QueryJwt or FragmentJwt or FormPostJwt or Jwt;
}

/// <summary>JWS algorithms that this server signs with, and that clients may sign with, RFC 7518 §3.1: never <c>none</c>, and none with a shared secret.</summary>
public static class SigningAlgorithm
{
    public const string ES256 = "ES256";
    public const string RS256 = "RS256";
    public const string PS256 = "PS256";

    /// <summary>What signs access tokens unless their resource says otherwise.</summary>
    public const string OfAccessTokens = ES256;

    /// <summary>The default comes first.</summary>
    public static readonly ValueList<string> Supported = [ES256, RS256, PS256];
}
