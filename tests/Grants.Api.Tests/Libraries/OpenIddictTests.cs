using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Grants.Testing;
using Microsoft.AspNetCore;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.Tokens;
using OpenIddict.Abstractions;
using OpenIddict.Client;
using OpenIddict.Client.AspNetCore;
using OpenIddict.Validation.AspNetCore;

namespace Grants.Api.Tests.Libraries;

/// <summary>OpenIddict's client and its token validation as they come: a web app and an API.</summary>
[Collection(StockClients.Name)]
public sealed class OpenIddictTests(StockServer server)
{
    [Theory, Trait("Library", "OpenIddict.Client")]
    [Trait("Rule", "MD-1"), Trait("Rule", "CA-1"), Trait("Rule", "CA-5"), Trait("Rule", "PAR-1"), Trait("Rule", "PAR-4"), Trait("Rule", "AZ-6"), Trait("Rule", "TK-3"), Trait("Rule", "RV-2"), Trait("Rule", "IN-2"), Trait("Rule", "LO-1")]
    [InlineData("stock-web")]
    [InlineData("stock-signer")] // with assertions in place of a secret
    public async Task A_web_app_signs_a_person_in_renews_revokes_and_signs_out(string id)
    {
        await using var web = await WebAppAsync(id == StockServer.Web.Id ? StockServer.Web : StockServer.Signer);
        var app = new Visitor(web.GetTestServer().CreateClient(), StockServer.App);
        var person = server.NewVisitor();
        var service = web.Services.GetRequiredService<OpenIddictClientService>();

        var challenge = await app.GetAsync("/enter");
        Assert.True(challenge.Location is not null, challenge.Body);
        Assert.Contains("request_uri=", challenge.Location, StringComparison.Ordinal); // pushed without being told to
        var entered = await app.GetAsync(await StockServer.AnswerAsync(person, challenge.Location!));
        Assert.True(entered.Status == HttpStatusCode.OK, entered.Body);
        var me = JsonNode.Parse(entered.Body)!;
        Assert.Equal("Sam Field", (string?)me["name"]); // from userinfo
        var (access, refresh, identity) = (See(me["access_token"]), See(me["refresh_token"]), See(me["id_token"]));

        var renewed = await service.AuthenticateWithRefreshTokenAsync(new() { RefreshToken = refresh });
        See(renewed.AccessToken, renewed.RefreshToken, renewed.IdentityToken);
        Assert.NotEqual(access, renewed.AccessToken);
        Assert.Equal((string?)me["sub"], renewed.Principal.GetClaim("sub"));

        var told = await service.IntrospectTokenAsync(new() { Token = renewed.AccessToken, TokenTypeHint = "access_token" });
        Assert.Equal(id, told.Principal.GetClaim("client_id"));
        await service.RevokeTokenAsync(new() { Token = renewed.RefreshToken!, TokenTypeHint = "refresh_token" });
        await Assert.ThrowsAsync<OpenIddictExceptions.ProtocolException>(async () => await service.IntrospectTokenAsync(new() { Token = renewed.AccessToken }));
        var refused = await Assert.ThrowsAsync<OpenIddictExceptions.ProtocolException>(async () => await service.AuthenticateWithRefreshTokenAsync(new() { RefreshToken = renewed.RefreshToken! }));
        Assert.Equal("invalid_grant", refused.Error);

        var leaving = await app.GetAsync("/leave?id_token=" + (renewed.IdentityToken ?? identity));
        var left = await app.GetAsync(await StockServer.AnswerAsync(person, leaving.Location!));
        Assert.Equal("out", left.Body);
    }

    [Fact, Trait("Library", "OpenIddict.Client")]
    public async Task A_refusal_reaches_the_web_app_as_access_denied()
    {
        await using var web = await WebAppAsync(StockServer.Web);
        var app = new Visitor(web.GetTestServer().CreateClient(), StockServer.App);
        var challenge = await app.GetAsync("/enter");
        var entered = await app.GetAsync(await StockServer.AnswerAsync(server.NewVisitor(), challenge.Location!, allow: false));
        Assert.Contains("access_denied", entered.Body, StringComparison.Ordinal);
    }

    [Fact, Trait("Library", "OpenIddict.Client"), Trait("Library", "OpenIddict.Validation")]
    [Trait("Rule", "TK-7"), Trait("Rule", "AT-1"), Trait("Rule", "IN-1"), Trait("Rule", "IN-2"), Trait("Attack", "T7")]
    public async Task An_API_takes_tokens_meant_for_it_and_learns_of_their_end_by_introspection()
    {
        await using var web = await WebAppAsync(StockServer.Web);
        await using var reading = await ApiAsync(TestConfiguration.Bank, introspects: false);
        await using var asking = await ApiAsync(TestConfiguration.Bank, introspects: true);
        await using var elsewhere = await ApiAsync("https://other.example", introspects: false);
        var service = web.Services.GetRequiredService<OpenIddictClientService>();
        var token = (await service.AuthenticateWithClientCredentialsAsync(new() { Scopes = ["balances"] })).AccessToken;
        See(token);

        foreach (var api in (WebApplication[])[reading, asking])
        {
            using var response = await GetAsync(api, token);
            Assert.True(response.StatusCode == HttpStatusCode.OK, response.Headers.WwwAuthenticate.ToString());
            var told = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
            Assert.Equal((StockServer.Web.Id, "balances"), ((string?)told["client_id"], (string?)told["scope"]));
            Assert.Equal(HttpStatusCode.Unauthorized, (await GetAsync(api, token[..^4] + "AAAA")).StatusCode);
            Assert.Equal(HttpStatusCode.Unauthorized, (await GetAsync(api, null)).StatusCode);
        }

        Assert.Equal(HttpStatusCode.Unauthorized, (await GetAsync(elsewhere, token)).StatusCode);

        await service.RevokeTokenAsync(new() { Token = token });
        Assert.Equal(HttpStatusCode.OK, (await GetAsync(reading, token)).StatusCode); // a JWT says nothing of its end
        Assert.Equal(HttpStatusCode.Unauthorized, (await GetAsync(asking, token)).StatusCode);
    }

    private async Task<WebApplication> WebAppAsync(TestClient client)
    {
        var builder = WebApplication.CreateBuilder();
        builder.WebHost.UseTestServer();
        builder.Logging.ClearProviders();
        builder.Services.AddOpenIddict().AddClient(options =>
        {
            options.AllowAuthorizationCodeFlow().AllowRefreshTokenFlow().AllowClientCredentialsFlow();
            options.AddEphemeralEncryptionKey().AddEphemeralSigningKey();
            options.DisableTokenStorage(); // what is needed again travels in state
            options.UseAspNetCore().DisableTransportSecurityRequirement().EnableErrorPassthrough()
                .EnableRedirectionEndpointPassthrough().EnablePostLogoutRedirectionEndpointPassthrough()
                .Configure(cookies => cookies.CookieBuilder.SecurePolicy = CookieSecurePolicy.SameAsRequest); // plain http on loopback
            options.UseSystemNetHttp();
            var registration = new OpenIddictClientRegistration
            {
                Issuer = new Uri(server.Issuer),
                ClientId = client.Id,
                ClientSecret = client.Secret,
                RedirectUri = new Uri(client.RedirectUri),
                PostLogoutRedirectUri = new Uri(StockServer.SignedOut),
            };
            if (client.Secret is not null) OnlyBasic(registration.ClientAuthenticationMethods);
            registration.Scopes.UnionWith(client.Scope.Split(' '));
            if (client == StockServer.Signer) registration.SigningCredentials.Add(new(new ECDsaSecurityKey((ECDsa)StockServer.Key.Private) { KeyId = StockServer.Key.Kid }, SecurityAlgorithms.EcdsaSha256));
            options.AddRegistration(registration);
        });
        var web = builder.Build();
        web.UseAuthentication();
        const string scheme = OpenIddictClientAspNetCoreDefaults.AuthenticationScheme;
        web.MapGet("/enter", () => Results.Challenge(new AuthenticationProperties { RedirectUri = "/" }, [scheme]));
        web.MapGet("/callback", async (HttpContext http, CancellationToken _) =>
        {
            if (http.GetOpenIddictClientResponse() is { Error: { } error } refused) return Results.Text($"{error}: {refused.ErrorDescription}");
            var result = await http.AuthenticateAsync(scheme);
            return Results.Json(new
            {
                sub = result.Principal?.GetClaim("sub"),
                name = result.Principal?.GetClaim("name"),
                access_token = result.Properties?.GetTokenValue(OpenIddictClientAspNetCoreConstants.Tokens.BackchannelAccessToken),
                refresh_token = result.Properties?.GetTokenValue(OpenIddictClientAspNetCoreConstants.Tokens.RefreshToken),
                id_token = result.Properties?.GetTokenValue(OpenIddictClientAspNetCoreConstants.Tokens.BackchannelIdentityToken),
            });
        });
        web.MapGet("/leave", (string id_token) =>
            Results.SignOut(new AuthenticationProperties(new Dictionary<string, string?> { [OpenIddictClientAspNetCoreConstants.Properties.IdentityTokenHint] = id_token }) { RedirectUri = "/" }, [scheme]));
        web.MapGet("/signed-out", async (HttpContext http, CancellationToken _) => (await http.AuthenticateAsync(scheme)).Succeeded ? "out" : "still in");
        await web.StartAsync();
        return web;
    }

    private async Task<WebApplication> ApiAsync(string audience, bool introspects)
    {
        var builder = WebApplication.CreateBuilder();
        builder.WebHost.UseTestServer();
        builder.Logging.ClearProviders();
        builder.Services.AddOpenIddict().AddValidation(options =>
        {
            options.SetIssuer(server.Issuer).AddAudiences(audience);
            if (introspects)
            {
                options.UseIntrospection().SetClientId(TestClient.Bank.Id).SetClientSecret(TestClient.Bank.Secret!)
                    .Configure(validation => OnlyBasic(validation.ClientAuthenticationMethods));
            }

            options.UseSystemNetHttp();
            options.UseAspNetCore();
        });
        builder.Services.AddAuthentication(OpenIddictValidationAspNetCoreDefaults.AuthenticationScheme);
        builder.Services.AddAuthorization();
        var api = builder.Build();
        api.UseAuthentication();
        api.UseAuthorization();
        api.MapGet("/balances", (HttpContext http) => Results.Json(new { client_id = http.User.GetClaim("client_id"), scope = string.Join(' ', http.User.GetScopes()) })).RequireAuthorization();
        await api.StartAsync();
        return api;
    }

    /// <summary>By itself the library sends a secret in the form, for which these clients aren't registered (CA-1).</summary>
    private static void OnlyBasic(HashSet<string> methods)
    {
        methods.Clear();
        methods.Add(OpenIddictConstants.ClientAuthenticationMethods.ClientSecretBasic);
    }

    private static async Task<HttpResponseMessage> GetAsync(WebApplication api, string? token)
    {
        using var http = api.GetTestServer().CreateClient();
        using var request = new HttpRequestMessage(HttpMethod.Get, "/balances");
        if (token is not null) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return await http.SendAsync(request);
    }

    private static string See(JsonNode? token) => Witness.Saw("token", (string)token!);

    private static void See(params string?[] tokens)
    {
        foreach (var token in tokens) Witness.Saw("token", token ?? "");
    }
}
