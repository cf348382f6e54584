using Grants.Api.Configuration;
using JasperFx.CommandLine;
using Marten;

namespace Grants.Api.Commands;

/// <summary>What <c>grants config</c> is asked for.</summary>
public sealed class ConfigInput : NetCoreInput
{
    [Description("apply")]
    public ConfigAction Action { get; set; }

    [Description("The declared configuration, a JSON file")]
    public string File { get; set; } = "";
}

/// <summary>What can be done; the names are what is typed.</summary>
public enum ConfigAction
{
#pragma warning disable CA1707, IDE1006 // typed as it stands on the command line
    apply,
#pragma warning restore CA1707, IDE1006
}

/// <summary>Applies a declared configuration: appends only what differs, and says what that was.</summary>
[Description("Apply a declared configuration; appends only the differences", Name = "config")]
public sealed class ConfigCommand : JasperFxAsyncCommand<ConfigInput>
{
    public ConfigCommand() => Usage("Apply a file").Arguments(input => input.Action, input => input.File);

    public override async Task<bool> Execute(ConfigInput input)
    {
        try
        {
            var declared = DeclaredConfiguration.Read(input.File);
            using var host = input.BuildHost();
            await host.Services.GetRequiredService<IDocumentStore>().Storage.ApplyAllConfiguredChangesToDatabaseAsync();
            var changes = await host.Services.GetRequiredService<ConfigurationApplier>().ApplyAsync(declared, "cli", CancellationToken.None);
            foreach (var change in changes) Console.Out.WriteLine($"changed  {change}");
            Console.Out.WriteLine(changes.Count == 0 ? "Nothing to change." : $"{changes.Count} changed.");
            return true;
        }
        catch (SettingsException e)
        {
            Output.Fail(e.Message);
            return false;
        }
    }
}
