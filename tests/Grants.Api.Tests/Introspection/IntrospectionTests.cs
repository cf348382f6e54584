using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Grants.Api.Http;
using Grants.Api.Introspection;
using Grants.Api.Keys;
using Grants.Api.Signing;
using Grants.Api.Tests.Http;
using Grants.Domain.AccessGrants;
using Grants.Domain.Protocol;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;

namespace Grants.Api.Tests.Introspection;

/// <summary>The introspection endpoint: what it tells, whom, and that everybody else gets one and the same answer.</summary>
public sealed class IntrospectionTests(AppFixture app) : IClassFixture<AppFixture>
{
    [Fact, Trait("Rule", "IN-2"), Trait("Rule", "SU-1"), Trait("Rule", "G-5")]
    public async Task An_access_token_is_told_to_its_client_and_to_its_resource_alike()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var claims = TokenAnswer.Claims(tokens.AccessToken);
        foreach (var caller in (TestClient[])[TestClient.Tally, TestClient.Bank])
        {
            var told = await ActiveAsync(http, caller, tokens.AccessToken);
            Assert.Equal(["acr", "active", "aud", "auth_time", "client_id", "exp", "iat", "iss", "jti", "scope", "sub", "token_type"], told.Select(member => member.Key).Order());
            Assert.Equal(("Bearer", "tally", TestConfiguration.Issuer), ((string?)told["token_type"], (string?)told["client_id"], (string?)told["iss"]));
            foreach (var same in (string[])["aud", "sub", "jti", "exp", "iat", "acr", "auth_time", "scope"]) Assert.True(JsonNode.DeepEquals(claims[same], told[same]), same);
            Assert.Equal(tokens.Scope, (string?)told["scope"]);
        }
    }

    [Fact, Trait("Rule", "IN-2")]
    public async Task A_machines_token_tells_of_no_person_and_no_sign_in()
    {
        using var http = app.NewClient();
        var machine = await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"), ("scope", "balances"));
        foreach (var caller in (TestClient[])[TestClient.Report, TestClient.Bank])
        {
            var told = await ActiveAsync(http, caller, machine.AccessToken);
            Assert.Equal(["active", "aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sub", "token_type"], told.Select(member => member.Key).Order());
            Assert.Equal(("night-report", "night-report", "balances"), ((string?)told["sub"], (string?)told["client_id"], (string?)told["scope"]));
            Assert.Equal([TestConfiguration.Bank], told["aud"]!.AsArray().Select(value => (string?)value));
        }
    }

    [Fact, Trait("Rule", "IN-2")]
    public async Task A_refresh_token_is_told_to_its_own_client_alone_and_only_the_newest_is_active()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var told = await ActiveAsync(http, TestClient.Tally, tokens.RefreshToken);
        Assert.Equal(["active", "client_id", "exp", "iat", "iss", "scope", "sub"], told.Select(member => member.Key).Order());
        Assert.Equal((string?)TokenAnswer.Claims(tokens.IdToken)["sub"], (string?)told["sub"]);
        Assert.Equal(tokens.Scope, (string?)told["scope"]);
        Assert.Equal(TimeSpan.FromDays(30), TimeSpan.FromSeconds((long)told["exp"]! - (long)told["iat"]!));
        await InactiveAsync(http, TestClient.Bank, tokens.RefreshToken);
        await InactiveAsync(http, TestClient.Poster, tokens.RefreshToken);

        var renewed = await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken);
        await InactiveAsync(http, TestClient.Tally, tokens.RefreshToken); // though the retry window is open
        await ActiveAsync(http, TestClient.Tally, renewed.RefreshToken);
        await ActiveAsync(http, TestClient.Bank, tokens.AccessToken); // a renewal ends no access token
    }

    [Fact, Trait("Rule", "IN-2"), Trait("Attack", "T6")]
    public async Task Scopes_that_were_taken_back_are_told_no_more()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Poster, TestConfiguration.Lin);
        await TakeBackAsync("balances", "email");
        foreach (var token in (string[])[tokens.AccessToken, tokens.RefreshToken])
            Assert.Equal(ScopeSet.Of(["openid", "profile", "offline_access"]), Scopes(await ActiveAsync(http, TestClient.Poster, token)));
        await TakeBackAsync("openid", "profile", "offline_access");
        Assert.False((await ActiveAsync(http, TestClient.Bank, tokens.AccessToken)).ContainsKey("scope"));

        static ScopeSet Scopes(JsonObject told) => ScopeSet.TryParse((string?)told["scope"], out var scopes) ? scopes : throw new FormatException();
        Task TakeBackAsync(params string[] scopes) => app.AppendAsync(new StreamEvent(tokens.Streams().Grant!.Value,
            new GrantEvent.Narrowed(Guid.CreateVersion7(app.Clock.GetUtcNow()), ScopeSet.Of(scopes), app.Clock.GetUtcNow())));
    }

    [Fact, Trait("Rule", "IN-2"), Trait("Attack", "T16"), Trait("Attack", "T7"), Trait("Attack", "T8")]
    public async Task Whatever_is_not_an_active_token_for_the_caller_gets_one_and_the_same_answer()
    {
        using var http = app.NewClient();
        var (tokens, _, _, code) = await app.ConnectAsync(TestClient.Tally);
        var (openid, _, _, _) = await app.ConnectAsync(TestClient.Poster, TestConfiguration.Maya);
        await app.DeclareAsync(new JsonObject
        {
            ["scopes"] = new JsonArray(new JsonObject { ["name"] = "cards", ["label"] = "See your cards", ["kind"] = "see" }),
            ["resources"] = new JsonArray(new JsonObject { ["resource"] = "https://cards.example", ["name"] = "Cards", ["scopes"] = new JsonArray("cards") }),
            ["clients"] = new JsonArray(new JsonObject { ["client_id"] = "cards", ["client_secret"] = Cards.Secret, ["client_name"] = "Cards", ["grant_types"] = new JsonArray(), ["grants_resources"] = new JsonArray("https://cards.example") }),
        });
        var parts = tokens.AccessToken.Split('.');
        foreach (var (what, caller, token) in (List<(string, TestClient, string)>)
        [
            ("garbage", TestClient.Tally, "nonsense"),
            ("a long text", TestClient.Tally, new string('a', 20_000)),
            ("three parts of nothing", TestClient.Tally, "a.b.c"),
            ("a code", TestClient.Tally, code),
            ("an id_token", TestClient.Tally, tokens.IdToken),
            ("a token of another client", TestClient.Poster, tokens.AccessToken),
            ("a token for another resource", Cards, tokens.AccessToken),
            ("a token for no resource of the caller", TestClient.Report, tokens.AccessToken),
            ("a foreign signature", TestClient.Bank, $"{parts[0]}.{parts[1]}.{openid.AccessToken.Split('.')[2]}"),
            ("no signature", TestClient.Bank, $"{parts[0]}.{parts[1]}."),
            ("a seal that was altered", TestClient.Tally, tokens.RefreshToken[..^1] + (tokens.RefreshToken[^1] == 'A' ? 'B' : 'A')),
        ])
            await InactiveAsync(http, caller, token, what);

        // Seen with the right eyes, both are active: what was told above was told for its reason alone.
        await ActiveAsync(http, TestClient.Bank, tokens.AccessToken);
        await ActiveAsync(http, TestClient.Tally, tokens.RefreshToken);
    }

    [Fact, Trait("Rule", "IN-2"), Trait("Attack", "C4")]
    public async Task A_token_ends_with_its_time_though_nobody_has_recorded_it()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        app.Clock.Advance(TimeSpan.FromSeconds((int)tokens.Json["expires_in"]! - 30)); // real time goes on, too
        await ActiveAsync(http, TestClient.Bank, tokens.AccessToken);
        app.Clock.Advance(TimeSpan.FromSeconds(30));
        await InactiveAsync(http, TestClient.Bank, tokens.AccessToken);
        await ActiveAsync(http, TestClient.Tally, tokens.RefreshToken);
        app.Clock.Advance(TimeSpan.FromDays(30));
        await InactiveAsync(http, TestClient.Tally, tokens.RefreshToken);
    }

    [Theory, Trait("Rule", "IN-1")]
    [InlineData("access_token")]
    [InlineData("refresh_token")]
    [InlineData("id_token")]
    [InlineData("unheard-of")]
    public async Task The_hint_is_only_a_hint(string hint)
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        foreach (var token in (string[])[tokens.AccessToken, tokens.RefreshToken])
            Assert.True((bool)(await http.IntrospectAsync(TestClient.Tally, token, hint)).Json["active"]!);
    }

    [Fact, Trait("Rule", "IN-1"), Trait("Attack", "T16")]
    public async Task Who_proves_nothing_is_told_nothing()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.BrowserApp);
        foreach (var token in (string[])[tokens.AccessToken, "nonsense"])
        {
            foreach (var caller in (TestClient[])
                [TestClient.BrowserApp, TestClient.Tally with { Secret = null }, TestClient.Poster with { Secret = null, Id = "poster" }, TestClient.Bank with { Secret = "wrong" }, new("nobody", "wrong", "", ""), new("nobody", null, "", "")])
            {
                var answer = await http.IntrospectAsync(caller, token);
                Assert.Equal((HttpStatusCode.Unauthorized, "invalid_client"), (answer.Response.StatusCode, answer.Error));
                Assert.Equal("The client could not be authenticated.", (string?)answer.Json["error_description"]);
                Assert.Equal(caller.Secret is null ? "" : "Basic realm=\"grants\"", answer.Response.Headers.WwwAuthenticate.ToString());
            }

            Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync(http, new FormUrlEncodedContent([new("token", token)]), null)).Response.StatusCode);
            Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync(http, new FormUrlEncodedContent([new("token", token)]), new("Bearer", tokens.AccessToken))).Response.StatusCode);
        }

        // Its token can be looked at by those whom it is for.
        await ActiveAsync(http, TestClient.Bank, tokens.AccessToken);
    }

    [Fact, Trait("Rule", "IN-1"), Trait("Rule", "G-2"), Trait("Rule", "G-3"), Trait("Attack", "T15")]
    public async Task The_form_has_the_rules_of_every_form()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var bank = Journey.Basic("demo-bank", TestConfiguration.BankSecret);
        KeyValuePair<string, string> token = new("token", tokens.AccessToken);
        foreach (var answer in (TokenAnswer[])
        [
            await SendAsync(http, new FormUrlEncodedContent([]), bank),
            await SendAsync(http, new FormUrlEncodedContent([new("token", "")]), bank),
            await SendAsync(http, new FormUrlEncodedContent([token, token]), bank),
            await SendAsync(http, new FormUrlEncodedContent([token, new("token_type_hint", "a"), new("token_type_hint", "b")]), bank),
            await SendAsync(http, new FormUrlEncodedContent([]), bank, $"/introspect?token={tokens.AccessToken}"),
            await SendAsync(http, new FormUrlEncodedContent([token]), null, $"/introspect?client_id=demo-bank&client_secret={TestConfiguration.BankSecret}"),
            await SendAsync(http, new StringContent($$"""{"token":"{{tokens.AccessToken}}"}""", Encoding.UTF8, "application/json"), bank),
        ])
        {
            Assert.Equal((HttpStatusCode.BadRequest, "invalid_request"), (answer.Response.StatusCode, answer.Error));
            Assert.Equal("no-store", answer.Response.Headers.CacheControl?.ToString());
        }

        Assert.True((bool)(await SendAsync(http, new FormUrlEncodedContent([token, new("unheard-of", "1")]), bank)).Json["active"]!);
    }

    [Fact, Trait("Law", "L4"), Trait("Rule", "IN-2")]
    public async Task Introspection_appends_nothing()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        await app.AppendsNothingAsync(async () =>
        {
            await ActiveAsync(http, TestClient.Bank, tokens.AccessToken);
            await ActiveAsync(http, TestClient.Tally, tokens.RefreshToken);
            await InactiveAsync(http, TestClient.Poster, tokens.AccessToken);
            await InactiveAsync(http, TestClient.Poster, tokens.RefreshToken);
            await InactiveAsync(http, TestClient.Tally, "nonsense");
            await http.IntrospectAsync(TestClient.Bank with { Secret = "wrong" }, tokens.AccessToken);
            await http.IntrospectAsync(TestClient.BrowserApp, tokens.RefreshToken);
        });
    }

    [Fact, Trait("Attack", "T16"), Trait("Law", "L12")]
    public async Task What_is_no_token_or_none_of_the_callers_business_costs_no_query()
    {
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var poster = (await app.Services.GetRequiredService<Lookups>().ClientAsync(new ClientId("poster"), default))!;

        // Without a log and without lookups: whoever asked one would fail.
        var answers = new IntrospectionAnswers(app.Services.GetRequiredService<TokenSigner>(), app.Services.GetRequiredService<SealedHandles>(), null!, null!, null!, null!, app.Services.GetRequiredService<PairwiseNames>(), app.Services.GetRequiredService<Settings>(), app.Clock);
        foreach (var token in (string[])["nonsense", tokens.IdToken, tokens.AccessToken, tokens.AccessToken[..^4], tokens.RefreshToken[..^4], tokens.RefreshToken + "x"]) Assert.Null(await answers.AnswerAsync(poster, token, default));
        await Assert.ThrowsAsync<NullReferenceException>(() => answers.AnswerAsync(poster, tokens.RefreshToken, default));
    }

    private static readonly TestClient Cards = new("cards", Witness.Saw("client secret", Journey.Random()), "", "");

    private static async Task<JsonObject> ActiveAsync(HttpClient http, TestClient caller, string token)
    {
        var answer = await http.IntrospectAsync(caller, token);
        Assert.Equal((HttpStatusCode.OK, "application/json"), (answer.Response.StatusCode, answer.Response.Content.Headers.ContentType?.MediaType));
        Assert.Equal("no-store", answer.Response.Headers.CacheControl?.ToString());
        Assert.True((bool)answer.Json["active"]!, answer.Json.ToJsonString());
        return answer.Json;
    }

    private static Task InactiveAsync(HttpClient http, TestClient caller, string token, string? what = null) => http.AssertInactiveAsync(caller, token, what);

    private static async Task<TokenAnswer> SendAsync(HttpClient http, HttpContent content, AuthenticationHeaderValue? authorization, string address = "/introspect")
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, address) { Content = content, Headers = { Authorization = authorization } };
        return await TokenAnswer.ReadAsync(await http.SendAsync(request));
    }
}

internal static class Inactive
{
    /// <summary>Exactly this body, whatever the reason.</summary>
    public static async Task AssertInactiveAsync(this HttpClient http, TestClient caller, string token, string? what = null)
    {
        var answer = await http.IntrospectAsync(caller, token);
        Assert.Equal((what, HttpStatusCode.OK, """{"active":false}"""), (what, answer.Response.StatusCode, await answer.Response.Content.ReadAsStringAsync()));
        Assert.Equal("application/json", answer.Response.Content.Headers.ContentType?.MediaType);
        Assert.Equal("no-store", answer.Response.Headers.CacheControl?.ToString());
    }
}
