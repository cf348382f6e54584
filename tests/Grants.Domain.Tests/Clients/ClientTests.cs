using CsCheck;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Tests.Protocol;
using static Grants.Domain.Clients.ClientEvent;

namespace Grants.Domain.Tests.Clients;

public sealed class ClientTests
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    private static readonly Guid Id = new("01900000-0000-7000-8000-000000000001");
    private static readonly ClientMetadata Metadata = new() { ClientName = "Tally", GrantTypes = [GrantType.AuthorizationCode] };

    private static readonly Registered Begin = new(new("tally"), Metadata, Noon);
    private static readonly Deleted End = new("closed", Noon);

    private static readonly Gen<ClientEvent> Anything = Gen.OneOf<ClientEvent>(Begin, new MetadataReplaced(Metadata with { ClientName = "Tally Budget" }, Noon),
        new MetadataReplaced(Metadata, Noon), new SecretAdded(new("1", "x"), Noon), new SecretAdded(new("2", "y"), Noon), new SecretRetired("1", Noon),
        new SecretRetired("unknown", Noon), new Suspended("abuse", Noon), new Resumed(Noon), End);

    private static Client? Fold(params IEnumerable<ClientEvent> events) => events.Aggregate((Client?)null, (state, e) => Client.Evolve(state, Id, e));

    [Fact]
    public void A_client_that_changes_its_name_remembers_the_one_before()
    {
        var client = Fold(Begin, new MetadataReplaced(Metadata with { ClientName = "Tally Budget" }, Noon.AddDays(1)));
        Assert.Equal(("Tally Budget", "Tally", Noon.AddDays(1)), (client!.Metadata.ClientName, client.NameBefore, client.NameChangedAt));
    }

    [Fact]
    public void A_client_that_keeps_its_name_remembers_no_other()
    {
        var client = Fold(Begin, new MetadataReplaced(Metadata with { ClientUri = "https://tally.example" }, Noon));
        Assert.Null(client!.NameBefore);
        Assert.Null(client.NameChangedAt);
    }

    [Fact, Trait("Attack", "K10")]
    public void Secrets_may_overlap_and_are_retired_by_name() =>
        Assert.Equal([new SecretHash("2", "y")], Fold(Begin, new SecretAdded(new("1", "x"), Noon), new SecretAdded(new("2", "y"), Noon), new SecretRetired("1", Noon))!.Secrets);

    [Fact, Trait("Attack", "K9")]
    public void A_client_may_use_only_what_it_is_registered_for()
    {
        Assert.Null(Fold(Begin)!.WhyNotUse(GrantType.AuthorizationCode));
        Assert.Equal(ErrorCode.UnauthorizedClient, Fold(Begin)!.WhyNotUse(GrantType.ClientCredentials)!.Code);
        Assert.Equal(ErrorCode.UnauthorizedClient, Fold(Begin)!.WhyNotUse(GrantType.RefreshToken)!.Code);
    }

    [Fact, Trait("Attack", "T24")]
    public void A_suspended_client_may_use_nothing_until_it_is_resumed()
    {
        Assert.Equal(ErrorCode.UnauthorizedClient, Fold(Begin, new Suspended("abuse", Noon))!.WhyNotUse(GrantType.AuthorizationCode)!.Code);
        Assert.Null(Fold(Begin, new Suspended("abuse", Noon), new Resumed(Noon))!.WhyNotUse(GrantType.AuthorizationCode));
    }

    [Fact, Trait("Law", "L3")]
    public void A_deleted_client_stays_as_it_was() =>
        Gen.Select(Anything.Array[0, 10], Anything.Array[0, 10]).Always((before, after) =>
        {
            var ended = Fold([Begin, .. before, End]);
            Assert.Equal(ClientStatus.Deleted, ended!.Status);
            Assert.Equal(ended, Fold([Begin, .. before, End, .. after]));
        }, times: 300);

    [Fact]
    public void No_order_of_events_makes_the_fold_throw() =>
        Anything.Array[0, 20].Always(events => Fold(events) is null == !events.Contains(Begin), times: 500);
}
