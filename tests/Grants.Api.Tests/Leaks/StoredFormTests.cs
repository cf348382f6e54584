using System.Text.Json;
using Grants.Api.Keys;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Grants.Projections;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Grants.Api.Tests.Leaks;

/// <summary>How personal data and origins are kept in events.</summary>
public sealed class StoredFormTests(AppFixture app) : IClassFixture<AppFixture>
{
    [Fact, Trait("Law", "L6"), Trait("Attack", "E5"), Trait("Attack", "T14")]
    public async Task The_origin_of_a_request_is_sealed_and_its_network_hashed()
    {
        var position = await app.PositionAsync();
        await app.ConnectAsync(TestClient.Tally);
        var personal = app.Services.GetRequiredService<PersonalData>();
        var events = await app.EventsAfterAsync(position);
        Assert.True(events.Count > 8);
        var hash = await personal.NetworkHashAsync(GrantsApp.TestersAddress);
        foreach (var e in events)
        {
            var origin = e.Text(EventMetadata.Origin);
            Assert.NotNull(origin);
            Assert.StartsWith("v1.", origin, StringComparison.Ordinal);
            var opened = JsonSerializer.Deserialize<JsonElement>((await personal.OpenAsync(new SealedText(origin)))!);
            Assert.Equal(GrantsApp.TestersAddress.ToString(), opened.GetProperty("address").GetString());
            Assert.Equal(hash, e.Text(EventMetadata.Network));
        }

        // The whole /24 has one hash, its neighbour another.
        Assert.Equal(hash, await personal.NetworkHashAsync(System.Net.IPAddress.Parse("203.0.113.1")));
        Assert.Equal(hash, await personal.NetworkHashAsync(System.Net.IPAddress.Parse("::ffff:203.0.113.200")));
        Assert.NotEqual(hash, await personal.NetworkHashAsync(System.Net.IPAddress.Parse("203.0.114.77")));
    }

    [Fact, Trait("Law", "L6"), Trait("Attack", "E5")]
    public async Task Where_an_app_on_the_persons_own_device_calls_from_is_sealed_under_that_persons_key()
    {
        var position = await app.PositionAsync();
        var (tokens, _, _, _) = await app.ConnectAsync(TestClient.BrowserApp, TestConfiguration.Lin);
        using var http = app.NewClient();
        await http.RefreshAsync(TestClient.BrowserApp, tokens.RefreshToken);
        var person = (string)TokenAnswer.Claims(tokens.AccessToken)["sub"]!;
        var calls = (await app.EventsAfterAsync(position)).Where(e => e.EventTypeName.StartsWith("token_family.", StringComparison.Ordinal)).ToList();
        Assert.Equal(6, calls.Count);
        Assert.All(calls, e => Assert.StartsWith($"v1.person:{person}.", e.Text(EventMetadata.Origin), StringComparison.Ordinal));
    }

    [Fact, Trait("Law", "L6"), Trait("Attack", "E6")]
    public async Task Destroying_a_persons_key_makes_every_text_of_theirs_unreadable()
    {
        var person = new SubjectId(Guid.CreateVersion7(app.Clock.GetUtcNow()));
        var personal = app.Services.GetRequiredService<PersonalData>();
        var (one, two) = (await personal.SealAsync(person, "the first text"), await personal.SealAsync(person, "the second text"));
        Assert.DoesNotContain("first", one.Value, StringComparison.Ordinal);
        Assert.NotEqual(await personal.SealAsync(person, "the first text"), one); // a fresh nonce each time
        Assert.Equal("the first text", await personal.OpenAsync(one));

        await using (var destroy = app.Services.GetRequiredService<NpgsqlDataSource>().CreateCommand($"delete from {GrantsStore.KeyVault} where id = $1"))
        {
            destroy.Parameters.Add(new NpgsqlParameter { Value = $"person:{person}" });
            Assert.Equal(1, await destroy.ExecuteNonQueryAsync());
        }

        // Another node, or this one a minute later: nothing remembers the key.
        using var vault = app.NewVault();
        var elsewhere = new PersonalData(vault, app.Clock);
        Assert.Null(await elsewhere.OpenAsync(one));
        Assert.Null(await elsewhere.OpenAsync(two));
    }

    [Fact, Trait("Law", "L6")]
    public async Task A_sealed_text_that_was_altered_or_moved_to_another_person_does_not_open()
    {
        var personal = app.Services.GetRequiredService<PersonalData>();
        var (mine, other) = (new SubjectId(Guid.CreateVersion7(app.Clock.GetUtcNow())), new SubjectId(Guid.CreateVersion7(app.Clock.GetUtcNow().AddSeconds(1))));
        var text = (await personal.SealAsync(mine, "mine")).Value;
        await personal.SealAsync(other, "theirs");
        var altered = text[..^1] + (text[^1] == 'A' ? 'B' : 'A');
        await Assert.ThrowsAnyAsync<Exception>(() => personal.OpenAsync(new SealedText(altered)));
        await Assert.ThrowsAnyAsync<Exception>(() => personal.OpenAsync(new SealedText(text.Replace(mine.ToString(), other.ToString(), StringComparison.Ordinal))));
        await Assert.ThrowsAnyAsync<Exception>(() => personal.OpenAsync(new SealedText("v2." + text[3..])));
    }

    [Fact, Trait("Law", "L6"), Trait("Attack", "E5")]
    public async Task A_persons_account_is_registered_with_sealed_texts_alone()
    {
        var registered = (await app.EventsAfterAsync(0)).Select(e => e.Data).OfType<SubjectEvent.Registered>().ToList();
        Assert.Equal(4, registered.Count);
        Assert.All(registered, e =>
        {
            Assert.StartsWith("v1.person:sub_", e.Username.Value, StringComparison.Ordinal);
            Assert.StartsWith("v1.person:sub_", e.Claims.Value, StringComparison.Ordinal);
            Assert.Equal(22, e.LoginHash.Length);
        });
    }
}
