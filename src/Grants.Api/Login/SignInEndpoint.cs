using Grants.Api.Authorize;
using Grants.Api.Http;
using Grants.Api.Log;
using Grants.Api.Pages;
using Grants.Domain.Authorizations;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Wolverine.Http;

namespace Grants.Api.Login;

/// <summary>Signing in: for an app's request (<c>/signin/{request}</c>) or for the person's own pages (<c>/signin</c>).</summary>
public static class SignInEndpoint
{
    /// <summary>Where a person lands who signs in without an app. The only other place is a request of this server's own (R5).</summary>
    private const string Home = "/account/apps";

    [WolverineGet("/signin")]
    public static IResult Get(HttpContext http, PageFrame pages) =>
        PageFrame.Page<SignInPage>(new SignInModel(pages.Site, pages.Field(http), pages.At("/signin"), null, null, false, null, false, null));

    [WolverinePost("/signin")]
    public static Task<IResult> Post(HttpContext http, SignInHandling signIn) => signIn.SubmitAsync(http, null, Home);

    [WolverineGet("/signin/{id}")]
    public static async Task<IResult> GetForRequest(Guid id, HttpContext http, AuthorizationFlow flow, BrowserSession browser, SignInHandling signIn)
    {
        var (open, instead) = await flow.FindAsync(http, id);
        if (open is null) return instead!;
        var session = await browser.FindAsync(http);
        var step = await flow.NextAsync(http, open, session);
        return step is NextStep.SignIn(var again) ? await signIn.PageAsync(http, open, again ? session : null, null, false, null) : flow.Respond(http, open, step);
    }

    [WolverinePost("/signin/{id}")]
    public static async Task<IResult> PostForRequest(Guid id, HttpContext http, AuthorizationFlow flow, SignInHandling signIn) =>
        await flow.FindAsync(http, id) is var (open, instead) && open is null ? instead! : await signIn.SubmitAsync(http, open, $"/authorize/{id:N}");

    /// <summary>"Not you?": leaves the session alone, shows an empty form; the next sign-in ends the other person's session.</summary>
    [WolverineGet("/signin/{id}/other")]
    public static async Task<IResult> GetForAnother(Guid id, HttpContext http, AuthorizationFlow flow, SignInHandling signIn) =>
        await flow.FindAsync(http, id) is var (open, instead) && open is null ? instead! : await signIn.PageAsync(http, open!, null, null, false, null);
}

/// <summary>The sign-in form: shows it, takes it, begins the session.</summary>
public sealed class SignInHandling(EventLog log, PasswordSignIn passwords, BrowserSession browser, Causes causes, PageFrame pages, Lookups lookups, Keys.PersonalData personal, TimeProvider clock)
{
    /// <param name="at">Where the form is posted to, when it is neither for an app nor for the person's own pages.</param>
    public async Task<IResult> PageAsync(HttpContext http, OpenRequest? open, Session? confirm, string? error, bool tooMany, string? typed, string? at = null)
    {
        if (open is not null) http.SetPolicy(open.Policy);
        var action = pages.At(at ?? (open is null ? "/signin" : $"/signin/{open.Authorization.Id:N}"));
        var username = typed ?? (confirm is not null ? await NameOf(confirm.Subject, http.RequestAborted) : open?.Private.LoginHint);
        var status = tooMany || error == SignInModel.Busy ? StatusCodes.Status429TooManyRequests : error is null ? StatusCodes.Status200OK : StatusCodes.Status400BadRequest;
        return PageFrame.Page<SignInPage>(new SignInModel(pages.Site, pages.Field(http), action, open is null ? null : pages.App(open.Client, open.ReturnsTo?.Value ?? ""),
            username, confirm is not null && error is null && !tooMany, error, tooMany, confirm is null ? null : $"{action}/other"), status);
    }

    public async Task<IResult> SubmitAsync(HttpContext http, OpenRequest? open, string then, string? at = null)
    {
        if (await pages.RefuseForgedAsync(http) is { } forged) return forged;
        var form = await Parameters.OfFormAsync(http.Request, http.RequestAborted);
        var username = form?["username"] ?? "";
        var password = form?["password"] ?? "";
        if (username.Length is 0 or > 256 || password.Length is 0 or > 256) return await PageAsync(http, open, null, SignInModel.WrongPassword, false, username, at);

        var client = open?.Client.ClientId;
        var cause = await causes.Of(http, Cause.System("sign-in"), client);
        var (outcome, found) = await passwords.TryAsync(username.Trim(), new Secret(password), cause, http.RequestAborted);
        if (outcome is SignInOutcome.TooManyTries or SignInOutcome.Busy) http.Response.Headers.RetryAfter = outcome == SignInOutcome.Busy ? "5" : "900";
        if (outcome == SignInOutcome.Busy) return await PageAsync(http, open, null, SignInModel.Busy, false, username, at);
        if (outcome != SignInOutcome.Proven || found is not { } subject)
            return await PageAsync(http, open, null, outcome == SignInOutcome.TooManyTries ? null : SignInModel.WrongPassword, outcome == SignInOutcome.TooManyTries, username, at);

        var current = BrowserSession.IdOf(http);
        var fresh = Guid.CreateVersion7(clock.GetUtcNow());
        IReadOnlyList<Guid> streams = [.. open is null ? (Guid[])[] : [open.Authorization.Id], .. current is { } c ? (Guid[])[c] : [], fresh];
        var decision = await log.Commit(await causes.Of(http, Cause.Person(subject), client, current, subject), streams,
            (read, now) => SignIn.Decide(current is { } id ? read.Session(id) : null, new(subject, fresh), now), http.RequestAborted);
        if (decision is not Accepted<Guid>(var session, _)) throw new InvalidOperationException("A proven sign-in is never refused.");

        await BrowserSession.OpenAsync(http, session, subject);
        browser.Mark(http);
        return Results.Extensions.SeeOther(then);
    }

    /// <summary>The user name, for its owner's own eyes.</summary>
    public async Task<string> NameOf(SubjectId subject, CancellationToken cancellation) =>
        await lookups.SubjectAsync(subject, cancellation) is { } person ? await personal.OpenAsync(person.Username, cancellation) ?? "" : "";
}
