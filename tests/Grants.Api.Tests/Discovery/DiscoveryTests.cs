using System.Net;
using System.Text.Json.Nodes;
using Grants.Api.Discovery;
using Grants.Api.Http;
using Grants.Api.Signing;
using Grants.Api.Tests.Http;
using Grants.Api.Tests.Token;
using Grants.Domain.Keys;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;

namespace Grants.Api.Tests.Discovery;

[Collection(FrontDoor.Name)]
public sealed class DiscoveryTests(AppFixture app)
{
    private static readonly string[] Documents = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];

    public static TheoryData<string, string> Routes => new()
    {
        { "/.well-known/openid-configuration", "GET" }, { "/.well-known/oauth-authorization-server", "GET" }, { "/.well-known/oauth-protected-resource", "GET" }, { "/.well-known/oauth-protected-resource/userinfo", "GET" }, { "/jwks", "GET" }, { "/healthz", "GET" }, { "/readyz", "GET" },
        { "/authorize", "GET POST" }, { "/authorize/00000000000000000000000000000001", "GET" }, { "/par", "POST" }, { "/token", "POST" }, { "/introspect", "POST" }, { "/revoke", "POST" }, { "/userinfo", "GET POST" }, { "/logout", "GET POST" },
        { "/logout/confirm", "POST" }, { "/signed-out", "GET" }, { "/signin", "GET POST" }, { "/signin/00000000000000000000000000000001", "GET POST" },
        { "/signin/00000000000000000000000000000001/other", "GET" }, { "/consent/00000000000000000000000000000001", "GET POST" }, { "/account", "GET" }, { "/account/apps", "GET" },
        { "/account/apps/00000000000000000000000000000001", "GET" }, { "/account/apps/00000000000000000000000000000001/remove", "GET POST" }, { "/", "GET" }, { "/grants.css", "GET" }, { "/icon.svg", "GET" },
    };

    [Theory, Trait("Rule", "G-2"), Trait("Attack", "P20"), Trait("Rule", "23-6")]
    [MemberData(nameof(Routes))]
    public async Task Another_method_is_answered_with_405_and_the_methods_that_work(string path, string allowed)
    {
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var method in (string[])["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "BREW", "GET", "POST"])
            {
                if (allowed.Split(' ').Contains(method)) continue;
                var page = await app.NewVisitor().SendOnceAsync(new HttpRequestMessage(new HttpMethod(method), path));
                Assert.Equal((method, HttpStatusCode.MethodNotAllowed), (method, page.Status));
                Assert.Equal(allowed.Split(' '), page.Header("Allow").Split(", ").Order(StringComparer.Ordinal));
            }
        });
    }

    [Theory, Trait("Attack", "P20")]
    [InlineData("/nothing")]
    [InlineData("/consent/not-an-id")]
    [InlineData("/authorize/1")]
    [InlineData("/account/apps/..%2f..%2f")]
    [InlineData("/.well-known/")]
    public async Task An_address_that_leads_nowhere_is_a_404(string path) => Assert.Equal(HttpStatusCode.NotFound, (await app.NewVisitor().GetAsync(path)).Status);

    [Fact, Trait("Rule", "MD-1"), Trait("Rule", "MD-2"), Trait("Law", "L4")]
    public async Task Both_documents_say_the_same_and_only_under_the_issuer()
    {
        await app.AppendsNothingAsync(async () =>
        {
            var texts = new List<string>();
            foreach (var path in Documents)
            {
                var page = await app.NewVisitor().GetAsync(path);
                Assert.Equal(HttpStatusCode.OK, page.Status);
                Assert.StartsWith("application/json", page.Header("Content-Type"), StringComparison.Ordinal);
                Assert.Contains("max-age", page.Header("Cache-Control"), StringComparison.Ordinal);
                texts.Add(page.Body);
            }

            Assert.Equal(texts[0], texts[1]);
            var metadata = JsonNode.Parse(texts[0])!.AsObject();
            Assert.Equal(TestConfiguration.Issuer, (string?)metadata["issuer"]);
            Assert.All(metadata.Where(member => member.Key.EndsWith("_endpoint", StringComparison.Ordinal) || member.Key.EndsWith("_uri", StringComparison.Ordinal)),
                member => Assert.StartsWith(TestConfiguration.Issuer + "/", (string?)member.Value));
            Assert.All(metadata.Where(member => member.Value is JsonArray), member => Assert.NotEmpty(member.Value!.AsArray()));
            foreach (var required in (string[])["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint", "response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported",
                "grant_types_supported", "scopes_supported", "response_modes_supported", "claims_supported", "acr_values_supported", "prompt_values_supported", "token_endpoint_auth_methods_supported",
                "introspection_endpoint", "introspection_endpoint_auth_methods_supported", "revocation_endpoint", "revocation_endpoint_auth_methods_supported"])
                Assert.True(metadata.ContainsKey(required), required);
            Assert.Equal(["S256"], List(metadata, "code_challenge_methods_supported"));
            Assert.Contains("RS256", List(metadata, "id_token_signing_alg_values_supported"));
            Assert.True((bool)metadata["authorization_response_iss_parameter_supported"]!);
        });
    }

    [Fact, Trait("Rule", "MD-2")]
    public async Task Every_endpoint_that_is_named_answers()
    {
        var metadata = await MetadataAsync();
        foreach (var (name, value) in metadata.Where(member => member.Key.EndsWith("_endpoint", StringComparison.Ordinal) || member.Key == "jwks_uri"))
        {
            var status = (int)(await app.NewVisitor().SendOnceAsync(new HttpRequestMessage(name is "pushed_authorization_request_endpoint" or "device_authorization_endpoint" or "token_endpoint" or "introspection_endpoint" or "revocation_endpoint" ? HttpMethod.Post : HttpMethod.Get, (string)value!))).Status;
            Assert.True(status is >= 200 and < 500 and not 404 and not 405, $"{name} {status}");
        }
    }

    [Fact, Trait("Rule", "MD-2"), Trait("Rule", "AZ-4")]
    public async Task Every_response_mode_that_is_named_works_and_no_other()
    {
        var named = List(await MetadataAsync(), "response_modes_supported");
        await app.DeclareClientAsync(new JsonObject { ["client_id"] = "all-modes", ["client_name"] = "All", ["redirect_uris"] = new JsonArray("https://modes.example/cb"), ["token_endpoint_auth_method"] = "none", ["scope"] = "openid", ["response_modes"] = new JsonArray([.. named.Select(mode => JsonValue.Create(mode))]) });
        foreach (var mode in (string[])[.. named, "web_message", "post", "query.jwt "])
        {
            var page = await app.NewVisitor().AllowAsync(Journey.Ask(new TestClient("all-modes", null, "https://modes.example/cb", "openid"), ("response_mode", mode)));
            var answered = page.Location is not null || page.HiddenFields.Any(field => field.Key is "code" or "response");
            Assert.Equal((mode, named.Contains(mode)), (mode, answered));
        }
    }

    [Fact, Trait("Rule", "MD-2"), Trait("Rule", "AZ-9")]
    public async Task Every_prompt_value_that_is_named_works_and_no_other()
    {
        var named = List(await MetadataAsync(), "prompt_values_supported");
        foreach (var prompt in (string[])["none", "login", "consent", "select_account", "create"])
            Assert.Equal((prompt, named.Contains(prompt)), (prompt, (await app.NewVisitor().GetAsync(Journey.Ask(TestClient.Tally, ("prompt", prompt)).Address)).Status != HttpStatusCode.BadRequest));
    }

    [Fact, Trait("Rule", "MD-2"), Trait("Rule", "AZ-3")]
    public async Task Every_response_type_that_is_named_works_and_no_other()
    {
        var named = List(await MetadataAsync(), "response_types_supported");
        foreach (var type in (string[])["code", "token", "id_token", "code id_token", "code token", "none"])
        {
            var page = await app.NewVisitor().GetAsync(Journey.Ask(TestClient.Tally, ("response_type", type)).Address);
            Assert.Equal((type, named.Contains(type)), (type, page.Location is null || page.Answer["error"] != "unsupported_response_type"));
        }
    }

    [Fact, Trait("Rule", "MD-2"), Trait("Rule", "AZ-5")]
    public async Task Every_scope_that_is_named_can_be_asked_for_by_a_client_that_has_it()
    {
        var named = List(await MetadataAsync(), "scopes_supported");
        Assert.Equal(named.Distinct(), named);
        Assert.Contains("openid", named);
        Assert.Contains("offline_access", named);
        await app.DeclareClientAsync(new JsonObject { ["client_id"] = "all-scopes", ["client_secret"] = Witness.Saw("client secret", Journey.Random()), ["client_name"] = "All", ["redirect_uris"] = new JsonArray("https://all.example/cb"), ["grant_types"] = new JsonArray("authorization_code", "refresh_token"), ["scope"] = string.Join(' ', named) });
        var page = await app.NewVisitor().AllowAsync(Journey.Ask(new TestClient("all-scopes", null, "https://all.example/cb", string.Join(' ', named))));
        Assert.True(page.Answer.ContainsKey("code"));
    }

    [Fact, Trait("Rule", "MD-2")]
    public async Task Every_grant_type_that_is_named_works_and_no_other()
    {
        var named = List(await MetadataAsync(), "grant_types_supported");
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var works = new Dictionary<string, bool>
        {
            ["authorization_code"] = tokens.Ok,
            ["refresh_token"] = (await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken)).Ok,
            [Journey.DeviceCode] = (await http.PollAsync(TestClient.Tv, (await http.AskForDeviceAsync(TestClient.Tv)).DeviceCode)).Error == "authorization_pending",
            ["client_credentials"] = (await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"))).Ok,
        };
        works[Exchanging.Exchange] = (await Exchanging.WorkingExchangeAsync(app)).Ok;
        works[Exchanging.Bearer] = (await Exchanging.WorkingAssertionAsync(app)).Ok;
        foreach (var type in (string[])["password", "implicit", "urn:openid:params:grant-type:ciba"])
        {
            var answer = await http.TokenAsync(TestClient.Tally, ("grant_type", type), ("username", "x"), ("password", "x"), ("assertion", "x"), ("subject_token", "x"));
            Assert.Equal((type, "unsupported_grant_type"), (type, answer.Error));
            works[type] = false;
        }

        Assert.Equal(works.Where(entry => entry.Value).Select(entry => entry.Key).Order(StringComparer.Ordinal), named.Order(StringComparer.Ordinal));
    }

    [Fact, Trait("Rule", "MD-2")]
    public async Task Every_client_authentication_and_signature_that_is_named_works_and_no_other_can_be_declared()
    {
        var metadata = await MetadataAsync();
        var (basic, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var (post, _, _, _) = await app.ConnectAsync(TestClient.Poster);
        var (none, _, _, _) = await app.ConnectAsync(TestClient.BrowserApp);
        var (other, _, _, _) = await app.ConnectAsync(new TestClient("query-only", null, "https://c.example/cb", "openid profile"));
        Assert.True(basic.Ok && post.Ok && none.Ok && other.Ok);
        Assert.Equal(["client_secret_basic", "client_secret_jwt", "client_secret_post", "none", "private_key_jwt"], List(metadata, "token_endpoint_auth_methods_supported").Order(StringComparer.Ordinal)); // the two with JWTs below
        Assert.Equal(new[] { basic, post, other }.Select(tokens => (string)TokenAnswer.HeaderOf(tokens.IdToken)["alg"]!).Order(StringComparer.Ordinal), List(metadata, "id_token_signing_alg_values_supported").Order(StringComparer.Ordinal));

        foreach (var (member, value) in ((string, string)[])[("token_endpoint_auth_signing_alg", "none"), ("token_endpoint_auth_method", "tls_client_auth"), ("id_token_signed_response_alg", "none"), ("id_token_signed_response_alg", "HS256"), ("response_modes", "web_message"), ("authorization_signed_response_alg", "none"), ("authorization_signed_response_alg", "HS256"), ("authorization_encrypted_response_alg", "RSA-OAEP-256"), ("grant_types", "implicit")])
        {
            var client = new JsonObject { ["client_id"] = "unsupported", ["client_name"] = "Unsupported", ["redirect_uris"] = new JsonArray("https://u.example/cb"), ["scope"] = "openid" };
            client[member] = member is "response_modes" or "grant_types" ? new JsonArray(value) : value;
            await Assert.ThrowsAsync<SettingsException>(() => app.DeclareClientAsync(client));
        }
    }

    [Fact, Trait("Rule", "MD-2"), Trait("Rule", "CA-11")]
    public async Task Every_client_authentication_that_is_named_for_introspection_and_revocation_works_and_no_other()
    {
        var metadata = await MetadataAsync();
        using var http = app.NewClient();
        foreach (var (client, method) in (List<(TestClient, string)>)[(TestClient.Tally, "client_secret_basic"), (TestClient.Poster, "client_secret_post"), (TestClient.BrowserApp, "none")])
        {
            Assert.Equal((method, List(metadata, "introspection_endpoint_auth_methods_supported").Contains(method)), (method, (await http.IntrospectAsync(client, "nonsense")).Ok));
            Assert.Equal((method, List(metadata, "revocation_endpoint_auth_methods_supported").Contains(method)), (method, (await http.RevokeAsync(client, "nonsense")).Ok));
        }

        Assert.Equal(4, List(metadata, "introspection_endpoint_auth_methods_supported").Count);
        Assert.Equal(5, List(metadata, "revocation_endpoint_auth_methods_supported").Count);
    }

    [Fact, Trait("Rule", "MD-2"), Trait("Rule", "CA-11"), Trait("Rule", "CA-4"), Trait("Rule", "CA-5")]
    public async Task Every_algorithm_of_client_assertions_that_is_named_works_at_each_endpoint_and_no_other()
    {
        var metadata = await MetadataAsync();
        var secret = Witness.Saw("client secret", Journey.Random(43));
        AssertionKey[] keys = [new("es", "ES256"), new("rs", "RS256"), new("ps", "PS256")];
        JsonObject Client(string id, string method, string member, JsonNode value) => new() { ["client_id"] = id, ["client_name"] = id, ["grant_types"] = new JsonArray("client_credentials"), ["scope"] = "balances", ["token_endpoint_auth_method"] = method, [member] = value };
        await app.DeclareAsync(new JsonObject { ["clients"] = new JsonArray(Client("by-key", "private_key_jwt", "jwks", AssertionKey.SetOf(keys)), Client("by-mac", "client_secret_jwt", "client_secret", secret)) });

        using var http = app.NewClient();
        foreach (var (endpoint, path) in ((string, string)[])[("token", "/token"), ("introspection", "/introspect"), ("revocation", "/revoke")])
        {
            var works = new List<string>();
            Assert.Subset(List(metadata, $"{endpoint}_endpoint_auth_methods_supported").ToHashSet(), new HashSet<string> { "private_key_jwt", "client_secret_jwt" });
            foreach (var algorithm in (string[])["none", "ES256", "ES384", "ES512", "RS256", "RS384", "PS256", "PS512", "EdDSA", "HS256", "HS384", "HS512"])
            {
                var assertion = keys.SingleOrDefault(key => key.Algorithm == algorithm) is { } own ? Assertion.By(own, Assertion.Claims("by-key", app.Clock.GetUtcNow()))
                    : algorithm.StartsWith("HS", StringComparison.Ordinal) ? Assertion.By(secret, Assertion.Claims("by-mac", app.Clock.GetUtcNow()), algorithm)
                    : Assertion.By(keys[algorithm[0] == 'E' ? 0 : 1], Assertion.Claims("by-key", app.Clock.GetUtcNow()), ("alg", algorithm));
                if ((await http.PostAsync(path, assertion, ("grant_type", "client_credentials"), ("token", "nonsense"))).Ok) works.Add(algorithm);
            }

            Assert.Equal(works.Order(StringComparer.Ordinal), List(metadata, $"{endpoint}_endpoint_auth_signing_alg_values_supported").Order(StringComparer.Ordinal));
        }
    }

    [Fact, Trait("Rule", "MD-2")]
    public async Task Every_claim_that_is_named_is_one_that_tokens_or_userinfo_carry()
    {
        var named = List(await MetadataAsync(), "claims_supported");
        Assert.Equal(named.Distinct(), named);
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        Assert.All(TokenAnswer.Claims(tokens.IdToken).Select(claim => claim.Key), claim => Assert.Contains(claim, named));
        using var http = app.NewClient();
        var info = JsonNode.Parse(await (await http.UserInfoAsync(tokens.AccessToken)).Content.ReadAsStringAsync())!.AsObject();
        Assert.All(info.Select(claim => claim.Key), claim => Assert.Contains(claim, named));
    }

    [Fact, Trait("Rule", "MD-3"), Trait("Law", "L4"), Trait("Rule", "23-1")]
    public async Task The_key_set_holds_public_parts_alone_and_the_next_key_ahead_of_its_use()
    {
        await app.AppendsNothingAsync(async () =>
        {
            var page = await app.NewVisitor().GetAsync("/jwks");
            Assert.StartsWith("application/jwk-set+json", page.Header("Content-Type"), StringComparison.Ordinal);
            Assert.Contains("public", page.Header("Cache-Control"), StringComparison.Ordinal);
            Assert.Contains("max-age", page.Header("Cache-Control"), StringComparison.Ordinal);
            var keys = JsonNode.Parse(page.Body)!["keys"]!.AsArray().Select(key => key!.AsObject()).ToList();
            var kids = keys.Select(key => (string)key["kid"]!).ToList();
            Assert.Equal(kids.Distinct(), kids);
            Assert.All(keys, key => Assert.Equal("sig", (string?)key["use"]));
            Assert.All(keys, key => Assert.Equal((string?)key["alg"] == "ES256" ? ["alg", "crv", "kid", "kty", "use", "x", "y"] : ["alg", "e", "kid", "kty", "n", "use"], key.Select(member => member.Key).Order(StringComparer.Ordinal)));
            foreach (var algorithm in (string[])["ES256", "RS256"]) Assert.Equal(2, keys.Count(key => (string?)key["alg"] == algorithm));

            await using var session = app.Store.QuerySession();
            var known = await Marten.QueryableExtensions.ToListAsync(session.Query<SigningKey>());
            Assert.Contains(known, key => key.Status != SigningKeyStatus.Active && kids.Contains(key.Kid));
        });
    }

    [Fact, Trait("Rule", "MD-3")]
    public async Task Tokens_name_a_published_key_of_their_own_algorithm()
    {
        var keys = JsonNode.Parse((await app.NewVisitor().GetAsync("/jwks")).Body)!["keys"]!.AsArray();
        var (tally, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var (poster, _, _, _) = await app.ConnectAsync(TestClient.Poster);
        foreach (var jwt in (string[])[tally.AccessToken, tally.IdToken, poster.IdToken])
        {
            var header = TokenAnswer.HeaderOf(jwt);
            var key = Assert.Single(keys, key => (string?)key!["kid"] == (string?)header["kid"]);
            Assert.Equal((string?)header["alg"], (string?)key!["alg"]);
        }
    }

    [Theory, Trait("Attack", "P2")]
    [InlineData("evil.example")]
    [InlineData("localhost.evil.example")]
    [InlineData("localhost@evil.example")]
    [InlineData("127.0.0.1:5100")]
    [InlineData("[::1]:5100")]
    public async Task A_host_that_is_not_the_issuers_gets_400_and_reaches_nothing(string host)
    {
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var path in (string[])[.. Documents, "/jwks", "/signin", "/account/apps", Journey.Ask(TestClient.Tally).Address])
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, path);
                request.Headers.TryAddWithoutValidation("Host", host);
                var page = await app.NewVisitor().SendOnceAsync(request);
                Assert.Equal(HttpStatusCode.BadRequest, page.Status);
                Assert.DoesNotContain("evil", page.Body, StringComparison.Ordinal);
            }
        });
    }

    [Fact, Trait("Attack", "P2"), Trait("Rule", "MD-2"), Trait("Rule", "23-5")]
    public async Task Forwarded_headers_and_a_forged_port_change_nothing_that_is_said()
    {
        var plain = (await app.NewVisitor().GetAsync(Documents[0])).Body;
        using var request = new HttpRequestMessage(HttpMethod.Get, Documents[0]);
        request.Headers.TryAddWithoutValidation("Host", "localhost:6666");
        request.Headers.TryAddWithoutValidation("X-Forwarded-Host", "evil.example");
        request.Headers.TryAddWithoutValidation("X-Forwarded-Proto", "https");
        request.Headers.TryAddWithoutValidation("X-Forwarded-Prefix", "/evil");
        request.Headers.TryAddWithoutValidation("X-Forwarded-For", "203.0.113.9");
        request.Headers.TryAddWithoutValidation("Forwarded", "host=evil.example;proto=https");
        Assert.Equal(plain, (await app.NewVisitor().SendOnceAsync(request)).Body);
    }

    [Fact, Trait("Law", "L4")]
    public async Task What_only_reads_appends_nothing()
    {
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        using var http = app.NewClient();
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var path in (string[])[.. Documents, "/jwks", "/healthz", "/readyz", "/", "/signin", "/signed-out", "/logout", "/account", "/account/apps", "/grants.css", "/icon.svg", "/nothing"])
            {
                await visitor.GetAsync(path);
                await app.NewVisitor().GetAsync(path);
            }

            Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
            Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync("wrong")).StatusCode);
        });
    }

    [Fact]
    public async Task A_document_is_written_once_for_what_it_says()
    {
        var documents = app.Services.GetRequiredService<PublicDocuments>();
        var catalogue = await app.Services.GetRequiredService<Lookups>().CatalogueAsync(default);
        Assert.Same(documents.MetadataOf(catalogue), documents.MetadataOf(catalogue));
        Assert.NotEqual(documents.MetadataOf(catalogue), documents.MetadataOf(catalogue with { Scopes = [] }));
        var keys = await app.Services.GetRequiredService<KeyRing>().PublishedAsync(default);
        Assert.Same(documents.KeySetOf(keys), documents.KeySetOf(keys));
        Assert.NotEqual(documents.KeySetOf(keys), documents.KeySetOf([keys[0]]));
    }

    private async Task<JsonObject> MetadataAsync() => JsonNode.Parse((await app.NewVisitor().GetAsync(Documents[0])).Body)!.AsObject();

    private static List<string> List(JsonObject metadata, string member) => [.. metadata[member]!.AsArray().Select(value => (string)value!)];
}
