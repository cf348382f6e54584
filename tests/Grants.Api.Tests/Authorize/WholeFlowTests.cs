using System.Net;
using System.Text.Json.Nodes;
using Grants.Testing;

namespace Grants.Api.Tests.Authorize;

public sealed class WholeFlowTests(AppFixture app) : IClassFixture<AppFixture>
{
    [Fact, Trait("Rule", "TK-1"), Trait("Rule", "AT-1"), Trait("Rule", "ID-1"), Trait("Rule", "ID-2")]
    public async Task An_app_gets_a_persons_consent_and_tokens_that_say_so()
    {
        var (tokens, visitor, asked, _) = await app.ConnectAsync(TestClient.Tally, optional: "payments");

        Assert.True(tokens.Ok, tokens.Json.ToJsonString());
        Assert.Equal("openid profile email balances payments offline_access", tokens.Scope);
        var access = TokenAnswer.Claims(tokens.AccessToken);
        Assert.Equal("at+jwt", (string?)TokenAnswer.HeaderOf(tokens.AccessToken)["typ"]);
        Assert.Equal("tally", (string?)access["client_id"]);
        Assert.StartsWith("sub_", (string?)access["sub"]);
        var id = TokenAnswer.Claims(tokens.IdToken);
        Assert.Equal(asked.Nonce, (string?)id["nonce"]);
        Assert.Equal("tally", (string?)id["aud"]);

        using var http = app.NewClient();
        var info = JsonNode.Parse(await (await http.UserInfoAsync(tokens.AccessToken)).Content.ReadAsStringAsync())!;
        Assert.Equal("Sam Field", (string?)info["name"]);

        var renewed = await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken);
        Assert.True(renewed.Ok, renewed.Json.ToJsonString());

        await app.CatchUpAsync();
        var apps = await visitor.GetAsync("/account/apps");
        Assert.Contains("Tally Budget", apps.Body, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.OK, apps.Status);
    }
}
