using System.Text.Json;
using Grants.Api.Log;
using Grants.Api.Signing;
using Grants.Domain.Keys;
using Grants.Domain.Protocol;
using JasperFx.CommandLine;

namespace Grants.Api.Commands;

/// <summary>What <c>grants keys</c> is asked for.</summary>
public sealed class KeysInput : NetCoreInput
{
    [Description("list, rotate or revoke")]
    public KeysAction Action { get; set; } = KeysAction.list;

    [Description("The key to revoke (kid)")]
    public string? KidFlag { get; set; }

    [Description("Why the key is revoked; stays in the log")]
    public string? WhyFlag { get; set; }

    [Description("One JSON object a line instead of a table")]
    public bool JsonFlag { get; set; }
}

/// <summary>What can be done; the names are what is typed.</summary>
public enum KeysAction
{
#pragma warning disable CA1707, IDE1006 // typed as it stands on the command line
    list,
    rotate,
    revoke,
#pragma warning restore CA1707, IDE1006
}

/// <summary>Shows the signing keys, lets the next ones take over, or revokes one.</summary>
[Description("Show, rotate or revoke signing keys", Name = "keys")]
public sealed class KeysCommand : JasperFxAsyncCommand<KeysInput>
{
    public KeysCommand()
    {
        Usage("List the signing keys").Arguments();
        Usage("List, rotate or revoke").Arguments(input => input.Action);
    }

    public override async Task<bool> Execute(KeysInput input)
    {
        using var host = input.BuildHost();
        var ring = host.Services.GetRequiredService<KeyRing>();
        var cause = new Cause(Cause.Operator("cli"), Guid.CreateVersion7(host.Services.GetRequiredService<TimeProvider>().GetUtcNow()).ToString("N"), $"grants keys {input.Action}");
        switch (input.Action)
        {
            case KeysAction.rotate:
                if (await ring.MaintainAsync(cause, CancellationToken.None, rotate: true) == 0)
                {
                    Output.Fail("Nothing was rotated: no key has been published for long enough to take over (Grants__Keys__PublishedAheadHours). Whoever caches the key set would not know it.");
                    return false;
                }

                break;
            case KeysAction.revoke:
                if (input is not { KidFlag: { Length: > 0 } kid, WhyFlag: { Length: > 0 } why })
                {
                    Output.Fail("Name the key with --kid and say why with --why.");
                    return false;
                }

                if (await ring.RevokeAsync(cause, kid, why, CancellationToken.None) is Refused<SigningKey>(var error, _))
                {
                    Output.Fail(error.Description);
                    return false;
                }

                break;
            default:
                break;
        }

        var keys = (await ring.AllAsync(CancellationToken.None)).OrderBy(key => key.Algorithm, StringComparer.Ordinal).ThenBy(key => key.CreatedAt).ToList();
        if (input.JsonFlag)
        {
            foreach (var key in keys) Console.Out.WriteLine(JsonSerializer.Serialize(new { key.Kid, key.Algorithm, Status = key.Status.ToString().ToLowerInvariant(), key.CreatedAt, key.PublishedAt, key.ActivatedAt, key.RetiredAt }, ListFormat.Options));
        }
        else
        {
            Output.Table(["KID", "ALG", "STATE", "PUBLISHED", "SIGNS SINCE", "RETIRED"],
                [.. keys.Select(key => (IReadOnlyList<string>)[key.Kid, key.Algorithm, key.Status.ToString().ToLowerInvariant(), Output.Time(key.PublishedAt ?? key.CreatedAt), Output.Time(key.ActivatedAt), Output.Time(key.RetiredAt)])], "keys");
        }

        return true;
    }
}
