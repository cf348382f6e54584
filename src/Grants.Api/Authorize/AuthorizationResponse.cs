using System.Security.Cryptography;
using Grants.Api.Http;
using Grants.Api.Pages;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.IdentityModel.Tokens;

namespace Grants.Api.Authorize;

/// <summary>Sends the answer to the app: RFC 6749 §4.1.2, OAuth 2.0 Form Post Response Mode, with <c>iss</c> always (RFC 9207).</summary>
public sealed class AuthorizationResponse(Settings settings, PageFrame pages)
{
    public IResult Code(HttpContext http, Client client, RedirectUri to, string mode, string? state, string code) =>
        Send(http, client, to, mode, [new("code", code), new("state", state), new("iss", settings.Issuer)]);

    public IResult Error(HttpContext http, Client client, RedirectUri to, string mode, string? state, OAuthError error) =>
        Send(http, client, to, mode, ErrorParameters(state, error));

    /// <summary>Where an error would go, for a page that a person has to pass first (RFC 9700 §4.11.2).</summary>
    public string ErrorAddress(RedirectUri to, string? state, OAuthError error) => Address(to, ErrorParameters(state, error), fragment: false);

    private List<KeyValuePair<string, string?>> ErrorParameters(string? state, OAuthError error) =>
        [new("error", error.Code), new("error_description", OAuthErrorResult.Printable(error.Description)), new("state", state), new("iss", settings.Issuer)];

    private IResult Send(HttpContext http, Client client, RedirectUri to, string mode, List<KeyValuePair<string, string?>> parameters)
    {
        OAuthErrorResult.NoStore(http.Response);
        if (mode != ResponseMode.FormPost)
        {
            http.Response.Headers.Location = Address(to, parameters, client.Metadata.AppendFragment);
            return Results.StatusCode(StatusCodes.Status303SeeOther);
        }

        var nonce = Base64UrlEncoder.Encode(RandomNumberGenerator.GetBytes(16));
        http.SetPolicy(new PagePolicy([SecurityHeaders.FormTarget(to.Value)], nonce));
        var fields = parameters.Where(field => field.Value is not null).Select(field => KeyValuePair.Create(field.Key, field.Value!)).ToList();
        return PageFrame.Page<FormPostPage>(new FormPostModel(pages.Site, pages.App(client, to.Value), to.Value, fields, nonce));
    }

    /// <summary>Adds to what the registered address already has; parameters are encoded, never joined as text.</summary>
    private static string Address(RedirectUri to, List<KeyValuePair<string, string?>> parameters, bool fragment) =>
        QueryHelpers.AddQueryString(to.Value, parameters.Where(parameter => parameter.Value is not null)) + (fragment ? "#_" : "");
}
