using System.Net;
using Grants.Api.Tests.Http;
using Grants.Api.Tests.Log;
using Grants.Domain.Authorizations;
using Grants.Domain.TokenFamilies;
using Grants.Testing;

namespace Grants.Api.Tests.DeviceAuthorization;

/// <summary>A device that doesn't know which server it polls.</summary>
public sealed class DevicesOnTwoNodesTests(TwoNodes nodes) : IClassFixture<TwoNodes>
{
    [Fact, Trait("Rule", "DV-4"), Trait("Attack", "C13"), Trait("Attack", "C2"), Trait("Law", "L2")]
    public async Task Of_twenty_polls_at_once_after_the_answer_one_gets_the_tokens()
    {
        using var http = nodes.First.NewClient();
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        await nodes.Second.NewVisitor().AnswerDeviceAsync(device.UserCode);
        var answers = await AtOnceAsync(20, client => client.PollAsync(TestClient.Tv, device.DeviceCode));

        var winner = Assert.Single(answers, answer => answer.Ok);
        Assert.All(answers.Where(answer => !answer.Ok), answer => Assert.Equal((HttpStatusCode.BadRequest, "invalid_grant"), (answer.Response.StatusCode, answer.Error)));
        var family = (await nodes.First.EventsAsync(winner.Streams().Family)).Select(e => e.Data).ToList();
        Assert.Single(family.OfType<TokenFamilyEvent.AccessTokenIssued>());
        Assert.Single(family.OfType<TokenFamilyEvent.RefreshTokenIssued>());
        Assert.Single(family.OfType<TokenFamilyEvent.Revoked>()); // the others were replays, as a code's would be
        var redeemed = (await nodes.First.EventsAfterAsync(0)).Single(e => e.Data is AuthorizationEvent.CodeRedeemed code && code.Family == winner.Streams().Family);
        Assert.Single(await nodes.First.EventsAsync(redeemed.StreamId), e => e.Data is AuthorizationEvent.CodeReplayed);
    }

    [Fact, Trait("Rule", "DV-4"), Trait("Attack", "C13"), Trait("Attack", "E11")]
    public async Task The_interval_is_one_for_all_nodes_and_each_poll_that_comes_too_soon_lengthens_it_once()
    {
        using var one = nodes.First.NewClient();
        using var two = nodes.Second.NewClient();
        var device = await one.AskForDeviceAsync(TestClient.Tv);
        await nodes.First.AppendsNothingAsync(async () =>
        {
            Assert.Equal("authorization_pending", (await one.PollAsync(TestClient.Tv, device.DeviceCode)).Error);
            Assert.Equal("slow_down", (await two.PollAsync(TestClient.Tv, device.DeviceCode)).Error); // 10 from now on
            nodes.First.Clock.Advance(TimeSpan.FromSeconds(7));
            Assert.Equal("slow_down", (await one.PollAsync(TestClient.Tv, device.DeviceCode)).Error); // 15
            nodes.First.Clock.Advance(TimeSpan.FromSeconds(16));
            Assert.Equal("authorization_pending", (await two.PollAsync(TestClient.Tv, device.DeviceCode)).Error);

            // Ten at once: each comes too soon, and each adds five seconds. 15 + 50 to wait then.
            Assert.All(await AtOnceAsync(10, client => client.PollAsync(TestClient.Tv, device.DeviceCode)), answer => Assert.Equal("slow_down", answer.Error));
            nodes.First.Clock.Advance(TimeSpan.FromSeconds(66));
            Assert.Equal("authorization_pending", (await one.PollAsync(TestClient.Tv, device.DeviceCode)).Error);
            nodes.First.Clock.Advance(TimeSpan.FromSeconds(62));
            Assert.Equal("slow_down", (await two.PollAsync(TestClient.Tv, device.DeviceCode)).Error);
        });
    }

    [Fact, Trait("Rule", "DV-2"), Trait("Rule", "DV-3"), Trait("Attack", "C10"), Trait("Law", "L2")]
    public async Task Of_many_browsers_that_type_one_code_at_once_one_may_go_on()
    {
        using var http = nodes.First.NewClient();
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        var forms = new List<(Visitor Visitor, Page Page)>();
        for (var i = 0; i < 8; i++)
        {
            var visitor = await (i % 2 == 0 ? nodes.First : nodes.Second).SignedInAsync(i % 3 == 0 ? TestConfiguration.Lin : TestConfiguration.Maya);
            forms.Add((visitor, await visitor.GetAsync("/device")));
        }

        var pages = await Task.WhenAll(forms.Select(form => Task.Run(() => form.Visitor.SubmitAsync(form.Page, ("user_code", device.UserCode)))));
        Assert.Single(pages, page => page.IsAt("/consent/"));
        Assert.Equal(7, pages.Count(page => page.Status == HttpStatusCode.BadRequest));
    }

    private async Task<TokenAnswer[]> AtOnceAsync(int count, Func<HttpClient, Task<TokenAnswer>> send) => await Task.WhenAll(Enumerable.Range(0, count).Select(i => Task.Run(async () =>
    {
        using var http = (i % 2 == 0 ? nodes.First : nodes.Second).NewClient();
        return await send(http);
    })));
}
