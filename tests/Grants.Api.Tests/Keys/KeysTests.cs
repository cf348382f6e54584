using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using Grants.Api.Keys;
using Grants.Api.Signing;
using Grants.Projections;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Grants.Api.Tests.Keys;

/// <summary>Sealed handles, the vault and the key that opens it.</summary>
public sealed class KeysTests(AppFixture app) : IClassFixture<AppFixture>
{
    private SealedHandles Handles => app.Services.GetRequiredService<SealedHandles>();

    [Fact, Trait("Attack", "T13"), Trait("Rule", "G-9")]
    public void A_handle_is_its_prefix_its_streams_and_a_seal_of_256_bits()
    {
        var code = new CodeHandle(Id(), Id(), Id());
        var refresh = new RefreshHandle(Id(), Id(), 7);
        Assert.Matches("^grc_[A-Za-z0-9_-]{71}\\.[A-Za-z0-9_-]{43}$", Handles.Seal(code));
        Assert.Matches("^grr_[A-Za-z0-9_-]{50}\\.[A-Za-z0-9_-]{43}$", Handles.Seal(refresh));
        Assert.Equal(code, Handles.OpenCode(Handles.Seal(code)));
        Assert.Equal(refresh, Handles.OpenRefresh(Handles.Seal(refresh)));
        Assert.Equal(Handles.Seal(refresh), Handles.Seal(refresh)); // derived, not random (design §4)
        Assert.NotEqual(Handles.Seal(refresh), Handles.Seal(refresh with { Generation = 8 }));
        var pushed = new PushedHandle(Id());
        Assert.Equal(pushed, Handles.OpenPushed(Handles.Seal(pushed)));
        for (var i = 0; i < Handles.Seal(pushed).Length; i++) Assert.Null(Handles.OpenPushed(Changed(Handles.Seal(pushed), i)));
        Assert.Null(Handles.OpenPushed(Handles.Seal(code)));
        var device = new DeviceHandle(Id());
        Assert.Matches("^grd_[A-Za-z0-9_-]{28}\\.[A-Za-z0-9_-]{43}$", Handles.Seal(device));
        Assert.Equal(device, Handles.OpenDevice(Handles.Seal(device)));
        for (var i = 0; i < Handles.Seal(device).Length; i++) Assert.Null(Handles.OpenDevice(Changed(Handles.Seal(device), i)));
        // A request_uri goes through the browser: it must not do for the device code of the same stream.
        Assert.Null(Handles.OpenDevice(Handles.Seal(new PushedHandle(device.Authorization))));
        Assert.Null(Handles.OpenDevice("grd_" + Handles.Seal(new PushedHandle(device.Authorization))[4..]));
    }

    [Fact, Trait("Attack", "T13"), Trait("Attack", "C3")]
    public async Task Whatever_is_changed_of_a_handle_it_opens_no_more_and_no_query_is_made()
    {
        var code = Handles.Seal(new CodeHandle(Id(), Id(), Id()));
        var refresh = Handles.Seal(new RefreshHandle(Id(), Id(), 1));
        for (var i = 0; i < code.Length; i++) Assert.Null(Handles.OpenCode(Changed(code, i)));
        for (var i = 0; i < refresh.Length; i++) Assert.Null(Handles.OpenRefresh(Changed(refresh, i)));
        foreach (var wrong in (string?[])[null, "", ".", "grc_", code + "A", code[..^1], code[4..], code.Replace('.', '_'), "grr_" + code[4..], refresh, " " + code, code + "\n", code.ToUpperInvariant()])
            Assert.Null(Handles.OpenCode(wrong));
        foreach (var wrong in (string[])["grc_" + refresh[4..], code]) Assert.Null(Handles.OpenRefresh(wrong));

        // Through HTTP: refused while nobody can read the log at all.
        using var http = app.NewClient();
        var position = await app.PositionAsync();
        await using (var locker = new NpgsqlConnection(app.ConnectionString))
        {
            await locker.OpenAsync();
            await using var transaction = await locker.BeginTransactionAsync();
            await using (var close = new NpgsqlCommand($"lock table {GrantsStore.Schema}.mt_streams, {GrantsStore.Schema}.mt_events in access exclusive mode", locker)) await close.ExecuteNonQueryAsync();
            foreach (var garbage in (string[])[Changed(code, 20), "grc_x", "nonsense", Changed(code, code.Length - 2)])
            {
                var answer = await http.TokenAsync(TestClient.Tally, ("grant_type", "authorization_code"), ("code", garbage), ("redirect_uri", TestClient.Tally.RedirectUri), ("code_verifier", Journey.Random()))
                    .WaitAsync(TimeSpan.FromSeconds(20));
                Assert.Equal("invalid_grant", answer.Error);
                Assert.Equal("invalid_grant", (await http.RefreshAsync(TestClient.Tally, garbage).WaitAsync(TimeSpan.FromSeconds(20))).Error);
            }
        }

        Assert.Equal(position, await app.PositionAsync());
    }

    [Fact, Trait("Attack", "T13")]
    public void Seals_look_random_and_never_repeat()
    {
        var seals = Enumerable.Range(0, 2000).Select(i => Handles.Seal(new RefreshHandle(Id(), Id(), i)).Split('.')[1]).ToList();
        Assert.Equal(seals.Count, seals.Distinct().Count());
        var ones = seals.Sum(seal => Base64Url.DecodeFromChars(seal).Sum(b => System.Numerics.BitOperations.PopCount(b)));
        var bits = seals.Count * 256.0;
        Assert.InRange(ones, bits / 2 - 6 * Math.Sqrt(bits) / 2, bits / 2 + 6 * Math.Sqrt(bits) / 2); // six standard deviations
    }

    [Fact, Trait("Attack", "P7"), Trait("Attack", "T13")]
    public async Task After_a_rotation_old_handles_still_open_and_new_ones_use_the_new_key()
    {
        var fresh = new GrantsApp();
        await fresh.StartAsync();
        await using var _ = fresh;
        using var vault = fresh.NewVault();
        var before = new SealedHandles(vault);
        var handle = new RefreshHandle(Id(), Id(), 3);
        var old = before.Seal(handle);

        await vault.PutAsync("handles:002", RandomNumberGenerator.GetBytes(32));
        var after = new SealedHandles(vault);
        var sealedAnew = after.Seal(handle);

        Assert.Equal(handle, after.OpenRefresh(old));
        Assert.Equal(handle, after.OpenRefresh(sealedAnew));
        Assert.NotEqual(old, sealedAnew);
        Assert.Equal((1, 2), (Base64Url.DecodeFromChars(old[4..54].PadRight(52, 'A'))[0], Base64Url.DecodeFromChars(sealedAnew[4..54].PadRight(52, 'A'))[0]));
        Assert.Null(before.OpenRefresh(sealedAnew)); // a node that has not started again yet
    }

    [Fact, Trait("Attack", "P7")]
    public async Task Keys_in_the_database_are_wrapped_and_cannot_be_swapped_or_altered()
    {
        using var vault = app.NewVault();
        var (one, two) = (RandomNumberGenerator.GetBytes(32), RandomNumberGenerator.GetBytes(32));
        await vault.PutAsync("test:one", one);
        await vault.PutAsync("test:two", two);
        await vault.PutAsync("test:one", two); // the first stands
        Assert.Equal(one, await vault.FindAsync("test:one"));
        Assert.Equal(one, await vault.GetOrMakeAsync("test:one", () => two));
        Assert.Null(await vault.FindAsync("test:three"));
        Assert.Equal(["test:one", "test:two"], (await vault.AllAsync("test:")).Select(key => key.Id).Order());

        var database = app.Services.GetRequiredService<NpgsqlDataSource>();
        await using (var read = database.CreateCommand($"select wrapped from {GrantsStore.KeyVault} where id = 'test:one'"))
            Assert.Equal(-1, ((byte[])(await read.ExecuteScalarAsync())!).AsSpan().IndexOf(one));

        await using (var swap = database.CreateCommand($"update {GrantsStore.KeyVault} set wrapped = (select wrapped from {GrantsStore.KeyVault} where id = 'test:two') where id = 'test:one'")) await swap.ExecuteNonQueryAsync();
        using var swapped = app.NewVault();
        await Assert.ThrowsAnyAsync<CryptographicException>(() => swapped.FindAsync("test:one"));
        await using (var alter = database.CreateCommand($"update {GrantsStore.KeyVault} set wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1) where id = 'test:two'")) await alter.ExecuteNonQueryAsync();
        await Assert.ThrowsAnyAsync<CryptographicException>(() => swapped.FindAsync("test:two"));
        await using (var clean = database.CreateCommand($"delete from {GrantsStore.KeyVault} where id like 'test:%'")) await clean.ExecuteNonQueryAsync();
    }

    [Fact, Trait("Attack", "P7")]
    public async Task A_private_signing_key_is_in_the_database_in_no_form()
    {
        var dump = await TestDatabases.DumpAsync(app.ConnectionString);
        foreach (var key in await app.Services.GetRequiredService<KeyRing>().PublishedAsync(default))
        {
            var pkcs8 = ((key.Security as Microsoft.IdentityModel.Tokens.ECDsaSecurityKey)?.ECDsa as AsymmetricAlgorithm ?? ((Microsoft.IdentityModel.Tokens.RsaSecurityKey)key.Security).Rsa).ExportPkcs8PrivateKey();
            foreach (var form in (string[])[Convert.ToHexStringLower(pkcs8.AsSpan(30, 24)), Convert.ToBase64String(pkcs8.AsSpan(30, 24)), Base64Url.EncodeToString(pkcs8.AsSpan(33, 24))])
                Assert.False(dump.Contains(form, StringComparison.Ordinal), "A private key is in the dump.");
            Assert.Contains(key.Key.Kid, dump, StringComparison.Ordinal);
        }

        Assert.DoesNotContain("PRIVATE KEY", dump, StringComparison.Ordinal);
    }

    [Fact, Trait("Attack", "P7")]
    public async Task With_another_key_encryption_key_the_server_does_not_start()
    {
        var folder = Directory.CreateTempSubdirectory("grants-test-kek-");
        try
        {
            var file = Path.Combine(folder.FullName, "other.key");
            PrivateFile.WriteNew(file, Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)));
            var other = new GrantsApp();
            await using var _ = other;
            var failure = await Assert.ThrowsAnyAsync<Exception>(() => other.StartAsync(app.ConnectionString, app.Clock, builder => Microsoft.AspNetCore.Hosting.HostingAbstractionsWebHostBuilderExtensions.UseConfiguration(builder,
                new Microsoft.Extensions.Configuration.ConfigurationBuilder().Add(new Microsoft.Extensions.Configuration.Memory.MemoryConfigurationSource { InitialData = [new("Grants:KeyEncryptionKeyFile", file)] }).Build())));
            Assert.Contains(Causes(failure), cause => cause is CryptographicException);
        }
        finally
        {
            folder.Delete(recursive: true);
        }

        static IEnumerable<Exception> Causes(Exception e) => e is AggregateException many ? many.InnerExceptions.SelectMany(Causes).Prepend(e) : e.InnerException is { } inner ? Causes(inner).Prepend(e) : [e];
    }

    [Fact, Trait("Attack", "P7")]
    public void The_key_file_is_made_for_the_server_alone_and_a_bad_one_is_refused()
    {
        var folder = Directory.CreateTempSubdirectory("grants-test-kek-");
        try
        {
            var settings = TestSettings.In(folder.FullName);
            var key = KeyEncryptionKey.Load(settings);
            var file = Path.Combine(folder.FullName, "key-encryption.key");
            if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
            Assert.Equal("text", Encoding.UTF8.GetString(KeyEncryptionKey.Load(settings).Unwrap("id", key.Wrap("id", "text"u8))));
            Assert.ThrowsAny<CryptographicException>(() => key.Unwrap("other id", key.Wrap("id", "text"u8)));

            File.WriteAllText(file, Convert.ToBase64String(RandomNumberGenerator.GetBytes(16)));
            Assert.Throws<SettingsException>(() => KeyEncryptionKey.Load(settings));
            File.WriteAllText(file, "not base64!");
            Assert.Throws<SettingsException>(() => KeyEncryptionKey.Load(settings));
            Assert.Throws<SettingsException>(() => KeyEncryptionKey.Load(TestSettings.In(folder.FullName, Path.Combine(folder.FullName, "missing.key"))));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact, Trait("Attack", "T14")]
    public async Task Of_a_client_secret_only_its_SHA_256_is_kept()
    {
        var dump = await TestDatabases.DumpAsync(app.ConnectionString);
        Assert.DoesNotContain(TestConfiguration.TallySecret, dump, StringComparison.Ordinal);
        Assert.Contains(Base64Url.EncodeToString(SHA256.HashData(Encoding.UTF8.GetBytes(TestConfiguration.TallySecret))), dump, StringComparison.Ordinal);
    }

    private Guid Id() => Guid.CreateVersion7(app.Clock.GetUtcNow());

    /// <summary>Another character at one place; the last of a base64url group has bits that don't count, so it is changed by more than those.</summary>
    private static string Changed(string text, int at) => text[..at] + (text[at] == 'Q' ? 'x' : 'Q') + text[(at + 1)..];
}
