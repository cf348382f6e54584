using System.Net;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Grants.Api.Configuration;
using Grants.Testing;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Authentication.OpenIdConnect;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Grants.Api.Tests.Libraries;

/// <summary>ASP.NET Core's own OpenID Connect and JWT handlers as they come: a web app and an API.</summary>
public sealed class AspNetCoreTests(AppFixture app) : IClassFixture<AppFixture>
{
    private const string App = "http://localhost:5250";

    /// <summary>The library authenticates with client_secret_post, so this is how its apps are registered.</summary>
    private static readonly TestClient Ledger = new("ledger", Witness.Saw("client secret", Journey.Random()), App + "/callback", "openid profile email balances offline_access");

    [Theory, Trait("Library", "Microsoft.AspNetCore.Authentication.OpenIdConnect")]
    [InlineData(null)] // form_post, the library's default
    [InlineData("query")]
    public async Task A_web_app_signs_a_person_in_calls_an_API_renews_and_signs_out(string? responseMode)
    {
        await using var web = await WebAppAsync(responseMode);
        await using var api = await ApiAsync(TestConfiguration.Bank);
        var person = app.NewVisitor();
        var cookies = new CookieContainer();
        using var http = web.GetTestServer().CreateClient();
        http.BaseAddress = new Uri(App);

        // The app sends the browser to the server; the person signs in and allows.
        var challenge = await SendAsync(http, cookies, new HttpRequestMessage(HttpMethod.Get, "/me"));
        Assert.Equal(HttpStatusCode.Redirect, challenge.StatusCode);
        var page = await person.GetAsync(challenge.Headers.Location!.OriginalString);
        if (page.Address.AbsolutePath.StartsWith("/signin", StringComparison.Ordinal)) page = await person.SignInAsync(page, TestConfiguration.Sam, TestConfiguration.SamPassword);
        if (page.Address.AbsolutePath.StartsWith("/consent", StringComparison.Ordinal)) page = await person.SubmitAsync(page, ("decision", "allow"));

        // The answer comes back to the app, by form or by address.
        HttpRequestMessage answer;
        if (responseMode is null)
        {
            Assert.Equal(App + "/callback", FormActionOf(page));
            var fields = FieldsOf(page);
            Witness.Saw("code", fields.Single(field => field.Key == "code").Value);
            answer = new HttpRequestMessage(HttpMethod.Post, "/callback") { Content = new FormUrlEncodedContent(fields) };
        }
        else
        {
            Witness.Saw("code", page.Answer["code"]);
            answer = new HttpRequestMessage(HttpMethod.Get, new Uri(page.Location!).PathAndQuery);
        }

        var back = await SendAsync(http, cookies, answer);
        Assert.True(back.StatusCode == HttpStatusCode.Redirect, await back.Content.ReadAsStringAsync());
        Assert.Equal("/me", new Uri(new Uri(App), back.Headers.Location!).AbsolutePath);
        var me = JsonNode.Parse(await (await SendAsync(http, cookies, new HttpRequestMessage(HttpMethod.Get, "/me"))).Content.ReadAsStringAsync())!;
        Assert.Equal("Sam Field", (string?)me["name"]);
        var access = Witness.Saw("access token", (string)me["access_token"]!);
        var refresh = Witness.Saw("refresh token", (string)me["refresh_token"]!);
        Witness.Saw("id_token", (string)me["id_token"]!);

        // With the token that it saved, the app calls an API, renews, and calls again.
        using var bank = api.GetTestServer().CreateClient();
        Assert.Equal(HttpStatusCode.OK, (await GetAsync(bank, access)).StatusCode);
        using var backChannel = app.NewClient();
        var renewed = await backChannel.TokenAsync(Ledger with { Secret = null }, ("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_secret", Ledger.Secret));
        Assert.Equal(HttpStatusCode.OK, (await GetAsync(bank, renewed.AccessToken)).StatusCode);

        // Signing out of the app signs out of the server and comes back.
        var leaving = await SendAsync(http, cookies, new HttpRequestMessage(HttpMethod.Get, "/leave"));
        Assert.StartsWith(TestConfiguration.Issuer + "/logout?", leaving.Headers.Location!.OriginalString, StringComparison.Ordinal);
        var left = await person.GetAsync(leaving.Headers.Location.OriginalString);
        Assert.StartsWith(App + "/signed-out", left.Location, StringComparison.Ordinal);
        var returned = await SendAsync(http, cookies, new HttpRequestMessage(HttpMethod.Get, new Uri(left.Location!).PathAndQuery));
        Assert.Equal(HttpStatusCode.Redirect, returned.StatusCode);
        Assert.Equal(HttpStatusCode.Redirect, (await SendAsync(http, cookies, new HttpRequestMessage(HttpMethod.Get, "/me"))).StatusCode);
        Assert.Equal("login_required", (await person.GetAsync(Journey.Ask(Ledger, ("prompt", "none")).Address)).Answer["error"]);
    }

    [Fact, Trait("Library", "Microsoft.AspNetCore.Authentication.OpenIdConnect")]
    public async Task A_refusal_reaches_the_web_app()
    {
        await using var web = await WebAppAsync(null);
        var (person, cookies) = (app.NewVisitor(), new CookieContainer());
        using var http = web.GetTestServer().CreateClient();
        http.BaseAddress = new Uri(App);
        var challenge = await SendAsync(http, cookies, new HttpRequestMessage(HttpMethod.Get, "/me"));
        var page = await person.SignInAsync(await person.GetAsync(challenge.Headers.Location!.OriginalString), TestConfiguration.Maya, TestConfiguration.MayaPassword);
        page = await person.SubmitAsync(page, ("decision", "deny"));
        var fields = FieldsOf(page);
        Assert.Contains(fields, field => field is { Key: "error", Value: "access_denied" });
        var back = await SendAsync(http, cookies, new HttpRequestMessage(HttpMethod.Post, "/callback") { Content = new FormUrlEncodedContent(fields) });
        Assert.Equal("/refused", new Uri(new Uri(App), back.Headers.Location!).AbsolutePath);
    }

    [Fact, Trait("Library", "Microsoft.AspNetCore.Authentication.JwtBearer"), Trait("Attack", "T7")]
    public async Task An_API_accepts_tokens_meant_for_it_and_no_others()
    {
        await using var bank = await ApiAsync(TestConfiguration.Bank);
        await using var other = await ApiAsync("https://other.example");
        using var http = bank.GetTestServer().CreateClient();
        using var elsewhere = other.GetTestServer().CreateClient();
        using var tokens = app.NewClient();
        var machine = await tokens.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"));
        var (person, _, _, _) = await app.ConnectAsync(TestClient.Tally);

        var response = await GetAsync(http, machine.AccessToken);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("night-report", (string?)JsonNode.Parse(await response.Content.ReadAsStringAsync())!["client_id"]);
        Assert.Equal(HttpStatusCode.OK, (await GetAsync(http, person.AccessToken)).StatusCode);

        Assert.Equal(HttpStatusCode.Unauthorized, (await GetAsync(elsewhere, machine.AccessToken)).StatusCode); // another audience
        Assert.Equal(HttpStatusCode.Unauthorized, (await GetAsync(http, person.IdToken)).StatusCode); // not for an API
        Assert.Equal(HttpStatusCode.Unauthorized, (await GetAsync(http, person.RefreshToken)).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await GetAsync(http, machine.AccessToken[..^4] + "AAAA")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await GetAsync(http, null)).StatusCode);

        app.Clock.Advance(TimeSpan.FromMinutes(5) + TimeSpan.FromSeconds(1));
        var late = await GetAsync(http, machine.AccessToken);
        Assert.Equal(HttpStatusCode.Unauthorized, late.StatusCode);
        Assert.Contains("invalid_token", late.Headers.WwwAuthenticate.ToString(), StringComparison.Ordinal);
    }

    private async Task<WebApplication> WebAppAsync(string? responseMode)
    {
        await app.Services.GetRequiredService<ConfigurationApplier>().ApplyAsync(new DeclaredConfiguration
        {
            Clients =
            [
                new DeclaredClient
                {
                    ClientId = Ledger.Id, ClientSecret = Ledger.Secret, ClientName = "Ledger", RedirectUris = [Ledger.RedirectUri], PostLogoutRedirectUris = [App + "/signed-out"],
                    GrantTypes = ["authorization_code", "refresh_token"], TokenEndpointAuthMethod = "client_secret_post", Scope = Ledger.Scope,
                },
            ],
        }, "tests", default);
        var builder = WebApplication.CreateBuilder();
        builder.WebHost.UseTestServer();
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton<TimeProvider>(app.Clock);
        builder.Services.AddAuthentication(options =>
        {
            options.DefaultScheme = CookieAuthenticationDefaults.AuthenticationScheme;
            options.DefaultChallengeScheme = OpenIdConnectDefaults.AuthenticationScheme;
        }).AddCookie().AddOpenIdConnect(options =>
        {
            options.Authority = TestConfiguration.Issuer;
            options.RequireHttpsMetadata = false;
            options.ClientId = Ledger.Id;
            options.ClientSecret = Ledger.Secret;
            options.ResponseType = "code";
            if (responseMode is not null) options.ResponseMode = responseMode;
            options.CallbackPath = "/callback";
            options.SignedOutCallbackPath = "/signed-out";
            options.AccessDeniedPath = "/refused";
            options.MapInboundClaims = false;
            options.GetClaimsFromUserInfoEndpoint = true;
            options.SaveTokens = true;
            options.Scope.Clear();
            foreach (var scope in Ledger.Scope.Split(' ')) options.Scope.Add(scope);
            options.BackchannelHttpHandler = app.NewHandler();
            // Plain http on a developer's machine: cookies of a form that comes from another site need https otherwise.
            options.CorrelationCookie.SecurePolicy = options.NonceCookie.SecurePolicy = CookieSecurePolicy.SameAsRequest;
        });
        builder.Services.AddAuthorization();
        var web = builder.Build();
        web.UseAuthentication();
        web.UseAuthorization();
        web.MapGet("/me", async (HttpContext http, CancellationToken _) => Results.Json(new
        {
            name = http.User.FindFirst("name")?.Value,
            access_token = await http.GetTokenAsync("access_token"),
            refresh_token = await http.GetTokenAsync("refresh_token"),
            id_token = await http.GetTokenAsync("id_token"),
        })).RequireAuthorization();
        web.MapGet("/leave", () => Results.SignOut(null, [CookieAuthenticationDefaults.AuthenticationScheme, OpenIdConnectDefaults.AuthenticationScheme]));
        await web.StartAsync();
        return web;
    }

    private async Task<WebApplication> ApiAsync(string audience)
    {
        var builder = WebApplication.CreateBuilder();
        builder.WebHost.UseTestServer();
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton<TimeProvider>(app.Clock);
        builder.Services.AddAuthentication().AddJwtBearer(options =>
        {
            options.Authority = TestConfiguration.Issuer;
            options.Audience = audience;
            options.RequireHttpsMetadata = false;
            options.MapInboundClaims = false;
            options.BackchannelHttpHandler = app.NewHandler();
            options.TokenValidationParameters.ValidTypes = ["at+jwt"];
            options.TokenValidationParameters.ClockSkew = TimeSpan.Zero;
            // The library reads the machine's clock; the tests move their own.
            options.TokenValidationParameters.LifetimeValidator = (_, expires, _, _) => expires > app.Clock.GetUtcNow().UtcDateTime;
        });
        builder.Services.AddAuthorization();
        var api = builder.Build();
        api.UseAuthentication();
        api.UseAuthorization();
        api.MapGet("/balances", (HttpContext http) => Results.Json(new { client_id = http.User.FindFirst("client_id")?.Value })).RequireAuthorization();
        await api.StartAsync();
        return api;
    }

    private static async Task<HttpResponseMessage> GetAsync(HttpClient api, string? token)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/balances");
        if (token is not null) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return await api.SendAsync(request);
    }

    private static async Task<HttpResponseMessage> SendAsync(HttpClient http, CookieContainer cookies, HttpRequestMessage request)
    {
        using (request)
        {
            var address = new Uri(new Uri(App), request.RequestUri!);
            if (cookies.GetCookieHeader(address) is { Length: > 0 } header) request.Headers.TryAddWithoutValidation("Cookie", header);
            var response = await http.SendAsync(request);
            if (response.Headers.TryGetValues("Set-Cookie", out var set))
            {
                foreach (var cookie in set) cookies.SetCookies(address, cookie);
            }

            return response;
        }
    }

    private static string FormActionOf(Page page) => WebUtility.HtmlDecode(System.Text.RegularExpressions.Regex.Match(page.Body, "<form[^>]*\\baction=\"([^\"]*)\"").Groups[1].Value);

    private static List<KeyValuePair<string, string>> FieldsOf(Page page) =>
        [.. System.Text.RegularExpressions.Regex.Matches(page.Body, "<input[^>]*type=\"hidden\"[^>]*>").Select(match => KeyValuePair.Create(Attribute(match.Value, "name"), Attribute(match.Value, "value")))];

    private static string Attribute(string tag, string name) => WebUtility.HtmlDecode(System.Text.RegularExpressions.Regex.Match(tag, $"\\b{name}=\"([^\"]*)\"").Groups[1].Value);
}
