using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Tests.Authorize;
using Grants.Api.Tests.Http;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;

namespace Grants.Api.Tests.Details;

/// <summary>Rich authorization requests over HTTP: RFC 9396.</summary>
public sealed partial class RichRequestTests(AppFixture app) : IClassFixture<AppFixture>, IDisposable
{
    private const string Callback = "https://payer.example/cb";
    private const string Cards = "https://cards.example/api";
    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly string Secret = Witness.Saw("client secret", Journey.Random());
    private static readonly string Payee = Witness.Saw("personal data", "Adalbert Möhrenfeld");
    private static readonly string OtherPayee = Witness.Saw("personal data", "Brunhilde Quastenflosser");
    private readonly AppKey _key = new("ES256");

    public void Dispose() => _key.Dispose();

    private static JsonObject Transfer(string amount = "45.00", string? payee = null, string? location = null)
    {
        var detail = new JsonObject { ["type"] = "transfer", ["amount"] = amount, ["payee"] = payee ?? Payee };
        if (location is not null) detail["locations"] = new JsonArray(location);
        return detail;
    }

    private static string Json(params JsonNode[] details) => new JsonArray([.. details.Select(detail => detail.DeepClone())]).ToJsonString();

    private static void Same(string json, JsonNode? told) => Assert.True(JsonNode.DeepEquals(JsonNode.Parse(json), told), $"{json}\n{told?.ToJsonString()}");

    private async Task<TestClient> ClientAsync(string id, string words = "Pay {amount} GBP to {payee}", params string[] types)
    {
        await app.DeclareAsync(new JsonObject
        {
            ["resources"] = new JsonArray(new JsonObject { ["resource"] = Cards, ["name"] = "Cards", ["scopes"] = new JsonArray() }),
            ["authorization_details_types"] = new JsonArray(new JsonObject
            {
                ["type"] = "transfer",
                ["words"] = words,
                ["risk"] = "Moves money",
                ["schema"] = JsonNode.Parse("""
                    { "type": "object", "required": ["amount", "payee"], "properties": {
                        "amount": { "type": "string", "pattern": "^[0-9]{1,6}[.][0-9]{2}$" }, "payee": { "type": "string", "maxLength": 4100 },
                        "locations": { "type": "array", "items": { "type": "string" } } } }
                    """),
            }),
            ["clients"] = new JsonArray(new JsonObject
            {
                ["client_id"] = id,
                ["client_secret"] = Secret,
                ["client_name"] = "Payer",
                ["redirect_uris"] = new JsonArray(Callback),
                ["grant_types"] = new JsonArray("authorization_code", "refresh_token", "client_credentials"),
                ["scope"] = "openid profile balances offline_access",
                ["authorization_details_types"] = new JsonArray([.. types.Length == 0 ? ["transfer", "payment"] : types]),
                ["grants_checked"] = true,
                ["jwks"] = _key.Jwks(),
                ["request_object_signing_alg"] = "ES256",
            }),
        });
        return new TestClient(id, Secret, Callback, "openid balances offline_access");
    }

    private async Task<(TokenAnswer Tokens, Visitor Visitor)> AllowAsync(TestClient client, string json, string? scope = null, Visitor? visitor = null, string person = TestConfiguration.Sam)
    {
        visitor ??= app.NewVisitor();
        var asked = Journey.Ask(client, ("scope", scope ?? client.Scope), ("authorization_details", json));
        var page = await visitor.AllowAsync(asked, person);
        Assert.True(page.Location is not null && page.Answer.ContainsKey("code"), $"{page.Status} {page.Heading} {page.Location}");
        using var http = app.NewClient();
        return (await http.RedeemAsync(asked, page.Answer["code"]), visitor);
    }

    private async Task<(Visitor Visitor, Page Page, Asked Asked)> AtConsentAsync(TestClient client, string json, string? scope = null, string person = TestConfiguration.Sam)
    {
        var visitor = app.NewVisitor();
        var asked = Journey.Ask(client, ("scope", scope ?? client.Scope), ("authorization_details", json));
        var page = await visitor.SignInAsync(await visitor.GetAsync(asked.Address), person, Journey.PasswordOf(person));
        Assert.True(page.IsAt("/consent/"), $"{page.Status} {page.Heading} {page.Location}");
        return (visitor, page, asked);
    }

    private static string Words(Page page) => WebUtility.HtmlDecode(Space().Replace(Tag().Replace(page.Body, ""), " "));

    private static async Task<TokenAnswer> RefreshAsync(HttpClient http, TestClient client, string token, string? details, string? scope = null) =>
        await http.TokenAsync(client, ("grant_type", "refresh_token"), ("refresh_token", token), ("authorization_details", details), ("scope", scope));

    private static Task<TokenAnswer> RedeemAsync(HttpClient http, Asked asked, string code, string details) => http.TokenAsync(asked.Client,
        ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", asked.Client.RedirectUri), ("code_verifier", asked.Verifier), ("authorization_details", details));

    private static Task<TokenAnswer> OwnAsync(HttpClient http, TestClient client, string? details, string? scope = null) =>
        http.TokenAsync(client, ("grant_type", "client_credentials"), ("authorization_details", details), ("scope", scope));

    [Fact, Trait("Rule", "RR-1"), Trait("Rule", "AZ-16"), Trait("Attack", "R18")]
    public async Task Details_are_said_in_words_beside_the_scopes_and_carried_by_answer_token_and_introspection()
    {
        var client = await ClientAsync("payer");
        var json = Json(Transfer(location: TestConfiguration.Bank));
        var (visitor, page, asked) = await AtConsentAsync(client, json);
        Assert.Contains($"Pay 45.00 GBP to {Payee}", Words(page), StringComparison.Ordinal);
        Assert.Contains("See your account balances", Words(page), StringComparison.Ordinal);
        Assert.Contains("Moves money", Words(page), StringComparison.Ordinal);
        Assert.Contains(TestConfiguration.Bank, Words(page), StringComparison.Ordinal); // all that it says
        Assert.DoesNotContain("It can't: see your password ·", Words(page), StringComparison.Ordinal);

        page = await visitor.SubmitAsync(page, ("decision", "allow"));
        using var http = app.NewClient();
        var tokens = await http.RedeemAsync(asked, page.Answer["code"]);
        Same(json, tokens.Json["authorization_details"]);
        var claims = TokenAnswer.Claims(tokens.AccessToken);
        Same(json, claims["authorization_details"]);
        Assert.Equal("openid balances offline_access", tokens.Scope);
        Assert.Null(TokenAnswer.Claims(tokens.IdToken)["authorization_details"]);
        foreach (var caller in (TestClient[])[client, TestClient.Bank]) Same(json, (await http.IntrospectAsync(caller, tokens.AccessToken)).Json["authorization_details"]);
        Same(json, (await http.IntrospectAsync(client, tokens.RefreshToken)).Json["authorization_details"]);
    }

    [Fact, Trait("Rule", "RR-1")]
    public async Task Details_alone_are_a_request_and_their_place_is_the_audience()
    {
        var client = await ClientAsync("payer-alone");
        var json = Json(Transfer(location: TestConfiguration.Bank));
        var (tokens, _) = await AllowAsync(client, json, scope: "");
        Same(json, tokens.Json["authorization_details"]);
        foreach (var absent in (string[])["scope", "refresh_token", "id_token"]) Assert.False(tokens.Json.ContainsKey(absent), absent);
        var claims = TokenAnswer.Claims(tokens.AccessToken);
        Assert.Equal(TestConfiguration.Bank, (string?)claims["aud"]);
        Assert.False(claims.ContainsKey("scope"));
        using var http = app.NewClient();
        var introspected = (await http.IntrospectAsync(TestClient.Bank, tokens.AccessToken)).Json;
        Assert.True((bool)introspected["active"]!);
        Same(json, introspected["authorization_details"]);
    }

    public static TheoryData<string> Faulty =>
    [
        "", "[", "{}", "[]", "[1]", """[{"amount":"45.00"}]""",
        """[{"type":"unheard","amount":"45.00","payee":"A"}]""",
        """[{"type":"payment","amount":"45.00","currency":"GBP","payee":"A"}]""", // declared, but not this client's
        """[{"type":"transfer","amount":"45.00"}]""",
        """[{"type":"transfer","amount":"45.00","payee":"A","extra":1}]""",
        """[{"type":"transfer","amount":45,"payee":"A"}]""",
        """[{"type":"transfer","amount":"45","payee":"A"}]""",
        """[{"type":"transfer","amount":"45.00\n","payee":"A"}]""",
        """[{"type":"transfer","amount":"45.00","payee":"A","payee":"B"}]""",
        """[{"type":"transfer","amount":"45.00","payee":"A","locations":["https://unheard.example"]}]""",
        """[{"type":"transfer","amount":"45.00","payee":"A","locations":"http://localhost:5300"}]""",
        """[{"type":"transfer","amount":"45.00","payee":"A","actions":["pay"]}]""",
        """[{"type":"transfer","amount":"45.00","payee":"A"},{"type":"unheard"}]""",
        """[{"type":"transfer","amount":"45.00","payee":"A"},{"payee":"A","type":"transfer","amount":"45.00"}]""",
    ];

    [Theory, Trait("Rule", "RR-1"), Trait("Rule", "AZ-16")]
    [MemberData(nameof(Faulty))]
    public async Task What_the_client_may_not_ask_for_or_has_not_the_form_of_its_type_is_refused_at_every_endpoint(string json)
    {
        if (json.Length == 0) json = "[" + new string(' ', 9000) + "]"; // an empty parameter counts as absent
        var client = await ClientAsync("payer-faulty", types: "transfer");
        using var http = app.NewClient();
        var (tokens, visitor) = await AllowAsync(client, Json(Transfer()), person: TestConfiguration.Maya);
        await app.AppendsNothingAsync(async () =>
        {
            var asked = Journey.Ask(client, ("authorization_details", json));
            (await app.NewVisitor().GetAsync(asked.Address)).TellsTheApp("invalid_authorization_details", asked);
            foreach (var answer in (TokenAnswer[])[await http.PushAsync(asked), await OwnAsync(http, client, json), await RefreshAsync(http, client, tokens.RefreshToken, json)])
            {
                Assert.Equal(HttpStatusCode.BadRequest, answer.Response.StatusCode);
                Assert.Equal("invalid_authorization_details", answer.Error);
                Assert.DoesNotContain("unheard", answer.Json.ToJsonString(), StringComparison.Ordinal); // G-4
            }
        });

        var next = Journey.Ask(client, ("authorization_details", Json(Transfer())));
        var code = Witness.Saw("code", (await visitor.GetAsync(next.Address)).Answer["code"]);
        Assert.Equal("invalid_authorization_details", (await RedeemAsync(http, next, code, json)).Error);
        Assert.True((await http.RedeemAsync(next, code)).Ok); // and the code isn't burned
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Attack", "R20")]
    public async Task The_parameter_must_not_repeat()
    {
        var client = await ClientAsync("payer-twice");
        var asked = Journey.Ask(client, ("authorization_details", Json(Transfer())));
        (await app.NewVisitor().GetAsync($"{asked.Address}&authorization_details=%5B%5D")).TellsTheApp("invalid_request", asked);
    }

    [Fact, Trait("Rule", "RR-1")]
    public async Task A_client_without_types_may_ask_for_none()
    {
        var asked = Journey.Ask(TestClient.Poster, ("authorization_details", Json(Transfer())));
        await ClientAsync("payer-other");
        (await app.NewVisitor().GetAsync(asked.Address)).TellsTheApp("invalid_authorization_details", asked);
        using var http = app.NewClient();
        Assert.Equal("invalid_authorization_details", (await OwnAsync(http, TestClient.Report, Json(Transfer()))).Error);
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Attack", "R17")]
    public async Task Only_the_very_same_details_are_not_asked_about_again()
    {
        var client = await ClientAsync("payer-again");
        var (_, visitor) = await AllowAsync(client, Json(Transfer()));
        var before = await app.PositionAsync();
        var (tokens, _) = await AllowAsync(client, """[ { "payee": "Adalbert M\u00f6hrenfeld", "type": "transfer", "amount": "45.00" } ]""", visitor: visitor);
        Same(Json(Transfer()), tokens.Json["authorization_details"]);
        Assert.Contains("authorization.consent_reused", await app.StoryAsync(before));

        foreach (var changed in (JsonObject[])[Transfer("45.01"), Transfer(payee: OtherPayee), Transfer(location: TestConfiguration.Bank)])
        {
            var page = await visitor.GetAsync(Journey.Ask(client, ("authorization_details", Json(changed))).Address);
            Assert.True(page.IsAt("/consent/"), page.Location);
            Assert.Equal("Payer asks for 1 thing more", page.Heading);
            Assert.DoesNotContain($"Pay 45.00 GBP to {Payee}{OtherPayee}", Words(page), StringComparison.Ordinal);
            var silent = Journey.Ask(client, ("authorization_details", Json(changed)), ("prompt", "none"));
            (await visitor.GetAsync(silent.Address)).TellsTheApp("consent_required", silent);
        }

        Assert.True((await visitor.GetAsync(Journey.Ask(client, ("authorization_details", Json(Transfer())), ("prompt", "consent")).Address)).IsAt("/consent/"));
        // Without details the scopes alone count, as ever.
        Assert.True((await visitor.GetAsync(Journey.Ask(client).Address)).Answer.ContainsKey("code"));
    }

    [Fact, Trait("Rule", "RR-1")]
    public async Task A_no_is_a_no_to_all_and_nothing_stands()
    {
        var client = await ClientAsync("payer-denied");
        var (visitor, page, asked) = await AtConsentAsync(client, Json(Transfer()));
        var before = await app.PositionAsync();
        (await visitor.SubmitAsync(page, ("decision", "deny"))).TellsTheApp("access_denied", asked);
        var denied = Assert.IsType<AuthorizationEvent.ConsentDenied>(Assert.Single(await app.EventsAfterAsync(before)).Data);
        var line = Assert.Single(denied.Text.Lines, line => line.Detail is not null);
        Assert.Equal(("transfer", "Pay {amount} GBP to {payee}", 22), (line.Scope, line.Label, line.Detail!.Length));
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Rule", "JAR-1"), Trait("Attack", "R22")]
    public async Task Types_that_must_not_be_changed_on_the_way_are_taken_only_pushed_or_signed()
    {
        var client = await ClientAsync("payer-guarded");
        var json = Json(new JsonObject { ["type"] = "payment", ["amount"] = "45.00", ["currency"] = "GBP", ["payee"] = Payee });
        var plain = Journey.Ask(client, ("authorization_details", json));
        (await app.NewVisitor().GetAsync(plain.Address)).TellsTheApp("invalid_request", plain);

        using var http = app.NewClient();
        var pushed = await http.PushAsync(plain);
        Assert.True(pushed.Ok, pushed.Json.ToJsonString());
        var page = await app.NewVisitor().AllowAsync(plain.By(pushed));
        Same(json, (await http.RedeemAsync(plain, page.Answer["code"])).Json["authorization_details"]);

        var signed = Journey.Ask(client);
        var claims = AppKey.ClaimsOf(signed, app.Clock.GetUtcNow());
        claims["authorization_details"] = JsonNode.Parse(json);
        var jwt = _key.Sign(_key.Header(), claims);
        page = await app.NewVisitor().AllowAsync(signed with { Address = $"/authorize?client_id={client.Id}&request={jwt}&authorization_details=%5B%5D" }, TestConfiguration.Maya);
        Same(json, (await http.RedeemAsync(signed, page.Answer["code"])).Json["authorization_details"]);
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Rule", "TK-3"), Trait("Attack", "T6")]
    public async Task A_token_request_may_narrow_but_not_widen_and_a_refresh_keeps_the_whole()
    {
        var client = await ClientAsync("payer-narrow");
        var (one, two, other) = (Json(Transfer()), Json(Transfer("60.00", OtherPayee)), Json(Transfer("61.00")));
        var both = Json(Transfer(), Transfer("60.00", OtherPayee));
        var (visitor, page, asked) = await AtConsentAsync(client, both);
        page = await visitor.SubmitAsync(page, ("decision", "allow"));
        var code = Witness.Saw("code", page.Answer["code"]);
        using var http = app.NewClient();
        foreach (var wider in (string[])[other, Json(Transfer(), Transfer("61.00")), Json(Transfer("45.0")), """[{"type":"unheard"}]"""])
            Assert.Equal("invalid_authorization_details", (await RedeemAsync(http, asked, code, wider)).Error);

        var tokens = await RedeemAsync(http, asked, code, two);
        Same(two, tokens.Json["authorization_details"]);
        Same(two, TokenAnswer.Claims(tokens.AccessToken)["authorization_details"]);
        Same(both, (await http.IntrospectAsync(client, tokens.RefreshToken)).Json["authorization_details"]);

        var refreshed = await RefreshAsync(http, client, tokens.RefreshToken, null);
        Same(both, refreshed.Json["authorization_details"]);
        Assert.Equal("invalid_authorization_details", (await RefreshAsync(http, client, refreshed.RefreshToken, other)).Error);
        refreshed = await RefreshAsync(http, client, refreshed.RefreshToken, one, "balances");
        Same(one, refreshed.Json["authorization_details"]);
        Assert.Equal("balances", refreshed.Scope);
        Same(both, (await RefreshAsync(http, client, refreshed.RefreshToken, null)).Json["authorization_details"]);

        // Of a family without details nothing can be made that has some.
        var (without, _, _, _) = await app.ConnectAsync(client, TestConfiguration.Maya);
        Assert.False(without.Json.ContainsKey("authorization_details"));
        Assert.Equal("invalid_authorization_details", (await RefreshAsync(http, client, without.RefreshToken, one)).Error);
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Rule", "IN-2"), Trait("Attack", "T7")]
    public async Task Introspection_tells_a_resource_only_the_details_that_are_for_it()
    {
        var client = await ClientAsync("payer-places");
        var (bank, cards, all) = (Transfer("1.00", location: TestConfiguration.Bank), Transfer("2.00", location: Cards), Transfer("3.00"));
        var (tokens, _) = await AllowAsync(client, Json(bank, cards, all), scope: "");
        Assert.Equal([TestConfiguration.Bank, Cards], TokenAnswer.Claims(tokens.AccessToken)["aud"]!.AsArray().Select(audience => (string?)audience).Order(StringComparer.Ordinal));
        using var http = app.NewClient();
        Same(Json(bank, cards, all), (await http.IntrospectAsync(client, tokens.AccessToken)).Json["authorization_details"]);
        Same(Json(bank, all), (await http.IntrospectAsync(TestClient.Bank, tokens.AccessToken)).Json["authorization_details"]);
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Law", "L3"), Trait("Attack", "T23")]
    public async Task Introspection_leaves_out_what_no_longer_stands()
    {
        var client = await ClientAsync("payer-over");
        var (tokens, _) = await AllowAsync(client, Json(Transfer("1.00"), Transfer("2.00")));
        var grant = tokens.Streams().Grant!.Value;
        var first = (await app.EventsAsync(grant)).Select(e => e.Data).OfType<GrantEvent.Created>().Single().Details![0].Mark;
        var now = app.Clock.GetUtcNow();
        await app.AppendAsync(new StreamEvent(grant, new GrantEvent.Widened(Guid.CreateVersion7(now), [], [], now, now.AddDays(90), DetailsOver: [first])));
        using var http = app.NewClient();
        foreach (var token in (string[])[tokens.AccessToken, tokens.RefreshToken]) Same(Json(Transfer("2.00")), (await http.IntrospectAsync(client, token)).Json["authorization_details"]);
        Same(Json(Transfer("2.00")), (await RefreshAsync(http, client, tokens.RefreshToken, null)).Json["authorization_details"]);
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Rule", "RI-1"), Trait("Attack", "R17")]
    public async Task A_token_for_a_named_resource_carries_the_details_that_are_for_it_and_such_a_request_always_asks()
    {
        var client = await ClientAsync("payer-resource");
        var (here, elsewhere, all) = (Transfer("1.00", location: TestConfiguration.Bank), Transfer("2.00", location: Cards), Transfer("3.00"));
        var visitor = app.NewVisitor();
        foreach (var _ in (int[])[1, 2])
        {
            var asked = Journey.Ask(client, ("scope", "openid"), ("resource", TestConfiguration.Bank), ("authorization_details", Json(here, elsewhere, all)));
            var page = await visitor.GetAsync(asked.Address);
            if (page.IsAt("/signin/")) page = await visitor.SignInAsync(page, TestConfiguration.Sam, TestConfiguration.SamPassword);
            Assert.True(page.IsAt("/consent/"), page.Location);
            page = await visitor.SubmitAsync(page, ("decision", "allow"));
            using var http = app.NewClient();
            var tokens = await http.RedeemAsync(asked, page.Answer["code"]);
            Assert.Contains(TestConfiguration.Bank, TokenAnswer.Claims(tokens.AccessToken)["aud"]!.ToJsonString(), StringComparison.Ordinal);
            Assert.DoesNotContain(Cards, TokenAnswer.Claims(tokens.AccessToken)["aud"]!.ToJsonString(), StringComparison.Ordinal);
            Same(Json(here, all), tokens.Json["authorization_details"]);
        }
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Rule", "AT-2")]
    public async Task An_opaque_token_says_its_details_by_introspection_alone()
    {
        const string Vault = "https://vault.example/api";
        await app.DeclareAsync(new JsonObject { ["resources"] = new JsonArray(new JsonObject { ["resource"] = Vault, ["name"] = "Vault", ["scopes"] = new JsonArray(), ["token_format"] = "opaque" }) });
        var client = await ClientAsync("payer-opaque");
        using var http = app.NewClient();
        var json = Json(Transfer(location: Vault));
        foreach (var tokens in (TokenAnswer[])[(await AllowAsync(client, json, scope: "")).Tokens, await OwnAsync(http, client, json)])
        {
            Assert.StartsWith("gra_", tokens.AccessToken, StringComparison.Ordinal);
            Same(json, tokens.Json["authorization_details"]);
            Same(json, (await http.IntrospectAsync(client, tokens.AccessToken)).Json["authorization_details"]);
        }
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Rule", "TK-7")]
    public async Task A_client_gets_details_for_itself()
    {
        var client = await ClientAsync("payer-itself");
        using var http = app.NewClient();
        var json = Json(Transfer(location: TestConfiguration.Bank));
        var tokens = await OwnAsync(http, client, json);
        Same(json, tokens.Json["authorization_details"]);
        Assert.False(tokens.Json.ContainsKey("scope"));
        Assert.Equal(client.Id, (string?)TokenAnswer.Claims(tokens.AccessToken)["sub"]);
        Same(json, (await http.IntrospectAsync(TestClient.Bank, tokens.AccessToken)).Json["authorization_details"]);

        tokens = await OwnAsync(http, client, Json(new JsonObject { ["type"] = "payment", ["amount"] = "45.00", ["currency"] = "GBP", ["payee"] = Payee }), "balances");
        Assert.Equal("balances", tokens.Scope);
        Assert.False((await OwnAsync(http, client, null)).Json.ContainsKey("authorization_details"));
    }

    [Fact, Trait("Law", "L6"), Trait("Attack", "E5")]
    public async Task The_log_keeps_details_sealed_first_under_the_months_key_and_then_under_the_persons()
    {
        var client = await ClientAsync("payer-sealed");
        var before = await app.PositionAsync();
        var (tokens, _) = await AllowAsync(client, Json(Transfer()));
        var person = (string)TokenAnswer.Claims(tokens.AccessToken)["sub"]!;
        var events = (await app.EventsAfterAsync(before)).Select(e => e.Data).ToList();
        var asked = Assert.Single(Assert.Single(events.OfType<AuthorizationEvent.Requested>()).Request.Details!);
        Assert.StartsWith("v1.visitor:", asked.Text.Value, StringComparison.Ordinal);
        var kept = events.OfType<GrantEvent.Created>().Select(e => e.Details).Concat(events.OfType<AuthorizationEvent.CodeIssued>().Select(e => e.Details))
            .Concat(events.OfType<TokenFamilyEvent.AccessTokenIssued>().Select(e => e.Facts!.Details)).Select(details => Assert.Single(details!)).ToList();
        Assert.Equal(3, kept.Count);
        var personal = app.Services.GetRequiredService<PersonalData>();
        foreach (var detail in kept)
        {
            Assert.StartsWith($"v1.person:{person}.", detail.Text.Value, StringComparison.Ordinal);
            Assert.Equal(asked.Mark, detail.Mark);
            Same(Transfer().ToJsonString(), JsonNode.Parse((await personal.OpenAsync(detail.Text))!));
        }

        // Nor does anything else in the log hold it; the scan of the whole database looks for the payee, too.
        Assert.All(events, e => Assert.DoesNotContain("hrenfeld", JsonSerializer.Serialize(e, e.GetType()), StringComparison.Ordinal));
    }

    [Fact, Trait("Attack", "R15"), Trait("Attack", "R18")]
    public async Task An_answer_to_words_that_were_changed_meanwhile_is_asked_for_again()
    {
        var client = await ClientAsync("payer-words");
        var (visitor, page, _) = await AtConsentAsync(client, Json(Transfer()));
        await ClientAsync("payer-words", "Send {amount} GBP to {payee}");
        await app.AppendsNothingAsync(async () =>
        {
            page = await visitor.SubmitAsync(page, ("decision", "allow"));
            Assert.Equal(HttpStatusCode.BadRequest, page.Status);
            Assert.Contains($"Send 45.00 GBP to {Payee}", Words(page), StringComparison.Ordinal);
        });
        Assert.True((await visitor.SubmitAsync(page, ("decision", "allow"))).Answer.ContainsKey("code"));
        await ClientAsync("payer-words");
    }

    [Fact, Trait("Rule", "PAR-5"), Trait("Attack", "C15")]
    public async Task A_type_that_the_client_loses_between_push_and_use_is_refused()
    {
        var client = await ClientAsync("payer-losing");
        var asked = Journey.Ask(client, ("authorization_details", Json(Transfer())));
        using var http = app.NewClient();
        var pushed = await http.PushAsync(asked);
        await ClientAsync("payer-losing", types: "payment");
        (await app.NewVisitor().GetAsync(asked.By(pushed).Address)).TellsTheApp("invalid_authorization_details", asked);
    }

    [Theory, Trait("Attack", "P4"), Trait("Attack", "R18")]
    [InlineData("<script>alert(1)</script>")]
    [InlineData("\"><img src=x onerror=alert(1)>")]
    [InlineData("</bdi></strong></p><form action=https://evil.example>")]
    [InlineData("&lt;b&gt;&#60;b&#62;")]
    [InlineData("{amount}{payee}@(7*7)")]
    [InlineData("A\u202Egnp.exe\u202C B\u2028C\u00A0D")]
    public async Task A_value_is_text_on_every_page(string hostile)
    {
        var client = await ClientAsync("payer-hostile-" + Journey.Random(4));
        var (visitor, page, _) = await AtConsentAsync(client, Json(Transfer(payee: hostile)), person: TestConfiguration.Lin);
        var answer = await visitor.SubmitAsync(page, ("decision", "allow"));
        Assert.True(answer.Answer.ContainsKey("code"));
        await app.CatchUpAsync();
        var list = await visitor.GetAsync("/account/apps");
        var access = await visitor.GetAsync(Access().Match(list.Body).Value);
        Assert.Contains("In particular", access.Body, StringComparison.Ordinal);
        foreach (var shown in (Page[])[page, access])
        {
            Assert.DoesNotMatch("(?i)<(img|b|iframe|script)[\\s/>]", shown.Body);
            Assert.DoesNotContain("evil.example>", shown.Body, StringComparison.Ordinal);
            Assert.DoesNotContain('\u202E', WebUtility.HtmlDecode(shown.Body));
            Assert.DoesNotContain('\u2028', WebUtility.HtmlDecode(shown.Body));
            if (!hostile.Contains('\u202E')) Assert.Contains(hostile, WebUtility.HtmlDecode(shown.Body), StringComparison.Ordinal);
        }
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Attack", "T9")]
    public async Task The_largest_details_still_make_a_token_that_can_be_used()
    {
        var client = await ClientAsync("payer-large");
        using var http = app.NewClient();
        foreach (var character in (string[])["x", "é", "漢", "😀", "\"", "<", "\\"])
        {
            var least = Transfer(payee: "").ToJsonString().Length;
            var each = System.Text.Encoding.UTF8.GetByteCount(JsonSerializer.Serialize(character, Relaxed)) - 2;
            var json = Json(Transfer(payee: string.Concat(Enumerable.Repeat(character, (4096 - least) / each))));
            var tokens = await OwnAsync(http, client, json, "balances");
            Assert.True(tokens.Ok, $"{character} {tokens.Json.ToJsonString()}");
            Same(json, (await http.IntrospectAsync(client, tokens.AccessToken)).Json["authorization_details"]);
            Assert.Equal("invalid_authorization_details", (await OwnAsync(http, client, new JsonArray(Transfer(payee: string.Concat(Enumerable.Repeat(character, 4096 / each + 1)))).ToJsonString(Relaxed))).Error);
        }
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Rule", "MD-2")]
    public async Task Discovery_names_the_types_that_are_declared()
    {
        await ClientAsync("payer");
        var metadata = JsonNode.Parse((await app.NewVisitor().GetAsync("/.well-known/oauth-authorization-server")).Body)!;
        Assert.Equal(["payment", "transfer"], metadata["authorization_details_types_supported"]!.AsArray().Select(type => (string?)type).Order(StringComparer.Ordinal));
        var without = new Grants.Api.Discovery.PublicDocuments(app.Services.GetRequiredService<Settings>()).MetadataOf(Catalogue.Empty);
        Assert.False(JsonNode.Parse(without)!.AsObject().ContainsKey("authorization_details_types_supported")); // RFC 8414 §3.2
    }

    [Theory, Trait("Rule", "RR-1")]
    [InlineData("""{ "authorization_details_types": [ { "type": "two words", "words": "X", "schema": { "type": "object" } } ] }""", "two words")]
    [InlineData("""{ "authorization_details_types": [ { "type": "x", "words": "X" } ] }""", "needs schema")]
    [InlineData("""{ "authorization_details_types": [ { "type": "x", "words": "X", "schema": { "type": "object", "$ref": "#" } } ] }""", "Authorization details type x: schema: the keyword $ref")]
    [InlineData("""{ "authorization_details_types": [ { "type": "x", "words": "Pay {a}", "schema": { "type": "object" } } ] }""", "{a} names no member")]
    [InlineData("""{ "clients": [ { "client_id": "x", "client_name": "X", "grant_types": [], "authorization_details_types": ["transfer", "unheard"] } ] }""", "authorization_details_types names unheard")]
    public async Task A_type_that_cannot_be_is_refused_by_name(string json, string words)
    {
        await ClientAsync("payer");
        await app.AppendsNothingAsync(async () =>
            Assert.Contains(words, (await Assert.ThrowsAsync<SettingsException>(() => app.DeclareAsync(JsonNode.Parse(json)!.AsObject()))).Message, StringComparison.Ordinal));
    }

    [Fact, Trait("Rule", "RR-1")]
    public async Task A_types_history_is_in_the_catalogue()
    {
        await ClientAsync("payer");
        var before = await app.PositionAsync();
        await ClientAsync("payer", "Give {amount} GBP to {payee}");
        await ClientAsync("payer");
        Assert.Equal(["Give {amount} GBP to {payee}", "Pay {amount} GBP to {payee}"], (await app.EventsAfterAsync(before)).Select(e => e.Data).OfType<CatalogueEvent.DetailsTypeDeclared>().Select(e => e.DetailsType.Words));
        Assert.Equal("Moves money", (await app.Services.GetRequiredService<Lookups>().CatalogueAsync(default)).DetailsType("transfer")!.Risk);
    }

    [GeneratedRegex("<[^>]+>")]
    private static partial Regex Tag();

    [GeneratedRegex("\\s+")]
    private static partial Regex Space();

    [GeneratedRegex("/account/apps/[0-9a-f]{32}")]
    private static partial Regex Access();
}
