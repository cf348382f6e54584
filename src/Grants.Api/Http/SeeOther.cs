namespace Grants.Api.Http;

/// <summary>HTTP's answer after a form: go and GET this. Never 307 or 308, which would send a password on (RFC 9700 §4.12).</summary>
public static class SeeOtherExtensions
{
    /// <param name="address">One of ours begins with a slash and leaves the issuer's path out.</param>
    public static IResult SeeOther(this IResultExtensions _, string address) => new SeeOtherResult(address);

    private sealed class SeeOtherResult(string address) : IResult
    {
        public Task ExecuteAsync(HttpContext httpContext)
        {
            httpContext.Response.StatusCode = StatusCodes.Status303SeeOther;
            httpContext.Response.Headers.Location = address.StartsWith('/') ? httpContext.Request.PathBase + address : address;
            OAuthErrorResult.NoStore(httpContext.Response);
            return Task.CompletedTask;
        }
    }
}
