using Grants.Domain.Protocol;

namespace Grants.Domain.Sessions;

/// <summary>What a protected resource wants of the sign-in behind an access token: RFC 9470 §3.</summary>
/// <param name="AcrValues">One of these classes; empty when each will do.</param>
/// <param name="MaxAge">How long ago it may be, inclusive; null when that is no matter.</param>
public sealed record AuthenticationRequirement(ValueList<string> AcrValues, TimeSpan? MaxAge)
{
    /// <param name="acr">The class that was reached; null where nobody signed in.</param>
    /// <param name="at">When; null where nobody signed in.</param>
    public bool IsMetBy(string? acr, DateTimeOffset? at, DateTimeOffset now) =>
        (AcrValues.Count == 0 || (acr is not null && AcrValues.Contains(acr))) && (MaxAge is not { } maxAge || (at is { } signedIn && now - signedIn <= maxAge));
}
