using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Domain.Authorizations;

/// <summary>
/// A person types the code that a device shows: RFC 8628 §3.3. The browser that comes first is the only one that may go on, so a code
/// that was typed is spent, and nobody can come upon it by guessing.
/// </summary>
public static class EnterUserCode
{
    /// <param name="Browser">The mark of the browser that asks.</param>
    /// <param name="UserCode">What was typed, sealed for the person.</param>
    public sealed record Request(Client Client, string Browser, SealedText UserCode, Catalogue Catalogue);

    /// <summary>The value is the request's id. Every refusal is told in the same words: whether a code exists is nobody's business (RFC 8628 §5.1).</summary>
    public static Decision<Guid> Decide(Authorization? waiting, Request ask, DateTimeOffset now)
    {
        if (waiting is not { Device: not null } || !waiting.IsOpen(now)) return NotActive();
        if (waiting.Browser is { } known) return known == ask.Browser ? Protocol.Decide.Accept(waiting.Id) : NotActive();
        // Nobody is asked about what the client may not have any more; its device is told.
        return RequestDevice.WhyNot(ask.Client, waiting.Request.Scopes, ask.Catalogue) is { } fault
            ? NotActive(new StreamEvent(waiting.Id, new AuthorizationEvent.Refused(fault.Code, now)))
            : Protocol.Decide.Accept(waiting.Id, new StreamEvent(waiting.Id, new AuthorizationEvent.UserCodeEntered(ask.Browser, ask.UserCode, now)));
    }

    private static Decision<Guid> NotActive(params IEnumerable<StreamEvent> events) => Protocol.Decide.Refuse<Guid>(ErrorCode.InvalidGrant, "The user code is not active.", events);
}
