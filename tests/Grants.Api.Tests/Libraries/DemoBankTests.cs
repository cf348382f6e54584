using System.Net;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using DemoBank;
using Grants.Testing;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Grants.Api.Tests.Libraries;

/// <summary>How the sample API checks bound tokens, with Microsoft's handler for bearer tokens.</summary>
public sealed class DemoBankTests(AppFixture app) : IClassFixture<AppFixture>
{
    private const string Realm = "Bearer realm=\"Demo Bank\"";

    [Fact, Trait("Rule", "DP-7"), Trait("Attack", "T10"), Trait("Attack", "T11"), Trait("Library", "Microsoft.AspNetCore.Authentication.JwtBearer")]
    public async Task It_takes_bearer_tokens_and_bound_ones_with_their_proof_and_nothing_between()
    {
        using var key = new DpopKey();
        using var other = new DpopKey("PS256");
        using var bound = app.NewClient(key);
        using var plain = app.NewClient();
        await using var bank = await BankAsync();
        using var http = bank.GetTestServer().CreateClient();
        var token = (await bound.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"))).AccessToken;
        var bearer = (await plain.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"))).AccessToken;

        Assert.Equal(HttpStatusCode.OK, await StatusAsync("Bearer", bearer));
        var proof = Prove(key, token);
        Assert.Equal(HttpStatusCode.OK, await StatusAsync("DPoP", token, proof));
        Assert.Equal(HttpStatusCode.OK, await StatusAsync("dpop", token, Prove(key, token)));

        await RefusedAsync("used before", "DPoP", token, proof);
        await RefusedAsync("a bound token as bearer", "Bearer", token, Prove(key, token));
        await RefusedAsync("an unbound token as bound", "DPoP", bearer, Prove(key, bearer));
        await RefusedAsync("no proof", "DPoP", token);
        await RefusedAsync("two proofs", "DPoP", token, Prove(key, token), Prove(key, token));
        await RefusedAsync("garbage", "DPoP", token, "garbage");
        await RefusedAsync("another key", "DPoP", token, Prove(other, token));
        await RefusedAsync("another token", "DPoP", token, Prove(key, bearer));
        await RefusedAsync("another method", "DPoP", token, Prove(key, token, (_, claims) => claims["htm"] = "POST"));
        await RefusedAsync("another address", "DPoP", token, Prove(key, token, (_, claims) => claims["htu"] = TestConfiguration.Bank + "/payments"));
        await RefusedAsync("too old", "DPoP", token, Prove(key, token, (_, claims) => claims["iat"] = app.Clock.GetUtcNow().AddMinutes(-2).ToUnixTimeSeconds()));
        await RefusedAsync("of another type", "DPoP", token, Prove(key, token, (header, _) => header["typ"] = "JWT"));
        await RefusedAsync("with the private key", "DPoP", token, Prove(key, token, (header, _) => header["jwk"]!["d"] = key.D));
        await RefusedAsync("without a key", "DPoP", token, Prove(key, token, (header, _) => header.Remove("jwk")));
        await RefusedAsync("with a key that is none", "DPoP", token, Prove(key, token, (header, _) => header["jwk"] = new JsonObject { ["kty"] = "EC" }));

        string Prove(DpopKey by, string of, Action<JsonObject, JsonObject>? change = null) => by.Prove(HttpMethod.Get, "/balances", app.Clock.GetUtcNow(), accessToken: of, change: (header, claims) =>
        {
            claims["htu"] = TestConfiguration.Bank + "/balances";
            change?.Invoke(header, claims);
        });

        async Task RefusedAsync(string why, string scheme, string shown, params string[] proofs) => Assert.Equal((why, HttpStatusCode.Unauthorized), (why, await StatusAsync(scheme, shown, proofs)));

        async Task<HttpStatusCode> StatusAsync(string scheme, string shown, params string[] proofs)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "/balances") { Headers = { Authorization = new AuthenticationHeaderValue(scheme, shown) } };
            if (proofs.Length > 0) request.Headers.TryAddWithoutValidation("DPoP", proofs);
            return (await http.SendAsync(request)).StatusCode;
        }
    }

    [Fact, Trait("Rule", "SU-1"), Trait("Rule", "G-8"), Trait("Library", "Microsoft.AspNetCore.Authentication.JwtBearer")]
    public async Task It_asks_for_a_new_sign_in_where_a_token_tells_of_an_old_one_or_of_none()
    {
        await using var bank = await BankAsync();
        using var calls = bank.GetTestServer().CreateClient();
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally, TestConfiguration.Lin, "payments");
        Assert.Equal((HttpStatusCode.OK, ""), await PayAsync(tokens.AccessToken));
        Assert.Equal((HttpStatusCode.Forbidden, Realm + ", error=\"insufficient_scope\", scope=\"payments\""), await PayAsync((await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken, "balances")).AccessToken));

        const string Wanted = Realm + ", error=\"insufficient_user_authentication\", error_description=\"The person has to sign in again.\", max_age=\"3600\"";
        app.Clock.Advance(TimeSpan.FromMinutes(61));
        var (again, visitor, _, _) = await app.ConnectAsync(TestClient.Tally, TestConfiguration.Lin, "payments");
        Assert.Equal((HttpStatusCode.OK, ""), await PayAsync(again.AccessToken));
        app.Clock.Advance(TimeSpan.FromMinutes(61));
        Assert.Equal((HttpStatusCode.Unauthorized, Wanted), await PayAsync((await http.RefreshAsync(TestClient.Tally, again.RefreshToken)).AccessToken));

        var stepUp = Journey.Ask(TestClient.Tally, ("max_age", "3600"));
        var fresh = await http.RedeemAsync(stepUp, (await visitor.AllowAsync(stepUp, TestConfiguration.Lin)).Answer["code"]);
        Assert.Equal((HttpStatusCode.OK, ""), await PayAsync(fresh.AccessToken));

        async Task<(HttpStatusCode, string)> PayAsync(string token)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/payments") { Headers = { Authorization = new AuthenticationHeaderValue("Bearer", token) } };
            var answer = await calls.SendAsync(request);
            return (answer.StatusCode, answer.Headers.WwwAuthenticate.ToString());
        }
    }

    private async Task<WebApplication> BankAsync()
    {
        var builder = WebApplication.CreateBuilder();
        builder.WebHost.UseTestServer();
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton<TimeProvider>(app.Clock);
        var bound = new BoundTokens(TestConfiguration.Bank, app.Clock);
        builder.Services.AddAuthentication().AddJwtBearer(bearer =>
        {
            bearer.Authority = TestConfiguration.Issuer;
            bearer.Audience = TestConfiguration.Bank;
            bearer.RequireHttpsMetadata = false;
            bearer.MapInboundClaims = false;
            bearer.BackchannelHttpHandler = app.NewHandler();
            bearer.Challenge = Realm;
            bearer.TokenValidationParameters.ValidTypes = ["at+jwt"];
            bearer.TokenValidationParameters.LifetimeValidator = (_, expires, _, _) => expires > app.Clock.GetUtcNow().UtcDateTime;
            bearer.Events = new JwtBearerEvents { OnMessageReceived = BoundTokens.Receive, OnTokenValidated = bound.Check, OnChallenge = Challenges.Challenge, OnForbidden = Challenges.Forbid };
        });
        builder.Services.AddAuthorization();
        var bank = builder.Build();
        bank.UseAuthentication();
        bank.UseAuthorization();
        bank.MapGet("/balances", () => "rich").RequireAuthorization();
        bank.MapPost("/payments", () => "paid").NeedsScope("payments").NeedsSignInWithin(TimeSpan.FromHours(1), app.Clock);
        await bank.StartAsync();
        return bank;
    }
}
