using System.Net;
using System.Text.Json.Nodes;
using Grants.Api.Tests.Http;
using Grants.Testing;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Grants.Api.Tests.Introspection;

/// <summary>RFC 9701: introspection answers that the caller can show to others.</summary>
public sealed class SignedIntrospectionTests(AppFixture app) : IClassFixture<AppFixture>
{
    private const string Type = "application/token-introspection+jwt";

    [Fact, Trait("Rule", "IN-3"), Trait("Rule", "FA-4"), Trait("Rule", "G-5"), Trait("Law", "L4")]
    public async Task Who_asks_for_a_JWT_gets_what_JSON_would_say_signed_for_that_caller_alone()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var caller in (TestClient[])[TestClient.Tally, TestClient.Bank])
            {
                var plain = await http.IntrospectAsync(caller, tokens.AccessToken);
                var answer = await AskAsync(http, caller, tokens.AccessToken, Type);
                Assert.Equal((HttpStatusCode.OK, Type, "no-store"), (answer.StatusCode, answer.Content.Headers.ContentType?.ToString(), answer.Headers.CacheControl?.ToString()));
                var jwt = await answer.Content.ReadAsStringAsync();
                await VerifiesAsync(jwt, caller, "RS256");
                var claims = TokenAnswer.Claims(jwt);
                // No sub and no exp beside the answer: nothing could take it for an access token (RFC 9701 §8.1).
                Assert.Equal(["aud", "iat", "iss", "token_introspection"], claims.Select(claim => claim.Key).Order(StringComparer.Ordinal));
                Assert.Equal((TestConfiguration.Issuer, caller.Id), ((string?)claims["iss"], (string?)claims["aud"]));
                Assert.InRange((long)claims["iat"]!, app.Clock.GetUtcNow().AddMinutes(-1).ToUnixTimeSeconds(), app.Clock.GetUtcNow().ToUnixTimeSeconds());
                Assert.True((bool)plain.Json["active"]!);
                Assert.True(JsonNode.DeepEquals(plain.Json, claims["token_introspection"]), claims.ToJsonString());
            }
        });
    }

    [Fact, Trait("Rule", "IN-3"), Trait("Rule", "IN-2"), Trait("Attack", "T16")]
    public async Task Of_what_is_inactive_or_not_for_the_caller_it_says_that_alone()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.BrowserApp);
        foreach (var (caller, token) in ((TestClient, string)[])[(TestClient.Bank, "nonsense"), (TestClient.Poster, tokens.AccessToken), (TestClient.Bank, tokens.RefreshToken), (TestClient.Bank, tokens.IdToken)])
        {
            var jwt = await (await AskAsync(http, caller, token, Type)).Content.ReadAsStringAsync();
            await VerifiesAsync(jwt, caller, "RS256");
            Assert.Equal("""{"active":false}""", TokenAnswer.Claims(jwt)["token_introspection"]!.ToJsonString());
        }
    }

    [Fact, Trait("Rule", "IN-3"), Trait("Rule", "MD-2"), Trait("Attack", "P9")]
    public async Task Every_algorithm_that_is_named_works_and_no_other_can_be_declared_nor_any_encryption()
    {
        using var http = app.NewClient();
        var metadata = JsonNode.Parse((await app.NewVisitor().GetAsync("/.well-known/openid-configuration")).Body)!.AsObject();
        var named = metadata["introspection_signing_alg_values_supported"]!.AsArray().Select(value => (string)value!).ToList();
        Assert.Contains("RS256", named);
        Assert.DoesNotContain(metadata, member => member.Key.StartsWith("introspection_encryption", StringComparison.Ordinal));
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        foreach (var algorithm in named)
        {
            var caller = new TestClient($"reader-{algorithm}", Witness.Saw("client secret", Journey.Random()), "", "");
            await app.DeclareClientAsync(Reader(caller, ("introspection_signed_response_alg", algorithm)));
            var jwt = await (await AskAsync(http, caller, tokens.AccessToken, Type)).Content.ReadAsStringAsync();
            await VerifiesAsync(jwt, caller, algorithm);
            Assert.True((bool)TokenAnswer.Claims(jwt)["token_introspection"]!["active"]!);
        }

        foreach (var (member, value) in ((string, string)[])[("introspection_signed_response_alg", "none"), ("introspection_signed_response_alg", "HS256"), ("introspection_signed_response_alg", "ES512"), ("introspection_encrypted_response_alg", "RSA-OAEP-256"), ("introspection_encrypted_response_enc", "A256GCM")])
            await Assert.ThrowsAsync<SettingsException>(() => app.DeclareClientAsync(Reader(new TestClient("unsupported", Journey.Random(), "", ""), (member, value))));
    }

    [Theory, Trait("Rule", "IN-3")]
    [InlineData(null, false)]
    [InlineData("application/json", false)]
    [InlineData("*/*", false)]
    [InlineData("application/*", false)]
    [InlineData("application/jwt", false)]
    [InlineData("nonsense", false)]
    [InlineData("application/token-introspection+jwt", true)]
    [InlineData("Application/Token-Introspection+JWT", true)]
    [InlineData("application/json;q=0.5, application/token-introspection+jwt", true)]
    [InlineData("application/json, application/token-introspection+jwt", true)]
    [InlineData("application/token-introspection+jwt, */*;q=0.1", true)]
    [InlineData("application/token-introspection+jwt;q=0.5, application/json", false)]
    [InlineData("application/token-introspection+jwt;q=0", false)]
    public async Task The_caller_says_by_Accept_which_it_wants(string? accept, bool jwt)
    {
        using var http = app.NewClient();
        var answer = await AskAsync(http, TestClient.Bank, "nonsense", accept);
        Assert.Equal((HttpStatusCode.OK, jwt ? Type : "application/json"), (answer.StatusCode, answer.Content.Headers.ContentType?.MediaType));
    }

    [Fact, Trait("Rule", "IN-3"), Trait("Rule", "IN-1"), Trait("Rule", "G-4")]
    public async Task Errors_are_JSON_whatever_the_caller_wants()
    {
        using var http = app.NewClient();
        foreach (var (caller, token, status, error) in ((TestClient, string?, HttpStatusCode, string)[])
            [(TestClient.Bank with { Secret = "wrong" }, "nonsense", HttpStatusCode.Unauthorized, "invalid_client"), (TestClient.Bank, null, HttpStatusCode.BadRequest, "invalid_request")])
        {
            var answer = await TokenAnswer.ReadAsync(await AskAsync(http, caller, token, Type));
            Assert.Equal((status, error, "application/json"), (answer.Response.StatusCode, answer.Error, answer.Response.Content.Headers.ContentType?.MediaType));
        }
    }

    [Fact, Trait("Rule", "IN-3"), Trait("Attack", "T7")]
    public async Task The_answer_is_good_for_nothing_else()
    {
        using var http = app.NewClient();
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        var jwt = await (await AskAsync(http, TestClient.Tally, tokens.AccessToken, Type)).Content.ReadAsStringAsync();
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(jwt)).StatusCode);
        await http.AssertInactiveAsync(TestClient.Tally, jwt);
        var asked = Journey.Ask(TestClient.Tally, ("id_token_hint", jwt));
        (await visitor.GetAsync(asked.Address)).TellsTheApp("invalid_request", asked);
        Assert.Equal("invalid_client", (await http.PostAsync("/token", jwt, ("grant_type", "client_credentials"))).Error);
    }

    private static JsonObject Reader(TestClient client, params (string Name, string Value)[] more)
    {
        var declared = new JsonObject { ["client_id"] = client.Id, ["client_secret"] = client.Secret, ["client_name"] = "Reader", ["grant_types"] = new JsonArray(), ["grants_resources"] = new JsonArray(TestConfiguration.Bank) };
        foreach (var (name, value) in more) declared[name] = value;
        return declared;
    }

    private static async Task<HttpResponseMessage> AskAsync(HttpClient http, TestClient caller, string? token, string? accept)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/introspect") { Content = new FormUrlEncodedContent(token is null ? [] : [KeyValuePair.Create("token", token)]) };
        if (caller == TestClient.Poster) request.Content = new FormUrlEncodedContent([new("token", token!), new("client_id", caller.Id), new("client_secret", caller.Secret!)]);
        else request.Headers.Authorization = Journey.Basic(caller.Id, caller.Secret!);
        if (accept is not null) request.Headers.TryAddWithoutValidation("Accept", accept);
        return await http.SendAsync(request);
    }

    /// <summary>As a library does it that knows the published keys.</summary>
    private async Task VerifiesAsync(string jwt, TestClient caller, string algorithm)
    {
        var keys = new JsonWebKeySet((await app.NewVisitor().GetAsync("/jwks")).Body);
        var result = await new JsonWebTokenHandler().ValidateTokenAsync(jwt, new TokenValidationParameters
        {
            ValidTypes = ["token-introspection+jwt"],
            ValidAlgorithms = [algorithm],
            ValidIssuer = TestConfiguration.Issuer,
            ValidAudience = caller.Id,
            IssuerSigningKeys = keys.GetSigningKeys(),
            RequireExpirationTime = false,
            ValidateLifetime = false,
        });
        Assert.True(result.IsValid, result.Exception?.Message);
    }
}
