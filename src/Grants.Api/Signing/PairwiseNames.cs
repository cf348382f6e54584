using System.Security.Cryptography;
using System.Text;
using Grants.Api.Keys;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;

namespace Grants.Api.Signing;

/// <summary>
/// By what <c>sub</c> and <c>sid</c> a client knows a person and a session. A <c>pairwise</c> client's are its sector's own (OpenID
/// Connect Core §8.1): the id as one block of AES-256 under a key of the sector, so that they are the same on every node and for ever,
/// tell nothing without the key, and can be turned back by it, without a table. See docs/decisions/0013-pairwise-subjects.md.
/// </summary>
/// <param name="vault">Has the secret from which the sectors' keys come. It is never replaced: with another one, everybody would be somebody else.</param>
public sealed class PairwiseNames(KeyVault vault)
{
    /// <summary>A digit would follow in a public <c>sub</c>, and no <c>client_id</c> begins so (T21).</summary>
    private const string Prefix = SubjectId.Prefix + "p";

    private byte[]? _secret;

    /// <summary>Whether it has a pairwise <c>sub</c>'s form.</summary>
    public static bool IsPairwise(string? sub) => Parse(sub) is not null;

    /// <summary>The <c>sub</c> of this person for this client.</summary>
    public async ValueTask<string> SubOfAsync(SubjectId person, Client client, CancellationToken cancellation) => client.Metadata.PairwiseSector is { } sector
        ? Prefix + Write(Turn(await SecretAsync(cancellation), "sub", sector, person.Value, back: false))
        : person.ToString();

    /// <summary>Whom this client knows by this <c>sub</c>; null when it has no such form. What is of another sector's making names nobody.</summary>
    public async ValueTask<SubjectId?> PersonOfAsync(string? sub, Client client, CancellationToken cancellation) =>
        client.Metadata.PairwiseSector is not { } sector ? SubjectId.TryParse(sub, out var person) ? person : null
        : Parse(sub) is { } name ? new SubjectId(Turn(await SecretAsync(cancellation), "sub", sector, name, back: true))
        : null;

    /// <summary>Who acts, and for whom again (RFC 8693 §4.1), people by the names that this client knows them by.</summary>
    public async ValueTask<Actor?> ActorOfAsync(Actor? actor, Client client, CancellationToken cancellation) =>
        actor is null || client.Metadata.PairwiseSector is null ? actor : actor with
        {
            Subject = SubjectId.TryParse(actor.Subject, out var person) ? await SubOfAsync(person, client, cancellation) : actor.Subject,
            Act = await ActorOfAsync(actor.Act, client, cancellation),
        };

    /// <summary>The <c>sid</c> of this session for this client: two sectors could else tell by it that they speak of one person.</summary>
    public async ValueTask<string> SidOfAsync(Guid session, Client client, CancellationToken cancellation) => Write(client.Metadata.PairwiseSector is { } sector
        ? Turn(await SecretAsync(cancellation), "sid", sector, session, back: false)
        : session);

    /// <summary>The session that this client knows by this <c>sid</c>.</summary>
    public async ValueTask<Guid> SessionOfAsync(Guid sid, Client client, CancellationToken cancellation) => client.Metadata.PairwiseSector is { } sector
        ? Turn(await SecretAsync(cancellation), "sid", sector, sid, back: true)
        : sid;

    private async ValueTask<byte[]> SecretAsync(CancellationToken cancellation) => _secret ??= await vault.GetOrMakeAsync("pairwise:1", cancellation: cancellation);

    private static string Write(Guid name) => name.ToString("N");

    /// <summary>Small letters alone, so that one person has one <c>sub</c>.</summary>
    private static Guid? Parse(string? sub) => sub?.Length == Prefix.Length + 32 && sub.StartsWith(Prefix, StringComparison.Ordinal)
        && Guid.TryParseExact(sub.AsSpan(Prefix.Length), "N", out var name) && sub.EndsWith(Write(name), StringComparison.Ordinal) ? name : null;

    /// <summary>
    /// One block holds one whole id, so the cipher is a permutation of ids: within a sector no two people can have one name. ECB has no
    /// second block to leak a pattern in.
    /// </summary>
    private static Guid Turn(byte[] secret, string kind, string sector, Guid id, bool back)
    {
        using var aes = Aes.Create();
        aes.Key = HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, outputLength: 32, info: Encoding.UTF8.GetBytes($"{kind}:{sector}"));
        var block = id.ToByteArray(bigEndian: true);
        return new Guid(back ? aes.DecryptEcb(block, PaddingMode.None) : aes.EncryptEcb(block, PaddingMode.None), bigEndian: true);
    }
}
