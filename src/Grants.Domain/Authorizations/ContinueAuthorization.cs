using Grants.Domain.AccessGrants;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;

namespace Grants.Domain.Authorizations;

/// <summary>
/// Decides what stands between a request and its code: a sign-in, a consent, or nothing. Asked on arrival and again after
/// every page. OpenID Connect Core §3.1.2.3 and §3.1.2.4.
/// </summary>
public static class ContinueAuthorization
{
    /// <param name="NewFamily">The id that the token family of a code issued now will have.</param>
    public sealed record Request(Client Client, Session? Session, Guid NewFamily);

    public static Decision<NextStep> Decide(Authorization authorization, Grant? grant, Request ask, DateTimeOffset now)
    {
        var request = authorization.Request;
        if (authorization.Answered) return Protocol.Decide.Accept<NextStep>(new NextStep.AnsweredAlready());
        if (!authorization.IsOpen(now)) return Protocol.Decide.Accept<NextStep>(new NextStep.TimedOut());
        if (!ask.Client.IsActive) return Refuse(authorization, ErrorCode.UnauthorizedClient, "This client is not active.", [], now);

        if (ask.Session is not { } session || !session.IsLive(now) || NeedsFreshProof(authorization, session, now))
        {
            return request.Prompts(PromptValue.None)
                ? Refuse(authorization, ErrorCode.LoginRequired, "The person has to sign in.", [], now)
                : Protocol.Decide.Accept<NextStep>(new NextStep.SignIn(ask.Session?.IsLive(now) ?? false));
        }

        if (request.HintedSubject is { } hinted && hinted != session.Subject)
        {
            // Never another person's tokens. Whoever has just signed in here was not the one hinted at: only the app can go on.
            return request.Prompts(PromptValue.None) || session.Authentication.At >= authorization.RequestedAt
                ? Refuse(authorization, ErrorCode.LoginRequired, "Another person is signed in.", [], now)
                : Protocol.Decide.Accept<NextStep>(new NextStep.SignIn(Reauthenticate: false));
        }

        var seen = authorization.Subject?.Session == session.Id && authorization.Subject.Authentication == session.Authentication
            ? (IEnumerable<StreamEvent>)[]
            : [On(authorization, new AuthorizationEvent.SubjectAuthenticated(session.Subject, session.Id, session.Authentication, now))];

        // Signed in for this very request, and yet not as it wants: asking again would change nothing.
        if (!Reaches(request, session.Authentication))
            return Refuse(authorization, ErrorCode.UnmetAuthenticationRequirements, "The sign-in did not reach one of the acr_values.", seen, now);

        var live = grant is not null && grant.IsLive(now) ? grant : null;
        var held = live?.ScopesAt(request.Resources) ?? [];
        // A device is asked about each time: whose it is, only the person can tell (RFC 8628 §5.4).
        if (live is null || authorization.Device is not null || MustAsk(request, ask.Client, live, held))
        {
            return request.Prompts(PromptValue.None)
                ? Refuse(authorization, ErrorCode.ConsentRequired, "The person has to be asked.", seen, now)
                : Protocol.Decide.Accept<NextStep>(new NextStep.AskConsent(request.Scopes), seen);
        }

        var scopes = request.Scopes.Intersect(held);
        return Protocol.Decide.Accept<NextStep>(new NextStep.Answer(live.Id, ask.NewFamily),
        [
            .. seen,
            On(authorization, new AuthorizationEvent.ConsentReused(live.Id, scopes, now)),
            On(authorization, new AuthorizationEvent.CodeIssued(live.Id, ask.NewFamily, scopes, now, now + Authorization.CodeLifetime, Details: request.Details.Among(live.Details))),
        ]);
    }

    /// <summary>
    /// <c>prompt=login</c>, <c>select_account</c>, <c>max_age</c> and <c>acr_values</c>, OpenID Connect Core §3.1.2.1. A proof given for this very
    /// request always counts, or <c>max_age=0</c> would ask for ever.
    /// </summary>
    private static bool NeedsFreshProof(Authorization authorization, Session session, DateTimeOffset now)
    {
        if (session.Authentication.At >= authorization.RequestedAt) return false;
        var request = authorization.Request;
        return request.Prompts(PromptValue.Login) || request.Prompts(PromptValue.SelectAccount)
            || (request.MaxAgeSeconds is { } maxAge && now - session.Authentication.At > TimeSpan.FromSeconds(maxAge))
            || request.MaxAgeSeconds == 0 || !Reaches(request, session.Authentication);
    }

    private static bool Reaches(AuthorizationRequest request, Authentication authentication) => request.AcrValues?.Contains(authentication.Acr) ?? true;

    /// <summary>
    /// Whether something is new. What a person refused is an answer, too, and is asked again only when the app sends
    /// <c>prompt=consent</c>. An app on the person's own device can't prove who it is, nor can one without a secret that is
    /// reached over plain http, so they ask each time (OAuth 2.1 §7.3.1). Details are asked about unless these very ones stand.
    /// </summary>
    /// <param name="held">What is allowed where the request wants to use it: a resource that is new makes its scopes new (R17).</param>
    private static bool MustAsk(AuthorizationRequest request, Client client, Grant grant, ScopeSet held) =>
        request.Prompts(PromptValue.Consent)
        || client.Metadata.IsNative
        || (request.Scopes.Count > 0 && request.Scopes.Intersect(held).Count == 0)
        || !grant.Details.HaveAll(request.Details.Marks())
        || request is { Details: not null, Resources: not null } // where a detail was allowed is not remembered
        || (!client.Metadata.IsConfidential && (!request.RedirectUri.Value.StartsWith("https://", StringComparison.OrdinalIgnoreCase)))
        || !request.Scopes.IsSubsetOf(held.Union(grant.Refused))
        || !client.Metadata.NeededOf(request.Scopes).IsSubsetOf(held);

    private static Decision<NextStep> Refuse(Authorization authorization, string code, string description, IEnumerable<StreamEvent> before, DateTimeOffset now) =>
        Protocol.Decide.Accept<NextStep>(new NextStep.Refuse(new OAuthError(code, description)),
            [.. before, On(authorization, new AuthorizationEvent.Refused(code, now))]);

    private static StreamEvent On(Authorization authorization, AuthorizationEvent happened) => new(authorization.Id, happened);
}
