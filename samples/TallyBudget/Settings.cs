namespace TallyBudget;

/// <summary>Where the bank, its authorization server and Tally itself are: the section <c>Tally</c> of the configuration.</summary>
internal sealed class Settings
{
    public string Authority { get; init; } = "http://localhost:5100";
    public string ClientId { get; init; } = "tally";
    public string? ClientSecret { get; init; }
    public string ClientSecretFile { get; init; } = ".grants/clients/tally.secret";
    public string Bank { get; init; } = "http://localhost:5300";
    public string PublicUrl { get; init; } = "http://localhost:5200";
    public string RedirectUri => $"{PublicUrl}/callback";

    /// <summary>The secret as set, or from its file, looked for upwards from the current directory and from the program's.</summary>
    public string ReadSecret()
    {
        if (ClientSecret is { Length: > 0 }) return ClientSecret;
        foreach (var start in new[] { Directory.GetCurrentDirectory(), AppContext.BaseDirectory })
            for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
                if (Path.Combine(folder.FullName, ClientSecretFile) is var file && File.Exists(file)) return File.ReadAllText(file).Trim();
        throw new Refusal("Tally has no client secret", $"The authorization server writes it to {ClientSecretFile} when it starts. Or set Tally__ClientSecret.");
    }
}
