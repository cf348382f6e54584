using System.Globalization;
using System.Net;
using System.Text.Json;
using Grants.Api.Authorize;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Api.Login;
using Grants.Api.Pages;
using Grants.Domain.Authorizations;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Projections;
using Marten;
using Wolverine.Http;

namespace Grants.Api.DeviceAuthorization;

/// <summary>The verification URI, RFC 8628 §3.3: sign-in first, then the code, then the consent page, and an end here.</summary>
public static class DeviceEndpoint
{
    /// <summary>Also <c>verification_uri_complete</c>: that fills the code in, and the person still has to confirm it.</summary>
    [WolverineGet("/device")]
    public static Task<IResult> Get(HttpContext http, DevicePages pages) => pages.AskAsync(http);

    [WolverinePost("/device")]
    public static Task<IResult> Post(HttpContext http, DevicePages pages) => pages.EnterAsync(http);

    [WolverineGet("/device/signin")]
    public static Task<IResult> GetSignIn(HttpContext http, DevicePages pages) => pages.AskWhoAsync(http);

    [WolverinePost("/device/signin")]
    public static Task<IResult> PostSignIn(HttpContext http, DevicePages pages) => pages.SignInAsync(http);

    [WolverineGet("/device/{id}/done")]
    public static Task<IResult> Done(Guid id, HttpContext http, DevicePages pages) => pages.DoneAsync(http, id);
}

/// <summary>The pages behind <see cref="DeviceEndpoint"/>.</summary>
public sealed class DevicePages(EventLog log, Lookups lookups, UserCodes codes, UserCodeLimits limits, AuthorizationFlow flow, BrowserSession browser, SignInHandling signIn,
    PersonalData personal, Causes causes, PageFrame pages)
{
    private const string Entry = "/device";

    public async Task<IResult> AskAsync(HttpContext http) => await browser.FindAsync(http) is { } session
        ? await PageAsync(http, session, Prefilled(http), null)
        : Results.Extensions.SeeOther("/device/signin" + QueryOf(http));

    public Task<IResult> AskWhoAsync(HttpContext http) => signIn.PageAsync(http, null, null, null, false, null, "/device/signin" + QueryOf(http));

    public Task<IResult> SignInAsync(HttpContext http) => signIn.SubmitAsync(http, null, Entry + QueryOf(http), "/device/signin" + QueryOf(http));

    public async Task<IResult> EnterAsync(HttpContext http)
    {
        if (await pages.RefuseForgedAsync(http) is { } forged) return forged;
        if (await browser.FindAsync(http) is not { } session) return Results.Extensions.SeeOther("/device/signin");
        var typed = (await Parameters.OfFormAsync(http.Request, http.RequestAborted))?["user_code"];
        if (limits.Wait(session.Subject, http.Connection.RemoteIpAddress) is { } wait)
        {
            http.Response.Headers.RetryAfter = Math.Ceiling(wait.TotalSeconds).ToString(CultureInfo.InvariantCulture);
            return await PageAsync(http, session, typed, UserCodeModel.Throttled, StatusCodes.Status429TooManyRequests);
        }

        return UserCode.Read(typed) is { } letters && await TakeUpAsync(http, session, letters) is { } id
            ? Results.Extensions.SeeOther($"/authorize/{id:N}")
            : await PageAsync(http, session, typed, UserCodeModel.NotActive, StatusCodes.Status400BadRequest);
    }

    /// <summary>What came of it, for the browser that answered.</summary>
    public async Task<IResult> DoneAsync(HttpContext http, Guid id)
    {
        var (open, instead) = await flow.FindAsync(http, id);
        if (open is null) return instead!;
        return open.Authorization switch
        {
            { Device: not null, Code: not null } => Answered(open, allowed: true),
            { Device: not null, Error: not null } => Answered(open, allowed: false),
            { Device: not null, Answered: true } => flow.Respond(http, open, new NextStep.TimedOut()),
            _ => await flow.ContinueAsync(http, open),
        };
    }

    private IResult Answered(OpenRequest open, bool allowed) =>
        PageFrame.Page<DeviceAnsweredPage>(new DeviceAnsweredModel(pages.Site, pages.App(open.Client, ""), allowed, pages.At("/account/apps")));

    /// <summary>The request that waits under this code, now this browser's; null when there is none for it.</summary>
    private async Task<Guid?> TakeUpAsync(HttpContext http, Session session, string letters)
    {
        var cancellation = http.RequestAborted;
        if (await codes.FindAsync(letters, cancellation) is not { } id || (await log.Read([id], cancellation)).Authorization(id) is not { } waiting
            || await lookups.ClientAsync(waiting.Request.Client, cancellation) is not { } client) return null;
        var catalogue = await lookups.CatalogueAsync(cancellation);
        var mark = await personal.BrowserHashAsync(browser.Mark(http), cancellation);
        var typed = await personal.SealAsync(session.Subject, letters, cancellation);
        var decision = await log.Commit(await causes.Of(http, Cause.Person(session.Subject), client.ClientId, session.Id, session.Subject), [id],
            (streams, now) => EnterUserCode.Decide(streams.Authorization(id), new(streams.Client(client.Id)!, mark, typed, catalogue), now), cancellation, reliesOn: [client.Id]);
        return decision is Accepted<Guid> ? id : null;
    }

    private async Task<IResult> PageAsync(HttpContext http, Session session, string? typed, string? error, int status = StatusCodes.Status200OK) => PageFrame.Page<UserCodePage>(
        new UserCodeModel(pages.Site, pages.Field(http), pages.At(Entry), await signIn.NameOf(session.Subject, http.RequestAborted), pages.At("/logout/confirm"), typed, error), status);

    /// <summary>The code of <c>verification_uri_complete</c>, if it is one; anything else in the address counts for nothing.</summary>
    private static string? Prefilled(HttpContext http) => UserCode.Read(Parameters.OfQuery(http.Request)["user_code"]) is { } letters ? UserCode.Show(letters) : null;

    private static string QueryOf(HttpContext http) => Prefilled(http) is { } code ? $"?user_code={code}" : "";
}

/// <summary>Tells a person about the device that asks: its code, since when, and from where.</summary>
public sealed class DeviceOrigins(IDocumentStore store, PersonalData personal, TimeProvider clock)
{
    /// <summary>Null when no device asks, or when nobody has typed its code.</summary>
    public async Task<DeviceModel?> OfAsync(HttpContext http, OpenRequest open)
    {
        if (open.Authorization.Device is not { UserCode: { } typed } || await personal.OpenAsync(typed, http.RequestAborted) is not { } letters) return null;
        await using var session = store.QuerySession();
        var asked = (await session.Events.FetchStreamAsync(open.Authorization.Id, version: 1, token: http.RequestAborted))[0];
        var origin = asked.Text(EventMetadata.Origin) is { } text && await personal.OpenAsync(new SealedText(text), http.RequestAborted) is { } json
            ? JsonSerializer.Deserialize(json, ApiJson.Default.Origin)
            : null;
        return new DeviceModel(UserCode.Show(letters), DisplayTime.Ago(open.Authorization.RequestedAt, clock.GetUtcNow()), origin?.Address,
            http.Connection.RemoteIpAddress is { } here && IPAddress.TryParse(origin?.Address, out var there) && PersonalData.Network(here) != PersonalData.Network(there));
    }
}
