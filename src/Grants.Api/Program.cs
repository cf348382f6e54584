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
    if (isCommand) builder.Host.ApplyJasperFxExtensions(); // looks through every assembly for commands
    builder.WebHost.ConfigureKestrel(kestrel => kestrel.AddGrantsLimits());

    builder.Services.AddSingleton(settings).AddSingleton(TimeProvider.System).AddGrantsDatabase().AddGrants().AddGrantsPages();
    builder.AddGrantsEventStore(settings);

    await using var app = builder.Build(); // what fails before the start must still stop a private database
    app.UseSecurityHeaders(settings);
    app.UseGrantsErrors();
    app.UseIssuerPath(settings);
    app.UseRouting(); // said here, since routes are without the issuer's path
    app.UseOneBodyLengthOnly();
    app.UseKnownHostsOnly(settings);
    app.UseCors();
    app.UseAuthentication();
    // With its code compiled in, every endpoint is made here, and with it all that they use: a command that needs none of it must not start a database.
    if (!isCommand || args[0] == "run" || !GeneratedCode.IsCompiledIn) app.MapWolverineEndpoints();

    // The library has a command of that name which would rebuild the inline views as well, under the eyes of running decisions.
    string[] command = args is ["projections", "rebuild", .. var rest] ? ["views", "rebuild", .. rest] : args;
    if (isCommand) return await app.RunJasperFxCommands(command);
    await app.RunAsync();
    return 0;
}
catch (Exception e) when (e is SettingsException or PostgresMissingException)
{
    await Console.Error.WriteLineAsync($"error: {e.Message}");
    return 2;
}

public partial class Program;
