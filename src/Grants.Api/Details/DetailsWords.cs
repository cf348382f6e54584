using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Grants.Api.Pages;
using Grants.Domain.Catalogues;

namespace Grants.Api.Details;

/// <summary>Says an authorization detail in a person's words, by the template of its type: "Pay {amount} {currency} to {payee}".</summary>
internal static partial class DetailsWords
{
    private const int ValueLength = 80;
    private const int FieldLength = 300;
    private const int TemplateLength = 140;

    /// <summary>Why a template can't be used with a schema; null when it can.</summary>
    public static string? WhyNot(string words, JsonObject schema)
    {
        if (words.Length is 0 or > TemplateLength || DisplayText.Line(words, TemplateLength) != words) return $"words must be 1 to {TemplateLength} characters on one line.";
        if (Place().Replace(words, "").AsSpan().ContainsAny('{', '}')) return "words: a brace has no partner.";
        return Place().Matches(words).FirstOrDefault(place => KindAt(schema, place.Groups[1].Value) is null or "object") is { } unknown ? $"words: {unknown.Value} names no member of the schema with a value." : null;
    }

    /// <summary>What a page shows of it.</summary>
    public static DetailModel Model(DetailsTypeDefinition? type, string name, JsonElement detail) =>
        new(name, [.. Parts(type?.Words ?? name, detail)], type?.Risk, [.. Fields(detail, "")]);

    private static IEnumerable<WordsPart> Parts(string words, JsonElement detail)
    {
        var end = 0;
        foreach (Match place in Place().Matches(words))
        {
            if (place.Index > end) yield return new WordsPart(words[end..place.Index], Said: false);
            yield return new WordsPart(At(detail, place.Groups[1].Value) is { } value ? Said(value, ValueLength) : "(not said)", Said: true);
            end = place.Index + place.Length;
        }

        if (end < words.Length) yield return new WordsPart(words[end..], Said: false);
    }

    /// <summary>Every value with the path to it, so that nothing is asked for that can't be read on the page. The type is said elsewhere.</summary>
    private static IEnumerable<KeyValuePair<string, string>> Fields(JsonElement json, string path) => json.ValueKind == JsonValueKind.Object
        ? json.EnumerateObject().Where(member => path.Length > 0 || member.Name != "type").SelectMany(member => Fields(member.Value, path.Length == 0 ? member.Name : $"{path}.{member.Name}"))
        : json.ValueKind == JsonValueKind.Array && json.EnumerateArray().Any(item => item.ValueKind is JsonValueKind.Object or JsonValueKind.Array)
            ? json.EnumerateArray().SelectMany((item, index) => Fields(item, $"{path} {index + 1}"))
            : [KeyValuePair.Create(DisplayText.Line(path, ValueLength), Said(json, FieldLength))];

    private static string Said(JsonElement value, int length) => value.ValueKind switch
    {
        JsonValueKind.String => DisplayText.Line(value.GetString(), length),
        JsonValueKind.True => "yes",
        JsonValueKind.False => "no",
        JsonValueKind.Array => DisplayText.Line(string.Join(", ", value.EnumerateArray().Select(item => Said(item, length))), length),
        _ => DisplayText.Line(value.GetRawText(), length),
    };

    private static JsonElement? At(JsonElement json, string path)
    {
        foreach (var name in path.Split('.'))
        {
            if (json.ValueKind != JsonValueKind.Object || !json.TryGetProperty(name, out var next)) return null;
            json = next;
        }

        return json;
    }

    private static string? KindAt(JsonObject? schema, string path)
    {
        foreach (var name in path.Split('.')) schema = (schema?["properties"] as JsonObject)?[name] as JsonObject;
        return schema?["type"]?.GetValue<string>();
    }

    [GeneratedRegex(@"\{([A-Za-z0-9_.-]+)\}", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex Place();
}
