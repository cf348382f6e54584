using System.Buffers.Binary;
using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Domain.Protocol;

namespace Grants.Api.Dpop;

/// <summary>What came of looking for a DPoP proof. Both null: none was sent, and that alone is no fault.</summary>
/// <param name="Key">The key that the sender proved to have.</param>
/// <param name="Error"><c>invalid_dpop_proof</c> or <c>use_dpop_nonce</c>.</param>
public readonly record struct DpopCheck(JwkThumbprint? Key, OAuthError? Error);

/// <summary>Checks the DPoP proof of a request: RFC 9449 §4.3. One code path for every endpoint that takes one.</summary>
public sealed class DpopProofs(Settings settings, KeyVault vault, UsedIds used, TimeProvider clock)
{
    /// <summary>The name of the header, RFC 9449 §4.1.</summary>
    public const string Header = "DPoP";

    /// <summary>RFC 9449 §8.1.</summary>
    public const string NonceHeader = "DPoP-Nonce";

    /// <summary>How old a proof may be, by its <c>iat</c> (RFC 9449 §11.1).</summary>
    public static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(60);

    /// <summary>How far the sender's clock may be ahead.</summary>
    public static readonly TimeSpan MaxAhead = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long one nonce is handed out; it is accepted for as long again. As long as an access token lives by default, so that whoever
    /// renews in time always has a nonce that still counts.
    /// </summary>
    public static readonly TimeSpan NonceSlot = TimeSpan.FromMinutes(5);

    /// <summary>Clocks of nodes differ a little, and what one forgets for its age must be too old for all.</summary>
    private static readonly TimeSpan Margin = TimeSpan.FromMinutes(1);

    /// <summary>
    /// Checks the proof, uses up its <c>jti</c>, and puts a fresh nonce on the answer. Call it once per request, and last of all that can be
    /// checked without the log, so that a request which fails for another reason costs no id.
    /// </summary>
    /// <param name="accessToken">The access token that came along, at a resource; the proof must be made for it.</param>
    public async Task<DpopCheck> CheckAsync(HttpContext http, string? accessToken = null)
    {
        var sent = http.Request.Headers[Header];
        if (sent.Count == 0) return default;
        var now = clock.GetUtcNow();
        var nonces = settings.DpopNonces ? await NoncesAsync(now, http.RequestAborted) : null;
        if (nonces is not null) http.Response.Headers[NonceHeader] = nonces[0];

        if (sent.Count > 1) return Invalid("More than one DPoP proof was sent.");
        if (DpopProof.Read(sent.ToString(), out var fault) is not { } proof) return Invalid(fault);
        if (proof.Method != http.Request.Method) return Invalid("htm of the DPoP proof is not the method of this request.");
        if (!IsSame(proof.Uri, settings.Url(http.Request.Path.ToUriComponent()))) return Invalid("htu of the DPoP proof is not the address of this request.");
        if (accessToken is not null && proof.AccessTokenHash != HashOf(accessToken)) return Invalid("ath of the DPoP proof is not that of the access token.");

        if (proof.IssuedAt > now + MaxAhead || proof.IssuedAt < now - MaxAge) return Invalid("iat of the DPoP proof is too far from now.");
        if (proof.NotBefore > now + MaxAhead || proof.ExpiresAt <= now) return Invalid("The DPoP proof is not valid now.");
        // Nonces are no secrets: who asks gets one.
        if (nonces is not null && !Array.Exists(nonces, nonce => nonce == proof.Nonce))
            return new DpopCheck(null, new OAuthError(ErrorCode.UseDpopNonce, "Put the nonce of the DPoP-Nonce header into the DPoP proof."));

        return await used.UseAsync("dpop", proof.Key.Value, proof.Id, now + MaxAhead + MaxAge + Margin, http.RequestAborted)
            ? new DpopCheck(proof.Key, null)
            : Invalid("The DPoP proof was used before.");
    }

    /// <summary><c>ath</c>, RFC 9449 §4.2.</summary>
    internal static string HashOf(string accessToken) => Base64Url.EncodeToString(SHA256.HashData(Encoding.ASCII.GetBytes(accessToken)));

    /// <summary>
    /// Compares with the address that the outside knows, whatever a proxy made of it, after the normalizations of RFC 3986 §6.2.2 and
    /// §6.2.3; query and fragment don't count (RFC 9449 §4.3).
    /// </summary>
    internal static bool IsSame(string proven, string address) =>
        Uri.TryCreate(proven, UriKind.Absolute, out var uri) && uri.Scheme is "https" or "http" && uri.UserInfo.Length == 0 && Plain(uri) == Plain(new Uri(address));

    private static string Plain(Uri uri) => uri.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped);

    /// <summary>
    /// The nonces that count now, the one to hand out first: an HMAC of the current slot, of the one before, and of the next, which a node
    /// whose clock is ahead may have begun. All nodes have the key, so none has to remember what it gave.
    /// </summary>
    private async Task<string[]> NoncesAsync(DateTimeOffset now, CancellationToken cancellation)
    {
        var key = await vault.GetOrMakeAsync("dpop-nonce:1", cancellation: cancellation);
        var slot = now.ToUnixTimeSeconds() / (long)NonceSlot.TotalSeconds;
        return [NonceOf(key, slot), NonceOf(key, slot - 1), NonceOf(key, slot + 1)];
    }

    private static string NonceOf(byte[] key, long slot)
    {
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteInt64BigEndian(number, slot);
        return Base64Url.EncodeToString(HMACSHA256.HashData(key, number).AsSpan(0, 16));
    }

    private static DpopCheck Invalid(string description) => new(null, new OAuthError(ErrorCode.InvalidDpopProof, description));
}
