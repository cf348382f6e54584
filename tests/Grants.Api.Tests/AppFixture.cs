using Grants.Testing;

namespace Grants.Api.Tests;

/// <summary>One server with a database of its own for each test class.</summary>
public sealed class AppFixture : GrantsApp, IAsyncLifetime
{
    public async ValueTask InitializeAsync() => await StartAsync();
}
