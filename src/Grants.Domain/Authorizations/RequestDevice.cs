using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Domain.Authorizations;

/// <summary>A device asks, and a person will answer in a browser elsewhere: RFC 8628 §3.1. Only for clients that are registered for it (RFC 10027 §2).</summary>
public static class RequestDevice
{
    /// <summary>How long the device code and the user code live. As long as it takes to find a telephone, and no longer: RFC 8628 §5.1, RFC 10027 §6.1.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(10);

    /// <summary>How long a device waits between two polls at first, and how much longer after each that came too soon: RFC 8628 §3.2 and §3.5.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    /// <param name="Id">The stream that the request begins.</param>
    /// <param name="Scopes">As asked; empty when the client named none.</param>
    /// <param name="UserCode">Keyed hash of the user code.</param>
    /// <param name="Jkt">The key that the device proved (DPoP); null when it proved none.</param>
    /// <param name="Resources">As named, RFC 8707 §2.</param>
    public sealed record Request(Guid Id, Client Client, ScopeSet Scopes, string UserCode, Catalogue Catalogue, JwkThumbprint? Jkt = null, IReadOnlyList<string>? Resources = null);

    /// <summary>The value is the moment from which on nobody can answer.</summary>
    public static Decision<DateTimeOffset> Decide(Request ask, DateTimeOffset now)
    {
        var metadata = ask.Client.Metadata;
        // As at the authorization endpoint: who names no scope gets what it can't do without.
        var scopes = ask.Scopes.Count > 0 ? ask.Scopes : metadata.NeededOf(metadata.Scope).Except([StandardScopes.OfflineAccess]);
        if (WhyNot(ask.Client, scopes, ask.Catalogue) is { } fault) return new Refused<DateTimeOffset>(fault, []);
        (var resources, scopes, var misdirected) = ResourceIndicators.Ask(ask.Resources ?? [], scopes, metadata, ask.Catalogue);
        if (misdirected is not null) return new Refused<DateTimeOffset>(misdirected, []);
        if (!metadata.GrantTypes.Contains(GrantType.RefreshToken)) scopes = scopes.Except([StandardScopes.OfflineAccess]);
        if (scopes.Count == 0) return Protocol.Decide.Refuse<DateTimeOffset>(ErrorCode.InvalidScope, "scope is missing.");
        return Protocol.Decide.Accept(now + Lifetime,
            new StreamEvent(ask.Id, new AuthorizationEvent.DeviceRequested(ask.Client.ClientId, scopes, ask.UserCode, ask.Jkt, now, now + Lifetime, resources)));
    }

    /// <summary>Why the client may not have these scopes in this way; null when it may. Asked again whenever a request goes on, since its rights may have shrunk.</summary>
    internal static OAuthError? WhyNot(Client client, ScopeSet scopes, Catalogue catalogue) =>
        client.WhyNotUse(GrantType.DeviceCode)
        ?? (!scopes.IsSubsetOf(client.Metadata.Scope) || scopes.Any(scope => !catalogue.Knows(scope)) ? new OAuthError(ErrorCode.InvalidScope, "The client may not ask for this scope.") : null);
}
