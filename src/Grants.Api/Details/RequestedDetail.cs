using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Grants.Domain.Protocol;

namespace Grants.Api.Details;

/// <summary>One object of <c>authorization_details</c> as a client sent it, RFC 9396 §2, in canonical form.</summary>
/// <param name="Text">Members in the order of their names, no white space; numbers as they were written, since an amount must not be rounded.</param>
public sealed record RequestedDetail(string Type, string Text, ValueList<string>? Locations)
{
    /// <summary>What the canonical forms may have together, in octets: they must fit into an access token (its reader stops at 8192 characters).</summary>
    private const int MostOctets = 4096;

    /// <summary>Longer parameters are refused before anything reads them (T9). JSON can write any octet in six characters.</summary>
    private const int LongestParameter = 6 * MostOctets;

    private const int MostObjects = 16;

    private static readonly JsonDocumentOptions Reading = new() { MaxDepth = 16, AllowDuplicateProperties = false };

    // As the library writes the claims of a token; a page encodes for itself.
    private static readonly JsonWriterOptions Writing = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>RFC 9396 §2.2: the members whose meaning is common to all types.</summary>
    private static readonly string[] CommonLists = ["locations", "actions", "datatypes", "privileges"];

    /// <summary>The objects, or why they can't be read; neither when there is no parameter.</summary>
    public static (IReadOnlyList<RequestedDetail>? Details, OAuthError? Fault) Parse(string? parameter)
    {
        if (parameter is null) return default;
        if (parameter.Length > LongestParameter) return Refuse("authorization_details is too long.");
        try
        {
            var json = JsonElement.Parse(Encoding.UTF8.GetBytes(parameter), Reading);
            if (json.ValueKind != JsonValueKind.Array || json.GetArrayLength() is 0 or > MostObjects) return Refuse("authorization_details must be a JSON array of 1 to 16 objects.");
            var details = new List<RequestedDetail>();
            foreach (var item in json.EnumerateArray())
            {
                if (item.ValueKind != JsonValueKind.Object || !item.TryGetProperty("type", out var type) || TextOf(type) is not { } name) return Refuse("Each of the authorization_details must be an object with a type.");
                if (!HasCommonForm(item)) return Refuse("A common member of authorization_details is not of its form (RFC 9396 section 2.2).");
                var locations = item.TryGetProperty("locations", out var named) ? new ValueList<string>(named.EnumerateArray().Select(location => location.GetString()!)) : null;
                details.Add(new RequestedDetail(name, Canonical(item), locations));
            }

            if (details.Sum(detail => Encoding.UTF8.GetByteCount(detail.Text)) > MostOctets) return Refuse("authorization_details is too long.");
            if (details.DistinctBy(detail => detail.Text).Count() < details.Count) return Refuse("The same object stands twice in authorization_details.");
            return (details, null);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            return Refuse("authorization_details can't be read: no JSON, too deep, a name twice, or control characters."); // or half a surrogate pair
        }
    }

    internal static OAuthError Fault(string description) => new(ErrorCode.InvalidAuthorizationDetails, description);

    private static (IReadOnlyList<RequestedDetail>?, OAuthError?) Refuse(string description) => (null, Fault(description));

    private static bool HasCommonForm(JsonElement item) =>
        CommonLists.All(name => !item.TryGetProperty(name, out var list) || (list.ValueKind == JsonValueKind.Array && list.GetArrayLength() > 0 && list.EnumerateArray().All(one => TextOf(one) is not null)))
        && (!item.TryGetProperty("identifier", out var identifier) || TextOf(identifier) is not null);

    /// <summary>Null for what is no text, and for an empty one.</summary>
    private static string? TextOf(JsonElement value) => value.ValueKind == JsonValueKind.String && value.GetString() is { Length: > 0 } text ? text : null;

    private static string Canonical(JsonElement json)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, Writing)) Write(writer, json);
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static void Write(Utf8JsonWriter writer, JsonElement json)
    {
        switch (json.ValueKind)
        {
            case JsonValueKind.Object:
                writer.WriteStartObject();
                foreach (var member in json.EnumerateObject().OrderBy(member => member.Name, StringComparer.Ordinal))
                {
                    writer.WritePropertyName(member.Name);
                    Write(writer, member.Value);
                }

                writer.WriteEndObject();
                break;
            case JsonValueKind.Array:
                writer.WriteStartArray();
                foreach (var item in json.EnumerateArray()) Write(writer, item);
                writer.WriteEndArray();
                break;
            case JsonValueKind.String:
                // A pattern that ends with $ lets a line feed pass, and no page could show it.
                if (json.GetString() is var text && text.AsSpan().ContainsAnyInRange('\0', '\u001f')) throw new JsonException();
                writer.WriteStringValue(text);
                break;
            default:
                json.WriteTo(writer);
                break;
        }
    }
}
