using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Domain.Tests.Clients;

public sealed class DeclareClientTests
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    private static readonly Guid Stream = new("01900000-0000-7000-8000-000000000001");
    private static readonly ClientId Tally = new("tally");
    private static readonly SecretHash OldSecret = SecretHash.Of("old", new Secret("old secret"));
    private static readonly SecretHash NewSecret = SecretHash.Of("new", new Secret("new secret"));

    private static readonly ClientMetadata Sound = new()
    {
        ClientName = "Tally Budget",
        RedirectUris = ["https://tally.example/callback"],
        PostLogoutRedirectUris = ["https://tally.example/bye"],
        GrantTypes = [GrantType.AuthorizationCode, GrantType.RefreshToken],
        Scope = ["openid", "offline_access", "balances", "payments"],
        OptionalScopes = ["payments"],
        Purposes = [new("balances", "To add up what you spend")],
    };

    private static readonly ClientMetadata Signing = Sound with { TokenEndpointAuthMethod = ClientAuthMethod.PrivateKeyJwt, Jwks = """{"keys":[]}""" };

    private static readonly TokenExchangeRule Rule = new(["tally"], ["https://bank.example"], ["balances"], Impersonation: false);

    private static readonly ClientMetadata Exchanging = Sound with { GrantTypes = [GrantType.TokenExchange], TokenExchange = [Rule] };

    private static Client? Fold(Client? client, Decision<bool> decision) =>
        decision.Events.Aggregate(client, (state, happened) => Client.Evolve(state, happened.Stream, (ClientEvent)happened.Event));

    private static Decision<bool> Declare(Client? client, ClientMetadata? metadata = null, SecretHash? secret = null, ClientId? id = null) =>
        DeclareClient.Decide(client, new(Stream, id ?? Tally, metadata ?? Sound, secret), Noon);

    private static Client Registered(SecretHash? secret = null) => Fold(null, Declare(null, secret: secret))!;

    [Fact]
    public void A_client_not_known_is_registered_with_its_secret()
    {
        var decision = Assert.IsType<Accepted<bool>>(Declare(null, secret: OldSecret));
        Assert.True(decision.Value);
        Assert.Equal([new(Stream, new ClientEvent.Registered(Tally, Sound, Noon)), new(Stream, new ClientEvent.SecretAdded(OldSecret, Noon))], decision.Events);
        Assert.Equal(new Client(Stream, Tally, Sound, [OldSecret], ClientStatus.Active, Noon), Fold(null, decision));
    }

    [Fact, Trait("Rule", "CA-10")]
    public void A_client_that_authenticates_with_none_gets_no_secret() =>
        Assert.Equal(ErrorCode.InvalidClientMetadata, Assert.IsType<Refused<bool>>(Declare(null, Sound with { TokenEndpointAuthMethod = ClientAuthMethod.None }, OldSecret)).Error.Code);

    [Fact, Trait("Rule", "TK-10"), Trait("Rule", "TK-11")]
    public void A_client_may_be_registered_for_exchanges_and_assertions()
    {
        Assert.Null(DeclareClient.WhyNot(Tally, Exchanging with { MayAct = "service" }));
        Assert.Null(DeclareClient.WhyNot(Tally, Sound with { GrantTypes = [GrantType.JwtBearer], TokenEndpointAuthMethod = ClientAuthMethod.None }));
    }

    [Fact]
    public void A_refresh_token_without_the_flow_that_gives_one_is_refused() =>
        Assert.Equal(ErrorCode.InvalidClientMetadata, DeclareClient.WhyNot(Tally, Sound with { GrantTypes = [GrantType.RefreshToken] })?.Code);

    [Fact]
    public void Declaring_the_same_twice_records_nothing()
    {
        // Each value anew, as a file read twice gives it.
        var again = Sound with { RedirectUris = [.. Sound.RedirectUris], Scope = ["payments", "balances", "offline_access", "openid"], Purposes = [.. Sound.Purposes] };
        var decision = Assert.IsType<Accepted<bool>>(Declare(Registered(OldSecret), again, OldSecret with { KeyId = "another name" }));
        Assert.False(decision.Value);
        Assert.Empty(decision.Events);
    }

    [Fact]
    public void Only_what_differs_is_recorded()
    {
        var renamed = Sound with { ClientName = "Tally" };
        var decision = Declare(Registered(OldSecret), renamed, OldSecret);
        Assert.Equal([new(Stream, new ClientEvent.MetadataReplaced(renamed, Noon))], decision.Events);
    }

    [Fact, Trait("Attack", "K10")]
    public void Another_secret_retires_the_one_before()
    {
        var decision = Declare(Registered(OldSecret), secret: NewSecret);
        Assert.Equal([new(Stream, new ClientEvent.SecretRetired("old", Noon)), new(Stream, new ClientEvent.SecretAdded(NewSecret, Noon))], decision.Events);
        Assert.Equal([NewSecret], Fold(Registered(OldSecret), decision)!.Secrets);
    }

    [Fact]
    public void Without_a_secret_the_secrets_stay_as_they_are() => Assert.Empty(Declare(Registered(OldSecret), secret: null).Events);

    [Fact, Trait("Law", "L3")]
    public void A_deleted_client_is_not_registered_again()
    {
        var deleted = Registered() with { Status = ClientStatus.Deleted };
        var refused = Assert.IsType<Refused<bool>>(Declare(deleted, secret: NewSecret));
        Assert.Equal(ErrorCode.InvalidClientMetadata, refused.Error.Code);
        Assert.Empty(refused.Events);
    }

    [Fact]
    public void A_suspended_client_may_be_corrected_and_stays_suspended()
    {
        var suspended = Registered() with { Status = ClientStatus.Suspended };
        var decision = Declare(suspended, Sound with { ClientName = "Tally" });
        Assert.Equal(ClientStatus.Suspended, Fold(suspended, decision)!.Status);
        Assert.Single(decision.Events);
    }

    public static TheoryData<string, string, ClientMetadata> Faults => new()
    {
        { "a grant type that isn't served", ErrorCode.InvalidClientMetadata, Sound with { GrantTypes = ["authorization_code", "implicit"] } },
        { "the password grant", ErrorCode.InvalidClientMetadata, Sound with { GrantTypes = ["password"] } },
        { "a response mode that isn't served", ErrorCode.InvalidClientMetadata, Sound with { ResponseModes = ["smoke"] } },
        { "unsigned responses for an algorithm", ErrorCode.InvalidClientMetadata, Sound with { AuthorizationSignedResponseAlg = "none" } },
        { "an authentication method that isn't served", ErrorCode.InvalidClientMetadata, Sound with { TokenEndpointAuthMethod = "client_secret_digest" } },
        { "a key to sign with but none that is known", ErrorCode.InvalidClientMetadata, Sound with { TokenEndpointAuthMethod = ClientAuthMethod.PrivateKeyJwt } },
        { "keys at two places", ErrorCode.InvalidClientMetadata, Signing with { JwksUri = "https://tally.example/jwks" } },
        { "keys at two places without a use for them", ErrorCode.InvalidClientMetadata, Sound with { Jwks = "{}", JwksUri = "https://tally.example/jwks" } },
        { "keys that travel in clear", ErrorCode.InvalidClientMetadata, Signing with { Jwks = null, JwksUri = "http://tally.example/jwks" } },
        { "keys behind a user name", ErrorCode.InvalidClientMetadata, Signing with { Jwks = null, JwksUri = "https://me@tally.example/jwks" } },
        { "keys at a fragment", ErrorCode.InvalidClientMetadata, Signing with { Jwks = null, JwksUri = "https://tally.example/jwks#one" } },
        { "keys at a path alone", ErrorCode.InvalidClientMetadata, Signing with { Jwks = null, JwksUri = "/jwks" } },
        { "keys in a file", ErrorCode.InvalidClientMetadata, Signing with { Jwks = null, JwksUri = "file:///etc/hostname" } },
        { "keys at an address with a space", ErrorCode.InvalidClientMetadata, Signing with { Jwks = null, JwksUri = "https://tally.example/jw ks" } },
        { "keys at an address without end", ErrorCode.InvalidClientMetadata, Signing with { Jwks = null, JwksUri = "https://tally.example/" + new string('x', 2000) } },
        { "an HMAC with a public key", ErrorCode.InvalidClientMetadata, Signing with { TokenEndpointAuthSigningAlg = "HS256" } },
        { "assertions signed with none", ErrorCode.InvalidClientMetadata, Signing with { TokenEndpointAuthSigningAlg = "none" } },
        { "a signature with a secret", ErrorCode.InvalidClientMetadata, Sound with { TokenEndpointAuthMethod = ClientAuthMethod.SecretJwt, TokenEndpointAuthSigningAlg = "ES256" } },
        { "an algorithm for assertions that it doesn't make", ErrorCode.InvalidClientMetadata, Sound with { TokenEndpointAuthSigningAlg = "ES256" } },
        { "a grant type without rules", ErrorCode.InvalidClientMetadata, Sound with { GrantTypes = [GrantType.TokenExchange] } },
        { "rules without the grant type", ErrorCode.InvalidClientMetadata, Sound with { TokenExchange = [Rule] } },
        { "a public client that exchanges", ErrorCode.InvalidClientMetadata, Exchanging with { TokenEndpointAuthMethod = ClientAuthMethod.None } },
        { "an exchange of nobody's tokens", ErrorCode.InvalidClientMetadata, Exchanging with { TokenExchange = [Rule, Rule with { From = [] }] } },
        { "an exchange for nobody", ErrorCode.InvalidClientMetadata, Exchanging with { TokenExchange = [Rule with { Audience = [] }] } },
        { "an exchange for nothing", ErrorCode.InvalidClientMetadata, Exchanging with { TokenExchange = [Rule with { Scope = [] }] } },
        { "an exchange for lasting access", ErrorCode.InvalidClientMetadata, Exchanging with { TokenExchange = [Rule with { Scope = ["balances", "offline_access"] }] } },
        { "a person as the one who may act", ErrorCode.InvalidClientMetadata, Sound with { MayAct = "sub_0123456789abcdef0123456789abcdef" } },
        { "nobody as the one who may act", ErrorCode.InvalidClientMetadata, Sound with { MayAct = "" } },
        { "an unknown rule for audiences", ErrorCode.InvalidClientMetadata, Signing with { AssertionAudience = "any" } },
        { "alg none", ErrorCode.InvalidClientMetadata, Sound with { IdTokenSignedResponseAlg = "none" } },
        { "an algorithm that isn't served", ErrorCode.InvalidClientMetadata, Sound with { IdTokenSignedResponseAlg = "HS256" } },
        { "unsigned introspection answers", ErrorCode.InvalidClientMetadata, Sound with { IntrospectionSignedResponseAlg = "none" } },
        { "unsigned request objects", ErrorCode.InvalidClientMetadata, Sound with { RequestObjectSigningAlg = "none", Jwks = "{}" } },
        { "request objects with a shared secret", ErrorCode.InvalidClientMetadata, Sound with { RequestObjectSigningAlg = "HS256", Jwks = "{}" } },
        { "request objects without a key", ErrorCode.InvalidClientMetadata, Sound with { RequestObjectSigningAlg = SigningAlgorithm.ES256 } },
        { "request objects required and no algorithm", ErrorCode.InvalidClientMetadata, Sound with { RequireSignedRequestObject = true, Jwks = "{}" } },
        { "an unknown application type", ErrorCode.InvalidClientMetadata, Sound with { ApplicationType = "desktop" } },
        { "a public client acting for itself", ErrorCode.InvalidClientMetadata, Sound with { GrantTypes = ["client_credentials"], TokenEndpointAuthMethod = "none" } },
        { "no redirect URI for codes", ErrorCode.InvalidRedirectUri, Sound with { RedirectUris = [] } },
        { "a redirect URI without https", ErrorCode.InvalidRedirectUri, Sound with { RedirectUris = ["https://tally.example/callback", "http://tally.example/callback"] } },
        { "a private scheme for a web app", ErrorCode.InvalidRedirectUri, Sound with { RedirectUris = ["com.example.tally:/callback"] } },
        { "a script as the place after sign-out", ErrorCode.InvalidRedirectUri, Sound with { PostLogoutRedirectUris = ["javascript:alert(1)"] } },
        { "an optional scope that it may not ask for", ErrorCode.InvalidClientMetadata, Sound with { OptionalScopes = ["cards"] } },
        { "openid as a choice", ErrorCode.InvalidClientMetadata, Sound with { OptionalScopes = ["openid"] } },
        { "offline_access as a choice", ErrorCode.InvalidClientMetadata, Sound with { OptionalScopes = ["offline_access"] } },
        { "a default_max_age below zero", ErrorCode.InvalidClientMetadata, Sound with { DefaultMaxAge = -1 } },
        { "an empty purpose", ErrorCode.InvalidClientMetadata, Sound with { Purposes = [new("balances", "")] } },
        { "a purpose of 81 characters", ErrorCode.InvalidClientMetadata, Sound with { Purposes = [new("balances", new string('x', 81))] } },
        { "access tokens that never live", ErrorCode.InvalidClientMetadata, Sound with { AccessTokenLifetime = TimeSpan.Zero } },
        { "refresh tokens that never live", ErrorCode.InvalidClientMetadata, Sound with { RefreshTokenIdle = TimeSpan.FromSeconds(-1) } },
        { "grants that never live", ErrorCode.InvalidClientMetadata, Sound with { GrantLifetime = TimeSpan.Zero } },
        { "a resource's caller without a secret", ErrorCode.InvalidClientMetadata, Sound with { TokenEndpointAuthMethod = "none", Resources = ["https://bank.example"] } },
        { "an unknown kind of sub", ErrorCode.InvalidClientMetadata, Sound with { SubjectType = "ephemeral" } },
        { "people known within no one sector", ErrorCode.InvalidClientMetadata, Sound with { SubjectType = "pairwise", RedirectUris = ["https://tally.example/callback", "https://tally.test/callback"] } },
        { "people known within everybody's loopback", ErrorCode.InvalidClientMetadata, Sound with { SubjectType = "pairwise", ApplicationType = "native", RedirectUris = ["http://127.0.0.1/callback"] } },
        { "people known within a sector without any host", ErrorCode.InvalidClientMetadata, Sound with { SubjectType = "pairwise", GrantTypes = ["client_credentials"], RedirectUris = [] } },
        { "a sector's document that travels in clear", ErrorCode.InvalidClientMetadata, Sound with { SectorIdentifierUri = "http://tally.example/uris.json" } },
        { "a sector's document in a file", ErrorCode.InvalidClientMetadata, Sound with { SubjectType = "pairwise", SectorIdentifierUri = "file:///etc/hostname" } },
        { "a retry window below zero", ErrorCode.InvalidClientMetadata, Sound with { RefreshRetryWindow = TimeSpan.FromTicks(-1) } },
    };

    [Theory, Trait("Attack", "K6"), Trait("Attack", "R3")]
    [MemberData(nameof(Faults), DisableDiscoveryEnumeration = true)]
    public void Unsound_metadata_is_refused_and_recorded_nowhere(string fault, string code, ClientMetadata metadata)
    {
        foreach (var client in new[] { null, Registered() })
        {
            var refused = Assert.IsType<Refused<bool>>(Declare(client, metadata, metadata.HasSecret ? NewSecret : null));
            Assert.True(code == refused.Error.Code, $"{fault}: {refused.Error}");
            Assert.Empty(refused.Events);
        }
    }

    [Fact, Trait("Rule", "CA-10")]
    public void A_client_with_a_key_gets_no_secret() => Assert.Equal(ErrorCode.InvalidClientMetadata, Assert.IsType<Refused<bool>>(Declare(null, Signing, OldSecret)).Error.Code);

    [Theory, Trait("Rule", "CA-10"), Trait("Attack", "K4")]
    [InlineData(ClientAuthMethod.PrivateKeyJwt)]
    [InlineData(ClientAuthMethod.None)]
    public void A_client_that_needs_no_secret_any_more_keeps_none(string method)
    {
        var changed = Signing with { TokenEndpointAuthMethod = method };
        var decision = Declare(Registered(OldSecret), changed);
        Assert.Equal([new(Stream, new ClientEvent.MetadataReplaced(changed, Noon)), new(Stream, new ClientEvent.SecretRetired("old", Noon))], decision.Events);
        Assert.Empty(Declare(Fold(Registered(OldSecret), decision), changed).Events);
    }

    [Fact, Trait("Rule", "CA-4"), Trait("Rule", "CA-5"), Trait("Rule", "CA-6")]
    public void Clients_that_sign_are_registered()
    {
        foreach (var algorithm in (string?[])[null, "ES256", "PS256", "RS256"]) Assert.Null(DeclareClient.WhyNot(Tally, Signing with { TokenEndpointAuthSigningAlg = algorithm }));
        foreach (var algorithm in (string?[])[null, "HS256", "HS384", "HS512"]) Assert.Null(DeclareClient.WhyNot(Tally, Sound with { TokenEndpointAuthMethod = ClientAuthMethod.SecretJwt, TokenEndpointAuthSigningAlg = algorithm }));
        foreach (var address in (string[])["https://tally.example/jwks", "https://tally.example:8443/jwks?a=1", "http://localhost:5200/jwks", "http://127.0.0.1:5200/jwks"])
            Assert.Null(DeclareClient.WhyNot(Tally, Signing with { Jwks = null, JwksUri = address }));
        foreach (var audience in (string?[])[null, AssertionAudience.Issuer, AssertionAudience.Endpoint]) Assert.Null(DeclareClient.WhyNot(Tally, Signing with { AssertionAudience = audience }));
        Assert.Null(DeclareClient.WhyNot(Tally, Signing with { GrantTypes = ["client_credentials"], RedirectUris = [] }));
    }

    [Fact, Trait("Rule", "PW-1")]
    public void Clients_that_know_people_within_a_sector_are_registered()
    {
        var pairwise = Sound with { SubjectType = SubjectIdentifierType.Pairwise };
        Assert.Null(DeclareClient.WhyNot(Tally, pairwise));
        Assert.Null(DeclareClient.WhyNot(Tally, pairwise with { RedirectUris = [.. Sound.RedirectUris, "https://tally.test/callback"], SectorIdentifierUri = "https://sector.example/uris.json" }));
        Assert.Null(DeclareClient.WhyNot(Tally, pairwise with { ApplicationType = "native", RedirectUris = ["com.example.tally:/callback"], SectorIdentifierUri = "https://sector.example/uris.json" }));
        Assert.Null(DeclareClient.WhyNot(Tally, Sound with { SectorIdentifierUri = "https://sector.example/uris.json" }));
    }

    [Fact]
    public void The_widest_allowed_values_are_allowed()
    {
        Assert.Null(DeclareClient.WhyNot(Tally, Sound with { DefaultMaxAge = 0, RefreshRetryWindow = TimeSpan.Zero, Purposes = [new("balances", new string('x', 80))] }));
        Assert.Null(DeclareClient.WhyNot(Tally, Sound with { GrantTypes = ["client_credentials"], RedirectUris = [] }));
        Assert.Null(DeclareClient.WhyNot(Tally, Sound with { ApplicationType = "native", TokenEndpointAuthMethod = "none", RedirectUris = ["com.example.tally:/callback"] }));
        Assert.Null(DeclareClient.WhyNot(Tally, Sound with { ResponseModes = ResponseMode.Supported, AuthorizationSignedResponseAlg = SigningAlgorithm.ES256 }));
        foreach (var algorithm in SigningAlgorithm.Supported) Assert.Null(DeclareClient.WhyNot(Tally, Sound with { IntrospectionSignedResponseAlg = algorithm }));
        foreach (var algorithm in SigningAlgorithm.Supported) Assert.Null(DeclareClient.WhyNot(Tally, Sound with { Jwks = "{}", RequestObjectSigningAlg = algorithm, RequireSignedRequestObject = true }));
        Assert.Null(DeclareClient.WhyNot(new(new string('x', 256)), Sound));
        Assert.Null(DeclareClient.WhyNot(Tally, Sound with { GrantTypes = [], RedirectUris = [], Resources = ["https://bank.example"] }));
    }

    [Theory, Trait("Attack", "T21"), Trait("Attack", "K6")]
    [InlineData("")]
    [InlineData("tally budget")]
    [InlineData("tally\n")]
    [InlineData("täly")]
    [InlineData("sub_0190a000000070008000000000000001")]
    [InlineData("sub_")]
    [InlineData("https://tally.example/client")]
    public void A_client_id_that_could_be_mistaken_is_refused(string id)
    {
        var refused = Assert.IsType<Refused<bool>>(Declare(null, id: new(id)));
        Assert.Equal(ErrorCode.InvalidClientMetadata, refused.Error.Code);
    }

    [Fact]
    public void A_client_id_has_at_most_256_characters() => Assert.NotNull(DeclareClient.WhyNot(new(new string('x', 257)), Sound));
}
