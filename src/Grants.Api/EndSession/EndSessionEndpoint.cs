using System.Security.Cryptography;
using System.Text.Json;
using Grants.Api.Http;
using Grants.Api.Log;
using Grants.Api.Login;
using Grants.Api.Pages;
using Grants.Api.Signing;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.WebUtilities;
using Wolverine.Http;

namespace Grants.Api.EndSession;

/// <summary>The end_session_endpoint: OpenID Connect RP-Initiated Logout 1.0 §2.</summary>
public static class EndSessionEndpoint
{
    [WolverineGet("/logout")]
    public static Task<IResult> Get(HttpContext http, SigningOut signingOut) => signingOut.RequestAsync(http, Parameters.OfQuery(http.Request));

    [WolverinePost("/logout")]
    public static async Task<IResult> Post(HttpContext http, SigningOut signingOut) =>
        await signingOut.RequestAsync(http, await Parameters.OfFormAsync(http.Request, http.RequestAborted) ?? Parameters.OfQuery(http.Request));

    /// <summary>The answer to "Sign out?", and the button on every page of the person's own.</summary>
    [WolverinePost("/logout/confirm")]
    public static Task<IResult> Confirm(HttpContext http, SigningOut signingOut) => signingOut.ConfirmAsync(http);

    [WolverineGet("/signed-out")]
    public static IResult SignedOut(HttpContext http, SigningOut signingOut) => signingOut.DonePage(null, null);
}

/// <summary>Ends the browser's session, at once when its own id_token asks, else when the person confirms.</summary>
public sealed class SigningOut(EventLog log, Lookups lookups, BrowserSession browser, Causes causes, TokenSigner signer, PageFrame pages, IDataProtectionProvider protection)
{
    private const string Field = "context";
    private readonly IDataProtector _protector = protection.CreateProtector("Grants.EndSession");

    /// <summary>Where to go afterwards; proven by an id_token_hint and a registered address, or nowhere (LO-2).</summary>
    private sealed record Return(string ClientId, string Address);

    public async Task<IResult> RequestAsync(HttpContext http, Parameters parameters)
    {
        if (parameters.Fault is not null)
            return pages.Error(http, "This link doesn't work", "An app sent you here with a request we can't accept. You are still signed in.", ErrorCode.InvalidRequest, "A parameter was sent more than once.");

        var hint = parameters["id_token_hint"] is { } token ? await signer.ReadIdTokenHintAsync(token, http.RequestAborted) : null;
        if (hint is not null && parameters["client_id"] is { } clientId && clientId != hint.Client.Value) hint = null;
        var client = hint is null ? null : await lookups.ClientAsync(hint.Client, http.RequestAborted);
        var (then, refused) = WhereTo(client, parameters);

        var session = await browser.FindAsync(http);
        if (session is not null && (hint is null || hint.Session != session.Id || hint.Subject != session.Subject))
        {
            // No proof that the request comes from an app of this session: the person decides (a mere link must not sign anybody out).
            var fields = then is null ? [] : new Dictionary<string, string> { [Field] = _protector.Protect(JsonSerializer.Serialize(then)) };
            http.SetPolicy(new PagePolicy(then is null ? [] : [SecurityHeaders.FormTarget(then.Address)]));
            return PageFrame.Page<SignOutPage>(new SignOutModel(pages.Site, pages.Field(http), pages.At("/logout/confirm"), fields, pages.At("/account/apps")));
        }

        if (session is not null) await EndAsync(http, session, hint!.Client, Cause.ByClient(hint.Client));
        await BrowserSession.CloseAsync(http);
        if (refused)
            return pages.Error(http, "You're signed out", "The app that sent you here asked us to send you to an address that it hasn't registered, so we keep you here.",
                ErrorCode.InvalidRequest, "post_logout_redirect_uri is not registered for this client, or no id_token_hint proves the client.", parameters["post_logout_redirect_uri"]);
        return then is null ? Results.Extensions.SeeOther("/signed-out") : Results.Extensions.SeeOther(then.Address);
    }

    public async Task<IResult> ConfirmAsync(HttpContext http)
    {
        if (await pages.RefuseForgedAsync(http) is { } forged) return forged;
        var form = await Parameters.OfFormAsync(http.Request, http.RequestAborted);
        var then = ReadReturn(form?[Field]);
        if (await browser.FindAsync(http) is { } session) await EndAsync(http, session, null, Cause.Person(session.Subject));
        await BrowserSession.CloseAsync(http);
        if (then is null) return Results.Extensions.SeeOther("/signed-out");
        return DonePage(await lookups.ClientAsync(new ClientId(then.ClientId), http.RequestAborted), then.Address);
    }

    /// <summary>What this server sealed into the form; null when it was nothing, or something of the sender's own.</summary>
    private Return? ReadReturn(string? context)
    {
        if (context is null) return null;
        try
        {
            return JsonSerializer.Deserialize<Return>(_protector.Unprotect(context));
        }
        catch (CryptographicException)
        {
            return null;
        }
    }

    public IResult DonePage(Client? client, string? address) =>
        PageFrame.Page<SignedOutPage>(new SignedOutModel(pages.Site, client is null ? null : pages.App(client), address, pages.At("/signin"), pages.At("/account/apps")));

    private async Task EndAsync(HttpContext http, Session session, ClientId? client, string actor) =>
        await log.Commit(await causes.Of(http, actor, client, session.Id, session.Subject), [session.Id],
            (streams, now) => Domain.Sessions.EndSession.Decide(streams.Session(session.Id), client is null ? EndedBy.Person : EndedBy.Client, "signed out", now), http.RequestAborted);

    private static (Return? Then, bool Refused) WhereTo(Client? client, Parameters parameters)
    {
        if (parameters["post_logout_redirect_uri"] is not { } address) return (null, false);
        if (client is null || !client.Metadata.PostLogoutRedirectUris.Contains(address)) return (null, true);
        return (new Return(client.ClientId.Value, parameters["state"] is { } state ? QueryHelpers.AddQueryString(address, "state", state) : address), false);
    }
}
