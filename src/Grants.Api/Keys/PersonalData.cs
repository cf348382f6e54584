using System.Buffers.Text;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Grants.Domain.Protocol;

namespace Grants.Api.Keys;

/// <summary>
/// Seals what identifies a person under a key of that person's own, so that destroying the key erases it everywhere at once
/// (docs/decisions/0003-sealed-personal-data.md). What comes from a browser before anybody has signed in is sealed under a key of the
/// month.
/// </summary>
public sealed class PersonalData(KeyVault vault, TimeProvider clock)
{
    private const string Version = "v1";

    public async Task<SealedText> SealAsync(SubjectId? owner, string text, CancellationToken cancellation = default)
    {
        var keyId = owner is { } subject ? PersonKey(subject) : VisitorKey(clock.GetUtcNow());
        var key = await vault.GetOrMakeAsync(keyId, cancellation: cancellation);
        var sealedBytes = KeyEncryptionKey.Encrypt(key, Encoding.UTF8.GetBytes(text), Encoding.UTF8.GetBytes(keyId));
        return new SealedText($"{Version}.{keyId}.{Base64Url.EncodeToString(sealedBytes)}");
    }

    /// <summary>The text, or null when its key has been destroyed.</summary>
    public async Task<string?> OpenAsync(SealedText text, CancellationToken cancellation = default)
    {
        var parts = text.Value.Split('.', 3);
        if (parts is not [Version, var keyId, var cipher]) throw new CryptographicException("Not a sealed text.");
        return await vault.FindAsync(keyId, cancellation) is { } key
            ? Encoding.UTF8.GetString(KeyEncryptionKey.Decrypt(key, Base64Url.DecodeFromChars(cipher), Encoding.UTF8.GetBytes(keyId)))
            : null;
    }

    /// <summary>Finds an account by its user name without keeping the name.</summary>
    public async Task<string> LoginHashAsync(string normalizedName, CancellationToken cancellation = default) =>
        Hash(await vault.GetOrMakeAsync("login-hash:1", cancellation: cancellation), normalizedName);

    /// <summary>Ties a request to the browser that began it.</summary>
    public async Task<string> BrowserHashAsync(string cookie, CancellationToken cancellation = default) =>
        Hash(await vault.GetOrMakeAsync("browser-hash:1", cancellation: cancellation), cookie);

    /// <summary>Tells whether two authorization details are the same without keeping their text in clear.</summary>
    public async Task<string> DetailHashAsync(string canonical, CancellationToken cancellation = default) =>
        Hash(await vault.GetOrMakeAsync("detail-hash:1", cancellation: cancellation), canonical);

    /// <summary>Lets events from the same network be found without keeping the address: the IPv4 /24 or IPv6 /48 counts.</summary>
    public async Task<string?> NetworkHashAsync(IPAddress? address, CancellationToken cancellation = default) =>
        address is null ? null : Hash(await vault.GetOrMakeAsync("network-hash:1", cancellation: cancellation), Network(address));

    /// <summary>The network that an address belongs to, for counting and hashing.</summary>
    public static string Network(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6) address = address.MapToIPv4();
        var bytes = address.GetAddressBytes();
        return Convert.ToHexStringLower(bytes.AsSpan(0, address.AddressFamily == AddressFamily.InterNetwork ? 3 : 6));
    }

    private static string Hash(byte[] key, string text) => Base64Url.EncodeToString(HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(text)).AsSpan(0, 16));

    private static string PersonKey(SubjectId subject) => $"person:{subject}";

    private static string VisitorKey(DateTimeOffset now) => now.ToString("'visitor:'yyyy-MM", CultureInfo.InvariantCulture);
}
