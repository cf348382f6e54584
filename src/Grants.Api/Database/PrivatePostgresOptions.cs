namespace Grants.Api.Database;

/// <summary>How a <see cref="PrivatePostgres"/> is started. The defaults are the server's.</summary>
public sealed record PrivatePostgresOptions
{
    /// <summary>For test runs: small, fast, forgetful at a power cut, and allowed to clone databases.</summary>
    public static PrivatePostgresOptions Throwaway { get; } = new()
    {
        Durable = false,
        CanCreateDatabases = true,
        SharedBuffers = "128MB",
        MaxWalSize = "1GB",
        MaxConnections = 400,
    };

    /// <summary>True for a server, which must be alone on its folder; false for a command, which shares what already runs.</summary>
    public bool Own { get; init; } = true;

    /// <summary>False gives up crash safety for speed.</summary>
    public bool Durable { get; init; } = true;

    /// <summary>Whether the application's role may create databases.</summary>
    public bool CanCreateDatabases { get; init; }

    public string SharedBuffers { get; init; } = "256MB";

    // A small limit forces checkpoints in the middle of a burst, and each costs a second of latency.
    public string MaxWalSize { get; init; } = "4GB";

    public int MaxConnections { get; init; } = 200;

    /// <summary>The folder of initdb, pg_ctl and postgres; null searches the usual places.</summary>
    public string? BinFolder { get; init; }
}
