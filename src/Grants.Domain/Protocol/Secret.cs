using System.Security.Cryptography;
using System.Text;

namespace Grants.Domain.Protocol;

/// <summary>
/// Text that must not be printed, stored or compared in a way that leaks it: a client secret, a code verifier, a password.
/// Not a record, so that no generated member shows it; only <see cref="Expose"/> does.
/// </summary>
public sealed class Secret(string value) : IEquatable<Secret>
{
    private readonly string _value = value;

    /// <summary>The text itself. Each call is a place to review.</summary>
    public string Expose() => _value;

    /// <summary>Compares in a time that depends on the lengths alone.</summary>
    public bool Equals(Secret? other) => other is not null
        && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(_value), Encoding.UTF8.GetBytes(other._value));

    public override bool Equals(object? obj) => Equals(obj as Secret);

    public override int GetHashCode() => 0; // a hash code of a secret would be a leak

    public override string ToString() => "***";
}

/// <summary>
/// What is kept of a client secret. SHA-256 is enough because the secret is random and 256 bits long; there is no dictionary to try.
/// </summary>
/// <param name="KeyId">Names this secret among the client's secrets.</param>
/// <param name="Sha256">base64url without padding.</param>
public sealed record SecretHash(string KeyId, string Sha256)
{
    public static SecretHash Of(string keyId, Secret secret) => new(keyId, Digest(secret));

    /// <summary>Compares digests in constant time.</summary>
    public bool IsOf(Secret secret) =>
        CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(Sha256), Encoding.ASCII.GetBytes(Digest(secret)));

    private static string Digest(Secret secret) =>
        System.Buffers.Text.Base64Url.EncodeToString(SHA256.HashData(Encoding.UTF8.GetBytes(secret.Expose())));
}
