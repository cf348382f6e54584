using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Grants.Api.Http;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;
using Grants.Testing;

namespace Grants.Api.Tests.Token;

/// <summary>Form, client authentication and errors of the token endpoint, and tokens for machines.</summary>
public sealed class TokenEndpointTests(AppFixture app) : IClassFixture<AppFixture>
{
    private static readonly TestClient Odd = new("odd:%+client", TestConfiguration.OddSecret, "", "balances");

    [Theory, Trait("Rule", "G-2"), Trait("Attack", "T15")]
    [InlineData("GET")]
    [InlineData("PUT")]
    [InlineData("DELETE")]
    public async Task Only_POST_is_taken(string method)
    {
        using var http = app.NewClient();
        using var request = new HttpRequestMessage(new HttpMethod(method), "/token") { Headers = { Authorization = Journey.Basic("night-report", TestConfiguration.ReportSecret) } };
        var response = await http.SendAsync(request);

        Assert.Equal(HttpStatusCode.MethodNotAllowed, response.StatusCode);
        Assert.Equal("POST", response.Content.Headers.Allow.Single());
    }

    [Theory, Trait("Rule", "G-2")]
    [InlineData("application/json", """{"grant_type":"client_credentials"}""")]
    [InlineData("text/plain", "grant_type=client_credentials")]
    [InlineData("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\nclient_credentials\r\n--x--\r\n")]
    public async Task Only_a_urlencoded_form_is_read(string type, string body)
    {
        using var content = new StringContent(body);
        content.Headers.ContentType = MediaTypeHeaderValue.Parse(type);
        AssertError(await SendAsync(content, Journey.Basic("night-report", TestConfiguration.ReportSecret)), "invalid_request");
    }

    [Theory, Trait("Rule", "G-2"), Trait("Rule", "CA-1"), Trait("Attack", "T15")]
    [InlineData("client_secret=whatever-it-is")]
    [InlineData("client_id=night-report")]
    [InlineData("code=grc_abc")]
    [InlineData("refresh_token=grr_abc")]
    [InlineData("code_verifier=0123456789012345678901234567890123456789012")]
    [InlineData("grant_type=client_credentials")]
    [InlineData("subject_token=eyJ")]
    [InlineData("actor_token=eyJ")]
    [InlineData("assertion=eyJ")]
    public async Task Credentials_in_the_address_are_refused(string query)
    {
        using var http = app.NewClient();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/token?" + query)
        {
            Content = Form(("grant_type", "client_credentials")),
            Headers = { Authorization = Journey.Basic("night-report", TestConfiguration.ReportSecret) },
        };
        AssertError(await TokenAnswer.ReadAsync(await http.SendAsync(request)), "invalid_request");
    }

    public static TheoryData<string, string, string> WrongRequests => new()
    {
        // grant_type, further field, error
        { "", "", "invalid_request" },
        { "client_credentials", "grant_type=client_credentials", "invalid_request" }, // repeated (G-3)
        { "client_credentials", "scope=balances&scope=balances", "invalid_request" },
        { "client_credentials", "whatever=1&whatever=2", "invalid_request" },
        { "client_credentials", "scope=payments", "invalid_scope" }, // not the client's
        { "client_credentials", "scope=openid", "invalid_scope" },
        { "client_credentials", "scope=no-such-scope", "invalid_scope" },
        { "client_credentials", "scope=bal%22ances", "invalid_scope" },
        { "client_credentials", "scope=bal%00ances", "invalid_request" },
        { "authorization_code", "code=grc_abc", "unauthorized_client" }, // not the client's grant type
        { "refresh_token", "refresh_token=grr_abc", "unauthorized_client" },
        { "password", "username=sam&password=secret", "unsupported_grant_type" }, // TK-13
        { "implicit", "", "unsupported_grant_type" },
        { "urn:ietf:params:oauth:grant-type:device_code", "device_code=x", "unauthorized_client" },
        { "urn:ietf:params:oauth:grant-type:token-exchange", "", "unauthorized_client" },
        { "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion=x", "unauthorized_client" },
        { "CLIENT_CREDENTIALS", "", "unsupported_grant_type" },
        { "client_credentials ", "", "unsupported_grant_type" },
    };

    [Theory, Trait("Rule", "TK-7"), Trait("Rule", "TK-13"), Trait("Rule", "G-3"), Trait("Rule", "G-4"), Trait("Rule", "G-5"), Trait("Attack", "K9"), Trait("Rule", "20-1")]
    [MemberData(nameof(WrongRequests))]
    public async Task A_wrong_request_gets_the_error_of_RFC_6749_and_leaves_no_event(string grantType, string further, string error)
    {
        var position = await app.PositionAsync();
        using var content = new StringContent($"grant_type={Uri.EscapeDataString(grantType)}&{further}", Encoding.UTF8, "application/x-www-form-urlencoded");
        AssertError(await SendAsync(content, Journey.Basic("night-report", TestConfiguration.ReportSecret)), error);
        Assert.Equal(position, await app.PositionAsync());
    }

    [Theory, Trait("Rule", "TK-1"), Trait("Rule", "TK-3"), Trait("Rule", "G-3")]
    [InlineData("authorization_code", "", "invalid_request")]
    [InlineData("authorization_code", "code=", "invalid_request")]
    [InlineData("authorization_code", "code=not-a-code", "invalid_grant")]
    [InlineData("authorization_code", "code=grc_abc&code_verifier=short", "invalid_request")]
    [InlineData("refresh_token", "", "invalid_request")]
    [InlineData("refresh_token", "refresh_token=not-a-token", "invalid_grant")]
    [InlineData("client_credentials", "", "unauthorized_client")]
    public async Task A_request_without_its_credential_is_told_apart_from_one_with_a_wrong_credential(string grantType, string further, string error)
    {
        using var content = new StringContent($"grant_type={grantType}&{further}", Encoding.UTF8, "application/x-www-form-urlencoded");
        AssertError(await SendAsync(content, Journey.Basic("tally", TestConfiguration.TallySecret)), error);
    }

    [Theory, Trait("Rule", "CA-1"), Trait("Rule", "CA-10"), Trait("Attack", "K4")]
    [InlineData("tally", "wrong secret")]
    [InlineData("tally", "")]
    [InlineData("nobody", "wrong secret")]
    [InlineData("pocket-browser", "wrong secret")] // a client without a secret
    [InlineData("poster", "right secret")] // registered for client_secret_post
    [InlineData("NIGHT-REPORT", "right secret")]
    [InlineData("tally\0", "wrong secret")]
    public async Task Basic_authentication_that_fails_always_looks_the_same(string id, string secret)
    {
        var shown = secret != "right secret" ? secret : id == "poster" ? TestConfiguration.PostSecret : TestConfiguration.ReportSecret;
        var answer = await SendAsync(Form(("grant_type", "refresh_token"), ("refresh_token", "x")), Journey.Basic(id, shown));
        AssertError(answer, "invalid_client", HttpStatusCode.Unauthorized, "Basic realm=\"grants\"");
        Assert.Equal("The client could not be authenticated.", (string?)answer.Json["error_description"]);
    }

    [Theory, Trait("Rule", "CA-1"), Trait("Rule", "CA-3"), Trait("Rule", "CA-10"), Trait("Attack", "K4"), Trait("Attack", "T4"), Trait("Rule", "20-8")]
    [InlineData("poster", "wrong")]
    [InlineData("poster", null)] // a client with a secret may not fall back to none
    [InlineData("tally", null)]
    [InlineData("tally", "right")] // registered for client_secret_basic
    [InlineData("pocket-browser", "any")]
    [InlineData("nobody", "any")]
    [InlineData("nobody", null)]
    [InlineData(null, null)]
    public async Task Authentication_in_the_body_that_fails_always_looks_the_same(string? id, string? secret)
    {
        var shown = secret == "right" ? TestConfiguration.TallySecret : secret;
        var answer = await SendAsync(Form(("grant_type", "refresh_token"), ("refresh_token", "x"), ("client_id", id), ("client_secret", shown)), null);
        AssertError(answer, "invalid_client", HttpStatusCode.Unauthorized);
    }

    [Theory, Trait("Rule", "CA-2")]
    [InlineData("Bearer abc")]
    [InlineData("Basic")]
    [InlineData("Basic !!!!")]
    [InlineData("Basic bm9jb2xvbg==")] // "nocolon"
    [InlineData("Basic OnNlY3JldA==")] // ":secret"
    [InlineData("Basic /v8=")] // not UTF-8
    public async Task A_header_that_is_no_Basic_pair_is_answered_with_a_challenge(string header)
    {
        using var http = app.NewClient();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/token") { Content = Form(("grant_type", "client_credentials")) };
        Assert.True(request.Headers.TryAddWithoutValidation("Authorization", header));
        AssertError(await TokenAnswer.ReadAsync(await http.SendAsync(request)), "invalid_client", HttpStatusCode.Unauthorized, "Basic realm=\"grants\"");
    }

    [Fact, Trait("Rule", "CA-1"), Trait("Attack", "K4")]
    public async Task Two_ways_of_authentication_at_once_are_refused()
    {
        var right = Journey.Basic("night-report", TestConfiguration.ReportSecret);
        AssertError(await SendAsync(Form(("grant_type", "client_credentials"), ("client_id", "night-report"), ("client_secret", TestConfiguration.ReportSecret)), right), "invalid_request");
        AssertError(await SendAsync(Form(("grant_type", "client_credentials"), ("client_secret", "x")), right), "invalid_request");
        AssertError(await SendAsync(Form(("grant_type", "client_credentials"), ("client_id", "tally")), right), "invalid_request");
        Assert.True((await SendAsync(Form(("grant_type", "client_credentials"), ("client_id", "night-report")), right)).Ok);
    }

    [Fact, Trait("Rule", "CA-2"), Trait("Attack", "K5")]
    public async Task A_client_id_and_secret_with_odd_characters_authenticate()
    {
        using var http = app.NewClient();
        Assert.True((await http.TokenAsync(Odd, ("grant_type", "client_credentials"))).Ok);

        // Raw, as some libraries send it: the colon would end the id and + would be a space, so it must not pass.
        var raw = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{Odd.Id}:{Odd.Secret}")));
        AssertError(await SendAsync(Form(("grant_type", "client_credentials")), raw), "invalid_client", HttpStatusCode.Unauthorized, "Basic realm=\"grants\"");
    }

    [Fact, Trait("Rule", "CA-2"), Trait("Attack", "K5"), Trait("Rule", "22-5")]
    public void The_Basic_vector_is_read_as_written()
    {
        Assert.True(ClientAuthentication.TryReadBasic("Basic aHR0cHMlM0ElMkYlMkZhcHAuZXhhbXBsZSUyRmMlM0ExOnAlNDBzcyt3JTI1cmQlMkIlM0ElQzMlQTk=", out var id, out var secret));
        Assert.Equal("https://app.example/c:1", id.Value);
        Assert.Equal("p@ss w%rd+:é", secret.Expose());
    }

    [Theory, Trait("Attack", "K5")]
    [InlineData("a", "b")]
    [InlineData("a:b", "c")]
    [InlineData("a", "b:c")]
    [InlineData("a%b", "c%20d")]
    [InlineData("a+b", "c d")]
    [InlineData("a b", "c+d")]
    [InlineData("é", "日本")]
    [InlineData("a&b=c", "\"\\/?#[]@")]
    [InlineData("a", "")]
    public void Basic_pairs_come_back_as_they_went(string id, string secret)
    {
        Assert.True(ClientAuthentication.TryReadBasic(Journey.Basic(id, secret).ToString(), out var readId, out var readSecret));
        Assert.Equal((id, secret), (readId.Value, readSecret.Expose()));
    }

    [Fact, Trait("Rule", "TK-7"), Trait("Rule", "AT-1"), Trait("Rule", "G-5"), Trait("Attack", "T21")]
    public async Task A_machine_gets_a_token_for_itself_and_nothing_else()
    {
        var answer = await SendAsync(Form(("grant_type", "client_credentials")), Journey.Basic("night-report", TestConfiguration.ReportSecret));

        Assert.True(answer.Ok, answer.Json.ToJsonString());
        Assert.Equal("no-store", answer.Response.Headers.CacheControl?.ToString());
        Assert.Equal("no-cache", answer.Response.Headers.Pragma.ToString());
        Assert.Equal("application/json", answer.Response.Content.Headers.ContentType?.MediaType);
        Assert.Equal(["access_token", "expires_in", "scope", "token_type"], answer.Json.Select(member => member.Key).Order());
        Assert.Equal(("Bearer", "balances transactions"), ((string?)answer.Json["token_type"], answer.Scope));

        var header = TokenAnswer.HeaderOf(answer.AccessToken);
        Assert.Equal(("at+jwt", "ES256"), ((string?)header["typ"], (string?)header["alg"]));
        Assert.Equal(["alg", "kid", "typ"], header.Select(member => member.Key).Order());
        var claims = TokenAnswer.Claims(answer.AccessToken);
        Assert.Equal(["aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sub"], claims.Select(member => member.Key).Order());
        Assert.Equal((TestConfiguration.Issuer, TestConfiguration.Bank), ((string?)claims["iss"], (string?)claims["aud"]));
        Assert.Equal(("night-report", "night-report"), ((string?)claims["sub"], (string?)claims["client_id"]));
        Assert.Equal((long)answer.Json["expires_in"]!, (long)claims["exp"]! - (long)claims["iat"]!);
        Assert.False(SubjectId.TryParse((string?)claims["sub"], out _), "A client must not be able to pass for a person.");

        var narrow = await SendAsync(Form(("grant_type", "client_credentials"), ("scope", "balances")), Journey.Basic("night-report", TestConfiguration.ReportSecret));
        Assert.Equal("balances", narrow.Scope);
        var issued = Assert.IsType<TokenFamilyEvent.AccessTokenIssued>(Assert.Single(await app.EventsAsync(narrow.Streams().Family)).Data);
        Assert.Equal("balances", issued.Scopes.ToString());
    }

    [Theory, Trait("Attack", "T21")]
    [InlineData("sub_0123456789abcdef0123456789abcdef")]
    [InlineData("sub_x")]
    public void No_client_can_be_registered_under_a_persons_name(string id) =>
        Assert.NotNull(DeclareClient.WhyNot(new ClientId(id), new ClientMetadata { ClientName = "Impostor", RedirectUris = ["https://impostor.example/cb"] }));

    [Fact, Trait("Rule", "G-4")]
    public async Task Errors_never_echo_what_was_sent()
    {
        var answer = await SendAsync(Form(("grant_type", "<b>\"\\ \n"), ("scope", "<i>")), Journey.Basic("night-report", TestConfiguration.ReportSecret));
        AssertError(answer, "unsupported_grant_type");
        Assert.DoesNotContain("<", answer.Json.ToJsonString(), StringComparison.Ordinal);
    }

    [Fact, Trait("Rule", "G-3")]
    public async Task Unknown_parameters_are_ignored_and_empty_ones_are_absent()
    {
        var answer = await SendAsync(Form(("grant_type", "client_credentials"), ("scope", ""), ("unheard-of", "1"), ("resource", "")), Journey.Basic("night-report", TestConfiguration.ReportSecret));
        Assert.True(answer.Ok);
        Assert.Equal("balances transactions", answer.Scope);
    }

    [Fact, Trait("Rule", "G-10")]
    public async Task A_form_beyond_the_limits_is_refused()
    {
        var fields = Enumerable.Range(0, 300).Select(i => ($"f{i}", (string?)"1")).Append(("grant_type", "client_credentials")).ToArray();
        AssertError(await SendAsync(Form(fields), Journey.Basic("night-report", TestConfiguration.ReportSecret)), "invalid_request");
    }

    private async Task<TokenAnswer> SendAsync(HttpContent content, AuthenticationHeaderValue? authorization)
    {
        using var http = app.NewClient();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/token") { Content = content };
        request.Headers.Authorization = authorization;
        return await TokenAnswer.ReadAsync(await http.SendAsync(request));
    }

    private static FormUrlEncodedContent Form(params (string Name, string? Value)[] fields) =>
        new(fields.Where(field => field.Value is not null).Select(field => KeyValuePair.Create(field.Name, field.Value!)));

    internal static void AssertError(TokenAnswer answer, string error, HttpStatusCode status = HttpStatusCode.BadRequest, string? challenge = null)
    {
        Assert.Equal((status, error), (answer.Response.StatusCode, answer.Error));
        Assert.Equal("application/json", answer.Response.Content.Headers.ContentType?.MediaType);
        Assert.Equal("no-store", answer.Response.Headers.CacheControl?.ToString());
        Assert.Equal("no-cache", answer.Response.Headers.Pragma.ToString());
        Assert.Equal(challenge ?? "", answer.Response.Headers.WwwAuthenticate.ToString());
        Assert.DoesNotContain(answer.Json, member => member.Key is not ("error" or "error_description"));
        Assert.All((string?)answer.Json["error_description"] ?? "", c => Assert.True(c is >= ' ' and <= '~' and not '"' and not '\\'));
    }
}
