namespace Grants.Domain.Protocol;

/// <summary>
/// The name of a public key: base64url of the SHA-256 of its JWK, RFC 7638 §3, 43 characters. On the wire <c>jkt</c> and
/// <c>dpop_jkt</c> (RFC 9449). Not a secret.
/// </summary>
public readonly record struct JwkThumbprint(string Value)
{
    public static bool TryParse(string? text, out JwkThumbprint thumbprint)
    {
        thumbprint = default;
        if (text is not { Length: 43 } || !text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_')) return false;
        thumbprint = new JwkThumbprint(text);
        return true;
    }

    public override string ToString() => Value;
}
