using CsCheck;
using Grants.Api.Keys;
using Grants.Api.Signing;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Grants.Api.Tests.Pairwise;

/// <summary>The names themselves: laws over random people and sectors.</summary>
public sealed class PairwiseNamesTests(AppFixture app) : IClassFixture<AppFixture>
{
    private static readonly Gen<string> Label = Gen.Char["abcdefghijklmnopqrstuvwxyz0123456789"].Array[1, 12].Select(letters => new string(letters));
    private static readonly Gen<string> Host = Gen.Select(Label, Gen.OneOf("example", "test", "co.test", "a")).Select(parts => $"{parts.Item1}.{parts.Item2}");

    private PairwiseNames Names => app.Services.GetRequiredService<PairwiseNames>();

    [Fact, Trait("Rule", "PW-1"), Trait("Attack", "T22"), Trait("Attack", "T21")]
    public async Task Every_person_has_one_sub_in_each_sector_that_nobody_else_has_and_that_leads_back()
    {
        var (subs, others) = (new Dictionary<string, (SubjectId, string)>(), 0);
        foreach (var (id, host, another) in Generated(Gen.Select(Gen.Guid, Host, Host), 3000))
        {
            // Two that differ in one bit, as neighbours in time do.
            foreach (var person in (SubjectId[])[new(id), new(Neighbour(id))])
            {
                var sub = await Names.SubOfAsync(person, Of(host), default);
                Assert.Equal(sub, await Names.SubOfAsync(person, Of(host), default));
                Assert.True(subs.TryAdd(sub, (person, host)) || subs[sub] == (person, host), $"{sub} is {person} at {host} and {subs[sub]}");
                Assert.Equal(person, await Names.PersonOfAsync(sub, Of(host), default));

                // Of the form that no public sub and no client id has.
                Assert.Matches("^sub_p[0-9a-f]{32}$", sub);
                Assert.True(PairwiseNames.IsPairwise(sub) && !PairwiseNames.IsPairwise(person.ToString()));
                Assert.False(SubjectId.TryParse(sub, out _));
                Assert.NotNull(DeclareClient.WhyNot(new ClientId(sub), new ClientMetadata { ClientName = "Impostor", RedirectUris = ["https://impostor.example/cb"] }));
                if (another == host) continue;
                others++;
                Assert.NotEqual(sub, await Names.SubOfAsync(person, Of(another), default));
                Assert.NotEqual(person, await Names.PersonOfAsync(sub, Of(another), default));
            }
        }

        Assert.True(subs.Count > 5900 && others > 5000, $"{subs.Count} {others}");
    }

    [Fact, Trait("Rule", "PW-1")]
    public async Task A_public_client_knows_people_by_their_subject_id_and_by_nothing_else()
    {
        var plain = new Client(Guid.Empty, new ClientId("plain"), new ClientMetadata { ClientName = "Plain", RedirectUris = ["https://one.example/cb"] }, [], ClientStatus.Active, app.Clock.GetUtcNow());
        foreach (var id in Generated(Gen.Guid, 100))
        {
            var person = new SubjectId(id);
            Assert.Equal(person.ToString(), await Names.SubOfAsync(person, plain, default));
            Assert.Equal(person, await Names.PersonOfAsync(person.ToString(), plain, default));
            Assert.Equal(id.ToString("N"), await Names.SidOfAsync(id, plain, default));
            Assert.Equal(id, await Names.SessionOfAsync(id, plain, default));
            Assert.Null(await Names.PersonOfAsync(await Names.SubOfAsync(person, Of("one.example"), default), plain, default));
            Assert.Null(await Names.PersonOfAsync(person.ToString(), Of("one.example"), default));
        }
    }

    [Fact, Trait("Rule", "PW-1"), Trait("Attack", "E7")]
    public async Task A_session_has_another_name_in_each_sector_too_and_it_is_not_the_persons()
    {
        foreach (var id in Generated(Gen.Guid, 300))
        {
            var (one, other) = (await Names.SidOfAsync(id, Of("one.example"), default), await Names.SidOfAsync(id, Of("other.example"), default));
            Assert.Equal(3, new[] { id.ToString("N"), one, other }.Distinct().Count());
            Assert.Equal(id, await Names.SessionOfAsync(Guid.ParseExact(one, "N"), Of("one.example"), default));
            Assert.DoesNotContain(one, await Names.SubOfAsync(new SubjectId(id), Of("one.example"), default), StringComparison.Ordinal);
        }
    }

    [Theory, Trait("Rule", "PW-1")]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("sub_p")]
    [InlineData("sub_0190a00000007000800000000000000a")]
    [InlineData("sub_p0190a0000000700080000000000000a")]
    [InlineData("sub_p0190a00000007000800000000000000a1")]
    [InlineData("sub_p0190A00000007000800000000000000A")]
    [InlineData("SUB_P0190a00000007000800000000000000a")]
    [InlineData("sub_p 190a00000007000800000000000000a")]
    [InlineData("sub_pg190a00000007000800000000000000a")]
    [InlineData("tally")]
    public async Task Other_texts_are_nobodys_pairwise_sub(string? text)
    {
        Assert.False(PairwiseNames.IsPairwise(text));
        Assert.Null(await Names.PersonOfAsync(text, Of("one.example"), default));
    }

    [Fact, Trait("Rule", "PW-1"), Trait("Attack", "P7")]
    public async Task The_key_is_one_for_all_nodes_lies_wrapped_in_the_vault_and_nothing_is_known_without_it()
    {
        var person = new SubjectId(Guid.CreateVersion7(app.Clock.GetUtcNow()));
        var sub = await Names.SubOfAsync(person, Of("one.example"), default);

        using var fresh = app.NewVault(); // as a node has it that has just started
        Assert.Equal(sub, await new PairwiseNames(fresh).SubOfAsync(person, Of("one.example"), default));
        var secret = Assert.Single(await fresh.AllAsync("pairwise:")).Key;
        Assert.Equal(32, secret.Length);
        Witness.Saw("pairwise secret", Convert.ToHexStringLower(secret));

        await using var elsewhere = NpgsqlDataSource.Create(await GrantsApp.NewDatabaseAsync());
        using var foreign = new KeyVault(elsewhere, app.Services.GetRequiredService<KeyEncryptionKey>(), app.Clock);
        var another = new PairwiseNames(foreign);
        Assert.NotEqual(sub, await another.SubOfAsync(person, Of("one.example"), default));
        Assert.NotEqual(person, await another.PersonOfAsync(sub, Of("one.example"), default));
    }

    [Fact, Trait("Rule", "PW-1")]
    public async Task Subs_look_random()
    {
        var bits = 0;
        const int People = 2000;
        for (var i = 0; i < People; i++)
        {
            // People who came one after the other, in one sector.
            var name = Guid.ParseExact((await Names.SubOfAsync(new SubjectId(new Guid(0x0190a000, 0, 0x7000, [0x80, 0, 0, 0, 0, 0, (byte)(i >> 8), (byte)i])), Of("one.example"), default))[5..], "N");
            bits += name.ToByteArray().Sum(octet => System.Numerics.BitOperations.PopCount(octet));
        }

        var half = People * 64.0;
        Assert.InRange(bits, half - 6 * Math.Sqrt(half / 2), half + 6 * Math.Sqrt(half / 2)); // six standard deviations
    }

    private Client Of(string host) => new(Guid.Empty, new ClientId("of-" + host),
        new ClientMetadata { ClientName = host, RedirectUris = [$"https://{host}/cb"], SubjectType = SubjectIdentifierType.Pairwise }, [], ClientStatus.Active, app.Clock.GetUtcNow());

    private static Guid Neighbour(Guid id)
    {
        var bytes = id.ToByteArray();
        bytes[^1] ^= 1;
        return new Guid(bytes);
    }

    private static IEnumerable<T> Generated<T>(Gen<T> gen, int cases) => Enumerable.Range(1, cases).Select(number => gen.Generate(new PCG((uint)number, 20261124), null, out _));
}
