using System.Text;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Api.Http;

/// <summary>Who a client proved to be.</summary>
public abstract record ClientAuthenticationResult
{
    private ClientAuthenticationResult() { }

    public sealed record Authenticated(Client Client) : ClientAuthenticationResult;

    public sealed record Failed(OAuthErrorResult Result) : ClientAuthenticationResult;
}

/// <summary>
/// Client authentication: RFC 6749 §2.3, RFC 7523 §2.2, one code path for every endpoint that wants it. Exactly one method, and only
/// the one the client is registered with. Unknown clients and wrong secrets look alike and cost alike.
/// </summary>
public sealed class ClientAuthentication(Lookups lookups, ClientSecretLimits limits, ClientAssertions assertions, Settings settings)
{
    private const string Realm = "Basic realm=\"grants\"";
    private static readonly string[] NeverInQuery = ["client_id", "client_secret", "client_assertion", "client_assertion_type", "code", "code_verifier", "device_code", "refresh_token", "token", "grant_type", "subject_token", "actor_token", "assertion"];
    private static readonly SecretHash Nobody = SecretHash.Of("none", new Secret("nobody's secret"));

    /// <param name="secretNeeded">Naming oneself isn't enough: whoever shows no secret and no assertion is refused like one who shows a wrong one.</param>
    public async Task<ClientAuthenticationResult> AuthenticateAsync(HttpRequest request, Parameters form, CancellationToken cancellation, bool secretNeeded = false)
    {
        if (NeverInQuery.Any(request.Query.ContainsKey)) return Failed(ErrorCode.InvalidRequest, "Parameters belong in the body, never in the address.");
        if (form.Fault is { } fault) return new ClientAuthenticationResult.Failed(new OAuthErrorResult(fault));

        if (request.Headers.Authorization.Count > 1) return Failed(ErrorCode.InvalidRequest, "More than one Authorization header was sent.");
        var header = request.Headers.Authorization.ToString();
        var asserts = form["client_assertion"] is not null || form["client_assertion_type"] is not null;
        if (((bool[])[header.Length > 0, form["client_secret"] is not null, asserts]).Count(used => used) > 1)
            return Failed(ErrorCode.InvalidRequest, "More than one way of client authentication was used.");
        if (asserts) return await CheckAssertion(request, form, cancellation);
        if (header.Length > 0)
        {
            if (!TryReadBasic(header, out var id, out var secret)) return Unauthorized(usedHeader: true);
            if (form["client_id"] is { } other && other != id.Value) return Failed(ErrorCode.InvalidRequest, "client_id is not the client that authenticated.");
            return await Check(request, id, secret, ClientAuthMethod.Basic, cancellation);
        }

        if (form["client_id"] is not { } clientId || (secretNeeded && form["client_secret"] is null)) return Unauthorized(usedHeader: false);
        return form["client_secret"] is { } posted
            ? await Check(request, new ClientId(clientId), new Secret(posted), ClientAuthMethod.Post, cancellation)
            : await Check(request, new ClientId(clientId), null, ClientAuthMethod.None, cancellation);
    }

    private async Task<ClientAuthenticationResult> Check(HttpRequest request, ClientId id, Secret? secret, string method, CancellationToken cancellation)
    {
        var from = request.HttpContext.Connection.RemoteIpAddress;
        if (!limits.Admits(id, from)) return Limited(request);
        var client = await lookups.ClientAsync(id, cancellation);
        // Every path hashes and compares at least once, so that time tells nothing about whether the client exists.
        var proven = secret is null
            ? client is { Metadata.IsConfidential: false }
            : (client is { Secrets.Count: > 0 } ? client.Secrets : [Nobody]).Aggregate(false, (found, hash) => hash.IsOf(secret) | found);
        if (proven && client is { IsActive: true } && client.Metadata.TokenEndpointAuthMethod == method) return new ClientAuthenticationResult.Authenticated(client);
        limits.Failed(id, from);
        return Unauthorized(method == ClientAuthMethod.Basic);
    }

    /// <summary>RFC 7521 §4.2. <c>client_id</c> may be sent besides, but only the one that the assertion is from.</summary>
    private async Task<ClientAuthenticationResult> CheckAssertion(HttpRequest request, Parameters form, CancellationToken cancellation)
    {
        if (form["client_assertion_type"] != ClientAssertion.Kind || ClientAssertion.Parse(form["client_assertion"]) is not { } assertion
            || (form["client_id"] is { } named && named != assertion.Client.Value)) return Unauthorized(usedHeader: false);
        var from = request.HttpContext.Connection.RemoteIpAddress;
        if (!limits.Admits(assertion.Client, from)) return Limited(request);
        var client = await lookups.ClientAsync(assertion.Client, cancellation);
        if (await assertions.ProvesAsync(client, assertion, settings.Url(request.Path), cancellation)) return new ClientAuthenticationResult.Authenticated(client!);
        limits.Failed(assertion.Client, from);
        return Unauthorized(usedHeader: false);
    }

    /// <summary>RFC 6749 §2.3.1 with its Appendix B: both parts are form-urlencoded before they are joined, so split first and decode then.</summary>
    internal static bool TryReadBasic(string header, out ClientId id, out Secret secret)
    {
        (id, secret) = (default, new Secret(""));
        if (!header.StartsWith("Basic ", StringComparison.OrdinalIgnoreCase)) return false;
        var bytes = new byte[header.Length];
        if (!Convert.TryFromBase64String(header["Basic ".Length..].Trim(), bytes, out var length)) return false;
        string pair;
        try
        {
            pair = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes, 0, length);
        }
        catch (DecoderFallbackException)
        {
            return false;
        }

        var colon = pair.IndexOf(':', StringComparison.Ordinal);
        if (colon <= 0) return false;
        id = new ClientId(FormDecode(pair[..colon]));
        secret = new Secret(FormDecode(pair[(colon + 1)..]));
        return true;
    }

    private static string FormDecode(string text) => Uri.UnescapeDataString(text.Replace('+', ' '));

    private static ClientAuthenticationResult.Failed Failed(string code, string description) => new(new OAuthErrorResult(new OAuthError(code, description)));

    private static ClientAuthenticationResult.Failed Limited(HttpRequest request)
    {
        request.HttpContext.Response.Headers.RetryAfter = "60";
        return new(new OAuthErrorResult(new OAuthError(ErrorCode.TemporarilyUnavailable, "Too many failed attempts. Wait a minute."), StatusCodes.Status429TooManyRequests));
    }

    private static ClientAuthenticationResult.Failed Unauthorized(bool usedHeader) => new(new OAuthErrorResult(
        new OAuthError(ErrorCode.InvalidClient, "The client could not be authenticated."), StatusCodes.Status401Unauthorized, usedHeader ? Realm : null));
}
