using System.Net;
using System.Text.Json.Nodes;
using Grants.Api.Tests.Authorize;
using Grants.Api.Tests.Http;
using Grants.Api.Tests.Introspection;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Testing;
using static Grants.Api.Tests.Resources.ServicesFixture;

namespace Grants.Api.Tests.Resources;

/// <summary>Resource indicators over HTTP: RFC 8707.</summary>
public sealed class ResourceTests(ServicesFixture app) : IClassFixture<ServicesFixture>
{
    private const string Issuer = TestConfiguration.Issuer;

    public static TheoryData<string> NotToBeHad =>
        ["twin.example", "/v1", "https:", "https://twin.example#part", "https://twin.example#", "https://twin.example/", "http://twin.example", "https://twin.example/a b", "https://twin.example https://ledger.example/v1",
         "https://ledger.example/V1", "https://unheard.example", "not a uri", TestConfiguration.Issuer, new string('x', 3000)];

    // What a token is for

    [Fact, Trait("Rule", "RI-1"), Trait("Rule", "MC-3"), Trait("Attack", "S8"), Trait("Attack", "T7")]
    public async Task A_token_for_one_server_is_for_it_alone_and_refused_at_another()
    {
        using var http = app.NewClient();
        var (asked, code, _) = await app.CodeForAsync(Shop, resources: [Bank, Twin]);
        var tokens = await http.RedeemAsync(asked, code, Twin);
        Assert.Equal((Twin, "balances twin"), (tokens.Audience(), tokens.Scope));
        Assert.Equal("balances twin", (string?)TokenAnswer.Claims(tokens.AccessToken)["scope"]);
        Assert.Equal("shop", (string?)TokenAnswer.Claims(tokens.IdToken)["aud"]); // openid was granted, though this token says nothing of it

        await http.AssertActiveAsync(TwinApi, tokens.AccessToken);
        await http.AssertActiveAsync(Shop, tokens.AccessToken);
        await http.AssertInactiveAsync(TestClient.Bank, tokens.AccessToken);
        await http.AssertInactiveAsync(LedgerApi, tokens.AccessToken);
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
    }

    [Fact, Trait("Rule", "RI-1"), Trait("Rule", "TK-3"), Trait("Attack", "T6")]
    public async Task Each_refresh_may_name_others_of_the_granted_resources_and_loses_none()
    {
        using var http = app.NewClient();
        var (asked, code, _) = await app.CodeForAsync(Shop, resources: [Bank, Twin, Ledger]);
        var tokens = await http.RedeemAsync(asked, code, Bank);
        Assert.Equal((Bank, "balances"), (tokens.Audience(), tokens.Scope));
        tokens = await http.RefreshAsync(Shop, tokens.RefreshToken, null, Ledger);
        Assert.Equal((Ledger, "ledger"), (tokens.Audience(), tokens.Scope));
        tokens = await http.RefreshAsync(Shop, tokens.RefreshToken, null, Twin, Bank);
        Assert.Equal(($"{Twin} {Bank}", "balances twin"), (tokens.Audience(), tokens.Scope));
        tokens = await http.RefreshAsync(Shop, tokens.RefreshToken, "balances", Twin);
        Assert.Equal((Twin, "balances"), (tokens.Audience(), tokens.Scope));

        var before = tokens.RefreshToken;
        (await http.RefreshAsync(Shop, before, null, Vault)).Refuses("invalid_target"); // known, and may be had, but wasn't granted
        (await http.RefreshAsync(Shop, before, null, Twin, Vault)).Refuses("invalid_target");
        (await http.RefreshAsync(Shop, before, "openid", Twin)).Refuses("invalid_scope");
        (await http.RefreshAsync(Shop, before, "openid vault", Twin)).Refuses("invalid_scope");
        tokens = await http.RefreshAsync(Shop, before, null, []);
        Assert.Equal(($"{Bank} {Twin} {Issuer}", "openid profile balances twin offline_access"), (tokens.Audience(), tokens.Scope)); // the ledger wants another algorithm
        Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
    }

    [Fact, Trait("Rule", "RI-1"), Trait("Rule", "AT-1")]
    public async Task A_token_request_may_name_a_resource_that_the_authorization_did_not_but_whose_scopes_it_granted()
    {
        using var http = app.NewClient();
        var (asked, code, _) = await app.CodeForAsync(Shop, scope: "openid balances offline_access");
        (await http.RedeemAsync(asked, code, Ledger)).Refuses("invalid_target");
        (await http.RedeemAsync(asked, code, Bank, Ledger)).Refuses("invalid_target");
        var tokens = await http.RedeemAsync(asked, code, Twin);
        Assert.Equal((Twin, "balances"), (tokens.Audience(), tokens.Scope));
        tokens = await http.RefreshAsync(Shop, tokens.RefreshToken, null, []);
        Assert.Equal(($"{Bank} {Twin} {Issuer}", "openid balances offline_access"), (tokens.Audience(), tokens.Scope));
    }

    [Theory, Trait("Rule", "RI-1")]
    [InlineData("HTTPS://TWIN.EXAMPLE", Twin)]
    [InlineData("https://Ledger.Example/v1", Ledger)]
    [InlineData("HTTP://LocalHost:5300", Bank)]
    public async Task Capitals_in_scheme_and_host_make_no_difference(string named, string audience)
    {
        using var http = app.NewClient();
        Assert.Equal(audience, (await http.ForItselfAsync(Shop, null, named)).Audience());
        var (asked, code, _) = await app.CodeForAsync(Shop, resources: [named]);
        Assert.Equal(audience, (await http.RedeemAsync(asked, code, audience)).Audience());
    }

    // What is refused

    [Theory, Trait("Rule", "RI-1"), Trait("Attack", "T6")]
    [MemberData(nameof(NotToBeHad))]
    public async Task A_resource_that_is_malformed_or_unknown_is_invalid_target_everywhere_and_uses_nothing_up(string resource)
    {
        using var http = app.NewClient();
        var visitor = await app.SignedInAsync();
        var asked = Journey.Ask(Shop);
        (await visitor.GetAsync(asked.For(resource).Address)).TellsTheApp("invalid_target", asked);
        (await visitor.GetAsync(asked.For(Bank, resource).Address)).TellsTheApp("invalid_target", asked);
        (await http.PushAsync(asked.For(resource))).Refuses("invalid_target");
        (await http.ForItselfAsync(Shop, null, resource)).Refuses("invalid_target");
        (await http.ForItselfAsync(Shop, null, Bank, resource)).Refuses("invalid_target");

        var (other, code, _) = await app.CodeForAsync(Shop, resources: [Bank]);
        (await http.RedeemAsync(other, code, resource)).Refuses("invalid_target");
        var tokens = await http.RedeemAsync(other, code, Bank);
        (await http.RefreshAsync(Shop, tokens.RefreshToken, null, resource)).Refuses("invalid_target");
        Assert.True((await http.RefreshAsync(Shop, tokens.RefreshToken, null, Bank)).Ok);
    }

    [Fact, Trait("Rule", "RI-1"), Trait("Attack", "S8")]
    public async Task A_resource_that_is_not_on_the_clients_list_is_invalid_target_and_in_no_audience()
    {
        using var http = app.NewClient();
        var asked = Journey.Ask(Fenced);
        (await (await app.SignedInAsync()).GetAsync(asked.For(Twin).Address)).TellsTheApp("invalid_target", asked);
        (await http.PushAsync(asked.For(Twin))).Refuses("invalid_target");
        (await http.ForItselfAsync(Fenced, "balances", Twin)).Refuses("invalid_target");
        Assert.Equal(Bank, (await http.ForItselfAsync(Fenced, "balances", Bank)).Audience());
        Assert.Equal(Bank, (await http.ForItselfAsync(Fenced, "balances")).Audience()); // the twin understands it, too
        var (named, code, _) = await app.CodeForAsync(Fenced, scope: "openid balances");
        (await http.RedeemAsync(named, code, Twin)).Refuses("invalid_target");
        Assert.Equal($"{Bank} {Issuer}", (await http.RedeemAsync(named, code)).Audience());
    }

    [Fact, Trait("Rule", "RI-1"), Trait("Rule", "AZ-5")]
    public async Task A_scope_that_no_named_resource_understands_is_left_out_and_if_none_is_left_that_is_invalid_scope()
    {
        using var http = app.NewClient();
        var visitor = await app.SignedInAsync(TestConfiguration.Maya);
        var asked = Journey.Ask(Shop, ("scope", "ledger openid")).For(Bank);
        (await visitor.GetAsync(asked.Address)).TellsTheApp("invalid_scope", asked);
        (await http.PushAsync(asked)).Refuses("invalid_scope");
        (await http.ForItselfAsync(Shop, "ledger", Bank)).Refuses("invalid_scope");
        Assert.Equal("balances", (await http.ForItselfAsync(Shop, "ledger balances", Bank)).Scope);
        Assert.Equal("balances twin", (await http.ForItselfAsync(Shop, null, Twin)).Scope);

        var (partly, code, _) = await app.CodeForAsync(Shop, TestConfiguration.Maya, "openid profile ledger balances", Bank);
        var tokens = await http.RedeemAsync(partly, code);
        Assert.Equal(($"{Bank} {Issuer}", "openid profile balances"), (tokens.Audience(), tokens.Scope)); // profile is the issuer's
    }

    [Fact, Trait("Rule", "RI-1"), Trait("Rule", "G-3")]
    public async Task Resource_alone_may_repeat_and_an_empty_one_is_none()
    {
        using var http = app.NewClient();
        Assert.Equal($"{Bank} {Twin}", (await http.ForItselfAsync(Shop, "balances", "", Bank, "", Twin)).Audience());
        Assert.Equal($"{Bank} {Twin}", (await http.ForItselfAsync(Shop, "balances", "", "")).Audience());
        (await http.TokenAsync(Shop, ("grant_type", "client_credentials"), ("scope", "balances"), ("scope", "twin"))).Refuses("invalid_request");
    }

    // How it is asked for

    [Theory, Trait("Rule", "RI-1"), Trait("Rule", "JAR-1"), Trait("Rule", "PAR-1")]
    [InlineData("text")]
    [InlineData("list")]
    [InlineData("list of one")]
    [InlineData("pushed parameters")]
    [InlineData("pushed object")]
    public async Task It_may_be_asked_for_in_each_way_that_a_request_travels(string way)
    {
        using var key = new AppKey("ES256");
        var client = Shop with { Id = $"signing-{way.Replace(' ', '-')}", RedirectUri = "https://signing.example/cb" };
        var registered = App(client);
        registered["jwks"] = key.Jwks();
        registered["request_object_signing_alg"] = "ES256";
        await app.DeclareClientAsync(registered);

        using var http = app.NewClient();
        var asked = Journey.Ask(client, ("scope", "openid balances twin"));
        string[] resources = way is "text" or "list of one" ? [Twin] : [Twin, Bank];
        var claims = AppKey.ClaimsOf(asked, app.Clock.GetUtcNow());
        claims["resource"] = way == "text" ? Twin : new JsonArray([.. resources.Select(uri => JsonValue.Create(uri))]);
        var jwt = key.Sign(key.Header(), claims);
        var sent = way switch
        {
            "pushed parameters" => asked.By(await http.PushAsync(asked.For(resources))),
            "pushed object" => asked.By(await http.PushAsync(asked with { Address = $"/authorize?client_id={client.Id}&request={jwt}" })),
            _ => asked with { Address = $"/authorize?client_id={client.Id}&request={jwt}&resource=https://evil.example" }, // what stands beside it doesn't count
        };
        var page = await app.NewVisitor().AllowAsync(sent);
        var tokens = await http.RedeemAsync(asked, page.Answer["code"]);
        Assert.Equal((way is "text" or "list of one" ? $"{Twin} {Issuer}" : $"{Bank} {Twin} {Issuer}", "openid balances twin"), (tokens.Audience(), tokens.Scope));

        foreach (var wrong in (JsonNode[])["https://unheard.example", new JsonArray(Twin, "https://unheard.example"), new JsonArray(Twin, 1), 1, new JsonObject()])
        {
            claims["resource"] = wrong;
            (await (await app.SignedInAsync()).GetAsync($"/authorize?client_id={client.Id}&request={key.Sign(key.Header(), claims)}")).TellsTheApp("invalid_target", asked);
        }
    }

    // Consent

    [Fact, Trait("Rule", "RI-1"), Trait("Attack", "R17"), Trait("Attack", "R18"), Trait("Rule", "AZ-10")]
    public async Task A_resource_that_is_new_to_the_person_is_asked_about_by_name_and_then_remembered()
    {
        var client = Shop with { Id = "remembered", RedirectUri = "https://remembered.example/cb" };
        await app.DeclareClientAsync(App(client));
        var visitor = await app.SignedInAsync(TestConfiguration.Lin);
        Asked Ask(string? prompt, params string[] resources) => Journey.Ask(client, ("scope", "openid balances"), ("prompt", prompt)).For(resources);

        var page = await visitor.GetAsync(Ask(null, Bank).Address);
        Assert.True(page.IsAt("/consent/"));
        Assert.Contains("Only at", page.Body, StringComparison.Ordinal);
        Assert.Contains("<bdi>Demo Bank</bdi>", page.Body, StringComparison.Ordinal);
        Assert.DoesNotContain("Twin", page.Body, StringComparison.Ordinal);
        var position = await app.PositionAsync();
        Assert.True((await visitor.SubmitAsync(page, ("decision", "allow"))).Answer.ContainsKey("code"));
        var created = (await app.EventsAfterAsync(position)).Select(e => e.Data).OfType<GrantEvent.Created>().Single();
        Assert.Equal([new ScopeLimit("balances", [Bank])], created.Limits!);
        var consent = (await app.EventsAfterAsync(position)).Select(e => e.Data).OfType<AuthorizationEvent.ConsentGranted>().Single();
        Assert.Contains(new ConsentLine(Bank, "Only at Demo Bank", "needed"), consent.Text.Lines);

        Assert.True((await visitor.GetAsync(Ask("none", Bank).Address)).Answer.ContainsKey("code"));
        foreach (var resources in (string[][])[[Twin], [Bank, Twin], []])
        {
            var wider = Ask("none", resources);
            (await visitor.GetAsync(wider.Address)).TellsTheApp("consent_required", wider);
        }

        page = await visitor.GetAsync(Ask(null, Twin).Address);
        Assert.True(page.IsAt("/consent/"));
        Assert.Contains("<bdi>Twin</bdi>", page.Body, StringComparison.Ordinal);
        Assert.True((await visitor.SubmitAsync(page, ("decision", "allow"))).Answer.ContainsKey("code"));
        Assert.True((await visitor.GetAsync(Ask("none", Twin, Bank).Address)).Answer.ContainsKey("code"));
        var everywhere = Ask("none");
        (await visitor.GetAsync(everywhere.Address)).TellsTheApp("consent_required", everywhere);

        // Allowed without naming one, it is allowed everywhere.
        Assert.True((await visitor.AllowAsync(Ask(null))).Answer.ContainsKey("code"));
        Assert.True((await visitor.GetAsync(Ask("none").Address)).Answer.ContainsKey("code"));
        Assert.True((await visitor.GetAsync(Ask("none", Bank).Address)).Answer.ContainsKey("code"));
    }

    // Rights that shrink

    [Fact, Trait("Rule", "RI-1"), Trait("Rule", "PAR-5"), Trait("Attack", "C15")]
    public async Task A_client_whose_list_became_shorter_gets_no_token_for_what_is_off_it()
    {
        var client = Shop with { Id = "tightened", RedirectUri = "https://tightened.example/cb" };
        await app.DeclareClientAsync(App(client, Bank, Twin));
        using var http = app.NewClient();
        var asked = Journey.Ask(client, ("scope", "openid balances twin offline_access")).For(Bank, Twin);
        var pushed = await http.PushAsync(asked);
        var (redeemed, first, _) = await app.CodeForAsync(client, scope: "openid balances twin offline_access", resources: [Bank, Twin]);
        var tokens = await http.RedeemAsync(redeemed, first);
        var (other, code, _) = await app.CodeForAsync(client, scope: "openid balances twin offline_access", resources: [Bank, Twin]);

        await app.DeclareClientAsync(App(client, Bank));
        (await (await app.SignedInAsync()).GetAsync(asked.By(pushed).Address)).TellsTheApp("invalid_target", asked);
        (await http.RedeemAsync(other, code, Twin)).Refuses("invalid_target");
        (await http.RefreshAsync(client, tokens.RefreshToken, null, Twin)).Refuses("invalid_target");
        var left = await http.RefreshAsync(client, tokens.RefreshToken, null, []);
        Assert.Equal(($"{Bank} {Issuer}", "openid balances offline_access"), (left.Audience(), left.Scope));
        Assert.Equal(Bank, (await http.RedeemAsync(other, code, Bank)).Audience());
    }

    // How a token is written

    [Fact, Trait("Rule", "RI-1"), Trait("Rule", "AT-1"), Trait("Rule", "MD-3")]
    public async Task A_token_is_signed_with_the_algorithm_that_its_resource_wants()
    {
        using var http = app.NewClient();
        var tokens = await http.ForItselfAsync(Shop, null, Ledger);
        var header = TokenAnswer.HeaderOf(tokens.AccessToken);
        Assert.Equal(("RS256", "at+jwt"), ((string?)header["alg"], (string?)header["typ"]));
        var keys = JsonNode.Parse(await http.GetStringAsync("/jwks"))!["keys"]!.AsArray();
        Assert.Equal("RS256", (string?)keys.Single(key => (string?)key!["kid"] == (string?)header["kid"])!["alg"]);
        await http.AssertActiveAsync(LedgerApi, tokens.AccessToken);
        await http.AssertInactiveAsync(TwinApi, tokens.AccessToken);
        Assert.Equal("ES256", (string?)TokenAnswer.HeaderOf((await http.ForItselfAsync(Shop, null, Bank)).AccessToken)["alg"]);
    }

    [Fact, Trait("Rule", "RI-1"), Trait("Rule", "AT-2")]
    public async Task Resources_that_want_different_kinds_of_token_get_no_common_one()
    {
        using var http = app.NewClient();
        foreach (var named in (string[][])[[Bank, Ledger], [Vault, Bank], [Ledger, Vault]]) (await http.ForItselfAsync(Shop, null, named)).Refuses("invalid_target");

        // Where none is named, the plainest kind is chosen, and the token carries nothing for the others.
        var tokens = await http.ForItselfAsync(Shop, null);
        Assert.Equal(($"{Bank} {Twin}", "profile balances twin"), (tokens.Audience(), tokens.Scope));
        tokens = await http.ForItselfAsync(Shop, "ledger vault");
        Assert.Equal((Ledger, "ledger"), (tokens.Audience(), tokens.Scope));
    }
}
