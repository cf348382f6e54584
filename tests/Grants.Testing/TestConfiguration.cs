using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace Grants.Testing;

/// <summary>The declared configuration of the tests: the samples' one, with passwords and secrets made for this run.</summary>
public static class TestConfiguration
{
    public const string Issuer = "http://localhost:5100";
    public const string Bank = "http://localhost:5300";
    public static readonly string TallySecret = Witness.Saw("client secret", Secret());
    public static readonly string ReportSecret = Witness.Saw("client secret", Secret());
    public static readonly string BankSecret = Witness.Saw("client secret", Secret());
    public static readonly string PostSecret = Witness.Saw("client secret", Secret());
    public static readonly string OddSecret = Witness.Saw("client secret", "p@ss w%rd+:é" + Secret());
    public static readonly string KioskSecret = Witness.Saw("client secret", Secret());
    public static readonly string SamPassword = Witness.Saw("password", Secret());
    public static readonly string MayaPassword = Witness.Saw("password", Secret());
    public static readonly string LinPassword = Witness.Saw("password", Secret());
    public const string Sam = "sam@demo.example";
    public const string Maya = "maya@demo.example";
    public const string Lin = "lin@demo.example";

    /// <summary>The folder that holds the key-encryption key of every host in this process: hosts share databases.</summary>
    public static readonly string DataFolder = MakeFolder();

    /// <summary>The configuration file, written once.</summary>
    public static readonly string File = Write();

    private static string MakeFolder()
    {
        var folder = Directory.CreateTempSubdirectory("grants-test-data-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(folder, recursive: true);
        return folder;
    }

    private static string Secret() => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(24));

    private static string Write()
    {
        foreach (var personal in (string[])[Sam, Maya, Lin, "Sam Field", "Maya Okafor", "Lin Tanaka"]) Witness.Saw("personal data", personal);
        var json = JsonNode.Parse(System.IO.File.ReadAllText(Sample()))!.AsObject();
        var clients = json["clients"]!.AsArray();
        Of(clients, "client_id", "tally")["client_secret"] = TallySecret;
        Of(clients, "client_id", "night-report")["client_secret"] = ReportSecret;
        Of(clients, "client_id", "demo-bank")["client_secret"] = BankSecret;

        // Clients that only tests need: the other secret method, odd characters in both parts, an unchecked one, short lives, a rival.
        clients.Add(new JsonObject { ["client_id"] = "poster", ["client_secret"] = PostSecret, ["client_name"] = "Poster", ["redirect_uris"] = new JsonArray("https://poster.example/cb?kept=1"), ["grant_types"] = new JsonArray("authorization_code", "refresh_token"), ["token_endpoint_auth_method"] = "client_secret_post", ["scope"] = "openid profile email balances offline_access", ["id_token_signed_response_alg"] = "RS256", ["grants_checked"] = true, ["grants_append_fragment"] = true });
        clients.Add(new JsonObject { ["client_id"] = "odd:%+client", ["client_secret"] = OddSecret, ["client_name"] = "Odd", ["grant_types"] = new JsonArray("client_credentials"), ["scope"] = "balances" });
        clients.Add(new JsonObject { ["client_id"] = "query-only", ["client_name"] = "Query Only", ["redirect_uris"] = new JsonArray("https://c.example/cb", "https://c.example/other"), ["response_modes"] = new JsonArray("query"), ["token_endpoint_auth_method"] = "none", ["scope"] = "openid profile", ["id_token_signed_response_alg"] = "PS256" });
        clients.Add(new JsonObject { ["client_id"] = "kiosk", ["client_secret"] = KioskSecret, ["client_name"] = "Kiosk", ["grant_types"] = new JsonArray("urn:ietf:params:oauth:grant-type:device_code", "refresh_token"), ["scope"] = "openid profile balances payments offline_access", ["grants_optional_scopes"] = "payments", ["grants_checked"] = true });
        var people = json["people"]!.AsArray();
        Of(people, "username", Sam)["password"] = SamPassword;
        Of(people, "username", Maya)["password"] = MayaPassword;
        Of(people, "username", Lin)["password"] = LinPassword;
        Of(people, "username", "owner@demo.example")["password"] = Witness.Saw("password", Secret());
        var file = Path.Combine(DataFolder, "grants.json");
        System.IO.File.WriteAllText(file, json.ToJsonString());
        return file;
    }

    private static JsonObject Of(JsonArray list, string member, string value) => list.OfType<JsonObject>().Single(entry => (string?)entry[member] == value);

    private static string Sample()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var file = Path.Combine(folder.FullName, "samples", "grants.json");
            if (System.IO.File.Exists(file)) return file;
        }

        throw new FileNotFoundException("samples/grants.json is not above the tests.");
    }
}
