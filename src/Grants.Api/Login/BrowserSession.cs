using System.Security.Claims;
using System.Security.Cryptography;
using Grants.Api.Http;
using Grants.Api.Log;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.IdentityModel.Tokens;

namespace Grants.Api.Login;

/// <summary>
/// The browser's two cookies: one proves a session (its id, sealed by Data Protection; the stream tells whether it still stands), the
/// other ties requests to the browser that began them.
/// </summary>
public sealed class BrowserSession(EventLog log, Settings settings, TimeProvider clock)
{
    public const string Scheme = CookieAuthenticationDefaults.AuthenticationScheme;

    /// <summary>A browser that does nothing for so long is signed out.</summary>
    public static readonly TimeSpan Idle = TimeSpan.FromHours(2);

    private const string SessionClaim = "sid";
    private const string SubjectClaim = "sub";

    private bool Https => settings.IssuerUri.Scheme == "https";

    /// <summary>
    /// The __Host- prefix needs https; on a developer's machine there is none. It also needs the whole host: beside an issuer with a path
    /// other applications may stand, which are not to get its cookies.
    /// </summary>
    public static string CookieName(Settings settings, string name) => settings.IssuerUri.Scheme != "https" ? name : settings.BasePath.Length == 0 ? $"__Host-{name}" : $"__Secure-{name}";

    public static string CookiePath(Settings settings) => settings.BasePath.Length == 0 ? "/" : settings.BasePath;

    /// <summary>The session that this browser's cookie names, if it and the person's account still stand. Exact: both are read from their streams.</summary>
    public async Task<Session?> FindAsync(HttpContext http)
    {
        if (IdOf(http) is not { } id || !SubjectId.TryParse(http.User.FindFirstValue(SubjectClaim), out var subject)) return null;
        var streams = await log.Read([id, subject.Value], http.RequestAborted);
        return streams.Session(id) is { } session && session.Subject == subject && session.IsLive(clock.GetUtcNow()) && streams.Subject(subject.Value) is { IsActive: true } ? session : null;
    }

    /// <summary>The id in the cookie, whether or not the session still stands.</summary>
    public static Guid? IdOf(HttpContext http) =>
        Guid.TryParseExact(http.User.FindFirstValue(SessionClaim), "N", out var id) ? id : null;

    public static Task OpenAsync(HttpContext http, Guid session, SubjectId subject) =>
        http.SignInAsync(Scheme, new ClaimsPrincipal(new ClaimsIdentity(
            [new Claim(SubjectClaim, subject.ToString()), new Claim(SessionClaim, session.ToString("N"))], Scheme, SubjectClaim, null)));

    public static Task CloseAsync(HttpContext http) => http.SignOutAsync(Scheme);

    /// <summary>The browser's own random mark; set when it has none.</summary>
    public string Mark(HttpContext http)
    {
        if (ReadMark(http) is { } known) return known;
        var mark = Base64UrlEncoder.Encode(RandomNumberGenerator.GetBytes(32));
        http.Response.Cookies.Append(CookieName(settings, "grants-browser"), mark, new CookieOptions
        {
            HttpOnly = true,
            Secure = Https,
            SameSite = SameSiteMode.Lax,
            Path = CookiePath(settings),
            IsEssential = true,
        });
        return mark;
    }

    public string? ReadMark(HttpContext http) => http.Request.Cookies[CookieName(settings, "grants-browser")] is { Length: 43 } mark ? mark : null;
}
