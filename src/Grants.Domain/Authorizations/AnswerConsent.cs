using Grants.Domain.AccessGrants;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;

namespace Grants.Domain.Authorizations;

/// <summary>Records what a person answered on the consent page, and issues the code when the answer was yes.</summary>
public static class AnswerConsent
{
    /// <param name="Allowed">The optional permissions that were ticked.</param>
    /// <param name="NewGrant">The id of the grant if this is the first between the two.</param>
    /// <param name="Offered">
    /// The optional permissions that had a box on the page; null when all had. What stands and had none stays allowed: nobody was
    /// asked about it.
    /// </param>
    /// <param name="Details">The details of the request, sealed under the person's key; null when it has none, or when the answer is no.</param>
    public sealed record Request(Client Client, Session? Session, bool Allow, ScopeSet Allowed, ConsentText Text, Guid NewGrant, Guid NewFamily, ScopeSet? Offered = null, ValueList<AuthorizationDetail>? Details = null);

    /// <summary>Refused when the answer doesn't fit the question; then nothing is recorded and the page is shown again.</summary>
    public static Decision<NextStep> Decide(Authorization authorization, Grant? grant, Request ask, DateTimeOffset now)
    {
        if (authorization.Answered) return Protocol.Decide.Accept<NextStep>(new NextStep.AnsweredAlready());
        if (!authorization.IsOpen(now)) return Protocol.Decide.Accept<NextStep>(new NextStep.TimedOut());
        if (ask.Session is not { } session || !session.IsLive(now)
            || authorization.Subject is not { } subject || subject.Session != session.Id || subject.Subject != session.Subject)
            return Protocol.Decide.Accept<NextStep>(new NextStep.SignIn(Reauthenticate: false));
        if (!ask.Client.IsActive)
            return Protocol.Decide.Accept<NextStep>(new NextStep.Refuse(new OAuthError(ErrorCode.UnauthorizedClient, "This client is not active.")),
                On(authorization, new AuthorizationEvent.Refused(ErrorCode.UnauthorizedClient, now)));

        var asked = authorization.Request.Scopes;
        var metadata = ask.Client.Metadata;
        var optional = asked.Intersect(metadata.OptionalScopes);
        if (!ask.Allowed.IsSubsetOf(optional))
            return Protocol.Decide.Refuse<NextStep>(ErrorCode.InvalidScope, "A permission was sent that the page did not offer.");

        var live = grant is not null && grant.IsLive(now) ? grant : null;
        var kept = live is null || ask.Offered is null ? ScopeSet.Empty : optional.Intersect(live.ScopesAt(authorization.Request.Resources)).Except(ask.Offered);
        var allowed = ask.Allowed.Union(kept);
        var granted = asked.Intersect(metadata.NeededOf(asked).Union(allowed));
        if (!ask.Allow || (granted.Count == 0 && authorization.Request.Details is null))
        {
            // Allowing nothing of what was asked is a no in other words; a token without any scope would be nobody's wish.
            return Protocol.Decide.Accept<NextStep>(new NextStep.Refuse(new OAuthError(ErrorCode.AccessDenied, "The person said no.")),
                On(authorization, new AuthorizationEvent.ConsentDenied(asked, ask.Text, now)));
        }

        // Details have no boxes: all of them or none.
        if (authorization.Request.Details.Marks() != ask.Details.Marks())
            return Protocol.Decide.Refuse<NextStep>(ErrorCode.InvalidAuthorizationDetails, "The details are not those of the request.");

        var refused = optional.Except(allowed);
        // A grant whose time ran out keeps the pair's one place until its end is written down, so that comes first.
        var over = grant is not null && live is null ? RecordExpiry.Of(grant, now).Select(end => new StreamEvent(grant.Id, end)) : [];
        var grantId = live?.Id ?? ask.NewGrant;
        var consent = new ConsentReceipt(authorization.Id, granted, refused, now, now + metadata.GrantLifetime, authorization.Request.Resources, ask.Details);
        var changes = live is null ? Grant.Open(session.Subject, ask.Client.ClientId, consent) : live.Answered(consent);

        return Protocol.Decide.Accept<NextStep>(new NextStep.Answer(grantId, ask.NewFamily),
        [
            .. over,
            // The grant before the consent that names it: whoever reads the log in order then knows the grant already.
            .. changes.Select(change => new StreamEvent(grantId, change)),
            On(authorization, new AuthorizationEvent.ConsentGranted(grantId, asked, granted, refused, ask.Text, now)),
            On(authorization, new AuthorizationEvent.CodeIssued(grantId, ask.NewFamily, granted, now, authorization.CodeExpiresAt(now), Details: ask.Details)),
        ]);
    }

    private static StreamEvent On(Authorization authorization, AuthorizationEvent happened) => new(authorization.Id, happened);
}
