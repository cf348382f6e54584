using System.Net;
using System.Text.Json.Nodes;
using Grants.Testing;
using Npgsql;

namespace Grants.Api.Tests.Http;

/// <summary>A server whose way to the database can be cut.</summary>
public sealed class WiredApp : GrantsApp, IAsyncLifetime
{
    private CuttableWire _wire = null!;

    internal CuttableWire Wire => _wire;

    public async ValueTask InitializeAsync()
    {
        var login = new NpgsqlConnectionStringBuilder(await NewDatabaseAsync());
        var address = (await Dns.GetHostAddressesAsync(login.Host!)).First(one => one.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork);
        _wire = new CuttableWire(new IPEndPoint(address, login.Port));
        login.Host = "127.0.0.1";
        login.Port = _wire.Port;
        login.Timeout = 3;
        await StartAsync(login.ConnectionString);
    }

    async ValueTask IAsyncDisposable.DisposeAsync()
    {
        _wire.Mend();
        await base.DisposeAsync();
        await _wire.DisposeAsync();
    }
}

public sealed class OutageTests(WiredApp app) : IClassFixture<WiredApp>
{
    [Fact, Trait("Attack", "P13"), Trait("Law", "L1"), Trait("Rule", "G-10")]
    public async Task Without_the_database_nothing_is_issued_and_nothing_is_told_and_afterwards_all_is_well()
    {
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        using var http = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally, ("prompt", "consent"));
        var consent = await visitor.GetAsync(asked.Address);
        var ready = Journey.Ask(TestClient.Tally);
        var code = Witness.Saw("code", (await visitor.GetAsync(ready.Address)).Answer["code"]);
        await app.CatchUpAsync();
        var before = await app.PositionAsync();
        app.Wire.Cut();

        foreach (var path in (string[])[asked.Address, consent.Address.AbsolutePath, "/account/apps", $"/signin/{consent.Address.Segments[^1]}"])
        {
            var page = await visitor.GetAsync(path);
            page.StaysHere(HttpStatusCode.ServiceUnavailable);
            Assert.Equal("5", page.Header("Retry-After"));
            Assert.Equal("We can't sign you in right now", page.Heading);
            TellsNothing(page.Body);
        }

        var allow = await visitor.SubmitAsync(consent, ("decision", "allow"));
        allow.StaysHere(HttpStatusCode.ServiceUnavailable);
        var signIn = await app.NewVisitor().GetAsync("/signin");
        Assert.Equal(HttpStatusCode.OK, signIn.Status);

        foreach (var answer in (TokenAnswer[])
            [await http.RedeemAsync(ready, code), await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken), await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials")),
             await http.IntrospectAsync(TestClient.Bank, tokens.AccessToken), await http.IntrospectAsync(TestClient.Tally, tokens.RefreshToken), await http.RevokeAsync(TestClient.Tally, tokens.RefreshToken)])
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.Response.StatusCode);
            Assert.NotNull(answer.Response.Headers.RetryAfter);
            Assert.Equal("temporarily_unavailable", answer.Error);
            Assert.Equal(["error", "error_description"], answer.Json.Select(member => member.Key));
            TellsNothing(answer.Json.ToJsonString());
        }

        using var info = await http.UserInfoAsync(tokens.AccessToken);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, info.StatusCode);
        Assert.Equal("temporarily_unavailable", (string?)JsonNode.Parse(await info.Content.ReadAsStringAsync())!["error"]);
        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync(new Uri("/healthz", UriKind.Relative))).StatusCode);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await http.GetAsync(new Uri("/readyz", UriKind.Relative))).StatusCode);

        app.Wire.Mend();
        await Answers.UntilAsync(async () => (await http.GetAsync(new Uri("/readyz", UriKind.Relative))).IsSuccessStatusCode);
        Assert.Equal([], await app.StoryAsync(before));

        // Nothing was spent: the same code, the same refresh token and the same form still count once.
        Assert.True((await http.RedeemAsync(ready, code)).Ok);
        Assert.True((await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken)).Ok);
        Assert.True((await visitor.SubmitAsync(consent, ("decision", "allow"))).Answer.ContainsKey("code"));
    }

    private static void TellsNothing(string body)
    {
        foreach (var word in (string[])["Npgsql", "Exception", "   at ", "Socket", "127.0.0.1", "Marten", "postgres", "refused"]) Assert.DoesNotContain(word, body, StringComparison.OrdinalIgnoreCase);
    }
}
