using System.Text;
using Grants.Testing;
using Npgsql;

namespace Grants.Api.Tests.Leaks;

/// <summary>The scan for leaks finds what is planted.</summary>
public sealed class LeakScanTests
{
    [Fact, Trait("Law", "L6"), Trait("Attack", "T14"), Trait("Attack", "E5")]
    public async Task A_planted_secret_is_found_in_a_dump_in_whatever_form()
    {
        // Databases of its own: what is planted here must not be found by the scan of all others.
        using var databases = new TestDatabases(_ => Task.CompletedTask);
        var clone = await databases.CloneAsync();
        var (name, token) = ("Petra Planted", "eyJ0." + Journey.Random(64));
        var search = new LeakSearch([new(name, "name"), new(token, "token"), new("p@ss w%rd+:é", "password")]);
        Assert.Empty(search.FindIn(await TestDatabases.DumpAsync(clone)));

        await using var connection = new NpgsqlConnection(clone);
        await connection.OpenAsync();
        foreach (var (planted, kind) in (List<(object, string)>)
        [
            ("…" + name + "…", "name"),
            ("petra PETRA PLANTED", "name"),
            (Encoding.UTF8.GetBytes(name), "name"), // bytea, dumped in hexadecimal
            (Convert.ToBase64String(Encoding.UTF8.GetBytes("x" + name + "yz")), "name"),
            (Convert.ToBase64String(Encoding.UTF8.GetBytes("xy" + name)), "name"),
            ("{\"token\":\"" + token + "\"}", "token"),
            ("""{"a":"p@ss w%rd\u002B:\u00E9"}""", "password"),
            ("https://a.example/?p=p%40ss%20w%25rd%2B%3A%C3%A9", "password"),
        ])
        {
            await using (var plant = new NpgsqlCommand($"drop table if exists planted; create table planted (it {(planted is byte[]? "bytea" : "text")})", connection)) await plant.ExecuteNonQueryAsync();
            await using (var fill = new NpgsqlCommand("insert into planted values ($1)", connection) { Parameters = { new NpgsqlParameter { Value = planted } } }) await fill.ExecuteNonQueryAsync();
            Assert.StartsWith(kind, Assert.Single(search.FindIn(await TestDatabases.DumpAsync(clone))), StringComparison.Ordinal);
        }
    }
}
