using System.Text;
using System.Text.Json;
using Grants.Domain.AccessGrants;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Keys;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Grants.Projections.Tests.Events;
using Marten;

namespace Grants.Projections.Tests.Streams;

/// <summary>States that stand in the database: what is read back is what was folded, and it can be found by what it is looked up by.</summary>
public sealed class InlineStreamsTests
{
    private static readonly Guid Id = new("01900000-0000-7000-8000-000000000001");

    private static JsonElement StoredAndReadBack<T>(T? state) where T : class
    {
        Assert.NotNull(state);
        var options = new StoreOptions();
        GrantsStore.Configure(options);
        var json = options.Serializer().ToJson(state);
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(json));
        Assert.Equal(state, options.Serializer().FromJson<T>(stream));
        using var document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }

    /// <summary>The examples of one stream, in their order.</summary>
    private static IEnumerable<TEvent> Of<TEvent>(params Type[] but) where TEvent : IDomainEvent =>
        Examples.All.Select(example => example.Event).OfType<TEvent>().Where(e => !but.Contains(e.GetType()));

    [Fact, Trait("Law", "L5")]
    public void A_client_reads_back_and_is_found_by_its_client_id()
    {
        var stored = StoredAndReadBack(Of<ClientEvent>(typeof(ClientEvent.Deleted), typeof(ClientEvent.SecretRetired)).Aggregate((Client?)null, (state, e) => Client.Evolve(state, Id, e)));
        Assert.Equal("tally", stored.GetProperty("client_id").GetString());
    }

    [Fact, Trait("Law", "L5")]
    public void A_person_reads_back_and_is_found_by_the_hash_of_the_user_name()
    {
        var stored = StoredAndReadBack(Of<SubjectEvent>(typeof(SubjectEvent.Erased), typeof(SubjectEvent.SignInFailuresCleared)).Aggregate((Subject?)null, (state, e) => Subject.Evolve(state, Id, e)));
        Assert.Equal("bG9naW4", stored.GetProperty("login_hash").GetString());
    }

    [Fact, Trait("Law", "L5")]
    public void A_grant_reads_back_and_is_found_by_person_and_client_only_while_it_lives()
    {
        var live = Of<GrantEvent>(typeof(GrantEvent.Revoked), typeof(GrantEvent.Expired)).Aggregate((Grant?)null, (state, e) => Grant.Evolve(state, Id, e));
        Assert.Equal(Grant.KeyOf(live!.Subject, live.Client), StoredAndReadBack(live).GetProperty("live_key").GetString());

        var ended = Grant.Evolve(live, Id, new GrantEvent.Expired(live.ExpiresAt));
        Assert.False(StoredAndReadBack(ended).TryGetProperty("live_key", out _));
    }

    [Fact, Trait("Law", "L5")]
    public void A_signing_key_reads_back() =>
        StoredAndReadBack(Of<SigningKeyEvent>(typeof(SigningKeyEvent.Revoked), typeof(SigningKeyEvent.Destroyed)).Aggregate((SigningKey?)null, (state, e) => SigningKey.Evolve(state, Id, e)));

    [Fact, Trait("Law", "L5")]
    public void The_catalogue_reads_back() =>
        StoredAndReadBack(Of<CatalogueEvent>().Aggregate((Catalogue?)null, (state, e) => Catalogue.Evolve(state, Id, e)));
}
