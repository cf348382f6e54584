using Grants.Api;
using Grants.Api.Commands;
using Grants.Api.Database;
using Grants.Api.Http;
using JasperFx;
using Spectre.Console;
using Wolverine.Http;

AnsiConsole.Console = QuietConsole.Make();
try
{
    var builder = WebApplication.CreateBuilder(args);

    // Options (--urls …) mean the server; a word means a command (grants events …).
    var isCommand = args.Length > 0 && !args[0].StartsWith('-');
    var settings = Settings.From(builder.Configuration, builder.Environment, isCommand);
    builder.AddGrantsLogging();
    builder.Host.ApplyJasperFxExtensions();
    builder.WebHost.ConfigureKestrel(kestrel => kestrel.AddGrantsLimits());

    builder.Services.AddSingleton(settings).AddSingleton(TimeProvider.System).AddGrantsDatabase().AddGrants().AddGrantsPages();
    builder.AddGrantsEventStore(settings);

    var app = builder.Build();
    app.UseSecurityHeaders(settings);
    app.UseGrantsErrors();
    app.UseKnownHostsOnly(settings);
    app.UseAuthentication();
    app.MapWolverineEndpoints();

    if (isCommand) return await app.RunJasperFxCommands(args);
    await app.RunAsync();
    return 0;
}
catch (Exception e) when (e is SettingsException or PostgresMissingException)
{
    await Console.Error.WriteLineAsync($"error: {e.Message}");
    return 2;
}

public partial class Program;
