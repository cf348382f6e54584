using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Grants.Api.Signing;
using Grants.Domain.AccessGrants;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Grants.Domain.TokenFamilies;
using Grants.Testing;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Grants.Api.Tests.UserInfo;

/// <summary>The userinfo endpoint: what it tells, whom it refuses, and that it follows every end at once.</summary>
public sealed class UserInfoTests(AppFixture app) : IClassFixture<AppFixture>
{
    private const string Missing = "Bearer realm=\"grants\"";
    private const string Nothing = Missing + ", resource_metadata=\"" + TestConfiguration.Issuer + "/.well-known/oauth-protected-resource/userinfo\", DPoP algs=\"ES256 PS256 RS256\"";

    [Fact, Trait("Rule", "UI-1"), Trait("Rule", "UI-2"), Trait("Rule", "G-5"), Trait("Attack", "T22")]
    public async Task It_tells_what_the_scopes_cover_by_GET_and_by_POST()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        using var form = new FormUrlEncodedContent([KeyValuePair.Create("access_token", tokens.AccessToken)]);
        using var post = new HttpRequestMessage(HttpMethod.Post, "/userinfo") { Headers = { Authorization = new("Bearer", tokens.AccessToken) } };
        foreach (var response in (HttpResponseMessage[])[await http.UserInfoAsync(tokens.AccessToken), await http.PostAsync(new Uri("/userinfo", UriKind.Relative), form), await http.SendAsync(post)])
        {
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.Equal("application/json", response.Content.Headers.ContentType?.MediaType);
            Assert.Equal("no-store", response.Headers.CacheControl?.ToString());
            var told = JsonNode.Parse(await response.Content.ReadAsStringAsync())!.AsObject();
            Assert.Equal(["email", "email_verified", "family_name", "given_name", "name", "sub"], told.Select(member => member.Key).Order());
            Assert.Equal((string?)TokenAnswer.Claims(tokens.IdToken)["sub"], (string?)told["sub"]);
            Assert.Equal(("Sam Field", TestConfiguration.Sam, true), ((string?)told["name"], (string?)told["email"], (bool)told["email_verified"]!));
        }
    }

    [Theory, Trait("Rule", "UI-2")]
    [InlineData("openid", "sub")]
    [InlineData("openid email", "email email_verified sub")]
    [InlineData("openid profile", "family_name given_name name sub")]
    public async Task Claims_that_were_not_allowed_are_left_out(string scope, string claims)
    {
        using var http = app.NewClient();
        var asked = Journey.Ask(TestClient.Tally, ("scope", scope));
        var tokens = await http.RedeemAsync(asked, (await app.NewVisitor().AllowAsync(asked, TestConfiguration.Lin)).Answer["code"]);
        var told = JsonNode.Parse(await (await http.UserInfoAsync(tokens.AccessToken)).Content.ReadAsStringAsync())!.AsObject();
        Assert.Equal(claims.Split(' '), told.Select(member => member.Key).Order());
    }

    [Fact, Trait("Rule", "G-8"), Trait("Attack", "T15")]
    public async Task Who_sends_no_token_is_told_nothing_about_it()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        foreach (var address in (string[])["/userinfo", "/userinfo?access_token=" + tokens.AccessToken])
        {
            var response = await http.GetAsync(new Uri(address, UriKind.Relative));
            Assert.Equal((HttpStatusCode.Unauthorized, Nothing), (response.StatusCode, response.Headers.WwwAuthenticate.ToString()));
        }

        using var basic = new HttpRequestMessage(HttpMethod.Get, "/userinfo") { Headers = { Authorization = Journey.Basic("tally", TestConfiguration.TallySecret) } };
        var other = await http.SendAsync(basic);
        Assert.Equal((HttpStatusCode.Unauthorized, Nothing), (other.StatusCode, other.Headers.WwwAuthenticate.ToString()));
    }

    [Fact, Trait("Rule", "G-8")]
    public async Task Bad_tokens_get_the_challenges_of_RFC_6750()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        await AssertRefusedAsync(http, "nonsense");
        await AssertRefusedAsync(http, tokens.RefreshToken);
        await AssertRefusedAsync(http, new string('a', 9000));

        using var twice = new HttpRequestMessage(HttpMethod.Post, "/userinfo") { Content = new FormUrlEncodedContent([KeyValuePair.Create("access_token", tokens.AccessToken)]), Headers = { Authorization = new("Bearer", tokens.AccessToken) } };
        var both = await http.SendAsync(twice);
        Assert.Equal(HttpStatusCode.BadRequest, both.StatusCode);
        Assert.Contains("error=\"invalid_request\"", both.Headers.WwwAuthenticate.ToString(), StringComparison.Ordinal);
    }

    [Fact, Trait("Rule", "G-8")]
    public async Task A_token_that_lost_the_openid_scope_lacks_scope()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Poster, TestConfiguration.Lin);
        await app.AppendAsync(new StreamEvent(tokens.Streams().Grant!.Value, new GrantEvent.Narrowed(Guid.CreateVersion7(app.Clock.GetUtcNow()), ScopeSet.Of(["openid"]), app.Clock.GetUtcNow())));
        var response = await http.UserInfoAsync(tokens.AccessToken);
        Assert.Equal(HttpStatusCode.Forbidden, response.StatusCode);
        var challenge = response.Headers.WwwAuthenticate.ToString();
        Assert.Contains("error=\"insufficient_scope\"", challenge, StringComparison.Ordinal);
        Assert.Contains("scope=\"openid\"", challenge, StringComparison.Ordinal);
    }

    [Fact, Trait("Attack", "C4"), Trait("Rule", "AT-1")]
    public async Task An_access_token_ends_with_its_time_though_nobody_has_recorded_it()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        app.Clock.Advance(TimeSpan.FromSeconds((int)tokens.Json["expires_in"]! - 10));
        Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
        app.Clock.Advance(TimeSpan.FromSeconds(10));
        await AssertRefusedAsync(http, tokens.AccessToken);
    }

    [Fact, Trait("Attack", "T7")]
    public async Task No_kind_of_JWT_passes_for_another()
    {
        using var http = app.NewClient();
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally);
        var machine = await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"));

        // At userinfo: an id_token, a token for the bank alone.
        await AssertRefusedAsync(http, tokens.IdToken);
        await AssertRefusedAsync(http, machine.AccessToken);

        // As id_token_hint: an access token.
        Assert.NotNull(await Signer.ReadIdTokenHintAsync(tokens.IdToken, default));
        Assert.Null(await Signer.ReadIdTokenHintAsync(tokens.AccessToken, default));
        Assert.Null(await Signer.ReadIdTokenHintAsync(machine.AccessToken, default));
        var page = await visitor.GetAsync(QueryHelpers.AddQueryString("/logout", "id_token_hint", tokens.AccessToken));
        Assert.Equal((HttpStatusCode.OK, "/logout/confirm"), (page.Status, page.FormAction));

        // At the token endpoint: as code, refresh token, client secret.
        foreach (var jwt in (string[])[tokens.AccessToken, tokens.IdToken])
        {
            Assert.Equal("invalid_grant", (await http.RefreshAsync(TestClient.Tally, jwt)).Error);
            Assert.Equal("invalid_grant", (await http.TokenAsync(TestClient.Tally, ("grant_type", "authorization_code"), ("code", jwt), ("redirect_uri", TestClient.Tally.RedirectUri), ("code_verifier", Journey.Random()))).Error);
            Assert.Equal("invalid_client", (await http.RefreshAsync(TestClient.Tally with { Secret = jwt }, tokens.RefreshToken)).Error);
        }
    }

    public static TheoryData<string> Forgeries => ["none", "nOnE", "HS256 with the public key as JSON", "HS256 with the public key's point", "unknown kid", "no kid", "kid of another key", "embedded jwk", "jku", "alg of another key", "crit", "foreign key, our kid", "cut signature", "no signature", "changed payload", "changed header", "wrong issuer", "wrong audience", "wrong typ"];

    [Theory, Trait("Attack", "T8"), Trait("Attack", "T7")]
    [MemberData(nameof(Forgeries))]
    public async Task A_forged_token_is_refused_at_userinfo_and_as_a_hint(string how)
    {
        using var http = app.NewClient();
        var (tokens, visitor, _, _) = await app.ConnectAsync(TestClient.Tally, TestConfiguration.Maya);
        Assert.True(tokens.Ok, tokens.Json.ToJsonString());

        // Untouched and signed anew by our own key, both pass: what follows fails for the forgery alone.
        Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(await ForgeAsync(tokens.AccessToken, "nothing"))).StatusCode);
        Assert.NotNull(await Signer.ReadIdTokenHintAsync(await ForgeAsync(tokens.IdToken, "nothing"), default));

        await AssertRefusedAsync(http, await ForgeAsync(tokens.AccessToken, how));
        if (how == "wrong audience") return; // a hint may be for any client of ours
        var hint = await ForgeAsync(tokens.IdToken, how);
        Assert.Null(await Signer.ReadIdTokenHintAsync(hint, default));
        var page = await visitor.GetAsync(QueryHelpers.AddQueryString("/logout", "id_token_hint", hint));
        Assert.Equal("/logout/confirm", page.FormAction); // asked, not signed out
    }

    [Theory, Trait("Attack", "T23"), Trait("Attack", "T24"), Trait("Law", "L3")]
    [InlineData("grant revoked")]
    [InlineData("family revoked")]
    [InlineData("access token revoked")]
    [InlineData("client suspended")]
    [InlineData("client deleted")]
    [InlineData("person suspended")]
    public async Task What_an_operator_ends_is_over_with_the_next_request(string what)
    {
        using var http = app.NewClient();
        var client = what == "client deleted" ? TestClient.NativeApp : TestClient.Poster;
        var (tokens, visitor, _, _) = await app.ConnectAsync(client, TestConfiguration.Maya);
        Assert.True(tokens.Ok, tokens.Json.ToJsonString());
        var asked = Journey.Ask(client);
        var code = (await visitor.AllowAsync(asked)).Answer["code"];
        var (family, grant, stream) = (tokens.Streams().Family, tokens.Streams().Grant!.Value, await app.StreamOfAsync(client));
        Assert.True(SubjectId.TryParse((string?)TokenAnswer.Claims(tokens.IdToken)["sub"], out var person));
        Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
        var now = app.Clock.GetUtcNow();
        await app.AppendAsync(what switch
        {
            "grant revoked" => new StreamEvent(grant, new GrantEvent.Revoked(EndedBy.Operator, "a test", now)),
            "family revoked" => new StreamEvent(family, new TokenFamilyEvent.Revoked(EndedBy.Operator, "a test", now)),
            "access token revoked" => new StreamEvent(family, new TokenFamilyEvent.AccessTokenRevoked(1, EndedBy.Operator, "a test", now)),
            "client suspended" => new StreamEvent(stream, new ClientEvent.Suspended("a test", now)),
            "client deleted" => new StreamEvent(stream, new ClientEvent.Deleted("a test", now)),
            _ => new StreamEvent(person.Value, new SubjectEvent.Suspended("a test", now)),
        });
        try
        {
            await AssertRefusedAsync(http, tokens.AccessToken);
            var refreshed = await http.RefreshAsync(client, tokens.RefreshToken);
            var redeemed = await http.RedeemAsync(asked, code);
            if (what == "access token revoked")
            {
                Assert.True(refreshed.Ok && redeemed.Ok); // that one token alone
                return;
            }

            Assert.Equal(what.StartsWith("client", StringComparison.Ordinal) ? "invalid_client" : "invalid_grant", refreshed.Error);
            if (what == "family revoked") Assert.True(redeemed.Ok); // another family of a grant that stands
            else Assert.False(redeemed.Ok);
            if (what == "grant revoked" || what == "family revoked") return;

            var again = await visitor.GetAsync(Journey.Ask(client, ("prompt", "none")).Address);
            Assert.True(again.Location is null || !again.Answer.ContainsKey("code"), "A new code came after the end.");
        }
        finally
        {
            if (what == "client suspended") await app.AppendAsync(new StreamEvent(stream, new ClientEvent.Resumed(now)));
            if (what == "person suspended") await app.AppendAsync(new StreamEvent(person.Value, new SubjectEvent.Resumed(now)));
        }
    }

    [Fact, Trait("Law", "L4")]
    public async Task Reading_appends_nothing()
    {
        using var http = app.NewClient();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.Tally);
        var position = await app.PositionAsync();
        foreach (var address in (string[])["/jwks", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/healthz", "/readyz", "/userinfo"])
            await http.GetAsync(new Uri(address, UriKind.Relative));
        await http.UserInfoAsync(tokens.AccessToken);
        await http.UserInfoAsync("nonsense");
        await http.RefreshAsync(TestClient.Tally with { Secret = "wrong" }, tokens.RefreshToken); // client authentication
        await http.RefreshAsync(TestClient.Tally, "nonsense");
        Assert.Equal(position, await app.PositionAsync());
    }

    private TokenSigner Signer => app.Services.GetRequiredService<TokenSigner>();

    private static async Task AssertRefusedAsync(HttpClient http, string token)
    {
        var response = await http.UserInfoAsync(token);
        Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
        Assert.StartsWith(Missing + ", error=\"invalid_token\"", response.Headers.WwwAuthenticate.ToString(), StringComparison.Ordinal);
        Assert.Equal("no-store", response.Headers.CacheControl?.ToString());
    }

    /// <summary>The same token with something wrong about it, signed by our own key where that makes the attack stronger.</summary>
    private async Task<string> ForgeAsync(string token, string how)
    {
        var ring = await app.Services.GetRequiredService<KeyRing>().PublishedAsync(default);
        var ours = ring.Single(key => key.Key.Kid == (string?)TokenAnswer.HeaderOf(token)["kid"]);
        var parts = token.Split('.');
        var (header, payload) = (TokenAnswer.HeaderOf(token), TokenAnswer.Claims(token));
        var jwk = JsonNode.Parse(ours.Key.PublicJwk)!.AsObject();
        using var foreign = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        switch (how)
        {
            case "nothing": break;
            case "none" or "nOnE":
                header["alg"] = how;
                return $"{Encode(header)}.{parts[1]}.";
            case "HS256 with the public key as JSON":
                return Hmac(Encoding.UTF8.GetBytes(ours.Key.PublicJwk));
            case "HS256 with the public key's point":
                return Hmac([.. WebEncoders.Base64UrlDecode((string)jwk["x"]!), .. WebEncoders.Base64UrlDecode((string)jwk["y"]!)]);
            case "unknown kid": header["kid"] = "no-such-key"; break;
            case "no kid": header.Remove("kid"); break;
            case "kid of another key": header["kid"] = ring.First(key => key.Key.Kid != ours.Key.Kid && key.Key.Algorithm == ours.Key.Algorithm).Key.Kid; break;
            case "embedded jwk":
                header.Remove("kid");
                var point = foreign.ExportParameters(false).Q;
                header["jwk"] = new JsonObject { ["kty"] = "EC", ["crv"] = "P-256", ["x"] = WebEncoders.Base64UrlEncode(point.X!), ["y"] = WebEncoders.Base64UrlEncode(point.Y!) };
                return Sign(foreign);
            case "jku":
                header["kid"] = "elsewhere";
                header["jku"] = "https://attacker.example/jwks";
                return Sign(foreign);
            case "alg of another key": header["alg"] = "RS256"; break;
            case "crit":
                header["crit"] = new JsonArray("unheard-of");
                header["unheard-of"] = true;
                break;
            case "foreign key, our kid": return Sign(foreign);
            case "cut signature": return token[..^8];
            case "no signature": return $"{parts[0]}.{parts[1]}.";
            case "changed payload":
                payload["sub"] = "sub_0123456789abcdef0123456789abcdef";
                return $"{parts[0]}.{Encode(payload)}.{parts[2]}";
            case "changed header":
                header["x"] = 1;
                return $"{Encode(header)}.{parts[1]}.{parts[2]}";
            case "wrong issuer": payload["iss"] = "http://localhost:5101"; break;
            case "wrong audience": payload["aud"] = TestConfiguration.Bank; break;
            case "wrong typ": header["typ"] = (string?)header["typ"] == "JWT" ? "at+jwt" : "JWT"; break;
            default: throw new ArgumentOutOfRangeException(nameof(how), how, null);
        }

        return Sign(((ECDsaSecurityKey)ours.Security).ECDsa);

        string Sign(ECDsa key)
        {
            var text = $"{Encode(header)}.{Encode(payload)}";
            return $"{text}.{WebEncoders.Base64UrlEncode(key.SignData(Encoding.ASCII.GetBytes(text), HashAlgorithmName.SHA256))}";
        }

        string Hmac(byte[] key)
        {
            header["alg"] = "HS256";
            var text = $"{Encode(header)}.{parts[1]}";
            return $"{text}.{WebEncoders.Base64UrlEncode(HMACSHA256.HashData(key, Encoding.ASCII.GetBytes(text)))}";
        }

        static string Encode(JsonObject json) => WebEncoders.Base64UrlEncode(Encoding.UTF8.GetBytes(json.ToJsonString()));
    }
}
