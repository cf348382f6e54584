using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grants.Api.Keys;
using Grants.Domain.Protocol;
using Grants.Projections;
using JasperFx.CommandLine;
using Npgsql;

namespace Grants.Api.Commands;

/// <summary>What <c>grants events</c> is asked for. Filters add up.</summary>
public sealed class EventsInput : NetCoreInput
{
    [Description("Only this stream (its id)")]
    public string? StreamFlag { get; set; }

    [Description("Only this type, or all that begin so: authorization, grant.revoked")]
    public string? TypeFlag { get; set; }

    [Description("Only what this client (client_id) asked for")]
    public string? ClientFlag { get; set; }

    [Description("Only what is about this person (sub or user name)")]
    public string? PersonFlag { get; set; }

    [Description("Only events after this position")]
    public long? AfterFlag { get; set; }

    [Description("Only events up to this position")]
    public long? UntilFlag { get; set; }

    [Description("At most so many, the newest ones (default 200)")]
    public int LimitFlag { get; set; } = 200;

    [Description("One JSON object a line instead of a table")]
    public bool JsonFlag { get; set; }
}

/// <summary>Shows the log: what happened, when, who did it, for which client, and what led to it.</summary>
[Description("Show what happened, in the order it happened", Name = "events")]
public sealed class EventsCommand : JasperFxAsyncCommand<EventsInput>
{
    private static readonly JsonSerializerOptions OneLine = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public EventsCommand() => Usage("Show the log").Arguments();

    public override async Task<bool> Execute(EventsInput input)
    {
        using var host = input.BuildHost();
        var database = host.Services.GetRequiredService<NpgsqlDataSource>();
        var (where, parameters) = await FilterAsync(input, host.Services.GetRequiredService<PersonalData>());
        if (where is null) return false;

        await using var command = database.CreateCommand($"""
            select * from (
                select e.seq_id, e.stream_id, e.type, e.timestamp, e.user_name, e.headers::text, e.correlation_id, e.causation_id, e.data::text,
                    (select c.type || ' ' || c.seq_id from {GrantsStore.Schema}.mt_events c where c.id::text = e.causation_id) as led_by
                from {GrantsStore.Schema}.mt_events e where {where} order by e.seq_id desc limit {input.LimitFlag}) newest order by seq_id
            """);
        foreach (var parameter in parameters) command.Parameters.Add(new NpgsqlParameter { Value = parameter });
        await using var reader = await command.ExecuteReaderAsync();
        var rows = new List<IReadOnlyList<string>>();
        while (await reader.ReadAsync())
        {
            var headers = JsonNode.Parse(reader.Text(5) ?? "null")?.AsObject() ?? [];
            var cause = reader.Text(9) ?? reader.Text(7) ?? "";
            if (input.JsonFlag)
            {
                Console.Out.WriteLine(new JsonObject
                {
                    ["position"] = reader.GetInt64(0),
                    ["stream"] = reader.GetGuid(1).ToString(),
                    ["type"] = reader.GetString(2),
                    ["time"] = reader.GetFieldValue<DateTimeOffset>(3).ToString("O"),
                    ["actor"] = reader.Text(4),
                    ["client"] = headers[EventMetadata.Client]?.DeepClone(),
                    ["session"] = headers[EventMetadata.Session]?.DeepClone(),
                    ["request"] = reader.Text(6),
                    ["cause"] = reader.Text(7),
                    ["origin"] = headers[EventMetadata.Origin]?.DeepClone(),
                    ["network"] = headers[EventMetadata.Network]?.DeepClone(),
                    ["body"] = JsonNode.Parse(reader.GetString(8)),
                }.ToJsonString(OneLine));
            }
            else
            {
                rows.Add([reader.GetInt64(0).ToString(System.Globalization.CultureInfo.InvariantCulture), Output.Time(reader.GetFieldValue<DateTimeOffset>(3)), reader.GetString(2), Output.Tail(reader.GetGuid(1)),
                    reader.Text(4) ?? "", (string?)headers[EventMetadata.Client] ?? "", cause]);
            }
        }

        if (!input.JsonFlag) Output.Table(["POSITION", "TIME", "TYPE", "STREAM", "ACTOR", "CLIENT", "CAUSE"], rows, "events");
        return true;
    }

    private static async Task<(string? Where, List<object> Parameters)> FilterAsync(EventsInput input, PersonalData personal)
    {
        var conditions = new List<string> { "true" };
        var parameters = new List<object>();
        void Add(string condition, object value)
        {
            parameters.Add(value);
            conditions.Add(condition.Replace("?", $"${parameters.Count}", StringComparison.Ordinal));
        }

        if (input.StreamFlag is { } stream)
        {
            if (!Guid.TryParse(stream, out var id))
            {
                Output.Fail($"{stream} is no stream id. Stream ids are GUIDs, as grants events --json prints them.");
                return (null, []);
            }

            Add("e.stream_id = ?", id);
        }

        if (input.TypeFlag is { } type) Add("starts_with(e.type, ?)", type);
        if (input.ClientFlag is { } client) Add("e.headers ->> 'client' = ?", client);
        if (input.AfterFlag is { } after) Add("e.seq_id > ?", after);
        if (input.UntilFlag is { } until) Add("e.seq_id <= ?", until);
        if (input.PersonFlag is { } person)
        {
            if (!SubjectId.TryParse(person, out var subject))
            {
                // A user name is never stored; its keyed hash finds the account.
                Add($"""
                    e.stream_id in (select stream_id from {GrantsStore.Schema}.mt_events where data ->> 'login_hash' = ?)
                    """, await personal.LoginHashAsync(person.Normalize().ToUpperInvariant()));
                var byName = conditions[^1];
                conditions[^1] = $"({byName} or {About($"(select 'sub_' || replace(stream_id::text, '-', '') from {GrantsStore.Schema}.mt_events where data ->> 'login_hash' = ${parameters.Count} limit 1)")})";
            }
            else
            {
                parameters.Add(subject.ToString());
                conditions.Add($"({About($"${parameters.Count}")} or replace(e.stream_id::text, '-', '') = substr(${parameters.Count}, 5))");
            }
        }

        return (string.Join(" and ", conditions), parameters);
    }

    /// <summary>Events of streams that name the person, and what the person did.</summary>
    private static string About(string subject) => $"""
        e.user_name = 'person:' || {subject} or e.stream_id in (select stream_id from {GrantsStore.Schema}.mt_events p where p.data ->> 'subject' = {subject} or p.data -> 'facts' ->> 'subject' = {subject})
        """;
}
