using System.Text;
using CsCheck;
using Grants.Api.Authorize;
using Grants.Api.Details;
using Grants.Api.Http;
using Grants.Api.Token;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Grants.Api.Tests.Http;

/// <summary>Whatever a stranger sends: it is read or refused, and nothing throws.</summary>
public sealed class ParserLaws
{
    private static readonly Gen<char> Odd = Gen.OneOf('\0', '\n', ' ', '"', '\\', '/', ':', '@', '#', '?', '%', '*', '.', '=', '&', '+', ';', 'é', '\u202E', '\uD800', '\uFFFF');

    private static readonly Gen<string> Texts = Gen.OneOf(Gen.String[0, 20], Gen.String[Gen.OneOf(Gen.Char.AlphaNumeric, Odd), 0, 60], Gen.String[Gen.Char.AlphaNumeric, 30, 140]);

    /// <summary>Half a surrogate pair is no text, so nobody can have it in a name.</summary>
    private static readonly Gen<string> Unicode = Texts.Select(text => string.Concat(text.EnumerateRunes().Where(rune => rune != Rune.ReplacementChar)));

    private static readonly Client Web = new(Guid.Empty, new ClientId("web"), new ClientMetadata
    {
        ClientName = "Web",
        RedirectUris = ["https://web.example/cb", "https://web.example/other"],
        GrantTypes = [GrantType.AuthorizationCode, GrantType.RefreshToken],
        Scope = ["openid", "accounts"],
    }, [], ClientStatus.Active, DateTimeOffset.UnixEpoch);

    private static readonly Catalogue Catalogue = Catalogue.Empty with { Scopes = [new ScopeDefinition("accounts", "See your accounts", "see", null, null)] };

    [Fact, Trait("Rule", "CA-2"), Trait("Attack", "K5")]
    public void Any_id_and_secret_come_back_out_of_a_Basic_header() => Gen.Select(Unicode.Where(id => id.Length > 0), Unicode).Always(given =>
    {
        var header = "Basic " + Convert.ToBase64String(Encoding.UTF8.GetBytes($"{Uri.EscapeDataString(given.Item1)}:{Uri.EscapeDataString(given.Item2)}"));
        Assert.True(ClientAuthentication.TryReadBasic(header, out var id, out var secret));
        Assert.Equal(given, (id.Value, secret.Expose()));
    });

    [Fact, Trait("Rule", "CA-2"), Trait("Attack", "K5")]
    public void No_Basic_header_makes_the_parser_throw() => Gen.OneOf(Texts, Texts.Select(text => "Basic " + text), Gen.Byte.Array[0, 60].Select(bytes => "basic " + Convert.ToBase64String(bytes))).Always(header =>
    {
        if (ClientAuthentication.TryReadBasic(header, out var id, out _)) Assert.NotEmpty(id.Value);
    });

    [Fact, Trait("Rule", "G-2"), Trait("Rule", "G-3"), Trait("Attack", "P3")]
    public void No_body_makes_the_form_parser_throw() => Gen.Select(
        Gen.OneOf(Gen.Byte.Array[0, 200], Texts.Select(Encoding.UTF8.GetBytes), Gen.String[Gen.Char["abc=&%+;2F0C"], 0, 80].Select(Encoding.UTF8.GetBytes)),
        Gen.OneOf("application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8", "application/x-www-form-urlencoded;charset=UTF-7", "application/x-www-form-urlencoded; charset=none", "application/x-www-form-urlencoded;;;", "multipart/form-data; boundary=x", "text/plain", "")).Always(given =>
    {
        var form = Form(given.Item1, given.Item2);
        if (!given.Item2.StartsWith("application/x-www-form-urlencoded", StringComparison.Ordinal)) Assert.Null(form);
        if (form?.Fault is { } fault) Assert.Equal(ErrorCode.InvalidRequest, fault.Code);
    });

    [Fact, Trait("Rule", "G-3"), Trait("Attack", "R20")]
    public void A_form_says_what_was_put_in_and_what_is_repeated_is_a_fault() =>
        Gen.Select(Gen.OneOf("code", "scope", "state", "resource", "audience", "x y", "ä"), Unicode.Where(text => !text.Contains('\0'))).Array[0, 6].Always(pairs =>
        {
            var form = Form(Encoding.UTF8.GetBytes(string.Join('&', pairs.Select(pair => $"{Uri.EscapeDataString(pair.Item1)}={Uri.EscapeDataString(pair.Item2)}"))), "application/x-www-form-urlencoded")!;
            var names = pairs.GroupBy(pair => pair.Item1).ToList();
            Assert.Equal(names.Any(name => name.Count() > 1 && name.Key is not ("resource" or "audience")), form.Fault is not null);
            foreach (var name in names.Where(name => name.Count() == 1)) Assert.Equal(name.Single().Item2 is { Length: > 0 } value ? value : null, form[name.Key]);
            Assert.Null(form["absent"]);
        });

    [Fact, Trait("Rule", "AZ-2"), Trait("Rule", "AZ-5"), Trait("Rule", "AZ-7"), Trait("Attack", "R20"), Trait("Attack", "R21")]
    public void An_authorization_request_is_valid_only_within_the_clients_registration_and_no_other_makes_the_parser_throw()
    {
        var valid = 0;
        Requests.Always(pairs =>
        {
            var parameters = Parameters.Of(pairs.GroupBy(pair => pair.Item1).Select(group => KeyValuePair.Create(group.Key, new StringValues([.. group.Select(pair => pair.Item2)]))));
            var read = AuthorizeRequest.Parse(parameters, parameters["client_id"] == "web" ? Web : null, Catalogue);
            if (read is AuthorizeRequest.ShowPage(var error, _)) Assert.All(error.Description, Printable);
            if (read is AuthorizeRequest.RedirectError refused)
            {
                Assert.True(Web.Metadata.Admits(refused.RedirectUri));
                Assert.All(refused.Error.Description, Printable);
            }

            if (read is not AuthorizeRequest.Valid { Request: var request }) return;
            valid++;
            Assert.True(Web.Metadata.Admits(request.RedirectUri));
            Assert.True(request.Scopes.Count > 0 && request.Scopes.IsSubsetOf(Web.Metadata.Scope));
            Assert.Equal(parameters["code_challenge"], request.Challenge.Value);
            Assert.Contains(request.ResponseMode, Web.Metadata.ResponseModes);
            Assert.True(pairs.GroupBy(pair => pair.Item1).All(group => group.Count() == 1));
        });
        Assert.True(valid > Generated.Many / 100, $"Only {valid} were valid.");
    }

    private static readonly Gen<(string, string)[]> Requests = Gen.Select(
        Gen.Select(
            Of("client_id", "web"), Of("redirect_uri", "https://web.example/cb"), Of("response_type", "code"), Of("scope", "openid"),
            Of("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), Of("code_challenge_method", "S256"),
            (a, b, c, d, e, f) => ((string, string)[])[.. a, .. b, .. c, .. d, .. e, .. f]),
        Gen.Select(Gen.OneOf("state", "nonce", "prompt", "max_age", "response_mode", "request", "request_uri", "registration", "dpop_jkt", "login_hint", "claims", "made_up", "scope", "redirect_uri"),
            Gen.OneOf(Texts, Gen.OneOf("", "none", "login consent", "0", "-1", "99999999999", "form_post", "query", "https://web.example/other", "https://web.example/cb/"))).Array[0, 2],
        (needed, more) => ((string, string)[])[.. needed, .. more]);

    /// <summary>Mostly as it should be; now and then absent, twice, or anything.</summary>
    private static Gen<(string, string)[]> Of(string name, string good) => Gen.Frequency(
        (12, Gen.Const(((string, string)[])[(name, good)])), (1, Gen.Const(((string, string)[])[])), (1, Gen.Const(((string, string)[])[(name, good), (name, good)])), (1, Texts.Select(text => ((string, string)[])[(name, text)])));

    [Fact, Trait("Rule", "TK-1"), Trait("Rule", "TK-3")]
    public void A_token_request_is_read_as_the_grant_type_that_it_names_and_no_other_makes_the_parser_throw() =>
        Gen.Select(Gen.OneOf("grant_type", "code", "code_verifier", "redirect_uri", "refresh_token", "scope", "made_up"),
            Gen.OneOf(Texts, Gen.OneOf("authorization_code", "refresh_token", "client_credentials", "password", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))).Array[0, 6].Always(pairs =>
        {
            var form = Parameters.Of(pairs.DistinctBy(pair => pair.Item1).Select(pair => KeyValuePair.Create(pair.Item1, new StringValues(pair.Item2))));
            var read = TokenRequest.Parse(form, Web);
            if (read is TokenRequest.Invalid(var error)) Assert.All(error.Description, Printable);
            Assert.Equal(read is TokenRequest.AuthorizationCode, form["grant_type"] == GrantType.AuthorizationCode && read is not TokenRequest.Invalid);
            Assert.Equal(read is TokenRequest.RefreshToken, form["grant_type"] == GrantType.RefreshToken && read is not TokenRequest.Invalid);
        });

    [Fact, Trait("Rule", "AZ-15"), Trait("Attack", "T9")]
    public void No_text_makes_the_parser_of_claims_throw() => Gen.OneOf(Texts, Json).Always(text =>
    {
        if (ClaimsParameter.Parse(text) is { } read) Assert.All(read.Scopes, scope => Assert.Contains(scope, (string[])["profile", "email", "address", "phone"]));
    });

    [Fact, Trait("Rule", "RR-1"), Trait("Attack", "T9")]
    public void No_text_makes_the_parser_of_details_throw_and_what_it_reads_it_reads_again_the_same() =>
        Gen.OneOf(Texts, Json, Gen.Select(Gen.OneOf("payment", "x", ""), Json, (type, more) => $$"""[{"type":"{{type}}","more":{{more}},"locations":["https://bank.example"]}]""")).Always(text =>
        {
            var (details, fault) = RequestedDetail.Parse(text);
            Assert.NotEqual(details is null, fault is null);
            if (fault is not null)
            {
                Assert.Equal(ErrorCode.InvalidAuthorizationDetails, fault.Code);
                Assert.All(fault.Description, Printable);
                return;
            }

            Assert.Equal(details, RequestedDetail.Parse($"[{string.Join(',', details!.Select(detail => detail.Text))}]").Details);
        });

    private static readonly Gen<string> Json = Gen.Recursive<string>((depth, next) => depth > 4
        ? Gen.OneOf("1", "null", "true", "\"x\"")
        : Gen.OneOf(
            Gen.OneOf("1", "null", "true", "\"\\ud800\"", "\"name\"", "[]", "{}", "{", "\""),
            next.Array[0, 3].Select(items => $"[{string.Join(',', items)}]"),
            Gen.Select(Gen.OneOf("id_token", "userinfo", "name", "email", "sub", "acr", "essential", "value", "values", "\\ud800"), next).Array[0, 5]
                .Select(members => $"{{{string.Join(',', members.Select(member => $"\"{member.Item1}\":{member.Item2}"))}}}")));

    /// <summary>RFC 6749 §5.2: what <c>error_description</c> may be made of.</summary>
    private static void Printable(char c) => Assert.True(c is >= ' ' and <= '~' and not '"' and not '\\', $"U+{(int)c:X4}");

    private static Parameters? Form(byte[] body, string type)
    {
        var http = new DefaultHttpContext();
        (http.Request.Method, http.Request.ContentType, http.Request.Body) = ("POST", type, new MemoryStream(body));
        return Parameters.OfFormAsync(http.Request, default).GetAwaiter().GetResult();
    }
}
