using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Grants.Testing;

namespace Grants.Browser.Tests;

/// <summary>The samples' configuration for this run: other ports, random passwords and secrets, somebody new for each story.</summary>
internal sealed class Sample
{
    public const string Sam = "sam@demo.example";

    /// <summary>Tally's second self, whose access tokens live for seconds.</summary>
    public const string BriefClient = "tally-brief";

    private readonly Dictionary<string, string> _passwords = [];
    private readonly Queue<string> _strangers = new();
    private readonly JsonObject _json;

    public Sample(Uri tally, Uri brief, Uri bank)
    {
        var text = File.ReadAllText(Path.Combine(ChildProgram.Root, "samples", "grants.json"))
            .Replace("http://localhost:5200", Origin(tally), StringComparison.Ordinal)
            .Replace("http://localhost:5300", Origin(bank), StringComparison.Ordinal);
        _json = JsonNode.Parse(text)!.AsObject();

        var clients = _json["clients"]!.AsArray();
        foreach (var client in clients.OfType<JsonObject>().Where(client => (string?)client["token_endpoint_auth_method"] != "none")) client["client_secret"] = Secret("client secret");
        TallySecret = (string)Client("tally")["client_secret"]!;
        var second = Client("tally").DeepClone().AsObject();
        (second["client_id"], second["client_name"], second["grants_access_token_lifetime"]) = (BriefClient, "Tally Brief", BriefLifetime);
        (second["client_uri"], second["redirect_uris"], second["post_logout_redirect_uris"]) =
            ($"{Origin(brief)}/", new JsonArray($"{Origin(brief)}/callback"), new JsonArray($"{Origin(brief)}/signed-out"));
        clients.Add(second);

        var people = _json["people"]!.AsArray();
        foreach (var first in "Ada Ben Cleo Dev Eve Fay Gus Hal Ida Jon Kim Leo Mia Ned Ola Pia Quin Rae Stu Tess".Split(' '))
        {
            var name = $"{first.ToLowerInvariant()}@story.example";
            people.Add(new JsonObject { ["username"] = name, ["claims"] = new JsonObject { ["name"] = $"{first} Storey", ["email"] = name, ["email_verified"] = true } });
            _strangers.Enqueue(name);
        }

        foreach (var person in people.OfType<JsonObject>())
        {
            var username = Witness.Saw("personal data", (string)person["username"]!);
            Witness.Saw("personal data", (string)person["claims"]!["name"]!);
            person["password"] = _passwords[username] = Secret("password");
        }
    }

    public string TallySecret { get; }

    /// <summary>Seconds that an access token of <see cref="BriefClient"/> lives.</summary>
    public const int BriefLifetime = 4;

    public string PasswordOf(string username) => _passwords[username];

    /// <summary>Somebody whom the server has not seen yet.</summary>
    public string NextStranger() => _strangers.Dequeue();

    /// <summary>Writes the file, for nobody else to read.</summary>
    public void Write(string file)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using var writer = new StreamWriter(file, options);
        writer.Write(_json.ToJsonString());
    }

    private JsonObject Client(string id) => _json["clients"]!.AsArray().OfType<JsonObject>().Single(client => (string?)client["client_id"] == id);

    private static string Origin(Uri address) => address.GetLeftPart(UriPartial.Authority);

    private static string Secret(string kind) => Witness.Saw(kind, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(24)));
}
