using System.Net;
using Grants.Api.Tests.Http;
using Grants.Domain.Sessions;
using Grants.Testing;

namespace Grants.Api.Tests.EndSession;

[Collection(FrontDoor.Name)]
public sealed class SignOutTests(AppFixture app)
{
    private const string Back = "http://localhost:5200/signed-out";

    [Fact, Trait("Rule", "LO-1"), Trait("Rule", "LO-2"), Trait("Rule", "LO-3")]
    public async Task The_id_token_of_the_session_ends_it_at_once_and_leads_back()
    {
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        var state = Witness.Saw("state", Journey.Random());
        var before = await app.PositionAsync();
        var page = await visitor.GetAsync($"/logout?id_token_hint={tokens.IdToken}&client_id=tally&post_logout_redirect_uri={Uri.EscapeDataString(Back)}&state={state}&ui_locales=xx&logout_hint=x");
        Assert.Equal((HttpStatusCode.SeeOther, $"{Back}?state={state}"), (page.Status, page.Location));
        var ended = Assert.Single(await app.EventsAfterAsync(before));
        Assert.Equal("client", Assert.IsType<SessionEvent.Ended>(ended.Data).By);
        Assert.Equal("client:tally", ended.UserName);
        Assert.Equal((string?)TokenAnswer.Claims(tokens.IdToken)["sid"], ended.StreamId.ToString("N"));
        Assert.True((await visitor.GetAsync("/account/apps")).IsAt("/signin"));

        // Already signed out is no error.
        await app.AppendsNothingAsync(async () => Assert.Equal(Back, (await visitor.GetAsync($"/logout?id_token_hint={tokens.IdToken}&post_logout_redirect_uri={Uri.EscapeDataString(Back)}")).Location));
    }

    [Fact, Trait("Rule", "LO-1"), Trait("Rule", "G-7")]
    public async Task A_posted_request_does_the_same()
    {
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        var page = await visitor.PostAsync("/logout", [new("id_token_hint", tokens.IdToken), new("post_logout_redirect_uri", Back)]);
        Assert.Equal((HttpStatusCode.SeeOther, Back), (page.Status, page.Location));
    }

    [Theory, Trait("Attack", "R7"), Trait("Rule", "LO-1")]
    [InlineData("")]
    [InlineData("?id_token_hint=garbage")]
    [InlineData("?client_id=tally&post_logout_redirect_uri=http%3A%2F%2Flocalhost%3A5200%2Fsigned-out")]
    [InlineData("?logout_hint=sam%40demo.example")]
    public async Task A_link_without_proof_asks_and_keeps_the_session_until_the_answer(string query)
    {
        var visitor = await app.SignedInAsync();
        Page page = null!;
        await app.AppendsNothingAsync(async () =>
        {
            page = await visitor.GetAsync("/logout" + query);
            Assert.Equal((HttpStatusCode.OK, "Sign out of Example Bank?"), (page.Status, page.Heading));
            Assert.True((await visitor.PostAsync("/logout", [])).IsAt("/logout"));
            Assert.Equal(HttpStatusCode.OK, (await visitor.GetAsync("/account/apps")).Status);
            (await visitor.PostAsync("/logout/confirm", [])).StaysHere();
        });

        var before = await app.PositionAsync();
        page = await visitor.SubmitAsync(page);
        Assert.True(page.IsAt("/signed-out"), page.Location);
        var ended = Assert.Single(await app.EventsAfterAsync(before));
        Assert.Equal("person", Assert.IsType<SessionEvent.Ended>(ended.Data).By);
        Assert.StartsWith("person:sub_", ended.UserName);
    }

    [Fact, Trait("Attack", "R7"), Trait("Attack", "R6")]
    public async Task Another_sessions_id_token_asks_first_and_offers_the_way_back_as_a_link()
    {
        var (mayas, _, _, _) = await app.ConnectAsync(TestClient.Tally, TestConfiguration.Maya);
        var visitor = await app.SignedInAsync();
        var page = await visitor.GetAsync($"/logout?id_token_hint={mayas.IdToken}&post_logout_redirect_uri={Uri.EscapeDataString(Back)}");
        Assert.Equal("Sign out of Example Bank?", page.Heading);
        page = await visitor.SubmitAsync(page);
        Assert.Equal((HttpStatusCode.OK, null), (page.Status, page.Location));
        Assert.Contains($"href=\"{Back}\"", page.Body, StringComparison.Ordinal);
    }

    [Theory, Trait("Attack", "R6"), Trait("Rule", "LO-2")]
    [InlineData("http://localhost:5200/signed-out/", "tally", true)]
    [InlineData("http://localhost:5200/SIGNED-OUT", "tally", true)]
    [InlineData("http://localhost:5200/signed-out?x=1", "tally", true)]
    [InlineData("http://localhost:5200/callback", "tally", true)]
    [InlineData("https://evil.example/", "tally", true)]
    [InlineData("javascript:alert(1)", "tally", true)]
    [InlineData(Back, "pocket-browser", true)]
    [InlineData(Back, "tally", false)]
    public async Task An_address_that_is_not_registered_or_not_proven_stays_here(string address, string client, bool hinted)
    {
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        var query = $"?client_id={client}&post_logout_redirect_uri={Uri.EscapeDataString(address)}" + (hinted ? $"&id_token_hint={tokens.IdToken}" : "");
        var page = await visitor.GetAsync("/logout" + query);
        if (page.Heading.StartsWith("Sign out", StringComparison.Ordinal)) page = await visitor.SubmitAsync(page);
        Assert.Null(page.Location);
        Assert.DoesNotContain($"href=\"{address}\"", page.Body, StringComparison.Ordinal);

        // Also for a browser that is signed out already.
        page = await app.NewVisitor().GetAsync("/logout" + query);
        page.StaysHere();
        Assert.DoesNotContain($"href=\"{address}\"", page.Body, StringComparison.Ordinal);
    }

    [Fact, Trait("Rule", "LO-2"), Trait("Attack", "R6")]
    public async Task A_return_address_that_was_not_sealed_by_this_server_is_refused()
    {
        var visitor = await app.SignedInAsync();
        var page = await visitor.GetAsync("/logout");
        var answer = await visitor.SubmitAsync(page, ("context", "https://evil.example/"));
        Assert.Null(answer.Location);
        Assert.InRange((int)answer.Status, 200, 499);
        Assert.DoesNotContain("evil.example", answer.Body, StringComparison.Ordinal);
    }

    [Fact, Trait("Rule", "G-3")]
    public async Task A_repeated_parameter_keeps_the_session()
    {
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        await app.AppendsNothingAsync(async () => (await visitor.GetAsync($"/logout?id_token_hint={tokens.IdToken}&id_token_hint={tokens.IdToken}")).StaysHere());
        Assert.Equal(HttpStatusCode.OK, (await visitor.GetAsync("/account/apps")).Status);
    }

    [Fact, Trait("Rule", "LO-3")]
    public async Task Every_sign_in_of_a_browser_has_a_session_id_of_its_own()
    {
        var ids = new List<string?>();
        for (var i = 0; i < 3; i++) ids.Add((string?)TokenAnswer.Claims((await app.ConnectAsync(TestClient.Tally)).Tokens.IdToken)["sid"]);
        Assert.Equal(3, ids.Distinct().Count());
        Assert.All(ids, id => Assert.Matches("^[0-9a-f]{32}$", id));
    }
}
