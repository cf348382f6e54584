using System.Net;
using System.Text.Json.Nodes;
using Grants.Testing;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Hosting.Internal;

namespace Grants.Api.Tests.Http;

/// <summary>The issuer: what it may be, and what https brings with it.</summary>
public sealed class IssuerTests
{
    private static Settings Read(string? issuer, string environment)
    {
        using var configuration = new ConfigurationManager { ["Grants:Issuer"] = issuer };
        return Settings.From(configuration, new HostingEnvironment { EnvironmentName = environment }, command: false);
    }

    [Theory, Trait("Rule", "G-1"), Trait("Attack", "P17")]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("id.example")]
    [InlineData("/id")]
    [InlineData("http://id.example")]
    [InlineData("http://localhost:5100")]
    [InlineData("http://127.0.0.1")]
    [InlineData("ftp://id.example")]
    [InlineData("https://id.example/")]
    [InlineData("https://id.example?x=1")]
    [InlineData("https://id.example#x")]
    public void Outside_development_the_issuer_is_an_https_address_without_query_fragment_and_final_slash(string? issuer) =>
        Assert.Contains("issuer", Assert.Throws<SettingsException>(() => Read(issuer, Environments.Production)).Message, StringComparison.OrdinalIgnoreCase);

    [Theory, Trait("Rule", "G-1")]
    [InlineData("https://id.example", "Production", true)]
    [InlineData("https://id.example:8443", "Production", true)]
    [InlineData("http://localhost:5100", "Development", true)]
    [InlineData("http://[::1]:5100", "Development", true)]
    [InlineData("http://id.example", "Development", false)]
    public void Plain_http_is_for_development_on_loopback_alone(string issuer, string environment, bool allowed)
    {
        if (allowed) Assert.Equal(issuer, Read(issuer, environment).Issuer);
        else Assert.Throws<SettingsException>(() => Read(issuer, environment));
    }

    [Fact, Trait("Attack", "P5"), Trait("Attack", "U5"), Trait("Rule", "G-1"), Trait("Rule", "MD-2")]
    public async Task An_https_issuer_stands_everywhere_byte_for_byte_and_browsers_are_told_to_stay_with_https()
    {
        const string Issuer = "https://id.example";
        await using var app = new GrantsApp();
        await app.StartAsync(await GrantsApp.NewDatabaseAsync(), configure: builder => builder.UseSetting("Grants:Issuer", Issuer));
        using var http = new HttpClient(app.NewHandler()) { BaseAddress = new Uri(Issuer) };

        foreach (var path in (string[])["/", "/.well-known/openid-configuration", "/jwks", "/authorize", "/token", "/userinfo", "/nowhere", "/signin/x"])
        {
            using var response = await http.GetAsync(new Uri(path, UriKind.Relative));
            Assert.Equal((path, "max-age=63072000; includeSubDomains"), (path, response.Headers.TryGetValues("Strict-Transport-Security", out var values) ? values.Single() : null));
        }

        var metadata = JsonNode.Parse(await http.GetStringAsync(new Uri("/.well-known/openid-configuration", UriKind.Relative)))!.AsObject();
        Assert.Equal(Issuer, (string?)metadata["issuer"]);
        Assert.All(metadata.Where(member => member.Key.EndsWith("_endpoint", StringComparison.Ordinal)), member => Assert.StartsWith(Issuer + "/", (string?)member.Value, StringComparison.Ordinal));

        // Every cookie of such an issuer is bound to this host and to https.
        using var begun = await http.GetAsync(new Uri(Journey.Ask(TestClient.Tally).Address, UriKind.Relative));
        Assert.Equal(HttpStatusCode.SeeOther, begun.StatusCode);
        var cookies = begun.Headers.GetValues("Set-Cookie").ToList();
        Assert.All(cookies, cookie =>
        {
            Assert.StartsWith("__Host-", cookie, StringComparison.Ordinal);
            Assert.Contains("; secure", cookie, StringComparison.OrdinalIgnoreCase);
            Assert.Contains("; httponly", cookie, StringComparison.OrdinalIgnoreCase);
        });
        Assert.Equal(Issuer, (string?)TokenAnswer.Claims((await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"))).AccessToken)["iss"]);
    }
}
