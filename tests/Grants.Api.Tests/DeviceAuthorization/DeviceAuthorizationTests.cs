using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Grants.Api.DeviceAuthorization;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Api.Tests.Http;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Grants.Domain.TokenFamilies;
using Grants.Projections;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Grants.Api.Tests.DeviceAuthorization;

/// <summary>What a device sees of it: its request and its polls, RFC 8628 §3.1 to §3.5. These tests move the clock.</summary>
public sealed class DeviceAuthorizationTests(AppFixture app) : IClassFixture<AppFixture>
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(6);

    [Fact, Trait("Rule", "DV-1"), Trait("Rule", "DV-3"), Trait("Rule", "DV-4"), Trait("Rule", "TK-8"), Trait("Law", "L11")]
    public async Task A_device_asks_a_person_allows_and_the_device_has_tokens_that_work_as_any_others()
    {
        using var http = app.NewClient();
        var position = await app.PositionAsync();
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        Assert.Equal("authorization_pending", (await http.PollAsync(TestClient.Tv, device.DeviceCode)).Error);

        var page = await app.NewVisitor().AnswerDeviceAsync(device.UserCode);
        Assert.Equal("Done. You can go back to your device.", page.Heading);
        app.Clock.Advance(Interval);
        var tokens = await http.PollAsync(TestClient.Tv, device.DeviceCode);
        Assert.True(tokens.Ok, tokens.Json.ToJsonString());
        Assert.Equal("no-store", tokens.Response.Headers.CacheControl?.ToString());
        Assert.Equal(TestClient.Tv.Scope.Split(' ').Order(StringComparer.Ordinal), tokens.Scope.Split(' ').Order(StringComparer.Ordinal));
        Assert.Equal("tally-tv", (string?)TokenAnswer.Claims(tokens.IdToken)["aud"]);
        Assert.False(TokenAnswer.Claims(tokens.IdToken).ContainsKey("nonce"));
        Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);

        var authorization = (await app.EventsAfterAsync(position)).First(e => e.Data is AuthorizationEvent.DeviceRequested).StreamId;
        Assert.Equal(
            [("authorization.device_requested", "client:tally-tv"), ("authorization.user_code_entered", "person"), ("authorization.subject_authenticated", "person"),
                ("authorization.consent_granted", "person"), ("authorization.code_issued", "person"), ("authorization.code_redeemed", "client:tally-tv")],
            (await app.EventsAsync(authorization)).Select(e => (e.EventTypeName, e.UserName!.StartsWith("person:sub_", StringComparison.Ordinal) ? "person" : e.UserName)));
        Assert.All(await app.EventsAsync(authorization), e => Assert.Equal("tally-tv", e.Text(EventMetadata.Client)));

        var renewed = await http.RefreshAsync(TestClient.Tv, tokens.RefreshToken);
        Assert.True(renewed.Ok, renewed.Json.ToJsonString());
        Assert.Equal("invalid_grant", (await http.RefreshAsync(TestClient.Tv, tokens.RefreshToken)).Error); // spent: a public client's
    }

    [Fact, Trait("Rule", "DV-1"), Trait("Rule", "DV-2"), Trait("Rule", "DV-5"), Trait("Rule", "G-5"), Trait("Rule", "G-9")]
    public async Task The_answer_has_both_codes_the_addresses_and_the_times()
    {
        using var http = app.NewClient();
        var position = await app.PositionAsync();
        var device = await http.AskForDeviceAsync(TestClient.Kiosk);
        Assert.Equal(HttpStatusCode.OK, device.Response.StatusCode);
        Assert.Equal("no-store", device.Response.Headers.CacheControl?.ToString());
        Assert.StartsWith("application/json", device.Response.Content.Headers.ContentType?.ToString(), StringComparison.Ordinal);
        Assert.Equal(["device_code", "expires_in", "interval", "user_code", "verification_uri", "verification_uri_complete"], device.Json.Select(member => member.Key).Order(StringComparer.Ordinal));
        Assert.Matches("^grd_[A-Za-z0-9_-]{28}\\.[A-Za-z0-9_-]{43}$", device.DeviceCode);
        Assert.Matches("^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$", device.UserCode);
        Assert.Equal($"{TestConfiguration.Issuer}/device", (string?)device.Json["verification_uri"]);
        Assert.Equal($"{TestConfiguration.Issuer}/device?user_code={device.UserCode}", (string?)device.Json["verification_uri_complete"]);
        Assert.Equal((600, 5), ((int)device.Json["expires_in"]!, (int)device.Json["interval"]!));
        Assert.Single(await app.EventsAfterAsync(position));
    }

    [Fact, Trait("Rule", "DV-1"), Trait("Rule", "DV-5"), Trait("Rule", "CA-1"), Trait("Attack", "C12"), Trait("Attack", "K9"), Trait("Attack", "E11")]
    public async Task Only_clients_that_are_registered_for_it_and_prove_who_they_are_get_codes()
    {
        using var http = app.NewClient();
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var client in (TestClient[])[TestClient.Tally, TestClient.BrowserApp, TestClient.NativeApp, TestClient.Poster])
                Assert.Equal((HttpStatusCode.BadRequest, "unauthorized_client"), Told(await http.AskForDeviceAsync(client)));
            foreach (var client in (TestClient[])[TestClient.Kiosk with { Secret = "wrong" }, TestClient.Kiosk with { Secret = null }, TestClient.Tv with { Secret = "any" }, TestClient.Tv with { Id = "nobody" }])
                Assert.Equal((HttpStatusCode.Unauthorized, "invalid_client"), Told(await http.AskForDeviceAsync(client)));
            Assert.Equal("invalid_request", (await http.AskForDeviceAsync(TestClient.Kiosk, ("client_secret", TestConfiguration.KioskSecret))).Error); // two ways at once
        });
    }

    [Theory, Trait("Rule", "DV-1"), Trait("Rule", "AZ-5"), Trait("Attack", "E11")]
    [InlineData("openid payments")] // known, but not this client's
    [InlineData("openid nothing-of-ours")]
    [InlineData("openid \"balances\"")]
    public async Task A_scope_that_it_may_not_have_is_refused_and_nothing_dropped_in_silence(string scope)
    {
        using var http = app.NewClient();
        await app.AppendsNothingAsync(async () => Assert.Equal((HttpStatusCode.BadRequest, "invalid_scope"), Told(await http.AskForDeviceAsync(TestClient.Tv, ("scope", scope)))));
    }

    [Fact, Trait("Rule", "DV-1"), Trait("Rule", "RI-1"), Trait("Attack", "T7")]
    public async Task A_device_may_name_the_resource_that_its_tokens_are_for_and_none_that_nobody_knows()
    {
        using var http = app.NewClient();
        await app.AppendsNothingAsync(async () =>
        {
            Assert.Equal("invalid_target", (await http.AskForDeviceAsync(TestClient.Tv, ("resource", "https://nowhere.example"))).Error);
            Assert.Equal("invalid_authorization_details", (await http.AskForDeviceAsync(TestClient.Tv, ("authorization_details", "[]"))).Error);
        });
        var asked = await http.AskForDeviceAsync(TestClient.Tv, ("resource", TestConfiguration.Bank));
        await app.NewVisitor().AnswerDeviceAsync(asked.UserCode);
        Task<TokenAnswer> For(string resource) => http.TokenAsync(TestClient.Tv, ("grant_type", Journey.DeviceCode), ("device_code", asked.DeviceCode), ("resource", resource));
        Assert.Equal("invalid_target", (await For("http://localhost:5310")).Error); // declared, but not what the person was asked about
        Assert.Equal(TestConfiguration.Bank, (string?)TokenAnswer.Claims((await For(TestConfiguration.Bank)).AccessToken)["aud"]);
    }

    [Fact, Trait("Rule", "G-2"), Trait("Rule", "G-3"), Trait("Attack", "R20"), Trait("Attack", "T15")]
    public async Task Only_a_form_is_read_nothing_may_repeat_and_no_credential_be_in_the_address()
    {
        using var http = app.NewClient();
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        const string form = "client_id=tally-tv&scope=openid";
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var (path, body, type) in (List<(string, string, string)>)
            [
                ("/device_authorization", "{}", "application/json"), ("/device_authorization", form + "&scope=balances", "application/x-www-form-urlencoded"),
                ("/device_authorization?client_id=tally-tv", form, "application/x-www-form-urlencoded"),
                ($"/token?device_code={device.DeviceCode}", $"client_id=tally-tv&grant_type={Uri.EscapeDataString(Journey.DeviceCode)}&device_code={device.DeviceCode}", "application/x-www-form-urlencoded"),
                ("/token", $"client_id=tally-tv&grant_type={Uri.EscapeDataString(Journey.DeviceCode)}", "application/x-www-form-urlencoded"),
            ])
            {
                using var content = new StringContent(body, Encoding.UTF8, type);
                Assert.Equal((HttpStatusCode.BadRequest, "invalid_request"), Told(await TokenAnswer.ReadAsync(await http.PostAsync(new Uri(path, UriKind.Relative), content))));
            }

            Assert.Equal(HttpStatusCode.MethodNotAllowed, (await http.GetAsync(new Uri("/device_authorization", UriKind.Relative))).StatusCode);
        });
    }

    [Fact, Trait("Rule", "DV-4"), Trait("Attack", "C13"), Trait("Attack", "E11")]
    public async Task Who_polls_too_soon_is_slowed_down_by_five_seconds_each_time_and_the_log_hears_nothing_of_it()
    {
        using var http = app.NewClient();
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        var rows = await RowsAsync();
        await app.AppendsNothingAsync(async () =>
        {
            async Task AfterAsync(int seconds, string error)
            {
                app.Clock.Advance(TimeSpan.FromSeconds(seconds));
                Assert.Equal((HttpStatusCode.BadRequest, error), Told(await http.PollAsync(TestClient.Tv, device.DeviceCode)));
            }

            await AfterAsync(0, "authorization_pending");
            await AfterAsync(6, "authorization_pending"); // 5 to wait
            await AfterAsync(2, "slow_down"); // 10
            await AfterAsync(7, "slow_down"); // 15, since the one that came too soon counts as well
            await AfterAsync(12, "slow_down"); // 20
            await AfterAsync(21, "authorization_pending");
            await AfterAsync(16, "slow_down"); // 25: it is kept for this device code
            for (var i = 0; i < 20; i++) await AfterAsync(0, "slow_down");

            Assert.Equal(rows + 1, await RowsAsync());
        });

        // Another device isn't slowed down by this one.
        var other = await http.AskForDeviceAsync(TestClient.Tv);
        Assert.Equal("authorization_pending", (await http.PollAsync(TestClient.Tv, other.DeviceCode)).Error);

        // Whoever has the answer gets it, however impatient: slow_down is a way of saying that there is none yet.
        await app.NewVisitor().AnswerDeviceAsync(device.UserCode);
        Assert.True((await http.PollAsync(TestClient.Tv, device.DeviceCode)).Ok);

        app.Clock.Advance(TimeSpan.FromMinutes(10));
        Assert.True(await app.Services.GetRequiredService<DevicePolls>().SweepAsync(default) >= 2);
        Assert.Equal(0, await RowsAsync());
    }

    [Fact, Trait("Rule", "DV-4"), Trait("Law", "L3")]
    public async Task A_no_is_told_to_the_device_for_good()
    {
        using var http = app.NewClient();
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        var position = await app.PositionAsync();
        var page = await app.NewVisitor().AnswerDeviceAsync(device.UserCode, decision: "deny");
        Assert.Equal("Refused", page.Heading);
        Assert.Contains("authorization.consent_denied", await app.StoryAsync(position));
        Assert.DoesNotContain(await app.StoryAsync(position), name => name.StartsWith("grant.", StringComparison.Ordinal));
        foreach (var later in (TimeSpan[])[TimeSpan.Zero, TimeSpan.Zero, TimeSpan.FromMinutes(11)])
        {
            app.Clock.Advance(later);
            Assert.Equal((HttpStatusCode.BadRequest, "access_denied"), Told(await http.PollAsync(TestClient.Tv, device.DeviceCode)));
        }
    }

    [Fact, Trait("Rule", "DV-4"), Trait("Rule", "DV-5"), Trait("Attack", "E10")]
    public async Task What_nobody_answers_in_ten_minutes_is_expired_and_that_is_written_down()
    {
        using var http = app.NewClient();
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        var asked = (await app.EventsAfterAsync(0)).Last(e => e.Data is AuthorizationEvent.DeviceRequested);
        var visitor = app.NewVisitor();
        var page = await visitor.ComeToDeviceAsync(device.UserCode);
        Assert.True(page.IsAt("/consent/"), page.Heading);

        app.Clock.Advance(TimeSpan.FromMinutes(10));
        Assert.Equal((HttpStatusCode.BadRequest, "expired_token"), Told(await http.PollAsync(TestClient.Tv, device.DeviceCode)));
        var late = await visitor.SubmitAsync(page, ("decision", "allow"));
        Assert.Equal("That took too long", late.Heading);
        Assert.Equal("expired_token", (await http.PollAsync(TestClient.Tv, device.DeviceCode)).Error);

        await app.RecordExpiriesAsync();
        Assert.Equal("authorization.abandoned", (await app.EventsAsync(asked.StreamId))[^1].EventTypeName);
        Assert.Equal("expired_token", (await http.PollAsync(TestClient.Tv, device.DeviceCode)).Error);
        Assert.Equal("That took too long", (await visitor.GetAsync($"/device/{asked.StreamId:N}/done")).Heading);
    }

    [Fact, Trait("Rule", "DV-4"), Trait("Attack", "E10")]
    public async Task An_answer_that_nobody_fetches_runs_out_and_that_is_written_down()
    {
        using var http = app.NewClient();
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        var asked = (await app.EventsAfterAsync(0)).Last(e => e.Data is AuthorizationEvent.DeviceRequested);
        await app.NewVisitor().AnswerDeviceAsync(device.UserCode, TestConfiguration.Lin);
        app.Clock.Advance(TimeSpan.FromMinutes(10));
        Assert.Equal("expired_token", (await http.PollAsync(TestClient.Tv, device.DeviceCode)).Error);
        await app.RecordExpiriesAsync();
        Assert.Equal("authorization.code_expired", (await app.EventsAsync(asked.StreamId))[^1].EventTypeName);
        Assert.Equal("expired_token", (await http.PollAsync(TestClient.Tv, device.DeviceCode)).Error);
    }

    [Fact, Trait("Rule", "DV-4"), Trait("Attack", "C3"), Trait("Attack", "T13")]
    public async Task A_device_code_of_another_client_a_changed_and_an_unknown_one_are_told_apart_by_nobody()
    {
        using var http = app.NewClient();
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        var handles = app.Services.GetRequiredService<SealedHandles>();
        await app.AppendsNothingAsync(async () =>
        {
            Assert.Equal((HttpStatusCode.BadRequest, "invalid_grant"), Told(await http.PollAsync(TestClient.Kiosk, device.DeviceCode)));
            Assert.Equal("unauthorized_client", (await http.PollAsync(TestClient.Tally, device.DeviceCode)).Error);
            foreach (var wrong in (string[])["x", device.UserCode, device.DeviceCode[..^1] + (device.DeviceCode[^1] == 'A' ? 'B' : 'A'), handles.Seal(new DeviceHandle(Guid.CreateVersion7(app.Clock.GetUtcNow())))])
                Assert.Equal((HttpStatusCode.BadRequest, "invalid_grant"), Told(await http.PollAsync(TestClient.Tv, wrong)));

            // A code in the device code's place, and the other way round.
            Assert.Equal("invalid_grant", (await http.TokenAsync(TestClient.Tally, ("grant_type", "authorization_code"), ("code", device.DeviceCode), ("code_verifier", Journey.Random()))).Error);
        });
        await app.NewVisitor().AnswerDeviceAsync(device.UserCode);
        Assert.Equal("invalid_grant", (await http.PollAsync(TestClient.Kiosk, device.DeviceCode)).Error);
        Assert.True((await http.PollAsync(TestClient.Tv, device.DeviceCode)).Ok); // and wrong tries don't burn it
    }

    [Fact, Trait("Rule", "DV-4"), Trait("Rule", "TK-2"), Trait("Attack", "C1"), Trait("Law", "L2")]
    public async Task A_device_code_used_twice_ends_all_that_came_of_it()
    {
        using var http = app.NewClient();
        var (device, tokens) = await ConnectAsync(http);
        Assert.Equal((HttpStatusCode.BadRequest, "invalid_grant"), Told(await http.PollAsync(TestClient.Tv, device.DeviceCode)));
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
        Assert.Equal("invalid_grant", (await http.RefreshAsync(TestClient.Tv, tokens.RefreshToken)).Error);
        Assert.Equal("token_family.revoked", (await app.EventsAsync(tokens.Streams().Family))[^1].EventTypeName);
        await app.AppendsNothingAsync(async () => Assert.Equal("invalid_grant", (await http.PollAsync(TestClient.Tv, device.DeviceCode)).Error));
    }

    [Fact, Trait("Rule", "DV-1"), Trait("Rule", "DV-4"), Trait("Rule", "DP-1"), Trait("Rule", "DP-3"), Trait("Rule", "DP-4"), Trait("Attack", "T10")]
    public async Task A_device_that_proves_a_key_has_to_prove_it_with_each_poll_and_its_tokens_are_bound_to_it()
    {
        using var key = new DpopKey();
        using var otherKey = new DpopKey();
        using var bound = app.NewClient(key);
        using var other = app.NewClient(otherKey);
        using var plain = app.NewClient();
        var device = await bound.AskForDeviceAsync(TestClient.Tv);
        Assert.True(device.Ok, device.Json.ToJsonString());
        foreach (var wrong in (HttpClient[])[plain, other]) Assert.Equal("invalid_grant", (await wrong.PollAsync(TestClient.Tv, device.DeviceCode)).Error);
        Assert.Equal("authorization_pending", (await bound.PollAsync(TestClient.Tv, device.DeviceCode)).Error);
        await app.NewVisitor().AnswerDeviceAsync(device.UserCode);
        foreach (var wrong in (HttpClient[])[plain, other]) Assert.Equal("invalid_grant", (await wrong.PollAsync(TestClient.Tv, device.DeviceCode)).Error);
        var tokens = await bound.PollAsync(TestClient.Tv, device.DeviceCode);
        Assert.Equal("DPoP", (string?)tokens.Json["token_type"]);
        Assert.Equal(key.Thumbprint, (string?)TokenAnswer.Claims(tokens.AccessToken)["cnf"]!["jkt"]);
        Assert.Equal("invalid_grant", (await plain.RefreshAsync(TestClient.Tv, tokens.RefreshToken)).Error);
        Assert.True((await bound.RefreshAsync(TestClient.Tv, tokens.RefreshToken)).Ok);

        // A proof that is none spoils the request, at both endpoints.
        plain.DefaultRequestHeaders.Add("DPoP", "nonsense");
        await app.AppendsNothingAsync(async () => Assert.Equal("invalid_dpop_proof", (await plain.AskForDeviceAsync(TestClient.Tv)).Error));
    }

    [Fact, Trait("Rule", "DV-1")]
    public async Task An_optional_permission_that_is_left_out_is_in_no_token()
    {
        using var http = app.NewClient();
        foreach (var (optional, has) in ((string[], bool)[])[([], false), (["payments"], true)])
        {
            var device = await http.AskForDeviceAsync(TestClient.Kiosk);
            await app.NewVisitor().AnswerDeviceAsync(device.UserCode, TestConfiguration.Maya, optional: optional);
            Assert.Equal(has, (await http.PollAsync(TestClient.Kiosk, device.DeviceCode)).Scope.Split(' ').Contains("payments"));
        }
    }

    [Fact, Trait("Attack", "C15"), Trait("Attack", "T24"), Trait("Attack", "T23")]
    public async Task Rights_that_were_taken_back_after_the_answer_give_no_tokens()
    {
        using var http = app.NewClient();
        var id = $"tv-{Journey.Random(4)}";
        JsonObject Declared(string scope) => new() { ["client_id"] = id, ["client_name"] = "Shrinking", ["grant_types"] = new JsonArray(Journey.DeviceCode), ["token_endpoint_auth_method"] = "none", ["scope"] = scope };
        await app.DeclareClientAsync(Declared("openid balances"));
        var client = new TestClient(id, null, "", "openid balances");
        var stream = await app.StreamOfAsync(client);

        var (device, next) = (await http.AskForDeviceAsync(client), await http.AskForDeviceAsync(client));
        await app.NewVisitor().AnswerDeviceAsync(device.UserCode);
        await app.DeclareClientAsync(Declared("openid"));
        Assert.Equal("invalid_scope", (await http.PollAsync(client, device.DeviceCode)).Error);

        // What was not answered yet is not even asked.
        var page = await app.NewVisitor().ComeToDeviceAsync(next.UserCode);
        Assert.Equal(HttpStatusCode.BadRequest, page.Status);
        Assert.Contains("isn't active", WebUtility.HtmlDecode(page.Body), StringComparison.Ordinal);
        Assert.Equal("invalid_scope", (await http.PollAsync(client, next.DeviceCode)).Error);
        await app.DeclareClientAsync(Declared("openid balances"));

        await app.AppendAsync(new StreamEvent(stream, new ClientEvent.Suspended("test", app.Clock.GetUtcNow())));
        Assert.Equal("invalid_client", (await http.PollAsync(client, device.DeviceCode)).Error);
        await app.AppendAsync(new StreamEvent(stream, new ClientEvent.Resumed(app.Clock.GetUtcNow())));

        var subject = ((AuthorizationEvent.SubjectAuthenticated)(await app.EventsAfterAsync(0)).Last(e => e.Data is AuthorizationEvent.SubjectAuthenticated).Data).Subject;
        await app.AppendAsync(new StreamEvent(subject.Value, new SubjectEvent.Suspended("test", app.Clock.GetUtcNow())));
        Assert.Equal("invalid_grant", (await http.PollAsync(client, device.DeviceCode)).Error);
        await app.AppendAsync(new StreamEvent(subject.Value, new SubjectEvent.Resumed(app.Clock.GetUtcNow())));

        var grant = (await app.EventsAfterAsync(0)).Last(e => e.Data is GrantEvent.Created created && created.Client.Value == id).StreamId;
        Assert.True((await http.PollAsync(client, device.DeviceCode)).Ok); // none of this burnt it

        var again = await http.AskForDeviceAsync(client);
        await app.NewVisitor().AnswerDeviceAsync(again.UserCode);
        await app.AppendAsync(new StreamEvent(grant, new GrantEvent.Revoked(EndedBy.Person, "test", app.Clock.GetUtcNow())));
        Assert.Equal("invalid_grant", (await http.PollAsync(client, again.DeviceCode)).Error);
    }

    [Fact, Trait("Law", "L6"), Trait("Attack", "T14")]
    public async Task The_log_has_neither_code_and_the_hash_of_the_user_code_needs_a_key()
    {
        using var http = app.NewClient();
        var position = await app.PositionAsync();
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        await app.NewVisitor().AnswerDeviceAsync(device.UserCode);
        var letters = UserCode.Read(device.UserCode)!;
        var events = await app.EventsAfterAsync(position);
        var hash = events.Select(e => e.Data).OfType<AuthorizationEvent.DeviceRequested>().Single().UserCode;
        Assert.Equal(22, hash.Length); // 128 bits
        Assert.DoesNotContain(hash, ((string[])[letters, device.UserCode]).SelectMany(text => (string[])[Journey.Challenge(text), Journey.Challenge(text)[..22]]));
        var entered = events.Select(e => e.Data).OfType<AuthorizationEvent.UserCodeEntered>().Single();
        Assert.StartsWith("v1.person:sub_", entered.UserCode.Value, StringComparison.Ordinal);
        Assert.Equal(letters, await app.Services.GetRequiredService<PersonalData>().OpenAsync(entered.UserCode));
    }

    [Fact, Trait("Attack", "E4"), Trait("Rule", "DV-2")]
    public async Task The_database_gives_no_user_code_out_twice()
    {
        var now = app.Clock.GetUtcNow();
        StreamEvent Asking(string hash) => new(Guid.CreateVersion7(now), new AuthorizationEvent.DeviceRequested(new("tally-tv"), ["openid"], hash, null, now, now.AddMinutes(10)));
        await app.AppendAsync(Asking("the same hash"));
        await app.AppendsNothingAsync(async () => await Assert.ThrowsAsync<TooBusyException>(() => app.AppendAsync(Asking("the same hash"))));

        // Side by side in one batch, the one that can't be written takes no other down.
        using var http = app.NewClient();
        var many = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => Task.Run(async () =>
            i % 5 == 0 ? await CollideAsync(Asking("the same hash")) : (await http.AskForDeviceAsync(TestClient.Tv)).Ok)));
        Assert.Equal(16, many.Count(ok => ok));

        async Task<bool> CollideAsync(StreamEvent asking)
        {
            try
            {
                await app.AppendAsync(asking);
                return true;
            }
            catch (TooBusyException)
            {
                return false;
            }
        }
    }

    private async Task<(TokenAnswer Device, TokenAnswer Tokens)> ConnectAsync(HttpClient http)
    {
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        await app.NewVisitor().AnswerDeviceAsync(device.UserCode);
        var tokens = await http.PollAsync(TestClient.Tv, device.DeviceCode);
        Assert.True(tokens.Ok, tokens.Json.ToJsonString());
        return (device, tokens);
    }

    private static (HttpStatusCode, string?) Told(TokenAnswer answer) => (answer.Response.StatusCode, answer.Error);

    private async Task<long> RowsAsync()
    {
        await using var command = app.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand($"select count(*) from {GrantsStore.DevicePolls}");
        return (long)(await command.ExecuteScalarAsync())!;
    }
}
