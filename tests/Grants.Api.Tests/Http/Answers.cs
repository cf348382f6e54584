using System.Net;
using System.Text.Json.Nodes;
using Grants.Api.Configuration;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;

namespace Grants.Api.Tests.Http;

/// <summary>One server for all test classes that neither move its clock nor change what it is set up with. They run one after the other.</summary>
[CollectionDefinition(Name)]
public sealed class FrontDoor : ICollectionFixture<AppFixture>
{
    public const string Name = "Front door";
}

/// <summary>What many tests of the front channel look at.</summary>
internal static class Answers
{
    /// <summary>A page of our own that leads nowhere: what a request gets whose client or redirect URI is not proven.</summary>
    public static void StaysHere(this Page page, HttpStatusCode status = HttpStatusCode.BadRequest)
    {
        Assert.Equal(status, page.Status);
        Assert.Null(page.Location);
        Assert.StartsWith("text/html", page.Header("Content-Type"), StringComparison.Ordinal);
        Assert.Contains("no-store", page.Header("Cache-Control"), StringComparison.Ordinal);
    }

    /// <summary>A redirect to the app with this error, the app's own state and our issuer, never with a code.</summary>
    public static void TellsTheApp(this Page page, string error, Asked asked)
    {
        Assert.Equal(HttpStatusCode.SeeOther, page.Status);
        Assert.StartsWith(asked.Client.RedirectUri, page.Location, StringComparison.Ordinal);
        Assert.Contains("no-store", page.Header("Cache-Control"), StringComparison.Ordinal);
        Assert.Equal(error, page.Answer["error"]);
        Assert.Equal(TestConfiguration.Issuer, page.Answer["iss"]);
        Assert.Equal(asked.State, page.Answer["state"]);
        Assert.False(page.Answer.ContainsKey("code"));
        Assert.All(page.Answer["error_description"], c => Assert.True(c is >= ' ' and <= '~' and not '"' and not '\\'));
    }

    public static bool IsAt(this Page page, string path) => page.Location is null && page.Address.AbsolutePath.StartsWith(path, StringComparison.Ordinal);

    /// <summary>The wire names of all events since a position.</summary>
    public static async Task<IReadOnlyList<string>> StoryAsync(this GrantsApp app, long position) =>
        [.. (await app.EventsAfterAsync(position)).Select(e => e.EventTypeName)];

    /// <param name="allow">An event that the test itself needs on its way.</param>
    public static async Task AppendsNothingAsync(this GrantsApp app, Func<Task> act, string? allow = null)
    {
        var before = await app.PositionAsync();
        await act();
        Assert.Equal([], (await app.StoryAsync(before)).Where(name => name != allow));
    }

    /// <summary>Declares further clients, scopes or people, as <c>grants config apply</c> does.</summary>
    public static async Task DeclareAsync(this GrantsApp app, JsonObject configuration)
    {
        var file = Path.Combine(TestConfiguration.DataFolder, $"declared-{Journey.Random(6)}.json");
        await File.WriteAllTextAsync(file, configuration.ToJsonString());
        await app.Services.GetRequiredService<ConfigurationApplier>().ApplyAsync(DeclaredConfiguration.Read(file), "test", default);
    }

    public static Task DeclareClientAsync(this GrantsApp app, JsonObject client) => app.DeclareAsync(new JsonObject { ["clients"] = new JsonArray(client) });

    /// <summary>A visitor who is signed in, without any app.</summary>
    public static async Task<Visitor> SignedInAsync(this GrantsApp app, string username = TestConfiguration.Sam)
    {
        var visitor = app.NewVisitor();
        var page = await visitor.SignInAsync(await visitor.GetAsync("/signin"), username, Journey.PasswordOf(username));
        Assert.True(page.IsAt("/account/apps"), $"{page.Status} {page.Heading}");
        return visitor;
    }

    /// <summary>Waits until something that happens beside the requests has happened.</summary>
    public static async Task UntilAsync(Func<Task<bool>> happened)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        using var pause = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        while (!await happened()) await pause.WaitForNextTickAsync(patience.Token);
    }
}
