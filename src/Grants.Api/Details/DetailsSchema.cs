using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Newtonsoft.Json.Linq;
using NJsonSchema;
using NJsonSchema.Validation;
using NJsonSchema.Validation.FormatValidators;

namespace Grants.Api.Details;

/// <summary>
/// The JSON Schema of one type of authorization details. Strict where the specification of schemas is lenient: every part says its one
/// type, no object has members that are not declared, and keywords that would be ignored or fetch something are refused.
/// </summary>
internal sealed class DetailsSchema
{
    private const int Deepest = 8;
    private static readonly string[] Anywhere = ["type", "title", "description"];
    private static readonly string[] Formats = ["date", "date-time", "uri", "uuid"];

    private static readonly Dictionary<string, string[]> Keywords = new(StringComparer.Ordinal)
    {
        ["object"] = ["properties", "required", "additionalProperties"],
        ["array"] = ["items", "minItems", "maxItems", "uniqueItems"],
        ["string"] = ["enum", "pattern", "format", "minLength", "maxLength"],
        ["number"] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
        ["integer"] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
        ["boolean"] = [],
    };

    private readonly JsonSchema _schema;
    private readonly JsonSchemaValidator _validator;

    private DetailsSchema(JsonSchema schema, JsonSchemaValidator validator) => (_schema, _validator) = (schema, validator);

    /// <summary>Throws <see cref="SettingsException"/> that names the part at fault.</summary>
    public static async Task<DetailsSchema> CompileAsync(string json)
    {
        var root = JsonNode.Parse(json) as JsonObject ?? throw new SettingsException("schema must be an object.");
        root.Remove("$schema");
        if (TextOf(root["type"]) != "object") throw new SettingsException("schema: its type must be object.");
        var members = root["properties"] as JsonObject ?? [];
        root["properties"] = members;
        if (!members.ContainsKey("type")) members["type"] = new JsonObject { ["type"] = "string" };
        var settings = new JsonSchemaValidatorSettings();
        Prepare(root, "schema", 1, settings);
        try
        {
            return new DetailsSchema(await JsonSchema.FromJsonAsync(root.ToJsonString()), new JsonSchemaValidator(settings));
        }
        catch (Newtonsoft.Json.JsonException)
        {
            throw new SettingsException("schema: a keyword has a value of the wrong kind.");
        }
    }

    /// <summary>Whether an object has the form that its type has.</summary>
    public bool Accepts(string detail)
    {
        try
        {
            // The library doesn't say whether a schema may be read by many at once.
            lock (_validator) return _validator.Validate(detail, _schema).Count == 0;
        }
        catch (Exception e) when (e is Newtonsoft.Json.JsonException or OverflowException or FormatException or InvalidCastException)
        {
            return false; // a number that is none to the library
        }
    }

    private static void Prepare(JsonNode? node, string path, int depth, JsonSchemaValidatorSettings settings)
    {
        if (node is not JsonObject part || depth > Deepest) throw new SettingsException($"{path} must be an object, nested at most {Deepest} times.");
        if (TextOf(part["type"]) is not { } type || !Keywords.TryGetValue(type, out var own)) throw new SettingsException($"{path}: type must be one of {string.Join(", ", Keywords.Keys)}.");
        if (part.FirstOrDefault(member => !own.Contains(member.Key) && !Anywhere.Contains(member.Key)) is { Key: { } unknown }) throw new SettingsException($"{path}: the keyword {unknown} is not supported here.");
        switch (type)
        {
            case "object":
                if (part["additionalProperties"] is { } open && open.GetValueKind() != JsonValueKind.False) throw new SettingsException($"{path}: additionalProperties can only be false.");
                part["additionalProperties"] = false;
                var members = part["properties"] as JsonObject ?? [];
                if (part["required"] is { } required && (required is not JsonArray names || names.Any(name => TextOf(name) is not { } text || !members.ContainsKey(text)))) throw new SettingsException($"{path}: required must name declared members.");
                foreach (var (name, member) in members.ToList()) Prepare(member, $"{path}.{name}", depth + 1, settings);
                break;
            case "array":
                if (part["maxItems"] is { } most && (most.GetValueKind() != JsonValueKind.Number || !most.AsValue().TryGetValue(out int count) || count < 1)) throw new SettingsException($"{path}: maxItems must be 1 or more.");
                Prepare(part["items"], $"{path}[]", depth + 1, settings);
                break;
            case "string":
                if (part["enum"] is { } values && (values is not JsonArray { Count: > 0 } list || list.Any(value => TextOf(value) is null))) throw new SettingsException($"{path}: enum must list texts.");
                if (part["format"] is { } format && !Formats.Contains(TextOf(format))) throw new SettingsException($"{path}: format must be one of {string.Join(", ", Formats)}.");
                if (part["pattern"] is { } pattern) Replace(part, TextOf(pattern), path, settings);
                break;
        }
    }

    /// <summary>The library would match with backtracking, which a hostile text can draw out for ever (E12). A format of our own matches instead.</summary>
    private static void Replace(JsonObject part, string? pattern, string path, JsonSchemaValidatorSettings settings)
    {
        if (part.ContainsKey("format")) throw new SettingsException($"{path}: format and pattern exclude each other.");
        try
        {
            var regex = new Regex(pattern ?? throw new SettingsException($"{path}: pattern must be a text."), RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
            var name = $"pattern {settings.FormatValidators.Count()}";
            part.Remove("pattern");
            part["format"] = name;
            settings.AddCustomFormatValidator(new Pattern(name, regex));
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new SettingsException($"{path}: this pattern can't be used; it must do without backtracking.");
        }
    }

    private static string? TextOf(JsonNode? node) => node?.GetValueKind() == JsonValueKind.String ? (string?)node : null;

    private sealed class Pattern(string format, Regex regex) : IFormatValidator
    {
        public string Format => format;

        public ValidationErrorKind ValidationErrorKind => ValidationErrorKind.PatternMismatch;

        public bool IsValid(string value, JTokenType tokenType) => regex.IsMatch(value);
    }
}
