using System.Text.Json.Nodes;
using Grants.Testing;

namespace Grants.Api.Tests.Libraries;

/// <summary>The tests of clients that somebody else wrote: one after the other, against one started server.</summary>
[CollectionDefinition(Name)]
public sealed class StockClients : ICollectionFixture<StockServer>
{
    public const string Name = "Stock clients";
}

/// <summary>A started server, and the clients that the libraries are configured as.</summary>
public sealed class StockServer : IAsyncLifetime
{
    /// <summary>Where the app under test says it is. Nothing listens there: a person's browser hands over the address.</summary>
    public const string App = "http://localhost:5250";

    public const string SignedOut = App + "/signed-out";

    /// <summary>With a secret, as Basic credentials.</summary>
    public static readonly TestClient Web = new("stock-web", Witness.Saw("client secret", Journey.Random()), App + "/callback", "openid profile email balances offline_access");

    /// <summary>Without a secret, on a person's device.</summary>
    public static readonly TestClient Native = new("stock-native", null, "http://127.0.0.1/callback", "openid profile balances offline_access");

    /// <summary>Signs all that it sends with <see cref="Key"/>, and gets signed answers when it asks for them.</summary>
    public static readonly TestClient Signer = new("stock-signer", null, App + "/callback", "openid profile balances offline_access");

    /// <summary>Takes only tokens that are bound to a key.</summary>
    public static readonly TestClient Bound = new("stock-bound", Witness.Saw("client secret", Journey.Random()), App + "/callback", "openid profile balances offline_access");

    public static readonly AssertionKey Key = new("stock-key");

    private ServerProcess? _process;

    public string Issuer => Process.Issuer;

    private ServerProcess Process => _process ?? throw new InvalidOperationException("The server was not started.");

    public async ValueTask InitializeAsync() => _process = await ServerProcess.StartAsync(await GrantsApp.NewDatabaseAsync(), Write());

    public ValueTask DisposeAsync()
    {
        _process?.Dispose();
        return ValueTask.CompletedTask;
    }

    public HttpClient NewClient() => Process.NewClient();

    public Visitor NewVisitor() => Process.NewVisitor();

    /// <summary>What a person does where an app has sent them: signs in, and allows (Sam) or refuses (Maya). Gives the address that leads back to the app.</summary>
    public static async Task<string> AnswerAsync(Visitor person, string address, bool allow = true)
    {
        var username = allow ? TestConfiguration.Sam : TestConfiguration.Maya;
        var page = await person.GetAsync(address);
        if (page.Address.AbsolutePath.StartsWith("/signin", StringComparison.Ordinal)) page = await person.SignInAsync(page, username, Journey.PasswordOf(username));
        if (page.Address.AbsolutePath.StartsWith("/consent", StringComparison.Ordinal)) page = await person.SubmitAsync(page, ("decision", allow ? "allow" : "deny"));
        Assert.True(page.Location is not null, $"{page.Status} at {page.Address.AbsolutePath}: {page.Heading}");
        foreach (var name in (string[])["code", "response", "state"])
        {
            if (page.Answer.TryGetValue(name, out var value)) Witness.Saw(name, value);
        }

        return page.Location;
    }

    /// <summary>The tests' configuration, and these clients.</summary>
    private static string Write()
    {
        var json = JsonNode.Parse(File.ReadAllText(TestConfiguration.File))!.AsObject();
        var clients = json["clients"]!.AsArray();
        clients.Add(Client(Web, "client_secret_basic", "authorization_code", "refresh_token", "client_credentials"));
        clients.Add(Client(Native, "none", "authorization_code", "refresh_token"));
        clients.Add(Client(Signer, "private_key_jwt", "authorization_code", "refresh_token", "client_credentials"));
        clients.Add(Client(Bound, "client_secret_basic", "authorization_code", "refresh_token"));
        var file = Path.Combine(TestConfiguration.DataFolder, "stock-clients.json");
        File.WriteAllText(file, json.ToJsonString());
        return file;
    }

    private static JsonObject Client(TestClient client, string method, params string[] grantTypes)
    {
        var json = new JsonObject
        {
            ["client_id"] = client.Id,
            ["client_name"] = client.Id,
            ["redirect_uris"] = new JsonArray(client.RedirectUri),
            ["post_logout_redirect_uris"] = new JsonArray(SignedOut),
            ["grant_types"] = new JsonArray([.. grantTypes.Select(type => JsonValue.Create(type))]),
            ["token_endpoint_auth_method"] = method,
            ["scope"] = client.Scope,
        };
        if (client.Secret is not null) json["client_secret"] = client.Secret;
        if (client == Native) json["application_type"] = "native";
        if (client == Bound) json["dpop_bound_access_tokens"] = true;
        if (client != Signer) return json;
        json["jwks"] = AssertionKey.SetOf(Key);
        foreach (var algorithm in (string[])["token_endpoint_auth_signing_alg", "request_object_signing_alg", "authorization_signed_response_alg"]) json[algorithm] = Key.Algorithm;
        json["response_modes"] = new JsonArray("query", "form_post", "jwt", "query.jwt");
        return json;
    }
}
