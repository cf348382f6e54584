using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Grants.Api.Keys;
using Grants.Api.Tests.Http;
using Grants.Domain.Authorizations;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Projections;
using Grants.Testing;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;

namespace Grants.Api.Tests.PushedAuthorization;

/// <summary>Requests that come by the back channel and are named in the front channel: RFC 9126. These tests move the clock.</summary>
public sealed class PushedAuthorizationTests(AppFixture app) : IClassFixture<AppFixture>
{
    [Fact, Trait("Rule", "PAR-1"), Trait("Rule", "PAR-3"), Trait("Rule", "PAR-5"), Trait("Rule", "G-5"), Trait("Law", "L11")]
    public async Task A_pushed_request_is_recorded_named_begun_and_answered_in_one_stream()
    {
        using var http = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally, ("prompt", "consent"));
        var position = await app.PositionAsync();
        var pushed = await http.PushAsync(asked);

        Assert.Equal(HttpStatusCode.Created, pushed.Response.StatusCode);
        Assert.Equal("no-store", pushed.Response.Headers.CacheControl?.ToString());
        Assert.Equal(["expires_in", "request_uri"], pushed.Json.Select(member => member.Key).Order(StringComparer.Ordinal));
        Assert.Equal(90, (int)pushed.Json["expires_in"]!);
        Assert.Matches("^urn:ietf:params:oauth:request_uri:grp_[A-Za-z0-9_-]{28}\\.[A-Za-z0-9_-]{43}$", (string?)pushed.Json["request_uri"]);
        var recorded = Assert.Single(await app.EventsAfterAsync(position));
        Assert.Equal(("authorization.pushed", "client:tally"), (recorded.EventTypeName, recorded.UserName));

        var page = await app.NewVisitor().AllowAsync(asked.By(pushed));
        Assert.Equal((asked.State, TestConfiguration.Issuer), (page.Answer["state"], page.Answer["iss"]));
        var tokens = await http.RedeemAsync(asked, page.Answer["code"]);
        Assert.True(tokens.Ok, tokens.Json.ToJsonString());
        Assert.Equal(asked.Nonce, (string?)TokenAnswer.Claims(tokens.IdToken)["nonce"]);
        Assert.Equal(["authorization.pushed", "authorization.requested", "authorization.subject_authenticated", "authorization.consent_granted", "authorization.code_issued", "authorization.code_redeemed"],
            (await app.EventsAsync(recorded.StreamId)).Select(e => e.EventTypeName));
    }

    [Fact, Trait("Rule", "PAR-1"), Trait("Rule", "CA-1")]
    public async Task Clients_authenticate_as_at_the_token_endpoint()
    {
        using var http = app.NewClient();
        foreach (var client in (TestClient[])[TestClient.Tally, TestClient.Poster, TestClient.BrowserApp, TestClient.NativeApp])
            Assert.Equal(HttpStatusCode.Created, (await http.PushAsync(Journey.Ask(client))).Response.StatusCode);
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var client in (TestClient[])[TestClient.Tally with { Secret = "wrong" }, TestClient.Tally with { Secret = null }, TestClient.Tally with { Id = "nobody" }, TestClient.BrowserApp with { Secret = "any" }])
            {
                var answer = await http.PushAsync(Journey.Ask(client));
                Assert.Equal((HttpStatusCode.Unauthorized, "invalid_client"), (answer.Response.StatusCode, answer.Error));
            }

            Assert.Equal("invalid_request", (await http.PushAsync(Journey.Ask(TestClient.Tally), ("client_secret", TestConfiguration.TallySecret))).Error); // two ways at once
            Assert.Equal("invalid_request", (await http.PushAsync(Journey.Ask(TestClient.Tally, ("client_id", "poster")))).Error);
        });
    }

    [Fact, Trait("Rule", "PAR-1")]
    public async Task A_client_that_has_authenticated_need_not_name_itself_again()
    {
        using var http = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally, ("client_id", null));
        Assert.True((await app.NewVisitor().AllowAsync(asked.By(await http.PushAsync(asked)))).Answer.ContainsKey("code"));
    }

    [Theory, Trait("Rule", "PAR-1")]
    [InlineData("urn:ietf:params:oauth:request_uri:grp_x")]
    [InlineData("https://tally.example/request.jwt")]
    [InlineData("x")]
    public async Task A_request_uri_cannot_be_pushed(string requestUri)
    {
        using var http = app.NewClient();
        await app.AppendsNothingAsync(async () => Assert.Equal("invalid_request", (await http.PushAsync(Journey.Ask(TestClient.Tally), ("request_uri", requestUri))).Error));
    }

    [Theory, Trait("Rule", "PAR-2"), Trait("Attack", "E11")]
    [InlineData("redirect_uri", "https://evil.example/cb", "invalid_request")]
    [InlineData("redirect_uri", null, "invalid_request")]
    [InlineData("response_mode", "smoke", "invalid_request")]
    [InlineData("prompt", "create", "invalid_request")]
    [InlineData("prompt", "none login", "invalid_request")]
    [InlineData("response_type", null, "invalid_request")]
    [InlineData("response_type", "token", "unsupported_response_type")]
    [InlineData("scope", "openid nothing-of-ours", "invalid_scope")]
    [InlineData("scope", "openid \"balances\"", "invalid_scope")]
    [InlineData("code_challenge", null, "invalid_request")]
    [InlineData("code_challenge", "short", "invalid_request")]
    [InlineData("code_challenge_method", "plain", "invalid_request")]
    [InlineData("max_age", "soon", "invalid_request")]
    [InlineData("id_token_hint", "not.a.token", "invalid_request")]
    [InlineData("registration", "{}", "registration_not_supported")]
    public async Task A_fault_is_told_now_with_its_own_code_and_leaves_no_event(string name, string? value, string error)
    {
        using var http = app.NewClient();
        await app.AppendsNothingAsync(async () =>
        {
            var answer = await http.PushAsync(Journey.Ask(TestClient.Tally, (name, value)));
            Assert.Equal((HttpStatusCode.BadRequest, error), (answer.Response.StatusCode, answer.Error));
            Assert.Equal("no-store", answer.Response.Headers.CacheControl?.ToString());
            Assert.StartsWith("application/json", answer.Response.Content.Headers.ContentType?.ToString(), StringComparison.Ordinal);
        });
    }

    [Fact, Trait("Rule", "PAR-2"), Trait("Rule", "AZ-3")]
    public async Task A_client_that_is_not_registered_for_codes_may_push_nothing()
    {
        using var http = app.NewClient();
        await app.DeclareClientAsync(new JsonObject { ["client_id"] = "pushing-machine", ["client_secret"] = TestConfiguration.TallySecret, ["client_name"] = "Machine", ["redirect_uris"] = new JsonArray("https://machine.example/cb"), ["grant_types"] = new JsonArray("client_credentials"), ["scope"] = "balances" });
        Assert.Equal("unauthorized_client", (await http.PushAsync(Journey.Ask(new TestClient("pushing-machine", TestConfiguration.TallySecret, "https://machine.example/cb", "balances")))).Error);
    }

    [Fact, Trait("Rule", "PAR-2"), Trait("Rule", "G-2"), Trait("Rule", "G-3"), Trait("Attack", "R20"), Trait("Attack", "T15")]
    public async Task Only_a_form_is_read_nothing_may_repeat_and_no_credential_be_in_the_address()
    {
        using var http = app.NewClient();
        var form = string.Join('&', Journey.ParametersOf(Journey.Ask(TestClient.BrowserApp)).Select(pair => $"{pair.Name}={Uri.EscapeDataString(pair.Value!)}"));
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var (path, body, type) in (List<(string, string, string)>)[("/par", "{}", "application/json"), ("/par", form + "&state=again", "application/x-www-form-urlencoded"), ("/par?client_id=pocket-browser", form, "application/x-www-form-urlencoded")])
            {
                using var content = new StringContent(body, Encoding.UTF8, type);
                var answer = await TokenAnswer.ReadAsync(await http.PostAsync(new Uri(path, UriKind.Relative), content));
                Assert.Equal((HttpStatusCode.BadRequest, "invalid_request"), (answer.Response.StatusCode, answer.Error));
            }
        });
    }

    [Fact, Trait("Rule", "PAR-2"), Trait("Rule", "AZ-13")]
    public async Task An_id_token_hint_is_verified_when_it_is_pushed_and_binds_the_person()
    {
        using var http = app.NewClient();
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally, TestConfiguration.Maya);
        var asked = Journey.Ask(TestClient.Tally, ("id_token_hint", tokens.IdToken), ("prompt", "none"));
        var pushed = asked.By(await http.PushAsync(asked));
        var other = await app.SignedInAsync();
        (await other.GetAsync(pushed.Address)).TellsTheApp("login_required", asked);
        var again = asked.By(await http.PushAsync(asked));
        Assert.True((await visitor.GetAsync(again.Address)).Answer.ContainsKey("code"));
    }

    [Fact, Trait("Rule", "PAR-4"), Trait("Attack", "R20"), Trait("Attack", "R22")]
    public async Task Other_parameters_in_the_front_channel_count_for_nothing()
    {
        using var http = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally);
        var address = QueryHelpers.AddQueryString(asked.By(await http.PushAsync(asked)).Address, new Dictionary<string, string?>
        {
            ["redirect_uri"] = "https://evil.example/cb",
            ["scope"] = "nonsense",
            ["state"] = "another",
            ["response_type"] = "token",
            ["response_mode"] = "smoke",
            ["prompt"] = "none",
            ["code_challenge"] = "x",
            ["registration"] = "{}",
        });
        var page = await app.NewVisitor().AllowAsync(asked with { Address = address });
        Assert.StartsWith(TestClient.Tally.RedirectUri, page.Location, StringComparison.Ordinal);
        Assert.Equal(asked.State, page.Answer["state"]);
        Assert.True((await http.RedeemAsync(asked, page.Answer["code"])).Ok);
    }

    [Fact, Trait("Rule", "PAR-4"), Trait("Attack", "T13"), Trait("Attack", "C15"), Trait("Attack", "C9")]
    public async Task A_request_uri_that_is_foreign_unknown_forged_or_repeated_gets_a_page()
    {
        using var http = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally);
        var good = asked.By(await http.PushAsync(asked)).Address;
        var uri = QueryHelpers.ParseQuery(good[good.IndexOf('?', StringComparison.Ordinal)..])["request_uri"].ToString();
        string With(string client, string requestUri) => QueryHelpers.AddQueryString("/authorize", new Dictionary<string, string?> { ["client_id"] = client, ["request_uri"] = requestUri });
        var handles = app.Services.GetRequiredService<SealedHandles>();
        var nowhere = handles.Seal(new PushedHandle(Guid.CreateVersion7(app.Clock.GetUtcNow())));
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var wrong in (string[])[With("poster", uri), With("tally", uri[..^1]), With("tally", uri[..^2] + "AA"), With("tally", "urn:ietf:params:oauth:request_uri:"), With("tally", "urn:ietf:params:oauth:request_uri:" + nowhere),
                With("tally", "urn:ietf:params:oauth:request_uri:" + handles.Seal(new CodeHandle(Guid.Empty, Guid.Empty, Guid.Empty)))])
                StaysHere(await app.NewVisitor().GetAsync(wrong), "invalid_request_uri");
            StaysHere(await app.NewVisitor().GetAsync(good + "&request_uri=x"), "invalid_request");
            StaysHere(await app.NewVisitor().GetAsync(good + "&client_id=poster"), "invalid_request");
            StaysHere(await app.NewVisitor().GetAsync(good + "&request=x.y.z"), "invalid_request");
            StaysHere(await app.NewVisitor().GetAsync(With("nobody-knows-me", uri)), "invalid_client");
            StaysHere(await app.NewVisitor().GetAsync("/authorize?request_uri=" + Uri.EscapeDataString(uri)), "invalid_request");
        });
        Assert.True((await app.NewVisitor().GetAsync(good)).IsAt("/signin/")); // none of that has used it up
    }

    [Fact, Trait("Rule", "PAR-4"), Trait("Attack", "T13")]
    public async Task A_forged_request_uri_costs_no_query_of_the_log()
    {
        var visitor = app.NewVisitor();
        await visitor.GetAsync("/authorize?client_id=tally"); // the client is known from here on
        await using var locker = new NpgsqlConnection(app.ConnectionString);
        await locker.OpenAsync();
        await using var transaction = await locker.BeginTransactionAsync();
        await using (var close = new NpgsqlCommand($"lock table {GrantsStore.Schema}.mt_streams, {GrantsStore.Schema}.mt_events in access exclusive mode", locker)) await close.ExecuteNonQueryAsync();
        var forged = $"urn:ietf:params:oauth:request_uri:grp_{new string('A', 28)}.{new string('A', 43)}";
        StaysHere(await visitor.GetAsync("/authorize?client_id=tally&request_uri=" + Uri.EscapeDataString(forged)).WaitAsync(TimeSpan.FromSeconds(20)), "invalid_request_uri");
    }

    [Theory, Trait("Rule", "PAR-4"), Trait("Rule", "AZ-17"), Trait("Rule", "JAR-4")]
    [InlineData("https://tally.example/request.jwt")]
    [InlineData("urn:ietf:params:oauth:request")]
    [InlineData("URN:ietf:params:oauth:request_uri:x")]
    public async Task Any_other_request_uri_is_not_supported(string requestUri)
    {
        var asked = Journey.Ask(TestClient.Tally, ("request_uri", requestUri));
        await app.AppendsNothingAsync(async () => (await app.NewVisitor().GetAsync(asked.Address)).TellsTheApp("request_uri_not_supported", asked));
    }

    [Fact, Trait("Rule", "PAR-3"), Trait("Rule", "PAR-4"), Trait("Law", "L11"), Trait("Attack", "C9")]
    public async Task Nobody_comes_in_time_and_the_request_is_refused_and_recorded_as_abandoned()
    {
        using var http = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally);
        var position = await app.PositionAsync();
        var pushed = asked.By(await http.PushAsync(asked));
        var stream = Assert.Single(await app.EventsAfterAsync(position)).StreamId;
        app.Clock.Advance(TimeSpan.FromSeconds(90));
        await app.AppendsNothingAsync(async () => StaysHere(await app.NewVisitor().GetAsync(pushed.Address), "invalid_request_uri"));

        await app.RecordExpiriesAsync();
        Assert.Equal(["authorization.pushed", "authorization.abandoned"], (await app.EventsAsync(stream)).Select(e => e.EventTypeName));
        await app.AppendsNothingAsync(async () => StaysHere(await app.NewVisitor().GetAsync(pushed.Address), "invalid_request_uri"));
        Assert.Equal(0, await app.RecordExpiriesAsync());
    }

    [Fact, Trait("Rule", "PAR-5"), Trait("Attack", "C9")]
    public async Task The_browser_that_began_it_may_load_it_again_until_it_is_answered_and_then_nobody_may()
    {
        using var http = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally, ("prompt", "consent"));
        var pushed = asked.By(await http.PushAsync(asked));
        var visitor = app.NewVisitor();
        Assert.True((await visitor.GetAsync(pushed.Address)).IsAt("/signin/"));
        await app.AppendsNothingAsync(async () => Assert.True((await visitor.GetAsync(pushed.Address)).IsAt("/signin/")));
        app.Clock.Advance(TimeSpan.FromMinutes(10)); // the push has run out, the person's time hasn't
        await app.AppendsNothingAsync(async () => Assert.True((await visitor.GetAsync(pushed.Address)).IsAt("/signin/")));

        Assert.True((await visitor.AllowAsync(pushed)).Answer.ContainsKey("code"));
        await app.AppendsNothingAsync(async () =>
        {
            StaysHere(await visitor.GetAsync(pushed.Address), "invalid_request_uri");
            StaysHere(await app.NewVisitor().GetAsync(pushed.Address), "invalid_request_uri");
        });
    }

    [Fact, Trait("Rule", "PAR-5"), Trait("Attack", "C10")]
    public async Task Once_a_browser_has_begun_it_another_one_gets_a_page()
    {
        using var http = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally, ("prompt", "consent"));
        var pushed = asked.By(await http.PushAsync(asked));
        var first = app.NewVisitor();
        var signIn = await first.GetAsync(pushed.Address);
        var other = await app.SignedInAsync(TestConfiguration.Lin);
        await app.AppendsNothingAsync(async () =>
        {
            StaysHere(await other.GetAsync(pushed.Address), "invalid_request_uri");
            (await other.GetAsync(signIn.Address.AbsolutePath)).StaysHere();
        });
        Assert.True((await first.AllowAsync(pushed)).Answer.ContainsKey("code"));
    }

    [Fact, Trait("Rule", "PAR-5"), Trait("Law", "L2")]
    public async Task Of_many_browsers_that_come_at_once_one_begins_it()
    {
        using var http = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally);
        var position = await app.PositionAsync();
        var pushed = asked.By(await http.PushAsync(asked));
        var pages = await Task.WhenAll(Enumerable.Range(0, 12).Select(_ => Task.Run(() => app.NewVisitor().GetAsync(pushed.Address))));
        Assert.Single(pages, page => page.IsAt("/signin/"));
        Assert.Equal(11, pages.Count(page => page.Status == HttpStatusCode.BadRequest));
        Assert.Equal(["authorization.pushed", "authorization.requested"], await app.StoryAsync(position));
    }

    [Fact, Trait("Rule", "PAR-5"), Trait("Rule", "AZ-10")]
    public async Task Where_nothing_is_left_to_ask_the_page_load_answers_and_an_error_is_an_answer_too()
    {
        using var http = app.NewClient();
        var (_, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        var silent = Journey.Ask(TestClient.Tally, ("prompt", "none"));
        var known = silent.By(await http.PushAsync(silent));
        Assert.True((await visitor.GetAsync(known.Address)).Answer.ContainsKey("code"));
        StaysHere(await visitor.GetAsync(known.Address), "invalid_request_uri");

        var stranger = app.NewVisitor();
        var unknown = silent.By(await http.PushAsync(silent));
        (await stranger.GetAsync(unknown.Address)).TellsTheApp("login_required", silent);
        StaysHere(await stranger.GetAsync(unknown.Address), "invalid_request_uri");
    }

    [Fact, Trait("Rule", "PAR-5"), Trait("Rule", "G-7")]
    public async Task A_posted_request_uri_is_taken_up_by_a_get()
    {
        using var http = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally);
        var pushed = asked.By(await http.PushAsync(asked));
        var visitor = app.NewVisitor();
        await app.AppendsNothingAsync(async () =>
        {
            var first = await visitor.SendOnceAsync(new HttpRequestMessage(HttpMethod.Post, "/authorize")
            {
                Content = new FormUrlEncodedContent(Journey.ParametersOf(pushed).Select(pair => KeyValuePair.Create(pair.Name, pair.Value!)).Append(new("state", "ignored"))),
            });
            Assert.Equal((HttpStatusCode.SeeOther, pushed.Address), (first.Status, first.Location));
        });
        Assert.True((await visitor.GetAsync(pushed.Address)).IsAt("/signin/"));
    }

    [Theory, Trait("Rule", "PAR-5"), Trait("Attack", "C15")]
    [InlineData("scope")]
    [InlineData("redirect_uri")]
    [InlineData("response_mode")]
    [InlineData("grant_type")]
    [InlineData("client")]
    public async Task What_was_taken_from_the_client_since_the_push_counts(string what)
    {
        using var http = app.NewClient();
        var id = "narrowed-" + what.Replace('_', '-');
        JsonObject Declared() => new()
        {
            ["client_id"] = id,
            ["client_secret"] = TestConfiguration.TallySecret,
            ["client_name"] = "Narrowed",
            ["redirect_uris"] = new JsonArray("https://narrow.example/cb"),
            ["grant_types"] = new JsonArray("authorization_code"),
            ["scope"] = "openid balances",
        };
        await app.DeclareClientAsync(Declared());
        var client = new TestClient(id, TestConfiguration.TallySecret, "https://narrow.example/cb", "openid balances");
        var asked = Journey.Ask(client);
        var pushed = asked.By(await http.PushAsync(asked));
        if (what == "client") await app.AppendAsync(new StreamEvent(await app.StreamOfAsync(client), new ClientEvent.Suspended("a test", app.Clock.GetUtcNow())));
        else
        {
            var narrowed = Declared();
            if (what == "scope") narrowed["scope"] = "openid";
            else if (what == "redirect_uri") narrowed["redirect_uris"] = new JsonArray("https://narrow.example/elsewhere");
            else if (what == "response_mode") narrowed["response_modes"] = new JsonArray("form_post");
            else narrowed["grant_types"] = new JsonArray("client_credentials");
            await app.DeclareClientAsync(narrowed);
        }

        var page = await app.NewVisitor().GetAsync(pushed.Address);
        switch (what)
        {
            case "scope": page.TellsTheApp("invalid_scope", asked); break;
            case "grant_type": page.TellsTheApp("unauthorized_client", asked); break;
            case "client": StaysHere(page, "invalid_client"); break;
            default: StaysHere(page, "invalid_request"); break;
        }
    }

    [Fact, Trait("Rule", "PAR-7"), Trait("Attack", "R22")]
    public async Task A_client_that_must_push_gets_an_invalid_request_for_a_plain_one()
    {
        using var http = app.NewClient();
        await app.DeclareClientAsync(new JsonObject { ["client_id"] = "must-push", ["client_secret"] = TestConfiguration.TallySecret, ["client_name"] = "Must Push", ["redirect_uris"] = new JsonArray("https://push.example/cb"), ["scope"] = "openid balances", ["require_pushed_authorization_requests"] = true, ["grants_checked"] = true });
        var asked = Journey.Ask(new TestClient("must-push", TestConfiguration.TallySecret, "https://push.example/cb", "openid balances"));
        await app.AppendsNothingAsync(async () =>
        {
            (await app.NewVisitor().GetAsync(asked.Address)).TellsTheApp("invalid_request", asked);
            var external = Journey.Ask(asked.Client, ("request_uri", "https://push.example/request.jwt"));
            (await app.NewVisitor().GetAsync(external.Address)).TellsTheApp("invalid_request", external);
        });
        Assert.True((await app.NewVisitor().AllowAsync(asked.By(await http.PushAsync(asked)))).Answer.ContainsKey("code"));
    }

    [Fact, Trait("Rule", "PAR-7")]
    public async Task Discovery_names_the_endpoint()
    {
        var metadata = JsonNode.Parse((await app.NewVisitor().GetAsync("/.well-known/openid-configuration")).Body)!;
        Assert.Equal((TestConfiguration.Issuer + "/par", false), ((string?)metadata["pushed_authorization_request_endpoint"], (bool)metadata["require_pushed_authorization_requests"]!));
    }

    private static void StaysHere(Page page, string error)
    {
        page.StaysHere();
        Assert.Contains($"error={error}<", page.Body, StringComparison.Ordinal);
    }
}

/// <summary>A server where every client has to push, and where pushes don't wait long.</summary>
public sealed class PushingApp : GrantsApp, IAsyncLifetime
{
    public async ValueTask InitializeAsync() => await StartAsync(await NewDatabaseAsync(), configure: builder => builder
        .UseSetting("Grants:RequirePushedAuthorizationRequests", "true")
        .UseSetting("Grants:PushedRequestSeconds", "60")
        .UseSetting("Grants:Limits:AuthorizationsPerMinutePerNetwork", "6")
        .UseSetting("Grants:Limits:AuthorizationsPerMinutePerClient", "9"));
}

public sealed class RequiredPushTests(PushingApp app) : IClassFixture<PushingApp>
{
    [Fact, Trait("Rule", "PAR-7"), Trait("Attack", "R22")]
    public async Task A_server_that_wants_pushes_says_so_and_takes_nothing_else()
    {
        var metadata = JsonNode.Parse((await app.NewVisitor().GetAsync("/.well-known/openid-configuration")).Body)!;
        Assert.True((bool)metadata["require_pushed_authorization_requests"]!);
        var asked = Journey.Ask(TestClient.Tally);
        await app.AppendsNothingAsync(async () => (await app.NewVisitor().GetAsync(asked.Address)).TellsTheApp("invalid_request", asked));

        using var http = app.NewClient();
        var pushed = await http.PushAsync(asked);
        Assert.Equal(60, (int)pushed.Json["expires_in"]!);
        Assert.True((await app.NewVisitor().AllowAsync(asked.By(pushed))).Answer.ContainsKey("code"));
    }

    [Fact, Trait("Rule", "PAR-2"), Trait("Rule", "G-10"), Trait("Law", "L12"), Trait("Attack", "E11")]
    public async Task Beyond_the_limit_a_push_is_told_to_wait_and_not_written_down()
    {
        using var http = app.NewClient();
        // A client that proves itself comes from its one server: only its own limit counts. The other apps come from anywhere.
        for (var i = 0; i < 9; i++) Assert.Equal(HttpStatusCode.Created, (await http.PushAsync(Journey.Ask(TestClient.Poster))).Response.StatusCode);
        for (var i = 0; i < 6; i++) Assert.Equal(HttpStatusCode.Created, (await http.PushAsync(Journey.Ask(TestClient.BrowserApp))).Response.StatusCode);
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var client in (TestClient[])[TestClient.Poster, TestClient.BrowserApp, TestClient.NativeApp])
            {
                var answer = await http.PushAsync(Journey.Ask(client));
                Assert.Equal((HttpStatusCode.TooManyRequests, "temporarily_unavailable", "60"), (answer.Response.StatusCode, answer.Error, answer.Response.Headers.RetryAfter?.ToString()));
                Assert.Equal("invalid_scope", (await http.PushAsync(Journey.Ask(client, ("scope", "bad")))).Error); // answered as ever: it writes nothing
            }
        });
    }

    [Theory, Trait("Rule", "PAR-3")]
    [InlineData("0")]
    [InlineData("4")]
    [InlineData("600")]
    [InlineData("86400")]
    public void A_pushed_request_may_not_wait_for_ever_or_for_no_time(string seconds)
    {
        using var configuration = new ConfigurationManager { ["Grants:PushedRequestSeconds"] = seconds };
        var environment = app.Services.GetRequiredService<IHostEnvironment>();
        Assert.Contains("Grants__PushedRequestSeconds", Assert.Throws<SettingsException>(() => Settings.From(configuration, environment, command: false)).Message, StringComparison.Ordinal);
    }
}
