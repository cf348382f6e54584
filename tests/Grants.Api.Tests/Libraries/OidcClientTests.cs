using Duende.IdentityModel.OidcClient;
using Duende.IdentityModel.OidcClient.Browser;
using Grants.Testing;
using Microsoft.AspNetCore.WebUtilities;

namespace Grants.Api.Tests.Libraries;

/// <summary>Duende.IdentityModel.OidcClient as it comes, in a native app with a loopback redirect.</summary>
public sealed class OidcClientTests(AppFixture app) : IClassFixture<AppFixture>
{
    [Fact, Trait("Library", "Duende.IdentityModel.OidcClient")]
    public async Task A_native_app_signs_in_renews_and_reads_the_profile()
    {
        var visitor = app.NewVisitor();
        var client = new OidcClient(new OidcClientOptions
        {
            Authority = TestConfiguration.Issuer,
            ClientId = TestClient.NativeApp.Id,
            RedirectUri = "http://127.0.0.1:48123/callback", // a port chosen when it runs
            Scope = TestClient.NativeApp.Scope,
            Browser = new VisitorsBrowser(visitor),
            LoadProfile = true,
            BackchannelHandler = app.NewHandler(),
            RefreshTokenInnerHttpHandler = app.NewHandler(),
        });

        var signedIn = await client.LoginAsync(new LoginRequest());
        Assert.False(signedIn.IsError, signedIn.Error + " " + signedIn.ErrorDescription);
        See(signedIn.AccessToken, signedIn.RefreshToken, signedIn.IdentityToken);
        Assert.StartsWith("sub_", signedIn.User.FindFirst("sub")?.Value, StringComparison.Ordinal);
        Assert.Equal("Sam Field", signedIn.User.FindFirst("name")?.Value); // from userinfo

        var renewed = await client.RefreshTokenAsync(signedIn.RefreshToken);
        Assert.False(renewed.IsError, renewed.Error + " " + renewed.ErrorDescription);
        See(renewed.AccessToken, renewed.RefreshToken, renewed.IdentityToken);
        Assert.NotEqual(signedIn.RefreshToken, renewed.RefreshToken);

        var told = await client.GetUserInfoAsync(renewed.AccessToken);
        Assert.False(told.IsError, told.Error);
        Assert.Equal("Sam Field", told.Claims.Single(claim => claim.Type == "name").Value);

        // The spent token: the library reports the refusal, and the new one is dead, too.
        Assert.Equal("invalid_grant", (await client.RefreshTokenAsync(signedIn.RefreshToken)).Error);
        Assert.Equal("invalid_grant", (await client.RefreshTokenAsync(renewed.RefreshToken)).Error);
    }

    [Fact, Trait("Library", "Duende.IdentityModel.OidcClient")]
    public async Task A_refusal_reaches_the_app_as_access_denied()
    {
        var client = new OidcClient(new OidcClientOptions
        {
            Authority = TestConfiguration.Issuer,
            ClientId = TestClient.NativeApp.Id,
            RedirectUri = "http://127.0.0.1:48124/callback",
            Scope = TestClient.NativeApp.Scope,
            Browser = new VisitorsBrowser(app.NewVisitor(), allow: false),
            BackchannelHandler = app.NewHandler(),
        });
        Assert.Equal("access_denied", (await client.LoginAsync(new LoginRequest())).Error);
    }

    private static void See(params string[] tokens)
    {
        foreach (var token in tokens) Witness.Saw("token", token);
    }

    /// <summary>The person's browser: signs in and answers, and hands the last address back.</summary>
    private sealed class VisitorsBrowser(Visitor visitor, bool allow = true) : IBrowser
    {
        public async Task<BrowserResult> InvokeAsync(BrowserOptions options, CancellationToken cancellationToken = default)
        {
            foreach (var name in (string[])["state", "nonce"])
            {
                if (QueryHelpers.ParseQuery(new Uri(options.StartUrl).Query).TryGetValue(name, out var value)) Witness.Saw(name, value.ToString());
            }

            var page = await visitor.GetAsync(options.StartUrl);
            if (page.Address.AbsolutePath.StartsWith("/signin", StringComparison.Ordinal)) page = await visitor.SignInAsync(page, TestConfiguration.Sam, TestConfiguration.SamPassword);
            if (page.Address.AbsolutePath.StartsWith("/consent", StringComparison.Ordinal)) page = await visitor.SubmitAsync(page, ("decision", allow ? "allow" : "deny"));
            Assert.StartsWith(options.EndUrl, page.Location, StringComparison.Ordinal);
            if (page.Answer.TryGetValue("code", out var code)) Witness.Saw("code", code);
            return new BrowserResult { ResultType = BrowserResultType.Success, Response = page.Location };
        }
    }
}
