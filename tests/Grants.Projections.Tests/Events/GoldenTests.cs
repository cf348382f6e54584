using System.Text;
using System.Text.RegularExpressions;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Keys;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.Subjects;
using Grants.Domain.TokenFamilies;
using Marten;

namespace Grants.Projections.Tests.Events;

/// <summary>
/// How events are written is the storage format: what was once written must load for ever. A golden that has been released is never
/// edited; a new shape gets a new type, a new name and an upcaster.
/// </summary>
public sealed partial class GoldenTests
{
    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "Events", "goldens");
    private static readonly ISerializer Store = StoreSerializer();

    private static ISerializer StoreSerializer()
    {
        var options = new StoreOptions();
        GrantsStore.Configure(options);
        return options.Serializer();
    }

    private static string FileOf(string variant, IDomainEvent happened) =>
        EventNames.Of(happened) + (variant.Length == 0 ? "" : "." + variant) + ".v1.json";

    private static object Load(Type type, string json)
    {
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(json));
        return Store.FromJson(type, stream);
    }

    public static TheoryData<string> Written => [.. Examples.All.Select(example => FileOf(example.Variant, example.Event))];

    public static TheoryData<string> Released => [.. Directory.GetFiles(Folder, "*.json").Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    [Theory, Trait("Law", "L5")]
    [MemberData(nameof(Written))]
    public void An_event_is_written_as_its_golden_says(string file)
    {
        var example = Examples.All.Single(example => FileOf(example.Variant, example.Event) == file);
        var written = Store.ToJson(example.Event) + "\n";
        var path = Path.Combine(Folder, file);
        Assert.True(File.Exists(path), $"Events/goldens/{file} is missing. The store writes:\n{written}");
        Assert.Equal(Encoding.UTF8.GetBytes(written), File.ReadAllBytes(path));
    }

    [Theory, Trait("Law", "L5")]
    [MemberData(nameof(Written))]
    public void A_golden_loads_as_the_event_that_was_written(string file)
    {
        var example = Examples.All.Single(example => FileOf(example.Variant, example.Event) == file);
        Assert.Equal(example.Event, Load(example.Event.GetType(), File.ReadAllText(Path.Combine(Folder, file))));
    }

    [Theory, Trait("Law", "L5")]
    [MemberData(nameof(Released))]
    public void Every_golden_ever_released_still_loads_and_folds_and_is_written_back_the_same(string file)
    {
        var name = string.Join('.', file.Split('.').Take(2));
        var type = EventNames.All.Single(entry => entry.Value == name).Key;
        var json = File.ReadAllText(Path.Combine(Folder, file));
        var happened = (IDomainEvent)Load(type, json);
        Fold(happened);
        Assert.Equal(json, Store.ToJson(happened) + "\n");
    }

    [Fact, Trait("Law", "L5")]
    public void Every_event_has_a_wire_name_and_a_stream()
    {
        var events = typeof(IDomainEvent).Assembly.GetTypes().Where(type => type.IsAssignableTo(typeof(IDomainEvent)) && !type.IsAbstract);
        Assert.Equal(events.ToHashSet(), EventNames.All.Keys.ToHashSet());
        Assert.All(Examples.All, example => Assert.NotNull(EventNames.StreamOf(example.Event)));
    }

    [Fact, Trait("Law", "L5")]
    public void Every_event_has_a_golden() =>
        Assert.Equal(EventNames.All.Keys.ToHashSet(), Examples.All.Where(example => example.Variant.Length == 0).Select(example => example.Event.GetType()).ToHashSet());

    [Fact]
    public void Every_golden_has_an_example() => Assert.Equal(Released.Select(row => row.Data).Order(StringComparer.Ordinal), Written.Select(row => row.Data).Order(StringComparer.Ordinal));

    [Fact, Trait("Law", "L5")]
    public void Wire_names_are_unique_and_say_the_stream_and_what_happened()
    {
        Assert.Equal(EventNames.All.Values.Distinct(), EventNames.All.Values);
        Assert.All(EventNames.All.Values, name => Assert.Matches(WireName(), name));
        // All events of a stream begin with the same word, and no other stream's do.
        var words = EventNames.All.GroupBy(entry => entry.Key.BaseType, entry => entry.Value.Split('.')[0]).Select(stream => Assert.Single(stream.Distinct())).ToList();
        Assert.Equal(words.Distinct(), words);
    }

    [Fact, Trait("Law", "L5")]
    public void The_store_knows_every_event_by_its_wire_name()
    {
        var options = new StoreOptions();
        GrantsStore.Configure(options);
        var known = ((IReadOnlyStoreOptions)options).Events.AllKnownEventTypes().ToDictionary(type => type.EventType, type => type.EventTypeName);
        Assert.All(EventNames.All, entry => Assert.Equal(entry.Value, known[entry.Key]));
    }

    [Fact, Trait("Law", "L6")]
    public void The_store_writes_no_secret()
    {
        Assert.Throws<NotSupportedException>(() => Store.ToJson(new { Password = new Secret("hidden") }));
        Assert.Throws<NotSupportedException>(() => Load(typeof(Secret), "\"hidden\""));
    }

    private static object? Fold(IDomainEvent happened) => happened switch
    {
        ClientEvent e => Client.Evolve(null, Guid.Empty, e),
        SubjectEvent e => Subject.Evolve(null, Guid.Empty, e),
        SessionEvent e => Session.Evolve(null, Guid.Empty, e),
        AuthorizationEvent e => Authorization.Evolve(null, Guid.Empty, e),
        GrantEvent e => Grant.Evolve(null, Guid.Empty, e),
        TokenFamilyEvent e => TokenFamily.Evolve(null, Guid.Empty, e),
        SigningKeyEvent e => SigningKey.Evolve(null, Guid.Empty, e),
        CatalogueEvent e => Catalogue.Evolve(null, Guid.Empty, e),
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    [GeneratedRegex(@"^[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*\z")]
    private static partial Regex WireName();
}
