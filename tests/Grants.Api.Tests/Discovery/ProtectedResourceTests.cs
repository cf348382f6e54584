using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Grants.Api.Discovery;
using Grants.Api.Http;
using Grants.Api.Tests.Http;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;

namespace Grants.Api.Tests.Discovery;

/// <summary>RFC 9728: the documents about the server's own APIs, and the way from a refused call to them.</summary>
[Collection(FrontDoor.Name)]
public sealed partial class ProtectedResourceTests(AppFixture app)
{
    private const string Inserted = "/.well-known/oauth-protected-resource";

    [Theory, Trait("Rule", "PR-1")]
    [InlineData("", "Example Bank")]
    [InlineData("/userinfo", "Example Bank: who has signed in")]
    public async Task Each_API_says_what_it_is_and_what_it_takes(string path, string name)
    {
        var page = await app.NewVisitor().GetAsync(Inserted + path);
        Assert.Equal(HttpStatusCode.OK, page.Status);
        Assert.StartsWith("application/json", page.Header("Content-Type"), StringComparison.Ordinal);
        Assert.Equal("public, max-age=300", page.Header("Cache-Control"));
        var metadata = JsonNode.Parse(page.Body)!.AsObject();
        Assert.Equal((TestConfiguration.Issuer + path, name, false), ((string?)metadata["resource"], (string?)metadata["resource_name"], (bool)metadata["dpop_bound_access_tokens_required"]!));
        Assert.Equal([TestConfiguration.Issuer], List(metadata, "authorization_servers"));
        Assert.Equal(["header"], List(metadata, "bearer_methods_supported"));
        Assert.Equal(["ES256", "PS256", "RS256"], List(metadata, "dpop_signing_alg_values_supported").Order(StringComparer.Ordinal));
        Assert.Equal(["authorization_servers", "bearer_methods_supported", "dpop_bound_access_tokens_required", "dpop_signing_alg_values_supported", "resource", "resource_name", "scopes_supported"], metadata.Select(member => member.Key).Order(StringComparer.Ordinal));
    }

    [Fact, Trait("Rule", "PR-1"), Trait("Rule", "G-8"), Trait("Attack", "S8")]
    public async Task From_a_refused_call_a_client_finds_all_that_it_needs()
    {
        using var http = app.NewClient();
        var refused = await http.GetAsync(new Uri("/userinfo", UriKind.Relative));
        Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        var address = MetadataAddress().Match(refused.Headers.WwwAuthenticate.ToString()).Groups[1].Value;
        var resource = JsonNode.Parse((await app.NewVisitor().GetAsync(address)).Body)!.AsObject();
        // What the document is about is what was called, and what the document's name was put into (RFC 9728 §3.3).
        Assert.Equal(refused.RequestMessage!.RequestUri!.ToString(), (string?)resource["resource"]);
        Assert.Equal((string?)resource["resource"], address.Replace(Inserted, "", StringComparison.Ordinal));

        var server = List(resource, "authorization_servers").Single();
        var metadata = JsonNode.Parse((await app.NewVisitor().GetAsync(server + "/.well-known/oauth-authorization-server")).Body)!.AsObject();
        Assert.Equal(server, (string?)metadata["issuer"]);
        Assert.Subset(List(metadata, "scopes_supported").ToHashSet(), List(resource, "scopes_supported").ToHashSet());

        var scope = string.Join(' ', List(resource, "scopes_supported"));
        var asked = Journey.Ask(TestClient.Tally, ("scope", scope));
        var tokens = await http.RedeemAsync(asked, (await app.NewVisitor().AllowAsync(asked)).Answer["code"]);
        var told = await http.UserInfoAsync(tokens.AccessToken);
        Assert.Equal(HttpStatusCode.OK, told.StatusCode);
        Assert.Equal(["email", "email_verified", "family_name", "given_name", "name", "sub"], JsonNode.Parse(await told.Content.ReadAsStringAsync())!.AsObject().Select(member => member.Key).Order(StringComparer.Ordinal));
    }

    [Fact, Trait("Rule", "PR-1")]
    public async Task Every_refusal_of_userinfo_names_its_document_once()
    {
        using var http = app.NewClient();
        using var key = new DpopKey();
        using var bound = app.NewClient(key);
        var machine = await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"));
        foreach (var refused in (HttpResponseMessage[])[await http.UserInfoAsync("nonsense"), await http.UserInfoAsync(machine.AccessToken), await bound.UserInfoAsync("nonsense")])
        {
            Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
            Assert.Equal($"{TestConfiguration.Issuer}{Inserted}/userinfo", Assert.Single(MetadataAddress().Matches(refused.Headers.WwwAuthenticate.ToString())).Groups[1].Value);
        }
    }

    [Fact, Trait("Rule", "PR-1"), Trait("Rule", "MD-2")]
    public async Task The_server_names_the_resources_that_are_declared()
    {
        var catalogue = await app.Services.GetRequiredService<Lookups>().CatalogueAsync(default);
        var documents = app.Services.GetRequiredService<PublicDocuments>();
        Assert.Contains(TestConfiguration.Bank, catalogue.Resources.Select(resource => resource.Resource));
        Assert.Equal(catalogue.Resources.Select(resource => resource.Resource), List(Read(documents.MetadataOf(catalogue)), "protected_resources"));
        Assert.False(Read(documents.MetadataOf(catalogue with { Resources = [] })).ContainsKey("protected_resources"));
        Assert.Equal(["openid"], List(Read(documents.ResourceMetadataOf(catalogue with { Scopes = [] }, "")), "scopes_supported"));

        static JsonObject Read(byte[] document) => JsonNode.Parse(Encoding.UTF8.GetString(document))!.AsObject();
    }

    [Fact, Trait("Rule", "PR-1"), Trait("Rule", "G-6")]
    public async Task Pages_of_every_origin_may_read_the_documents()
    {
        foreach (var path in (string[])["", "/userinfo"])
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, Inserted + path);
            request.Headers.Add("Origin", "https://anywhere.example");
            Assert.Equal("*", (await app.NewVisitor().SendOnceAsync(request)).Header("Access-Control-Allow-Origin"));
        }
    }

    private static List<string> List(JsonObject metadata, string member) => [.. metadata[member]!.AsArray().Select(value => (string)value!)];

    [GeneratedRegex("resource_metadata=\"([^\"]*)\"")]
    private static partial Regex MetadataAddress();
}
