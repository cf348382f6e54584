using System.Text.Json.Serialization;
using Grants.Api.Dpop;
using Grants.Domain.Protocol;

namespace Grants.Api.Http;

/// <summary>An OAuth error as JSON: RFC 6749 §5.2.</summary>
/// <param name="Status">400 unless a specification says otherwise.</param>
/// <param name="Challenge">The <c>WWW-Authenticate</c> header, required with 401.</param>
public sealed record OAuthErrorResult(OAuthError Error, int Status = StatusCodes.Status400BadRequest, string? Challenge = null) : IResult
{
    public Task ExecuteAsync(HttpContext httpContext)
    {
        httpContext.Response.StatusCode = Status;
        NoStore(httpContext.Response);
        if (Challenge is not null) httpContext.Response.Headers.WWWAuthenticate = Challenge;
        return httpContext.Response.WriteAsJsonAsync(new Body(Error.Code, Printable(Error.Description)), httpContext.RequestAborted);
    }

    /// <summary>RFC 6749 §5.1 names both headers.</summary>
    internal static void NoStore(HttpResponse response)
    {
        response.Headers.CacheControl = "no-store";
        response.Headers.Pragma = "no-cache";
    }

    /// <summary>RFC 6749 §5.2: %x20-21 / %x23-5B / %x5D-7E.</summary>
    internal static string Printable(string description) =>
        string.Concat(description.Select(c => c is >= ' ' and <= '~' and not '"' and not '\\' ? c : '?'));

    internal sealed record Body([property: JsonPropertyName("error")] string Error, [property: JsonPropertyName("error_description")] string Description);
}

/// <summary>Bearer challenges: RFC 6750 §3.</summary>
public static class BearerChallenge
{
    /// <summary>No credentials were sent, so there is nothing to say about them (RFC 6750 §3.1).</summary>
    public const string Missing = "Bearer realm=\"grants\"";

    /// <param name="more">Further parameters, such as <c>scope</c>.</param>
    public static string For(string error, string description, params IEnumerable<(string Name, string Value)> more) =>
        $"{Missing}, {Parameters([("error", error), ("error_description", OAuthErrorResult.Printable(description)), .. more])}";

    /// <summary>RFC 9110 §11.2, each value as a quoted string.</summary>
    internal static string Parameters(IEnumerable<(string Name, string Value)> parameters) => string.Join(", ", parameters.Select(parameter => $"{parameter.Name}=\"{parameter.Value}\""));
}

/// <summary>DPoP challenges: RFC 9449 §7.1.</summary>
public static class DpopChallenge
{
    /// <summary>Says that proofs are taken, and by which algorithms they may be signed.</summary>
    public static readonly string Missing = $"DPoP algs=\"{DpopProof.Algorithms}\"";

    /// <inheritdoc cref="BearerChallenge.For"/>
    public static string For(string error, string description, params IEnumerable<(string Name, string Value)> more) =>
        $"{Missing}, {BearerChallenge.Parameters([("error", error), ("error_description", OAuthErrorResult.Printable(description)), .. more])}";
}
