using System.Text;
using System.Xml.Linq;
using Microsoft.AspNetCore.DataProtection.Repositories;

namespace Grants.Api.Keys;

/// <summary>Keeps ASP.NET Core's Data Protection keys in the vault: shared by all nodes, encrypted at rest.</summary>
public sealed class DataProtectionKeys(KeyVault vault) : IXmlRepository
{
    private const string VaultPrefix = "data-protection:";

    // Data Protection's interface is synchronous and is called at start and every few months.
    public IReadOnlyCollection<XElement> GetAllElements() =>
        [.. Task.Run(() => vault.AllAsync(VaultPrefix)).GetAwaiter().GetResult().Select(key => XElement.Parse(Encoding.UTF8.GetString(key.Key)))];

    public void StoreElement(XElement element, string friendlyName) =>
        Task.Run(() => vault.PutAsync(VaultPrefix + friendlyName, Encoding.UTF8.GetBytes(element.ToString(SaveOptions.DisableFormatting)))).GetAwaiter().GetResult();
}
