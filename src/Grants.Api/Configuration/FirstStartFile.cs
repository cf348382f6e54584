using System.Buffers.Text;
using System.Security.Cryptography;
using Grants.Api.Keys;
using Grants.Domain.Protocol;

namespace Grants.Api.Configuration;

/// <summary>What was made at random for a developer: files with mode 0600 in the data folder, so that every later start can say it again.</summary>
public static class FirstStartFile
{
    private static string People(Settings settings) => Path.Combine(settings.DataFolder, "first-start.txt");

    /// <summary>Where a client's generated secret is put: the app reads it there.</summary>
    public static string ClientSecret(Settings settings, ClientId client) =>
        Path.Combine(settings.DataFolder, "clients", $"{Uri.EscapeDataString(client.Value)}.secret");

    /// <summary>
    /// The secret in a client's file, made at the first call. Written before it is registered, so that a crash in between leaves a
    /// secret that the next start registers, never one that nobody knows.
    /// </summary>
    /// <param name="bits">Of a new one.</param>
    public static Secret MakeClientSecret(Settings settings, ClientId client, int bits = 256)
    {
        var file = ClientSecret(settings, client);
        if (!File.Exists(file)) PrivateFile.WriteNew(file, Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(bits / 8)));
        return new Secret(File.ReadAllText(file).Trim());
    }

    /// <summary>A person's password, made at the first call and written down before it is set. One line each: user name, tab, password.</summary>
    public static string MakePassword(Settings settings, string username)
    {
        var known = Read(settings);
        if (known.FirstOrDefault(line => line.Username == username).Password is { } password) return password;
        var fresh = Passphrase.Make();
        File.Delete(People(settings));
        PrivateFile.WriteNew(People(settings), string.Concat(known.Append((username, fresh)).Select(line => $"{line.Item1}\t{line.Item2}\n")));
        return fresh;
    }

    public static IReadOnlyList<(string Username, string Password)> Read(Settings settings) => File.Exists(People(settings))
        ? [.. File.ReadAllLines(People(settings)).Select(line => line.Split('\t')).Where(parts => parts.Length == 2).Select(parts => (parts[0], parts[1]))]
        : [];
}

/// <summary>A password that can be typed: four words and two digits, about 31 bits; for a developer's own machine.</summary>
public static class Passphrase
{
    private static readonly string[] Words =
    [
        "amber", "anchor", "apple", "autumn", "badger", "bamboo", "basil", "beacon", "birch", "breeze", "bronze", "canyon", "cedar", "cherry", "cliff", "clover",
        "cobalt", "comet", "copper", "coral", "cotton", "crane", "dahlia", "delta", "ember", "falcon", "fern", "forest", "garnet", "ginger", "glacier", "granite",
        "harbour", "hazel", "heron", "indigo", "island", "ivory", "jasmine", "juniper", "lantern", "laurel", "lemon", "lilac", "linen", "lotus", "maple", "marble",
        "meadow", "mint", "nectar", "ocean", "olive", "onyx", "opal", "orchid", "otter", "pebble", "pepper", "pine", "plum", "poppy", "prairie", "quartz",
        "raven", "reed", "river", "robin", "saffron", "sage", "sparrow", "spruce", "stone", "summer", "thistle", "tulip", "valley", "velvet", "violet", "willow",
    ];

    public static string Make() => string.Join('-', [.. RandomNumberGenerator.GetItems(Words, 4), RandomNumberGenerator.GetInt32(10, 100).ToString(System.Globalization.CultureInfo.InvariantCulture)]);
}
