using System.Text.Json.Nodes;
using Grants.Api.Http;
using Grants.Api.Tests.Http;
using Grants.Api.Tests.Token;
using Grants.Domain.Protocol;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;

namespace Grants.Api.Tests.Pairwise;

/// <summary>The document at a <c>sector_identifier_uri</c>: asked for when a client is declared, and it must own to all of its redirect URIs.</summary>
public sealed class SectorDocumentTests(KeySiteApp app) : IClassFixture<KeySiteApp>
{
    private const string First = "https://first.example/cb";
    private const string Second = "https://second.example/cb";
    private const string Third = "https://third.example/cb";

    private KeySite Site => app.Site;

    [Fact, Trait("Rule", "PW-1")]
    public async Task Apps_of_several_hosts_are_one_sector_when_its_document_lists_them()
    {
        Site.Says(new JsonArray(First, "https://elsewhere.example/cb", Second, Third).ToJsonString(), "application/json");
        var (one, other) = (Id(), Id());
        await DeclareAsync(one, First, Second);
        await DeclareAsync(other, Third);
        await app.DeclareClientAsync(Client(Id(), null, First)); // by its own host

        var subs = new List<string>();
        using var http = app.NewClient();
        foreach (var client in (TestClient[])[new(one, null, First, "openid"), new(one, null, Second, "openid"), new(other, null, Third, "openid")])
        {
            var asked = Journey.Ask(client);
            subs.Add((string)TokenAnswer.Claims((await http.RedeemAsync(asked, (await app.NewVisitor().AllowAsync(asked)).Answer["code"])).IdToken)["sub"]!);
        }

        Assert.Matches("^sub_p[0-9a-f]{32}$", Assert.Single(subs.Distinct()));
    }

    [Fact, Trait("Rule", "PW-1")]
    public async Task The_document_is_read_when_the_client_changes_and_not_at_each_start()
    {
        Site.Says(new JsonArray(First, Second).ToJsonString(), "application/json; charset=utf-8");
        var id = Id();
        var asked = Site.Asked;
        await DeclareAsync(id, First);
        Assert.Equal(asked + 1, Site.Asked);
        await DeclareAsync(id, First);
        Assert.Equal(asked + 1, Site.Asked);
        await DeclareAsync(id, First, Second);
        Assert.Equal(asked + 2, Site.Asked);

        Site.Says("", status: 503);
        await DeclareAsync(id, First, Second); // its site being down stops no server
        await DeclareAsync(id, First);
        Assert.Equal(asked + 2, Site.Asked);
        await RefusedAsync(id, First, Third);
        Assert.Equal(asked + 3, Site.Asked);
        Assert.Equal([First], (await app.Services.GetRequiredService<Lookups>().ClientAsync(new ClientId(id), default))!.Metadata.RedirectUris);
    }

    public static TheoryData<string, string, string, int> Documents => new()
    {
        { "other hosts alone", new JsonArray("https://other.example/cb").ToJsonString(), "application/json", 200 },
        { "one of two", new JsonArray(First).ToJsonString(), "application/json", 200 },
        { "another path", new JsonArray(First, Second + "/").ToJsonString(), "application/json", 200 },
        { "capitals", new JsonArray(First, Second.ToUpperInvariant()).ToJsonString(), "application/json", 200 },
        { "an empty list", "[]", "application/json", 200 },
        { "an object", new JsonObject { ["redirect_uris"] = new JsonArray(First, Second) }.ToJsonString(), "application/json", 200 },
        { "a list in a list", new JsonArray(new JsonArray(First, Second)).ToJsonString(), "application/json", 200 },
        { "numbers", $"[1,\"{First}\",\"{Second}\"]", "application/json", 200 },
        { "null", "null", "application/json", 200 },
        { "nothing", "", "application/json", 200 },
        { "half of it", $"[\"{First}\",\"{Second}\"", "application/json", 200 },
        { "a page", new JsonArray(First, Second).ToJsonString(), "text/html", 200 },
        { "an error", new JsonArray(First, Second).ToJsonString(), "application/json", 404 },
        { "too much", "[" + string.Concat(Enumerable.Repeat($"\"{First}\",", 4000)) + $"\"{Second}\"]", "application/json", 200 },
    };

    [Theory, Trait("Rule", "PW-1"), Trait("Attack", "P1")]
    [MemberData(nameof(Documents), DisableDiscoveryEnumeration = true)]
    public async Task A_document_that_does_not_own_to_the_client_refuses_it(string what, string body, string type, int status)
    {
        Site.Says(body, type, status: status);
        var asked = Site.Asked;
        var message = await RefusedAsync(Id(), First, Second);
        Assert.True(message.Contains("sector_identifier_uri: ", StringComparison.Ordinal), $"{what}: {message}");
        Assert.Equal(asked + 1, Site.Asked);
    }

    [Fact, Trait("Rule", "PW-1"), Trait("Attack", "P1")]
    public async Task A_document_behind_a_redirect_or_inside_the_network_is_not_read()
    {
        app.NotAllowed.Says(new JsonArray(First, Second).ToJsonString(), "application/json");
        Site.Answer = http =>
        {
            http.Response.Redirect(app.NotAllowed.Origin + "/uris.json");
            return Task.CompletedTask;
        };
        var messages = new List<string> { await RefusedAsync(Id(), First, Second) };
        foreach (var address in (string[])[app.NotAllowed.Origin + "/uris.json", "https://localhost/uris.json", "https://169.254.169.254/uris.json", "https://[::ffff:10.0.0.1]/uris.json"])
            messages.Add(await RefusedAsync(Id(), Client("", address, First, Second)));
        Assert.Equal(0, app.NotAllowed.Asked);
        Assert.Single(messages.Select(message => message[message.IndexOf(':', StringComparison.Ordinal)..]).Distinct()); // and it isn't told what was found there
    }

    [Fact, Trait("Rule", "PW-1")]
    public async Task Several_hosts_without_a_document_are_no_sector()
    {
        var asked = Site.Asked;
        Assert.Contains("pairwise needs a sector_identifier_uri", await RefusedAsync(Id(), Client("", null, First, Second)), StringComparison.Ordinal);
        Assert.Equal(asked, Site.Asked);
    }

    [Fact, Trait("Rule", "PW-1")]
    public async Task A_public_client_that_names_a_sector_must_be_listed_too()
    {
        Site.Says(new JsonArray(First).ToJsonString(), "application/json");
        var client = Client(Id(), Site.Origin + "/uris.json", First);
        client.Remove("subject_type");
        await app.DeclareClientAsync((JsonObject)client.DeepClone());
        client["redirect_uris"]!.AsArray().Add(Second);
        await RefusedAsync((string)client["client_id"]!, client);
    }

    private Task DeclareAsync(string id, params string[] redirects) => app.DeclareClientAsync(Client(id, Site.Origin + "/uris.json", redirects));

    private Task<string> RefusedAsync(string id, params string[] redirects) => RefusedAsync(id, Client(id, Site.Origin + "/uris.json", redirects));

    private async Task<string> RefusedAsync(string id, JsonObject client)
    {
        client["client_id"] = id;
        var message = "";
        await app.AppendsNothingAsync(async () => message = (await Assert.ThrowsAsync<SettingsException>(() => app.DeclareClientAsync(client))).Message);
        Assert.StartsWith($"Client {id}: ", message, StringComparison.Ordinal);
        return message;
    }

    private static JsonObject Client(string id, string? sector, params string[] redirects)
    {
        var client = new JsonObject
        {
            ["client_id"] = id,
            ["client_name"] = "Sector",
            ["redirect_uris"] = new JsonArray([.. redirects.Select(uri => JsonValue.Create(uri))]),
            ["token_endpoint_auth_method"] = "none",
            ["scope"] = "openid",
            ["subject_type"] = "pairwise",
            ["grants_checked"] = true,
        };
        if (sector is not null) client["sector_identifier_uri"] = sector;
        return client;
    }

    private static string Id() => "sector-" + Journey.Random(6);
}
