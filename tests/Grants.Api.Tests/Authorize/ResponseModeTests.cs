using System.Net;
using System.Text.Json.Nodes;
using Grants.Api.Tests.Http;
using Grants.Domain.Clients;
using Grants.Testing;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Grants.Api.Tests.Authorize;

/// <summary>The ways in which an answer travels, signed ones among them (JARM).</summary>
[Collection(FrontDoor.Name)]
public sealed class ResponseModeTests(AppFixture app)
{
    private const string Callback = "https://modes.example/cb?kept=1";
    private static readonly string[] All = ["query", "form_post", "fragment", "query.jwt", "form_post.jwt", "fragment.jwt", "jwt"];

    private async Task<TestClient> ClientAsync(string id, params (string Name, JsonNode Value)[] more)
    {
        var declared = new JsonObject { ["client_id"] = id, ["client_secret"] = TestConfiguration.TallySecret, ["client_name"] = "Modes", ["redirect_uris"] = new JsonArray(Callback), ["scope"] = "openid balances", ["grants_checked"] = true };
        foreach (var (name, value) in more) declared[name] = value;
        await app.DeclareClientAsync(declared);
        return new TestClient(id, TestConfiguration.TallySecret, Callback, "openid balances");
    }

    private static JsonArray AllModes => [.. All.Select(mode => JsonValue.Create(mode))];

    private Task<TestClient> WithAllAsync() => ClientAsync("modes", ("response_modes", AllModes));

    public static TheoryData<string> Modes => [.. All];

    public static TheoryData<string> SignedModes => [.. All.Where(mode => mode.EndsWith("jwt", StringComparison.Ordinal))];

    [Theory, Trait("Rule", "AZ-4"), Trait("Rule", "AZ-21"), Trait("Attack", "R12"), Trait("Rule", "G-5")]
    [MemberData(nameof(Modes))]
    public async Task A_code_and_an_error_arrive_where_and_how_the_mode_says(string mode)
    {
        var client = await WithAllAsync();
        var asked = Journey.Ask(client, ("response_mode", mode));
        var success = await ParametersAsync(await app.NewVisitor().AllowAsync(asked), mode, client.Id);
        Assert.Equal(["code", "iss", "state"], success.Keys.Order(StringComparer.Ordinal));
        Assert.Equal((asked.State, TestConfiguration.Issuer), (success["state"], success["iss"]));
        using var http = app.NewClient();
        Assert.True((await http.RedeemAsync(asked, Witness.Saw("code", success["code"]))).Ok);

        var wrong = Journey.Ask(client, ("response_mode", mode), ("scope", "bad"));
        var error = await ParametersAsync(await app.NewVisitor().GetAsync(wrong.Address), mode, client.Id);
        Assert.Equal(["error", "error_description", "iss", "state"], error.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(("invalid_scope", wrong.State, TestConfiguration.Issuer), (error["error"], error["state"], error["iss"]));

        var silent = Journey.Ask(client, ("response_mode", mode), ("prompt", "none"));
        Assert.Equal("login_required", (await ParametersAsync(await app.NewVisitor().GetAsync(silent.Address), mode, client.Id))["error"]);
    }

    [Theory, Trait("Rule", "AZ-21"), Trait("Rule", "AZ-6")]
    [MemberData(nameof(SignedModes))]
    public async Task Odd_text_in_a_state_comes_back_from_the_signed_response_unchanged(string mode)
    {
        var client = await WithAllAsync();
        var state = Witness.Saw("state", "ä &=+%2B\"'<>#?/\\\u202E\n{}" + Journey.Random(500));
        var page = await app.NewVisitor().GetAsync(Journey.Ask(client, ("response_mode", mode), ("state", state), ("scope", "bad")).Address);
        Assert.Equal(state, (await ParametersAsync(page, mode, client.Id))["state"]);
    }

    [Theory, Trait("Rule", "AZ-21"), Trait("Attack", "T8")]
    [InlineData(null, "RS256")]
    [InlineData("RS256", "RS256")]
    [InlineData("ES256", "ES256")]
    public async Task The_registered_algorithm_signs_and_RS256_without_one(string? registered, string used)
    {
        var id = "signed-" + (registered ?? "default");
        var client = registered is null ? await ClientAsync(id, ("response_modes", new JsonArray("jwt"))) : await ClientAsync(id, ("authorization_signed_response_alg", registered));
        var page = await app.NewVisitor().GetAsync(Journey.Ask(client, ("response_mode", "jwt"), ("prompt", "none")).Address);
        Assert.Equal(used, (string?)TokenAnswer.HeaderOf(Carried(page, "jwt")["response"])["alg"]);
        await ParametersAsync(page, "jwt", client.Id);
    }

    [Fact, Trait("Rule", "AZ-4"), Trait("Rule", "AZ-21"), Trait("Attack", "R13")]
    public async Task Who_registers_an_algorithm_for_signed_responses_gets_no_others_unless_it_lists_them()
    {
        var client = await ClientAsync("signed-only", ("authorization_signed_response_alg", "ES256"));
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var mode in (string?[])[null, "query", "form_post", "fragment", "fragment.jwt"])
                (await app.NewVisitor().GetAsync(Journey.Ask(client, ("response_mode", mode)).Address)).StaysHere();
        });
        foreach (var mode in (string[])["jwt", "query.jwt", "form_post.jwt"])
            Assert.True((await ParametersAsync(await app.NewVisitor().AllowAsync(Journey.Ask(client, ("response_mode", mode))), mode, client.Id)).ContainsKey("code"));
    }

    [Theory, Trait("Rule", "AZ-21")]
    [MemberData(nameof(SignedModes))]
    public async Task A_refusal_by_the_person_is_signed_too(string mode)
    {
        var client = await WithAllAsync();
        var visitor = app.NewVisitor();
        var page = await visitor.SignInAsync(await visitor.GetAsync(Journey.Ask(client, ("response_mode", mode), ("prompt", "consent")).Address), TestConfiguration.Lin, TestConfiguration.LinPassword);
        Assert.Equal("access_denied", (await ParametersAsync(await visitor.SubmitAsync(page, ("decision", "deny")), mode, client.Id))["error"]);
    }

    [Theory, Trait("Rule", "AZ-21"), Trait("Attack", "R4")]
    [InlineData("query", "?kept=1&amp;error=invalid_scope")]
    [InlineData("form_post", "?kept=1&amp;error=invalid_scope")]
    [InlineData("fragment", "?kept=1#error=invalid_scope")]
    [InlineData("jwt", "?kept=1&amp;response=ey")]
    [InlineData("form_post.jwt", "?kept=1&amp;response=ey")]
    [InlineData("fragment.jwt", "?kept=1#response=ey")]
    public async Task The_way_on_to_an_app_nobody_has_checked_is_encoded_as_it_asked(string mode, string link)
    {
        var client = await ClientAsync("unchecked-modes", ("grants_checked", false), ("response_modes", AllModes));
        var page = await app.NewVisitor().GetAsync(Journey.Ask(client, ("response_mode", mode), ("scope", "bad")).Address);
        page.StaysHere();
        Assert.Contains("href=\"https://modes.example/cb" + link, page.Body, StringComparison.Ordinal);
    }

    [Fact, Trait("Rule", "AZ-22"), Trait("Rule", "AZ-4")]
    public async Task The_harmless_fragment_ends_queries_alone()
    {
        var client = await ClientAsync("ended-modes", ("grants_append_fragment", true), ("response_modes", AllModes));
        foreach (var mode in (string[])["query", "query.jwt", "jwt"]) Assert.EndsWith("#_", (await ErrorAsync(mode)).Location, StringComparison.Ordinal);
        foreach (var mode in (string[])["fragment", "fragment.jwt"]) Assert.Equal(1, (await ErrorAsync(mode)).Location!.Count(c => c == '#'));

        Task<Page> ErrorAsync(string mode) => app.NewVisitor().GetAsync(Journey.Ask(client, ("response_mode", mode), ("scope", "bad")).Address);
    }

    [Fact, Trait("Rule", "AZ-21"), Trait("Rule", "PAR-5")]
    public async Task A_pushed_request_is_answered_in_the_mode_that_was_pushed()
    {
        var client = await WithAllAsync();
        using var http = app.NewClient();
        var asked = Journey.Ask(client, ("response_mode", "form_post.jwt"));
        var page = await app.NewVisitor().AllowAsync(asked.By(await http.PushAsync(asked)));
        Assert.Equal(asked.State, (await ParametersAsync(page, "form_post.jwt", client.Id))["state"]);
    }

    [Fact, Trait("Rule", "AZ-21"), Trait("Attack", "T8")]
    public async Task A_signed_response_passes_for_no_other_token_of_ours()
    {
        var client = await ClientAsync("signed-for-more", ("authorization_signed_response_alg", "ES256"));
        var response = Carried(await app.NewVisitor().AllowAsync(Journey.Ask(client, ("response_mode", "jwt"))), "jwt")["response"];
        using var http = app.NewClient();
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(response)).StatusCode);
        var hinted = Journey.Ask(TestClient.Tally, ("id_token_hint", response));
        (await app.NewVisitor().GetAsync(hinted.Address)).TellsTheApp("invalid_request", hinted);
    }

    [Fact, Trait("Rule", "AZ-21"), Trait("Rule", "MD-2")]
    public async Task Discovery_names_what_signs_and_nothing_about_encryption()
    {
        var metadata = JsonNode.Parse((await app.NewVisitor().GetAsync("/.well-known/openid-configuration")).Body)!.AsObject();
        Assert.Equal(SigningAlgorithm.Supported, metadata["authorization_signing_alg_values_supported"]!.AsArray().Select(value => (string)value!));
        Assert.Equal(All.Order(StringComparer.Ordinal), metadata["response_modes_supported"]!.AsArray().Select(value => (string)value!).Order(StringComparer.Ordinal));
        Assert.DoesNotContain(metadata, member => member.Key.StartsWith("authorization_encryption", StringComparison.Ordinal));
    }

    /// <summary>The parameters of an answer, from the one place where they belong; those of a signed one once its signature and its frame have been checked.</summary>
    private async Task<Dictionary<string, string>> ParametersAsync(Page page, string mode, string client)
    {
        var carried = Carried(page, mode);
        if (!mode.EndsWith("jwt", StringComparison.Ordinal)) return carried;
        Assert.Equal(["response"], carried.Keys); // iss, too, is inside alone

        var jwks = new JsonWebKeySet((await app.NewVisitor().GetAsync("/jwks")).Body);
        var result = await new JsonWebTokenHandler().ValidateTokenAsync(carried["response"], new TokenValidationParameters
        {
            IssuerSigningKeys = jwks.Keys,
            TryAllIssuerSigningKeys = false,
            ValidIssuer = TestConfiguration.Issuer,
            ValidAudience = client,
            ValidateLifetime = false,
        });
        Assert.True(result.IsValid, result.Exception?.Message);
        var claims = TokenAnswer.Claims(carried["response"]);
        Assert.Equal(client, (string?)claims["aud"]);
        var now = app.Clock.GetUtcNow().ToUnixTimeSeconds();
        Assert.InRange((long)claims["exp"]!, now + 1, now + 600);
        claims.Remove("aud");
        claims.Remove("exp");
        return claims.ToDictionary(claim => claim.Key, claim => (string)claim.Value!);
    }

    /// <summary>What the browser brings to the app.</summary>
    private static Dictionary<string, string> Carried(Page page, string mode)
    {
        Assert.Contains("no-store", page.Header("Cache-Control"), StringComparison.Ordinal);
        if (mode.StartsWith("form_post", StringComparison.Ordinal))
        {
            Assert.Equal((HttpStatusCode.OK, Callback), (page.Status, page.FormAction));
            return page.HiddenFields.ToDictionary();
        }

        Assert.Equal(HttpStatusCode.SeeOther, page.Status);
        Assert.StartsWith(Callback, page.Location, StringComparison.Ordinal);
        var address = new Uri(page.Location!);
        if (mode.StartsWith("fragment", StringComparison.Ordinal))
        {
            Assert.Equal("?kept=1", address.Query);
            return Parse(address.Fragment[1..]);
        }

        var carried = Parse(address.Query);
        Assert.True(carried.Remove("kept") && address.Fragment.Length == 0);
        return carried;
    }

    private static Dictionary<string, string> Parse(string text) => QueryHelpers.ParseQuery(text).ToDictionary(pair => pair.Key, pair => pair.Value.Single()!);
}
