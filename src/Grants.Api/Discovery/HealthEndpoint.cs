using Grants.Api.Log;
using Npgsql;
using Wolverine.Http;

namespace Grants.Api.Discovery;

/// <summary>For load balancers: alive, and ready to take requests.</summary>
public static class HealthEndpoint
{
    [WolverineGet("/healthz")]
    public static IResult GetAlive() => Results.Text("ok");

    /// <summary>503 while the database doesn't answer: then nothing can be issued.</summary>
    [WolverineGet("/readyz")]
    public static async Task<IResult> GetReady(NpgsqlDataSource database, CancellationToken cancellation)
    {
        try
        {
            await using var command = database.CreateCommand("select 1");
            await command.ExecuteScalarAsync(cancellation);
            return Results.Text("ready");
        }
        catch (NpgsqlException)
        {
            return Results.Text("the database does not answer", statusCode: StatusCodes.Status503ServiceUnavailable);
        }
    }
}
