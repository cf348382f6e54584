using System.Globalization;
using System.Text;
using System.Text.Json;
using Npgsql;

namespace Grants.Browser.Tests;

/// <summary>One event as it lies in the database.</summary>
internal sealed record LoggedEvent(Guid Id, string Type, JsonElement Data, string Actor, string Cause, string Request, string? Client, string? Origin);

/// <summary>
/// The log from a position on, as a table with one event a line: type, actor, client, cause, origin. A blank line parts what one
/// request caused from what the next one did. A cause is the type of the event that led there, or the command. The person is
/// "person"; an origin is "sealed" or, where no request caused the event, "none".
/// </summary>
internal sealed class EventsSince
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly NpgsqlDataSource _database;
    private readonly long _position;

    private EventsSince(NpgsqlDataSource database, long position) => (_database, _position) = (database, position);

    public static async Task<EventsSince> NowAsync(NpgsqlDataSource database)
    {
        await using var command = database.CreateCommand("select coalesce(max(seq_id), 0) from grants.mt_events");
        return new EventsSince(database, (long)(await command.ExecuteScalarAsync())!);
    }

    /// <summary>Fails unless the log now reads exactly so.</summary>
    public async Task ReadAsync(string expected)
    {
        var events = await EventsAsync();
        Assert.Equal(Table(expected.Split('\n').Select(line => line.Split((string[])["  "], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))), await TableAsync(events));

        // Every line that says "person" means one and the same.
        var people = events.Select(e => e.Actor).Where(actor => actor.StartsWith("person:", StringComparison.Ordinal)).Distinct().ToList();
        var signedIn = events.Where(e => e.Type == "session.started").Select(e => $"person:{e.Data.GetProperty("subject").GetString()}").Distinct().ToList();
        Assert.True(people.Count <= 1, "More than one person acted.");
        if (signedIn.Count > 0) Assert.Equal(signedIn, people);
    }

    /// <summary>Waits until that many events of a type are there: what the server records by itself comes in its own time.</summary>
    public async Task WaitForAsync(string type, int count)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        using var late = new CancellationTokenSource(Patience);
        while ((await EventsAsync()).Count(e => e.Type == type) < count)
        {
            if (late.IsCancellationRequested) Assert.Fail($"The log has fewer than {count} events {type}:\n{await TableAsync(await EventsAsync())}");
            await timer.WaitForNextTickAsync();
        }
    }

    private async Task<string> TableAsync(IReadOnlyList<LoggedEvent> events)
    {
        var lines = new List<string[]>();
        for (var i = 0; i < events.Count; i++)
        {
            var e = events[i];
            if (i > 0 && e.Request != events[i - 1].Request) lines.Add([]);
            lines.Add(
            [
                e.Type,
                e.Actor.StartsWith("person:", StringComparison.Ordinal) ? "person" : e.Actor,
                e.Client ?? "none",
                Guid.TryParse(e.Cause, out var cause) ? await TypeOfAsync(cause) : e.Cause,
                e.Origin is null ? "none" : e.Origin.StartsWith("v1.", StringComparison.Ordinal) ? "sealed" : "in clear",
            ]);
        }

        return Table(lines);
    }

    /// <summary>The same words in columns of the same width, so that a difference is one of words alone.</summary>
    private static string Table(IEnumerable<string[]> lines)
    {
        int[] widths = [38, 15, 13, 38, 6];
        var table = new StringBuilder();
        foreach (var line in lines) table.AppendLine(string.Concat(line.Select((word, i) => word.PadRight(widths[Math.Min(i, widths.Length - 1)]) + "  ")).TrimEnd());
        return table.ToString().Trim();
    }

    private async Task<IReadOnlyList<LoggedEvent>> EventsAsync()
    {
        // What an earlier story left behind may run out during this one; that is not its story.
        await using var command = _database.CreateCommand("""
            select id, type, data, user_name, causation_id, correlation_id, headers from grants.mt_events e where seq_id > $1
                and not (user_name = 'system:expiry' and exists (select 1 from grants.mt_events b where b.stream_id = e.stream_id and b.seq_id <= $1))
            order by seq_id
            """);
        command.Parameters.Add(new NpgsqlParameter { Value = _position });
        await using var reader = await command.ExecuteReaderAsync();
        var events = new List<LoggedEvent>();
        while (await reader.ReadAsync())
        {
            var headers = reader.IsDBNull(6) ? default : JsonElement.Parse(reader.GetString(6));
            events.Add(new LoggedEvent(reader.GetGuid(0), reader.GetString(1), JsonElement.Parse(reader.GetString(2)), reader.GetString(3), reader.GetString(4), reader.GetString(5),
                Header(headers, "client"), Header(headers, "origin")));
        }

        return events;
    }

    private async Task<string> TypeOfAsync(Guid id)
    {
        await using var command = _database.CreateCommand("select type from grants.mt_events where id = $1");
        command.Parameters.Add(new NpgsqlParameter { Value = id });
        return (string?)await command.ExecuteScalarAsync() ?? string.Create(CultureInfo.InvariantCulture, $"no event {id}");
    }

    private static string? Header(JsonElement headers, string name) =>
        headers.ValueKind == JsonValueKind.Object && headers.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
