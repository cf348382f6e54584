using Grants.Api.Pages;
using Grants.Domain.Clients;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Grants.Api.Http;

/// <summary>What every page needs: who we are, the antiforgery field, and the error page.</summary>
public sealed class PageFrame(Settings settings, IAntiforgery antiforgery, TimeProvider clock)
{
    public SiteModel Site => new(settings.OrganisationName, settings.IssuerUri.Authority, null, null, settings.BasePath);

    /// <summary>An address of ours as a page links to it: under the issuer's path.</summary>
    public string At(string path) => settings.BasePath + path;

    /// <summary>The hidden field of a form. It is bound to the browser session and to the request in the address (R15).</summary>
    public Pages.Antiforgery Field(HttpContext http)
    {
        var tokens = antiforgery.GetAndStoreTokens(http);
        return new Pages.Antiforgery(tokens.FormFieldName, tokens.RequestToken!);
    }

    /// <summary>Null when the form came from a page of ours, for this very request; else the page that says so.</summary>
    public async Task<IResult?> RefuseForgedAsync(HttpContext http) =>
        // Read here first: antiforgery throws at a form that can't be read, and that is the sender's fault.
        await Parameters.OfFormAsync(http.Request, http.RequestAborted) is not null && await antiforgery.IsRequestValidAsync(http)
            ? null
            : Error(http, "This page is out of date", "It was opened before you signed in, or in another window. Go back, load the page again and repeat what you did. Nothing has changed.",
                "invalid_request", "The form's antiforgery token is missing or belongs to another session or request.");

    /// <summary>An error that stays on our own pages: HTTP 400 and no redirect (RFC 6749 §4.1.2.1).</summary>
    public IResult Error(HttpContext http, string title, string message, string? code, string? reason, string? received = null, int status = StatusCodes.Status400BadRequest,
        string? startAgainUrl = null, string? startAgainText = null)
    {
        var model = new ErrorModel(Site, title, message, code, reason, received is { Length: > 200 } ? received[..200] : received, Causes.RequestId(http), clock.GetUtcNow(), startAgainUrl, startAgainText);
        return Page<ErrorPage>(model, status);
    }

    public static IResult Page<TPage>(object model, int status = StatusCodes.Status200OK) where TPage : Microsoft.AspNetCore.Components.IComponent =>
        new RazorComponentResult<TPage>(new Dictionary<string, object?> { ["Model"] = model }) { StatusCode = status };

    /// <summary>How an app is shown: the name as it says it, the host as its redirect proves it.</summary>
    public AppModel App(Client client, string? redirectUri = null)
    {
        var redirect = redirectUri ?? (client.Metadata.RedirectUris.Count > 0 ? client.Metadata.RedirectUris[0] : "");
        var badge = client.Metadata switch
        {
            { OwnApp: true } => AppBadge.OwnApp,
            { IsNative: true } => AppBadge.RunsOnYourDevice,
            { Checked: true } => AppBadge.Checked,
            _ => AppBadge.NotChecked,
        };
        var age = clock.GetUtcNow() - client.RegisteredAt;
        var firstSeen = age < TimeSpan.FromDays(1) ? "New here: first seen today" : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"First seen here {client.RegisteredAt:d MMM yyyy}");
        return new AppModel(client.Metadata.ClientName, client.Metadata.ProvenHost(redirect),
            Uri.TryCreate(client.Metadata.ClientUri, UriKind.Absolute, out var home) ? home : null, badge, firstSeen, null, age < TimeSpan.FromDays(1));
    }
}
