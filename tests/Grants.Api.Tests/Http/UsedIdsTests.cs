using Grants.Api.Http;
using Grants.Api.Tests.Log;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;

namespace Grants.Api.Tests.Http;

/// <summary>Ids that may be used once, on two nodes.</summary>
public sealed class UsedIdsTests(TwoNodes nodes) : IClassFixture<TwoNodes>
{
    private static UsedIds On(GrantsApp node) => node.Services.GetRequiredService<UsedIds>();

    [Fact, Trait("Rule", "CA-5"), Trait("Rule", "DP-2")]
    public async Task Of_many_that_use_one_id_on_two_nodes_at_once_one_is_the_first()
    {
        var until = nodes.First.Clock.GetUtcNow().AddMinutes(1);
        var used = await Task.WhenAll(Enumerable.Range(0, 40).Select(i => Task.Run(() => On(i % 2 == 0 ? nodes.First : nodes.Second).UseAsync("test", "client", "one", until, default))));
        Assert.Single(used, first => first);
    }

    [Fact, Trait("Rule", "CA-5"), Trait("Rule", "DP-2")]
    public async Task Ids_of_other_kinds_and_owners_are_others_and_one_that_ran_out_is_forgotten()
    {
        var ids = On(nodes.First);
        var until = nodes.First.Clock.GetUtcNow().AddMinutes(1);
        Assert.True(await ids.UseAsync("test", "a", "bc", until, default));
        Assert.True(await ids.UseAsync("test", "ab", "c", until, default));
        Assert.True(await ids.UseAsync("other", "a", "bc", until, default));
        Assert.False(await ids.UseAsync("test", "a", "bc", until, default));
        nodes.First.Clock.Advance(TimeSpan.FromMinutes(1));
        Assert.True(await ids.UseAsync("test", "a", "bc", until.AddMinutes(1), default)); // swept or not
        Assert.True(await ids.SweepAsync(default) >= 2);
        Assert.False(await ids.UseAsync("test", "a", "bc", until.AddMinutes(1), default));
    }
}
