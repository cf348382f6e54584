using System.Reflection;

namespace Grants.Projections.Tests.Architecture;

/// <summary>Projections see events and nothing else (L5).</summary>
public sealed class ProjectionRules
{
    private static readonly Assembly Projections = typeof(GrantsStore).Assembly;

    private const BindingFlags All = BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    [Fact]
    public void They_know_nothing_of_HTTP()
    {
        Assert.DoesNotContain(Projections.GetReferencedAssemblies(), reference => reference.Name!.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal)
            || reference.Name.StartsWith("Wolverine", StringComparison.Ordinal) || reference.Name.StartsWith("System.Net.Http", StringComparison.Ordinal));
    }

    [Fact, Trait("Law", "L5")]
    public void They_take_no_clock() =>
        Assert.DoesNotContain(Projections.GetTypes().SelectMany(type => type.GetMembers(All)).OfType<MethodBase>().SelectMany(method => method.GetParameters()),
            parameter => parameter.ParameterType.IsAssignableTo(typeof(TimeProvider)));

    [Fact, Trait("Law", "L5")]
    public void They_keep_no_clock() =>
        Assert.DoesNotContain(Projections.GetTypes().SelectMany(type => type.GetFields(All)), field => field.FieldType.IsAssignableTo(typeof(TimeProvider)));

    [Fact]
    public void No_type_is_named_after_nothing_in_particular() =>
        Assert.DoesNotContain(Projections.GetTypes().Where(type => type.Namespace?.StartsWith("Grants.", StringComparison.Ordinal) == true).Select(type => type.Name),
            name => new[] { "Service", "Manager", "Helper", "Utils", "Dto", "ViewModel" }.Any(word => name.EndsWith(word, StringComparison.Ordinal)));
}
