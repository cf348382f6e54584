using System.Threading.RateLimiting;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Api.Login;
using Grants.Api.Pages;
using Grants.Api.PushedAuthorization;
using Grants.Domain.Authorizations;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Wolverine.Http;

namespace Grants.Api.Authorize;

/// <summary>
/// The authorization endpoint: RFC 6749 §3.1. Records the request, then lets <see cref="AuthorizationFlow"/> decide what stands
/// between it and its code.
/// </summary>
public static class AuthorizeEndpoint
{
    [WolverineGet("/authorize")]
    public static Task<IResult> Get(HttpContext http, Authorize authorize) => authorize.ArriveAsync(http, Parameters.OfQuery(http.Request));

    /// <summary>OpenID Connect Core §3.1.2.1 wants POST as well.</summary>
    [WolverinePost("/authorize")]
    public static async Task<IResult> Post(HttpContext http, Authorize authorize, PageFrame pages)
    {
        var form = await Parameters.OfFormAsync(http.Request, http.RequestAborted);
        return form is null
            ? pages.Error(http, "This link doesn't work", "An app sent you here with a request we can't read.", ErrorCode.InvalidRequest, "The body must be application/x-www-form-urlencoded.")
            : await authorize.ArriveAsync(http, form);
    }

    /// <summary>Goes on with a request after a page, or after a POST whose cross-site cookies a browser held back.</summary>
    [WolverineGet("/authorize/{id}")]
    public static async Task<IResult> Resume(Guid id, HttpContext http, AuthorizationFlow flow) =>
        await flow.FindAsync(http, id) is var (open, instead) && open is null ? instead! : await flow.ContinueAsync(http, open!);
}

/// <summary>What happens when an authorization request arrives.</summary>
public sealed class Authorize(EventLog log, Lookups lookups, BrowserSession browser, PersonalData personal, Causes causes, SealedHandles handles, RequestReader reader,
    AuthorizationFlow flow, AuthorizationResponse response, PageFrame pages, ArrivalLimits limits, TimeProvider clock)
{
    private const string Unacceptable = "An app sent you here with a request we can't accept. It's not something you did. Go back and try again, or tell the people who run the app.";

    public async Task<IResult> ArriveAsync(HttpContext http, Parameters parameters)
    {
        var cancellation = http.RequestAborted;
        var client = parameters["client_id"] is { } id ? await lookups.ClientAsync(new ClientId(id), cancellation) : null;
        if (client is { IsActive: true } && PushedRequests.IsReference(parameters["request_uri"])) return await TakeUp(http, client, parameters);
        switch (await reader.ReadAsync(parameters, client, pushed: false, cancellation))
        {
            case AuthorizeRequest.ShowPage(var error, var received):
                return pages.Error(http, "This link doesn't work", Unacceptable, error.Code, error.Description, received);
            case AuthorizeRequest.RedirectError refused:
                return await Refuse(http, refused);
            case AuthorizeRequest.Valid valid:
                return await Record(http, valid);
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }

    /// <summary>A pushed request: nothing counts but its client and its name (RFC 9126 §4). Its push was counted, so its arrival isn't.</summary>
    private async Task<IResult> TakeUp(HttpContext http, Client client, Parameters parameters)
    {
        var uri = parameters["request_uri"]!;
        if (parameters.Fault is { } fault) return pages.Error(http, "This link doesn't work", Unacceptable, fault.Code, fault.Description);
        if (parameters["request"] is not null) return pages.Error(http, "This link doesn't work", Unacceptable, ErrorCode.InvalidRequest, "request and request_uri exclude each other.");
        // As any POST, for the cookies' sake.
        if (HttpMethods.IsPost(http.Request.Method)) return Results.Extensions.SeeOther($"/authorize?client_id={Uri.EscapeDataString(client.ClientId.Value)}&request_uri={Uri.EscapeDataString(uri)}");
        return handles.OpenPushed(PushedRequests.HandleIn(uri)) is { } handle
            ? await flow.TakeUpAsync(http, handle.Authorization, client)
            : flow.Unusable(http, new OAuthError(ErrorCode.InvalidRequestUri, "The request_uri is unknown."));
    }

    private async Task<IResult> Record(HttpContext http, AuthorizeRequest.Valid valid)
    {
        var cancellation = http.RequestAborted;
        var client = valid.Client;

        // The log is for real requests, and nobody may fill it (L12): whoever sends more than this is told to wait.
        if (!limits.Admit(client.ClientId, http.Connection.RemoteIpAddress))
        {
            http.Response.Headers.RetryAfter = "60";
            return pages.Error(http, "Too many requests", "Too many sign-ins were begun from your network in the last minute. Wait a minute and try again.",
                ErrorCode.TemporarilyUnavailable, "The limit of authorization requests per minute is reached.", status: StatusCodes.Status429TooManyRequests);
        }

        var session = await browser.FindAsync(http);
        var request = await reader.SealAsync(valid, cancellation);
        var now = clock.GetUtcNow();
        var authorization = Guid.CreateVersion7(now);
        var mark = await personal.BrowserHashAsync(browser.Mark(http), cancellation);
        var arrived = new Authorization(authorization, request, mark, now, now + Authorization.Lifetime);
        if (!HttpMethods.IsPost(http.Request.Method)) return await flow.ArriveAsync(http, new OpenRequest(arrived, client, valid.Private), session);

        // A browser holds its cookies back from a cross-site POST, so a POST is always taken up again by a GET.
        await log.Commit(await causes.Of(http, Cause.ByClient(client.ClientId), client.ClientId, session?.Id, session?.Subject), [authorization],
            (_, _) => Decide.Accept(true, BeginAuthorization.Arrival(arrived)), cancellation, begins: authorization);
        return Results.Extensions.SeeOther($"/authorize/{authorization:N}");
    }

    /// <summary>
    /// Errors go back to the app, except where that would make this server an open redirector: an app nobody vouches for and a
    /// browser nobody has signed in with. Then a person decides (RFC 9700 §4.11.2).
    /// </summary>
    private async Task<IResult> Refuse(HttpContext http, AuthorizeRequest.RedirectError refused)
    {
        var metadata = refused.Client.Metadata;
        if (metadata.Checked || metadata.OwnApp || refused.PromptNone || await browser.FindAsync(http) is not null)
            return response.Error(http, refused.Client, refused.RedirectUri, refused.ResponseMode, refused.State, refused.Error);
        return pages.Error(http, "This link doesn't work",
            $"{DisplayText.Isolated(metadata.ClientName)} sent you here with a request we can't accept. It's not something you did. Nobody has checked this app: only go on if you know who runs it.",
            refused.Error.Code, refused.Error.Description, startAgainUrl: await response.ErrorAddressAsync(refused.Client, refused.RedirectUri, refused.ResponseMode, refused.State, refused.Error, http.RequestAborted), startAgainText: "Go on to the app");
    }
}

/// <summary>How many authorization requests a minute are written down, per network and per client (L12).</summary>
public sealed class ArrivalLimits(Settings settings) : IDisposable
{
    private readonly PartitionedRateLimiter<string> _networks = PerMinute(settings.AuthorizationsPerMinutePerNetwork);
    private readonly PartitionedRateLimiter<string> _clients = PerMinute(settings.AuthorizationsPerMinutePerClient);

    public bool Admit(ClientId client, System.Net.IPAddress? address)
    {
        using var network = _networks.AttemptAcquire(address is null ? "" : PersonalData.Network(address));
        if (!network.IsAcquired) Refusals.Count("AuthorizationsPerMinutePerNetwork");
        return network.IsAcquired && Admit(client);
    }

    /// <summary>For a client that has proved who it is: all its requests come from the one network where it runs.</summary>
    public bool Admit(ClientId client)
    {
        using var one = _clients.AttemptAcquire(client.Value);
        if (!one.IsAcquired) Refusals.Count("AuthorizationsPerMinutePerClient");
        return one.IsAcquired;
    }

    public void Dispose()
    {
        _networks.Dispose();
        _clients.Dispose();
    }

    private static PartitionedRateLimiter<string> PerMinute(int permits) => PartitionedRateLimiter.Create<string, string>(key =>
        RateLimitPartition.GetFixedWindowLimiter(key, _ => new FixedWindowRateLimiterOptions { PermitLimit = permits, Window = TimeSpan.FromMinutes(1), QueueLimit = 0 }));
}
