using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Projections;

/// <summary>How the domain's values are written in events and views: as the plain text or list that they stand for.</summary>
public static class Json
{
    public static void Configure(JsonSerializerOptions options)
    {
        options.DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull;
        options.TypeInfoResolver = JsonTypeInfoResolver.Combine(new WithInitializers(), StoredJson.Default, new DefaultJsonTypeInfoResolver()).WithAddedModifier(LeaveOutWhatIsComputed);
        options.Converters.Add(new TextConverter<ClientId>(id => id.Value, text => new ClientId(text)));
        options.Converters.Add(new TextConverter<RedirectUri>(uri => uri.Value, text => new RedirectUri(text)));
        options.Converters.Add(new TextConverter<CodeChallenge>(challenge => challenge.Value, text => new CodeChallenge(text)));
        options.Converters.Add(new TextConverter<JwkThumbprint>(jkt => jkt.Value, text => new JwkThumbprint(text)));
        options.Converters.Add(new TextConverter<SealedText>(text => text.Value, text => new SealedText(text)));
        options.Converters.Add(new TextConverter<SubjectId>(id => id.ToString(),
            text => SubjectId.TryParse(text, out var id) ? id : throw new JsonException("Not a subject id.")));
        options.Converters.Add(new ScopeSetConverter());
        options.Converters.Add(new ValueListConverterFactory());
        options.Converters.Add(new SecretConverter());
    }

    /// <summary>
    /// Events keep what was said, never what today's code makes of it. States of streams keep both, since they are found by
    /// computed values, too.
    /// </summary>
    private static void LeaveOutWhatIsComputed(JsonTypeInfo type)
    {
        if (type.Kind != JsonTypeInfoKind.Object || type.Type.Assembly != typeof(IDomainEvent).Assembly || EventNames.IsState(type.Type)) return;
        for (var i = type.Properties.Count - 1; i >= 0; i--)
        {
            if (type.Properties[i].Set is null) type.Properties.RemoveAt(i);
        }
    }

    /// <summary>
    /// Generated code sets an init-only member that the JSON leaves out to nothing, reflection leaves it what its initializer says. Types
    /// with such members are read by reflection, so that what was stored before a member came keeps that member's default.
    /// </summary>
    private sealed class WithInitializers : IJsonTypeInfoResolver
    {
        private readonly DefaultJsonTypeInfoResolver _reflection = new();

        public JsonTypeInfo? GetTypeInfo(Type type, JsonSerializerOptions options) => type == typeof(ClientMetadata) ? _reflection.GetTypeInfo(type, options) : null;
    }

    private sealed class TextConverter<T>(Func<T, string> write, Func<string, T> read) : JsonConverter<T>
    {
        public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            read(reader.GetString() ?? throw new JsonException("Text expected."));

        public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) => writer.WriteStringValue(write(value));
    }

    private sealed class ScopeSetConverter : JsonConverter<ScopeSet>
    {
        public override ScopeSet Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            ScopeSet.Of(JsonSerializer.Deserialize<string[]>(ref reader, options)!);

        public override void Write(Utf8JsonWriter writer, ScopeSet value, JsonSerializerOptions options)
        {
            writer.WriteStartArray();
            foreach (var scope in value) writer.WriteStringValue(scope);
            writer.WriteEndArray();
        }
    }

    private sealed class ValueListConverterFactory : JsonConverterFactory
    {
        public override bool CanConvert(Type typeToConvert) =>
            typeToConvert.IsGenericType && typeToConvert.GetGenericTypeDefinition() == typeof(ValueList<>);

        public override JsonConverter CreateConverter(Type typeToConvert, JsonSerializerOptions options) =>
            (JsonConverter)Activator.CreateInstance(typeof(ValueListConverter<>).MakeGenericType(typeToConvert.GetGenericArguments()))!;
    }

    private sealed class ValueListConverter<T> : JsonConverter<ValueList<T>>
    {
        public override ValueList<T> Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            new(JsonSerializer.Deserialize<T[]>(ref reader, options)!);

        public override void Write(Utf8JsonWriter writer, ValueList<T> value, JsonSerializerOptions options) =>
            JsonSerializer.Serialize(writer, value.ToArray(), options);
    }

    /// <summary>A secret that reaches a serializer is a bug, and a bug must not become a leak (L6).</summary>
    private sealed class SecretConverter : JsonConverter<Secret>
    {
        public override Secret Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            throw new NotSupportedException("A secret is never stored.");

        public override void Write(Utf8JsonWriter writer, Secret value, JsonSerializerOptions options) =>
            throw new NotSupportedException("A secret is never stored.");
    }
}
