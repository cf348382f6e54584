using Grants.Api.Keys;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Grants.Api.Tests;

internal static class VaultOf
{
    /// <summary>A vault that remembers nothing yet, as a node has it that has just started.</summary>
    public static KeyVault NewVault(this GrantsApp app) =>
        new(app.Services.GetRequiredService<NpgsqlDataSource>(), app.Services.GetRequiredService<KeyEncryptionKey>(), app.Clock);
}
