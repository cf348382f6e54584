using System.Security.Cryptography;
using Grants.Api.Http;
using Grants.Api.Pages;
using Grants.Api.Signing;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.IdentityModel.Tokens;

namespace Grants.Api.Authorize;

/// <summary>
/// Sends the answer to the app: RFC 6749 §4.1.2, OAuth 2.0 Form Post Response Mode, with <c>iss</c> always (RFC 9207); or all of it
/// in one signed JWT, <c>iss</c> inside: JARM.
/// </summary>
public sealed class AuthorizationResponse(Settings settings, PageFrame pages, TokenSigner signer)
{
    public IResult Code(HttpContext http, Client client, RedirectUri to, string mode, string? state, string code) =>
        Send(http, client, to, mode, [new("code", code), new("state", state)]);

    public IResult Error(HttpContext http, Client client, RedirectUri to, string mode, string? state, OAuthError error) =>
        Send(http, client, to, mode, ErrorParameters(state, error));

    /// <summary>Where an error would go, for a page that a person has to pass first (RFC 9700 §4.11.2). A link can't post a form: there the query serves.</summary>
    public async Task<string> ErrorAddressAsync(Client client, RedirectUri to, string mode, string? state, OAuthError error, CancellationToken cancellation) =>
        Address(to, mode, await EncodeAsync(client, mode, ErrorParameters(state, error), cancellation), appendFragment: false);

    private static List<KeyValuePair<string, string?>> ErrorParameters(string? state, OAuthError error) =>
        [new("error", error.Code), new("error_description", OAuthErrorResult.Printable(error.Description)), new("state", state)];

    private Answer Send(HttpContext http, Client client, RedirectUri to, string mode, List<KeyValuePair<string, string?>> parameters)
    {
        OAuthErrorResult.NoStore(http.Response);
        return new Answer(async () =>
        {
            var fields = await EncodeAsync(client, mode, parameters, http.RequestAborted);
            if (mode is not (ResponseMode.FormPost or ResponseMode.FormPostJwt))
            {
                http.Response.Headers.Location = Address(to, mode, fields, client.Metadata.AppendFragment);
                http.Response.StatusCode = StatusCodes.Status303SeeOther;
                return;
            }

            var nonce = Base64UrlEncoder.Encode(RandomNumberGenerator.GetBytes(16));
            http.SetPolicy(new PagePolicy([SecurityHeaders.FormTarget(to.Value)], nonce));
            await PageFrame.Page<FormPostPage>(new FormPostModel(pages.Site, pages.App(client, to.Value), to.Value, fields, nonce)).ExecuteAsync(http);
        });
    }

    /// <summary>The parameters as they travel. A signed response is one parameter, and nothing stands beside it (JARM §2.3).</summary>
    private async Task<List<KeyValuePair<string, string>>> EncodeAsync(Client client, string mode, List<KeyValuePair<string, string?>> parameters, CancellationToken cancellation)
    {
        var present = parameters.Where(parameter => parameter.Value is not null).Select(parameter => KeyValuePair.Create(parameter.Key, parameter.Value!)).ToList();
        return ResponseMode.IsSigned(mode)
            ? [new("response", await signer.SignResponseAsync(client, present, cancellation))]
            : [.. present, new("iss", settings.Issuer)];
    }

    /// <summary>Adds to what the registered address already has; parameters are encoded, never joined as text.</summary>
    private static string Address(RedirectUri to, string mode, List<KeyValuePair<string, string>> fields, bool appendFragment) => mode is ResponseMode.Fragment or ResponseMode.FragmentJwt
        ? $"{to.Value}#{string.Join('&', fields.Select(field => $"{field.Key}={Uri.EscapeDataString(field.Value)}"))}"
        : QueryHelpers.AddQueryString(to.Value, fields.Select(field => KeyValuePair.Create(field.Key, (string?)field.Value))) + (appendFragment ? "#_" : "");

    /// <summary>Written once it is the response's turn, since a signature may have to wait for its key.</summary>
    private sealed class Answer(Func<Task> write) : IResult
    {
        public Task ExecuteAsync(HttpContext httpContext) => write();
    }
}
