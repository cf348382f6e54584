using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Grants.Api.Tests.Http;

/// <summary>Somebody else's site on loopback, which answers as the test says and counts how often it was asked.</summary>
internal sealed class KeySite : IAsyncDisposable
{
    private readonly WebApplication _app;
    private int _asked;

    private KeySite(WebApplication app) => _app = app;

    /// <summary>How it answers; an empty 404 until somebody says.</summary>
    public Func<HttpContext, Task> Answer { get; set; } = http =>
    {
        http.Response.StatusCode = 404;
        return Task.CompletedTask;
    };

    public int Asked => _asked;

    public string Origin { get; private set; } = "";

    public static async Task<KeySite> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var site = new KeySite(builder.Build());
        site._app.Run(http =>
        {
            Interlocked.Increment(ref site._asked);
            return site.Answer(http);
        });
        await site._app.StartAsync();
        site.Origin = site._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
        return site;
    }

    /// <summary>Answers with a document from now on.</summary>
    public void Says(string body, string type = "application/jwk-set+json", string? cacheControl = null, int status = 200) => Answer = http =>
    {
        http.Response.StatusCode = status;
        http.Response.ContentType = type;
        if (cacheControl is not null) http.Response.Headers.CacheControl = cacheControl;
        return http.Response.WriteAsync(body);
    };

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();
}
