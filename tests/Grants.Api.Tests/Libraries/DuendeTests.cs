using System.Net;
using Duende.IdentityModel;
using Duende.IdentityModel.Client;
using Duende.IdentityModel.OidcClient;
using Duende.IdentityModel.OidcClient.Browser;
using Grants.Testing;

namespace Grants.Api.Tests.Libraries;

/// <summary>Duende.IdentityModel and its OidcClient as they come, with the strictest policy for discovery.</summary>
[Collection(StockClients.Name)]
public sealed class DuendeTests(StockServer server)
{
    private const string NativeRedirect = "http://127.0.0.1:48125/callback"; // a port chosen when it runs

    /// <summary>https but for loopback; every endpoint under the issuer's own address; the issuer as it was asked for; a key set.</summary>
    private static DiscoveryPolicy Strict => new() { RequireHttps = true, ValidateEndpoints = true, ValidateIssuerName = true, RequireKeySet = true };

    [Fact, Trait("Library", "Duende.IdentityModel.OidcClient")]
    [Trait("Rule", "MD-1"), Trait("Rule", "PAR-1"), Trait("Rule", "PAR-8"), Trait("Rule", "DP-3"), Trait("Rule", "DP-4"), Trait("Rule", "DP-5"), Trait("Rule", "DP-7"), Trait("Rule", "LO-1")]
    public async Task A_native_app_pushes_its_request_binds_its_tokens_to_a_key_renews_and_signs_out()
    {
        using var key = new DpopKey();
        using var another = new DpopKey("PS256");
        var browser = new VisitorsBrowser(server.NewVisitor());
        var options = Options(StockServer.Native, browser);
        options.RedirectUri = NativeRedirect;
        options.BackchannelHandler = ServerProcess.NewHandler(key);
        options.RefreshTokenInnerHttpHandler = ServerProcess.NewHandler(key);
        var client = new OidcClient(options);

        var signedIn = await client.LoginAsync(new LoginRequest());
        Assert.False(signedIn.IsError, signedIn.Error + " " + signedIn.ErrorDescription);
        See(signedIn.AccessToken, signedIn.RefreshToken, signedIn.IdentityToken);
        Assert.Contains("request_uri=", browser.Start, StringComparison.Ordinal); // pushed without being told to
        Assert.Equal("DPoP", signedIn.TokenResponse.TokenType);
        Assert.Equal("Sam Field", signedIn.User.FindFirst("name")?.Value); // from userinfo

        // The library's own handler for calls sends the token as what it is; as a bearer token it is refused.
        using var calls = new HttpClient(signedIn.RefreshTokenHandler);
        Assert.Equal(HttpStatusCode.OK, (await calls.GetAsync(new Uri(server.Issuer + "/userinfo"))).StatusCode);
        using var plain = server.NewClient();
        Assert.True((await plain.GetUserInfoAsync(new UserInfoRequest { Address = server.Issuer + "/userinfo", Token = signedIn.AccessToken })).IsError);

        // The refresh token of a public client is bound to the same key.
        using var thief = new HttpClient(ServerProcess.NewHandler(another));
        var stolen = await thief.RequestRefreshTokenAsync(new RefreshTokenRequest { Address = server.Issuer + "/token", ClientId = StockServer.Native.Id, ClientCredentialStyle = ClientCredentialStyle.PostBody, RefreshToken = signedIn.RefreshToken });
        Assert.Equal("invalid_grant", stolen.Error);
        var renewed = await client.RefreshTokenAsync(signedIn.RefreshToken);
        Assert.False(renewed.IsError, renewed.Error + " " + renewed.ErrorDescription);
        See(renewed.AccessToken, renewed.RefreshToken, renewed.IdentityToken);
        Assert.NotEqual(signedIn.RefreshToken, renewed.RefreshToken);

        var left = await client.LogoutAsync(new LogoutRequest { IdTokenHint = renewed.IdentityToken });
        Assert.False(left.IsError, left.Error);
        Assert.StartsWith(StockServer.SignedOut, left.Response, StringComparison.Ordinal);
    }

    [Fact, Trait("Library", "Duende.IdentityModel.OidcClient")]
    [Trait("Rule", "CA-5"), Trait("Rule", "CA-6"), Trait("Rule", "PAR-1"), Trait("Rule", "TK-3")]
    public async Task A_web_app_signs_a_fresh_assertion_for_each_request()
    {
        var options = Options(StockServer.Signer, new VisitorsBrowser(server.NewVisitor()));
        options.GetClientAssertionAsync = () => Task.FromResult(Assertion());
        var client = new OidcClient(options);

        var signedIn = await client.LoginAsync(new LoginRequest());
        Assert.False(signedIn.IsError, signedIn.Error + " " + signedIn.ErrorDescription);
        See(signedIn.AccessToken, signedIn.RefreshToken, signedIn.IdentityToken);
        var renewed = await client.RefreshTokenAsync(signedIn.RefreshToken);
        Assert.False(renewed.IsError, renewed.Error + " " + renewed.ErrorDescription);
        See(renewed.AccessToken, renewed.RefreshToken, renewed.IdentityToken);
    }

    [Fact, Trait("Library", "Duende.IdentityModel")]
    [Trait("Rule", "TK-7"), Trait("Rule", "CA-2"), Trait("Rule", "CA-5"), Trait("Rule", "IN-1"), Trait("Rule", "IN-2"), Trait("Rule", "RV-1"), Trait("Rule", "RV-2")]
    public async Task A_machine_asks_about_its_token_and_gives_it_up()
    {
        using var http = server.NewClient();
        var discovery = await http.GetDiscoveryDocumentAsync(new DiscoveryDocumentRequest { Address = server.Issuer, Policy = Strict });
        Assert.False(discovery.IsError, discovery.Error);

        var token = await http.RequestClientCredentialsTokenAsync(new ClientCredentialsTokenRequest
        {
            Address = discovery.TokenEndpoint,
            ClientId = StockServer.Signer.Id,
            ClientCredentialStyle = ClientCredentialStyle.PostBody,
            ClientAssertion = Assertion(),
            Scope = "balances",
        });
        Assert.False(token.IsError, token.Error + " " + token.ErrorDescription);
        See(token.AccessToken!);

        // The API that the token is for asks, as a client with a secret.
        Assert.True((await IntrospectAsync()).IsActive);
        var told = await IntrospectAsync();
        Assert.Equal(StockServer.Signer.Id, told.ClientId);
        Assert.Equal(["balances"], told.Scopes);
        Assert.Contains(TestConfiguration.Bank, told.Audiences);

        var revoked = await http.RevokeTokenAsync(new TokenRevocationRequest
        {
            Address = discovery.RevocationEndpoint,
            ClientId = StockServer.Signer.Id,
            ClientCredentialStyle = ClientCredentialStyle.PostBody,
            ClientAssertion = Assertion(),
            Token = token.AccessToken!,
            TokenTypeHint = OidcConstants.TokenTypes.AccessToken,
        });
        Assert.False(revoked.IsError, revoked.Error);
        Assert.False((await IntrospectAsync()).IsActive);

        Task<TokenIntrospectionResponse> IntrospectAsync() => http.IntrospectTokenAsync(new TokenIntrospectionRequest
        {
            Address = discovery.IntrospectionEndpoint,
            ClientId = TestClient.Bank.Id,
            ClientSecret = TestClient.Bank.Secret,
            ClientCredentialStyle = ClientCredentialStyle.AuthorizationHeader,
            AuthorizationHeaderStyle = BasicAuthenticationHeaderStyle.Rfc6749,
            Token = token.AccessToken!,
        });
    }

    private OidcClientOptions Options(TestClient client, IBrowser browser) => new()
    {
        Authority = server.Issuer,
        ClientId = client.Id,
        RedirectUri = client.RedirectUri,
        PostLogoutRedirectUri = StockServer.SignedOut,
        Scope = client.Scope,
        Browser = browser,
        LoadProfile = true,
        Policy = new Policy { Discovery = Strict, RequireAccessTokenHash = true, RequireIdentityTokenOnRefreshTokenResponse = true },
    };

    private ClientAssertion Assertion()
    {
        var claims = Testing.Assertion.Claims(StockServer.Signer.Id, TimeProvider.System.GetUtcNow(), ("aud", server.Issuer));
        return new ClientAssertion { Type = OidcConstants.ClientAssertionTypes.JwtBearer, Value = Testing.Assertion.By(StockServer.Key, claims) };
    }

    private static void See(params string[] tokens)
    {
        foreach (var token in tokens) Witness.Saw("token", token);
    }

    /// <summary>The person's browser: signs in and allows, and hands the last address back.</summary>
    private sealed class VisitorsBrowser(Visitor visitor) : IBrowser
    {
        /// <summary>Where the app sent it first.</summary>
        public string Start { get; private set; } = "";

        public async Task<BrowserResult> InvokeAsync(BrowserOptions options, CancellationToken cancellationToken = default)
        {
            if (Start.Length == 0) Start = options.StartUrl;
            return new BrowserResult { ResultType = BrowserResultType.Success, Response = await StockServer.AnswerAsync(visitor, options.StartUrl) };
        }
    }
}
