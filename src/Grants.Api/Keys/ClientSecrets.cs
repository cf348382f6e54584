using System.Text;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Api.Keys;

/// <summary>
/// The secrets of clients that use <c>client_secret_jwt</c>: an HMAC can only be checked by whoever has the secret itself, so for
/// these alone the hash in the log is not enough. They lie in the vault, wrapped by the key-encryption key, and are destroyed when
/// they are retired or the client changes its method (docs/decisions/0010-secrets-for-hmac.md).
/// </summary>
public sealed class ClientSecrets(KeyVault vault)
{
    /// <param name="client">The client's stream.</param>
    /// <param name="keyId">The name of the secret among the client's (<see cref="SecretHash"/>).</param>
    public Task KeepAsync(Guid client, string keyId, Secret secret, CancellationToken cancellation) =>
        vault.PutAsync(VaultId(client, keyId), Encoding.UTF8.GetBytes(secret.Expose()), cancellation);

    /// <summary>The octets of each secret that the client has now, in UTF-8 (OpenID Connect Core §10.1).</summary>
    public async Task<IReadOnlyList<byte[]>> FindAsync(Client client, CancellationToken cancellation)
    {
        var found = new List<byte[]>();
        foreach (var secret in client.Secrets)
        {
            if (await vault.FindAsync(VaultId(client.Id, secret.KeyId), cancellation) is { } octets) found.Add(octets);
        }

        return found;
    }

    public Task DestroyAsync(Guid client, IEnumerable<string> keyIds, CancellationToken cancellation) =>
        vault.DestroyAsync([.. keyIds.Select(keyId => VaultId(client, keyId))], cancellation);

    private static string VaultId(Guid client, string keyId) => $"client-secret:{client:N}:{keyId}";
}
