using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Api.Login;
using Grants.Api.Pages;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;

namespace Grants.Api.Authorize;

/// <summary>An authorization request that this browser may go on with.</summary>
public sealed record OpenRequest(Authorization Authorization, Client Client, PrivateParameters Private)
{
    /// <summary>Where the answer goes; null when a device polls for it.</summary>
    public RedirectUri? ReturnsTo => Authorization.Device is null ? Authorization.Request.RedirectUri : null;

    /// <summary>A form's redirects may end at the app (nothing new to ask), so the policy of its pages names it.</summary>
    public PagePolicy Policy => new(ReturnsTo is { } app ? [SecurityHeaders.FormTarget(app.Value)] : []);
}

/// <summary>Takes an authorization request from page to page until it is answered. Each page's address holds the request's id, so many can be open at once.</summary>
public sealed class AuthorizationFlow(EventLog log, Lookups lookups, BrowserSession browser, PersonalData personal, SealedHandles handles, Causes causes,
    AuthorizationResponse response, PageFrame pages, TimeProvider clock)
{
    /// <summary>The request of that id if this very browser began it; else the page to show instead.</summary>
    public async Task<(OpenRequest? Request, IResult? Instead)> FindAsync(HttpContext http, Guid id)
    {
        var authorization = (await log.Read([id], http.RequestAborted)).Authorization(id);
        if (authorization?.Browser is not { } begunBy || browser.ReadMark(http) is not { } mark
            || !CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(await personal.BrowserHashAsync(mark, http.RequestAborted)), Encoding.ASCII.GetBytes(begunBy)))
        {
            return (null, pages.Error(http, "This link doesn't work",
                "It belongs to a sign-in that was begun in another browser, or that never was. It's not something you did. Go back to the app and start again.",
                ErrorCode.InvalidRequest, "No authorization request of this id belongs to this browser.", status: StatusCodes.Status400BadRequest));
        }

        var client = await lookups.ClientAsync(authorization.Request.Client, http.RequestAborted)
            ?? throw new InvalidOperationException("A request's client is not in the lookups.");
        return (await OpenAsync(authorization, client, http.RequestAborted), null);
    }

    /// <summary>Decides what comes next and does it.</summary>
    public async Task<IResult> ContinueAsync(HttpContext http, OpenRequest open) => Respond(http, open, await NextAsync(http, open, await browser.FindAsync(http)));

    /// <summary>Records that the request has arrived and what comes next, together.</summary>
    /// <param name="open">The request as the event describes it.</param>
    public async Task<IResult> ArriveAsync(HttpContext http, OpenRequest open, Session? session) => Respond(http, open, StepOf(
        await DecideAsync(http, open, session, (_, grant, ask, now) => BeginAuthorization.Decide(open.Authorization, grant, ask, now), begins: true)));

    /// <summary>Takes up the request that a client has pushed under this id; a page when this client or this browser may not.</summary>
    public async Task<IResult> TakeUpAsync(HttpContext http, Guid id, Client client)
    {
        if ((await log.Read([id], http.RequestAborted)).Authorization(id) is not { } pushed) return Unusable(http, new OAuthError(ErrorCode.InvalidRequestUri, "The request_uri is unknown."));
        var open = await OpenAsync(pushed, client, http.RequestAborted);
        var catalogue = await lookups.CatalogueAsync(http.RequestAborted);
        var mark = await personal.BrowserHashAsync(browser.Mark(http), http.RequestAborted);
        return await DecideAsync(http, open, await browser.FindAsync(http), (known, grant, ask, now) => BeginAuthorization.Decide(known, mark, catalogue, grant, ask, now)) switch
        {
            Accepted<NextStep>(var step, _) => Respond(http, open, step),
            Refused<NextStep>(var error, _) => Unusable(http, error),
            _ => throw new System.Diagnostics.UnreachableException(),
        };
    }

    /// <summary>A pushed request that can't be used here. Nothing goes back to the app: nobody has proved to be it.</summary>
    public IResult Unusable(HttpContext http, OAuthError error) => pages.Error(http, "This link doesn't work",
        "It was used before, has run out, or was made for another app or browser. It's not something you did. Go back to the app and start again.", error.Code, error.Description);

    /// <summary>Decides what comes next. A page asks first, so that it is never shown where the request has moved on.</summary>
    public async Task<NextStep> NextAsync(HttpContext http, OpenRequest open, Session? session) => StepOf(
        await DecideAsync(http, open, session, (known, grant, ask, now) => ContinueAuthorization.Decide(known!, grant, ask, now)));

    private async Task<OpenRequest> OpenAsync(Authorization authorization, Client client, CancellationToken cancellation)
    {
        var parameters = authorization.Request.Private is { } text && await personal.OpenAsync(text, cancellation) is { } json
            ? JsonSerializer.Deserialize(json, ApiJson.Default.PrivateParameters)!
            : new PrivateParameters(null, null, null);
        return new OpenRequest(authorization, client, parameters);
    }

    /// <param name="decide">From what is recorded of the request, the grant between the two, and what is asked.</param>
    /// <param name="begins">The request has no stream yet.</param>
    private async Task<Decision<NextStep>> DecideAsync(HttpContext http, OpenRequest open, Session? session,
        Func<Authorization?, Grant?, ContinueAuthorization.Request, DateTimeOffset, Decision<NextStep>> decide, bool begins = false)
    {
        var (authorization, client, _) = open;
        var id = authorization.Id;
        var family = Guid.CreateVersion7(clock.GetUtcNow());
        Guid? grant = null;
        var actor = session is null ? Cause.ByClient(client.ClientId) : Cause.Person(session.Subject);
        return await log.Commit(await causes.Of(http, actor, client.ClientId, session?.Id, session?.Subject),
            async (query, cancellation) =>
            {
                grant = session is null ? null : await lookups.LiveGrantAsync(query, session.Subject, client.ClientId, cancellation);
                return StreamsOf(id, session, grant);
            },
            (streams, now) => decide(streams.Authorization(id), grant is { } g ? streams.Grant(g) : null, new(client, session is null ? null : streams.Session(session.Id), family), now),
            http.RequestAborted,
            guess: () =>
            {
                if (session is null) return new Guess(StreamsOf(id, null, null));
                grant = lookups.LastLiveGrant(session.Subject, client.ClientId);
                return grant is { } g ? new Guess(StreamsOf(id, session, g), read => read.Grant(g) is { } known && known.IsLive(clock.GetUtcNow())) : null;
            },
            begins: begins ? id : null);
    }

    private static NextStep StepOf(Decision<NextStep> decision) =>
        decision is Accepted<NextStep>(var step, _) ? step : throw new InvalidOperationException("Continuing is never refused as a whole.");

    /// <summary>The streams that decisions about a request read, the request's own first.</summary>
    public static IReadOnlyList<Guid> StreamsOf(Guid authorization, Session? session, Guid? grant) =>
        [authorization, .. session is null ? (Guid[])[] : [session.Id], .. grant is { } g ? (Guid[])[g] : []];

    public IResult Respond(HttpContext http, OpenRequest open, NextStep step)
    {
        var (authorization, client, parameters) = open;
        var request = authorization.Request;
        var name = DisplayText.Isolated(client.Metadata.ClientName);
        return step switch
        {
            NextStep.SignIn => Results.Extensions.SeeOther($"/signin/{authorization.Id:N}"),
            NextStep.AskConsent => Results.Extensions.SeeOther($"/consent/{authorization.Id:N}"),
            NextStep.Answer or NextStep.Refuse or NextStep.AnsweredAlready when authorization.Device is not null => Results.Extensions.SeeOther($"/device/{authorization.Id:N}/done"),
            NextStep.TimedOut when authorization.Device is not null => pages.Error(http, "That took too long", "A code works for 10 minutes. Nothing was shared. Get a new code on your device.",
                ErrorCode.ExpiredToken, "The device code has expired.", startAgainUrl: pages.At("/device"), startAgainText: "Enter another code"),
            NextStep.Answer(var grant, var family) => response.Code(http, client, request.RedirectUri, request.ResponseMode, parameters.State,
                handles.Seal(new CodeHandle(authorization.Id, grant, family))),
            NextStep.Refuse(var error) => response.Error(http, client, request.RedirectUri, request.ResponseMode, parameters.State, error),
            NextStep.AnsweredAlready => pages.Error(http, "You've already answered", $"Go back to {name}: it has your answer.",
                ErrorCode.InvalidRequest, "This authorization request was answered before.", startAgainUrl: HomeOf(open), startAgainText: $"Go to {name}"),
            NextStep.TimedOut => pages.Error(http, "That took too long", "For safety we only keep a sign-in open for 15 minutes. Nothing was shared.",
                ErrorCode.InvalidRequest, "The authorization request has expired.", startAgainUrl: HomeOf(open), startAgainText: "Start again"),
            _ => throw new System.Diagnostics.UnreachableException(),
        };
    }

    /// <summary>Where the app begins: its home page, or the front door of the host that its redirect proves.</summary>
    private static string? HomeOf(OpenRequest open)
    {
        if (open.Client.Metadata.ClientUri is { } home) return home;
        var redirect = new Uri(open.Authorization.Request.RedirectUri.Value);
        return redirect.Scheme is "https" or "http" ? redirect.GetLeftPart(UriPartial.Authority) : null;
    }
}
