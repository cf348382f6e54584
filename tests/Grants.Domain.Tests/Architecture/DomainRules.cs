using System.Collections;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;

namespace Grants.Domain.Tests.Architecture;

/// <summary>What the Domain may be made of.</summary>
public sealed partial class DomainRules
{
    private static readonly Assembly Domain = typeof(IDomainEvent).Assembly;

    private static IEnumerable<Type> Ours => Domain.GetTypes()
        .Where(type => type.Namespace?.StartsWith("Grants.Domain", StringComparison.Ordinal) == true && !IsGenerated(type));

    private static IEnumerable<Type> Events => Ours.Where(type => type.IsAssignableTo(typeof(IDomainEvent)) && !type.IsAbstract);

    [Fact]
    public void It_references_nothing_but_the_base_class_library() =>
        Assert.All(Domain.GetReferencedAssemblies(), reference => Assert.True(reference.Name!.StartsWith("System.", StringComparison.Ordinal), reference.Name));

    [Fact]
    public void Every_event_is_a_sealed_record_of_a_closed_union()
    {
        Assert.NotEmpty(Events);
        Assert.All(Events, type =>
        {
            var union = type.BaseType!;
            Assert.True(type.IsSealed && IsRecord(type), $"{type} is no sealed record.");
            Assert.True(union.IsAbstract && IsRecord(union) && type.DeclaringType == union, $"{type} is not nested in its union.");
            Assert.True(union.GetConstructor(BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public, [])!.IsPrivate, $"{union} can be extended from outside.");
        });
    }

    [Fact]
    public void Every_event_says_when_it_happened() => Assert.All(Events, type => Assert.True(
        type.GetProperty("At")?.PropertyType == typeof(DateTimeOffset) || type.GetProperties().Any(property => property.PropertyType == typeof(Authentication)), type.ToString()));

    [Fact, Trait("Law", "L6"), Trait("Attack", "T14")]
    public void No_event_can_hold_a_secret_or_key_material() =>
        Assert.All(Events, type => Assert.Empty(ReachableFrom(type).Intersect([typeof(Secret), typeof(byte[]), typeof(ReadOnlyMemory<byte>), typeof(Memory<byte>), typeof(object)])));

    [Fact]
    public void Nothing_that_events_hold_can_be_changed() =>
        Assert.All(Events.SelectMany(ReachableFrom).Distinct().Where(type => type.Assembly == Domain && !type.IsArray).SelectMany(type => type.GetProperties(BindingFlags.Instance | BindingFlags.Public)),
            property => Assert.True(property.SetMethod is null || IsInitOnly(property.SetMethod), $"{property.DeclaringType}.{property.Name}"));

    [Fact]
    public void No_type_is_named_after_nothing_in_particular() =>
        Assert.DoesNotContain(Ours, type => EmptyName().IsMatch(type.Name));

    [Fact]
    public void Nothing_static_can_be_changed() =>
        Assert.All(Ours.SelectMany(type => type.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)).Where(field => !IsGenerated(field) || field.Name.EndsWith(">k__BackingField", StringComparison.Ordinal)),
            field => Assert.True((field.IsInitOnly || field.IsLiteral) && !IsMutable(field.FieldType), $"{field.DeclaringType}.{field.Name}"));

    [Fact]
    public void Every_decision_is_static_and_waits_for_nothing()
    {
        var decisions = Ours.SelectMany(type => type.GetMethods(BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            .Where(method => method.Name == "Decide").ToList();
        Assert.NotEmpty(decisions);
        Assert.All(decisions, method =>
        {
            Assert.True(method.IsStatic, $"{method.DeclaringType}.Decide keeps state.");
            Assert.False(method.ReturnType.IsAssignableTo(typeof(Task)) || method.ReturnType.Name.StartsWith("ValueTask", StringComparison.Ordinal), $"{method.DeclaringType}.Decide waits.");
            Assert.Equal(typeof(DateTimeOffset), method.GetParameters()[^1].ParameterType);
        });
    }

    [Fact]
    public void Nothing_waits_or_looks_at_a_clock() =>
        Assert.All(Ours.SelectMany(type => type.GetMethods(BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)), method =>
        {
            Assert.Null(method.GetCustomAttribute<AsyncStateMachineAttribute>());
            Assert.DoesNotContain(method.GetParameters(), parameter => parameter.ParameterType == typeof(TimeProvider));
        });

    /// <summary>The types of an event's properties, of their properties, and so on; items of lists included.</summary>
    private static HashSet<Type> ReachableFrom(Type type)
    {
        var found = new HashSet<Type>();
        var open = new Stack<Type>([type]);
        while (open.TryPop(out var next))
        {
            if (!found.Add(next)) continue;
            foreach (var argument in next.GetGenericArguments()) open.Push(argument);
            if (next.GetElementType() is { } element) open.Push(element);
            if (next.IsArray || next.Assembly != Domain) continue;
            foreach (var property in next.GetProperties(BindingFlags.Instance | BindingFlags.Public)) open.Push(property.PropertyType);
            foreach (var field in next.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)) open.Push(field.FieldType);
        }

        return found;
    }

    private static bool IsRecord(Type type) => type.GetMethod("<Clone>$") is not null;

    private static bool IsInitOnly(MethodInfo setter) => setter.ReturnParameter.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit));

    private static bool IsMutable(Type type) => type.IsArray
        || (type.IsGenericType && type.GetGenericTypeDefinition() is var open && (open == typeof(List<>) || open == typeof(Dictionary<,>) || open == typeof(HashSet<>) || open == typeof(IList<>) || open == typeof(IDictionary<,>) || open == typeof(ISet<>)))
        || type == typeof(IList);

    private static bool IsGenerated(MemberInfo member) =>
        member.IsDefined(typeof(CompilerGeneratedAttribute)) || member.Name.Contains('<', StringComparison.Ordinal) || (member.DeclaringType is { } outer && IsGenerated(outer));

    [GeneratedRegex("(Service|Manager|Helper|Utils?|Utilities|Dto|ViewModel|Impl)(`[0-9])?$")]
    private static partial Regex EmptyName();
}
