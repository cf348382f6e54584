using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Grants.Domain.AccessGrants;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Keys;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Marten;

namespace Grants.Projections.Tests.Events;

/// <summary>What is stored is written and read by generated code, and means the same as it did by reflection.</summary>
public sealed class StoredJsonTests
{
    private static readonly Type[] States = [typeof(Client), typeof(Subject), typeof(Grant), typeof(SigningKey), typeof(Catalogue)];

    private static readonly JsonSerializerOptions Options = Configured();

    private static JsonSerializerOptions Configured()
    {
        var options = new JsonSerializerOptions();
        Json.Configure(options);
        return options;
    }

    public static TheoryData<Type> Stored => [.. EventNames.All.Keys.Concat(States)];

    [Theory]
    [MemberData(nameof(Stored))]
    public void A_stored_type_and_its_parts_are_served_by_generated_code_unless_they_have_initializers(Type type)
    {
        var seen = new HashSet<Type>();
        var open = new Queue<Type>([type]);
        while (open.TryDequeue(out var part))
        {
            if (!seen.Add(part)) continue;
            // A list of values has a converter of ours, which asks for the array.
            if (part.IsGenericType && part.GetGenericTypeDefinition() == typeof(ValueList<>)) open.Enqueue(part.GetGenericArguments()[0].MakeArrayType());
            var info = Options.GetTypeInfo(part);
            Assert.True(info.OriginatingResolver is JsonSerializerContext == !HasInitializers(part), $"{part} is served by {info.OriginatingResolver}: see StoredJson and Json.WithInitializers.");
            foreach (var property in info.Properties) open.Enqueue(property.PropertyType);
            if (info.ElementType is { } element) open.Enqueue(element);
        }
    }

    /// <summary>A member of ours that may be set and that no constructor asks for: what it is when left out, only its initializer knows.</summary>
    private static bool HasInitializers(Type type) => type.Assembly == typeof(Client).Assembly && Options.GetTypeInfo(type).Kind == JsonTypeInfoKind.Object
        && type.GetProperties().Any(property => property.CanWrite && !type.GetConstructors().SelectMany(constructor => constructor.GetParameters()).Any(parameter => parameter.Name == property.Name));

    [Fact]
    public void Every_document_of_the_store_is_among_them()
    {
        var options = new StoreOptions();
        GrantsStore.Configure(options);
        options.Connection("Host=localhost"); // never asked
        using var store = new DocumentStore(options);
        var documents = ((IReadOnlyStoreOptions)options).AllKnownDocumentTypes().Select(document => document.DocumentType).Where(type => type.Assembly == typeof(Client).Assembly);
        Assert.Equal(documents.ToHashSet(), States.ToHashSet());
    }

    [Fact, Trait("Law", "L5")]
    public void What_a_stored_client_does_not_say_has_its_default()
    {
        var options = new StoreOptions();
        GrantsStore.Configure(options);
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes("""{"client_name":"Tally"}"""));
        Assert.Equal(new ClientMetadata { ClientName = "Tally" }, options.Serializer().FromJson<ClientMetadata>(stream));
    }
}
