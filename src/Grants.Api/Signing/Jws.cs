using System.Buffers.Text;
using System.Text;
using System.Text.Json;

namespace Grants.Api.Signing;

/// <summary>
/// A JWS in compact form (RFC 7515 §7.1), taken apart. Nothing in it is believed yet. For JWTs that others make: what the server
/// signs itself is read by <see cref="TokenSigner"/>.
/// </summary>
/// <param name="Signed">The octets under the signature.</param>
internal sealed record Jws(JsonMembers Header, JsonMembers Payload, byte[] Signed, byte[] Signature)
{
    /// <summary>Longer texts are refused before anything reads them (T9).</summary>
    public const int MaxLength = 8192;

    public string? Algorithm => Header.Text("alg");

    /// <summary>The media type of the whole, RFC 7515 §4.1.9: in small letters and without <c>application/</c>. Null when it isn't said; empty when it is no text.</summary>
    public string? Type => !Header.Has("typ") ? null
        : Header.Text("typ")?.ToLowerInvariant() is not { } type ? ""
        : type.StartsWith("application/", StringComparison.Ordinal) ? type["application/".Length..] : type;

    /// <summary>
    /// Null for what is no JWS of two JSON objects, and for one that demands an extension: the server knows none (RFC 7515 §4.1.11).
    /// An unsigned one is taken apart, too; no algorithm that anything here verifies is called <c>none</c>.
    /// </summary>
    public static Jws? Parse(string? text)
    {
        if (text is null or { Length: > MaxLength } || text.Split('.') is not [var header, var payload, var signature]) return null;
        if (JsonMembers.Parse(Decode(header)) is not { } protectedHeader || JsonMembers.Parse(Decode(payload)) is not { } claims || Decode(signature) is not { } proof) return null;
        return protectedHeader.Has("crit") ? null : new Jws(protectedHeader, claims, Encoding.ASCII.GetBytes(text[..text.LastIndexOf('.')]), proof);
    }

    /// <summary>base64url without padding or white space (RFC 7515 §2), written in the one way that is canonical; null for what isn't.</summary>
    public static byte[]? Decode(string text)
    {
        if (!Base64Url.IsValid(text)) return null;
        var bytes = Base64Url.DecodeFromChars(text);
        return Base64Url.EncodeToString(bytes) == text ? bytes : null;
    }
}

/// <summary>The members of a JSON object, each name once (RFC 7515 §5.2, RFC 8725 §2.4).</summary>
internal sealed class JsonMembers
{
    private static readonly JsonDocumentOptions Options = new() { MaxDepth = 16, AllowDuplicateProperties = false };
    private readonly Dictionary<string, JsonElement> _members = new(StringComparer.Ordinal);

    private JsonMembers(JsonElement element)
    {
        foreach (var member in element.EnumerateObject()) _members.Add(member.Name, member.Value);
    }

    /// <summary>Null for what is no JSON object, for nesting beyond 16 and for a member that stands twice.</summary>
    public static JsonMembers? Parse(byte[]? json)
    {
        if (json is null || !System.Text.Unicode.Utf8.IsValid(json)) return null;
        try
        {
            var element = JsonElement.Parse(json, Options);
            Read(element);
            return Of(element);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            return null; // not UTF-8, half a surrogate pair in a name, and the like
        }
    }

    /// <summary>Reads every name and text once: escapes that stand for no character show only then.</summary>
    private static void Read(JsonElement json)
    {
        if (json.ValueKind == JsonValueKind.String) _ = json.GetString();
        if (json.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in json.EnumerateArray()) Read(item);
        }

        if (json.ValueKind != JsonValueKind.Object) return;
        foreach (var member in json.EnumerateObject())
        {
            _ = member.Name;
            Read(member.Value);
        }
    }

    /// <summary>Null for what is no object.</summary>
    public static JsonMembers? Of(JsonElement element) => element.ValueKind == JsonValueKind.Object ? new JsonMembers(element) : null;

    /// <summary>In no order.</summary>
    public IEnumerable<KeyValuePair<string, JsonElement>> All => _members;

    public bool Has(string name) => _members.ContainsKey(name);

    public JsonElement? this[string name] => _members.TryGetValue(name, out var value) ? value : null;

    /// <summary>Null when it is absent or no text.</summary>
    public string? Text(string name) => this[name] is { } value ? TextOf(value) : null;

    /// <summary>A time as RFC 7519 §2 writes it, fractions of seconds included. Null when it is absent or no such time.</summary>
    public DateTimeOffset? Time(string name) =>
        this[name] is { ValueKind: JsonValueKind.Number } value && value.TryGetDouble(out var seconds) && seconds is >= 0 and < 253_402_300_799
            ? DateTimeOffset.UnixEpoch.AddSeconds(seconds)
            : null;

    public static string? TextOf(JsonElement value)
    {
        try
        {
            return value.ValueKind == JsonValueKind.String ? value.GetString() : null;
        }
        catch (InvalidOperationException)
        {
            return null; // half a surrogate pair, or not UTF-8
        }
    }
}
