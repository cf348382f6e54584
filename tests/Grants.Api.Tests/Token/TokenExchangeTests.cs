using System.Buffers.Text;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Grants.Api.Account;
using Grants.Api.Tests.Http;
using Grants.Api.Tests.Introspection;
using Grants.Domain.AccessGrants;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;
using static Grants.Api.Tests.Token.Exchanging;

namespace Grants.Api.Tests.Token;

/// <summary>A server with services that exchange tokens.</summary>
public sealed class ExchangeApp : GrantsApp, IAsyncLifetime
{
    public async ValueTask InitializeAsync()
    {
        await StartAsync();
        await this.DeclareExchangesAsync();
    }
}

/// <summary>Token exchange over HTTP: RFC 8693.</summary>
public sealed class TokenExchangeTests(ExchangeApp app) : IClassFixture<ExchangeApp>
{
    [Fact, Trait("Rule", "TK-10"), Trait("Rule", "IN-2"), Trait("Attack", "T18"), Trait("Law", "L11")]
    public async Task A_service_gets_a_token_for_the_person_and_token_introspection_and_log_say_who_acts()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var own = await http.OwnTokenAsync(Service);
        var (shown, position) = (TokenAnswer.Claims(tokens.AccessToken), await app.PositionAsync());
        app.Clock.Advance(TimeSpan.FromSeconds(20));
        var answer = await http.ExchangeAsync(Service, tokens.AccessToken, ("actor_token", own), ("actor_token_type", AccessToken), ("audience", Ledger), ("scope", "balances"));

        Assert.True(answer.Ok, answer.Json.ToJsonString());
        Assert.Equal(["access_token", "expires_in", "issued_token_type", "scope", "token_type"], answer.Json.Select(member => member.Key).Order());
        Assert.Equal(("Bearer", "balances", AccessToken), ((string?)answer.Json["token_type"], answer.Scope, (string?)answer.Json["issued_token_type"]));
        Assert.InRange((int)answer.Json["expires_in"]!, 1, 280);
        Assert.Contains("no-store", answer.Response.Headers.CacheControl!.ToString(), StringComparison.Ordinal);
        var claims = TokenAnswer.Claims(answer.AccessToken);
        Assert.Equal(("service", Ledger), ((string?)claims["client_id"], (string?)claims["aud"]));
        foreach (var same in (string[])["iss", "sub", "auth_time", "acr", "amr", "exp"]) Assert.True(JsonNode.DeepEquals(shown[same], claims[same]), same);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse("""{"sub":"service","client_id":"service"}"""), claims["act"]), claims.ToJsonString());

        var told = (await http.IntrospectAsync(Keeper, answer.AccessToken)).Json;
        Assert.True((bool)told["active"]!, told.ToJsonString());
        foreach (var same in (string[])["sub", "client_id", "act", "exp", "scope"]) Assert.True(JsonNode.DeepEquals(claims[same], told[same]), same);

        // One commit, which the exchanged token led to.
        var events = await app.EventsAfterAsync(position);
        Assert.Equal(["token_family.access_token_issued", "token_family.token_exchanged"], events.Select(e => e.EventTypeName));
        var subject = tokens.Streams();
        Assert.All(events, e => Assert.Equal(("client:service", answer.Streams().Family), (e.UserName, e.StreamId)));
        Assert.Equal((await app.EventsAsync(subject.Family))[^1].Id.ToString(), events[0].CausationId);
        Assert.True(AccessTokenId.TryParse((string?)TokenAnswer.Claims(own)["jti"], out var actor));
        var exchanged = Assert.IsType<TokenFamilyEvent.TokenExchanged>(events[1].Data);
        Assert.Equal(new TokenFamilyEvent.TokenExchanged(AccessToken, [new(subject.Family, subject.Number, new("tally"))], new(actor.Family, 1, new("service")), exchanged.At), exchanged);
        Assert.Equal(subject.Grant, answer.Streams().Grant);

        await app.CatchUpAsync();
        var row = Assert.Single(await app.Services.GetRequiredService<AccessViews>().TokensAsync("where family = $1", [answer.Streams().Family], default));
        Assert.Equal(("service", "service", (string?)shown["sub"], subject.Grant), (row.Client, row.Actors, row.Subject, row.Grant));
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "S9")]
    public async Task Each_further_service_puts_itself_around_those_before_it()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var first = await http.DelegateAsync(Service, tokens.AccessToken, ("audience", Ledger));
        var second = await http.DelegateAsync(Keeper, first.AccessToken, ("requested_token_type", Jwt));
        Assert.True(second.Ok, second.Json.ToJsonString());
        Assert.Equal((Jwt, "Bearer"), ((string?)second.Json["issued_token_type"], (string?)second.Json["token_type"]));
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse("""{"sub":"keeper","client_id":"keeper","act":{"sub":"service","client_id":"service"}}"""), TokenAnswer.Claims(second.AccessToken)["act"]));
        var told = (await http.IntrospectAsync(TestClient.Bank, second.AccessToken)).Json;
        Assert.True(JsonNode.DeepEquals(TokenAnswer.Claims(second.AccessToken)["act"], told["act"]), told.ToJsonString());
        var parents = (await app.EventsAsync(second.Streams().Family)).Select(e => e.Data).OfType<TokenFamilyEvent.TokenExchanged>().Single().Parents;
        Assert.Equal([first.Streams().Family, tokens.Streams().Family], parents.Select(parent => parent.Family));
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "S9"), Trait("Attack", "T18")]
    public async Task A_chain_ends_after_four_and_an_unnamed_link_hides_nobody()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var link = await http.DelegateAsync(Service, tokens.AccessToken);
        for (var depth = 2; depth <= 4; depth++)
        {
            link = await http.ExchangeAsync(Proxy, link.AccessToken);
            Assert.True(link.Ok, link.Json.ToJsonString());
            Assert.Equal("service", (string?)TokenAnswer.Claims(link.AccessToken)["act"]!["sub"]);
        }

        await app.AppendsNothingAsync(async () => TokenEndpointTests.AssertError(await http.ExchangeAsync(Proxy, link.AccessToken), "invalid_request"));
    }

    public static TheoryData<string, string, string> WrongFields => new()
    {
        // fields beside a good subject_token of Tally's, those that are taken away, error
        { "", "subject_token", "invalid_request" },
        { "", "subject_token_type", "invalid_request" },
        { "subject_token=", "", "invalid_request" },
        { "subject_token_type=urn:ietf:params:oauth:token-type:refresh_token", "", "invalid_request" },
        { "subject_token_type=urn:ietf:params:oauth:token-type:saml2", "", "invalid_request" },
        { "subject_token_type=access_token", "", "invalid_request" },
        { "subject_token_type=urn:ietf:params:oauth:token-type:id_token", "", "invalid_request" }, // it is none
        { "actor_token=x", "actor_token_type", "invalid_request" },
        { "", "actor_token", "invalid_request" }, // the type alone
        { "", "actor_token actor_token_type", "invalid_request" }, // T18: unnamed, without a rule that permits it
        { "actor_token=x", "", "invalid_request" },
        { "actor_token_type=urn:ietf:params:oauth:token-type:id_token", "", "invalid_request" },
        { "requested_token_type=urn:ietf:params:oauth:token-type:refresh_token", "", "invalid_request" },
        { "requested_token_type=urn:ietf:params:oauth:token-type:id_token", "", "invalid_request" },
        { "requested_token_type=jwt", "", "invalid_request" },
        { "resource=https://unheard.example", "", "invalid_target" },
        { "resource=not a uri", "", "invalid_target" },
        { "resource=https://ledger.example#part", "", "invalid_target" },
        { "resource=https://ledger.example/", "", "invalid_target" },
        { "audience=keeper", "", "invalid_target" },
        { "audience=https://ledger.example&resource=https://unheard.example", "", "invalid_target" },
        { "audience=https://ledger.example&audience=https://unheard.example", "", "invalid_target" },
        { "audience=https://ledger.example&scope=openid", "", "invalid_target" },
        { "scope=payments", "", "invalid_scope" }, // the rule has it, the person didn't allow it
        { "scope=email", "", "invalid_scope" }, // allowed, but not by the rule
        { "scope=offline_access", "", "invalid_scope" },
        { "scope=balances payees", "", "invalid_scope" },
        { "scope=bal\"ances", "", "invalid_scope" },
        { "scope=balances&scope=balances", "", "invalid_request" },
        { "subject_token_type=urn:ietf:params:oauth:token-type:access_token&subject_token_type=urn:ietf:params:oauth:token-type:jwt", "", "invalid_request" },
    };

    [Theory, Trait("Rule", "TK-10"), Trait("Rule", "RI-1"), Trait("Attack", "T18"), Trait("Attack", "T6")]
    [MemberData(nameof(WrongFields))]
    public async Task A_wrong_request_gets_its_error_and_leaves_no_event(string with, string without, string error)
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var fields = with.Split('&', StringSplitOptions.RemoveEmptyEntries).Select(pair => pair.Split('=', 2)).Select(pair => (pair[0], (string?)pair[1]));
        (string, string?)[] more = [.. fields, .. without.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(name => (name, (string?)null))];
        var own = await http.OwnTokenAsync(Service);
        (string Name, string? Value)[] actor = [.. ((string, string?)[])[("actor_token", own), ("actor_token_type", AccessToken)]];
        await app.AppendsNothingAsync(async () =>
            TokenEndpointTests.AssertError(await http.ExchangeAsync(Service, tokens.AccessToken, [.. actor.Where(field => !more.Any(other => other.Item1 == field.Name)), .. more]), error));
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Rule", "RI-1")]
    public async Task Audience_and_resource_may_stand_several_times_and_beside_each_other()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var answer = await http.DelegateAsync(Service, tokens.AccessToken, ("audience", Ledger), ("resource", TestConfiguration.Bank), ("resource", Ledger));
        Assert.Equal([Ledger, TestConfiguration.Bank], TokenAnswer.Claims(answer.AccessToken)["aud"]!.AsArray().Select(value => (string?)value).Order(StringComparer.Ordinal).Reverse());
        Assert.Equal("balances", answer.Scope);

        // Without, for all that the rule names and that understands something of it.
        var all = await http.DelegateAsync(Service, tokens.AccessToken);
        Assert.Equal([TestConfiguration.Issuer, TestConfiguration.Bank, Ledger], TokenAnswer.Claims(all.AccessToken)["aud"]!.AsArray().Select(value => (string?)value).Order(StringComparer.Ordinal));
        Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(all.AccessToken)).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(answer.AccessToken)).StatusCode);
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T18"), Trait("Attack", "S8")]
    public async Task Whose_token_it_is_and_whom_it_was_meant_for_decides_who_may_exchange_it()
    {
        using var http = app.NewClient();
        var (tally, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var (poster, _, _, _) = await app.ConnectAsync(TestClient.Poster, TestConfiguration.Maya);
        await app.AppendsNothingAsync(async () =>
        {
            TokenEndpointTests.AssertError(await http.ExchangeAsync(Onlooker, tally.AccessToken), "invalid_request"); // a rule, but no business with it
            TokenEndpointTests.AssertError(await http.ExchangeAsync(Proxy, poster.AccessToken), "invalid_request"); // meant for it, but no rule
            TokenEndpointTests.AssertError(await http.ExchangeAsync(TestClient.Tally, tally.AccessToken), "unauthorized_client");
            TokenEndpointTests.AssertError(await http.ExchangeAsync(TestClient.BrowserApp, tally.AccessToken), "unauthorized_client");
            TokenEndpointTests.AssertError(await http.ExchangeAsync(Proxy with { Secret = "wrong" }, tally.AccessToken), "invalid_client", HttpStatusCode.Unauthorized, "Basic realm=\"grants\"");
        });

        // Somebody else's token proves nobody's acting.
        var other = await http.OwnTokenAsync(Keeper);
        await app.AppendsNothingAsync(async () => TokenEndpointTests.AssertError(await http.ExchangeAsync(Service, tally.AccessToken, ("actor_token", other), ("actor_token_type", AccessToken)), "invalid_request"));
        // A client's token for itself is nobody's to act for.
        await app.AppendsNothingAsync(async () => TokenEndpointTests.AssertError(await http.ExchangeAsync(Proxy, await OwnAsync()), "invalid_request"), allow: "token_family.access_token_issued");

        async Task<string> OwnAsync() => await http.OwnTokenAsync(Proxy);
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T18")]
    public async Task An_app_says_in_its_tokens_who_alone_may_act_with_them()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(Portal);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse("""{"sub":"service"}"""), TokenAnswer.Claims(tokens.AccessToken)["may_act"]));
        await app.AppendsNothingAsync(async () => TokenEndpointTests.AssertError(await http.ExchangeAsync(Proxy, tokens.AccessToken), "invalid_request"));
        Assert.True((await http.DelegateAsync(Service, tokens.AccessToken)).Ok);
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Rule", "LO-1")]
    public async Task An_id_token_counts_for_its_own_client_while_its_sign_in_and_its_grant_last()
    {
        using var http = app.NewClient();
        await app.DeclareClientAsync(new JsonObject
        {
            ["client_id"] = "shell",
            ["client_secret"] = Portal.Secret,
            ["client_name"] = "Shell",
            ["redirect_uris"] = new JsonArray("https://shell.example/cb"),
            ["grant_types"] = new JsonArray("authorization_code", Exchange),
            ["scope"] = "openid balances",
            ["grants_token_exchange"] = new JsonArray(new JsonObject { ["from"] = new JsonArray("shell"), ["audience"] = new JsonArray(TestConfiguration.Bank), ["scope"] = "balances payments", ["impersonation"] = true }),
        });
        var shell = new TestClient("shell", Portal.Secret, "https://shell.example/cb", "openid balances");
        (string, string?) byId = ("subject_token_type", IdToken);
        var (tokens, visitor, _, _) = await app.ConnectAsync(shell, TestConfiguration.Lin);
        var answer = await http.ExchangeAsync(shell, tokens.IdToken, byId);
        Assert.True(answer.Ok, answer.Json.ToJsonString());
        var (claims, shown) = (TokenAnswer.Claims(answer.AccessToken), TokenAnswer.Claims(tokens.IdToken));
        foreach (var same in (string[])["sub", "auth_time", "acr", "amr"]) Assert.True(JsonNode.DeepEquals(shown[same], claims[same]), same);
        Assert.Equal((TestConfiguration.Bank, "balances", tokens.Streams().Grant), ((string?)claims["aud"], answer.Scope, answer.Streams().Grant));
        Assert.True((bool)(await http.IntrospectAsync(TestClient.Bank, answer.AccessToken)).Json["active"]!);
        Assert.True((await http.ExchangeAsync(shell, tokens.IdToken, ("subject_token_type", Jwt))).Ok);

        await app.AppendsNothingAsync(async () =>
        {
            TokenEndpointTests.AssertError(await http.ExchangeAsync(Proxy, tokens.IdToken, byId), "invalid_request"); // another's
            TokenEndpointTests.AssertError(await http.ExchangeAsync(shell, tokens.IdToken), "invalid_request"); // not as an access token
            TokenEndpointTests.AssertError(await http.ExchangeAsync(shell, tokens.IdToken, byId, ("scope", "payments")), "invalid_scope"); // never allowed
        });
        var before = await http.ExchangeAsync(shell, tokens.IdToken, byId);
        await visitor.GetAsync($"/logout?id_token_hint={tokens.IdToken}");
        await app.AppendsNothingAsync(async () => TokenEndpointTests.AssertError(await http.ExchangeAsync(shell, tokens.IdToken, byId), "invalid_request"));
        Assert.True((bool)(await http.IntrospectAsync(TestClient.Bank, before.AccessToken)).Json["active"]!); // signing out ends no token
        await app.AppendAsync(new StreamEvent(tokens.Streams().Grant!.Value, new GrantEvent.Revoked(EndedBy.Person, "removed", app.Clock.GetUtcNow())));
        await http.AssertInactiveAsync(TestClient.Bank, before.AccessToken);
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Rule", "DP-3"), Trait("Attack", "T11"), Trait("Attack", "T10")]
    public async Task A_bound_token_is_exchanged_only_with_a_proof_and_for_a_bound_one()
    {
        using var tallysKey = new DpopKey();
        using var servicesKey = new DpopKey();
        using var tally = app.NewClient(tallysKey);
        using var service = app.NewClient(servicesKey);
        using var plain = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally);
        var tokens = await tally.RedeemAsync(asked, (await app.NewVisitor().AllowAsync(asked)).Answer["code"]);
        Assert.Equal("DPoP", (string?)tokens.Json["token_type"]);
        TokenEndpointTests.AssertError(await plain.DelegateAsync(Service, tokens.AccessToken), "invalid_request");
        var answer = await service.DelegateAsync(Service, tokens.AccessToken);
        Assert.True(answer.Ok, answer.Json.ToJsonString());
        Assert.Equal(("DPoP", servicesKey.Thumbprint), ((string?)answer.Json["token_type"], (string?)TokenAnswer.Claims(answer.AccessToken)["cnf"]!["jkt"]));

        // The actor's token is bound as well, and counts with its own key alone.
        var own = await service.OwnTokenAsync(Service);
        TokenEndpointTests.AssertError(await plain.ExchangeAsync(Service, tokens.AccessToken, ("actor_token", own), ("actor_token_type", AccessToken)), "invalid_request");
        TokenEndpointTests.AssertError(await tally.ExchangeAsync(Service, tokens.AccessToken, ("actor_token", own), ("actor_token_type", AccessToken)), "invalid_request");
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T8"), Trait("Attack", "T7")]
    public async Task Whatever_is_no_access_token_of_this_server_is_refused_in_the_same_words()
    {
        using var http = app.NewClient();
        var (tokens, _, _, code) = await app.ConnectAsync(TestClient.Tally);
        var header = TokenAnswer.HeaderOf(tokens.AccessToken);
        var claims = TokenAnswer.Claims(tokens.AccessToken);
        var stranger = new AssertionKey((string)header["kid"]!);
        var parts = tokens.AccessToken.Split('.');
        string With(params (string Name, JsonNode? Value)[] change)
        {
            var spoilt = header.DeepClone().AsObject();
            foreach (var (name, value) in change) spoilt[name] = value;
            return Assertion.Make(spoilt, claims, stranger.Sign);
        }

        JsonObject Changed(string name, JsonNode value)
        {
            var changed = claims.DeepClone().AsObject();
            changed[name] = value;
            return changed;
        }

        var jwks = JsonNode.Parse((await app.NewVisitor().GetAsync("/jwks")).Body)!["keys"]!.AsArray();
        var publicKey = jwks.Single(key => (string?)key!["kid"] == (string?)header["kid"])!.AsObject();
        foreach (var (what, token) in (List<(string, string)>)
        [
            ("garbage", "nonsense"),
            ("nothing in three parts", ".."),
            ("a long text", new string('a', 20_000)),
            ("a code", code),
            ("a refresh token", tokens.RefreshToken),
            ("an id_token", tokens.IdToken),
            ("a stranger's signature", With()),
            ("a stranger's key in the header", With(("jwk", stranger.PublicJwk()))),
            ("a stranger's key at an address", With(("jku", "https://evil.example/jwks"), ("x5u", "https://evil.example/x5u"))),
            ("a stranger's key under a name of its own", With(("kid", "stranger"))),
            ("no signature", Assertion.Make("""{"alg":"none","typ":"at+jwt"}""", claims.ToJsonString(), _ => [])),
            ("its own text without the signature", $"{parts[0]}.{parts[1]}."),
            ("a signature of zeros", $"{parts[0]}.{parts[1]}.{Base64Url.EncodeToString(new byte[64])}"),
            ("an HMAC with the public key", Assertion.Make($$"""{"alg":"HS256","typ":"at+jwt","kid":"{{(string)header["kid"]!}}"}""", claims.ToJsonString(), input => Assertion.Mac("HS256", Encoding.UTF8.GetBytes((string)publicKey["x"]!), input))),
            ("a claim changed afterwards", $"{parts[0]}.{Base64Url.EncodeToString(Encoding.UTF8.GetBytes(Changed("scope", "balances payments").ToJsonString()))}.{parts[2]}"),
            ("an extension that must be understood", With(("crit", new JsonArray("exp")))),
            ("a type of another JWT", With(("typ", "dpop+jwt"))),
            ("an assertion of another issuer", About(app.Clock.GetUtcNow())),
        ])
        {
            foreach (var type in (string[])[AccessToken, Jwt])
            {
                if (what == "an id_token" && type == Jwt) continue; // that is one, though not the service's
                var answer = await http.ExchangeAsync(Proxy, token, ("subject_token_type", type));
                Assert.Equal((what, "invalid_request"), (what, answer.Error));
                Assert.Equal("subject_token is unknown, has expired or was revoked.", (string?)answer.Json["error_description"]);
                answer = await http.ExchangeAsync(Service, tokens.AccessToken, ("actor_token", token), ("actor_token_type", type));
                Assert.Equal((what, "invalid_request"), (what, answer.Error));
                Assert.Equal("actor_token is unknown, has expired or was revoked.", (string?)answer.Json["error_description"]);
            }
        }

        Assert.True((await http.ExchangeAsync(Proxy, tokens.AccessToken)).Ok); // told for its reason alone
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Law", "L9"), Trait("Law", "L5")]
    public async Task The_list_of_tokens_shows_the_end_of_all_that_came_of_a_token()
    {
        using var http = app.NewClient();
        var views = app.Services.GetRequiredService<AccessViews>();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var one = await http.ExchangeAsync(Proxy, tokens.AccessToken);
        var ofOne = await http.ExchangeAsync(Proxy, one.AccessToken);
        var two = await http.ExchangeAsync(Proxy, tokens.AccessToken);
        await app.CatchUpAsync(); // so that the ends come in pages of their own
        Assert.True((await http.RevokeAsync(Proxy, one.AccessToken)).Ok);
        await app.CatchUpAsync();
        Assert.Equal(["revoked", "revoked", "live"], await StatesAsync());
        Assert.True((await http.RevokeAsync(TestClient.Tally, tokens.RefreshToken)).Ok);
        await app.CatchUpAsync();
        Assert.Equal(["revoked", "revoked", "revoked"], await StatesAsync());

        async Task<List<string>> StatesAsync()
        {
            var states = new List<string>();
            foreach (var token in (TokenAnswer[])[one, ofOne, two]) states.Add(Assert.Single(await views.TokensAsync("where family = $1", [token.Streams().Family], default)).State);
            return states;
        }
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Rule", "AT-2")]
    public async Task Opaque_tokens_are_exchanged_and_given_like_others_and_their_may_act_counts()
    {
        using var http = app.NewClient();
        await app.DeclareAsync(new JsonObject
        {
            ["scopes"] = new JsonArray(new JsonObject { ["name"] = "vault", ["label"] = "Open the vault", ["kind"] = "do" }),
            ["resources"] = new JsonArray(new JsonObject { ["resource"] = "https://vault.example", ["name"] = "Vault", ["scopes"] = new JsonArray("vault"), ["token_format"] = "opaque" }),
            ["clients"] = new JsonArray(
                new JsonObject
                {
                    ["client_id"] = "vault-app",
                    ["client_secret"] = Portal.Secret,
                    ["client_name"] = "Vault app",
                    ["redirect_uris"] = new JsonArray("https://vault-app.example/cb"),
                    ["scope"] = "vault",
                    ["grants_may_act"] = "vault-service",
                },
                VaultService("vault-service"), VaultService("vault-other")),
        });
        JsonObject VaultService(string id) => new()
        {
            ["client_id"] = id,
            ["client_secret"] = Portal.Secret,
            ["client_name"] = id,
            ["grant_types"] = new JsonArray(Exchange),
            ["grants_resources"] = new JsonArray("https://vault.example"),
            ["grants_token_exchange"] = new JsonArray(new JsonObject { ["from"] = new JsonArray("vault-app", id), ["audience"] = new JsonArray("https://vault.example"), ["scope"] = "vault", ["impersonation"] = true }),
        };

        var (service, other) = (Service with { Id = "vault-service", Secret = Portal.Secret }, Service with { Id = "vault-other", Secret = Portal.Secret });
        var (tokens, _, _, _) = await app.ConnectAsync(new TestClient("vault-app", Portal.Secret, "https://vault-app.example/cb", "vault"));
        Assert.DoesNotContain(".ey", tokens.AccessToken, StringComparison.Ordinal);
        TokenEndpointTests.AssertError(await http.ExchangeAsync(other, tokens.AccessToken), "invalid_request");
        var child = await http.ExchangeAsync(service, tokens.AccessToken);
        Assert.True(child.Ok, child.Json.ToJsonString());
        Assert.StartsWith("gra_", child.AccessToken, StringComparison.Ordinal);
        var grandchild = await http.ExchangeAsync(service, child.AccessToken);
        Assert.True((bool)(await http.IntrospectAsync(other, grandchild.AccessToken)).Json["active"]!);
        TokenEndpointTests.AssertError(await http.ExchangeAsync(service, child.AccessToken, ("requested_token_type", Jwt)), "invalid_request");
        Assert.True((await http.RevokeAsync(service, child.AccessToken)).Ok);
        await http.AssertInactiveAsync(other, grandchild.AccessToken);
        TokenEndpointTests.AssertError(await http.ExchangeAsync(service, grandchild.AccessToken), "invalid_request");
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T23"), Trait("Law", "L8")]
    public async Task A_token_that_was_ended_before_the_newest_renewals_is_refused()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        await http.RevokeAsync(TestClient.Tally, tokens.AccessToken);
        var renewed = tokens;
        for (var i = 0; i < 3; i++) renewed = await http.RefreshAsync(TestClient.Tally, renewed.RefreshToken);
        TokenEndpointTests.AssertError(await http.ExchangeAsync(Proxy, tokens.AccessToken), "invalid_request");
        Assert.True((await http.ExchangeAsync(Proxy, renewed.AccessToken)).Ok);
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Attack", "T18")]
    public async Task It_runs_out_with_what_it_came_of_and_the_end_is_recorded_once()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        app.Clock.Advance(TimeSpan.FromMinutes(4));
        var answer = await http.ExchangeAsync(Proxy, tokens.AccessToken);
        Assert.InRange((int)answer.Json["expires_in"]!, 1, 60);
        Assert.True(JsonNode.DeepEquals(TokenAnswer.Claims(tokens.AccessToken)["exp"], TokenAnswer.Claims(answer.AccessToken)["exp"]));
        app.Clock.Advance(TimeSpan.FromSeconds(61));
        await http.AssertInactiveAsync(TestClient.Bank, answer.AccessToken);
        TokenEndpointTests.AssertError(await http.ExchangeAsync(Proxy, answer.AccessToken), "invalid_request");
        await app.RecordExpiriesAsync();
        await app.RecordExpiriesAsync();
        Assert.Single(await app.EventsAsync(answer.Streams().Family), e => e.Data is TokenFamilyEvent.AccessTokenExpired);
    }
}
