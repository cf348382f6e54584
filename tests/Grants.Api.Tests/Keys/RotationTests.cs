using System.Net;
using System.Text.Json.Nodes;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Api.Signing;
using Grants.Api.Tests.Log;
using Grants.Domain.Clients;
using Grants.Domain.Keys;
using Grants.Domain.Protocol;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;

namespace Grants.Api.Tests.Keys;

/// <summary>Signing keys change under running clients. These tests move the clock.</summary>
public sealed class RotationTests(TwoNodes nodes) : IClassFixture<TwoNodes>
{
    private static readonly Cause Test = Sample.ByTest;

    [Fact, Trait("Attack", "P8"), Trait("Rule", "MD-3"), Trait("Attack", "E15")]
    public async Task Over_a_whole_rotation_no_valid_token_fails_and_no_key_signs_that_was_not_published_long_before()
    {
        var published = new Dictionary<string, DateTimeOffset>();
        await SeeAsync();
        for (var round = 0; round < 3; round++)
        {
            // Half of the keys' time, then a moment before the rotation, then past it: each on both nodes.
            foreach (var step in (TimeSpan[])[TimeSpan.FromDays(45), TimeSpan.FromDays(45) - TimeSpan.FromMinutes(2), TimeSpan.FromMinutes(3)])
            {
                nodes.First.Clock.Advance(step - TimeSpan.FromSeconds(30));
                var (before, _, _, _) = await nodes.First.ConnectAsync(TestClient.Tally);
                nodes.First.Clock.Advance(TimeSpan.FromSeconds(30));
                var written = await Task.WhenAll(On(nodes.First).MaintainAsync(Test, default), On(nodes.Second).MaintainAsync(Test, default));
                Assert.True(written.Count(events => events > 0) <= 1); // one of them finds nothing left to do

                await HearingAsync();
                foreach (var node in (GrantsApp[])[nodes.First, nodes.Second])
                {
                    using var http = node.NewClient();
                    Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(before.AccessToken)).StatusCode);
                    var after = await http.RefreshAsync(TestClient.Tally, before.RefreshToken);
                    Assert.True(after.Ok, after.Json.ToJsonString());
                    foreach (var jwt in (string[])[after.AccessToken, after.IdToken])
                    {
                        var kid = (string)TokenAnswer.HeaderOf(jwt)["kid"]!;
                        Assert.True(round == 0 || node.Clock.GetUtcNow() - published[kid] >= KeySchedule.Default.PublishedAhead, $"{kid} signs, but was published at {published.GetValueOrDefault(kid)}");
                    }
                }

                await SeeAsync();
            }
        }

        // Each algorithm has rotated three times, and the first keys are gone with their private parts.
        var keys = await On(nodes.First).AllAsync(default);
        foreach (var algorithm in SigningAlgorithm.Supported)
        {
            // The one that the other test revokes, if it came first, is out of the row.
            var states = keys.Where(key => key.Algorithm == algorithm && key.Status != SigningKeyStatus.Revoked).OrderBy(key => key.CreatedAt).Select(key => key.Status).ToList();
            Assert.Equal([SigningKeyStatus.Destroyed, SigningKeyStatus.Destroyed, SigningKeyStatus.Retired, SigningKeyStatus.Active, SigningKeyStatus.Published], states);
        }

        foreach (var key in keys) Assert.Equal(key.IsPublished, await nodes.First.Services.GetRequiredService<KeyVault>().FindAsync($"signing:{key.Kid}") is not null);

        async Task SeeAsync()
        {
            using var http = nodes.Second.NewClient();
            foreach (var key in (await JwksAsync(http))) published.TryAdd(key, nodes.First.Clock.GetUtcNow());
        }
    }

    [Fact, Trait("Attack", "P8"), Trait("Attack", "E14")]
    public async Task A_revoked_key_verifies_nothing_on_any_node_and_the_next_one_signs()
    {
        var (tokens, _, _, _) = await nodes.First.ConnectAsync(TestClient.Tally, TestConfiguration.Lin);
        var kid = (string)TokenAnswer.HeaderOf(tokens.AccessToken)["kid"]!;
        Assert.IsType<Accepted<SigningKey>>(await On(nodes.First).RevokeAsync(Test, kid, "it leaked", default));
        await HearingAsync();
        foreach (var node in (GrantsApp[])[nodes.First, nodes.Second])
        {
            using var http = node.NewClient();
            Assert.Equal(HttpStatusCode.Unauthorized, (await http.UserInfoAsync(tokens.AccessToken)).StatusCode);
            Assert.Equal("{\"active\":false}", (await http.IntrospectAsync(TestClient.Tally, tokens.AccessToken)).Json.ToJsonString());
            Assert.DoesNotContain(kid, await JwksAsync(http));
            var after = await http.RefreshAsync(TestClient.Tally, tokens.RefreshToken);
            Assert.NotEqual(kid, (string)TokenAnswer.HeaderOf(after.AccessToken)["kid"]!);
            Assert.Equal(HttpStatusCode.OK, (await http.UserInfoAsync(after.AccessToken)).StatusCode);
        }

        Assert.Null(await nodes.First.Services.GetRequiredService<KeyVault>().FindAsync($"signing:{kid}"));
        Assert.IsType<Refused<SigningKey>>(await On(nodes.First).RevokeAsync(Test, "nobody", "a test", default));
        Assert.Empty((await On(nodes.First).RevokeAsync(Test, kid, "again", default)).Events);
    }

    private static KeyRing On(GrantsApp node) => node.Services.GetRequiredService<KeyRing>();

    private static async Task<IReadOnlyList<string>> JwksAsync(HttpClient http) =>
        [.. JsonNode.Parse(await http.GetStringAsync("/jwks"))!["keys"]!.AsArray().Select(key => (string)key!["kid"]!)];

    /// <summary>Past the time in which a node may not have heard of it; its clock is the tests'.</summary>
    private async Task HearingAsync()
    {
        var kids = (await On(nodes.First).AllAsync(default)).Where(key => key.IsPublished).Select(key => key.Kid).Order(StringComparer.Ordinal).ToList();
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        using var pause = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (!kids.SequenceEqual((await On(nodes.Second).PublishedAsync(limit.Token)).Select(key => key.Key.Kid).Order(StringComparer.Ordinal))) await pause.WaitForNextTickAsync(limit.Token);
    }
}
