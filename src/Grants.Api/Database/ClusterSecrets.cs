using System.Security.Cryptography;

namespace Grants.Api.Database;

/// <summary>The two passwords of a private PostgreSQL, random for each data folder and kept in it, readable by its owner alone.</summary>
internal sealed record ClusterSecrets(string Superuser, string Application)
{
    public static ClusterSecrets? Find(string dataFolder)
    {
        var path = PathIn(dataFolder);
        return File.Exists(path) && File.ReadAllLines(path) is [var superuser, var application, ..]
            ? new ClusterSecrets(superuser, application)
            : null;
    }

    public static ClusterSecrets Create(string dataFolder)
    {
        var secrets = new ClusterSecrets(Random(), Random());
        ClusterFolder.WriteSecret(PathIn(dataFolder), $"{secrets.Superuser}\n{secrets.Application}\n");
        return secrets;
    }

    public static string PathIn(string dataFolder) => Path.Combine(dataFolder, "postgres.secret");

    private static string Random() => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));
}
