using System.Buffers.Binary;
using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using Grants.Domain.TokenFamilies;

namespace Grants.Api.Keys;

/// <summary>An authorization code: the streams that its redemption reads.</summary>
public sealed record CodeHandle(Guid Authorization, Guid Grant, Guid Family);

/// <summary>A pushed authorization request: its stream.</summary>
public sealed record PushedHandle(Guid Authorization);

/// <summary>A device code: the stream of its request. Which grant and family it leads to is told by the answer.</summary>
public sealed record DeviceHandle(Guid Authorization);

/// <summary>A refresh token: the streams that a refresh reads, and which of the family's refresh tokens it is.</summary>
public sealed record RefreshHandle(Guid Family, Guid Grant, int Generation);

/// <summary>An opaque access token: its id, and where in the family's stream its issue stands.</summary>
public sealed record AccessHandle(AccessTokenId Id, long Version);

/// <summary>
/// Credentials that are not stored: <c>{prefix}_{base64url(key number ‖ stream ids ‖ numbers)}.{base64url(HMAC-SHA-256)}</c>. The
/// seal is checked before any query, so garbage costs no database work, and the stream decides the rest. A 256-bit seal can't be
/// guessed (RFC 6749 §10.10). See docs/decisions/0002-sealed-handles.md.
/// </summary>
/// <param name="vault">Where the sealing keys are: read at first use, since this is made before the database is ready.</param>
public sealed class SealedHandles(KeyVault vault)
{
    private const string CodePrefix = "grc_";
    private const string RefreshPrefix = "grr_";
    private const string PushedPrefix = "grp_";
    private const string AccessPrefix = "gra_";
    private const string DevicePrefix = "grd_";
    private const string VaultPrefix = "handles:";
    private readonly Lazy<Dictionary<byte, byte[]>> _keys = new(() => Task.Run(() => LoadAsync(vault)).GetAwaiter().GetResult());

    /// <summary>Reads the sealing keys now, so that no request has to wait for it; makes the first one on an empty database.</summary>
    public void Load() => _ = _keys.Value;

    public string Seal(CodeHandle code) => Seal(CodePrefix, [code.Authorization, code.Grant, code.Family], 0);

    public string Seal(PushedHandle pushed) => Seal(PushedPrefix, [pushed.Authorization], 0);

    public string Seal(DeviceHandle device) => Seal(DevicePrefix, [device.Authorization], 0);

    /// <summary>The same family and generation always give the same text: a repeated refresh gets the same successor.</summary>
    public string Seal(RefreshHandle refresh) => Seal(RefreshPrefix, [refresh.Family, refresh.Grant], refresh.Generation);

    public string Seal(AccessHandle access) => Seal(AccessPrefix, [access.Id.Family, access.Id.Grant ?? Guid.Empty], access.Id.Number, checked((int)access.Version));

    public CodeHandle? OpenCode(string? text) =>
        Open(CodePrefix, 3, 1, text) is var (ids, _, _) && ids is not null ? new CodeHandle(ids[0], ids[1], ids[2]) : null;

    public PushedHandle? OpenPushed(string? text) =>
        Open(PushedPrefix, 1, 1, text) is var (ids, _, _) && ids is not null ? new PushedHandle(ids[0]) : null;

    public DeviceHandle? OpenDevice(string? text) =>
        Open(DevicePrefix, 1, 1, text) is var (ids, _, _) && ids is not null ? new DeviceHandle(ids[0]) : null;

    public RefreshHandle? OpenRefresh(string? text) =>
        Open(RefreshPrefix, 2, 1, text) is var (ids, generation, _) && ids is not null ? new RefreshHandle(ids[0], ids[1], generation) : null;

    public AccessHandle? OpenAccess(string? text) => Open(AccessPrefix, 2, 2, text) is var (ids, number, version) && ids is not null
        ? new AccessHandle(new AccessTokenId(ids[0], ids[1] == Guid.Empty ? null : ids[1], number), version)
        : null;

    private string Seal(string prefix, ReadOnlySpan<Guid> ids, params ReadOnlySpan<int> numbers)
    {
        Span<byte> payload = stackalloc byte[1 + 16 * ids.Length + 4 * numbers.Length];
        payload[0] = _keys.Value.Keys.Max(); // the newest seals, all verify
        for (var i = 0; i < ids.Length; i++) ids[i].TryWriteBytes(payload[(1 + 16 * i)..], bigEndian: true, out _);
        for (var i = 0; i < numbers.Length; i++) BinaryPrimitives.WriteInt32BigEndian(payload[(1 + 16 * ids.Length + 4 * i)..], numbers[i]);
        var signed = prefix + Base64Url.EncodeToString(payload);
        return $"{signed}.{Base64Url.EncodeToString(HMACSHA256.HashData(_keys.Value[payload[0]], Encoding.ASCII.GetBytes(signed)))}";
    }

    /// <param name="numbers">How many there are: one or two.</param>
    private (Guid[]? Ids, int First, int Last) Open(string prefix, int count, int numbers, string? text)
    {
        var length = 1 + 16 * count + 4 * numbers;
        var expected = prefix.Length + Base64Url.GetEncodedLength(length) + 1 + 43;
        if (text is null || text.Length != expected || !text.StartsWith(prefix, StringComparison.Ordinal)) return default;
        var dot = text.LastIndexOf('.');
        if (dot != expected - 44) return default;
        Span<byte> payload = stackalloc byte[length];
        Span<byte> seal = stackalloc byte[32];
        var body = text.AsSpan(prefix.Length, dot - prefix.Length);
        if (!Base64Url.IsValid(body, out var bodyLength) || bodyLength != length || !Base64Url.TryDecodeFromChars(body, payload, out _)
            || !Base64Url.IsValid(text.AsSpan(dot + 1), out var sealLength) || sealLength != 32 || !Base64Url.TryDecodeFromChars(text.AsSpan(dot + 1), seal, out _)) return default;
        if (!_keys.Value.TryGetValue(payload[0], out var key)
            || !CryptographicOperations.FixedTimeEquals(HMACSHA256.HashData(key, Encoding.ASCII.GetBytes(text[..dot])), seal)) return default;
        var ids = new Guid[count];
        for (var i = 0; i < count; i++) ids[i] = new Guid(payload.Slice(1 + 16 * i, 16), bigEndian: true);
        return (ids, BinaryPrimitives.ReadInt32BigEndian(payload[(1 + 16 * count)..]), BinaryPrimitives.ReadInt32BigEndian(payload[^4..]));
    }

    private static async Task<Dictionary<byte, byte[]>> LoadAsync(KeyVault vault)
    {
        await vault.GetOrMakeAsync(VaultPrefix + "001");
        var keys = await vault.AllAsync(VaultPrefix);
        return keys.ToDictionary(key => byte.Parse(key.Id.AsSpan(VaultPrefix.Length), System.Globalization.CultureInfo.InvariantCulture), key => key.Key);
    }
}
