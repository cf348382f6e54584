using System.Text.Json.Nodes;
using Grants.Domain.Claims;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.TokenFamilies;

namespace Grants.Domain.Tests.Claims;

public sealed class TokenClaimsTests
{
    private const string Issuer = "https://grants.example";
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    private static readonly long NoonSeconds = 1_795_435_200;
    private static readonly Guid Family = new("01900000-0000-7000-8000-0000000000f1");
    private static readonly Guid Grant = new("01900000-0000-7000-8000-0000000000a1");
    private static readonly Guid Session = new("01900000-0000-7000-8000-0000000000c1");
    private static readonly SubjectId Sam = new(new Guid("01900000-0000-7000-8000-0000000000aa"));
    private static readonly ClientId Tally = new("tally");

    private static readonly FamilyFacts OfPerson = new(Tally, Sam, Grant, Session, ["openid", "balances"], new(Noon.AddMinutes(-5), Authentication.PasswordAcr, ["pwd"]));
    private static readonly FamilyFacts OfClient = new(Tally, null, null, null, ["balances"], null);

    private static IssuedTokens Issued(FamilyFacts facts, ScopeSet? scopes = null, params ReadOnlySpan<string> audience) => new(Family, facts,
        new TokenFamilyEvent.AccessTokenIssued(3, facts, scopes ?? facts.Scopes, ValueList.Create(audience), Noon, Noon.AddMinutes(5)), 1,
        new TokenFamilyEvent.IdTokenIssued(Noon, Noon.AddMinutes(10)));

    [Fact, Trait("Rule", "AT-1")]
    public void An_access_token_says_who_may_do_what_where_for_whom_and_how_the_person_signed_in()
    {
        var claims = TokenClaims.OfAccessToken(Issued(OfPerson, null, "https://bank.example"), Issuer);
        Assert.Equal(["acr", "amr", "aud", "auth_time", "client_id", "exp", "iat", "iss", "jti", "scope", "sub"], claims.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(Issuer, claims["iss"]);
        Assert.Equal(Sam.ToString(), claims["sub"]);
        Assert.Equal("https://bank.example", claims["aud"]);
        Assert.Equal("tally", claims["client_id"]);
        Assert.Equal(new AccessTokenId(Family, Grant, 3).ToString(), claims["jti"]);
        Assert.Equal(NoonSeconds, claims["iat"]);
        Assert.Equal(NoonSeconds + 300, claims["exp"]);
        Assert.Equal("openid balances", claims["scope"]);
        Assert.Equal(NoonSeconds - 300, claims["auth_time"]);
        Assert.Equal(Authentication.PasswordAcr, claims["acr"]);
        Assert.Equal(["pwd"], Assert.IsType<string[]>(claims["amr"]));
    }

    [Fact, Trait("Rule", "AT-1")]
    public void Several_audiences_are_a_list() =>
        Assert.Equal(["https://bank.example", Issuer], Assert.IsType<string[]>(TokenClaims.OfAccessToken(Issued(OfPerson, null, "https://bank.example", Issuer), Issuer)["aud"]));

    [Fact, Trait("Rule", "AT-1")]
    public void The_scope_claim_is_that_of_this_token_and_absent_when_there_is_none()
    {
        Assert.Equal("openid", TokenClaims.OfAccessToken(Issued(OfPerson, ["openid"], Issuer), Issuer)["scope"]);
        Assert.DoesNotContain("scope", TokenClaims.OfAccessToken(Issued(OfPerson, [], Issuer), Issuer).Keys);
    }

    [Fact, Trait("Rule", "AT-1"), Trait("Attack", "T21")]
    public void A_client_acting_for_itself_is_the_sub_and_nobody_signed_in()
    {
        var claims = TokenClaims.OfAccessToken(Issued(OfClient, null, "https://bank.example"), Issuer);
        Assert.Equal("tally", claims["sub"]);
        Assert.False(SubjectId.TryParse((string)claims["sub"], out _));
        Assert.Empty(claims.Keys.Intersect(["auth_time", "acr", "amr", "sid"]));
    }

    [Fact, Trait("Rule", "AT-1")]
    public void A_jti_names_the_streams_that_tell_whether_the_token_stands()
    {
        foreach (var id in new[] { new AccessTokenId(Family, Grant, 3), new AccessTokenId(Family, null, 1), new AccessTokenId(Family, Grant, int.MaxValue) })
        {
            Assert.Equal(48, id.ToString().Length);
            Assert.True(AccessTokenId.TryParse(id.ToString(), out var again));
            Assert.Equal(id, again);
        }
    }

    [Fact, Trait("Rule", "ID-1"), Trait("Attack", "T22")]
    public void An_id_token_is_for_the_client_and_says_how_and_when_the_person_signed_in()
    {
        var claims = TokenClaims.OfIdToken(Issued(OfPerson, null, "https://bank.example"), Issuer, "n-0S6_WzA2Mj");
        Assert.Equal(["acr", "amr", "aud", "auth_time", "exp", "iat", "iss", "nonce", "sid", "sub"], claims.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(Issuer, claims["iss"]);
        Assert.Equal(Sam.ToString(), claims["sub"]);
        Assert.Equal("tally", claims["aud"]);
        Assert.Equal(NoonSeconds, claims["iat"]);
        Assert.Equal(NoonSeconds + 600, claims["exp"]);
        Assert.Equal(NoonSeconds - 300, claims["auth_time"]);
        Assert.Equal(Authentication.PasswordAcr, claims["acr"]);
        Assert.Equal(["pwd"], Assert.IsType<string[]>(claims["amr"]));
        Assert.Equal(Session.ToString("N"), claims["sid"]);
        Assert.Equal("n-0S6_WzA2Mj", claims["nonce"]);
    }

    [Fact, Trait("Rule", "ID-1")]
    public void An_id_token_after_a_refresh_has_no_nonce() =>
        Assert.DoesNotContain("nonce", TokenClaims.OfIdToken(Issued(OfPerson, null, Issuer), Issuer, null).Keys);

    [Fact, Trait("Rule", "ID-2")]
    public void An_id_token_leaves_at_hash_to_where_the_access_token_is_signed() =>
        Assert.DoesNotContain("at_hash", TokenClaims.OfIdToken(Issued(OfPerson, null, Issuer), Issuer, "n").Keys);

    private static JsonObject Known => JsonNode.Parse("""
        { "sub": "sub_of_somebody_else", "name": "Sam Field", "family_name": "Field", "birthdate": null, "email": "sam@demo.example", "email_verified": true,
          "phone_number": "+44 20 7946 0000", "address": { "country": "GB" }, "secret_note": "x" }
        """)!.AsObject();

    [Theory, Trait("Rule", "UI-1"), Trait("Rule", "UI-2")]
    [InlineData("openid", "sub")]
    [InlineData("openid profile", "sub name family_name")]
    [InlineData("openid email", "sub email email_verified")]
    [InlineData("openid phone", "sub phone_number")]
    [InlineData("openid address", "sub address")]
    [InlineData("openid profile email address phone", "sub name family_name email email_verified address phone_number")]
    [InlineData("openid balances secret_note", "sub")]
    [InlineData("", "sub")]
    public void Userinfo_tells_what_the_scopes_cover_and_leaves_out_what_is_not_known(string scopes, string claims)
    {
        Assert.True(ScopeSet.TryParse(scopes, out var set));
        var answer = TokenClaims.OfUserInfo(Sam.ToString(), Known, set);
        Assert.Equal(claims.Split(' ').Order(StringComparer.Ordinal), answer.Select(claim => claim.Key).Order(StringComparer.Ordinal));
    }

    [Fact, Trait("Rule", "UI-1"), Trait("Attack", "T22")]
    public void Userinfo_names_the_same_sub_as_the_id_token_whatever_the_claims_say()
    {
        var answer = TokenClaims.OfUserInfo(Sam.ToString(), Known, ["openid", "profile"]);
        Assert.Equal(TokenClaims.OfIdToken(Issued(OfPerson, null, Issuer), Issuer, null)["sub"], answer["sub"]!.GetValue<string>());
        Assert.Equal("Sam Field", answer["name"]!.GetValue<string>());
    }

    [Fact, Trait("Rule", "UI-2")]
    public void Userinfo_leaves_the_known_claims_untouched()
    {
        var known = Known;
        TokenClaims.OfUserInfo(Sam.ToString(), known, ["address"])["address"]!["country"] = "FR";
        Assert.Equal("GB", known["address"]!["country"]!.GetValue<string>());
    }

    [Fact, Trait("Rule", "UI-2")]
    public void Each_standard_claim_belongs_to_one_scope()
    {
        var claims = StandardClaims.ByScope.Values.SelectMany(list => list).ToList();
        Assert.Equal(19, claims.Count);
        Assert.Equal(claims.Distinct(), claims);
        Assert.DoesNotContain("sub", claims);
    }
}
