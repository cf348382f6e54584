using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Grants.Api.Login;
using Grants.Api.Tests.Http;
using Grants.Testing;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Grants.Api.Tests.Discovery;

/// <summary>A server whose issuer has a path, behind a proxy that passes the path on.</summary>
public sealed class TenantApp : GrantsApp, IAsyncLifetime
{
    public const string Base = "/t1";
    public const string Issuer = TestConfiguration.Issuer + Base;

    public async ValueTask InitializeAsync() => await StartAsync(await NewDatabaseAsync(), configure: builder => builder
        .UseSetting("Grants:Issuer", Issuer).UseSetting("Grants:DpopNonces", "false"));

    /// <summary>A machine that knows the addresses without the path.</summary>
    public HttpClient NewMachine() => new(new UnderPath(NewHandler())) { BaseAddress = new Uri(TestConfiguration.Issuer) };

    private sealed class UnderPath(HttpMessageHandler inner) : DelegatingHandler(inner)
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            request.RequestUri = new Uri(Issuer + request.RequestUri!.PathAndQuery);
            return base.SendAsync(request, cancellationToken);
        }
    }
}

public sealed partial class IssuerPathTests(TenantApp app) : IClassFixture<TenantApp>
{
    [Theory, Trait("Rule", "MD-1"), Trait("Rule", "MC-1")]
    [InlineData("/.well-known/oauth-authorization-server/t1")] // RFC 8414 §3.1
    [InlineData("/t1/.well-known/openid-configuration")] // OpenID Connect Discovery §4
    [InlineData("/.well-known/openid-configuration/t1")] // RFC 8414 §5
    public async Task The_metadata_stands_at_each_place_where_a_client_may_look(string address)
    {
        var page = await app.NewVisitor().SendOnceAsync(new(HttpMethod.Get, address));
        Assert.Equal(HttpStatusCode.OK, page.Status);
        Assert.StartsWith("application/json", page.Header("Content-Type"), StringComparison.Ordinal);
        var metadata = JsonNode.Parse(page.Body)!.AsObject();
        Assert.Equal(TenantApp.Issuer, (string?)metadata["issuer"]);
        var addresses = metadata.Where(member => member.Key.EndsWith("_endpoint", StringComparison.Ordinal) || member.Key.EndsWith("_uri", StringComparison.Ordinal)).ToList();
        Assert.True(addresses.Count >= 8);
        Assert.All(addresses, member => Assert.StartsWith(TenantApp.Issuer + "/", (string?)member.Value));
        foreach (var (name, value) in addresses)
        {
            var status = (int)(await app.NewVisitor().SendOnceAsync(new(HttpMethod.Get, (string)value!))).Status;
            Assert.True(status != 404, $"{name} {status}");
        }
    }

    [Theory, Trait("Rule", "MD-1"), Trait("Rule", "G-1")]
    [InlineData("/.well-known/openid-configuration")]
    [InlineData("/.well-known/oauth-authorization-server")]
    [InlineData("/.well-known/oauth-authorization-server/t2")]
    [InlineData("/.well-known/oauth-authorization-server/t10")]
    [InlineData("/.well-known/oauth-authorization-server/T1")]
    [InlineData("/.well-known/oauth-protected-resource")]
    [InlineData("/.well-known/oauth-protected-resource/userinfo")]
    [InlineData("/.well-known/oauth-protected-resource/userinfo/t1")]
    [InlineData("/.well-known/t1")]
    [InlineData("/T1/.well-known/openid-configuration")]
    [InlineData("/t1x/signin")]
    [InlineData("/t1/t1/signin")]
    [InlineData("/signin")]
    [InlineData("/jwks")]
    [InlineData("/authorize")]
    [InlineData("/userinfo")]
    [InlineData("/")]
    public async Task Nothing_stands_beside_the_path(string address)
    {
        var page = await app.NewVisitor().SendOnceAsync(new(HttpMethod.Get, address));
        Assert.Equal(HttpStatusCode.NotFound, page.Status);
        Assert.Equal("DENY", page.Header("X-Frame-Options"));
    }

    [Theory, Trait("Rule", "MD-1")]
    [InlineData("/healthz")]
    [InlineData("/readyz")]
    public async Task Who_looks_after_the_server_need_not_know_the_path(string address)
    {
        foreach (var at in (string[])[address, TenantApp.Base + address]) Assert.Equal(HttpStatusCode.OK, (await app.NewVisitor().GetAsync(at)).Status);
    }

    [Fact, Trait("Rule", "MD-1"), Trait("Rule", "G-1"), Trait("Attack", "U5")]
    public async Task A_whole_flow_goes_under_the_path()
    {
        using var http = app.NewMachine();
        var visitor = app.NewVisitor();
        var asked = Journey.Ask(TestClient.Tally);
        var signIn = await visitor.GetAsync(TenantApp.Base + asked.Address);
        Assert.True(signIn.IsAt("/t1/signin/"), $"{signIn.Status} {signIn.Address}");
        LeadsOnlyUnderThePath(signIn);
        var consent = await visitor.SignInAsync(signIn, TestConfiguration.Sam, TestConfiguration.SamPassword);
        Assert.True(consent.IsAt("/t1/consent/"), $"{consent.Status} {consent.Address}");
        LeadsOnlyUnderThePath(consent);
        var answer = await visitor.SubmitAsync(consent, ("decision", "allow"));
        Assert.Equal(TenantApp.Issuer, answer.Answer["iss"]);

        var tokens = await http.RedeemAsync(asked, Witness.Saw("code", answer.Answer["code"]));
        Assert.True(tokens.Ok, tokens.Json.ToJsonString());
        foreach (var jwt in (string[])[tokens.AccessToken, tokens.IdToken]) Assert.Equal(TenantApp.Issuer, (string?)TokenAnswer.Claims(jwt)["iss"]);
        Assert.Contains(TenantApp.Issuer, TokenAnswer.Claims(tokens.AccessToken)["aud"]!.AsArray().Select(audience => (string?)audience));
        var told = await http.UserInfoAsync(tokens.AccessToken);
        Assert.Equal((string?)TokenAnswer.Claims(tokens.IdToken)["sub"], (string?)JsonNode.Parse(await told.Content.ReadAsStringAsync())!["sub"]);
        Assert.Equal(TenantApp.Issuer, (string?)(await http.IntrospectAsync(TestClient.Tally, tokens.AccessToken)).Json["iss"]);
        var renewed = await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken);
        Assert.True(renewed.Ok, renewed.Json.ToJsonString());

        var again = Journey.Ask(TestClient.Tally);
        var pushed = await http.PushAsync(again);
        Assert.True((await visitor.GetAsync(TenantApp.Base + again.By(pushed).Address)).Answer.ContainsKey("code"));

        Assert.True((await http.RevokeAsync(TestClient.Tally, renewed.RefreshToken)).Ok);
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(renewed.AccessToken)).StatusCode);
        Assert.All(visitor.Cookies.GetAllCookies(), cookie => Assert.Equal(TenantApp.Base, cookie.Path));
        Assert.Equal(3, visitor.Cookies.Count); // session, form, browser
    }

    [Fact, Trait("Rule", "MD-1")]
    public async Task A_persons_own_pages_stay_under_the_path()
    {
        var visitor = app.NewVisitor();
        var asked = Journey.Ask(TestClient.Tally);
        var page = await visitor.SignInAsync(await visitor.GetAsync(TenantApp.Base + asked.Address), TestConfiguration.Maya, TestConfiguration.MayaPassword);
        await visitor.SubmitAsync(page, ("decision", "allow"));
        await app.CatchUpAsync();

        var list = await visitor.GetAsync("/t1/account");
        Assert.True(list.IsAt("/t1/account/apps"), $"{list.Status} {list.Address}");
        var access = Access().Match(list.Body).Value;
        Assert.StartsWith("/t1/account/apps/", access, StringComparison.Ordinal);
        var remove = await visitor.GetAsync(access + "/remove");
        foreach (var shown in (Page[])
        [
            list, remove, await visitor.GetAsync(access), await visitor.GetAsync("/t1/"), await visitor.GetAsync("/t1"), await visitor.GetAsync("/t1/logout"), await visitor.GetAsync("/t1/signed-out"),
            await visitor.GetAsync("/t1/signin"), await visitor.GetAsync("/t1/authorize"), await visitor.GetAsync("/t1/account/apps/00000000000000000000000000000001"),
        ])
        {
            LeadsOnlyUnderThePath(shown);
        }

        var removed = await visitor.SubmitAsync(remove);
        Assert.True(removed.IsAt("/t1/account/apps"), $"{removed.Status} {removed.Address}");
        var signOut = await visitor.GetAsync("/t1/logout");
        Assert.True((await visitor.SubmitAsync(signOut)).IsAt("/t1/signed-out"));
        Assert.True((await visitor.GetAsync("/t1/account/apps")).IsAt("/t1/signin"));
    }

    [Fact, Trait("Rule", "MD-1"), Trait("Rule", "DP-1"), Trait("Rule", "CA-6")]
    public async Task Proofs_and_assertions_name_the_addresses_with_the_path()
    {
        using var http = app.NewMachine();
        using var key = new DpopKey();
        foreach (var (path, works) in ((string, bool)[])[("/t1/token", true), ("/token", false)])
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/token") { Content = new FormUrlEncodedContent([KeyValuePair.Create("grant_type", "client_credentials")]) };
            request.Headers.Authorization = Journey.Basic(TestClient.Report.Id, TestClient.Report.Secret!);
            request.Headers.Add("DPoP", key.Prove(HttpMethod.Post, path, app.Clock.GetUtcNow()));
            Assert.Equal((path, works), (path, (await TokenAnswer.ReadAsync(await http.SendAsync(request))).Ok));
        }

        var signer = new AssertionKey("one");
        await app.DeclareClientAsync(new JsonObject { ["client_id"] = "signs", ["client_name"] = "Signs", ["grant_types"] = new JsonArray("client_credentials"), ["scope"] = "balances", ["token_endpoint_auth_method"] = "private_key_jwt", ["jwks"] = AssertionKey.SetOf(signer) });
        foreach (var (audience, works) in ((string, bool)[])[(TenantApp.Issuer, true), (TestConfiguration.Issuer, false)])
            Assert.Equal((audience, works), (audience, (await http.PostAsync("/token", Assertion.By(signer, Assertion.Claims("signs", app.Clock.GetUtcNow(), ("aud", audience))), ("grant_type", "client_credentials"))).Ok));
    }

    [Theory, Trait("Rule", "MD-1"), Trait("Rule", "PR-1")]
    [InlineData("/.well-known/oauth-protected-resource/t1", "")]
    [InlineData("/.well-known/oauth-protected-resource/t1/userinfo", "/userinfo")]
    public async Task The_documents_of_its_own_APIs_have_the_path_after_their_name(string address, string api)
    {
        var metadata = JsonNode.Parse((await app.NewVisitor().GetAsync(address)).Body)!;
        Assert.Equal((TenantApp.Issuer + api, TenantApp.Issuer), ((string?)metadata["resource"], (string?)metadata["authorization_servers"]![0]));
        var refused = await app.NewVisitor().SendOnceAsync(new(HttpMethod.Get, "/t1/userinfo"));
        Assert.Equal(HttpStatusCode.Unauthorized, refused.Status);
        Assert.Contains($"resource_metadata=\"{TestConfiguration.Issuer}/.well-known/oauth-protected-resource/t1/userinfo\"", refused.Header("WWW-Authenticate"), StringComparison.Ordinal);
    }

    [Fact, Trait("Rule", "MD-1"), Trait("Rule", "G-6")]
    public async Task Other_origins_may_read_what_they_may_without_a_path()
    {
        foreach (var (path, allowed) in ((string, bool)[])[("/.well-known/oauth-authorization-server/t1", true), ("/t1/jwks", true), ("/t1/authorize", false)])
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, path);
            request.Headers.Add("Origin", "https://anywhere.example");
            Assert.Equal((path, allowed), (path, (await app.NewVisitor().SendOnceAsync(request)).Response.Headers.Contains("Access-Control-Allow-Origin")));
        }
    }

    [Theory, Trait("Rule", "G-1"), Trait("Rule", "MD-1")]
    [InlineData("https://id.example", "__Host-x", "/")]
    [InlineData("https://id.example/t1", "__Secure-x", "/t1")]
    [InlineData("https://id.example/a/b-c.d_e~f", "__Secure-x", "/a/b-c.d_e~f")]
    public void Cookies_go_no_further_than_the_issuer(string issuer, string name, string path)
    {
        var settings = Read(issuer);
        Assert.Equal((name, path), (BrowserSession.CookieName(settings, "x"), BrowserSession.CookiePath(settings)));
        Assert.Equal(issuer + "/token", settings.Url("/token"));
    }

    [Theory, Trait("Rule", "G-1")]
    [InlineData("https://id.example/")]
    [InlineData("https://id.example/t1/")]
    [InlineData("https://id.example//t1")]
    [InlineData("https://id.example/a/../b")]
    [InlineData("https://id.example/./b")]
    [InlineData("https://id.example/a%2Fb")]
    [InlineData("https://id.example/ä")]
    [InlineData("https://id.example/a;b")]
    [InlineData("https://id.example/.well-known/t1")]
    [InlineData("https://id.example/t1?x=1")]
    [InlineData("https://id.example/t1#x")]
    [InlineData("http://id.example/t1")]
    [InlineData("ftp://id.example/t1")]
    public void An_issuer_that_can_be_written_in_two_ways_stops_the_start(string issuer) =>
        Assert.Contains(issuer, Assert.Throws<SettingsException>(() => Read(issuer)).Message, StringComparison.Ordinal);

    private Settings Read(string issuer)
    {
        using var configuration = new ConfigurationManager { ["Grants:Issuer"] = issuer };
        return Settings.From(configuration, app.Services.GetRequiredService<IHostEnvironment>(), command: false);
    }

    private static void LeadsOnlyUnderThePath(Page page)
    {
        Assert.StartsWith("text/html", page.Header("Content-Type"), StringComparison.Ordinal);
        var addresses = Addresses().Matches(page.Body).Select(match => WebUtility.HtmlDecode(match.Groups[1].Value)).ToList();
        Assert.Contains(addresses, address => address.StartsWith("/t1/grants.css", StringComparison.Ordinal));
        Assert.All(addresses, address => Assert.True(address.StartsWith("/t1/", StringComparison.Ordinal) || address.StartsWith('#') || (Uri.TryCreate(address, UriKind.Absolute, out var elsewhere) && elsewhere.Scheme is "http" or "https"), $"{page.Address}: {address}"));
    }

    [GeneratedRegex("\\s(?:href|src|action)=\"([^\"]*)\"")]
    private static partial Regex Addresses();

    [GeneratedRegex("/t1/account/apps/[0-9a-f]{32}")]
    private static partial Regex Access();
}
