using System.Net.Sockets;
using Grants.Api.Log;
using Grants.Domain.Protocol;
using Microsoft.AspNetCore.Diagnostics;
using Npgsql;

namespace Grants.Api.Http;

/// <summary>The one place where an exception becomes an answer, and the check of the Host header.</summary>
public static class Errors
{
    private static readonly string[] Pages = ["/authorize", "/signin", "/consent", "/device", "/account", "/logout", "/signed-out"];

    private static readonly Action<ILogger, string, string, string?, Exception?> Failed = LoggerMessage.Define<string, string, string?>(LogLevel.Error, new EventId(1, "RequestFailed"),
        "Request {Reference} failed: {Types}\n{Where}");

    /// <summary>
    /// Bugs become <c>server_error</c>, an absent database and lost races <c>temporarily_unavailable</c> with 503. Nothing about the
    /// cause goes out; the reference finds it in the log.
    /// </summary>
    public static void UseGrantsErrors(this WebApplication app)
    {
        app.UseExceptionHandler(branch => branch.Run(http => AnswerFailureAsync(app, http)));

        // Whoever typed an address or followed a stale link reads a page; a program gets the bare status.
        app.UseStatusCodePages(context => context.HttpContext is var http && http.Response.StatusCode is StatusCodes.Status404NotFound or StatusCodes.Status405MethodNotAllowed
            && http.Request.Headers.Accept.ToString().Contains("text/html", StringComparison.OrdinalIgnoreCase)
                ? app.Services.GetRequiredService<PageFrame>().Error(http, "There is nothing here", "No page of ours has this address. Check it, or start from your account.", null, null,
                    status: http.Response.StatusCode, startAgainUrl: $"{app.Services.GetRequiredService<Settings>().BasePath}/", startAgainText: "Your account").ExecuteAsync(http)
                : Task.CompletedTask);
    }

    private static async Task AnswerFailureAsync(WebApplication app, HttpContext http)
    {
        var failure = http.Features.Get<IExceptionHandlerFeature>()?.Error;
        if (failure is BadHttpRequestException bad)
        {
            await new OAuthErrorResult(new OAuthError(ErrorCode.InvalidRequest, "The request can't be read."), bad.StatusCode).ExecuteAsync(http);
            return;
        }

        var busy = failure is TooBusyException || IsOutage(failure);
        var status = busy ? StatusCodes.Status503ServiceUnavailable : StatusCodes.Status500InternalServerError;
        if (busy) http.Response.Headers.RetryAfter = "5";
        if (IsLostConnection(failure))
        {
            // A database that was killed took every connection with it: without this, each idle one would fail one more request.
            app.Services.GetRequiredService<NpgsqlDataSource>().Clear();
            app.Services.GetRequiredService<LogDataSource>().Value.Clear();
        }

        // Types and places, not messages: those of a failed query quote its parameters (L6).
        if (failure is not null) Failed(app.Logger, Causes.RequestId(http), TypesOf(failure), failure.StackTrace, null);
        var page = http.Request.Path == "/" || Array.Exists(Pages, path => http.Request.Path.StartsWithSegments(path));
        var result = page
            ? app.Services.GetRequiredService<PageFrame>().Error(http, "We can't sign you in right now", "Your access hasn't changed. Try again in a moment.", busy ? ErrorCode.TemporarilyUnavailable : ErrorCode.ServerError, "See the server's log under this reference.", status: status)
            : new OAuthErrorResult(new OAuthError(busy ? ErrorCode.TemporarilyUnavailable : ErrorCode.ServerError, busy ? "Try again in a moment." : "The server failed."), status);
        await result.ExecuteAsync(http);
    }

    /// <summary>
    /// A body with two lengths is read one way here and perhaps another way by a proxy in front (RFC 9112 §6.3). Kestrel goes by
    /// Transfer-Encoding and puts the Content-Length aside under a name of its own, which tells that there was one.
    /// </summary>
    public static void UseOneBodyLengthOnly(this WebApplication app) => app.Use((http, next) =>
        http.Request.Headers.ContainsKey("Transfer-Encoding") && http.Request.Headers.ContainsKey("X-Content-Length")
            ? new OAuthErrorResult(new OAuthError(ErrorCode.InvalidRequest, "The request has both Content-Length and Transfer-Encoding.")).ExecuteAsync(http)
            : next(http));

    /// <summary>Requests for another host than the issuer's are not ours (a forged Host must not reach anything). Loopback names serve health checks and developers.</summary>
    public static void UseKnownHostsOnly(this WebApplication app, Settings settings) => app.Use((http, next) =>
    {
        // The scheme is the issuer's, whatever the hop before us speaks: TLS ends at a proxy as a rule.
        http.Request.Scheme = settings.IssuerUri.Scheme;
        var host = http.Request.Host.Host;
        if (string.Equals(host, settings.IssuerUri.Host, StringComparison.OrdinalIgnoreCase) || http.Request.Path.StartsWithSegments("/healthz") || http.Request.Path.StartsWithSegments("/readyz")) return next(http);
        http.Response.StatusCode = StatusCodes.Status400BadRequest;
        return http.Response.WriteAsync(settings.Development && host is "127.0.0.1" or "[::1]" or "localhost"
            ? $"You opened {host} but the issuer is {settings.IssuerUri.Host}. Use {settings.Issuer}."
            : "Unknown host.");
    });

    private static string TypesOf(Exception failure) => failure.GetType().Name
        + (failure is PostgresException postgres ? $" {postgres.SqlState}" : "") + (failure.InnerException is { } inner ? $" < {TypesOf(inner)}" : "");

    private static bool IsLostConnection(Exception? failure) => failure switch
    {
        null or TooBusyException => false,
        PostgresException postgres => postgres.SqlState.StartsWith("57P", StringComparison.Ordinal),
        NpgsqlException or SocketException => true,
        _ => IsLostConnection(failure.InnerException),
    };

    private static bool IsOutage(Exception? failure) => failure switch
    {
        null => false,
        PostgresException postgres => postgres.SqlState.StartsWith("08", StringComparison.Ordinal) || postgres.SqlState.StartsWith("57", StringComparison.Ordinal) || postgres.SqlState.StartsWith("53", StringComparison.Ordinal),
        NpgsqlException or SocketException or TimeoutException => true,
        _ => IsOutage(failure.InnerException),
    };
}
