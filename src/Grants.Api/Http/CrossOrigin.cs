using Grants.Domain.Clients;
using Marten;
using Microsoft.AspNetCore.Cors.Infrastructure;

namespace Grants.Api.Http;

/// <summary>
/// Who may call which endpoint from a script in a browser (Fetch standard, "CORS protocol"; OAuth 2.1 §3). Documents that are the same
/// for all: everybody. Endpoints that a browser app calls: pages of the origins to which codes go anyway. Everything else, the
/// authorization endpoint and our pages above all: nobody. Cookies are never allowed along.
/// </summary>
public sealed class CrossOrigin(Lookups lookups, IDocumentStore store) : ICorsPolicyProvider
{
    private static readonly CorsPolicy Everybody = new CorsPolicyBuilder().AllowAnyOrigin().WithMethods("GET").Build();
    private (long Generation, CorsPolicy Policy)? _apps;

    public async Task<CorsPolicy?> GetPolicyAsync(HttpContext context, string? policyName)
    {
        var path = context.Request.Path.Value ?? "";
        if (path == "/jwks" || path.StartsWith("/.well-known/", StringComparison.Ordinal)) return Everybody;
        return path is "/token" or "/revoke" or "/userinfo" or "/par" ? await AppsAsync(context.RequestAborted) : null;
    }

    private async Task<CorsPolicy> AppsAsync(CancellationToken cancellation)
    {
        var generation = lookups.Generation;
        if (_apps is { } known && known.Generation == generation) return known.Policy;
        await using var session = store.QuerySession();
        var clients = await session.Query<Client>().ToListAsync(cancellation);
        var origins = clients.Where(client => client.IsActive).SelectMany(client => client.Metadata.RedirectUris)
            .Select(uri => Uri.TryCreate(uri, UriKind.Absolute, out var parsed) && parsed.Scheme is "https" or "http" ? parsed.GetLeftPart(UriPartial.Authority) : null)
            .OfType<string>().Distinct().ToArray();
        var policy = new CorsPolicyBuilder().WithOrigins(origins).WithMethods("GET", "POST").WithHeaders("authorization", "content-type", "dpop")
            .WithExposedHeaders("WWW-Authenticate", "DPoP-Nonce", "Retry-After").SetPreflightMaxAge(TimeSpan.FromMinutes(10)).Build();
        _apps = generation is { } at ? (at, policy) : null;
        return policy;
    }
}
