using Grants.Api.Http;
using Grants.Api.Log;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;
using JasperFx.Events.Daemon;
using Marten;
using Microsoft.Extensions.DependencyInjection;

namespace Grants.Testing;

/// <summary>What no page offers yet (suspending, revoking by an operator) and what only tests want (a second node).</summary>
public static class Appending
{
    /// <summary>Appends events through the one door, as an operator's command would.</summary>
    public static async Task AppendAsync(this GrantsApp app, params StreamEvent[] events) =>
        await app.Services.GetRequiredService<EventLog>().Commit(
            new Cause(Cause.Operator("tests"), "test", "test"), [.. events.Select(e => e.Stream).Distinct()],
            (_, _) => Decide.Accept(true, events), default);

    /// <summary>The stream of a client.</summary>
    public static async Task<Guid> StreamOfAsync(this GrantsApp app, TestClient client) =>
        (await app.Services.GetRequiredService<Lookups>().ClientAsync(new ClientId(client.Id), default))!.Id;

    /// <summary>The streams that an access token names.</summary>
    public static AccessTokenId Streams(this TokenAnswer tokens) =>
        AccessTokenId.TryParse((string?)TokenAnswer.Claims(tokens.AccessToken)["jti"], out var id) ? id : throw new FormatException("Not a jti of this server.");

    /// <summary>
    /// A further node on the same database with the same clock. It leaves the asynchronous views to the first: tests run each node as
    /// the only one on its database, and two such would keep the views twice.
    /// </summary>
    public static async Task<GrantsApp> StartFurtherNodeAsync(this GrantsApp first)
    {
        var node = new GrantsApp();
        await node.StartAsync(first.ConnectionString, first.Clock);
        await node.Services.GetRequiredService<IProjectionCoordinator>().PauseAsync();
        return node;
    }
}
