using System.Buffers.Text;
using System.ComponentModel;
using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Grants.Testing;

namespace Grants.Api.Tests.Libraries;

/// <summary>openid-client and oauth4webapi as they come, in Node.js. Their flows are in the folder <c>node</c>; the test is the person.</summary>
[Collection(StockClients.Name)]
public sealed class NodeClientTests(StockServer server)
{
    private static readonly string Folder = Path.Combine(SourceTree.Root.FullName, "tests", "Grants.Api.Tests", "Libraries", "node");

    [Theory, Trait("Library", "openid-client"), Trait("Library", "oauth4webapi")]
    [InlineData("openid-client")]
    [InlineData("oauth4webapi")]
    [Trait("Rule", "MD-1"), Trait("Rule", "AZ-7"), Trait("Rule", "ID-1"), Trait("Rule", "UI-1"), Trait("Rule", "TK-6"), Trait("Rule", "IN-2"), Trait("Rule", "RV-2"), Trait("Rule", "LO-1")]
    public Task A_web_app_signs_a_person_in_renews_revokes_and_signs_out(string library) => PlayAsync(library, "web", StockServer.Web);

    [Theory, Trait("Library", "openid-client"), Trait("Library", "oauth4webapi")]
    [InlineData("openid-client")]
    [InlineData("oauth4webapi")]
    public Task A_refusal_reaches_the_app_as_access_denied(string library) => PlayAsync(library, "refused", StockServer.Native, allow: false);

    [Theory, Trait("Library", "openid-client"), Trait("Library", "oauth4webapi")]
    [InlineData("openid-client")]
    [InlineData("oauth4webapi")]
    [Trait("Rule", "PAR-1"), Trait("Rule", "PAR-8"), Trait("Rule", "DP-3"), Trait("Rule", "DP-5"), Trait("Rule", "DP-6"), Trait("Rule", "DP-7")]
    public Task A_pushed_request_binds_code_and_tokens_to_a_key(string library) => PlayAsync(library, "bound", StockServer.Bound);

    [Theory, Trait("Library", "openid-client"), Trait("Library", "oauth4webapi")]
    [InlineData("openid-client")]
    [InlineData("oauth4webapi")]
    [Trait("Rule", "CA-5"), Trait("Rule", "JAR-1"), Trait("Rule", "JAR-2"), Trait("Rule", "PAR-1"), Trait("Rule", "AZ-21")]
    public Task A_client_signs_its_request_and_its_assertions_and_gets_a_signed_answer(string library) => PlayAsync(library, "signed", StockServer.Signer);

    [Theory, Trait("Library", "openid-client"), Trait("Library", "oauth4webapi")]
    [InlineData("openid-client")]
    [InlineData("oauth4webapi")]
    [Trait("Rule", "TK-7"), Trait("Rule", "CA-5"), Trait("Rule", "IN-1"), Trait("Rule", "RV-1")]
    public Task A_machine_gets_a_token_by_assertion_asks_about_it_and_gives_it_up(string library) => PlayAsync(library, "machine", StockServer.Signer);

    /// <summary>Plays one flow of a library's script: a line of JSON is what it says, and a line is what it hears.</summary>
    private async Task PlayAsync(string library, string flow, TestClient client, bool allow = true)
    {
        if (!File.Exists(Path.Combine(Folder, "node_modules", library, "package.json")))
            throw new FileNotFoundException($"{library} is not installed. In {Folder}: npm ci. eng/test.sh does it.");
        var person = server.NewVisitor();
        using var node = Start(library);
        var errors = node.StandardError.ReadToEndAsync();
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        try
        {
            await node.StandardInput.WriteLineAsync(new JsonObject
            {
                ["issuer"] = server.Issuer,
                ["flow"] = flow,
                ["client_id"] = client.Id,
                ["client_secret"] = client.Secret,
                ["redirect_uri"] = client.RedirectUri,
                ["signed_out"] = StockServer.SignedOut,
                ["scope"] = client.Scope,
                ["key"] = PrivateJwk(StockServer.Key),
            }.ToJsonString());
            var done = false;
            while (await node.StandardOutput.ReadLineAsync(patience.Token) is { } line)
            {
                var said = JsonNode.Parse(line)!;
                done |= (string?)said["done"] == flow;
                foreach (var secret in said["saw"]?.AsArray() ?? []) Witness.Saw("seen by a library", (string)secret!);
                if ((string?)said["visit"] is { } address) await node.StandardInput.WriteLineAsync(JsonValue.Create(await StockServer.AnswerAsync(person, address, allow)).ToJsonString());
            }

            await node.WaitForExitAsync(patience.Token);
            Assert.True(node.ExitCode == 0 && done, await errors);
        }
        finally
        {
            if (!node.HasExited) node.Kill();
        }
    }

    private static Process Start(string library)
    {
        try
        {
            return Process.Start(new ProcessStartInfo("node", [library + ".mjs"])
            {
                WorkingDirectory = Folder,
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
        }
        catch (Win32Exception)
        {
            throw new FileNotFoundException("Node.js is missing: version 20 or newer.");
        }
    }

    private static JsonObject PrivateJwk(AssertionKey key)
    {
        var jwk = key.PublicJwk();
        jwk.Remove("use"); // Web Crypto holds it against a key that is to sign
        jwk["d"] = Base64Url.EncodeToString(((ECDsa)key.Private).ExportParameters(includePrivateParameters: true).D);
        return jwk;
    }
}
