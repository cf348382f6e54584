namespace Grants.Api.Http;

/// <summary>
/// An issuer with a path, such as <c>https://id.example/t1</c>: everything stands under that path, which a proxy in front passes on as it
/// came. Well-known documents also stand where the path follows the document's name: RFC 8414 §3.1, RFC 9728 §3.1.
/// </summary>
public static class IssuerPath
{
    private const string WellKnown = "/.well-known/";

    /// <summary>Takes the path off before routing. Without one there is nothing to do.</summary>
    public static void UseIssuerPath(this WebApplication app, Settings settings)
    {
        if (settings.BasePath is not { Length: > 0 } basePath) return;
        app.Use((http, next) =>
        {
            var path = http.Request.Path;
            if (Under(path, basePath) is { } rest)
            {
                (http.Request.PathBase, http.Request.Path) = (basePath, rest);
                return next(http);
            }

            if (path == "/healthz" || path == "/readyz") return next(http); // whoever asks may not know the path
            http.Response.StatusCode = StatusCodes.Status404NotFound;
            return Task.CompletedTask;
        });
    }

    /// <summary>
    /// What the address is without the issuer's path; null when it isn't under it. Letters count as they are, as in an issuer
    /// (RFC 8414 §3.3) and in a cookie's path.
    /// </summary>
    internal static PathString? Under(PathString path, string basePath)
    {
        if (path.StartsWithSegments(basePath, StringComparison.Ordinal, out var rest)) return rest.HasValue ? rest : new PathString("/");
        if (path.Value is not { } text || !text.StartsWith(WellKnown, StringComparison.Ordinal)) return null;
        var end = text.IndexOf('/', WellKnown.Length);
        if (end <= WellKnown.Length || !new PathString(text[end..]).StartsWithSegments(basePath, StringComparison.Ordinal, out rest)) return null;
        return new PathString(text[..end]).Add(rest);
    }
}
