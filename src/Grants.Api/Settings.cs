using Grants.Api.Log;
using Grants.Domain.Keys;
using Grants.Domain.Sessions;

namespace Grants.Api;

/// <summary>The server's settings: environment (<c>Grants__Issuer</c>), appsettings.json or command line. The README lists them all.</summary>
public sealed class Settings
{
    /// <summary>The issuer identifier, RFC 8414 §2: every URL and every <c>iss</c> comes from here, never from a Host header.</summary>
    public required string Issuer { get; init; }

    /// <summary>Where the private database, the key-encryption key and the development secrets are.</summary>
    public required string DataFolder { get; init; }

    /// <summary>The declared configuration to apply at start; null when there is none.</summary>
    public string? Config { get; init; }

    /// <summary>The connection string of a PostgreSQL that somebody else runs; null: the private one.</summary>
    public string? ConnectionString { get; init; }

    /// <summary>A file with the 32-byte key-encryption key in base64; null: <c>key-encryption.key</c> in the data folder.</summary>
    public string? KeyEncryptionKeyFile { get; init; }

    public required bool Development { get; init; }

    /// <summary>True when this is the only server on its database, as with the private one: then it keeps the views alone.</summary>
    public required bool SingleNode { get; init; }

    /// <summary>The program runs a command and shares the database with the server.</summary>
    public required bool IsCommand { get; init; }

    /// <summary>The name that people read on every page.</summary>
    public required string OrganisationName { get; init; }

    /// <summary>What the unauthenticated can cause in a minute (L12).</summary>
    public required int AuthorizationsPerMinutePerNetwork { get; init; }

    public required int AuthorizationsPerMinutePerClient { get; init; }

    /// <summary>Every client must push its authorization requests: RFC 9126 §5.</summary>
    public bool RequirePushedAuthorizationRequests { get; init; }

    /// <summary>Every client must send its requests as signed request objects: RFC 9101 §10.5.</summary>
    public bool RequireSignedRequestObject { get; init; }

    /// <summary>How long a browser may take to come with a pushed request: 5 to 599 seconds (FAPI 2.0 §5.3.2.2 wants less than 600).</summary>
    public TimeSpan PushedRequestLifetime { get; init; } = TimeSpan.FromSeconds(90);

    /// <summary>Wrong passwords for one name from one network in a quarter of an hour.</summary>
    public required int SignInsPerQuarterHour { get; init; }

    /// <summary>Wrong secrets for one client from one network in a minute (K1).</summary>
    public required int ClientSecretsPerMinute { get; init; }

    /// <summary>Wrong passwords from one network in a quarter of an hour, for whatever names.</summary>
    public int FailedSignInsPerQuarterHourPerNetwork { get; init; } = 500;

    /// <summary>How many passwords are hashed at a time (E12).</summary>
    public int PasswordChecks { get; init; } = Math.Max(1, Environment.ProcessorCount / 2);

    /// <summary>How many sign-ins may wait for that.</summary>
    public int PasswordChecksWaiting { get; init; } = 100;

    /// <summary>How many of them from one network.</summary>
    public int PasswordChecksWaitingPerNetwork { get; init; } = 25;

    /// <summary>User codes that one person may type in a quarter of an hour (C11). From one network it is ten times as many.</summary>
    public int UserCodesPerQuarterHour { get; init; } = 5;

    /// <summary>User codes that all people together may type in a minute.</summary>
    public int UserCodesPerMinute { get; init; } = 300;

    /// <summary>When signing keys change.</summary>
    public required KeySchedule Keys { get; init; }

    /// <summary>
    /// Whether a DPoP proof must have a nonce of this server. Without, a proof can be made ahead of its use by whoever has the key for a
    /// moment (RFC 9449 §11.2).
    /// </summary>
    public bool DpopNonces { get; init; } = true;

    /// <summary>What the userinfo endpoint wants of the sign-in behind a token (RFC 9470); null: nothing.</summary>
    public AuthenticationRequirement? UserInfoSignIn { get; init; }

    /// <summary>Origins that outgoing requests may reach although their address or port isn't public.</summary>
    public IReadOnlyCollection<string> OutgoingHttpAllow { get; init; } = [];

    /// <summary>How often the recorder of expiries looks.</summary>
    public required TimeSpan ExpiryInterval { get; init; }

    public Uri IssuerUri => field ??= new Uri(Issuer);

    /// <summary>The issuer's path, such as <c>/t1</c>: every address of this server stands under it. Empty when it has none.</summary>
    public string BasePath => IssuerUri.AbsolutePath.TrimEnd('/');

    public string Url(string path) => Issuer.TrimEnd('/') + path;

    /// <summary>The address of a well-known document about one of our paths: the name comes first, RFC 8414 §3.1 and RFC 9728 §3.1.</summary>
    public string WellKnownUrl(string name, string path) => $"{Issuer[..^BasePath.Length]}/.well-known/{name}{BasePath}{path}";

    /// <summary>Reads and checks the settings. Throws <see cref="SettingsException"/> with what, why and how to mend it.</summary>
    public static Settings From(IConfiguration configuration, IHostEnvironment environment, bool command)
    {
        var development = environment.IsDevelopment();
        if (Benchmark.IsBenchmark && !development) throw new SettingsException("This is a build for benchmarks. Build without GrantsSignOnly and GrantsSessionDoor.");
        var issuer = configuration["Grants:Issuer"] ?? (development ? "http://localhost:5100" : null)
            ?? throw new SettingsException("The issuer is not set. Set Grants__Issuer to the https address that people and apps will use.");
        if (!Uri.TryCreate(issuer, UriKind.Absolute, out var uri) || uri.Query.Length > 0 || uri.Fragment.Length > 0 || uri.Scheme is not ("https" or "http")
            || !IsPlainPath(issuer))
            throw new SettingsException($"The issuer {issuer} must be an https address without query, fragment and final slash (RFC 8414 §2). A path may have letters, digits and -._~ between its slashes.");
        if (uri.Scheme == "http" && !(development && uri.IsLoopback))
            throw new SettingsException($"The issuer is {issuer}, but http is only allowed in Development and on localhost: tokens sent over http can be stolen. Set Grants__Issuer to an https address and terminate TLS at your proxy.");

        var pushedSeconds = configuration.GetValue("Grants:PushedRequestSeconds", 90);
        if (pushedSeconds is < 5 or >= 600) throw new SettingsException($"Grants__PushedRequestSeconds is {pushedSeconds}. A pushed request may wait for its browser from 5 to 599 seconds.");

        return new Settings
        {
            Issuer = issuer,
            DataFolder = Path.GetFullPath(configuration["Grants:DataFolder"] ?? ".grants"),
            Config = configuration["Grants:Config"] ?? (development ? SampleConfiguration() : null),
            ConnectionString = configuration.GetConnectionString("Grants"),
            KeyEncryptionKeyFile = configuration["Grants:KeyEncryptionKeyFile"],
            Development = development,
            SingleNode = configuration.GetValue("Grants:SingleNode", configuration.GetConnectionString("Grants") is null),
            IsCommand = command,
            OrganisationName = configuration["Grants:OrganisationName"] ?? "Example Bank",
            AuthorizationsPerMinutePerNetwork = configuration.GetValue("Grants:Limits:AuthorizationsPerMinutePerNetwork", 300),
            AuthorizationsPerMinutePerClient = configuration.GetValue("Grants:Limits:AuthorizationsPerMinutePerClient", 6000),
            RequirePushedAuthorizationRequests = configuration.GetValue("Grants:RequirePushedAuthorizationRequests", false),
            RequireSignedRequestObject = configuration.GetValue("Grants:RequireSignedRequestObject", false),
            PushedRequestLifetime = TimeSpan.FromSeconds(pushedSeconds),
            SignInsPerQuarterHour = configuration.GetValue("Grants:Limits:SignInsPerQuarterHour", 20),
            ClientSecretsPerMinute = configuration.GetValue("Grants:Limits:ClientSecretsPerMinute", 30),
            FailedSignInsPerQuarterHourPerNetwork = Limit(configuration, "FailedSignInsPerQuarterHourPerNetwork", 500, least: 1),
            PasswordChecks = Limit(configuration, "PasswordChecks", Math.Max(1, Environment.ProcessorCount / 2), least: 1),
            PasswordChecksWaiting = Limit(configuration, "PasswordChecksWaiting", 100, least: 0),
            PasswordChecksWaitingPerNetwork = Limit(configuration, "PasswordChecksWaitingPerNetwork", 25, least: 0),
            UserCodesPerQuarterHour = Limit(configuration, "UserCodesPerQuarterHour", 5, least: 1),
            UserCodesPerMinute = Limit(configuration, "UserCodesPerMinute", 300, least: 1),
            Keys = Schedule(configuration),
            DpopNonces = configuration.GetValue("Grants:DpopNonces", true),
            UserInfoSignIn = SignInFor(configuration.GetSection("Grants:UserInfo")),
            OutgoingHttpAllow = [.. (configuration.GetSection("Grants:OutgoingHttp:Allow").Get<string[]>() ?? []).Select(origin => Allowed(origin, development))],
            ExpiryInterval = TimeSpan.FromSeconds(configuration.GetValue("Grants:ExpirySeconds", 30)),
        };
    }

    /// <summary>Nothing that a proxy, a browser's cookies or a client could write in two ways.</summary>
    private static bool IsPlainPath(string issuer) =>
        issuer.IndexOf('/', issuer.IndexOf("://", StringComparison.Ordinal) + 3) is var start && (start < 0 || issuer[(start + 1)..].Split('/').All(segment =>
            segment.Length > 0 && segment is not ("." or ".." or ".well-known") && segment.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_' or '~')));

    private static string Allowed(string origin, bool development) =>
        Uri.TryCreate(origin, UriKind.Absolute, out var uri) && uri.PathAndQuery == "/" && uri.UserInfo.Length == 0 && uri.Fragment.Length == 0
        && (uri.Scheme == "https" || (uri.Scheme == "http" && uri.IsLoopback && development))
            ? uri.GetLeftPart(UriPartial.Authority)
            : throw new SettingsException($"Grants__OutgoingHttp__Allow has {origin}. It must be an origin such as https://keys.internal.example:9443; http only in Development and on loopback.");

    private static int Limit(IConfiguration configuration, string name, int otherwise, int least) =>
        configuration.GetValue($"Grants:Limits:{name}", otherwise) is var limit && limit >= least ? limit : throw new SettingsException($"Grants__Limits__{name} is {limit}. It must be {least} at least.");

    private static AuthenticationRequirement? SignInFor(IConfigurationSection api)
    {
        var acrValues = api.GetSection("AcrValues").Get<string[]>() ?? [];
        var seconds = api.GetValue<int?>("MaxAgeSeconds");
        if (acrValues.Except(Authentication.AcrValues).FirstOrDefault() is { } unknown) throw new SettingsException($"Grants__UserInfo__AcrValues has {unknown}, which no sign-in can reach. There is: {Authentication.AcrValues}.");
        if (seconds < 60) throw new SettingsException($"Grants__UserInfo__MaxAgeSeconds is {seconds}. With less than 60 seconds a token would be refused before its app has used it.");
        return acrValues.Length == 0 && seconds is null ? null : new AuthenticationRequirement(new(acrValues), seconds is { } s ? TimeSpan.FromSeconds(s) : null);
    }

    private static KeySchedule Schedule(IConfiguration configuration)
    {
        var schedule = new KeySchedule(
            TimeSpan.FromDays(configuration.GetValue("Grants:Keys:SignDays", KeySchedule.Default.SignsFor.TotalDays)),
            TimeSpan.FromHours(configuration.GetValue("Grants:Keys:PublishedAheadHours", KeySchedule.Default.PublishedAhead.TotalHours)),
            TimeSpan.FromDays(configuration.GetValue("Grants:Keys:VerifyDays", KeySchedule.Default.VerifiesFor.TotalDays)));
        if (schedule.PublishedAhead < TimeSpan.FromMinutes(10)) throw new SettingsException("Grants__Keys__PublishedAheadHours is too short: apps keep the key set for minutes, and must know a key before it signs. Use 10 minutes at least.");
        if (schedule.VerifiesFor < TimeSpan.FromDays(1)) throw new SettingsException("Grants__Keys__VerifyDays is too short: tokens that a retired key has signed must still verify. Use a day at least.");
        return schedule;
    }

    /// <summary>samples/grants.json, looked for from the current folder and from the program's own upwards.</summary>
    private static string? SampleConfiguration()
    {
        foreach (var start in (string[])[Directory.GetCurrentDirectory(), AppContext.BaseDirectory])
        {
            for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
            {
                var file = Path.Combine(folder.FullName, "samples", "grants.json");
                if (File.Exists(file)) return file;
            }
        }

        return null;
    }
}

/// <summary>The server can't start as it is set up. The message is for the person who starts it.</summary>
public sealed class SettingsException(string message) : Exception(message);
