using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Grants.Api.Tests.Http;
using Grants.Api.Tests.Introspection;
using Grants.Domain.AccessGrants;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;
using Grants.Projections;
using Grants.Testing;

namespace Grants.Api.Tests.Revocation;

/// <summary>The revocation endpoint: what ends, what survives, and who is refused.</summary>
public sealed class RevocationTests(AppFixture app) : IClassFixture<AppFixture>
{
    [Fact, Trait("Rule", "RV-1"), Trait("Rule", "RV-2"), Trait("Law", "L3"), Trait("Law", "L11")]
    public async Task A_refresh_token_ends_with_all_tokens_of_its_family_and_the_consent_survives()
    {
        using var http = app.NewClient();
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        var renewed = await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken);
        var position = await app.PositionAsync();
        await DoneAsync(http, TestClient.Tally, renewed.RefreshToken);

        foreach (var token in (string[])[tokens.AccessToken, renewed.AccessToken])
        {
            await http.AssertInactiveAsync(TestClient.Bank, token);
            Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(token)).StatusCode);
        }

        await http.AssertInactiveAsync(TestClient.Tally, renewed.RefreshToken);
        Assert.Equal("invalid_grant", (await http.RefreshAsync(TestClient.Tally, renewed.RefreshToken)).Error);
        Assert.True((await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("prompt", "none")).Address)).Answer.ContainsKey("code"));

        var happened = (await app.EventsAfterAsync(position))[0];
        var ended = Assert.IsType<TokenFamilyEvent.Revoked>(happened.Data);
        Assert.Equal((EndedBy.Client, "revoked by its client"), (ended.By, ended.Why));
        Assert.Equal((tokens.Streams().Family, "client:tally", "tally"), (happened.StreamId, happened.UserName, happened.Text(EventMetadata.Client)));
        Assert.Equal((string?)TokenAnswer.Claims(tokens.IdToken)["sid"], happened.Text(EventMetadata.Session));
        Assert.Equal(((await app.EventsAsync(happened.StreamId))[^2].Id.ToString(), false), (happened.CausationId, string.IsNullOrEmpty(happened.Text(EventMetadata.Origin))));
    }

    [Fact, Trait("Rule", "RV-2"), Trait("Law", "L3")]
    public async Task An_access_token_ends_alone_and_the_refresh_token_lives_on()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var position = await app.PositionAsync();
        await DoneAsync(http, TestClient.Tally, tokens.AccessToken);
        Assert.Equal(["token_family.access_token_revoked"], await app.StoryAsync(position));
        await http.AssertInactiveAsync(TestClient.Bank, tokens.AccessToken);
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);

        var renewed = tokens;
        for (var i = 0; i < 3; i++) renewed = await http.RefreshAsync(TestClient.Tally, renewed.RefreshToken);
        Assert.True(renewed.Ok);
        Assert.True((bool)(await http.IntrospectAsync(TestClient.Bank, renewed.AccessToken)).Json["active"]!);

        // Its end lies before the newest rotation now, and counts as before.
        await http.AssertInactiveAsync(TestClient.Bank, tokens.AccessToken);
        await NothingNewAsync(http, TestClient.Tally, tokens.AccessToken);
    }

    [Fact, Trait("Rule", "RV-2")]
    public async Task A_machine_ends_its_own_access_token()
    {
        using var http = app.NewClient();
        var (one, other) = (await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials")), await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials")));
        await DoneAsync(http, TestClient.Report, one.AccessToken);
        await http.AssertInactiveAsync(TestClient.Bank, one.AccessToken);
        Assert.True((bool)(await http.IntrospectAsync(TestClient.Bank, other.AccessToken)).Json["active"]!);
        await NothingNewAsync(http, TestClient.Report, one.AccessToken);
    }

    [Fact, Trait("Rule", "RV-2")]
    public async Task A_spent_refresh_token_ends_the_family_too()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var renewed = await http.RefreshAsync(TestClient.Tally, (await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken)).RefreshToken);
        await DoneAsync(http, TestClient.Tally, tokens.RefreshToken);
        await http.AssertInactiveAsync(TestClient.Bank, renewed.AccessToken);
        Assert.Equal("invalid_grant", (await http.RefreshAsync(TestClient.Tally, renewed.RefreshToken)).Error);
    }

    [Fact, Trait("Rule", "RV-1"), Trait("Rule", "23-2")]
    public async Task What_is_unknown_or_has_ended_is_answered_alike_and_appends_nothing()
    {
        using var http = app.NewClient();
        var (tokens, _, _, code) = await app.ConnectAsync(TestClient.Tally, TestConfiguration.Maya);
        var (later, _, _, _) = await app.ConnectAsync(TestClient.Tally, TestConfiguration.Lin);
        foreach (var token in (string[])["nonsense", "a.b.c", code, new string('a', 20_000), tokens.AccessToken[..^8], tokens.RefreshToken[..^8]]) await NothingNewAsync(http, TestClient.Tally, token);

        await DoneAsync(http, TestClient.Tally, tokens.RefreshToken);
        await NothingNewAsync(http, TestClient.Tally, tokens.RefreshToken);
        await NothingNewAsync(http, TestClient.Tally, tokens.AccessToken);

        app.Clock.Advance(TimeSpan.FromMinutes(5));
        await NothingNewAsync(http, TestClient.Tally, later.AccessToken); // its time is over
        await app.AppendAsync(new StreamEvent(later.Streams().Grant!.Value, new GrantEvent.Revoked(EndedBy.Person, "removed", app.Clock.GetUtcNow())));
        await NothingNewAsync(http, TestClient.Tally, later.RefreshToken); // it ended with its grant
    }

    [Fact, Trait("Rule", "RV-1"), Trait("Attack", "T17")]
    public async Task Another_clients_token_is_never_revoked_and_refused_in_the_same_words()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var (named, _, _, _) = await app.ConnectAsync(TestClient.BrowserApp);
        var machine = await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"));
        var words = new HashSet<string>();
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var (client, token) in ((TestClient, string)[])
                [(TestClient.Poster, tokens.RefreshToken), (TestClient.Poster, tokens.AccessToken), (TestClient.BrowserApp, tokens.RefreshToken), (TestClient.BrowserApp, tokens.AccessToken),
                 (TestClient.Bank, tokens.AccessToken), (TestClient.Tally, named.RefreshToken), (TestClient.Tally, machine.AccessToken)])
            {
                var answer = await http.RevokeAsync(client, token);
                Assert.Equal((HttpStatusCode.BadRequest, "invalid_grant"), (answer.Response.StatusCode, answer.Error));
                words.Add(await answer.Response.Content.ReadAsStringAsync());
            }
        });
        Assert.Single(words);
        foreach (var token in (string[])[tokens.AccessToken, named.AccessToken, machine.AccessToken]) Assert.True((bool)(await http.IntrospectAsync(TestClient.Bank, token)).Json["active"]!);
        Assert.True((await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken)).Ok && (await http.RefreshAsync(TestClient.BrowserApp, named.RefreshToken)).Ok);
    }

    [Fact, Trait("Rule", "RV-1"), Trait("Attack", "T7")]
    public async Task An_id_token_is_no_kind_of_token_that_can_be_revoked()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        await app.AppendsNothingAsync(async () =>
        {
            var answer = await http.RevokeAsync(TestClient.Tally, tokens.IdToken);
            Assert.Equal((HttpStatusCode.BadRequest, "unsupported_token_type"), (answer.Response.StatusCode, answer.Error));
        });
    }

    [Fact, Trait("Rule", "RV-1"), Trait("Attack", "E5")]
    public async Task A_client_without_a_secret_revokes_its_own_tokens_by_naming_itself()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.BrowserApp, TestConfiguration.Lin);
        var unnamed = await SendAsync(http, new FormUrlEncodedContent([new("token", tokens.RefreshToken)]), null);
        Assert.Equal((HttpStatusCode.Unauthorized, "invalid_client"), (unnamed.Response.StatusCode, unnamed.Error));
        Assert.Equal("invalid_client", (await http.RevokeAsync(TestClient.Tally with { Secret = null }, tokens.RefreshToken)).Error); // it has a secret to show
        var position = await app.PositionAsync();
        await DoneAsync(http, TestClient.BrowserApp, tokens.AccessToken);
        await DoneAsync(http, TestClient.BrowserApp, tokens.RefreshToken);
        Assert.Equal("invalid_grant", (await http.RefreshAsync(TestClient.BrowserApp, tokens.RefreshToken)).Error);

        // It calls from the person's own device, so where from is that person's data.
        var events = await app.EventsAfterAsync(position);
        Assert.Equal(["token_family.access_token_revoked", "token_family.revoked"], events.Select(e => e.EventTypeName));
        Assert.All(events, e => Assert.StartsWith($"v1.person:{TokenAnswer.Claims(tokens.AccessToken)["sub"]}.", e.Text(EventMetadata.Origin), StringComparison.Ordinal));
    }

    [Theory, Trait("Rule", "RV-1")]
    [InlineData("access_token")]
    [InlineData("refresh_token")]
    [InlineData("unheard-of")]
    public async Task The_hint_is_only_a_hint(string hint)
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        foreach (var token in (string[])[tokens.AccessToken, tokens.RefreshToken])
        {
            Assert.Equal(HttpStatusCode.OK, (await http.RevokeAsync(TestClient.Tally, token, hint)).Response.StatusCode);
            await http.AssertInactiveAsync(TestClient.Tally, token);
        }
    }

    [Fact, Trait("Rule", "RV-1"), Trait("Rule", "G-2"), Trait("Rule", "G-3"), Trait("Attack", "T15")]
    public async Task The_form_has_the_rules_of_every_form()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var tally = Journey.Basic("tally", TestConfiguration.TallySecret);
        KeyValuePair<string, string> token = new("token", tokens.RefreshToken);
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var answer in (TokenAnswer[])
            [
                await SendAsync(http, new FormUrlEncodedContent([]), tally),
                await SendAsync(http, new FormUrlEncodedContent([new("token", "")]), tally),
                await SendAsync(http, new FormUrlEncodedContent([token, token]), tally),
                await SendAsync(http, new FormUrlEncodedContent([]), tally, $"/revoke?token={tokens.RefreshToken}"),
                await SendAsync(http, new StringContent($$"""{"token":"{{tokens.RefreshToken}}"}""", Encoding.UTF8, "application/json"), tally),
            ])
            {
                Assert.Equal((HttpStatusCode.BadRequest, "invalid_request"), (answer.Response.StatusCode, answer.Error));
                Assert.Equal("no-store", answer.Response.Headers.CacheControl?.ToString());
            }
        });
    }

    /// <summary>RFC 7009 §2.2: 200 and nothing else, not even a content type, which some clients take for a fault.</summary>
    private static async Task DoneAsync(HttpClient http, TestClient client, string token)
    {
        var answer = await http.RevokeAsync(client, token);
        Assert.Equal((HttpStatusCode.OK, ""), (answer.Response.StatusCode, await answer.Response.Content.ReadAsStringAsync()));
        Assert.Null(answer.Response.Content.Headers.ContentType);
        Assert.Equal("no-store", answer.Response.Headers.CacheControl?.ToString());
    }

    private async Task NothingNewAsync(HttpClient http, TestClient client, string token) => await app.AppendsNothingAsync(() => DoneAsync(http, client, token));

    private static async Task<TokenAnswer> SendAsync(HttpClient http, HttpContent content, AuthenticationHeaderValue? authorization, string address = "/revoke")
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, address) { Content = content, Headers = { Authorization = authorization } };
        return await TokenAnswer.ReadAsync(await http.SendAsync(request));
    }
}
