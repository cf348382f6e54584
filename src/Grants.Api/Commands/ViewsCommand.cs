using System.Diagnostics;
using System.Globalization;
using Grants.Projections;
using JasperFx.CommandLine;
using Marten;

namespace Grants.Api.Commands;

/// <summary>What <c>grants views</c>, also called <c>grants projections rebuild</c>, is asked for.</summary>
public sealed class ViewsInput : NetCoreInput
{
    [Description("rebuild")]
    public ViewsAction Action { get; set; }

    [Description("Only this view; all of them when it is left out")]
    public string? ViewFlag { get; set; }
}

/// <summary>What can be done; the names are what is typed.</summary>
public enum ViewsAction
{
#pragma warning disable CA1707, IDE1006 // typed as it stands on the command line
    rebuild,
#pragma warning restore CA1707, IDE1006
}

/// <summary>
/// Rebuilds the asynchronous views from the log. The inline ones are left alone: decisions read them, and a server may be running.
/// </summary>
[Description("Rebuild the views from the log", Name = "views")]
public sealed class ViewsCommand : JasperFxAsyncCommand<ViewsInput>
{
    public ViewsCommand() => Usage("Rebuild the views").Arguments(input => input.Action);

    public override async Task<bool> Execute(ViewsInput input)
    {
        if (input.ViewFlag is { } named && !GrantsStore.AsyncViews.Contains(named))
        {
            Output.Fail($"There is no view {named}. There are: {string.Join(", ", GrantsStore.AsyncViews)}.");
            return false;
        }

        using var host = input.BuildHost();
        using var daemon = await host.Services.GetRequiredService<IDocumentStore>().BuildProjectionDaemonAsync();
        foreach (var view in GrantsStore.AsyncViews.Where(view => input.ViewFlag is null || view == input.ViewFlag))
        {
            var watch = Stopwatch.StartNew();
            await daemon.RebuildProjectionAsync(view, CancellationToken.None);
            Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"rebuilt  {view}  {watch.Elapsed.TotalSeconds:0.0} s"));
        }

        return true;
    }
}
