using Grants.Testing;

namespace Grants.Api.Tests.Http;

/// <summary>What is written to the log beside the events.</summary>
public sealed class LogTests(AppFixture app) : IClassFixture<AppFixture>
{
    [Fact, Trait("Attack", "P11")]
    public async Task Nothing_that_is_sent_can_begin_a_line_of_its_own()
    {
        var forged = $"info: forged[{Journey.Random(6)}]";
        using var http = app.NewClient();
        var visitor = app.NewVisitor();
        var page = await visitor.GetAsync(Journey.Ask(TestClient.Tally).Address);
        await visitor.SignInAsync(page, $"sam\r\n{forged}", $"x\r\n{forged}");
        await visitor.GetAsync($"/authorize?client_id={Uri.EscapeDataString($"tally\n{forged}")}");
        await visitor.GetAsync($"/{Uri.EscapeDataString($"nowhere\n{forged}")}");
        await http.TokenAsync(TestClient.Tally with { Id = $"tally\n{forged}" }, ("grant_type", $"client_credentials\r\n{forged}"));
        await http.TokenAsync(TestClient.Tally, ("grant_type", $"client_credentials\r\n{forged}"));
        await http.RevokeAsync(TestClient.Tally, $"x\n{forged}");

        Assert.All(Witness.Log.Where(line => line.Contains(forged, StringComparison.Ordinal)),
            line => Assert.DoesNotContain('\n' + forged, line, StringComparison.Ordinal));
    }

    [Fact, Trait("Attack", "C8")]
    public async Task A_client_whose_verifier_is_a_constant_is_named_to_the_operator_once()
    {
        var asked = Journey.Ask(TestClient.Poster);
        var visitor = app.NewVisitor();
        using var http = app.NewClient();
        int Warnings() => Witness.Log.Count(line => line.StartsWith("Warning", StringComparison.Ordinal) && line.Contains("Client poster redeemed two codes with the same code_challenge", StringComparison.Ordinal));
        for (var i = 0; i < 4; i++)
        {
            Assert.Equal(i > 1 ? 1 : 0, Math.Min(Warnings(), 1));
            Assert.True((await http.RedeemAsync(asked, (await visitor.AllowAsync(asked)).Answer["code"])).Ok);
        }

        Assert.Equal(1, Warnings());
        Assert.True((await http.RedeemAsync(asked = Journey.Ask(TestClient.Poster), (await visitor.AllowAsync(asked)).Answer["code"])).Ok);
        Assert.Equal(1, Warnings());
    }
}
