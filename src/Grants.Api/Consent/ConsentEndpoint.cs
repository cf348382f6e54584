using System.Globalization;
using Grants.Api.Authorize;
using Grants.Api.Details;
using Grants.Api.DeviceAuthorization;
using Grants.Api.Http;
using Grants.Api.Log;
using Grants.Api.Login;
using Grants.Api.Pages;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Wolverine.Http;

namespace Grants.Api.Consent;

/// <summary>The consent page: asks a person whether an app may do what it asks for, and records the answer.</summary>
public static class ConsentEndpoint
{
    [WolverineGet("/consent/{id}")]
    public static async Task<IResult> Get(Guid id, HttpContext http, AuthorizationFlow flow, BrowserSession browser, ConsentHandling consent)
    {
        var (open, instead) = await flow.FindAsync(http, id);
        if (open is null) return instead!;
        var session = await browser.FindAsync(http);
        var step = await flow.NextAsync(http, open, session);
        return step is NextStep.AskConsent ? await consent.PageAsync(http, open, session!, null) : flow.Respond(http, open, step);
    }

    [WolverinePost("/consent/{id}")]
    public static async Task<IResult> Post(Guid id, HttpContext http, AuthorizationFlow flow, ConsentHandling consent)
    {
        var (open, instead) = await flow.FindAsync(http, id);
        return open is null ? instead! : await consent.SubmitAsync(http, open);
    }
}

/// <summary>The consent form: shows it, takes it.</summary>
public sealed class ConsentHandling(EventLog log, AuthorizationFlow flow, Lookups lookups, BrowserSession browser, Causes causes, DetailsReader details, PageFrame pages, SignInHandling signIn, DeviceOrigins devices, TimeProvider clock)
{
    public async Task<IResult> PageAsync(HttpContext http, OpenRequest open, Session session, string? error)
    {
        var request = open.Authorization.Request;
        http.SetPolicy(open.Policy);
        var catalogue = await lookups.CatalogueAsync(http.RequestAborted);
        var grant = await lookups.GrantAsync(session.Subject, open.Client.ClientId, http.RequestAborted);
        if (grant is not null && !grant.IsLive(clock.GetUtcNow())) grant = null;
        IReadOnlyList<DetailModel> particular = [];
        if (request.Details is { } asking)
        {
            // Nobody is asked about what nobody can read any more.
            if (await details.OpenAsync(asking, http.RequestAborted) is not { } objects) return flow.Respond(http, open, new NextStep.TimedOut());
            particular = [.. asking.Zip(objects, (detail, said) => DetailsWords.Model(catalogue.DetailsType(detail.Type), detail.Type, said))];
        }

        var held = grant?.ScopesAt(request.Resources);
        var (asked, folded) = Question(request, grant, held);
        var shown = asked.Select(scope => Permission(open, scope, catalogue, grant, held)).ToList();
        var allowed = folded.Select(scope => Permission(open, scope, catalogue, grant, held)).ToList();
        var client = open.Client;
        var renamed = client.NameChangedAt is { } changed && grant is not null && grant.CreatedAt < changed ? client.NameBefore : null;
        var app = pages.App(client, open.ReturnsTo?.Value ?? "") with { History = grant is null ? "New to you" : $"You've used it since {grant.CreatedAt.ToString("MMM yyyy", CultureInfo.InvariantCulture)}" };

        return PageFrame.Page<ConsentPage>(new ConsentModel(pages.Site, pages.Field(http), pages.At($"/consent/{open.Authorization.Id:N}"), app,
            await signIn.NameOf(session.Subject, http.RequestAborted), pages.At($"/signin/{open.Authorization.Id:N}/other"),
            [.. shown.Where(permission => !IsDoing(catalogue, permission.Scope))], [.. shown.Where(permission => IsDoing(catalogue, permission.Scope))],
            Cannot(catalogue, request, grant), Duration(open), ReturnsTo(open),
            renamed, allowed, ConsentWords.Of(client, request.Scopes, catalogue, request.Resources, request.Details).Version, error, particular, await devices.OfAsync(http, open))
        {
            OnlyAt = [.. (request.Resources ?? []).Select(resource => ConsentWords.NameOf(resource, catalogue))],
        }, error is null ? StatusCodes.Status200OK : StatusCodes.Status400BadRequest);
    }

    public async Task<IResult> SubmitAsync(HttpContext http, OpenRequest open)
    {
        if (await pages.RefuseForgedAsync(http) is { } forged) return forged;
        if (await Parameters.OfFormAsync(http.Request, http.RequestAborted) is not { } form || form["decision"] is not ("allow" or "deny"))
            return flow.Respond(http, open, new NextStep.AskConsent(open.Authorization.Request.Scopes));

        var session = await browser.FindAsync(http);
        var catalogue = await lookups.CatalogueAsync(http.RequestAborted);
        var request = open.Authorization.Request;
        var text = ConsentWords.Of(open.Client, request.Scopes, catalogue, request.Resources, request.Details);
        // The event keeps the words that the person saw. Were they changed meanwhile, the person hasn't seen these.
        if (session is not null && form["text"] != text.Version)
            return await PageAsync(http, open, session, "What this page says has changed since you opened it. Look at the list and answer again.");

        ValueList<AuthorizationDetail>? allowed = null;
        if (session is not null && request.Details is { } asking && form["decision"] == "allow"
            && (allowed = await details.GiveToAsync(session.Subject, asking, http.RequestAborted)) is null) return flow.Respond(http, open, new NextStep.TimedOut());

        var id = open.Authorization.Id;
        var ticked = Parameters.Ticked(http.Request, "allow");
        var offered = ScopeSet.Of(Parameters.Ticked(http.Request, "offered"));
        var (newGrant, newFamily) = (Guid.CreateVersion7(clock.GetUtcNow()), Guid.CreateVersion7(clock.GetUtcNow()));
        Guid? grant = null;
        var decision = await log.Commit(
            await causes.Of(http, session is null ? Cause.ByClient(open.Client.ClientId) : Cause.Person(session.Subject), open.Client.ClientId, session?.Id, session?.Subject),
            async (query, cancellation) =>
            {
                grant = session is null ? null : await lookups.LiveGrantAsync(query, session.Subject, open.Client.ClientId, cancellation);
                return AuthorizationFlow.StreamsOf(id, session, grant);
            },
            (streams, now) => AnswerConsent.Decide(streams.Authorization(id)!, grant is { } g ? streams.Grant(g) : null,
                new(open.Client, session is null ? null : streams.Session(session.Id), form["decision"] == "allow", ScopeSet.Of(ticked), text, newGrant, newFamily, offered, Details: allowed), now),
            http.RequestAborted);
        return decision switch
        {
            Accepted<NextStep>(var step, _) => flow.Respond(http, open, step),
            Refused<NextStep>(_, _) => await PageAsync(http, open, session!, "One of the permissions sent is not on this page. Look at the list and answer again."),
            _ => throw new System.Diagnostics.UnreachableException(),
        };
    }

    /// <summary>
    /// What the page asks, and what it only folds away because it is allowed already. When something is new, that alone is asked; what
    /// was refused counts as new only with <c>prompt=consent</c>. When nothing is new (an app that can't prove who it is, or
    /// <c>prompt=consent</c>), everything is asked again; new details alone are no reason to ask about the rest.
    /// </summary>
    /// <param name="held">What is allowed at the resources that the request names.</param>
    private static (ScopeSet Asked, ScopeSet Folded) Question(AuthorizationRequest request, Grant? grant, ScopeSet? held)
    {
        var listed = ScopeSet.Of(ConsentWords.Listed(request.Scopes));
        if (grant is null || held is null) return (listed, ScopeSet.Empty);
        var fresh = listed.Except(held);
        if (!request.Prompts(PromptValue.Consent)) fresh = fresh.Except(grant.Refused);
        var detailsAlone = request.Details is not null && !request.Prompts(PromptValue.Consent) && !grant.Details.HaveAll(request.Details.Marks());
        return fresh.Count == 0 && !detailsAlone ? (listed, ScopeSet.Empty) : (fresh, listed.Intersect(held));
    }

    private static bool IsDoing(Catalogue catalogue, string scope) => catalogue.Scope(scope)?.Kind == "do";

    private static PermissionModel Permission(OpenRequest open, string scope, Catalogue catalogue, Grant? grant, ScopeSet? held)
    {
        var metadata = open.Client.Metadata;
        var definition = catalogue.Scope(scope);
        // An app that nobody has checked doesn't get to argue its case on this page.
        var purpose = metadata.Checked || metadata.OwnApp ? metadata.Purposes.FirstOrDefault(p => p.Scope == scope)?.Text : null;
        return new PermissionModel(scope, definition?.Label ?? scope, definition?.Details, definition?.Risk, purpose is null ? null : DisplayText.Clean(purpose),
            held is not null && !held.Contains(scope), !metadata.OptionalScopes.Contains(scope), held?.Contains(scope) ?? false, grant?.Refused.Contains(scope) ?? false);
    }

    /// <summary>
    /// What stays out of reach: always the password, and up to two things that this server could allow but the app doesn't ask for. What a
    /// detail lets it do may well be one of those, so beside details they are not said.
    /// </summary>
    private static List<string> Cannot(Catalogue catalogue, AuthorizationRequest request, Grant? grant) => request.Details is not null || grant?.Details is not null ? ["see your password"] :
        ["see your password", .. catalogue.Scopes.Where(scope => scope.Kind == "do" && !request.Scopes.Contains(scope.Name) && grant?.Scopes.Contains(scope.Name) != true)
            .Take(2).Select(scope => char.ToLowerInvariant(scope.Label[0]) + scope.Label[1..])];

    private static string ReturnsTo(OpenRequest open) =>
        open.ReturnsTo is { } app && new Uri(app.Value) is { Scheme: "http" or "https" } to ? to.Authority : "the app on your device";

    private string Duration(OpenRequest open)
    {
        var until = (clock.GetUtcNow() + open.Client.Metadata.GrantLifetime).ToString("d MMM yyyy", CultureInfo.InvariantCulture);
        return open.Authorization.Request.Scopes.Contains(StandardScopes.OfflineAccess)
            ? $"Until {until}, even when you're not using it."
            : $"Until {until}, only while you're using it.";
    }
}
