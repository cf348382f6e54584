using System.Security.Cryptography;
using System.Text;
using Grants.Domain.AccessGrants;
using Grants.Domain.Protocol;
using Grants.Projections;
using Grants.Testing;
using JasperFx.Events.Daemon;
using Marten;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Grants.Api.Tests.Log;

/// <summary>What many stories leave behind: views that a rebuild gives back byte for byte, and events that say who caused them.</summary>
public sealed class StoriesTests(AppFixture app) : IClassFixture<AppFixture>
{
    private static readonly (string Table, string Order)[] Views = [("current_grants_v2", "id"), ("current_tokens_v3", "family, number"), ("deadlines_v2", "stream")];

    [Fact, Trait("Law", "L5"), Trait("Attack", "E8")]
    public async Task A_view_rebuilt_from_zero_is_the_view_that_grew()
    {
        Assert.Equal(GrantsStore.AsyncViews.Order(), Views.Select(view => view.Table).Order());
        await PlayAsync();
        await app.CatchUpAsync();
        var grown = new Dictionary<string, (string Digest, long Rows)>();
        foreach (var (table, order) in Views) grown[table] = await DigestAsync(table, order);
        Assert.All(grown, view => Assert.True(view.Value.Rows > 0, $"{view.Key} is empty."));
        var position = await app.PositionAsync();

        var coordinator = app.Services.GetRequiredService<IProjectionCoordinator>();
        await coordinator.PauseAsync(); // a rebuild has the view for itself
        try
        {
            using var daemon = await app.Store.BuildProjectionDaemonAsync();
            foreach (var (table, order) in Views)
            {
                await ExecuteAsync($"delete from grants.{table}");
                Assert.NotEqual(grown[table], await DigestAsync(table, order)); // the digest can tell
                await daemon.RebuildProjectionAsync(table, CancellationToken.None);
                Assert.Equal(grown[table], await DigestAsync(table, order));
            }
        }
        finally
        {
            await coordinator.ResumeAsync();
        }

        Assert.Equal(position, await app.PositionAsync()); // a rebuild fires nothing again

        // And the views go on from there.
        await app.ConnectAsync(TestClient.BrowserApp, TestConfiguration.Lin);
        await app.CatchUpAsync();
        Assert.True((await DigestAsync("current_tokens_v3", "family, number")).Rows > grown["current_tokens_v3"].Rows);
    }

    [Fact, Trait("Law", "L11"), Trait("Attack", "P12")]
    public async Task Every_event_names_its_actor_its_cause_and_where_a_request_came_from()
    {
        await PlayAsync();
        var events = await app.EventsAfterAsync(0);
        Assert.True(events.Count > 60);
        var ids = events.Select(e => e.Id.ToString()).ToHashSet();
        Assert.All(events, e =>
        {
            Assert.Matches("^(person:sub_[0-9a-f]{32}|client:.+|operator:.+|system:.+)$", e.UserName);
            Assert.False(string.IsNullOrEmpty(e.CorrelationId), e.EventTypeName);
            // An earlier event, or what was asked.
            Assert.True(ids.Contains(e.CausationId!) || System.Text.RegularExpressions.Regex.IsMatch(e.CausationId ?? "", "^((GET|POST) /[a-z/{}]*|start|config apply|test|expiry)$"), $"{e.EventTypeName}: {e.CausationId}");
            var fromRequest = !e.UserName!.StartsWith("operator:", StringComparison.Ordinal) && e.UserName is not ("system:start" or "system:expiry");
            Assert.Equal(fromRequest, e.Text(EventMetadata.Origin) is not null);
            Assert.Equal(fromRequest, e.Text(EventMetadata.Network) is not null);
            // What an app brought about names the app; what a signed-in person did, the session.
            if (e.UserName.StartsWith("client:", StringComparison.Ordinal)) Assert.Equal(e.UserName["client:".Length..], e.Text(EventMetadata.Client));
            if (e.EventTypeName is "authorization.consent_granted" or "authorization.consent_denied" or "grant.created") Assert.Matches("^[0-9a-f]{32}$", e.Text(EventMetadata.Session));
        });
        Assert.Contains(events, e => e.UserName == "system:expiry");
        Assert.Contains(events, e => e.UserName!.StartsWith("person:", StringComparison.Ordinal));

        // A chain of causes leads from the last renewal back to what the app asked in the first place.
        var last = events.Last(e => e.EventTypeName == "token_family.refresh_token_rotated");
        Assert.Contains(events, e => e.Id.ToString() == last.CausationId);
    }

    /// <summary>Allow, allow more, refuse, renew, replay, remove, sign out, run out.</summary>
    private async Task PlayAsync()
    {
        using var http = app.NewClient();
        var (sam, visitor, asked, code) = await app.ConnectAsync(TestClient.Tally, TestConfiguration.Sam, "payments");
        var renewed = await http.RefreshAsync(TestClient.Tally, sam.RefreshToken);
        await http.RefreshAsync(TestClient.Tally, sam.RefreshToken);
        await http.RefreshAsync(TestClient.Tally, renewed.RefreshToken);
        await visitor.AllowAsync(Journey.Ask(TestClient.Tally)); // nothing new to ask
        await http.RedeemAsync(asked, code); // a replay
        var (maya, _, _, _) = await app.ConnectAsync(TestClient.BrowserApp, TestConfiguration.Maya);
        await http.RefreshAsync(TestClient.BrowserApp, maya.RefreshToken);
        await http.RefreshAsync(TestClient.BrowserApp, maya.RefreshToken); // a replay
        var no = app.NewVisitor();
        var page = await no.SignInAsync(await no.GetAsync(Journey.Ask(TestClient.Poster).Address), TestConfiguration.Lin, TestConfiguration.LinPassword);
        await no.SubmitAsync(page, ("decision", "deny"));
        var (lin, _, _, _) = await app.ConnectAsync(TestClient.Poster, TestConfiguration.Lin);
        await app.AppendAsync(new StreamEvent(lin.Streams().Grant!.Value, new GrantEvent.Revoked(EndedBy.Operator, "a test", app.Clock.GetUtcNow())));
        await http.TokenAsync(TestClient.Report, ("grant_type", "client_credentials"));
        await app.NewVisitor().GetAsync(Journey.Ask(TestClient.Tally).Address); // abandoned
        app.Clock.Advance(TimeSpan.FromHours(13));
        await app.RecordExpiriesAsync();
    }

    private async Task<(string Digest, long Rows)> DigestAsync(string table, string order)
    {
        await using var connection = new NpgsqlConnection(app.ConnectionString);
        await connection.OpenAsync();
#pragma warning disable CA2100 // Names from the list above.
        await using var command = new NpgsqlCommand($"select v::text from grants.{table} v order by {order}", connection);
#pragma warning restore CA2100
        await using var reader = await command.ExecuteReaderAsync();
        using var digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var rows = 0L;
        for (; await reader.ReadAsync(); rows++) digest.AppendData(Encoding.UTF8.GetBytes(reader.GetString(0) + "\n"));
        return (Convert.ToHexStringLower(digest.GetHashAndReset()), rows);
    }

    private async Task ExecuteAsync(string sql)
    {
        await using var connection = new NpgsqlConnection(app.ConnectionString);
        await connection.OpenAsync();
#pragma warning disable CA2100 // Names from the list above.
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        await command.ExecuteNonQueryAsync();
    }
}
