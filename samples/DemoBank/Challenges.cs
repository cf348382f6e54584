using System.Globalization;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace DemoBank;

/// <summary>The scope that an endpoint needs (RFC 6749 §3.3).</summary>
internal sealed record NeededScope(string Name);

/// <summary>How long ago the person may have signed in for an endpoint (RFC 9470).</summary>
internal sealed record NeededSignIn(TimeSpan MaxAge);

/// <summary>What Demo Bank answers to a call that it refuses (RFC 6750 §3, RFC 9470 §3).</summary>
internal static class Challenges
{
    /// <summary>Closes an endpoint to tokens that lack <paramref name="scope"/>.</summary>
    public static RouteHandlerBuilder NeedsScope(this RouteHandlerBuilder endpoint, string scope) => endpoint
        .WithMetadata(new NeededScope(scope))
        .RequireAuthorization(policy => policy
            .AddAuthenticationSchemes(JwtBearerDefaults.AuthenticationScheme)
            .RequireAuthenticatedUser()
            .RequireAssertion(call => HasScope(call.User, scope)));

    /// <summary>Closes an endpoint to tokens whose person signed in longer ago, and to those of no person at all.</summary>
    public static RouteHandlerBuilder NeedsSignInWithin(this RouteHandlerBuilder endpoint, TimeSpan maxAge, TimeProvider clock) => endpoint
        .WithMetadata(new NeededSignIn(maxAge))
        .RequireAuthorization(policy => policy
            .AddAuthenticationSchemes(JwtBearerDefaults.AuthenticationScheme)
            .RequireAuthenticatedUser()
            .RequireAssertion(call => long.TryParse(call.User.FindFirst("auth_time")?.Value, NumberStyles.None, CultureInfo.InvariantCulture, out var signedIn)
                && clock.GetUtcNow() - DateTimeOffset.FromUnixTimeSeconds(signedIn) <= maxAge));

    /// <summary>401. Only a token that was sent and failed earns an error code; a call without one is just told the scheme (§3.1).</summary>
    public static Task Challenge(JwtBearerChallengeContext context)
    {
        if (context.AuthenticateFailure is not null) context.Error = "invalid_token";
        context.Response.Headers.Append("WWW-Authenticate", BoundTokens.Challenge);
        return Task.CompletedTask;
    }

    /// <summary>
    /// 403 that names the scope, so that the app knows what to ask the person for; 401 when the scope is there and the sign-in is too old:
    /// then the app sends the person to the authorization server with this <c>max_age</c>. Renewing the token would change nothing.
    /// </summary>
    public static Task Forbid(ForbiddenContext context)
    {
        var needs = context.HttpContext.GetEndpoint()?.Metadata;
        var scope = needs?.GetMetadata<NeededScope>()?.Name;
        var stepUp = scope is null || HasScope(context.HttpContext.User, scope) ? needs?.GetMetadata<NeededSignIn>() : null;
        if (stepUp is not null) context.Response.StatusCode = StatusCodes.Status401Unauthorized;
        context.Response.Headers.WWWAuthenticate = stepUp is null
            ? $"{context.Options.Challenge}, error=\"insufficient_scope\", scope=\"{scope}\""
            : string.Create(CultureInfo.InvariantCulture, $"{context.Options.Challenge}, error=\"insufficient_user_authentication\", error_description=\"The person has to sign in again.\", max_age=\"{(int)stepUp.MaxAge.TotalSeconds}\"");
        return Task.CompletedTask;
    }

    private static bool HasScope(System.Security.Claims.ClaimsPrincipal user, string scope) => user.FindFirst("scope")?.Value.Split(' ').Contains(scope) ?? false;
}
