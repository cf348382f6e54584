using System.Text.RegularExpressions;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace TallyBudget;

/// <summary>Something that Tally does not go along with; the person reads both sentences.</summary>
internal sealed class Refusal(string title, string message) : Exception(message)
{
    public string Title => title;
}

/// <summary>What a server answered: its status and its JSON object, empty when it sent none.</summary>
/// <param name="MaxAge">The person has to sign in again, this many seconds ago at the most (RFC 9470 §3).</param>
internal sealed record Answer(int Status, JsonObject Body, string? MaxAge = null)
{
    public bool Ok => Status is >= 200 and < 300;
    public string this[string member] => Body[member]?.ToString() ?? "";
    public override string ToString() => $"{Status} {this["error"]}".TrimEnd();
}

/// <summary>An OpenID Connect client written out step by step: code flow with PKCE (Core §3.1), refresh (RFC 6749 §6), logout.</summary>
internal sealed class OidcClient(Settings settings, HttpClient http)
{
    private const string SignIn = "openid profile email balances offline_access", Ended = "Your bank access has ended.";
    private JsonObject? _metadata;
    private JsonWebKeySet _keys = new();

    /// <summary>The address that the browser takes to ask for permission (RFC 6749 §4.1.1, RFC 7636 §4.3).</summary>
    public async Task<string> AuthorizeAsync(BrowserSession session, string? oneMore = null, string? maxAge = null)
    {
        var scope = string.Join(' ', $"{SignIn} {session.Tokens?.Scope} {oneMore ?? "payments"}".Split(' ', StringSplitOptions.RemoveEmptyEntries).Distinct());
        var (state, pending) = (BrowserSession.NewSecret(), new PendingRequest(scope, BrowserSession.NewSecret(), BrowserSession.NewSecret()));
        if (session.Pending.Count >= 8) session.Pending.Clear();
        session.Pending[state] = pending;
        var parameters = new Dictionary<string, string?>
        {
            ["response_type"] = "code",
            ["client_id"] = settings.ClientId,
            ["redirect_uri"] = settings.RedirectUri,
            ["scope"] = scope,
            ["state"] = state,
            ["nonce"] = pending.Nonce,
            ["code_challenge"] = Base64Url.EncodeToString(SHA256.HashData(Encoding.ASCII.GetBytes(pending.CodeVerifier))),
            ["code_challenge_method"] = "S256",
        };
        if (oneMore == "payments") parameters["prompt"] = "consent"; // what was refused is only asked again on request
        if (maxAge is not null) parameters["max_age"] = maxAge;
        return await SendBrowserAsync(session, "authorization_endpoint", parameters,
            $"Tally sent your browser to the bank to ask for {(maxAge is not null ? "a new sign-in" : oneMore is null ? "your permission" : $"one more thing: {oneMore}")}.");
    }

    /// <summary>The browser is back (RFC 6749 §4.1.2). Returns the error that it brings, or null once the tokens are here.</summary>
    public async Task<string?> CompleteAsync(BrowserSession session, IQueryCollection query)
    {
        session.Record("Your browser came back from the bank.", $"GET {settings.RedirectUri}", query.Select(p => (p.Key, p.Value.ToString())));
        if (!session.Pending.Remove(query["state"].ToString(), out var pending))
            throw new Refusal("Tally isn't waiting for this answer", "Its state is not one that this browser was sent away with. Nothing was used.");
        await EndpointAsync(session, "issuer");
        if (query["iss"].ToString() is var iss && iss != settings.Authority && (iss.Length > 0 || _metadata!["authorization_response_iss_parameter_supported"]?.ToString() == "true"))
            throw new Refusal("This answer comes from somebody else", $"Its iss is not {settings.Authority}. Nothing was used."); // RFC 9207 §2.4
        if (query["error"].ToString() is { Length: > 0 } error) return error;
        if (query["code"].ToString() is not { Length: > 0 } code) throw new Refusal("The bank's answer is incomplete", "It brings neither a code nor an error.");
        var answer = await TokenAsync(session, "Tally exchanged the code for tokens, proving that it is Tally and that it began this request.",
            new() { ["grant_type"] = "authorization_code", ["code"] = code, ["redirect_uri"] = settings.RedirectUri, ["code_verifier"] = pending.CodeVerifier });
        if (!answer.Ok) throw new Refusal("The bank didn't take the code", $"It answered {answer}. Tally kept nothing.");
        var tokens = await ReadTokensAsync(session, answer, pending.Nonce, new("", null, "", "", pending.Scope));
        session.Forget();
        session.Tokens = tokens;
        return null;
    }

    /// <summary>A new access token for the refresh token, which is itself replaced (RFC 9700 §4.14.2). True when that worked.</summary>
    public async Task<bool> RenewAsync(BrowserSession session)
    {
        var old = session.Tokens!;
        var answer = old.RefreshToken is null ? null : await RefreshAsync(session, "Tally renewed its access with the refresh token.", old.RefreshToken);
        if (answer is null || answer["error"] == "invalid_grant") session.Forget(Ended);
        else if (!answer.Ok) session.Notice = $"Tally couldn't renew its access: the bank answered {answer}.";
        else session.Tokens = await ReadTokensAsync(session, answer, null, old);
        return answer is { Ok: true };
    }

    /// <summary>Presents a used-up refresh token, as a thief with a copy would, and then the newest one.</summary>
    public async Task ReplayAsync(BrowserSession session)
    {
        if (session.Tokens?.RefreshToken is not { } first || !await RenewAsync(session) || !await RenewAsync(session)) return;
        var theft = await RefreshAsync(session, "Tally used its first refresh token again, as a thief with a copy would.", first);
        var newest = await RefreshAsync(session, "Tally tried its newest refresh token, to see whether the access still stands.", session.Tokens.RefreshToken!);
        session.Forget(theft["error"] == "invalid_grant" && newest["error"] == "invalid_grant"
            ? $"{Ended} An old refresh token was used again, so the bank took it for stolen and ended every token of this access."
            : $"{Ended} Tally ended it: the bank should have refused both tokens with invalid_grant, but answered {theft} and {newest}.");
    }

    /// <summary>
    /// A call with the access token (RFC 6750 §2.1). On 401 one renewal and one more try, unless the person has to sign in again: a renewed
    /// token still tells of the old sign-in (RFC 9470 §6). Null: there is no access any more.
    /// </summary>
    public async Task<Answer?> CallAsync(BrowserSession session, string words, HttpMethod method, string url, Dictionary<string, string>? form = null)
    {
        for (var again = false; session.Tokens is { } tokens; again = true)
        {
            var answer = await SendAsync(session, words, new(method, url) { Headers = { Authorization = new("Bearer", tokens.AccessToken) } }, form);
            if (answer.Status != 401 || answer.MaxAge is not null || again || !await RenewAsync(session)) return session.Tokens is null ? null : answer;
        }
        return null;
    }

    /// <summary>Who the person is (Core §5.3). An answer about anyone else is not taken (§5.3.2).</summary>
    public async Task WhoAsync(BrowserSession session)
    {
        var answer = await CallAsync(session, "Tally asked the bank who you are.", HttpMethod.Get, await EndpointAsync(session, "userinfo_endpoint"));
        if (answer is { Ok: true } && answer["sub"] == session.Tokens!.Subject) session.Person = answer.Body;
        else if (answer is not null) session.Notice = $"The bank didn't say who you are. It answered {answer}.";
    }

    /// <summary>The address that ends the person's session at the bank too (RP-Initiated Logout §2).</summary>
    public async Task<string> SignOutAsync(BrowserSession session, string idToken)
    {
        session.Forget();
        return await SendBrowserAsync(session, "end_session_endpoint", new()
        {
            ["id_token_hint"] = idToken,
            ["post_logout_redirect_uri"] = $"{settings.PublicUrl}/signed-out",
            ["state"] = session.LogoutState = BrowserSession.NewSecret(),
        }, "Tally forgot its tokens and sent your browser to the bank to sign you out there.");
    }

    /// <summary>The tokens in an answer. What it leaves out stays as it was, or as it was asked for (RFC 6749 §5.1, §6).</summary>
    private async Task<Tokens> ReadTokensAsync(BrowserSession session, Answer answer, string? nonce, Tokens old)
    {
        var renewal = nonce is null;
        var subject = renewal && answer["id_token"].Length == 0 ? old.Subject : await ValidateAsync(session, answer, nonce);
        if (renewal && subject != old.Subject) throw new Refusal("The bank mixed up two people", "The renewed id_token names somebody else."); // Core §12.2
        string? Given(string name) => answer.Body[name]?.ToString();
        return new(answer["access_token"], Given("refresh_token") ?? old.RefreshToken, Given("id_token") ?? old.IdToken, subject, Given("scope") ?? old.Scope);
    }

    /// <summary>Checks the id_token (Core §3.1.3.7, §3.1.3.8): signature, iss, aud, exp, nonce, at_hash. Returns its subject.</summary>
    private async Task<string> ValidateAsync(BrowserSession session, Answer answer, string? nonce)
    {
        var handler = new JsonWebTokenHandler { MapInboundClaims = false };
        if (handler.CanReadToken(answer["id_token"]) && _keys.Keys.All(key => key.Kid != handler.ReadJsonWebToken(answer["id_token"]).Kid)) // first use, or a new key
            _keys = new((await SendAsync(session, "Tally fetched the bank's public keys to check the id_token.", new(HttpMethod.Get, await EndpointAsync(session, "jwks_uri")))).Body.ToJsonString());
        var result = await handler.ValidateTokenAsync(answer["id_token"], new()
        {
            ValidIssuer = settings.Authority,
            ValidAudience = settings.ClientId,
            IssuerSigningKeys = _keys.GetSigningKeys(),
            ValidAlgorithms = ["ES256", "RS256"],
            ClockSkew = TimeSpan.FromMinutes(1),
        });
        string? Claim(string name) => result.IsValid && result.Claims.TryGetValue(name, out var value) ? value.ToString() : null;
        var hash = Base64Url.EncodeToString(SHA256.HashData(Encoding.ASCII.GetBytes(answer["access_token"])).AsSpan(0, 16));
        var holds = result.IsValid && (nonce is null || Claim("nonce") == nonce) && (Claim("at_hash") ?? hash) == hash && (Claim("azp") ?? settings.ClientId) == settings.ClientId;
        return holds && Claim("sub") is { } subject ? subject : throw new Refusal("The bank's id_token doesn't hold", "Its signature, issuer, audience, time, nonce or at_hash is wrong. Tally kept nothing.");
    }

    private Task<Answer> RefreshAsync(BrowserSession session, string words, string refreshToken) =>
        TokenAsync(session, words, new() { ["grant_type"] = "refresh_token", ["refresh_token"] = refreshToken });

    /// <summary>The token endpoint with client_secret_basic, both parts form-urlencoded first (RFC 6749 §2.3.1).</summary>
    private async Task<Answer> TokenAsync(BrowserSession session, string words, Dictionary<string, string> form)
    {
        var credentials = Encoding.ASCII.GetBytes($"{WebUtility.UrlEncode(settings.ClientId)}:{WebUtility.UrlEncode(settings.ReadSecret())}");
        var request = new HttpRequestMessage(HttpMethod.Post, await EndpointAsync(session, "token_endpoint")) { Headers = { Authorization = new("Basic", Convert.ToBase64String(credentials)) } };
        return await SendAsync(session, words, request, form);
    }

    private async Task<string> SendBrowserAsync(BrowserSession session, string endpoint, Dictionary<string, string?> parameters, string words)
    {
        var address = await EndpointAsync(session, endpoint);
        session.Record(words, $"GET {address}", parameters.Select(p => (p.Key, p.Value ?? "")));
        return QueryHelpers.AddQueryString(address, parameters);
    }

    /// <summary>Discovery, once, and patiently: the server may still be starting. It must name the issuer that we asked (Discovery §4.3).</summary>
    private async Task<string> EndpointAsync(BrowserSession session, string name)
    {
        for (var tries = 1; _metadata is null; tries++)
        {
            try
            {
                var answer = await SendAsync(session, "Tally read the bank's discovery document to learn its addresses.", new(HttpMethod.Get, $"{settings.Authority.TrimEnd('/')}/.well-known/openid-configuration"));
                _metadata = answer["issuer"] == settings.Authority ? answer.Body : throw new HttpRequestException("No discovery document of this issuer.");
            }
            catch (HttpRequestException) when (tries < 12)
            {
                await Task.Delay(TimeSpan.FromSeconds(0.5));
            }
        }
        return _metadata[name]?.ToString() ?? throw new Refusal("This bank can't do that", $"Its discovery document has no {name}.");
    }

    /// <summary>Every request of Tally's own. A browser that goes away cancels none: a rotated token must not get lost.</summary>
    private async Task<Answer> SendAsync(BrowserSession session, string words, HttpRequestMessage request, Dictionary<string, string>? form = null)
    {
        request.Content = form is null ? null : new FormUrlEncodedContent(form);
        using var response = await http.SendAsync(request);
        var json = response.Content.Headers.ContentType?.MediaType?.EndsWith("json", StringComparison.Ordinal) is true ? JsonNode.Parse(await response.Content.ReadAsStringAsync()) : null;
        var wanted = Regex.Match(response.Headers.WwwAuthenticate.ToString(), "error=\"insufficient_user_authentication\".*max_age=\"([0-9]+)\"");
        var answer = new Answer((int)response.StatusCode, json as JsonObject ?? [], wanted.Success ? wanted.Groups[1].Value : null);
        session.Record(words, $"{request.Method} {request.RequestUri}",
        [
            .. request.Headers.Where(h => h.Key == "Authorization").Select(h => (h.Key, string.Join(", ", h.Value))), .. (form ?? []).Select(p => (p.Key, p.Value)),
            ("→ status", $"{answer.Status} {response.ReasonPhrase}"), .. response.Headers.WwwAuthenticate.Select(challenge => ("→ WWW-Authenticate", challenge.ToString())),
            .. answer.Body.Where(m => m.Value is JsonValue).Select(m => ($"→ {m.Key}", $"{m.Value}")),
        ]);
        return answer;
    }
}
