using System.Text.Json.Nodes;
using Grants.Api.Tests.Http;
using Grants.Testing;

namespace Grants.Api.Tests.Authorize;

[Collection(FrontDoor.Name)]
public sealed class DeclaredRedirectTests(AppFixture app)
{
    [Theory, Trait("Attack", "R3")]
    [InlineData("web", "javascript:alert(1)")]
    [InlineData("web", "data:text/html,hello")]
    [InlineData("web", "file:///etc/passwd")]
    [InlineData("web", "vbscript:x")]
    [InlineData("web", "https://c.example/cb#part")]
    [InlineData("web", "https://*.example/cb")]
    [InlineData("web", "https://c.example/*")]
    [InlineData("web", "http://c.example/cb")]
    [InlineData("web", "http://localhost.evil.example/cb")]
    [InlineData("web", "https://user@c.example/cb")]
    [InlineData("web", "https://c.example/a/../cb")]
    [InlineData("web", "https://c.example\\cb")]
    [InlineData("web", "com.example.app:/cb")]
    [InlineData("web", "/cb")]
    [InlineData("web", "")]
    [InlineData("native", "myapp:/cb")]
    [InlineData("native", "javascript:alert(1)")]
    [InlineData("native", "data:text/html,hello")]
    [InlineData("native", "http://192.168.0.1/cb")]
    [InlineData("native", "blob:https://c.example/1")]
    public async Task A_dangerous_redirect_address_can_not_be_declared(string type, string address)
    {
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var member in (string[])["redirect_uris", "post_logout_redirect_uris"])
            {
                var client = new JsonObject { ["client_id"] = "dangerous", ["client_name"] = "Dangerous", ["redirect_uris"] = new JsonArray("https://c.example/fine"), ["token_endpoint_auth_method"] = "none", ["application_type"] = type, ["scope"] = "openid" };
                client[member] = new JsonArray(address);
                var refused = await Assert.ThrowsAsync<SettingsException>(() => app.DeclareClientAsync(client));
                Assert.Contains("dangerous", refused.Message, StringComparison.Ordinal);
            }
        });
    }
}
