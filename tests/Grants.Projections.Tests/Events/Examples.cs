using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Keys;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.Subjects;
using Grants.Domain.TokenFamilies;

namespace Grants.Projections.Tests.Events;

/// <summary>
/// One fixed example of every event, and a second one, called <c>bare</c>, of those whose members may be absent. The golden files
/// hold how the store writes them.
/// </summary>
internal static class Examples
{
    private static readonly DateTimeOffset At = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    private static readonly DateTimeOffset Later = new(2026, 11, 23, 12, 5, 0, 250, TimeSpan.Zero);
    private static readonly DateTimeOffset MuchLater = new(2027, 2, 21, 12, 0, 0, TimeSpan.Zero);

    private static readonly ClientId Tally = new("tally");
    private static readonly SubjectId Sam = new(new Guid("01900000-0000-7000-8000-0000000000aa"));
    private static readonly Guid Grant = new("01900000-0000-7000-8000-0000000000a1");
    private static readonly Guid Authorization = new("01900000-0000-7000-8000-0000000000b1");
    private static readonly Guid Session = new("01900000-0000-7000-8000-0000000000c1");
    private static readonly Guid Family = new("01900000-0000-7000-8000-0000000000f1");
    private static readonly Authentication Password = new(At, Authentication.PasswordAcr, ["pwd", "otp"]);

    private static readonly ConsentText Words = new("0123456789abcdef", "en", "Tally “Budget” & Söhne",
        [new("balances", "See your account balances", "needed"), new("payments", "Make payments", "optional")]);

    private static readonly FamilyFacts OfPerson = new(Tally, Sam, Grant, Session, ["openid", "balances"], Password);
    private static readonly FamilyFacts OfClient = new(Tally, null, null, null, ["reports"], null);

    private static readonly JwkThumbprint Key = new("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    private static readonly FamilyFacts OfKey = OfPerson with { Jkt = Key };

    private static readonly AuthorizationRequest Request = new(Tally, new("https://tally.example/callback?a=1"), true, ResponseMode.FormPost, ["openid", "balances", "payments"],
        new("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), [PromptValue.Login, PromptValue.Consent], 3600, Sam, new("v1.k1.c2VhbGVk"));

    private static readonly ClientMetadata Bare = new() { ClientName = "Tally" };

    private static readonly ClientMetadata Full = new()
    {
        ClientName = "Tally Budget",
        ClientUri = "https://tally.example",
        RedirectUris = ["https://tally.example/callback", "https://tally.example/other"],
        PostLogoutRedirectUris = ["https://tally.example/bye"],
        GrantTypes = [GrantType.AuthorizationCode, GrantType.RefreshToken, GrantType.ClientCredentials],
        ResponseModes = [ResponseMode.Query],
        TokenEndpointAuthMethod = ClientAuthMethod.Post,
        ApplicationType = "native",
        Scope = ["openid", "balances", "payments"],
        IdTokenSignedResponseAlg = SigningAlgorithm.RS256,
        DefaultMaxAge = 3600,
        RequireAuthTime = true,
        OptionalScopes = ["payments"],
        Purposes = [new("balances", "To add up what you spend")],
        Checked = true,
        OwnApp = true,
        AccessTokenLifetime = TimeSpan.FromMinutes(10),
        RefreshTokenIdle = TimeSpan.FromDays(7),
        GrantLifetime = TimeSpan.FromDays(400),
        RefreshRetryWindow = TimeSpan.FromMilliseconds(1500),
        AppendFragment = true,
    };

    private static readonly ClientMetadata ForResources = Bare with { ClientName = "Demo Bank", GrantTypes = [], Resources = ["https://bank.example", "https://cards.example/v1"] };

    private static readonly ClientMetadata Fenced = Bare with { AllowedResources = ["https://bank.example"] };

    private static readonly FamilyFacts OfResources = OfPerson with { Resources = ["https://bank.example", "https://cards.example/v1"] };

    private static readonly ValueList<ScopeLimit> Limits = [new("balances", ["https://bank.example"]), new("payments", ["https://bank.example", "https://cards.example/v1"])];

    private static readonly ClientMetadata ForRequests = Bare with
    {
        AuthorizationSignedResponseAlg = SigningAlgorithm.ES256,
        RequirePushedAuthorizationRequests = true,
        Jwks = """{"keys":[{"kty":"EC","crv":"P-256","x":"eA","y":"eQ"}]}""",
        RequestObjectSigningAlg = SigningAlgorithm.PS256,
        RequireSignedRequestObject = true,
    };

    private static readonly ClientMetadata ForSignedAnswers = ForResources with { IntrospectionSignedResponseAlg = SigningAlgorithm.PS256 };

    private static readonly ClientMetadata WithDetails = Bare with { AuthorizationDetailsTypes = ["payment", "consent"] };

    private static readonly ValueList<AuthorizationDetail> Details =
        [new("payment", "bWFyayBvZiBwYXltZW50MQ", new("v1.k1.cGF5bWVudA"), ["https://bank.example"]), new("consent", "bWFyayBvZiBjb25zZW50MQ", new("v1.k1.Y29uc2VudA"))];

    private static readonly ClientMetadata OnlyBound = Bare with { DpopBoundAccessTokens = true };

    private static readonly ClientMetadata WithKeys = Bare with
    {
        ClientName = "Signer",
        TokenEndpointAuthMethod = ClientAuthMethod.PrivateKeyJwt,
        TokenEndpointAuthSigningAlg = "PS256",
        Jwks = """{"keys":[{"kty":"EC","crv":"P-256","x":"eA","y":"eQ","kid":"one"}]}""",
        AssertionAudience = AssertionAudience.Endpoint,
    };

    private static readonly ClientMetadata WithExchange = Bare with
    {
        ClientName = "Service",
        GrantTypes = [GrantType.TokenExchange],
        TokenExchange = [new(["tally"], ["https://bank.example", "https://cards.example/v1"], ["balances", "payments"], false), new(["tally", "broker"], ["https://bank.example"], ["balances"], true)],
        MayAct = "auditor",
    };

    private static readonly FamilyFacts OfActors = OfPerson with { Client = new("service"), Act = new Actor("service", new("service"), new Actor("sub_019000000000700080000000000000ab", new("broker"))) };

    private static readonly ClientMetadata WithKeySite = WithKeys with { TokenEndpointAuthSigningAlg = null, Jwks = null, JwksUri = "https://signer.example/jwks", AssertionAudience = null };

    private static readonly ClientMetadata OfSector = Bare with
    {
        RedirectUris = ["https://tally.example/cb", "https://tally.test/cb"],
        SubjectType = SubjectIdentifierType.Pairwise,
        SectorIdentifierUri = "https://sector.example/uris.json",
    };

    /// <summary>Each with what its golden is called besides its wire name; empty for the main one.</summary>
    public static IReadOnlyList<(string Variant, IDomainEvent Event)> All { get; } =
    [
        ("", new ClientEvent.Registered(Tally, Full, At)),
        ("bare", new ClientEvent.Registered(Tally, Bare, At)),
        ("resources", new ClientEvent.Registered(new("demo-bank"), ForResources, At)),
        ("signed_answers", new ClientEvent.Registered(new("demo-bank"), ForSignedAnswers, At)),
        ("requests", new ClientEvent.Registered(Tally, ForRequests, At)),
        ("fenced", new ClientEvent.Registered(Tally, Fenced, At)),
        ("bound", new ClientEvent.Registered(Tally, OnlyBound, At)),
        ("details", new ClientEvent.Registered(Tally, WithDetails, At)),
        ("keys", new ClientEvent.Registered(new("signer"), WithKeys, At)),
        ("key_site", new ClientEvent.Registered(new("signer"), WithKeySite, At)),
        ("exchange", new ClientEvent.Registered(new("service"), WithExchange, At)),
        ("pairwise", new ClientEvent.Registered(Tally, OfSector, At)),
        ("", new ClientEvent.MetadataReplaced(Full, At)),
        ("bare", new ClientEvent.MetadataReplaced(Bare, At)),
        ("resources", new ClientEvent.MetadataReplaced(ForResources, At)),
        ("bound", new ClientEvent.MetadataReplaced(OnlyBound, At)),
        ("keys", new ClientEvent.MetadataReplaced(WithKeys, At)),
        ("key_site", new ClientEvent.MetadataReplaced(WithKeySite, At)),
        ("pairwise", new ClientEvent.MetadataReplaced(OfSector, At)),
        ("", new ClientEvent.SecretAdded(new("2026-11", "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"), At)),
        ("", new ClientEvent.SecretRetired("2026-11", At)),
        ("", new ClientEvent.Suspended("abuse", At)),
        ("", new ClientEvent.Resumed(At)),
        ("", new ClientEvent.Deleted("closed", At)),

        ("", new SubjectEvent.Registered("bG9naW4", new("v1.k1.bmFtZQ"), new("v1.k1.Y2xhaW1z"), ["staff", "auditor"], At)),
        ("bare", new SubjectEvent.Registered("bG9naW4", new("v1.k1.bmFtZQ"), new("v1.k1.Y2xhaW1z"), [], At)),
        ("", new SubjectEvent.PasswordSet(new("v1.k1.cGFzc3dvcmQ"), At)),
        ("", new SubjectEvent.ClaimsReplaced(new("v1.k1.Y2xhaW1z"), At)),
        ("", new SubjectEvent.RolesReplaced(["auditor"], At)),
        ("", new SubjectEvent.SignInFailed(3, At)),
        ("", new SubjectEvent.LockedOut(Later, At)),
        ("", new SubjectEvent.SignInFailuresCleared(At)),
        ("", new SubjectEvent.Suspended("fraud", At)),
        ("", new SubjectEvent.Resumed(At)),
        ("", new SubjectEvent.Erased(At)),

        ("", new SessionEvent.Started(Sam, Password, MuchLater)),
        ("", new SessionEvent.Reauthenticated(Password)),
        ("", new SessionEvent.Ended(EndedBy.Person, "signed out", At)),
        ("", new SessionEvent.Expired(At)),

        ("", new AuthorizationEvent.Pushed(Request, At, Later)),
        ("bare", new AuthorizationEvent.Pushed(Request with { RedirectUriGiven = false, Prompt = [], MaxAgeSeconds = null, HintedSubject = null, Private = null }, At, Later)),
        ("", new AuthorizationEvent.Requested(Request, "YnJvd3Nlcg", At, Later)),
        ("bare", new AuthorizationEvent.Requested(Request with { RedirectUriGiven = false, Prompt = [], MaxAgeSeconds = null, HintedSubject = null, Private = null }, "YnJvd3Nlcg", At, Later)),
        ("bound", new AuthorizationEvent.Requested(Request with { DpopJkt = Key }, "YnJvd3Nlcg", At, Later)),
        ("claims", new AuthorizationEvent.Requested(Request with { IdTokenClaims = ["email", "name"] }, "YnJvd3Nlcg", At, Later)),
        ("step_up", new AuthorizationEvent.Requested(Request with { AcrValues = [Authentication.PasswordAcr] }, "YnJvd3Nlcg", At, Later)),
        ("resources", new AuthorizationEvent.Requested(Request with { Resources = ["https://bank.example"] }, "YnJvd3Nlcg", At, Later)),
        ("", new AuthorizationEvent.DeviceRequested(Tally, ["openid", "balances"], "dXNlciBjb2RlJ3MgaGFzaA", null, At, Later)),
        ("resources", new AuthorizationEvent.DeviceRequested(Tally, ["openid", "balances"], "dXNlciBjb2RlJ3MgaGFzaA", null, At, Later, ["https://bank.example"])),
        ("bound", new AuthorizationEvent.DeviceRequested(Tally, ["openid", "balances"], "dXNlciBjb2RlJ3MgaGFzaA", Key, At, Later)),
        ("", new AuthorizationEvent.UserCodeEntered("YnJvd3Nlcg", new("v1.k1.c2VhbGVk"), At)),
        ("detailed", new AuthorizationEvent.Requested(Request with { Scopes = [], Details = Details }, "YnJvd3Nlcg", At, Later)),
        ("", new AuthorizationEvent.SubjectAuthenticated(Sam, Session, Password, At)),
        ("", new AuthorizationEvent.ConsentGranted(Grant, ["openid", "balances", "payments"], ["openid", "balances"], ["payments"], Words, At)),
        ("detailed", new AuthorizationEvent.ConsentGranted(Grant, ["openid"], ["openid"], [], Words with { Lines = [new("payment", "Pay {amount} to {payee}", "needed", Details[0].Mark)] }, At)),
        ("", new AuthorizationEvent.ConsentReused(Grant, ["openid", "balances"], At)),
        ("", new AuthorizationEvent.CodeIssued(Grant, Family, ["openid", "balances"], At, Later)),
        ("detailed", new AuthorizationEvent.CodeIssued(Grant, Family, [], At, Later, Details: Details)),
        ("", new AuthorizationEvent.CodeRedeemed(Family, At)),
        ("", new AuthorizationEvent.CodeReplayed(At)),
        ("", new AuthorizationEvent.ConsentDenied(["openid", "balances"], Words, At)),
        ("bare", new AuthorizationEvent.ConsentDenied([], Words with { Lines = [] }, At)),
        ("", new AuthorizationEvent.Refused(ErrorCode.LoginRequired, At)),
        ("", new AuthorizationEvent.CodeExpired(At)),
        ("", new AuthorizationEvent.Abandoned(At)),

        ("", new GrantEvent.Created(Sam, Tally, Authorization, ["openid", "balances"], ["payments"], At, MuchLater)),
        ("limited", new GrantEvent.Created(Sam, Tally, Authorization, ["openid", "balances", "payments"], [], At, MuchLater, Limits)),
        ("detailed", new GrantEvent.Created(Sam, Tally, Authorization, [], [], At, MuchLater, Details: Details)),
        ("", new GrantEvent.Widened(Authorization, ["payments"], ["cards"], At, MuchLater)),
        ("bare", new GrantEvent.Widened(Authorization, [], [], At, MuchLater)),
        ("limited", new GrantEvent.Widened(Authorization, ["payments"], [], At, MuchLater, Limits)),
        ("detailed", new GrantEvent.Widened(Authorization, [], [], At, MuchLater, Details: Details, DetailsOver: ["bWFyayBvZiBhbiBvbGQgb24"])),
        ("", new GrantEvent.Narrowed(Authorization, ["payments"], At)),
        ("", new GrantEvent.Revoked(EndedBy.Person, "removed on the account page", At)),
        ("", new GrantEvent.Expired(At)),

        ("", new TokenFamilyEvent.AccessTokenIssued(1, OfPerson, ["balances"], ["https://bank.example", "https://grants.example"], At, Later)),
        ("renewed", new TokenFamilyEvent.AccessTokenIssued(2, null, ["balances"], ["https://bank.example"], At, Later)),
        ("bare", new TokenFamilyEvent.AccessTokenIssued(1, OfClient, ["reports"], ["https://bank.example"], At, Later)),
        ("bound", new TokenFamilyEvent.AccessTokenIssued(1, OfKey, ["balances"], ["https://bank.example"], At, Later, Key)),
        ("renewed_bound", new TokenFamilyEvent.AccessTokenIssued(2, null, ["balances"], ["https://bank.example"], At, Later, Key)),
        ("opaque", new TokenFamilyEvent.AccessTokenIssued(1, OfResources, ["balances"], ["https://bank.example"], At, Later, null, TokenFormat.Opaque)),
        ("renewed_signed", new TokenFamilyEvent.AccessTokenIssued(2, null, ["balances"], ["https://bank.example"], At, Later, Key, SigningAlgorithm.RS256)),
        ("acting", new TokenFamilyEvent.AccessTokenIssued(1, OfActors, ["balances"], ["https://bank.example"], At, Later)),
        ("", new TokenFamilyEvent.TokenExchanged(TokenTypeUri.AccessToken, [new(Family, 3, Tally), new(Session, 1, new("broker"))], new(Grant, 1, new("service")), At)),
        ("bare", new TokenFamilyEvent.TokenExchanged(TokenTypeUri.IdToken, [], null, At)),
        ("", new TokenFamilyEvent.AssertionAccepted("https://elsewhere.example", "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0", At)),
        ("detailed", new TokenFamilyEvent.AccessTokenIssued(1, OfPerson with { Details = Details }, [], ["https://bank.example"], At, Later, Details: [Details[0].Mark])),
        ("", new TokenFamilyEvent.RefreshTokenIssued(OfPerson, 1, At, Later, MuchLater)),
        ("bound", new TokenFamilyEvent.RefreshTokenIssued(OfKey, 1, At, Later, MuchLater)),
        ("", new TokenFamilyEvent.IdTokenIssued(At, Later)),
        ("", new TokenFamilyEvent.RefreshTokenRotated(2, OfPerson, 1, At, Later, MuchLater)),
        ("bound", new TokenFamilyEvent.RefreshTokenRotated(2, OfKey, 1, At, Later, MuchLater)),
        ("resources", new TokenFamilyEvent.RefreshTokenRotated(2, OfResources, 1, At, Later, MuchLater)),
        ("", new TokenFamilyEvent.RefreshTokenReplayed(1, At)),
        ("", new TokenFamilyEvent.AccessTokenRevoked(1, EndedBy.Client, "revoked by its client", At)),
        ("", new TokenFamilyEvent.AccessTokenExpired(1, At)),
        ("", new TokenFamilyEvent.AccessTokensExpired([1, 2, 5], At)),
        ("", new TokenFamilyEvent.Revoked(EndedBy.System, "a spent refresh token was used again", At)),
        ("", new TokenFamilyEvent.Expired(At)),

        ("", new SigningKeyEvent.Created("thumbprint", SigningAlgorithm.ES256, """{"kty":"EC","crv":"P-256","x":"eA","y":"eQ"}""", At)),
        ("", new SigningKeyEvent.Published(At)),
        ("", new SigningKeyEvent.Activated(At)),
        ("", new SigningKeyEvent.Retired(At)),
        ("", new SigningKeyEvent.Revoked("leaked", At)),
        ("", new SigningKeyEvent.Destroyed(At)),

        ("", new CatalogueEvent.ScopeDeclared(new("payments", "Make payments", "do", "Moves money", "At most 100 a day."), At)),
        ("bare", new CatalogueEvent.ScopeDeclared(new("balances", "See your account balances", "see", null, null), At)),
        ("", new CatalogueEvent.DetailsTypeDeclared(new("payment", """{"type":"object","properties":{"amount":{"type":"string"}}}""", "Pay {amount}", "Moves money", true), At)),
        ("bare", new CatalogueEvent.DetailsTypeDeclared(new("consent", """{"type":"object"}""", "See your accounts", null, false), At)),
        ("", new CatalogueEvent.ResourceDeclared(new("https://bank.example", "Demo Bank", ["balances", "payments"], "jwt"), At)),
        ("opaque", new CatalogueEvent.ResourceDeclared(new("https://vault.example", "Demo Vault", ["vault"], TokenFormat.Opaque), At)),
        ("signed", new CatalogueEvent.ResourceDeclared(new("https://bank.example", "Demo Bank", ["balances"], TokenFormat.Jwt, SigningAlgorithm.PS256), At)),
        ("", new CatalogueEvent.IssuerDeclared(new("https://elsewhere.example", """{"keys":[{"kty":"EC","crv":"P-256","x":"eA","y":"eQ"}]}""", null, ["ES256"], ["tally"], ["balances"], "preferred_username", [new("bGluaw", Sam)]), At)),
        ("bare", new CatalogueEvent.IssuerDeclared(new("https://elsewhere.example", null, "https://elsewhere.example/jwks", ["ES256", "PS256"], [], [], null, []), At)),
    ];
}
