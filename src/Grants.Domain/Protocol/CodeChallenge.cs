using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Grants.Domain.Protocol;

/// <summary>A PKCE challenge of method S256, RFC 7636 §4.2: base64url(SHA-256(ASCII(code_verifier))), 43 characters.</summary>
public readonly record struct CodeChallenge(string Value)
{
    /// <summary>The one method served. <c>plain</c> and an absent method (which means plain, RFC 7636 §4.3) are refused.</summary>
    public const string Method = "S256";

    public static bool TryParse(string text, out CodeChallenge challenge)
    {
        challenge = new CodeChallenge(text);
        return IsUnreserved(text);
    }

    /// <summary>RFC 7636 §4.1: 43 to 128 characters of ALPHA / DIGIT / "-" / "." / "_" / "~".</summary>
    public static bool IsVerifier(string text) => IsUnreserved(text);

    /// <summary>RFC 7636 §4.6. What is no verifier by §4.1 meets no challenge, even if its digest would.</summary>
    public bool IsMetBy(Secret verifier)
    {
        if (!IsVerifier(verifier.Expose())) return false;
        var computed = Base64Url.EncodeToString(SHA256.HashData(Encoding.ASCII.GetBytes(verifier.Expose())));
        return CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(computed), Encoding.ASCII.GetBytes(Value));
    }

    private static bool IsUnreserved(string text) =>
        text.Length is >= 43 and <= 128 && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_' or '~');
}
