using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Grants.Api.Tests.Libraries;
using Grants.Testing;
using Microsoft.AspNetCore.WebUtilities;

namespace Grants.Api.Tests.Samples;

/// <summary>What the samples need: the server, with the client and the issuer that they register, and the API; and the folder that their tool reads.</summary>
public sealed class SampleServers : IAsyncLifetime
{
    public const string Server = "http://localhost:5100";
    public const string Bank = "http://localhost:5300";

    private ServerProcess? _server, _bank;

    public ServerProcess TheServer => _server!;

    public ServerProcess TheBank => _bank!;

    /// <summary>As <c>.grants</c> beside a running server.</summary>
    private static string Data => Path.Combine(TestConfiguration.DataFolder, "samples-data");

    public async ValueTask InitializeAsync()
    {
        Directory.CreateDirectory(Path.Combine(Data, "clients"));
        foreach (var client in (TestClient[])[TestClient.Tally, TestClient.Report, TestClient.Bank])
            await File.WriteAllTextAsync(Path.Combine(Data, "clients", client.Id + ".secret"), client.Secret);
        await ToolAsync("node samples/tools/sign.mjs client", port: 0);
        var config = JsonNode.Parse(await File.ReadAllTextAsync(TestConfiguration.File))!;
        var registered = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(Data, "samples", "signed-ledger.json")))!;
        config["clients"]!.AsArray().Add(registered["clients"]![0]!.DeepClone());
        config["trusted_issuers"] = registered["trusted_issuers"]!.DeepClone();
        var file = Path.Combine(Data, "grants.json");
        await File.WriteAllTextAsync(file, config.ToJsonString());
        _server = await ServerProcess.StartAsync(await GrantsApp.NewDatabaseAsync(), file);
        _bank = await ServerProcess.StartBankAsync(_server.Issuer);
    }

    public ValueTask DisposeAsync()
    {
        _server?.Dispose();
        _bank?.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Runs a command as it stands in a sample, in the repository's folder. Gives what it prints.</summary>
    public static async Task<string> ToolAsync(string command, int port)
    {
        var words = HttpFile.Words(command);
        var start = new ProcessStartInfo(words[0], words.Skip(1)) { WorkingDirectory = SourceTree.Root.FullName, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["GRANTS_DATA"] = Data;
        start.Environment["GRANTS_PORT"] = $"{port}";
        using var tool = Process.Start(start)!;
        var errors = tool.StandardError.ReadToEndAsync();
        var printed = (await tool.StandardOutput.ReadToEndAsync()).Trim();
        await tool.WaitForExitAsync();
        Assert.True(tool.ExitCode == 0 && printed.Length > 0, $"{command}: {await errors}");
        return Witness.Saw("printed by the samples' tool", printed);
    }
}

/// <summary>Does with each samples/*.http what a person does with it.</summary>
public sealed class SamplesTests(SampleServers servers) : IClassFixture<SampleServers>
{
    private static readonly DirectoryInfo Folder = new(Path.Combine(SourceTree.Root.FullName, "samples"));

    private const string Device = "/device?";

    private static readonly string[] Flows =
    [
        "authorization-code", "authorization-details", "client-credentials", "device", "discovery", "dpop", "introspection", "jar", "jarm", "jwt-bearer", "logout", "par", "private-key-jwt", "refresh",
        "resource-indicators", "revocation", "token-exchange", "userinfo",
    ];

    public static TheoryData<string> Files => [.. Folder.EnumerateFiles("*.http").Select(file => file.Name).Order(StringComparer.Ordinal)];

    [Fact]
    public void Every_flow_has_a_sample_and_every_sample_is_in_the_list()
    {
        var files = Folder.EnumerateFiles("*.http").Select(file => file.Name).ToList();
        Assert.Empty(Flows.Select(flow => flow + ".http").Except(files));
        var list = File.ReadAllText(Path.Combine(Folder.FullName, "README.md"));
        Assert.All(files, file => Assert.Contains($"`{file}`", list, StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Files))]
    public async Task A_sample_gets_the_answers_that_it_says(string file)
    {
        // The addresses of the demo stand for those of this run; what the API is called in tokens and proofs stays.
        var text = (await File.ReadAllTextAsync(Path.Combine(Folder.FullName, file)))
            .Replace(SampleServers.Server, servers.TheServer.Issuer, StringComparison.Ordinal)
            .Replace($"@bank = {SampleServers.Bank}", $"@bank = {servers.TheBank.Issuer}", StringComparison.Ordinal);
        var steps = HttpFile.Read(text);
        Assert.NotEmpty(steps.OfType<HttpFile.Step.Send>());
        Assert.All(steps.OfType<HttpFile.Step.Send>().Where(send => !IsForBrowser(send.Address)), send => Assert.True(send.Status is not null, $"{send.Method} {send.Address} doesn't say what it answers."));

        var person = servers.TheServer.NewVisitor();
        using var http = servers.TheServer.NewClient();
        var values = new Dictionary<string, string>();
        var answers = new Dictionary<string, (HttpResponseMessage Response, string Body)>();
        foreach (var step in steps)
        {
            switch (step)
            {
                case HttpFile.Step.Run run:
                    await SampleServers.ToolAsync(Fill(run.Command), servers.TheServer.Port);
                    break;
                case HttpFile.Step.Assign { Command: { } command } assign:
                    values[assign.Name] = await SampleServers.ToolAsync(Fill(command), servers.TheServer.Port);
                    break;
                case HttpFile.Step.Assign { Value: HttpFile.FillIn } assign: // out of the address that the browser is at
                    Assert.True(values.ContainsKey(assign.Name), $"Nothing says where {assign.Name} comes from.");
                    break;
                case HttpFile.Step.Assign assign:
                    values[assign.Name] = Fill(assign.Value);
                    break;
                case HttpFile.Step.Send send when IsForBrowser(send.Address):
                    var back = new Uri(await OpenAsync(person, Fill(send.Address)));
                    foreach (var (name, value) in QueryHelpers.ParseQuery(back.Query)) values[name] = value.ToString();
                    break;
                case HttpFile.Step.Send send:
                    var response = await http.SendAsync(Request(send));
                    var body = await response.Content.ReadAsStringAsync();
                    Assert.True((int)response.StatusCode == send.Status, $"{send.Method} {send.Address}: {(int)response.StatusCode} {body}");
                    if (send.Contains is { } part) Assert.Contains(Bare(part), Bare(body), StringComparison.Ordinal);
                    if (send.Name is { } named) answers[named] = (response, body);
                    break;
            }
        }

        string Fill(string filled) => HttpFile.Fill(filled, ValueOf);

        string ValueOf(string reference)
        {
            if (values.TryGetValue(reference, out var value)) return value;
            var parts = reference.Split('.');
            Assert.True(parts.Length >= 4 && answers.ContainsKey(parts[0]), $"{{{{{reference}}}}} stands for nothing.");
            var (response, body) = answers[parts[0]];
            return Witness.Saw("an answer's " + parts[^1], parts[2] == "headers" ? response.Headers.GetValues(parts[3]).Single() : (string)JsonNode.Parse(body)![parts[^1]]!);
        }

        HttpRequestMessage Request(HttpFile.Step.Send send)
        {
            var request = new HttpRequestMessage(new HttpMethod(send.Method), Fill(send.Address));
            if (send.Body.Length > 0) request.Content = new StringContent(Fill(send.Body), Encoding.UTF8);
            foreach (var (name, value) in send.Headers)
            {
                if (name == "Content-Type") request.Content!.Headers.ContentType = MediaTypeHeaderValue.Parse(value);
                else Assert.True(request.Headers.TryAddWithoutValidation(name, Fill(value)));
            }

            return request;
        }
    }

    /// <summary>Where a person has to sign in or to answer.</summary>
    private static bool IsForBrowser(string address) => ((string[])["/authorize?", "/logout?", Device]).Any(part => address.Contains(part, StringComparison.Ordinal));

    /// <summary>Answers there as a person does. Gives the address where the browser is then.</summary>
    private static async Task<string> OpenAsync(Visitor person, string address)
    {
        if (!address.Contains(Device, StringComparison.Ordinal)) return await StockServer.AnswerAsync(person, address);
        var page = await person.SignInAsync(await person.GetAsync(address), TestConfiguration.Sam, TestConfiguration.SamPassword);
        var code = QueryHelpers.ParseQuery(new Uri(address).Query)["user_code"].ToString();
        Assert.Contains($"value=\"{code}\"", page.Body, StringComparison.Ordinal);
        page = await person.SubmitAsync(await person.SubmitAsync(page, ("user_code", code)), ("decision", "allow"));
        Assert.Equal("Done. You can go back to your device.", page.Heading);
        return page.Address.AbsoluteUri;
    }

    private static string Bare(string json) => string.Concat(json.Where(c => !char.IsWhiteSpace(c)));
}
