using Microsoft.Extensions.Caching.Memory;

namespace TallyBudget;

/// <summary>What must be remembered until the browser comes back (RFC 7636 §4.1, Core §3.1.2.1).</summary>
internal sealed record PendingRequest(string Scope, string Nonce, string CodeVerifier);

/// <summary>What the token endpoint gave (RFC 6749 §5.1), and whom the id_token named.</summary>
internal sealed record Tokens(string AccessToken, string? RefreshToken, string IdToken, string Subject, string Scope)
{
    public bool Allows(string scope) => Scope.Split(' ').Contains(scope);
}

/// <summary>One line of "What just happened".</summary>
internal sealed record Step(int Number, DateTimeOffset Time, string Words, string Request, IReadOnlyList<(string Name, string Value)> Details);

/// <summary>All that Tally knows about one browser. It lives in memory and is gone after two quiet hours.</summary>
internal sealed class BrowserSession(TimeProvider clock)
{
    public string Csrf { get; } = NewSecret();
    public SemaphoreSlim Turn { get; } = new(1); // one request at a time: two tabs must not spend the same refresh token
    public Dictionary<string, PendingRequest> Pending { get; } = []; // by state: several tabs may be out at once
    public Queue<Step> Steps { get; } = [];
    public Tokens? Tokens { get; set; }
    public string? EndedBecause { get; private set; }
    public string? Notice { get; set; }
    public string? LogoutState { get; set; }
    public JsonObject? Person { get; set; }
    public Dictionary<string, JsonObject> FromBank { get; } = [];

    public static string NewSecret() => Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));
    public static ValueTask<BrowserSession?> BindAsync(HttpContext context) => ValueTask.FromResult(context.Features.Get<BrowserSession>());

    /// <summary>Drops the tokens and what was read with them.</summary>
    public void Forget(string? endedBecause = null)
    {
        (Tokens, Person, EndedBecause) = (null, null, endedBecause);
        FromBank.Clear();
    }

    public void Record(string words, string request, IEnumerable<(string Name, string Value)> details)
    {
        Steps.Enqueue(new((Steps.LastOrDefault()?.Number ?? 0) + 1, clock.GetUtcNow(), words, request, [.. details.Select(d => (d.Name, Mask(d.Name, d.Value)))]));
        if (Steps.Count > 40) Steps.Dequeue();
    }

    /// <summary>Steps never hold a secret; of our bank's handles the kind may be seen.</summary>
    private static string Mask(string name, string value) => name.TrimStart('→', ' ') switch
    {
        "Authorization" => $"{value.Split(' ')[0]} …(masked)",
        "code" or "code_verifier" or "access_token" or "refresh_token" or "id_token" or "id_token_hint" =>
            value.StartsWith("gr", StringComparison.Ordinal) && value.IndexOf('_') is > 2 and < 6 and var end ? $"{value[..(end + 1)]}…(masked)" : "…(masked)",
        _ => value,
    };
}

/// <summary>Finds a browser's session by its random cookie.</summary>
internal sealed class BrowserSessions(bool https) : IDisposable
{
    private const string Cookie = "tally_session";
    private readonly MemoryCache _sessions = new(new MemoryCacheOptions());

    public BrowserSession Of(HttpContext context) =>
        context.Request.Cookies[Cookie] is { } id && _sessions.TryGetValue(id, out BrowserSession? known) && known is not null ? known : Name(context, new(TimeProvider.System));

    /// <summary>Gives a session a new name: at first, and after sign-in, so that a cookie planted before it is worth nothing.</summary>
    public BrowserSession Name(HttpContext context, BrowserSession session)
    {
        if (context.Request.Cookies[Cookie] is { } old) _sessions.Remove(old);
        var id = BrowserSession.NewSecret();
        context.Response.Cookies.Append(Cookie, id, new() { HttpOnly = true, SameSite = SameSiteMode.Lax, Secure = https });
        return _sessions.Set(id, session, new MemoryCacheEntryOptions { SlidingExpiration = TimeSpan.FromHours(2) });
    }

    public void Dispose() => _sessions.Dispose();
}
