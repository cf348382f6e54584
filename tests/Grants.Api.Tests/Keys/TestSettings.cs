namespace Grants.Api.Tests;

internal static class TestSettings
{
    /// <summary>A developer's settings with a data folder of its own.</summary>
    public static Settings In(string folder, string? keyFile = null, bool development = true, int userCodes = 1000, int userCodesPerMinute = 1000) => new()
    {
        Issuer = Testing.TestConfiguration.Issuer,
        DataFolder = folder,
        KeyEncryptionKeyFile = keyFile,
        Development = development,
        SingleNode = true,
        IsCommand = false,
        OrganisationName = "Example Bank",
        AuthorizationsPerMinutePerNetwork = 1000,
        AuthorizationsPerMinutePerClient = 1000,
        SignInsPerQuarterHour = 1000,
        ClientSecretsPerMinute = 1000,
        UserCodesPerQuarterHour = userCodes,
        UserCodesPerMinute = userCodesPerMinute,
        Keys = Domain.Keys.KeySchedule.Default,
        ExpiryInterval = TimeSpan.FromHours(1),
    };
}
