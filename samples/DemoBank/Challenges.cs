using Microsoft.AspNetCore.Authentication.JwtBearer;

namespace DemoBank;

/// <summary>The scope that an endpoint needs (RFC 6749 §3.3).</summary>
internal sealed record NeededScope(string Name);

/// <summary>What Demo Bank answers to a call that it refuses (RFC 6750 §3).</summary>
internal static class Challenges
{
    /// <summary>Closes an endpoint to tokens that lack <paramref name="scope"/>.</summary>
    public static RouteHandlerBuilder NeedsScope(this RouteHandlerBuilder endpoint, string scope) => endpoint
        .WithMetadata(new NeededScope(scope))
        .RequireAuthorization(policy => policy
            .AddAuthenticationSchemes(JwtBearerDefaults.AuthenticationScheme)
            .RequireAuthenticatedUser()
            .RequireAssertion(call => call.User.FindFirst("scope")?.Value.Split(' ').Contains(scope) ?? false));

    /// <summary>401. Only a token that was sent and failed earns an error code; a call without one is just told the scheme (§3.1).</summary>
    public static Task Challenge(JwtBearerChallengeContext context)
    {
        if (context.AuthenticateFailure is not null) context.Error = "invalid_token";
        context.Response.Headers.Append("WWW-Authenticate", BoundTokens.Challenge);
        return Task.CompletedTask;
    }

    /// <summary>403. Names the scope, so that the app knows what to ask the person for.</summary>
    public static Task Forbid(ForbiddenContext context)
    {
        var scope = context.HttpContext.GetEndpoint()?.Metadata.GetMetadata<NeededScope>()?.Name;
        context.Response.Headers.WWWAuthenticate = $"{context.Options.Challenge}, error=\"insufficient_scope\", scope=\"{scope}\"";
        return Task.CompletedTask;
    }
}
