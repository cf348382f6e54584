using System.Security.Cryptography;
using System.Text;

namespace Grants.Api.Keys;

/// <summary>
/// The one key outside the database. It wraps every key inside: AES-256-GCM, the wrapped key's own id as associated data, so that
/// wrapped keys can't be swapped. A database without it opens nothing.
/// </summary>
public sealed class KeyEncryptionKey
{
    private const int NonceSize = 12;
    private const int TagSize = 16;
    private readonly byte[] _key;

    private KeyEncryptionKey(byte[] key) => _key = key;

    /// <summary>Reads the key from its file (32 bytes in base64). A missing file is made with mode 0600, unless it was named in the settings.</summary>
    public static KeyEncryptionKey Load(Settings settings)
    {
        var file = settings.KeyEncryptionKeyFile ?? Path.Combine(settings.DataFolder, "key-encryption.key");
        if (!File.Exists(file))
        {
            if (settings.KeyEncryptionKeyFile is not null)
                throw new SettingsException($"The key-encryption key file {file} does not exist. Make it with: openssl rand -base64 32");
            PrivateFile.WriteNew(file, Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)));
        }

        var key = new byte[32];
        return Convert.TryFromBase64String(File.ReadAllText(file).Trim(), key, out var length) && length == key.Length
            ? new KeyEncryptionKey(key)
            : throw new SettingsException($"The key in {file} must be 32 bytes in base64.");
    }

    public byte[] Wrap(string id, ReadOnlySpan<byte> plain) => Encrypt(_key, plain, Encoding.UTF8.GetBytes(id));

    /// <summary>Throws <see cref="CryptographicException"/> when the key is another one or the text was altered.</summary>
    public byte[] Unwrap(string id, ReadOnlySpan<byte> wrapped) => Decrypt(_key, wrapped, Encoding.UTF8.GetBytes(id));

    /// <summary>nonce ‖ ciphertext ‖ tag.</summary>
    internal static byte[] Encrypt(ReadOnlySpan<byte> key, ReadOnlySpan<byte> plain, ReadOnlySpan<byte> associated)
    {
        var sealedBytes = new byte[NonceSize + plain.Length + TagSize];
        RandomNumberGenerator.Fill(sealedBytes.AsSpan(0, NonceSize));
        using var aes = new AesGcm(key, TagSize);
        aes.Encrypt(sealedBytes.AsSpan(0, NonceSize), plain, sealedBytes.AsSpan(NonceSize, plain.Length), sealedBytes.AsSpan(NonceSize + plain.Length), associated);
        return sealedBytes;
    }

    internal static byte[] Decrypt(ReadOnlySpan<byte> key, ReadOnlySpan<byte> sealedBytes, ReadOnlySpan<byte> associated)
    {
        if (sealedBytes.Length < NonceSize + TagSize) throw new CryptographicException("Too short to be sealed.");
        var plain = new byte[sealedBytes.Length - NonceSize - TagSize];
        using var aes = new AesGcm(key, TagSize);
        aes.Decrypt(sealedBytes[..NonceSize], sealedBytes.Slice(NonceSize, plain.Length), sealedBytes[^TagSize..], plain, associated);
        return plain;
    }
}

/// <summary>Files that only the server's own user may read.</summary>
public static class PrivateFile
{
    public static void WriteNew(string file, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using var stream = new StreamWriter(file, options);
        stream.Write(text);
    }
}
