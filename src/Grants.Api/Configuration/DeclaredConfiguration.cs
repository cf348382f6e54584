using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Grants.Api.Signing;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Api.Configuration;

/// <summary>
/// The declared configuration: a JSON file with scopes, resources, types of authorization details, clients, people and trusted issuers. Client members have RFC 7591's names; ours
/// beyond them start with <c>grants_</c>, and times among them are seconds.
/// </summary>
public sealed record DeclaredConfiguration
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        ReadCommentHandling = JsonCommentHandling.Skip,
        AllowTrailingCommas = true,
        MaxDepth = 16,
    };

    public IReadOnlyList<DeclaredScope> Scopes { get; init; } = [];
    public IReadOnlyList<DeclaredResource> Resources { get; init; } = [];
    public IReadOnlyList<DeclaredDetailsType> AuthorizationDetailsTypes { get; init; } = [];
    public IReadOnlyList<DeclaredClient> Clients { get; init; } = [];
    public IReadOnlyList<DeclaredPerson> People { get; init; } = [];
    public IReadOnlyList<DeclaredIssuer> TrustedIssuers { get; init; } = [];

    /// <summary>Reads a file. Throws <see cref="SettingsException"/> that names the file, the line and the member at fault.</summary>
    public static DeclaredConfiguration Read(string file)
    {
        try
        {
            return JsonSerializer.Deserialize<DeclaredConfiguration>(File.ReadAllText(file), Options) ?? new();
        }
        catch (JsonException e)
        {
            throw new SettingsException($"{file}, line {e.LineNumber + 1}: {(e.Message.Contains("could not be mapped", StringComparison.Ordinal) ? "a member here is unknown" : "this can't be read")} ({e.Path}).");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SettingsException($"The configuration {file} can't be read: {e.Message}");
        }
    }
}

public sealed record DeclaredScope(string Name, string Label, string Kind, string? Risk, string? Details);

public sealed record DeclaredResource(string Resource, string Name, IReadOnlyList<string> Scopes, string TokenFormat = Domain.Catalogues.TokenFormat.Jwt, string? SigningAlg = null);

/// <summary>A type of authorization details; the members are those of <see cref="DetailsTypeDefinition"/>.</summary>
public sealed record DeclaredDetailsType(string Type, JsonObject Schema, string Words, string? Risk, bool Protected);

public sealed record DeclaredPerson(string Username, string? Password, IReadOnlyList<string>? Roles, JsonObject? Claims);

/// <summary>An issuer whose assertions are taken for grants: RFC 7523 §2.1.</summary>
public sealed record DeclaredIssuer
{
    public required string Issuer { get; init; }
    public JsonObject? Jwks { get; init; }
    public string? JwksUri { get; init; }
    public IReadOnlyList<string> Algs { get; init; } = SigningAlgorithm.Supported;

    /// <summary>Who may show its assertions.</summary>
    public IReadOnlyList<string> Clients { get; init; } = [];
    public string Scope { get; init; } = "";

    /// <summary>The claim that holds a user name of this server. Only for an issuer that may say of everybody here that it is they.</summary>
    public string? UsernameClaim { get; init; }

    /// <summary>Its <c>sub</c> → user name.</summary>
    public IReadOnlyDictionary<string, string> Subjects { get; init; } = new Dictionary<string, string>();
}

/// <summary>What a client may exchange tokens for: see <see cref="TokenExchangeRule"/>.</summary>
public sealed record DeclaredExchange
{
    public IReadOnlyList<string> From { get; init; } = [];
    public IReadOnlyList<string> Audience { get; init; } = [];
    public string Scope { get; init; } = "";
    public bool Impersonation { get; init; }
}

/// <summary>A client in RFC 7591's words.</summary>
public sealed record DeclaredClient
{
    public required string ClientId { get; init; }
    public string? ClientSecret { get; init; }
    public required string ClientName { get; init; }
    public string? ClientUri { get; init; }
    public IReadOnlyList<string> RedirectUris { get; init; } = [];
    public IReadOnlyList<string> PostLogoutRedirectUris { get; init; } = [];
    public IReadOnlyList<string> GrantTypes { get; init; } = [GrantType.AuthorizationCode];
    public IReadOnlyList<string> ResponseTypes { get; init; } = ["code"];
    public IReadOnlyList<string>? ResponseModes { get; init; }
    public string TokenEndpointAuthMethod { get; init; } = ClientAuthMethod.Basic;
    public string ApplicationType { get; init; } = "web";
    public string Scope { get; init; } = "";
    public string? IdTokenSignedResponseAlg { get; init; }
    public string? AuthorizationSignedResponseAlg { get; init; }
    public string? IntrospectionSignedResponseAlg { get; init; }
    public int? DefaultMaxAge { get; init; }
    public bool RequireAuthTime { get; init; }
    public bool RequirePushedAuthorizationRequests { get; init; }
    public string? RequestObjectSigningAlg { get; init; }
    public bool RequireSignedRequestObject { get; init; }
    public bool DpopBoundAccessTokens { get; init; }
    public string GrantsOptionalScopes { get; init; } = "";
    public IReadOnlyDictionary<string, string>? GrantsPurposes { get; init; }
    public bool GrantsChecked { get; init; }
    public bool GrantsOwnApp { get; init; }
    public int? GrantsAccessTokenLifetime { get; init; }
    public int? GrantsRefreshTokenIdle { get; init; }
    public int? GrantsGrantLifetime { get; init; }
    public int? GrantsRefreshRetryWindow { get; init; }
    public bool GrantsAppendFragment { get; init; }
    public IReadOnlyList<string> GrantsResources { get; init; } = [];
    public IReadOnlyList<string>? GrantsAllowedResources { get; init; }
    public string? TokenEndpointAuthSigningAlg { get; init; }
    public JsonObject? Jwks { get; init; }
    public string? JwksUri { get; init; }
    public string? GrantsAssertionAudience { get; init; }
    public IReadOnlyList<DeclaredExchange> GrantsTokenExchange { get; init; } = [];
    public string? GrantsMayAct { get; init; }
    public string? SubjectType { get; init; }
    public string? SectorIdentifierUri { get; init; }
    public IReadOnlyList<string> AuthorizationDetailsTypes { get; init; } = [];

    public ClientMetadata ToMetadata()
    {
        if (!ScopeSet.TryParse(Scope, out var scope) || !ScopeSet.TryParse(GrantsOptionalScopes, out var optional))
            throw new SettingsException($"Client {ClientId}: scope has a character that is not allowed.");
        if (ResponseTypes.Any(type => type != "code")) throw new SettingsException($"Client {ClientId}: the only response_type is code.");
        // A set without a key for what the client signs would be found out only when somebody is refused.
        IReadOnlyCollection<string> assertions = TokenEndpointAuthMethod != ClientAuthMethod.PrivateKeyJwt ? [] : TokenEndpointAuthSigningAlg is { } only ? [only] : AssertionAlgorithm.OfKeys;
        foreach (var signs in (IReadOnlyCollection<string>[])[assertions, RequestObjectSigningAlg is { } request ? [request] : []])
        {
            if (Jwks is not null && JwkSet.WhyNotRegistrable(Encoding.UTF8.GetBytes(Jwks.ToJsonString()), signs) is { } why) throw new SettingsException($"Client {ClientId}: jwks: {why}");
        }

        var defaults = new ClientMetadata { ClientName = ClientName };
        return defaults with
        {
            ClientUri = ClientUri,
            RedirectUris = new(RedirectUris),
            PostLogoutRedirectUris = new(PostLogoutRedirectUris),
            GrantTypes = new(GrantTypes),
            // Who registers an algorithm for signed responses wants no others; fragments are for those who ask for them by name.
            ResponseModes = ResponseModes is not null ? new(ResponseModes) : AuthorizationSignedResponseAlg is null ? defaults.ResponseModes : [ResponseMode.Jwt, ResponseMode.QueryJwt, ResponseMode.FormPostJwt],
            TokenEndpointAuthMethod = TokenEndpointAuthMethod,
            ApplicationType = ApplicationType,
            Scope = scope,
            IdTokenSignedResponseAlg = IdTokenSignedResponseAlg ?? defaults.IdTokenSignedResponseAlg,
            AuthorizationSignedResponseAlg = AuthorizationSignedResponseAlg,
            IntrospectionSignedResponseAlg = IntrospectionSignedResponseAlg,
            DefaultMaxAge = DefaultMaxAge,
            RequireAuthTime = RequireAuthTime,
            RequirePushedAuthorizationRequests = RequirePushedAuthorizationRequests ? true : null,
            RequestObjectSigningAlg = RequestObjectSigningAlg,
            RequireSignedRequestObject = RequireSignedRequestObject ? true : null,
            OptionalScopes = optional,
            Purposes = new((GrantsPurposes ?? new Dictionary<string, string>()).Select(purpose => new ScopePurpose(purpose.Key, purpose.Value))),
            Checked = GrantsChecked,
            OwnApp = GrantsOwnApp,
            AccessTokenLifetime = Seconds(GrantsAccessTokenLifetime) ?? defaults.AccessTokenLifetime,
            RefreshTokenIdle = Seconds(GrantsRefreshTokenIdle) ?? defaults.RefreshTokenIdle,
            GrantLifetime = Seconds(GrantsGrantLifetime) ?? defaults.GrantLifetime,
            RefreshRetryWindow = Seconds(GrantsRefreshRetryWindow),
            AppendFragment = GrantsAppendFragment,
            DpopBoundAccessTokens = DpopBoundAccessTokens ? true : null,
            Resources = GrantsResources.Count > 0 ? new(GrantsResources.Distinct()) : null,
            AllowedResources = GrantsAllowedResources is { } allowed ? new(allowed.Distinct()) : null,
            TokenEndpointAuthSigningAlg = TokenEndpointAuthSigningAlg,
            Jwks = Jwks?.ToJsonString(),
            JwksUri = JwksUri,
            TokenExchange = GrantsTokenExchange.Count > 0 ? new(GrantsTokenExchange.Select(ExchangeRule)) : null,
            MayAct = GrantsMayAct,
            AssertionAudience = GrantsAssertionAudience == AssertionAudience.Issuer ? null : GrantsAssertionAudience,
            SubjectType = SubjectType == SubjectIdentifierType.Public ? null : SubjectType,
            SectorIdentifierUri = SectorIdentifierUri,
            AuthorizationDetailsTypes = AuthorizationDetailsTypes.Count > 0 ? new(AuthorizationDetailsTypes.Distinct()) : null,
        };
    }

    private TokenExchangeRule ExchangeRule(DeclaredExchange rule) => ScopeSet.TryParse(rule.Scope, out var scope)
        ? new TokenExchangeRule(new(rule.From.Distinct()), new(rule.Audience.Distinct()), scope, rule.Impersonation)
        : throw new SettingsException($"Client {ClientId}: grants_token_exchange: scope has a character that is not allowed.");

    private static TimeSpan? Seconds(int? seconds) => seconds is { } s ? TimeSpan.FromSeconds(s) : null;
}
