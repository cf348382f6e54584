using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;
using Grants.Testing;
using Microsoft.AspNetCore.WebUtilities;

namespace Grants.Api.Tests.Token;

/// <summary>Codes and refresh tokens: what binds them, how they end, what a replay costs.</summary>
public sealed class CodeAndRefreshTests(AppFixture app) : IClassFixture<AppFixture>
{
    private const string Invalid = "invalid_grant";

    [Fact, Trait("Rule", "TK-1"), Trait("Rule", "TK-2"), Trait("Attack", "C1")]
    public async Task A_code_used_twice_ends_all_that_came_of_it()
    {
        using var http = app.NewClient();
        var (tokens, _, asked, code) = await app.ConnectAsync(TestClient.Tally);
        Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);

        TokenEndpointTests.AssertError(await http.RedeemAsync(asked, code), Invalid);

        Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
        TokenEndpointTests.AssertError(await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken), Invalid);
        var family = await app.EventsAsync(tokens.Streams().Family);
        Assert.Equal(
            [typeof(TokenFamilyEvent.AccessTokenIssued), typeof(TokenFamilyEvent.RefreshTokenIssued), typeof(TokenFamilyEvent.IdTokenIssued), typeof(TokenFamilyEvent.Revoked)],
            family.Select(e => e.Data.GetType()));
        var authorization = await AuthorizationOf(tokens);
        Assert.Equal([typeof(AuthorizationEvent.CodeRedeemed), typeof(AuthorizationEvent.CodeReplayed)], authorization.TakeLast(2).Select(e => e.GetType()));

        // Further replays are refused and write nothing.
        var position = await app.PositionAsync();
        TokenEndpointTests.AssertError(await http.RedeemAsync(asked, code), Invalid);
        Assert.Equal(position, await app.PositionAsync());
    }

    [Fact, Trait("Rule", "TK-1"), Trait("Rule", "TK-2"), Trait("Attack", "C3")]
    public async Task A_code_is_bound_to_its_client_address_and_verifier_and_wrong_tries_dont_burn_it()
    {
        using var http = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally);
        var code = (await app.NewVisitor().AllowAsync(asked)).Answer["code"];
        var position = await app.PositionAsync();
        (string, string?) grant = ("grant_type", "authorization_code"), right = ("code", code);
        (string, string?) uri = ("redirect_uri", asked.Client.RedirectUri), verifier = ("code_verifier", asked.Verifier);

        foreach (var other in (TestClient[])[TestClient.Poster, TestClient.BrowserApp])
            TokenEndpointTests.AssertError(await http.TokenAsync(other, grant, right, uri, verifier), Invalid);
        TokenEndpointTests.AssertError(await http.TokenAsync(asked.Client, grant, right, ("redirect_uri", "http://localhost:5200/other"), verifier), Invalid);
        TokenEndpointTests.AssertError(await http.TokenAsync(asked.Client, grant, right, ("redirect_uri", asked.Client.RedirectUri + "/"), verifier), Invalid);
        TokenEndpointTests.AssertError(await http.TokenAsync(asked.Client, grant, right, verifier), Invalid);
        TokenEndpointTests.AssertError(await http.TokenAsync(asked.Client, grant, right, uri, ("code_verifier", Journey.Random())), Invalid);
        TokenEndpointTests.AssertError(await http.TokenAsync(asked.Client, grant, right, uri, ("code_verifier", Journey.Challenge(asked.Verifier))), Invalid);
        TokenEndpointTests.AssertError(await http.TokenAsync(asked.Client, grant, right, uri), Invalid);
        TokenEndpointTests.AssertError(await http.TokenAsync(asked.Client, grant, ("code", "x" + code[1..]), uri, verifier), Invalid);
        Assert.Equal(position, await app.PositionAsync());

        Assert.True((await http.RedeemAsync(asked, code)).Ok);
    }

    [Theory, Trait("Attack", "C4")]
    [InlineData(59, true)]
    [InlineData(60, false)]
    [InlineData(61, false)]
    public async Task A_code_lives_for_less_than_a_minute(int seconds, bool good)
    {
        using var http = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally);
        var code = (await app.NewVisitor().AllowAsync(asked)).Answer["code"];
        var issued = (AuthorizationEvent.CodeIssued)(await app.EventsAfterAsync(0)).Last(e => e.Data is AuthorizationEvent.CodeIssued).Data;

        app.Clock.Advance(issued.At.AddSeconds(seconds) - app.Clock.GetUtcNow() - (good ? TimeSpan.FromSeconds(5) : TimeSpan.Zero));
        var answer = await http.RedeemAsync(asked, code);

        Assert.Equal((good, good ? null : Invalid), (answer.Ok, answer.Error));
    }

    [Theory, Trait("Attack", "C5"), Trait("Attack", "C6"), Trait("Attack", "C7")]
    [InlineData(null, "S256")]
    [InlineData("", "S256")]
    [InlineData("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", null)] // no method means plain
    [InlineData("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "plain")]
    [InlineData("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "s256")]
    [InlineData("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c", "S256")]
    [InlineData("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=", "S256")]
    public async Task A_request_without_an_S256_challenge_gets_no_code(string? challenge, string? method)
    {
        var page = await app.NewVisitor().GetAsync(Journey.Ask(TestClient.Tally, ("code_challenge", challenge), ("code_challenge_method", method)).Address);
        Assert.Equal("invalid_request", page.Answer["error"]);
        Assert.DoesNotContain("code", page.Answer.Keys);
    }

    [Fact, Trait("Attack", "C6")]
    public async Task The_method_sent_with_the_code_is_not_listened_to()
    {
        using var http = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally);
        var code = (await app.NewVisitor().AllowAsync(asked)).Answer["code"];
        TokenEndpointTests.AssertError(await http.TokenAsync(asked.Client, ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", asked.Client.RedirectUri),
            ("code_verifier", Journey.Challenge(asked.Verifier)), ("code_challenge_method", "plain")), Invalid);
        Assert.True((await http.RedeemAsync(asked, code)).Ok);
    }

    [Theory, Trait("Attack", "C7")]
    [InlineData(42)]
    [InlineData(129)]
    [InlineData(-1)]
    public async Task A_verifier_of_another_shape_is_refused(int length)
    {
        using var http = app.NewClient();
        var verifier = length < 0 ? new string('a', 42) + "+" : new string('a', length);
        var asked = Journey.Ask(TestClient.Tally, ("code_challenge", Journey.Challenge(verifier)));
        var code = (await app.NewVisitor().AllowAsync(asked)).Answer["code"];
        TokenEndpointTests.AssertError(await http.RedeemAsync(asked with { Verifier = verifier }, code), "invalid_request");
    }

    [Fact, Trait("Rule", "TK-3"), Trait("Rule", "TK-6"), Trait("Rule", "ID-1"), Trait("Rule", "ID-2"), Trait("Attack", "T22")]
    public async Task A_renewal_says_the_same_of_the_person_and_carries_no_nonce()
    {
        using var http = app.NewClient();
        var (first, _, asked, _) = await app.ConnectAsync(TestClient.Tally);
        app.Clock.Advance(TimeSpan.FromSeconds(2));
        var second = await http.RefreshAsync(TestClient.Tally, first.RefreshToken);
        Assert.True(second.Ok, second.Json.ToJsonString());

        var (before, after) = (TokenAnswer.Claims(first.IdToken), TokenAnswer.Claims(second.IdToken));
        foreach (var same in (string[])["iss", "sub", "aud", "auth_time", "acr", "sid"]) Assert.Equal(before[same]!.ToJsonString(), after[same]!.ToJsonString());
        Assert.True((long)after["iat"]! > (long)before["iat"]!);
        Assert.Equal(asked.Nonce, (string?)before["nonce"]);
        Assert.False(after.ContainsKey("nonce"));
        Assert.Equal("no-store", second.Response.Headers.CacheControl?.ToString());

        foreach (var tokens in (TokenAnswer[])[first, second])
        {
            AssertAtHash(tokens);
            Assert.Equal((string?)TokenAnswer.Claims(tokens.IdToken)["sub"], (string?)TokenAnswer.Claims(tokens.AccessToken)["sub"]);
            Assert.Equal(["alg", "kid", "typ"], TokenAnswer.HeaderOf(tokens.IdToken).Select(member => member.Key).Order());
        }
    }

    [Fact, Trait("Rule", "ID-2"), Trait("Rule", "22-4")]
    public void The_at_hash_vector_is_met() => Assert.Equal("bJYTDxMKsNbRWDl-JNK8wQ", AtHash("2YotnFZFEjr1zCsicMWpAA"));

    [Fact, Trait("Rule", "ID-1"), Trait("Rule", "ID-2"), Trait("Rule", "CA-3"), Trait("Attack", "T22"), Trait("Attack", "P9")]
    public async Task A_client_may_have_its_id_tokens_signed_with_RS256()
    {
        var (tokens, _, asked, _) = await app.ConnectAsync(TestClient.Poster);
        Assert.True(tokens.Ok, tokens.Json.ToJsonString());
        var header = TokenAnswer.HeaderOf(tokens.IdToken);
        Assert.Equal("RS256", (string?)header["alg"]);
        Assert.Equal("ES256", (string?)TokenAnswer.HeaderOf(tokens.AccessToken)["alg"]);
        Assert.Equal(("poster", asked.Nonce), ((string?)TokenAnswer.Claims(tokens.IdToken)["aud"], (string?)TokenAnswer.Claims(tokens.IdToken)["nonce"]));
        AssertAtHash(tokens);

        using var http = app.NewClient();
        var jwks = JsonNode.Parse(await http.GetStringAsync("/jwks"))!["keys"]!.AsArray();
        var key = jwks.Single(jwk => (string?)jwk!["kid"] == (string?)header["kid"])!;
        using var rsa = RSA.Create(new RSAParameters { Modulus = WebEncoders.Base64UrlDecode((string)key["n"]!), Exponent = WebEncoders.Base64UrlDecode((string)key["e"]!) });
        var parts = tokens.IdToken.Split('.');
        Assert.True(rsa.VerifyData(Encoding.ASCII.GetBytes($"{parts[0]}.{parts[1]}"), WebEncoders.Base64UrlDecode(parts[2]), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1));
    }

    [Fact, Trait("Rule", "TK-3"), Trait("Attack", "T6")]
    public async Task A_renewal_may_ask_for_less_and_never_for_more()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally); // payments was not ticked
        TokenEndpointTests.AssertError(await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken, "openid payments"), "invalid_scope");
        TokenEndpointTests.AssertError(await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken, "transactions"), "invalid_scope");
        TokenEndpointTests.AssertError(await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken, "no-such-scope"), "invalid_scope");

        var less = await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken, "balances");
        Assert.True(less.Ok, less.Json.ToJsonString());
        Assert.Equal("balances", less.Scope);
        Assert.False(less.Json.ContainsKey("id_token"));
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(less.AccessToken)).StatusCode); // its audience is the bank alone

        var all = await http.RefreshAsync(TestClient.Tally, less.RefreshToken);
        Assert.Equal(tokens.Scope, all.Scope);
    }

    [Fact, Trait("Rule", "TK-3"), Trait("Attack", "T4"), Trait("Rule", "CA-10")]
    public async Task A_refresh_token_serves_its_own_client_alone()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        TokenEndpointTests.AssertError(await http.RefreshAsync(TestClient.Poster, tokens.RefreshToken), Invalid);
        TokenEndpointTests.AssertError(await http.RefreshAsync(TestClient.BrowserApp, tokens.RefreshToken), Invalid);
        TokenEndpointTests.AssertError(await http.RefreshAsync(TestClient.Tally with { Secret = null }, tokens.RefreshToken), "invalid_client", HttpStatusCode.Unauthorized);
        TokenEndpointTests.AssertError(await http.RefreshAsync(TestClient.Tally with { Secret = "wrong" }, tokens.RefreshToken), "invalid_client", HttpStatusCode.Unauthorized, "Basic realm=\"grants\"");
        Assert.True((await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken)).Ok);
    }

    [Fact, Trait("Rule", "TK-4"), Trait("Attack", "T1"), Trait("Rule", "20-5")]
    public async Task A_spent_refresh_token_of_a_public_client_ends_the_family_at_once()
    {
        using var http = app.NewClient();
        var (first, _, _, _) = await app.ConnectAsync(TestClient.BrowserApp);
        var second = await http.RefreshAsync(TestClient.BrowserApp, first.RefreshToken);
        Assert.True(second.Ok, second.Json.ToJsonString());
        Assert.NotEqual(first.RefreshToken, second.RefreshToken);
        Assert.Equal(first.Scope, second.Scope);

        TokenEndpointTests.AssertError(await http.RefreshAsync(TestClient.BrowserApp, first.RefreshToken), Invalid);
        TokenEndpointTests.AssertError(await http.RefreshAsync(TestClient.BrowserApp, second.RefreshToken), Invalid);
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(second.AccessToken)).StatusCode);
        var family = (await app.EventsAsync(first.Streams().Family)).Select(e => e.Data).ToList();
        Assert.Equal(1, Assert.Single(family.OfType<TokenFamilyEvent.RefreshTokenReplayed>()).Generation);
        Assert.Equal((EndedBy.System, "a spent refresh token was used again"), (family.OfType<TokenFamilyEvent.Revoked>().Single().By, family.OfType<TokenFamilyEvent.Revoked>().Single().Why));
    }

    [Fact, Trait("Rule", "TK-4"), Trait("Attack", "T1"), Trait("Law", "L2")]
    public async Task A_lost_answer_may_be_asked_for_again_within_the_window_and_no_later()
    {
        using var http = app.NewClient();
        var (first, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var second = await http.RefreshAsync(TestClient.Tally, first.RefreshToken);
        var again = await http.RefreshAsync(TestClient.Tally, first.RefreshToken);
        Assert.Equal(second.RefreshToken, again.RefreshToken);
        Assert.NotEqual(second.AccessToken, again.AccessToken);
        var family = (await app.EventsAsync(first.Streams().Family)).Select(e => e.Data).ToList();
        Assert.Single(family.OfType<TokenFamilyEvent.RefreshTokenRotated>());
        Assert.Equal(3, family.OfType<TokenFamilyEvent.AccessTokenIssued>().Count());

        app.Clock.Advance(TimeSpan.FromSeconds(31));
        TokenEndpointTests.AssertError(await http.RefreshAsync(TestClient.Tally, first.RefreshToken), Invalid);
        TokenEndpointTests.AssertError(await http.RefreshAsync(TestClient.Tally, second.RefreshToken), Invalid);
    }

    [Fact, Trait("Rule", "TK-4"), Trait("Attack", "T1")]
    public async Task Within_the_window_a_token_whose_successor_was_used_is_a_replay()
    {
        using var http = app.NewClient();
        var (first, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var second = await http.RefreshAsync(TestClient.Tally, first.RefreshToken);
        var third = await http.RefreshAsync(TestClient.Tally, second.RefreshToken);
        Assert.True(third.Ok);
        TokenEndpointTests.AssertError(await http.RefreshAsync(TestClient.Tally, first.RefreshToken), Invalid);
        TokenEndpointTests.AssertError(await http.RefreshAsync(TestClient.Tally, third.RefreshToken), Invalid);
    }

    [Fact, Trait("Rule", "TK-5"), Trait("Attack", "T5")]
    public async Task A_refresh_token_that_rests_for_thirty_days_dies()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally, TestConfiguration.Maya);
        app.Clock.Advance(TimeSpan.FromDays(30) - TimeSpan.FromMinutes(1));
        var renewed = await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken);
        Assert.True(renewed.Ok);
        app.Clock.Advance(TimeSpan.FromDays(30) + TimeSpan.FromSeconds(1));
        TokenEndpointTests.AssertError(await http.RefreshAsync(TestClient.Tally, renewed.RefreshToken), Invalid);
    }

    [Fact, Trait("Rule", "TK-5"), Trait("Attack", "T5")]
    public async Task No_token_outlives_what_the_person_allowed()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally, TestConfiguration.Lin);
        var grant = (GrantEvent.Created)(await app.EventsAsync(tokens.Streams().Grant!.Value))[0].Data;
        for (var month = 0; month < 4; month++)
        {
            var left = grant.ExpiresAt - app.Clock.GetUtcNow();
            app.Clock.Advance(left > TimeSpan.FromDays(25) ? TimeSpan.FromDays(25) : left - TimeSpan.FromMinutes(1));
            tokens = await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken);
            Assert.True(tokens.Ok, tokens.Json.ToJsonString());
        }

        // One minute before the end: the access token is cut to fit, and after the end nothing works.
        Assert.InRange((int)tokens.Json["expires_in"]!, 1, 60);
        app.Clock.Advance(TimeSpan.FromSeconds(61));
        TokenEndpointTests.AssertError(await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken), Invalid);
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
    }

    [Theory, Trait("Attack", "T5")]
    [InlineData(119, 1, true)] // used within two hours each time
    [InlineData(121, 1, false)] // idle
    [InlineData(100, 7, true)]
    [InlineData(100, 8, false)] // used all the time, but half a day is the end
    public async Task A_browser_stays_signed_in_while_it_is_used_and_no_longer_than_half_a_day(int minutes, int times, bool signedIn)
    {
        var visitor = app.NewVisitor();
        await visitor.AllowAsync(Journey.Ask(TestClient.Tally), TestConfiguration.Sam);
        Page page = null!;
        for (var time = 0; time < times; time++)
        {
            app.Clock.Advance(TimeSpan.FromMinutes(minutes));
            page = await visitor.GetAsync(Journey.Ask(TestClient.Tally, ("prompt", "none")).Address);
        }

        if (signedIn) Witness.Saw("code", page.Answer["code"]);
        else Assert.Equal("login_required", page.Answer["error"]);
    }

    [Fact, Trait("Rule", "TK-1")]
    public async Task Without_offline_access_there_is_no_refresh_token_and_without_openid_no_id_token()
    {
        using var http = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally, ("scope", "balances"));
        var answer = await http.RedeemAsync(asked, (await app.NewVisitor().AllowAsync(asked)).Answer["code"]);
        Assert.Equal(["access_token", "expires_in", "scope", "token_type"], answer.Json.Select(member => member.Key).Order());
        Assert.Equal(TestConfiguration.Bank, (string?)TokenAnswer.Claims(answer.AccessToken)["aud"]);
    }

    private static void AssertAtHash(TokenAnswer tokens) => Assert.Equal(AtHash(tokens.AccessToken), (string?)TokenAnswer.Claims(tokens.IdToken)["at_hash"]);

    private static string AtHash(string accessToken) => WebEncoders.Base64UrlEncode(SHA256.HashData(Encoding.ASCII.GetBytes(accessToken)).AsSpan(0, 16));

    private async Task<List<object>> AuthorizationOf(TokenAnswer tokens)
    {
        var family = tokens.Streams().Family;
        var stream = (await app.EventsAfterAsync(0)).Single(e => e.Data is AuthorizationEvent.CodeIssued issued && issued.Family == family).StreamId;
        return [.. (await app.EventsAsync(stream)).Select(e => e.Data)];
    }
}
