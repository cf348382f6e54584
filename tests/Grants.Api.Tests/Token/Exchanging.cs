using System.Text.Json.Nodes;
using Grants.Api.Tests.Http;
using Grants.Testing;

namespace Grants.Api.Tests.Token;

/// <summary>Services that exchange tokens, and an issuer whose word counts.</summary>
internal static class Exchanging
{
    public const string Exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    public const string Bearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    public const string AccessToken = "urn:ietf:params:oauth:token-type:access_token";
    public const string IdToken = "urn:ietf:params:oauth:token-type:id_token";
    public const string Jwt = "urn:ietf:params:oauth:token-type:jwt";
    public const string Ledger = "https://ledger.example";
    public const string Elsewhere = "https://elsewhere.example";

    private static readonly string Secret = Witness.Saw("client secret", Journey.Random());

    /// <summary>What the bank's tokens are shown to: acts under its own name.</summary>
    public static readonly TestClient Service = new("service", Secret, "", "");

    /// <summary>May stand in unnamed, for Tally's tokens and for its own, as often as it likes.</summary>
    public static readonly TestClient Proxy = new("proxy", Secret, "", "");

    /// <summary>Behind the ledger: gets what the service made, and makes more of it.</summary>
    public static readonly TestClient Keeper = new("keeper", Secret, "", "");

    /// <summary>Has the right, but nothing is meant for it.</summary>
    public static readonly TestClient Onlooker = new("onlooker", Secret, "", "");

    /// <summary>An app that exchanges its own id_tokens and tokens, and whose tokens the service alone may act with.</summary>
    public static readonly TestClient Portal = new("portal", Secret, "https://portal.example/cb", "openid profile balances offline_access");

    /// <summary>An app that shows the other issuer's word.</summary>
    public static readonly TestClient Partner = new("partner", Secret, "https://partner.example/cb", "openid balances transactions offline_access");

    public static readonly AssertionKey Key = new("elsewhere");

    private static JsonObject Rule(string[] from, string[] audience, string scope, bool impersonation = false) => new()
    {
        ["from"] = new JsonArray([.. from.Select(name => JsonValue.Create(name))]),
        ["audience"] = new JsonArray([.. audience.Select(name => JsonValue.Create(name))]),
        ["scope"] = scope,
        ["impersonation"] = impersonation,
    };

    private static JsonObject ServiceOf(TestClient client, string[] resources, params JsonObject[] rules) => new()
    {
        ["client_id"] = client.Id,
        ["client_secret"] = client.Secret,
        ["client_name"] = client.Id,
        ["grant_types"] = new JsonArray(Exchange, "client_credentials"),
        ["scope"] = "balances",
        ["grants_resources"] = new JsonArray([.. resources.Select(uri => JsonValue.Create(uri))]),
        ["grants_token_exchange"] = new JsonArray(rules),
    };

    private static JsonObject AppOf(TestClient client, string grantType) => new()
    {
        ["client_id"] = client.Id,
        ["client_secret"] = client.Secret,
        ["client_name"] = client.Id,
        ["redirect_uris"] = new JsonArray(client.RedirectUri),
        ["grant_types"] = new JsonArray("authorization_code", "refresh_token", "client_credentials", grantType),
        ["scope"] = client.Scope,
    };

    public static JsonObject Issuer(string issuer, AssertionKey key, string client, params (string Name, JsonNode? Value)[] more)
    {
        var declared = new JsonObject
        {
            ["issuer"] = issuer,
            ["jwks"] = AssertionKey.SetOf(key),
            ["algs"] = new JsonArray(key.Algorithm),
            ["clients"] = new JsonArray(client),
            ["scope"] = "openid balances offline_access",
            ["subjects"] = new JsonObject { ["ext-sam"] = TestConfiguration.Sam },
        };
        foreach (var (name, value) in more)
        {
            if (value is null) declared.Remove(name);
            else declared[name] = value;
        }

        return declared;
    }

    /// <summary>Appends the differences alone, so that several tests of one server may call it.</summary>
    public static Task DeclareExchangesAsync(this GrantsApp app)
    {
        var portal = AppOf(Portal, Exchange);
        portal["grants_may_act"] = "service";
        portal["grants_token_exchange"] = new JsonArray(Rule(["portal"], [TestConfiguration.Bank], "balances", impersonation: true));
        return app.DeclareAsync(new JsonObject
        {
            ["resources"] = new JsonArray(new JsonObject { ["resource"] = Ledger, ["name"] = "Ledger", ["scopes"] = new JsonArray("balances", "transactions") }),
            ["clients"] = new JsonArray(
                ServiceOf(Service, [TestConfiguration.Bank], Rule(["tally", "portal", "pocket-browser"], [Ledger, TestConfiguration.Bank, TestConfiguration.Issuer], "openid profile balances transactions payments")),
                ServiceOf(Proxy, [TestConfiguration.Bank], Rule(["tally", "portal", "proxy", "service"], [TestConfiguration.Bank, TestConfiguration.Issuer], "openid balances", impersonation: true)),
                ServiceOf(Keeper, [Ledger], Rule(["service"], [TestConfiguration.Bank, Ledger], "balances")),
                ServiceOf(Onlooker, [], Rule(["tally"], [Ledger], "balances", impersonation: true)),
                portal, AppOf(Partner, Bearer)),
            ["trusted_issuers"] = new JsonArray(Issuer(Elsewhere, Key, Partner.Id, ("username_claim", "preferred_username"))),
        });
    }

    /// <summary>A service's token for itself: who it is when it acts.</summary>
    public static async Task<string> OwnTokenAsync(this HttpClient http, TestClient service) => (await http.TokenAsync(service, ("grant_type", "client_credentials"))).AccessToken;

    /// <summary>RFC 8693 §2.1. Null takes a field away; <c>resource</c> and <c>audience</c> may stand several times.</summary>
    public static async Task<TokenAnswer> ExchangeAsync(this HttpClient http, TestClient client, string subjectToken, params (string Name, string? Value)[] more)
    {
        List<(string Name, string? Value)> fields = [("grant_type", Exchange), ("subject_token", subjectToken), ("subject_token_type", AccessToken)];
        fields.RemoveAll(field => more.Any(other => other.Name == field.Name));
        using var request = new HttpRequestMessage(HttpMethod.Post, "/token") { Headers = { Authorization = client.Secret is null ? null : Journey.Basic(client.Id, client.Secret) } };
        if (client.Secret is null) fields.Add(("client_id", client.Id));
        request.Content = new FormUrlEncodedContent([.. fields.Concat(more).Where(field => field.Value is not null).Select(field => KeyValuePair.Create(field.Name, field.Value!))]);
        return await TokenAnswer.ReadAsync(await http.SendAsync(request));
    }

    /// <summary>The same under the service's own name.</summary>
    public static async Task<TokenAnswer> DelegateAsync(this HttpClient http, TestClient service, string subjectToken, params (string Name, string? Value)[] more) =>
        await http.ExchangeAsync(service, subjectToken, [("actor_token", await http.OwnTokenAsync(service)), ("actor_token_type", AccessToken), .. more]);

    public static Task<TokenAnswer> ShowAsync(this HttpClient http, TestClient client, string assertion, string? scope = null) =>
        http.TokenAsync(client, ("grant_type", Bearer), ("assertion", assertion), ("scope", scope));

    /// <summary>An assertion of the issuer elsewhere about Sam, as it should be.</summary>
    public static string About(DateTimeOffset now, params (string Name, JsonNode? Value)[] change) => Assertion.By(Key, ClaimsAbout(now, change));

    public static JsonObject ClaimsAbout(DateTimeOffset now, params (string Name, JsonNode? Value)[] change) => Assertion.Claims(Elsewhere, now, [("sub", "ext-sam"), .. change]);

    public static async Task<TokenAnswer> WorkingExchangeAsync(GrantsApp app)
    {
        await app.DeclareExchangesAsync();
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        return await http.DelegateAsync(Service, tokens.AccessToken);
    }

    public static async Task<TokenAnswer> WorkingAssertionAsync(GrantsApp app)
    {
        await app.DeclareExchangesAsync();
        await app.ConnectAsync(Partner);
        using var http = app.NewClient();
        return await http.ShowAsync(Partner, About(app.Clock.GetUtcNow()));
    }
}
