using Grants.Domain.AccessGrants;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;

namespace Grants.Domain.Authorizations;

/// <summary>A device asks whether it has its answer, and gets its tokens when it has: RFC 8628 §3.4 and §3.5.</summary>
public static class RedeemDeviceCode
{
    /// <param name="ask">As for a code. A device has no redirect URI and no verifier: the device code itself never left it.</param>
    public static Decision<IssuedTokens> Decide(Authorization? authorization, Grant? grant, TokenFamily? family, RedeemCode.Request ask, DateTimeOffset now)
    {
        if ((ask.Client.WhyNotUse(GrantType.DeviceCode) ?? ask.Client.WhyNotBoundTo(ask.Jkt)) is { } fault) return new Refused<IssuedTokens>(fault, []);
        if (authorization is not { Device: not null }) return Refuse(ErrorCode.InvalidGrant, "The device code is unknown.");
        if (authorization.Request.Client != ask.Client.ClientId) return Refuse(ErrorCode.InvalidGrant, "The device code was issued to another client.");
        // Before anything is told: who has another key is not the device that asked.
        if (authorization.Request.DpopJkt is { } key && ask.Jkt != key) return Refuse(ErrorCode.InvalidGrant, "The device code is bound to another key.");

        if (authorization is { RedeemedBy: not null, Code: { } used }) return Refuse(ErrorCode.InvalidGrant, "The device code was already used.", RedeemCode.Replay(authorization, used, family, now));
        if (authorization.Error is { } error) return Refuse(error, error == ErrorCode.AccessDenied ? "The person said no." : "The request was refused.");
        // The answer outranks the clock: whoever answered in time isn't lost to slow polling.
        if (authorization is not { Code: { } code, Subject: { } subject })
        {
            return authorization.IsOpen(now)
                ? Refuse(ErrorCode.AuthorizationPending, "Nobody has answered yet.")
                : Refuse(ErrorCode.ExpiredToken, "Nobody answered in time.");
        }

        if (now >= code.ExpiresAt || authorization.Closed) return Refuse(ErrorCode.ExpiredToken, "The device code has expired.");
        if (grant is null || !grant.IsLive(now)) return Refuse(ErrorCode.InvalidGrant, "The access was removed.");
        if (RequestDevice.WhyNot(ask.Client, code.Scopes, ask.Catalogue) is { } narrowed) return new Refused<IssuedTokens>(narrowed, []);
        if (family is not null) return Refuse(ErrorCode.InvalidGrant, "The device code was already used.");
        return RedeemCode.Issue(authorization, code, subject, grant, ask, now);
    }

    private static Decision<IssuedTokens> Refuse(string code, string description, params IEnumerable<StreamEvent> events) => Protocol.Decide.Refuse<IssuedTokens>(code, description, events);
}
