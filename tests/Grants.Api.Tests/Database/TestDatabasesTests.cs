using Grants.Testing;
using Npgsql;

namespace Grants.Api.Tests.Database;

/// <summary>The fixture that gives each test class a database of its own.</summary>
public sealed class TestDatabasesTests
{
    [Fact]
    public async Task Each_clone_is_a_copy_of_the_template_and_nobody_elses()
    {
        var prepared = 0;
        using var databases = new TestDatabases(async connectionString =>
        {
            prepared++;
            await ExecuteAsync(connectionString, "create table notes as select 'from the template' as text");
        });

        var clones = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => databases.CloneAsync()));
        await ExecuteAsync(clones[0], "insert into notes values ('only here')");

        Assert.Equal(1, prepared);
        Assert.Equal(4, databases.Clones.Distinct().Count());
        Assert.Equal(1L, await ExecuteAsync(clones[1], "select count(*) from notes"));
        Assert.Contains("only here", await TestDatabases.DumpAsync(clones[0]), StringComparison.Ordinal);
        Assert.DoesNotContain("only here", await TestDatabases.DumpAsync(clones[1]), StringComparison.Ordinal);
    }

    private static async Task<object?> ExecuteAsync(string connectionString, string sql)
    {
        await using var connection = new NpgsqlConnection(connectionString);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync();
    }
}
