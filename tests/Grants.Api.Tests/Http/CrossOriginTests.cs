using System.Net;
using Grants.Testing;

namespace Grants.Api.Tests.Http;

/// <summary>Which pages of other origins may call what, in the words of the Fetch standard.</summary>
public sealed class CrossOriginTests(AppFixture app) : IClassFixture<AppFixture>
{
    private const string BrowserApp = "http://localhost:5400";
    private const string Stranger = "https://stranger.example";

    [Theory, Trait("Rule", "G-6"), Trait("Attack", "P6")]
    [InlineData("/.well-known/openid-configuration")]
    [InlineData("/.well-known/oauth-authorization-server")]
    [InlineData("/jwks")]
    public async Task What_is_public_is_for_the_pages_of_every_origin(string path)
    {
        var answer = await SendAsync(HttpMethod.Get, path, Stranger);
        Assert.Equal((HttpStatusCode.OK, "*"), (answer.StatusCode, Header(answer, "Access-Control-Allow-Origin")));
        Assert.Equal("", Header(answer, "Access-Control-Allow-Credentials"));
    }

    [Theory, Trait("Rule", "G-6"), Trait("Attack", "P6")]
    [InlineData("/token", "POST", BrowserApp, true)]
    [InlineData("/revoke", "POST", BrowserApp, true)]
    [InlineData("/userinfo", "GET", BrowserApp, true)]
    [InlineData("/userinfo", "POST", BrowserApp, true)]
    [InlineData("/token", "POST", Stranger, false)]
    [InlineData("/userinfo", "GET", Stranger, false)]
    [InlineData("/token", "POST", "http://localhost:5401", false)]
    [InlineData("/token", "POST", "https://localhost:5400", false)]
    [InlineData("/token", "POST", "null", false)]
    [InlineData("/token", "DELETE", BrowserApp, false)]
    [InlineData("/introspect", "POST", BrowserApp, false)]
    [InlineData("/authorize", "GET", BrowserApp, false)]
    [InlineData("/signin", "POST", BrowserApp, false)]
    [InlineData("/account/apps", "GET", BrowserApp, false)]
    [InlineData("/logout", "GET", BrowserApp, false)]
    public async Task A_browser_is_told_beforehand_who_may_call_what(string path, string method, string origin, bool allowed)
    {
        using var request = new HttpRequestMessage(HttpMethod.Options, path);
        request.Headers.Add("Origin", origin);
        request.Headers.Add("Access-Control-Request-Method", method);
        request.Headers.Add("Access-Control-Request-Headers", "authorization,content-type,dpop");
        using var http = app.NewClient();
        var answer = await http.SendAsync(request);
        var methods = Header(answer, "Access-Control-Allow-Methods").Split(',', StringSplitOptions.TrimEntries);
        Assert.Equal(allowed, Header(answer, "Access-Control-Allow-Origin") == origin && methods.Contains(method));
        Assert.Equal("", Header(answer, "Access-Control-Allow-Credentials"));
    }

    [Fact, Trait("Rule", "G-6"), Trait("Attack", "P6")]
    public async Task Of_an_answer_a_page_may_read_the_challenges_and_errors_too()
    {
        var answer = await SendAsync(HttpMethod.Get, "/userinfo", BrowserApp);
        Assert.Equal((HttpStatusCode.Unauthorized, BrowserApp), (answer.StatusCode, Header(answer, "Access-Control-Allow-Origin")));
        var exposed = Header(answer, "Access-Control-Expose-Headers").Split(',', StringSplitOptions.TrimEntries);
        Assert.Contains("WWW-Authenticate", exposed);
        Assert.Contains("DPoP-Nonce", exposed);
        Assert.Equal("Origin", Header(answer, "Vary"));

        foreach (var path in (string[])["/authorize", "/introspect", "/signin", "/account/apps", "/"])
        {
            foreach (var method in (HttpMethod[])[HttpMethod.Get, HttpMethod.Post]) Assert.Equal("", Header(await SendAsync(method, path, BrowserApp), "Access-Control-Allow-Origin"));
        }
    }

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, string origin)
    {
        using var request = new HttpRequestMessage(method, path);
        request.Headers.Add("Origin", origin);
        using var http = app.NewClient();
        return await http.SendAsync(request);
    }

    private static string Header(HttpResponseMessage answer, string name) => answer.Headers.TryGetValues(name, out var values) ? string.Join(", ", values) : "";
}
