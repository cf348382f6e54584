using System.Text.Json.Nodes;
using Grants.Api.Authorize;
using Grants.Api.Tests.Http;
using Grants.Testing;

namespace Grants.Api.Tests.Authorize;

/// <summary>The <c>claims</c> request parameter, OpenID Connect Core §5.5.</summary>
public sealed class ClaimsParameterTests(AppFixture app) : IClassFixture<AppFixture>
{
    private static Asked Ask(string claims, params (string, string?)[] change) => Journey.Ask(TestClient.Tally, [("scope", "openid"), ("claims", claims), .. change]);

    [Fact, Trait("Rule", "AZ-15"), Trait("Rule", "ID-1")]
    public async Task Claims_asked_for_the_id_token_are_in_it_once_the_person_allowed_the_scopes_that_hold_them()
    {
        var (visitor, asked) = (app.NewVisitor(), Ask("""{"id_token":{"email":null,"name":{"essential":true},"sub":null,"auth_time":{"essential":true}}}""", ("prompt", "consent")));
        var page = await visitor.SignInAsync(await visitor.GetAsync(asked.Address), TestConfiguration.Lin, TestConfiguration.LinPassword);
        Assert.Contains("email address", page.Body, StringComparison.Ordinal);
        page = await visitor.SubmitAsync(page, ("decision", "allow"));

        using var http = app.NewClient();
        var tokens = await http.RedeemAsync(asked, page.Answer["code"]);
        Assert.Equal("email openid profile", string.Join(' ', tokens.Scope.Split(' ').Order()));
        var told = TokenAnswer.Claims(tokens.IdToken);
        Assert.Equal(("Lin Tanaka", TestConfiguration.Lin), ((string?)told["name"], (string?)told["email"]));
        Assert.False(told.ContainsKey("family_name") || told.ContainsKey("email_verified"), told.ToJsonString());
        Assert.True(told.ContainsKey("auth_time") && told.ContainsKey("at_hash"));
    }

    [Fact, Trait("Rule", "AZ-15"), Trait("Rule", "UI-2")]
    public async Task An_essential_claim_asked_of_userinfo_is_told_there_and_not_in_the_id_token()
    {
        var asked = Ask("""{"userinfo":{"name":{"essential":true}}}""");
        using var http = app.NewClient();
        var tokens = await http.RedeemAsync(asked, (await app.NewVisitor().AllowAsync(asked)).Answer["code"]);
        Assert.Equal("Sam Field", (string?)JsonNode.Parse(await (await http.UserInfoAsync(tokens.AccessToken)).Content.ReadAsStringAsync())!["name"]);
        Assert.False(TokenAnswer.Claims(tokens.IdToken).ContainsKey("name"));
    }

    [Theory, Trait("Rule", "AZ-15")]
    [InlineData("""{"userinfo":{"phone_number":{"essential":true}}}""")] // a scope that the app isn't registered for
    [InlineData("""{"id_token":{"made_up":{"essential":true},"https://x.example/y":null},"other":5}""")]
    [InlineData("{}")]
    public async Task Claims_that_nobody_can_tell_are_left_out_without_an_error(string claims)
    {
        var asked = Ask(claims);
        using var http = app.NewClient();
        Assert.Equal("openid", (await http.RedeemAsync(asked, (await app.NewVisitor().AllowAsync(asked, TestConfiguration.Maya)).Answer["code"])).Scope);
    }

    [Theory, Trait("Rule", "AZ-15")]
    [InlineData("claims")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("""{"id_token":1}""")]
    [InlineData("""{"userinfo":{"name":1}}""")]
    [InlineData("""{"userinfo":{"name":{"essential":"yes"}}}""")]
    [InlineData("""{"id_token":{"acr":{"values":"x"}}}""")]
    [InlineData("""{"id_token":{"name":null,"name":null}}""")]
    public async Task What_is_not_of_that_form_is_an_invalid_request(string claims)
    {
        var asked = Ask(claims, ("prompt", "none"));
        (await app.NewVisitor().GetAsync(asked.Address)).TellsTheApp("invalid_request", asked);
    }

    [Theory, Trait("Rule", "AZ-15"), Trait("Attack", "U9")]
    [InlineData("""{"id_token":{"acr":{"essential":true,"value":"urn:grants:acr:phishing-resistant"}}}""", false)]
    [InlineData("""{"id_token":{"acr":{"essential":true,"values":["a","b"]}}}""", false)]
    [InlineData("""{"id_token":{"acr":{"essential":true,"values":["a","urn:grants:acr:password"]}}}""", true)]
    [InlineData("""{"id_token":{"acr":{"values":["a"]}}}""", true)] // not essential
    [InlineData("""{"id_token":{"acr":{"essential":true}}}""", true)] // any will do
    public async Task An_essential_acr_that_can_not_be_reached_is_told_to_the_app_and_no_code_is_issued(string claims, bool reached)
    {
        var visitor = await app.SignedInAsync(TestConfiguration.Sam);
        foreach (var who in (Visitor[])[app.NewVisitor(), visitor])
        {
            var asked = Ask(claims);
            var page = await who.GetAsync(asked.Address);
            if (reached) Assert.True(page.IsAt("/signin") || page.IsAt("/consent/") || page.Answer.ContainsKey("code"), page.Location);
            else page.TellsTheApp("unmet_authentication_requirements", asked);
        }
    }

    [Fact, Trait("Rule", "AZ-15"), Trait("Rule", "AZ-13")]
    public async Task A_sub_that_is_asked_for_must_be_the_persons()
    {
        var (sam, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        var (lin, _, _, _) = await app.ConnectAsync(TestClient.Tally, TestConfiguration.Lin);
        string Sub(TokenAnswer tokens) => (string)TokenAnswer.Claims(tokens.IdToken)["sub"]!;
        Asked AskFor(string sub) => Ask($$$$"""{"id_token":{"sub":{"value":"{{{{sub}}}}"}}}""", ("prompt", "none"));

        Assert.Contains("code", (await visitor.GetAsync(AskFor(Sub(sam)).Address)).Answer);
        var asked = AskFor(Sub(lin));
        (await visitor.GetAsync(asked.Address)).TellsTheApp("login_required", asked);
        asked = AskFor("nobody");
        (await visitor.GetAsync(asked.Address)).TellsTheApp("login_required", asked);
        asked = Ask($$$$"""{"id_token":{"sub":{"value":"{{{{Sub(lin)}}}}"}}}""", ("id_token_hint", sam.IdToken));
        (await visitor.GetAsync(asked.Address)).TellsTheApp("login_required", asked);
    }

    [Fact, Trait("Rule", "AZ-15"), Trait("Rule", "TK-6")]
    public async Task A_renewed_id_token_does_not_carry_them_again()
    {
        var asked = Journey.Ask(TestClient.Tally, ("claims", """{"id_token":{"name":null}}"""));
        using var http = app.NewClient();
        var tokens = await http.RedeemAsync(asked, (await app.NewVisitor().AllowAsync(asked)).Answer["code"]);
        Assert.Equal("Sam Field", (string?)TokenAnswer.Claims(tokens.IdToken)["name"]);
        Assert.False(TokenAnswer.Claims((await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken)).IdToken).ContainsKey("name"));
    }

    [Fact, Trait("Rule", "AZ-15")]
    public void The_parameter_is_read_member_by_member()
    {
        var read = ClaimsParameter.Parse("""{"id_token":{"email":null,"x":null,"acr":{"essential":true,"value":"one","values":["two"]},"sub":{"value":"s"}},"userinfo":{"picture":{"essential":false},"sub":{"value":"t"}}}""")!;
        Assert.Equal(["email"], read.InIdToken);
        Assert.Equal(["picture"], read.InUserInfo);
        Assert.Equal(("s", "one two"), (read.Subject, string.Join(' ', read.RequiredAcr!)));
        Assert.Equal(["email", "profile"], read.Scopes.Order());
    }
}
