using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Grants.Api.Account;
using Grants.Api.Log;
using Grants.Api.Signing;
using Grants.Api.Tests.Http;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Grants.Domain.TokenFamilies;
using Grants.Testing;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.DependencyInjection;

namespace Grants.Api.Tests.Pairwise;

/// <summary>A server with pairwise clients: two of one sector, one of another.</summary>
public sealed class SectorsApp : GrantsApp, IAsyncLifetime
{
    internal static readonly TestClient One = Client("pair-one", "https://one.example/cb");
    internal static readonly TestClient OneToo = Client("pair-one-too", "https://one.example/too/cb");
    internal static readonly TestClient Other = Client("pair-other", "https://other.example/cb");

    public async ValueTask InitializeAsync()
    {
        await StartAsync();
        await this.DeclareAsync(new JsonObject { ["clients"] = new JsonArray(Declared(One), Declared(OneToo), Declared(Other)) });
    }

    internal static TestClient Client(string id, string redirectUri) => new(id, Witness.Saw("client secret", Journey.Random()), redirectUri, "openid profile email balances offline_access");

    /// <param name="subjectType">Null to say nothing of it.</param>
    internal static JsonObject Declared(TestClient client, string? subjectType = "pairwise")
    {
        var declared = new JsonObject
        {
            ["client_id"] = client.Id,
            ["client_secret"] = client.Secret,
            ["client_name"] = client.Id,
            ["redirect_uris"] = new JsonArray(client.RedirectUri),
            ["post_logout_redirect_uris"] = new JsonArray(Back(client)),
            ["grant_types"] = new JsonArray("authorization_code", "refresh_token"),
            ["scope"] = client.Scope,
            ["grants_checked"] = true,
        };
        if (subjectType is not null) declared["subject_type"] = subjectType;
        return declared;
    }

    internal static string Back(TestClient client) => new Uri(client.RedirectUri).GetLeftPart(UriPartial.Authority) + "/bye";
}

/// <summary>Pairwise subjects from the first request to the last: who sees which <c>sub</c>, and what it is good for.</summary>
public sealed partial class PairwiseTests(SectorsApp app) : IClassFixture<SectorsApp>
{
    [Fact, Trait("Rule", "PW-1"), Trait("Attack", "T22")]
    public async Task A_person_has_one_sub_in_a_sector_and_others_elsewhere()
    {
        var one = await SubAsync(SectorsApp.One);
        Assert.Matches("^sub_p[0-9a-f]{32}$", one);
        Assert.Equal(one, await SubAsync(SectorsApp.One)); // another browser, another day
        Assert.Equal(one, await SubAsync(SectorsApp.OneToo));
        string[] different = [one, await SubAsync(SectorsApp.Other), await SubAsync(TestClient.Tally), await SubAsync(SectorsApp.One, TestConfiguration.Maya), await SubAsync(SectorsApp.Other, TestConfiguration.Maya)];
        Assert.Equal(5, different.Distinct().Count());
    }

    [Fact, Trait("Rule", "PW-1"), Trait("Rule", "UI-1"), Trait("Rule", "IN-2"), Trait("Rule", "TK-6"), Trait("Attack", "T22")]
    public async Task Whatever_the_client_is_told_and_whoever_is_told_of_its_tokens_it_is_the_same_sub()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(SectorsApp.One);
        var sub = Sub(tokens.IdToken);
        var renewed = await http.RefreshAsync(SectorsApp.One, tokens.RefreshToken);
        foreach (var answer in (TokenAnswer[])[tokens, renewed])
        {
            Assert.Equal((sub, sub), (Sub(answer.IdToken), Sub(answer.AccessToken)));
            Assert.Equal(sub, (string?)(await UserInfoAsync(http, answer.AccessToken))["sub"]);
            Assert.Equal(sub, (string?)(await http.IntrospectAsync(SectorsApp.One, answer.AccessToken)).Json["sub"]);
            Assert.Equal(sub, (string?)(await http.IntrospectAsync(TestClient.Bank, answer.AccessToken)).Json["sub"]); // as it stands in the token that it was sent
        }

        Assert.Equal(sub, (string?)(await http.IntrospectAsync(SectorsApp.One, renewed.RefreshToken)).Json["sub"]);
        Assert.Equal("Sam Field", (string?)(await UserInfoAsync(http, renewed.AccessToken))["name"]); // and it is still Sam
    }

    [Fact, Trait("Rule", "PW-1"), Trait("Attack", "E7")]
    public async Task Neither_the_subject_id_nor_the_sessions_id_is_anywhere_in_what_the_client_receives()
    {
        using var http = app.NewClient();
        var visitor = app.NewVisitor();
        var known = await ReceivedAsync(http, visitor, TestClient.Tally);
        var person = Claim(known.Tokens.IdToken, "sub")["sub_".Length..];
        var session = Claim(known.Tokens.IdToken, "sid");

        // The same search finds both in what a public client receives from the same browser.
        foreach (var id in (string[])[person, session]) Assert.Contains(FormsOf(id), form => known.Text.Contains(form, StringComparison.OrdinalIgnoreCase));

        foreach (var client in (TestClient[])[SectorsApp.One, SectorsApp.Other])
        {
            var received = await ReceivedAsync(http, visitor, client);
            foreach (var id in (string[])[person, session]) Assert.All(FormsOf(id), form => Assert.DoesNotContain(form, received.Text, StringComparison.OrdinalIgnoreCase));
            Assert.Contains(FormsOf(Claim(received.Tokens.IdToken, "sid")), form => received.Text.Contains(form, StringComparison.OrdinalIgnoreCase));
            Assert.Matches("^[0-9a-f]{32}$", Claim(received.Tokens.IdToken, "sid"));
        }
    }

    [Fact, Trait("Rule", "PW-1")]
    public async Task Events_and_views_keep_the_person()
    {
        var person = await PersonAsync(TestConfiguration.Lin);
        var before = await app.PositionAsync();
        var (tokens, _, _, _) = await app.ConnectAsync(SectorsApp.One, TestConfiguration.Lin);
        var events = (await app.EventsAfterAsync(before)).Select(e => e.Data).ToList();
        Assert.Equal(person, events.OfType<GrantEvent.Created>().Single().Subject);
        Assert.Equal(person, events.OfType<TokenFamilyEvent.RefreshTokenIssued>().Single().Facts.Subject);
        await app.CatchUpAsync();
        var views = app.Services.GetRequiredService<AccessViews>();
        Assert.All(await views.TokensAsync("where family = $1", [tokens.Streams().Family], default), token => Assert.Equal(person.ToString(), token.Subject));
        Assert.Contains(await views.GrantsOfAsync(person, default), grant => grant.Client == SectorsApp.One.Id);
    }

    [Fact, Trait("Rule", "PW-1"), Trait("Attack", "T23"), Trait("Attack", "T24"), Trait("Rule", "RV-2")]
    public async Task What_ends_for_the_person_ends_behind_the_pairwise_sub_at_once()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(SectorsApp.Other, TestConfiguration.Lin);
        var person = await PersonAsync(TestConfiguration.Lin);
        await app.AppendAsync(new StreamEvent(person.Value, new SubjectEvent.Suspended("a test", app.Clock.GetUtcNow())));
        try
        {
            Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
            foreach (var token in (string[])[tokens.AccessToken, tokens.RefreshToken]) Assert.Equal("{\"active\":false}", (await http.IntrospectAsync(SectorsApp.Other, token)).Json.ToJsonString());
        }
        finally
        {
            await app.AppendAsync(new StreamEvent(person.Value, new SubjectEvent.Resumed(app.Clock.GetUtcNow())));
        }

        Assert.Equal("unsupported_token_type", (await http.RevokeAsync(SectorsApp.Other, tokens.IdToken)).Error);
        Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
        await http.RevokeAsync(SectorsApp.Other, tokens.AccessToken);
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
    }

    [Fact, Trait("Rule", "PW-1"), Trait("Rule", "AZ-13")]
    public async Task A_hint_with_a_pairwise_sub_names_its_person_to_its_own_client()
    {
        using var http = app.NewClient();
        var (sams, sam, _, _) = await app.ConnectAsync(SectorsApp.One);
        var (mayas, _, _, _) = await app.ConnectAsync(SectorsApp.One, TestConfiguration.Maya);
        app.Clock.Advance(TimeSpan.FromMinutes(11)); // it may have run out

        var before = await app.PositionAsync();
        Assert.True((await sam.GetAsync(Journey.Ask(SectorsApp.One, ("id_token_hint", sams.IdToken), ("prompt", "none")).Address)).Answer.ContainsKey("code"));
        var requested = (await app.EventsAfterAsync(before)).Select(e => e.Data).OfType<AuthorizationEvent.Requested>().Single();
        Assert.Equal(await PersonAsync(TestConfiguration.Sam), requested.Request.HintedSubject);

        var another = Journey.Ask(SectorsApp.One, ("id_token_hint", mayas.IdToken), ("prompt", "none"));
        (await sam.GetAsync(another.Address)).TellsTheApp("login_required", another);
        var nobody = Journey.Ask(SectorsApp.One, ("id_token_hint", sams.IdToken), ("prompt", "none"));
        (await app.NewVisitor().GetAsync(nobody.Address)).TellsTheApp("login_required", nobody);

        var asked = Journey.Ask(SectorsApp.One, ("id_token_hint", sams.IdToken), ("prompt", "none"));
        Assert.True((await sam.GetAsync(asked.By(await http.PushAsync(asked)).Address)).Answer.ContainsKey("code"));
    }

    [Fact, Trait("Rule", "PW-1"), Trait("Rule", "AZ-13"), Trait("Attack", "T22"), Trait("Attack", "E7")]
    public async Task A_hint_of_another_sector_tells_nothing_and_one_of_the_same_sector_counts()
    {
        using var http = app.NewClient();
        var visitor = app.NewVisitor();
        var tokens = new Dictionary<TestClient, TokenAnswer>();
        foreach (var client in (TestClient[])[SectorsApp.One, SectorsApp.OneToo, SectorsApp.Other, TestClient.Tally, TestClient.Poster])
        {
            var asked = Journey.Ask(client);
            tokens[client] = await http.RedeemAsync(asked, (await visitor.AllowAsync(asked)).Answer["code"]);
        }

        foreach (var (client, hint, counts) in (List<(TestClient, TestClient, bool)>)
        [
            (SectorsApp.OneToo, SectorsApp.One, true),
            (TestClient.Tally, TestClient.Poster, true),
            (SectorsApp.Other, SectorsApp.One, false),
            (TestClient.Tally, SectorsApp.One, false),
            (SectorsApp.One, TestClient.Tally, false),
        ])
        {
            var asked = Journey.Ask(client, ("id_token_hint", tokens[hint].IdToken), ("prompt", "none"));
            var page = await visitor.GetAsync(asked.Address);
            if (counts) Assert.True(page.Answer.ContainsKey("code"), $"{client.Id} {hint.Id} {page.Location}");
            else page.TellsTheApp("invalid_request", asked);
            if (!counts) Assert.Equal("invalid_request", (await http.PushAsync(asked)).Error);
        }
    }

    [Fact, Trait("Rule", "PW-1"), Trait("Rule", "LO-1"), Trait("Rule", "LO-2"), Trait("Attack", "R7")]
    public async Task Its_id_token_signs_out_its_own_session_and_no_other()
    {
        var (tokens, visitor, _, _) = await app.ConnectAsync(SectorsApp.One);
        var (others, _, _, _) = await app.ConnectAsync(SectorsApp.One);
        string Address(string hint, string client) => QueryHelpers.AddQueryString("/logout", new Dictionary<string, string?> { ["id_token_hint"] = hint, ["client_id"] = client, ["post_logout_redirect_uri"] = SectorsApp.Back(SectorsApp.One) });
        await app.AppendsNothingAsync(async () =>
        {
            Assert.Equal("/logout/confirm", (await visitor.GetAsync(Address(others.IdToken, SectorsApp.One.Id))).FormAction); // another browser's
            Assert.Equal("/logout/confirm", (await visitor.GetAsync(Address(tokens.IdToken, SectorsApp.OneToo.Id))).FormAction); // in another client's hand
        });
        var page = await visitor.GetAsync(Address(tokens.IdToken, SectorsApp.One.Id));
        Assert.Equal((HttpStatusCode.SeeOther, SectorsApp.Back(SectorsApp.One)), (page.Status, page.Location));
        Assert.True((await visitor.GetAsync("/account/apps")).IsAt("/signin"));
    }

    [Fact, Trait("Rule", "PW-1"), Trait("Attack", "P8")]
    public async Task The_sub_outlives_the_signing_keys_and_is_the_same_on_every_node()
    {
        var sub = await SubAsync(SectorsApp.One, TestConfiguration.Maya);
        await using var second = await app.StartFurtherNodeAsync();
        var (tokens, _, _, _) = await second.ConnectAsync(SectorsApp.One, TestConfiguration.Maya);
        Assert.Equal(sub, Sub(tokens.IdToken));
        using var http = app.NewClient();
        Assert.Equal(sub, (string?)(await UserInfoAsync(http, tokens.AccessToken))["sub"]);

        var ring = app.Services.GetRequiredService<KeyRing>();
        Assert.IsType<Accepted<Domain.Keys.SigningKey>>(await ring.RevokeAsync(new Cause(Cause.Operator("tests"), "test", "test"), (string)TokenAnswer.HeaderOf(tokens.IdToken)["kid"]!, "a test", default));
        var (after, _, _, _) = await app.ConnectAsync(SectorsApp.One, TestConfiguration.Maya);
        Assert.NotEqual((string?)TokenAnswer.HeaderOf(tokens.IdToken)["kid"], (string?)TokenAnswer.HeaderOf(after.IdToken)["kid"]);
        Assert.Equal(sub, Sub(after.IdToken));
    }

    [Fact, Trait("Rule", "PW-1")]
    public async Task A_client_that_moves_to_another_sector_meets_everybody_anew_and_its_old_tokens_can_only_be_revoked()
    {
        using var http = app.NewClient();
        var moving = SectorsApp.Client("pair-moving", "https://here.example/cb");
        await app.DeclareClientAsync(SectorsApp.Declared(moving, "public"));
        var (tokens, visitor, _, _) = await app.ConnectAsync(moving);
        Assert.Equal((await PersonAsync(TestConfiguration.Sam)).ToString(), Sub(tokens.IdToken));

        // From public to pairwise: its token is still its person's, under the name that it said.
        await app.DeclareClientAsync(SectorsApp.Declared(moving));
        Assert.Equal(Sub(tokens.IdToken), (string?)(await UserInfoAsync(http, tokens.AccessToken))["sub"]);
        var here = await http.RefreshAsync(moving, tokens.RefreshToken);
        Assert.NotEqual(Sub(tokens.IdToken), Sub(here.IdToken));

        var there = moving with { RedirectUri = "https://there.example/cb" };
        await app.DeclareClientAsync(SectorsApp.Declared(there));
        await OnlyRevocableAsync(here);
        var stale = Journey.Ask(there, ("id_token_hint", here.IdToken), ("prompt", "none"));
        (await visitor.GetAsync(stale.Address)).TellsTheApp("login_required", stale);
        var moved = await http.RefreshAsync(there, here.RefreshToken);
        Assert.Equal(3, new[] { Sub(tokens.IdToken), Sub(here.IdToken), Sub(moved.IdToken) }.Distinct().Count());

        await app.DeclareClientAsync(SectorsApp.Declared(there, null));
        await OnlyRevocableAsync(moved);
        Assert.Equal(Sub(tokens.IdToken), Sub((await http.RefreshAsync(there, moved.RefreshToken)).IdToken));

        async Task OnlyRevocableAsync(TokenAnswer old)
        {
            Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(old.AccessToken)).StatusCode);
            Assert.Equal("{\"active\":false}", (await http.IntrospectAsync(there, old.AccessToken)).Json.ToJsonString());
            var before = await app.PositionAsync();
            Assert.True((await http.RevokeAsync(there, old.AccessToken)).Ok);
            Assert.Equal(["token_family.access_token_revoked"], await app.StoryAsync(before));
        }
    }

    [Fact, Trait("Rule", "PW-1"), Trait("Rule", "MD-2")]
    public async Task Both_kinds_of_sub_are_named_and_no_other_can_be_declared()
    {
        var metadata = JsonNode.Parse((await app.NewVisitor().GetAsync("/.well-known/openid-configuration")).Body)!;
        Assert.Equal(["public", "pairwise"], metadata["subject_types_supported"]!.AsArray().Select(type => (string?)type));
        await Assert.ThrowsAsync<SettingsException>(() => app.DeclareClientAsync(SectorsApp.Declared(SectorsApp.Client("pair-odd", "https://odd.example/cb"), "ephemeral")));
    }

    /// <summary>All that the client receives in one round: the answer through the browser, tokens, a renewal, userinfo, introspection, sign-out.</summary>
    private static async Task<(TokenAnswer Tokens, string Text)> ReceivedAsync(HttpClient http, Visitor visitor, TestClient client)
    {
        var asked = Journey.Ask(client);
        var page = await visitor.AllowAsync(asked);
        var tokens = await http.RedeemAsync(asked, page.Answer["code"]);
        var renewed = await http.RefreshAsync(client, tokens.RefreshToken);
        var text = new StringBuilder().AppendLine(page.Location).AppendLine(tokens.Json.ToJsonString()).AppendLine(renewed.Json.ToJsonString())
            .AppendLine((await UserInfoAsync(http, tokens.AccessToken)).ToJsonString());
        foreach (var token in (string[])[tokens.AccessToken, renewed.RefreshToken]) text.AppendLine((await http.IntrospectAsync(client, token)).Json.ToJsonString());
        foreach (var answer in (TokenAnswer[])[tokens, renewed]) text.AppendLine(answer.Response.Headers.ToString());
        text.AppendLine((await visitor.GetAsync(Journey.Ask(client, ("id_token_hint", tokens.IdToken), ("prompt", "none"), ("max_age", "0")).Address)).Location); // an error, too

        // What travels encoded: JWTs, codes, refresh tokens, jtis.
        var whole = text.ToString();
        foreach (Match piece in Encoded().Matches(whole))
        {
            if (Jws.Decode(piece.Value) is not { } octets) continue;
            text.AppendLine(Convert.ToHexString(octets)).AppendLine(Encoding.UTF8.GetString(octets));
            foreach (Match inner in Encoded().Matches(Encoding.UTF8.GetString(octets)))
            {
                if (Jws.Decode(inner.Value) is { } more) text.AppendLine(Convert.ToHexString(more));
            }
        }

        return (tokens, text.ToString());
    }

    /// <summary>An id as texts and both orders of octets write it.</summary>
    private static string[] FormsOf(string id) =>
        [id, Guid.ParseExact(id, "N").ToString("D"), Convert.ToHexString(Guid.ParseExact(id, "N").ToByteArray()), Convert.ToBase64String(Guid.ParseExact(id, "N").ToByteArray(bigEndian: true)).TrimEnd('=')];

    private async Task<string> SubAsync(TestClient client, string username = TestConfiguration.Sam) => Sub((await app.ConnectAsync(client, username)).Tokens.IdToken);

    private async Task<SubjectId> PersonAsync(string username) =>
        SubjectId.TryParse(await SubAsync(TestClient.Tally, username), out var person) ? person : throw new FormatException("A public sub was expected.");

    private static string Sub(string jwt) => Claim(jwt, "sub");

    private static string Claim(string jwt, string name) => (string)TokenAnswer.Claims(jwt)[name]!;

    private static async Task<JsonObject> UserInfoAsync(HttpClient http, string accessToken)
    {
        var response = await http.UserInfoAsync(accessToken);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return JsonNode.Parse(await response.Content.ReadAsStringAsync())!.AsObject();
    }

    [GeneratedRegex("[A-Za-z0-9_-]{16,}")]
    private static partial Regex Encoded();
}
