namespace Grants.Domain.Protocol;

/// <summary>A client's name on the wire: <c>client_id</c>, RFC 6749 §2.2. Never a secret.</summary>
public readonly record struct ClientId(string Value)
{
    public override string ToString() => Value;
}

/// <summary>
/// A person's opaque and never reused name on the wire: the <c>sub</c> claim (OpenID Connect Core §2). Its prefix keeps it
/// apart from every client id, so a client can never pass for a person (RFC 9068 §5).
/// </summary>
/// <param name="Value">The id of the person's stream.</param>
public readonly record struct SubjectId(Guid Value)
{
    /// <summary>What every <c>sub</c> of a person begins with and no <c>client_id</c> may begin with.</summary>
    public const string Prefix = "sub_";

    public static bool TryParse(string? text, out SubjectId subject)
    {
        subject = default;
        // The length is checked because Guid trims white space.
        if (text?.Length != Prefix.Length + 32 || !text.StartsWith(Prefix, StringComparison.Ordinal)
            || !Guid.TryParseExact(text.AsSpan(Prefix.Length), "N", out var id)) return false;
        subject = new SubjectId(id);
        return true;
    }

    public override string ToString() => Prefix + Value.ToString("N");
}

/// <summary>
/// Personal text that only the holder of the owner's key can read: <c>v1.{key id}.{base64url(nonce ‖ ciphertext ‖ tag)}</c>,
/// AES-256-GCM. Destroying the key erases the text from every event and view at once.
/// </summary>
public readonly record struct SealedText(string Value)
{
    public override string ToString() => Value;
}
