using Grants.Domain.TokenFamilies;
using Grants.Projections.CurrentGrants;
using Grants.Projections.CurrentTokens;
using Grants.Projections.Deadlines;
using JasperFx.Events.Projections;
using Marten;

namespace Grants.Projections.Tests.Views;

/// <summary>To load an event costs most of what a view costs, so each event is loaded for the views that it concerns alone.</summary>
public sealed class LoadingTests
{
    private static readonly Dictionary<string, List<Type>> Loaded = Configured();

    [Fact]
    public void The_events_of_tokens_are_loaded_for_one_view() =>
        Assert.Equal([CurrentTokensTable.ViewName], Loaded.Where(view => view.Value.Any(type => type.BaseType == typeof(TokenFamilyEvent))).Select(view => view.Key));

    [Fact]
    public void Each_view_names_the_events_that_are_loaded_for_it()
    {
        Assert.Equal(GrantsStore.AsyncViews.Order(), Loaded.Keys.Order());
        Assert.Equal(CurrentTokenRows.Events.ToHashSet(), Loaded[CurrentTokensTable.ViewName].ToHashSet());
        Assert.Equal(CurrentGrantRows.Events.ToHashSet(), Loaded[CurrentGrantsTable.ViewName].ToHashSet());
        Assert.Equal(new DeadlinesTable().IncludedEventTypes.ToHashSet(), Loaded[DeadlinesTable.ViewName].ToHashSet());
        // An empty filter means all events, and so does one that names a whole kind of them.
        Assert.All(Loaded.Values, types => Assert.True(types.Count > 0 && !types.Any(type => type.IsAbstract)));
    }

    /// <summary>As Marten has it. Nothing connects.</summary>
    private static Dictionary<string, List<Type>> Configured()
    {
        var options = new StoreOptions();
        GrantsStore.Configure(options);
        return options.Projections.All.Where(projection => projection.Lifecycle == ProjectionLifecycle.Async)
            .ToDictionary(projection => projection.Name, projection => ((EventFilterable)projection).IncludedEventTypes);
    }
}
