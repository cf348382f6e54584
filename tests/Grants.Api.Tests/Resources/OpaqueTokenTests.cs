using System.Net;
using System.Text.Json.Nodes;
using Grants.Api.Keys;
using Grants.Api.Tests.Http;
using Grants.Api.Tests.Introspection;
using Grants.Domain.AccessGrants;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;
using static Grants.Api.Tests.Resources.ServicesFixture;

namespace Grants.Api.Tests.Resources;

/// <summary>Access tokens that say nothing to those who carry them, and all to the introspection endpoint (AT-2).</summary>
public sealed class OpaqueTokenTests(ServicesFixture app) : IClassFixture<ServicesFixture>
{
    private const string Form = "^gra_[A-Za-z0-9_-]{55}\\.[A-Za-z0-9_-]{43}$";

    private async Task<(TokenAnswer Tokens, Visitor Visitor)> PersonsAsync(HttpClient http, string username = TestConfiguration.Sam, string scope = "openid vault offline_access", TestClient? client = null)
    {
        var (asked, code, visitor) = await app.CodeForAsync(client ?? Shop, username, scope, Vault);
        return (await http.RedeemAsync(asked, code, Vault), visitor);
    }

    /// <summary>The streams that a token names, as its client is told.</summary>
    private static async Task<AccessTokenId> StreamsAsync(HttpClient http, string token) =>
        AccessTokenId.TryParse((string?)(await http.AssertActiveAsync(Shop, token))["jti"], out var id) ? id : throw new FormatException("Not a jti of this server.");

    [Fact, Trait("Rule", "AT-2"), Trait("Rule", "IN-2"), Trait("Attack", "T16")]
    public async Task A_machines_opaque_token_is_told_to_its_client_and_its_resource_alone()
    {
        using var http = app.NewClient();
        var position = await app.PositionAsync();
        var tokens = await http.ForItselfAsync(Shop, null, Vault);
        Assert.Matches(Form, tokens.AccessToken);
        Assert.Equal(("Bearer", "vault", 300), ((string?)tokens.Json["token_type"], tokens.Scope, (int)tokens.Json["expires_in"]!));
        var issued = Assert.IsType<TokenFamilyEvent.AccessTokenIssued>(Assert.Single(await app.EventsAfterAsync(position)).Data);
        Assert.Equal((TokenFormat.Opaque, Vault), (issued.Form, issued.Audience.Single()));

        foreach (var caller in (TestClient[])[VaultApi, Shop])
        {
            var told = await http.AssertActiveAsync(caller, tokens.AccessToken);
            Assert.Equal(["active", "aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sub", "token_type"], told.Select(member => member.Key).Order());
            Assert.Equal(("shop", "shop", "vault", "Bearer", TestConfiguration.Issuer), ((string?)told["sub"], (string?)told["client_id"], (string?)told["scope"], (string?)told["token_type"], (string?)told["iss"]));
            Assert.Equal([Vault], told["aud"]!.AsArray().Select(one => (string?)one));
            Assert.Equal((issued.At.ToUnixTimeSeconds(), issued.ExpiresAt.ToUnixTimeSeconds()), ((long)told["iat"]!, (long)told["exp"]!));
        }

        foreach (var caller in (TestClient[])[TwinApi, TestClient.Bank, Fenced, TestClient.Tally]) await http.AssertInactiveAsync(caller, tokens.AccessToken);
        await app.AppendsNothingAsync(() => http.AssertActiveAsync(VaultApi, tokens.AccessToken));
    }

    [Fact, Trait("Rule", "AT-2"), Trait("Rule", "IN-2"), Trait("Law", "L8")]
    public async Task A_persons_opaque_token_tells_of_the_sign_in_and_outlives_any_number_of_renewals()
    {
        using var http = app.NewClient();
        var (first, _) = await PersonsAsync(http);
        var idToken = TokenAnswer.Claims(first.IdToken);
        var told = await http.AssertActiveAsync(VaultApi, first.AccessToken);
        foreach (var same in (string[])["sub", "acr", "auth_time"]) Assert.True(JsonNode.DeepEquals(idToken[same], told[same]), same);
        Assert.Equal("vault", (string?)told["scope"]);

        var tokens = first;
        List<string> all = [first.AccessToken];
        for (var i = 0; i < 4; i++)
        {
            tokens = await http.RefreshAsync(Shop, tokens.RefreshToken, null, Vault);
            Assert.Matches(Form, tokens.AccessToken);
            all.Add(tokens.AccessToken);
        }

        Assert.Equal(5, all.Distinct().Count());
        var numbers = new List<int>();
        foreach (var token in all)
        {
            var again = await http.AssertActiveAsync(VaultApi, token);
            Assert.True(JsonNode.DeepEquals(told["sub"], again["sub"]) && JsonNode.DeepEquals(told["acr"], again["acr"]) && JsonNode.DeepEquals(told["auth_time"], again["auth_time"]));
            numbers.Add((await StreamsAsync(http, token)).Number);
        }

        Assert.Equal([1, 2, 3, 4, 5], numbers);
    }

    [Fact, Trait("Rule", "AT-2"), Trait("Rule", "TK-4")]
    public async Task A_repeated_refresh_gets_an_opaque_token_of_its_own()
    {
        using var http = app.NewClient();
        var (tokens, _) = await PersonsAsync(http);
        var (once, twice) = (await http.RefreshAsync(Shop, tokens.RefreshToken, null, Vault), await http.RefreshAsync(Shop, tokens.RefreshToken, null, Vault));
        Assert.Equal(once.RefreshToken, twice.RefreshToken);
        Assert.NotEqual(once.AccessToken, twice.AccessToken);
        Assert.Equal((2, 3), ((await StreamsAsync(http, once.AccessToken)).Number, (await StreamsAsync(http, twice.AccessToken)).Number));

        // Refreshes for other resources in between leave its place as it is.
        var (asked, code, _) = await app.CodeForAsync(Shop, resources: [Bank, Vault]);
        var mixed = await http.RedeemAsync(asked, code, Bank);
        mixed = await http.RefreshAsync(Shop, mixed.RefreshToken, null, Vault);
        var opaque = mixed.AccessToken;
        mixed = await http.RefreshAsync(Shop, mixed.RefreshToken, null, Bank);
        Assert.Equal(Bank, mixed.Audience());
        Assert.Equal("vault", (string?)(await http.AssertActiveAsync(VaultApi, opaque))["scope"]);
    }

    [Fact, Trait("Rule", "AT-2"), Trait("Attack", "C4")]
    public async Task It_ends_with_its_time_and_its_end_is_recorded()
    {
        using var http = app.NewClient();
        var tokens = await http.ForItselfAsync(Shop, null, Vault);
        app.Clock.Advance(TimeSpan.FromSeconds(270));
        await http.AssertActiveAsync(VaultApi, tokens.AccessToken);
        app.Clock.Advance(TimeSpan.FromSeconds(30));
        await http.AssertInactiveAsync(VaultApi, tokens.AccessToken);
        Assert.True(await app.RecordExpiriesAsync() > 0);
        await http.AssertInactiveAsync(VaultApi, tokens.AccessToken);
    }

    [Theory, Trait("Rule", "AT-2"), Trait("Rule", "RV-2"), Trait("Law", "L3"), Trait("Attack", "T23")]
    [InlineData("itself")]
    [InlineData("itself, after renewals")]
    [InlineData("its family")]
    [InlineData("its grant")]
    [InlineData("its client")]
    [InlineData("its scope")]
    public async Task Whatever_it_rests_on_it_ends_with(string what)
    {
        using var http = app.NewClient();
        var client = Shop with { Id = $"ending-{what.Replace(",", "", StringComparison.Ordinal).Replace(' ', '-')}", RedirectUri = "https://ending.example/cb" };
        await app.DeclareClientAsync(App(client));
        var (asked, code, _) = await app.CodeForAsync(client, TestConfiguration.Maya, "openid vault offline_access", Vault);
        var tokens = await http.RedeemAsync(asked, code, Vault);
        Assert.True(AccessTokenId.TryParse((string?)(await http.AssertActiveAsync(client, tokens.AccessToken))["jti"], out var id));
        var now = app.Clock.GetUtcNow();
        switch (what)
        {
            case "itself":
                Assert.Equal(HttpStatusCode.OK, (await http.RevokeAsync(client, tokens.AccessToken)).Response.StatusCode);
                break;
            case "itself, after renewals":
                var renewed = await http.RefreshAsync(client, tokens.RefreshToken, null, Vault);
                Assert.Equal(HttpStatusCode.OK, (await http.RevokeAsync(client, tokens.AccessToken, "refresh_token")).Response.StatusCode);
                renewed = await http.RefreshAsync(client, renewed.RefreshToken, null, Vault);
                await http.AssertActiveAsync(VaultApi, renewed.AccessToken); // it ended alone
                break;
            case "its family":
                Assert.Equal(HttpStatusCode.OK, (await http.RevokeAsync(client, tokens.RefreshToken)).Response.StatusCode);
                break;
            case "its grant":
                await app.AppendAsync(new StreamEvent(id.Grant!.Value, new GrantEvent.Revoked(EndedBy.Person, "a test", now)));
                break;
            case "its client":
                await app.AppendAsync(new StreamEvent(await app.StreamOfAsync(client), new ClientEvent.Suspended("a test", now)));
                break;
            default:
                // What the person takes back it carries no more; there is nothing else in it.
                await app.AppendAsync(new StreamEvent(id.Grant!.Value, new GrantEvent.Narrowed(Guid.CreateVersion7(now), ["vault"], now)));
                Assert.False((await http.AssertActiveAsync(VaultApi, tokens.AccessToken)).ContainsKey("scope"));
                return;
        }

        await http.AssertInactiveAsync(VaultApi, tokens.AccessToken);
    }

    [Fact, Trait("Rule", "AT-2"), Trait("Rule", "RV-1"), Trait("Attack", "T17")]
    public async Task Another_client_can_not_revoke_it_and_a_spent_one_is_no_error()
    {
        using var http = app.NewClient();
        var tokens = await http.ForItselfAsync(Shop, null, Vault);
        (await http.RevokeAsync(VaultApi, tokens.AccessToken)).Refuses("invalid_grant");
        await http.AssertActiveAsync(VaultApi, tokens.AccessToken);
        for (var i = 0; i < 2; i++) Assert.Equal(HttpStatusCode.OK, (await http.RevokeAsync(Shop, tokens.AccessToken)).Response.StatusCode);
        await http.AssertInactiveAsync(Shop, tokens.AccessToken);
    }

    [Fact, Trait("Rule", "AT-2"), Trait("Rule", "UI-1"), Trait("Attack", "T7")]
    public async Task Userinfo_takes_it_only_when_the_issuer_is_in_its_audience()
    {
        using var http = app.NewClient();
        var (asked, code, _) = await app.CodeForAsync(Shop, scope: "openid profile vault offline_access", resources: [Vault]);
        var narrow = await http.RedeemAsync(asked, code, Vault);
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(narrow.AccessToken)).StatusCode);

        var wide = await http.RefreshAsync(Shop, narrow.RefreshToken, null, []);
        Assert.Matches(Form, wide.AccessToken);
        Assert.Equal($"{Vault} {TestConfiguration.Issuer}", ForResources.Audience((await http.AssertActiveAsync(VaultApi, wide.AccessToken))["aud"]));
        var told = JsonNode.Parse(await (await http.UserInfoAsync(wide.AccessToken)).Content.ReadAsStringAsync())!;
        Assert.Equal((TokenAnswer.Claims(wide.IdToken)["sub"]!.ToString(), "Sam Field"), ((string)told["sub"]!, (string)told["name"]!));
        Assert.True((await http.RevokeAsync(Shop, wide.AccessToken)).Response.IsSuccessStatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(wide.AccessToken)).StatusCode);
    }

    [Fact, Trait("Rule", "AT-2"), Trait("Rule", "DP-3"), Trait("Rule", "DP-7"), Trait("Attack", "T4")]
    public async Task One_that_is_bound_to_a_key_says_so_and_is_worth_nothing_without_it()
    {
        using var key = new DpopKey();
        using var other = new DpopKey();
        using var plain = app.NewClient();
        using var bound = app.NewClient(key);
        using var wrong = app.NewClient(other);
        var (asked, code, _) = await app.CodeForAsync(Shop, scope: "openid vault offline_access", resources: [Vault]);
        var tokens = await bound.RedeemAsync(asked, code);
        Assert.Equal("DPoP", (string?)tokens.Json["token_type"]);
        foreach (var token in (string[])[tokens.AccessToken, (await bound.RefreshAsync(Shop, tokens.RefreshToken, null, [])).AccessToken])
        {
            Assert.Matches(Form, token);
            var told = await plain.AssertActiveAsync(VaultApi, token);
            Assert.Equal(("DPoP", key.Thumbprint), ((string?)told["token_type"], (string?)told["cnf"]!["jkt"]));
            Assert.Equal(HttpStatusCode.OK, (await bound.UserInfoAsync(token)).StatusCode);
            Assert.Equal(HttpStatusCode.Unauthorized, (await plain.UserInfoAsync(token)).StatusCode);
            Assert.Equal(HttpStatusCode.Unauthorized, (await wrong.UserInfoAsync(token)).StatusCode);
        }
    }

    [Fact, Trait("Rule", "AT-2"), Trait("Attack", "T7"), Trait("Attack", "T8"), Trait("Attack", "T16")]
    public async Task It_passes_for_nothing_else_and_nothing_else_passes_for_it()
    {
        using var http = app.NewClient();
        var (tokens, _) = await PersonsAsync(http);
        var token = tokens.AccessToken;
        (await http.RefreshAsync(Shop, token, null, [])).Refuses("invalid_grant");
        (await http.RefreshAsync(Shop, "grr_" + token[4..], null, [])).Refuses("invalid_grant");
        (await http.TokenAsync(Shop, ("grant_type", "authorization_code"), ("code", token), ("redirect_uri", Shop.RedirectUri), ("code_verifier", Journey.Random()))).Refuses("invalid_grant");
        var hinted = Journey.Ask(Shop, ("id_token_hint", token));
        (await (await app.SignedInAsync()).GetAsync(hinted.Address)).TellsTheApp("invalid_request", hinted);
        var asserted = await http.PostAsync("/token", token, ("grant_type", "client_credentials"), ("client_id", Shop.Id));
        Assert.Equal((HttpStatusCode.Unauthorized, "invalid_client"), (asserted.Response.StatusCode, asserted.Error));

        foreach (var forged in (string[])["gra_" + tokens.RefreshToken[4..], "gra_", "gra_x.y", token[..^1], token + "A", token[..^1] + (token[^1] == 'A' ? 'B' : 'A'), token[..10] + (token[10] == 'A' ? 'B' : 'A') + token[11..],
            token.ToUpperInvariant(), " " + token, token.Replace('.', '_')])
        {
            foreach (var caller in (TestClient[])[VaultApi, Shop]) await http.AssertInactiveAsync(caller, forged, forged[..4]);
            Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(forged.Trim())).StatusCode);
            Assert.Equal(HttpStatusCode.OK, (await http.RevokeAsync(Shop, forged)).Response.StatusCode);
        }

        await http.AssertActiveAsync(VaultApi, token);
    }

    [Fact, Trait("Rule", "AT-2"), Trait("Attack", "T8")]
    public async Task A_handle_counts_only_with_the_event_of_an_opaque_token_of_that_number()
    {
        using var http = app.NewClient();
        var handles = app.Services.GetRequiredService<SealedHandles>();
        var (asked, code, _) = await app.CodeForAsync(Shop, scope: "openid balances vault offline_access", resources: [Bank, Vault]);
        var jwt = await http.RedeemAsync(asked, code, Bank);
        var opaque = await http.RefreshAsync(Shop, jwt.RefreshToken, null, Vault);
        var (family, grant) = (jwt.Streams().Family, jwt.Streams().Grant);
        var version = (await app.EventsAsync(family)).Single(e => e.Data is TokenFamilyEvent.AccessTokenIssued { Form: TokenFormat.Opaque }).Version;
        Assert.Equal(opaque.AccessToken, handles.Seal(new AccessHandle(new(family, grant, 2), version)));

        // Nobody can seal these; but were there ever two databases under one key, they would still open nothing.
        foreach (var (number, at) in ((int, long)[])[(1, 1), (1, version), (2, 1), (2, version - 1), (2, version + 1), (2, version + 100), (3, version), (2, 0), (2, -1)])
            await http.AssertInactiveAsync(VaultApi, handles.Seal(new AccessHandle(new(family, grant, number), at)));
        await http.AssertInactiveAsync(VaultApi, handles.Seal(new AccessHandle(new(Guid.CreateVersion7(app.Clock.GetUtcNow()), grant, 1), 1)));
        await http.AssertInactiveAsync(VaultApi, handles.Seal(new AccessHandle(new(family, null, 2), version)));
    }
}
