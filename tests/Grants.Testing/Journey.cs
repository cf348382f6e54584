using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.WebUtilities;

namespace Grants.Testing;

/// <summary>A client app under test: what it is registered as.</summary>
public sealed record TestClient(string Id, string? Secret, string RedirectUri, string Scope)
{
    public static readonly TestClient Tally = new("tally", TestConfiguration.TallySecret, "http://localhost:5200/callback", "openid profile email balances payments offline_access");
    public static readonly TestClient BrowserApp = new("pocket-browser", null, "http://localhost:5400/callback", "openid profile balances offline_access");
    public static readonly TestClient NativeApp = new("purse-native", null, "http://127.0.0.1/callback", "openid profile balances offline_access");
    public static readonly TestClient Poster = new("poster", TestConfiguration.PostSecret, "https://poster.example/cb?kept=1", "openid profile email balances offline_access");
    public static readonly TestClient Report = new("night-report", TestConfiguration.ReportSecret, "", "balances");

    /// <summary>Devices, one without a secret and one whose server keeps it.</summary>
    public static readonly TestClient Tv = new("tally-tv", null, "", "openid profile balances offline_access");
    public static readonly TestClient Kiosk = new("kiosk", TestConfiguration.KioskSecret, "", "openid profile balances payments offline_access");

    /// <summary>Asks for no token: it stands for the resource that the others' tokens are for.</summary>
    public static readonly TestClient Bank = new("demo-bank", TestConfiguration.BankSecret, "", "");
}

/// <summary>An authorization request on its way, with what the app must remember.</summary>
public sealed record Asked(TestClient Client, string Address, string Verifier, string State, string Nonce);

/// <summary>The stories that many tests begin with.</summary>
public static class Journey
{
    public static string Random(int bytes = 32) => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(bytes));

    public static string Challenge(string verifier) => WebEncoders.Base64UrlEncode(SHA256.HashData(Encoding.ASCII.GetBytes(verifier)));

    /// <summary>An authorization request as a good client makes it; <paramref name="change"/> makes it worse (null removes a parameter).</summary>
    public static Asked Ask(TestClient client, params (string Name, string? Value)[] change)
    {
        var (verifier, state, nonce) = (Witness.Saw("code verifier", Random()), Witness.Saw("state", Random()), Witness.Saw("nonce", Random()));
        var parameters = new Dictionary<string, string?>
        {
            ["client_id"] = client.Id,
            ["redirect_uri"] = client.RedirectUri,
            ["response_type"] = "code",
            ["scope"] = client.Scope,
            ["state"] = state,
            ["nonce"] = nonce,
            ["code_challenge"] = Challenge(verifier),
            ["code_challenge_method"] = "S256",
        };
        foreach (var (name, value) in change) parameters[name] = value;
        return new Asked(client, QueryHelpers.AddQueryString("/authorize", parameters.Where(pair => pair.Value is not null)), verifier, state, nonce);
    }

    /// <summary>Signs in where a sign-in page is shown and allows what a consent page asks, with the optional permissions named.</summary>
    public static async Task<Page> AllowAsync(this Visitor visitor, Asked asked, string username = TestConfiguration.Sam, string? password = null, params string[] optional)
    {
        var page = await visitor.GetAsync(asked.Address);
        if (page.Address.AbsolutePath.StartsWith("/signin", StringComparison.Ordinal)) page = await visitor.SignInAsync(page, username, password ?? PasswordOf(username));
        if (page.Address.AbsolutePath.StartsWith("/consent", StringComparison.Ordinal))
            page = await visitor.SubmitAsync(page, [.. optional.Select(scope => ("allow", scope)), ("decision", "allow")]);
        if (page.Location is { } && page.Answer.TryGetValue("code", out var code)) Witness.Saw("code", code);
        return page;
    }

    public static string PasswordOf(string username) => username switch
    {
        TestConfiguration.Sam => TestConfiguration.SamPassword,
        TestConfiguration.Maya => TestConfiguration.MayaPassword,
        _ => TestConfiguration.LinPassword,
    };

    /// <summary>The token request, authenticated as the client is registered.</summary>
    public static Task<TokenAnswer> TokenAsync(this HttpClient http, TestClient client, params (string Name, string? Value)[] fields) => http.PostAsync("/token", client, fields);

    /// <summary>The parameters of a request, to be sent in another way than in its address.</summary>
    public static IReadOnlyList<(string Name, string? Value)> ParametersOf(Asked asked) =>
        [.. QueryHelpers.ParseQuery(asked.Address[asked.Address.IndexOf('?', StringComparison.Ordinal)..]).SelectMany(pair => pair.Value.Select(value => (pair.Key, value)))];

    /// <summary>The same request for these resources, RFC 8707 §2.1.</summary>
    public static Asked For(this Asked asked, params string[] resources) => asked with
    {
        Address = string.Concat([asked.Address, .. resources.Select(resource => $"&resource={Uri.EscapeDataString(resource)}")]),
    };

    /// <summary>These resources as parameters.</summary>
    public static (string Name, string? Value)[] Resources(params string[] resources) => [.. resources.Select(resource => ("resource", (string?)resource))];

    /// <summary>RFC 9126 §2.1: the request is pushed instead of being sent through the browser.</summary>
    public static async Task<TokenAnswer> PushAsync(this HttpClient http, Asked asked, params (string Name, string? Value)[] more)
    {
        var answer = await http.PostAsync("/par", asked.Client, [.. ParametersOf(asked), .. more]);
        if (answer.Ok) Witness.Saw("request_uri", (string)answer.Json["request_uri"]!);
        return answer;
    }

    /// <summary>The same request as it goes through the browser once it is pushed, RFC 9126 §4.</summary>
    public static Asked By(this Asked asked, TokenAnswer pushed) => asked with
    {
        Address = QueryHelpers.AddQueryString("/authorize", new Dictionary<string, string?> { ["client_id"] = asked.Client.Id, ["request_uri"] = (string)pushed.Json["request_uri"]! }),
    };

    /// <summary>RFC 8628 §3.1.</summary>
    public static async Task<TokenAnswer> AskForDeviceAsync(this HttpClient http, TestClient client, params (string Name, string? Value)[] change)
    {
        var answer = await http.PostAsync("/device_authorization", client, [.. change.Prepend(("scope", client.Scope)).GroupBy(field => field.Item1).Select(same => same.Last())]);
        if (!answer.Ok) return answer;
        Witness.Saw("device code", answer.DeviceCode);
        Witness.Saw("user code", answer.UserCode);
        Witness.Saw("user code", answer.UserCode.Replace("-", "", StringComparison.Ordinal));
        return answer;
    }

    /// <summary>RFC 8628 §3.4.</summary>
    public static Task<TokenAnswer> PollAsync(this HttpClient http, TestClient client, string deviceCode) => http.TokenAsync(client, ("grant_type", DeviceCode), ("device_code", deviceCode));

    public const string DeviceCode = "urn:ietf:params:oauth:grant-type:device_code";

    /// <summary>From the address that the device shows to the page that asks about it.</summary>
    public static async Task<Page> ComeToDeviceAsync(this Visitor visitor, string userCode, string username = TestConfiguration.Sam)
    {
        var page = await visitor.GetAsync("/device");
        if (page.Address.AbsolutePath.StartsWith("/device/signin", StringComparison.Ordinal)) page = await visitor.SignInAsync(page, username, PasswordOf(username));
        return await visitor.SubmitAsync(page, ("user_code", userCode));
    }

    /// <summary>Types the code and answers.</summary>
    public static async Task<Page> AnswerDeviceAsync(this Visitor visitor, string userCode, string username = TestConfiguration.Sam, string decision = "allow", params string[] optional)
    {
        var page = await visitor.ComeToDeviceAsync(userCode, username);
        return await visitor.SubmitAsync(page, [.. optional.Select(scope => ("allow", scope)), ("decision", decision)]);
    }

    /// <summary>RFC 7662 §2.1.</summary>
    public static Task<TokenAnswer> IntrospectAsync(this HttpClient http, TestClient client, string token, string? hint = null) =>
        http.PostAsync("/introspect", client, ("token", token), ("token_type_hint", hint));

    /// <summary>RFC 7009 §2.1.</summary>
    public static Task<TokenAnswer> RevokeAsync(this HttpClient http, TestClient client, string token, string? hint = null) =>
        http.PostAsync("/revoke", client, ("token", token), ("token_type_hint", hint));

    private static async Task<TokenAnswer> PostAsync(this HttpClient http, string path, TestClient client, params (string Name, string? Value)[] fields)
    {
        var form = fields.Where(field => field.Value is not null).Select(field => KeyValuePair.Create(field.Name, field.Value!)).ToList();
        using var request = new HttpRequestMessage(HttpMethod.Post, path);
        if (client == TestClient.Poster)
        {
            Add("client_id", client.Id);
            Add("client_secret", client.Secret!);
        }
        else if (client.Secret is { } secret)
        {
            request.Headers.Authorization = Basic(client.Id, secret);
        }
        else
        {
            Add("client_id", client.Id);
        }

        request.Content = new FormUrlEncodedContent(form);
        return await TokenAnswer.ReadAsync(await http.SendAsync(request));

        void Add(string name, string value)
        {
            if (form.TrueForAll(field => field.Key != name)) form.Add(KeyValuePair.Create(name, value));
        }
    }

    /// <summary>RFC 6749 §2.3.1: form-urlencoded, then joined, then Base64.</summary>
    public static AuthenticationHeaderValue Basic(string id, string secret) =>
        new("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{FormEncode(id)}:{FormEncode(secret)}")));

    public static string FormEncode(string text) => Uri.EscapeDataString(text).Replace("%20", "+", StringComparison.Ordinal);

    /// <summary>The token request for a code.</summary>
    public static Task<TokenAnswer> RedeemAsync(this HttpClient http, Asked asked, string code) => http.TokenAsync(asked.Client,
        ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", asked.Client.RedirectUri), ("code_verifier", asked.Verifier));

    public static Task<TokenAnswer> RefreshAsync(this HttpClient http, TestClient client, string refreshToken, string? scope = null) => http.TokenAsync(client,
        ("grant_type", "refresh_token"), ("refresh_token", refreshToken), ("scope", scope));

    public static async Task<HttpResponseMessage> UserInfoAsync(this HttpClient http, string accessToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/userinfo");
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", accessToken);
        return await http.SendAsync(request);
    }

    /// <summary>The whole way: request, sign-in, consent, code, tokens.</summary>
    public static async Task<(TokenAnswer Tokens, Visitor Visitor, Asked Asked, string Code)> ConnectAsync(this GrantsApp app, TestClient client, string username = TestConfiguration.Sam, params string[] optional)
    {
        var visitor = app.NewVisitor();
        var asked = Ask(client);
        var page = await visitor.AllowAsync(asked, username, null, optional);
        if (page.Location is null) throw new InvalidOperationException($"No answer to the app but a page: {page.Status} {page.Heading}");
        var code = page.Answer["code"];
        using var http = app.NewClient();
        return (await http.RedeemAsync(asked, code), visitor, asked, code);
    }
}

/// <summary>A token response, good or bad.</summary>
public sealed record TokenAnswer(HttpResponseMessage Response, JsonObject Json)
{
    public bool Ok => Response.IsSuccessStatusCode;

    public string AccessToken => (string)Json["access_token"]!;

    public string RefreshToken => (string)Json["refresh_token"]!;

    public string IdToken => (string)Json["id_token"]!;

    public string Scope => (string)Json["scope"]!;

    public string? Error => (string?)Json["error"];

    public string DeviceCode => (string)Json["device_code"]!;

    public string UserCode => (string)Json["user_code"]!;

    /// <summary>The claims of a JWT, without any check.</summary>
    public static JsonObject Claims(string jwt) => JsonNode.Parse(WebEncoders.Base64UrlDecode(jwt.Split('.')[1]))!.AsObject();

    public static JsonObject HeaderOf(string jwt) => JsonNode.Parse(WebEncoders.Base64UrlDecode(jwt.Split('.')[0]))!.AsObject();

    public static async Task<TokenAnswer> ReadAsync(HttpResponseMessage response)
    {
        var body = await response.Content.ReadAsStringAsync();
        var json = body.StartsWith('{') ? JsonNode.Parse(body)!.AsObject() : [];
        foreach (var name in (string[])["access_token", "refresh_token", "id_token"])
        {
            if (json[name]?.GetValueKind() == JsonValueKind.String) Witness.Saw(name, (string)json[name]!);
        }

        return new TokenAnswer(response, json);
    }
}
