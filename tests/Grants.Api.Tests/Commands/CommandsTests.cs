using System.Diagnostics;
using System.Text.Json.Nodes;
using Grants.Projections;
using Grants.Testing;

namespace Grants.Api.Tests.Commands;

/// <summary>The command line as an auditor types it: the built program beside a server on the same database.</summary>
public sealed class CommandsTests(AppFixture app) : IClassFixture<AppFixture>
{
    [Fact, Trait("Law", "L11")]
    public async Task Events_prints_the_log_one_event_a_line_as_it_is_stored()
    {
        var position = await app.PositionAsync();
        await app.ConnectAsync(TestClient.Tally, TestConfiguration.Maya);
        var stored = await app.EventsAfterAsync(position);

        var (code, lines) = await RunAsync("events", "--json", "--client", "tally", "--after", $"{position}");
        Assert.Equal(0, code);
        var printed = lines.Select(line => JsonNode.Parse(line)!.AsObject()).ToList();
        Assert.Equal(stored.Select(e => e.Sequence), printed.Select(line => (long)line["position"]!));
        Assert.Equal(stored.Select(e => e.EventTypeName), printed.Select(line => (string)line["type"]!));
        Assert.Equal(stored.Select(e => e.UserName), printed.Select(line => (string?)line["actor"]));
        Assert.Equal(stored.Select(e => e.CausationId), printed.Select(line => (string?)line["cause"]));
        Assert.Equal(stored.Select(e => e.StreamId), printed.Select(line => (Guid)line["stream"]!));
        Assert.All(printed, line => Assert.StartsWith("v1.", (string?)line["origin"]));
        Assert.All(printed, line => Assert.IsType<JsonObject>(line["body"]));
    }

    [Fact]
    public async Task Events_reads_as_a_table_and_filters_by_stream_type_and_person()
    {
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally, TestConfiguration.Lin);
        var grant = tokens.Streams().Grant!.Value;

        var (_, byStream) = await RunAsync("events", "--stream", $"{grant}");
        Assert.Equal("1 events", byStream[^1]);
        Assert.Matches(@"grant\.created\s+\S+\s+person:sub_\S+\s+tally\s+authorization\.subject_authenticated \d+$", byStream[2]);

        // The person is found by name though no name is stored, and by the opaque id.
        var subject = (string)TokenAnswer.Claims(tokens.AccessToken)["sub"]!;
        var (_, byName) = await RunAsync("events", "--person", TestConfiguration.Lin, "--type", "token_family");
        var (_, bySubject) = await RunAsync("events", "--person", subject, "--type", "token_family");
        Assert.Equal("3 events", byName[^1]);
        Assert.Equal(byName, bySubject);

        var (code, _) = await RunAsync("events", "--stream", "not-an-id");
        Assert.NotEqual(0, code);
    }

    [Fact]
    public async Task Access_and_tokens_list_the_views_and_say_for_which_position_they_stand()
    {
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Poster, TestConfiguration.Sam);
        await app.CatchUpAsync();

        var (_, access) = await RunAsync("access", "list", "--client", "poster", "--json");
        var grant = JsonNode.Parse(access[0])!;
        Assert.Equal(tokens.Streams().Grant, (Guid?)grant["id"]);
        Assert.Equal("live", (string?)grant["state"]);
        Assert.Equal(16, ((string?)grant["text_version"])!.Length);

        var (_, list) = await RunAsync("tokens", "list", "--client", "poster", "--state", "live");
        Assert.Equal("2 tokens", list[^2]);
        Assert.Matches(@"^as of event \d+, \d+\.\d s behind$", list[^1]);
    }

    [Fact, Trait("Attack", "P8"), Trait("Law", "L11")]
    public async Task Keys_are_listed_and_revoked_with_a_reason_and_not_rotated_before_the_next_ones_are_known()
    {
        var (_, listed) = await RunAsync("keys", "list", "--json");
        var keys = listed.Select(line => JsonNode.Parse(line)!.AsObject()).ToList();
        Assert.Equal(["ES256 active", "ES256 published", "PS256 active", "PS256 published", "RS256 active", "RS256 published"], keys.Select(key => $"{key["algorithm"]} {key["status"]}").Order(StringComparer.Ordinal));

        var (tooEarly, _) = await RunAsync("keys", "rotate");
        Assert.NotEqual(0, tooEarly);
        var (noReason, _) = await RunAsync("keys", "revoke", "--kid", (string)keys[0]["kid"]!);
        Assert.NotEqual(0, noReason);

        var position = await app.PositionAsync();
        var leaked = (string)keys.First(key => (string?)key["status"] == "active" && (string?)key["algorithm"] == "RS256")["kid"]!;
        var (code, after) = await RunAsync("keys", "revoke", "--kid", leaked, "--why", "it leaked");
        Assert.Equal(0, code);
        Assert.Contains(after, line => line.StartsWith(leaked, StringComparison.Ordinal) && line.Contains("revoked", StringComparison.Ordinal));
        Assert.Equal("7 keys", after[^1]);
        Assert.All(await app.EventsAfterAsync(position), e => Assert.StartsWith("operator:", e.UserName, StringComparison.Ordinal));
    }

    [Fact, Trait("Law", "L5")]
    public async Task Rebuilding_beside_a_running_server_leaves_the_inline_views_alone_and_the_daemon_going()
    {
        await app.ConnectAsync(TestClient.BrowserApp, TestConfiguration.Sam);
        await app.CatchUpAsync();
        var (code, lines) = await RunAsync("projections", "rebuild");
        Assert.Equal(0, code);
        Assert.Equal(GrantsStore.AsyncViews, lines.Select(line => line.Split("  ")[1]));

        await app.ConnectAsync(TestClient.BrowserApp, TestConfiguration.Maya);
        await app.CatchUpAsync();
        Assert.NotEqual(0, (await RunAsync("projections", "rebuild", "--view", "no_such_view")).Code);
    }

    [Fact]
    public async Task Config_apply_says_what_changed_and_then_that_nothing_does()
    {
        var file = Path.Combine(TestConfiguration.DataFolder, "more.json");
        await File.WriteAllTextAsync(file, """{ "scopes": [ { "name": "cards", "label": "See your cards", "kind": "see" } ] }""");
        Assert.Equal(["changed  scope cards", "1 changed."], (await RunAsync("config", "apply", file)).Lines);
        Assert.Equal(["Nothing to change."], (await RunAsync("config", "apply", file)).Lines);

        await File.WriteAllTextAsync(file, """
            { "scopes": [],
              "colour": "blue" }
            """);
        var (code, lines) = await RunAsync("config", "apply", file);
        Assert.NotEqual(0, code);
        Assert.Empty(lines); // said on the error stream
    }

    /// <summary>Runs the built program. Returns its exit code and what it printed for other programs to read.</summary>
    private async Task<(int Code, IReadOnlyList<string> Lines)> RunAsync(params string[] arguments)
    {
        var framework = new DirectoryInfo(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        var program = Path.Combine(SourceTree.Root.FullName, "src", "Grants.Api", "bin", framework.Parent!.Name, framework.Name, "grants.dll");
        var start = new ProcessStartInfo("dotnet", [program, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = TestConfiguration.DataFolder };
        start.Environment["ASPNETCORE_ENVIRONMENT"] = "Development";
        start.Environment["ConnectionStrings__Grants"] = app.ConnectionString;
        start.Environment["Grants__Issuer"] = TestConfiguration.Issuer;
        start.Environment["Grants__DataFolder"] = TestConfiguration.DataFolder;
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Witness.Heard(await error);
        return (process.ExitCode, output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }
}
