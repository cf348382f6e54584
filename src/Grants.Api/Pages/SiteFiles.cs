using System.Security.Cryptography;
using Wolverine.Http;

namespace Grants.Api.Pages;

/// <summary>The stylesheet and the icon, from the program itself. The stylesheet's address holds its hash, so it may be cached for long.</summary>
public static class SiteFiles
{
    private static readonly byte[] Stylesheet = Read("grants.css");
    private static readonly byte[] Icon = Read("icon.svg");

    /// <summary>Without the issuer's path.</summary>
    internal static string StylesheetAddress { get; } = $"/grants.css?v={Convert.ToHexStringLower(SHA256.HashData(Stylesheet))[..8]}";

    [WolverineGet("/grants.css")]
    public static IResult GetStylesheet(HttpContext http) => Send(http, Stylesheet, "text/css; charset=utf-8");

    [WolverineGet("/icon.svg")]
    public static IResult GetIcon(HttpContext http) => Send(http, Icon, "image/svg+xml");

    private static IResult Send(HttpContext http, byte[] content, string type)
    {
        http.Response.Headers.CacheControl = "public, max-age=604800, immutable";
        return Results.Bytes(content, type);
    }

    private static byte[] Read(string name)
    {
        using var stream = typeof(SiteFiles).Assembly.GetManifestResourceStream(name) ?? throw new InvalidOperationException($"{name} is not in the program.");
        using var memory = new MemoryStream();
        stream.CopyTo(memory);
        return memory.ToArray();
    }
}
