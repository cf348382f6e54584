using System.Globalization;
using System.Text.Json;
using Grants.Api.Account;
using JasperFx.CommandLine;

namespace Grants.Api.Commands;

/// <summary>What <c>grants access</c> and <c>grants tokens</c> are asked for.</summary>
public sealed class ListInput : NetCoreInput
{
    [Description("list")]
    public ListAction Action { get; set; } = ListAction.list;

    [Description("Only this client (client_id)")]
    public string? ClientFlag { get; set; }

    [Description("Only this person (sub)")]
    public string? PersonFlag { get; set; }

    [Description("Only this state: live, expired or revoked")]
    public string? StateFlag { get; set; }

    [Description("One JSON object a line instead of a table")]
    public bool JsonFlag { get; set; }

    /// <summary>The condition on the view's rows and its parameters.</summary>
    internal (string Where, object[] Parameters) Filter()
    {
        var given = new (string Column, string? Value)[] { ("client", ClientFlag), ("subject", PersonFlag), ("state", StateFlag) }.Where(filter => filter.Value is not null).ToList();
        return given.Count == 0
            ? ("", [])
            : ("where " + string.Join(" and ", given.Select((filter, i) => $"{filter.Column} = ${i + 1}")), [.. given.Select(filter => filter.Value!)]);
    }
}

/// <summary>What can be done; the names are what is typed.</summary>
public enum ListAction
{
#pragma warning disable CA1707, IDE1006 // typed as it stands on the command line
    list,
#pragma warning restore CA1707, IDE1006
}

/// <summary>Shows what people let apps do: the current grants view, with the position that it stands for.</summary>
[Description("Show what people let apps do", Name = "access")]
public sealed class AccessCommand : JasperFxAsyncCommand<ListInput>
{
    public AccessCommand() => Usage("List the access records (grants)").Arguments(input => input.Action);

    public override async Task<bool> Execute(ListInput input)
    {
        using var host = input.BuildHost();
        var views = host.Services.GetRequiredService<AccessViews>();
        var (where, parameters) = input.Filter();
        var grants = await views.GrantsAsync(where, parameters, CancellationToken.None);
        if (input.JsonFlag) foreach (var grant in grants) Console.Out.WriteLine(JsonSerializer.Serialize(grant, ListFormat.Options));
        else
        {
            Output.Table(["ACCESS", "PERSON", "CLIENT", "SCOPES", "DECLINED", "ALLOWED", "LAST USED", "UNTIL", "STATE", "ENDED BY", "WHY"],
                [.. grants.Select(g => (IReadOnlyList<string>)[Output.Tail(g.Id), g.Subject, g.Client, g.Scopes, g.Declined, Output.Time(g.CreatedAt), Output.Time(g.LastUsedAt), Output.Time(g.ExpiresAt), g.State, g.EndedBy ?? "", g.EndedWhy ?? ""])], "access records");
        }

        await ListFormat.PositionAsync(views, input.JsonFlag);
        return true;
    }
}

/// <summary>Shows the tokens: the current tokens view, with the position that it stands for.</summary>
[Description("Show the tokens that were issued", Name = "tokens")]
public sealed class TokensCommand : JasperFxAsyncCommand<ListInput>
{
    public TokensCommand() => Usage("List the tokens").Arguments(input => input.Action);

    public override async Task<bool> Execute(ListInput input)
    {
        using var host = input.BuildHost();
        var views = host.Services.GetRequiredService<AccessViews>();
        var (where, parameters) = input.Filter();
        var tokens = await views.TokensAsync(where, parameters, CancellationToken.None);
        if (input.JsonFlag) foreach (var token in tokens) Console.Out.WriteLine(JsonSerializer.Serialize(token, ListFormat.Options));
        else
        {
            Output.Table(["FAMILY", "KIND", "NO", "CLIENT", "PERSON", "ACTORS", "SCOPES", "ISSUED", "EXPIRES", "STATE", "ENDED BY", "WHY"],
                [.. tokens.Select(t => (IReadOnlyList<string>)[Output.Tail(t.Family), t.Kind, (t.Number > 0 ? t.Number : t.Generation).ToString(CultureInfo.InvariantCulture), t.Client, t.Subject ?? "", t.Actors ?? "", t.Scopes, Output.Time(t.IssuedAt), Output.Time(t.ExpiresAt), t.State, t.EndedBy ?? "", t.EndedWhy ?? ""])], "tokens");
        }

        await ListFormat.PositionAsync(views, input.JsonFlag);
        return true;
    }
}

internal static class ListFormat
{
    public static readonly JsonSerializerOptions Options = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Says what the answer stands for: on its own line for people, on the error stream for programs.</summary>
    public static async Task PositionAsync(AccessViews views, bool json)
    {
        var position = await views.PositionAsync(CancellationToken.None);
        var line = string.Create(CultureInfo.InvariantCulture, $"as of event {position.Position}, {position.Behind.TotalSeconds:0.0} s behind");
        await (json ? Console.Error : Console.Out).WriteLineAsync(line);
    }
}
