namespace Grants.Api.Http;

/// <summary>What a page adds to the policy that every answer carries.</summary>
/// <param name="FormTargets">
/// Further <c>form-action</c> sources: Chromium applies the directive to the whole redirect chain after a form, so a page whose form
/// may end at an app has to name that app.
/// </param>
/// <param name="ScriptNonce">Lets the one script of the form_post page run.</param>
public sealed record PagePolicy(IReadOnlyList<string> FormTargets, string? ScriptNonce = null);

/// <summary>Security headers on every answer, redirects and errors too: RFC 9700 §4.16, OWASP ASVS V3.4.</summary>
public static class SecurityHeaders
{
    public static IApplicationBuilder UseSecurityHeaders(this IApplicationBuilder app, Settings settings) => app.Use((http, next) =>
    {
        http.Response.OnStarting(() =>
        {
            var policy = http.Items[typeof(PagePolicy)] as PagePolicy;
            var headers = http.Response.Headers;
            headers.ContentSecurityPolicy = Csp(policy);
            headers.XFrameOptions = "DENY";
            headers.XContentTypeOptions = "nosniff";
            headers["Referrer-Policy"] = "no-referrer";
            headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=(), payment=()";
            if (settings.IssuerUri.Scheme == "https") headers.StrictTransportSecurity = "max-age=63072000; includeSubDomains";
            if (headers.CacheControl.Count == 0) headers.CacheControl = "no-store";
            return Task.CompletedTask;
        });
        return next(http);
    });

    public static void SetPolicy(this HttpContext http, PagePolicy policy) => http.Items[typeof(PagePolicy)] = policy;

    /// <summary>The form-action source of a validated redirect URI: its origin, or its scheme when it is a private one.</summary>
    public static string FormTarget(string redirectUri)
    {
        var uri = new Uri(redirectUri);
        return uri.Scheme is "http" or "https" ? uri.GetLeftPart(UriPartial.Authority) : uri.Scheme + ":";
    }

    private static string Csp(PagePolicy? policy) =>
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        + (policy?.ScriptNonce is { } nonce ? $"script-src 'nonce-{nonce}'; " : "")
        + $"form-action {string.Join(' ', (policy?.FormTargets ?? []).Prepend("'self'"))}; frame-ancestors 'none'; base-uri 'none'";
}
