using System.Text.Json.Nodes;
using Grants.Api.Tests.Http;
using Grants.Testing;

namespace Grants.Api.Tests.Resources;

/// <summary>
/// A server that knows, besides the sample's bank: a twin, which understands one of the bank's scopes, too; a ledger, whose tokens are
/// signed with RS256; and a vault, whose tokens are opaque.
/// </summary>
public sealed class ServicesFixture : GrantsApp, IAsyncLifetime
{
    public const string Bank = TestConfiguration.Bank;
    public const string Twin = "https://twin.example";
    public const string Ledger = "https://ledger.example/v1";
    public const string Vault = "https://vault.example/";

    private static readonly string Secret = Witness.Saw("client secret", Journey.Random());

    /// <summary>May ask for everything, for itself too.</summary>
    public static readonly TestClient Shop = new("shop", Secret, "https://shop.example/cb", "openid profile balances twin ledger vault offline_access");

    /// <summary>The same, but may have tokens for the bank and the vault alone.</summary>
    public static readonly TestClient Fenced = Shop with { Id = "fenced", RedirectUri = "https://fenced.example/cb", Scope = "openid balances vault offline_access" };

    public static readonly TestClient TwinApi = new("twin-api", Secret, "", "");
    public static readonly TestClient LedgerApi = new("ledger-api", Secret, "", "");
    public static readonly TestClient VaultApi = new("vault-api", Secret, "", "");

    public async ValueTask InitializeAsync()
    {
        await StartAsync();
        await this.DeclareAsync(new JsonObject
        {
            ["scopes"] = new JsonArray(Scope("twin"), Scope("ledger"), Scope("vault")),
            ["resources"] = new JsonArray(
                new JsonObject { ["resource"] = Twin, ["name"] = "Twin", ["scopes"] = new JsonArray("twin", "balances") },
                new JsonObject { ["resource"] = Ledger, ["name"] = "Ledger", ["scopes"] = new JsonArray("ledger"), ["signing_alg"] = "RS256" },
                new JsonObject { ["resource"] = Vault, ["name"] = "Vault", ["scopes"] = new JsonArray("vault"), ["token_format"] = "opaque" }),
            ["clients"] = new JsonArray(App(Shop), App(Fenced, Bank, Vault), Api(TwinApi, Twin), Api(LedgerApi, Ledger), Api(VaultApi, Vault)),
        });
    }

    public static JsonObject App(TestClient client, params string[] allowed)
    {
        var app = new JsonObject
        {
            ["client_id"] = client.Id,
            ["client_secret"] = client.Secret,
            ["client_name"] = client.Id,
            ["redirect_uris"] = new JsonArray(client.RedirectUri),
            ["grant_types"] = new JsonArray("authorization_code", "refresh_token", "client_credentials"),
            ["scope"] = client.Scope,
            ["grants_checked"] = true,
        };
        if (allowed.Length > 0) app["grants_allowed_resources"] = new JsonArray([.. allowed.Select(uri => JsonValue.Create(uri))]);
        return app;
    }

    private static JsonObject Scope(string name) => new() { ["name"] = name, ["label"] = $"See the {name}", ["kind"] = "see" };

    private static JsonObject Api(TestClient client, string resource) => new()
    {
        ["client_id"] = client.Id,
        ["client_secret"] = client.Secret,
        ["client_name"] = client.Id,
        ["grant_types"] = new JsonArray(),
        ["grants_resources"] = new JsonArray(resource),
    };

    /// <summary>A code for these resources, of a person who allows whatever is asked.</summary>
    public async Task<(Asked Asked, string Code, Visitor Visitor)> CodeForAsync(TestClient client, string username = TestConfiguration.Sam, string? scope = null, params string[] resources)
    {
        var visitor = NewVisitor();
        var asked = Journey.Ask(client, ("scope", scope ?? client.Scope)).For(resources);
        var page = await visitor.AllowAsync(asked, username);
        Assert.True(page.Location is not null, $"{page.Status} {page.Heading}");
        return (asked, page.Answer["code"], visitor);
    }
}

/// <summary>Short ways to ask for tokens and to look at them.</summary>
internal static class ForResources
{
    public static Task<TokenAnswer> RedeemAsync(this HttpClient http, Asked asked, string code, params string[] resources) => http.TokenAsync(asked.Client,
        [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", asked.Client.RedirectUri), ("code_verifier", asked.Verifier), .. Journey.Resources(resources)]);

    public static Task<TokenAnswer> RefreshAsync(this HttpClient http, TestClient client, string token, string? scope, params string[] resources) => http.TokenAsync(client,
        [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope), .. Journey.Resources(resources)]);

    public static Task<TokenAnswer> ForItselfAsync(this HttpClient http, TestClient client, string? scope, params string[] resources) => http.TokenAsync(client,
        [("grant_type", "client_credentials"), ("scope", scope), .. Journey.Resources(resources)]);

    /// <summary>Whom a JWT is for, one after the other.</summary>
    public static string Audience(this TokenAnswer tokens)
    {
        Assert.True(tokens.Ok, tokens.Json.ToJsonString());
        return Audience(TokenAnswer.Claims(tokens.AccessToken)["aud"]);
    }

    public static string Audience(JsonNode? aud) => aud is JsonArray several ? string.Join(' ', several.Select(one => (string?)one)) : (string)aud!;

    /// <summary>What the introspection endpoint tells of an active token.</summary>
    public static async Task<JsonObject> AssertActiveAsync(this HttpClient http, TestClient caller, string token)
    {
        var answer = await http.IntrospectAsync(caller, token);
        Assert.True((bool?)answer.Json["active"], $"{answer.Response.StatusCode} {answer.Json.ToJsonString()}");
        return answer.Json;
    }

    public static void Refuses(this TokenAnswer answer, string error)
    {
        Assert.Equal((System.Net.HttpStatusCode.BadRequest, error), (answer.Response.StatusCode, answer.Error));
        Assert.False(answer.Json.ContainsKey("access_token"));
    }
}
