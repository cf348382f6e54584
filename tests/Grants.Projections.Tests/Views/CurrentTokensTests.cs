using CsCheck;
using Grants.Domain.AccessGrants;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.TokenFamilies;
using Grants.Projections.CurrentTokens;
using JasperFx.Events;

namespace Grants.Projections.Tests.Views;

public sealed class CurrentTokensTests
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    private static readonly Guid Family = new("01900000-0000-7000-8000-0000000000f1");
    private static readonly Guid ThirdFamily = new("01900000-0000-7000-8000-0000000000f3");
    private static readonly Guid OtherFamily = new("01900000-0000-7000-8000-0000000000f2");
    private static readonly Guid Grant = new("01900000-0000-7000-8000-0000000000a1");
    private static readonly Guid OtherGrant = new("01900000-0000-7000-8000-0000000000a2");
    private static readonly Guid Session = new("01900000-0000-7000-8000-0000000000c1");
    private static readonly SubjectId Sam = new(new Guid("01900000-0000-7000-8000-0000000000aa"));
    private static readonly FamilyFacts Facts = new(new("tally"), Sam, Grant, Session, ["openid", "balances"], Authentication.ByPassword(Noon));

    private static readonly TokenFamilyEvent.AccessTokenIssued First = new(1, Facts, ["balances"], ["https://bank.example", "https://grants.example"], Noon, Noon.AddMinutes(5));
    private static readonly TokenFamilyEvent.RefreshTokenIssued Refresh = new(Facts, 1, Noon, Noon.AddDays(30), Noon.AddDays(90));

    private static readonly CurrentToken FirstRow = new(Family, 1, CurrentToken.AccessToken, "tally", Sam.ToString(), Grant, Session, "balances", "https://bank.example https://grants.example",
        Noon, Noon.AddMinutes(5), EventLog.Origin + ".1", EventLog.Network, 0, null, CurrentToken.Live, null, null, null, 1, 1);

    private static readonly CurrentToken RefreshRow = new(Family, 0, CurrentToken.RefreshToken, "tally", Sam.ToString(), Grant, Session, "openid balances", "",
        Noon, Noon.AddDays(30), EventLog.Origin + ".2", EventLog.Network, 1, null, CurrentToken.Live, null, null, null, 2, 2);

    private static EventLog Issued => new EventLog().Add(Family, First, Refresh);

    private static List<CurrentToken> Rows(EventLog log) => InPages([log.Events]);

    [Fact]
    public void An_access_token_is_shown_with_who_what_where_and_from_where() => Assert.Equal([FirstRow], Rows(new EventLog().Add(Family, First)));

    [Fact]
    public void A_client_acting_for_itself_has_neither_person_nor_grant()
    {
        var row = Assert.Single(Rows(new EventLog().Add(Family, First with { Facts = new(new("tally"), null, null, null, ["reports"], null) })));
        Assert.Equal((null, null, null), (row.Subject, row.Grant, row.Session));
    }

    [Fact, Trait("Rule", "TK-10")]
    public void An_exchanged_token_is_shown_with_all_who_act_the_present_one_first()
    {
        var acting = Facts with { Client = new("service"), Act = new Actor("service", new("service"), new Actor("sub_1", new("broker"))) };
        var row = Assert.Single(Rows(new EventLog().Add(Family, First with { Facts = acting }, new TokenFamilyEvent.TokenExchanged(TokenTypeUri.AccessToken, [new(OtherFamily, 1, new("tally"))], null, Noon))));
        Assert.Equal(FirstRow with { Client = "service", Actors = "service sub_1", Parents = $"{OtherFamily:N}.1", Root = OtherFamily, Position = 2 }, row);
    }

    [Fact, Trait("Rule", "TK-10"), Trait("Law", "L3")]
    public void What_is_revoked_takes_along_what_came_of_it_and_nothing_else()
    {
        var (child, grandchild, sibling) = (new Guid("01900000-0000-7000-8000-0000000000f3"), new Guid("01900000-0000-7000-8000-0000000000f4"), new Guid("01900000-0000-7000-8000-0000000000f5"));
        var acting = Facts with { Client = new("service"), Act = new Actor("service", new("service")) };
        TokenReference Of(Guid family, int number = 1) => new(family, number, new("tally"));
        var log = new EventLog().Add(Family, First, Refresh)
            .Add(child, First with { Facts = acting }, new TokenFamilyEvent.TokenExchanged(TokenTypeUri.AccessToken, [Of(Family)], null, Noon))
            .Add(grandchild, First with { Facts = acting }, new TokenFamilyEvent.TokenExchanged(TokenTypeUri.AccessToken, [Of(child), Of(Family)], null, Noon))
            .Add(sibling, First with { Facts = acting }, new TokenFamilyEvent.TokenExchanged(TokenTypeUri.AccessToken, [Of(Family, 2)], null, Noon));
        foreach (var (stream, ending, ended) in (List<(Guid, TokenFamilyEvent, Guid[])>)
        [
            (Family, new TokenFamilyEvent.Revoked(EndedBy.Client, "over", Noon), [Family, child, grandchild, sibling]),
            (Family, new TokenFamilyEvent.AccessTokenRevoked(1, EndedBy.Client, "over", Noon), [Family, child, grandchild]),
            (child, new TokenFamilyEvent.AccessTokenRevoked(1, EndedBy.Client, "over", Noon), [child, grandchild]),
            (grandchild, new TokenFamilyEvent.AccessTokenRevoked(1, EndedBy.Client, "over", Noon), [grandchild]),
        ])
        {
            var last = EventLog.Event(stream, ending, 99, version: 9);
            foreach (var rows in (List<CurrentToken>[])[InPages([[.. log.Events, last]]), InPages([log.Events, [last]]), InPages([.. log.Events.Select(e => (IReadOnlyList<IEvent>)[e]), [last]])])
                Assert.Equal(ended.ToHashSet(), rows.Where(row => row is { Number: > 0, State: CurrentToken.Revoked, EndedWhy: "over" }).Select(row => row.Family).ToHashSet());
        }
    }

    [Fact]
    public void A_refresh_token_has_one_row_which_it_keeps_while_it_rotates()
    {
        Assert.Equal([RefreshRow, FirstRow], Rows(Issued));

        var rotated = Issued.Add(Family, new TokenFamilyEvent.RefreshTokenRotated(2, Facts, 1, Noon.AddDays(1), Noon.AddDays(31), Noon.AddDays(90)),
            new TokenFamilyEvent.RefreshTokenRotated(3, Facts, 2, Noon.AddDays(70), Noon.AddDays(100), Noon.AddDays(90)));
        Assert.Equal([RefreshRow with { Generation = 3, LastUsedAt = Noon.AddDays(70), ExpiresAt = Noon.AddDays(90), Position = 4, Version = 4 }, FirstRow], Rows(rotated));
    }

    [Fact]
    public void An_access_token_revoked_says_when_by_whom_and_why() =>
        Assert.Equal([RefreshRow, FirstRow with { State = CurrentToken.Revoked, EndedAt = Noon, EndedBy = "client", EndedWhy = "not needed", Position = 3 }],
            Rows(Issued.Add(Family, new TokenFamilyEvent.AccessTokenRevoked(1, EndedBy.Client, "not needed", Noon))));

    [Fact]
    public void An_access_token_that_ran_out_says_when() =>
        Assert.Equal([RefreshRow, FirstRow with { State = CurrentToken.Expired, EndedAt = Noon.AddMinutes(6), Position = 3 }],
            Rows(Issued.Add(Family, new TokenFamilyEvent.AccessTokenExpired(1, Noon.AddMinutes(6)))));

    [Fact]
    public void A_refresh_token_that_ran_out_takes_no_access_token_with_it() =>
        Assert.Equal([RefreshRow with { State = CurrentToken.Expired, EndedAt = Noon.AddDays(31), Position = 3 }, FirstRow],
            Rows(Issued.Add(Family, new TokenFamilyEvent.Expired(Noon.AddDays(31)))));

    [Fact, Trait("Law", "L3")]
    public void A_family_revoked_ends_all_its_tokens_and_no_other() =>
        Assert.Equal([RefreshRow with { State = CurrentToken.Revoked, EndedAt = Noon, EndedBy = "system", EndedWhy = "replay", Position = 4 },
            FirstRow with { State = CurrentToken.Revoked, EndedAt = Noon, EndedBy = "system", EndedWhy = "replay", Position = 4 },
            FirstRow with { Family = OtherFamily, Position = 3, Origin = EventLog.Origin + ".3" }],
            Rows(Issued.Add(OtherFamily, First).Add(Family, new TokenFamilyEvent.Revoked(EndedBy.System, "replay", Noon))));

    [Fact, Trait("Law", "L3")]
    public void A_grant_revoked_ends_the_tokens_that_came_of_it_and_no_others()
    {
        var log = Issued.Add(OtherFamily, First with { Facts = Facts with { Grant = OtherGrant } }).Add(Grant, new GrantEvent.Revoked(EndedBy.Person, "not used any more", Noon));
        Assert.All(Rows(log).Where(row => row.Grant == Grant), row => Assert.Equal((CurrentToken.Revoked, Noon, "person", "not used any more", 4),
            (row.State, row.EndedAt, row.EndedBy, row.EndedWhy, row.Position)));
        Assert.True(Rows(log).Single(row => row.Grant == OtherGrant).IsLive);
    }

    [Fact]
    public void A_grant_that_ran_out_ends_the_tokens_that_came_of_it() =>
        Assert.All(Rows(Issued.Add(Grant, new GrantEvent.Expired(Noon))), row => Assert.Equal((CurrentToken.Expired, Noon, null), (row.State, row.EndedAt, row.EndedBy)));

    [Fact, Trait("Law", "L3")]
    public void A_revoked_token_that_also_runs_out_stays_revoked()
    {
        var revoked = Issued.Add(Family, new TokenFamilyEvent.Revoked(EndedBy.Client, "not needed", Noon));
        var before = Rows(revoked);
        Assert.Equal(before, Rows(revoked.Add(Family, new TokenFamilyEvent.AccessTokenExpired(1, Noon.AddMinutes(6)), new TokenFamilyEvent.Expired(Noon.AddDays(31)))
            .Add(Grant, new GrantEvent.Expired(Noon.AddDays(90)), new GrantEvent.Revoked(EndedBy.Person, "again", Noon.AddDays(91)))));
    }

    [Fact]
    public void An_id_token_a_replay_and_what_a_token_was_given_for_alone_change_no_row() =>
        Assert.Equal([RefreshRow, FirstRow], Rows(Issued.Add(Family, new TokenFamilyEvent.IdTokenIssued(Noon, Noon.AddMinutes(10)), new TokenFamilyEvent.RefreshTokenReplayed(1, Noon),
            new TokenFamilyEvent.TokenExchanged(TokenTypeUri.AccessToken, [], null, Noon), new TokenFamilyEvent.AssertionAccepted("https://elsewhere.example", "aGFzaA", Noon))));

    [Fact]
    public void Only_rows_that_changed_are_written()
    {
        var (rows, ends) = CurrentTokenRows.Apply([FirstRow, RefreshRow], [EventLog.Event(Family, new TokenFamilyEvent.AccessTokenExpired(1, Noon), 9)]);
        Assert.Equal([1], rows.Select(row => row.Number));
        Assert.Empty(ends);
    }

    [Fact]
    public void The_ends_of_single_tokens_read_no_row_and_are_written_as_ends()
    {
        IEvent[] page = [
            EventLog.Event(Family, new TokenFamilyEvent.AccessTokensExpired([1, 2], Noon), 9, version: 7),
            EventLog.Event(Family, new TokenFamilyEvent.AccessTokenRevoked(3, EndedBy.Client, "not needed", Noon), 10, version: 8),
            EventLog.Event(Family, new TokenFamilyEvent.AccessTokenExpired(3, Noon), 11, version: 9)];
        var touched = CurrentTokenRows.Touched(page);
        Assert.Equal(([], [], []), (touched.Renewed, touched.Whole, touched.EndedGrants));
        Assert.Equal([Family], touched.Revoked); // only what came of it could have to be seen
        var (rows, ends) = CurrentTokenRows.Apply([], page);
        Assert.Empty(rows);
        Assert.Equal([new(Family, 1, CurrentToken.Expired, Noon, null, null, 9), new(Family, 2, CurrentToken.Expired, Noon, null, null, 9),
            new(Family, 3, CurrentToken.Revoked, Noon, EndedBy.Client, "not needed", 10)], ends);
    }

    [Fact, Trait("Law", "L8")]
    public void A_page_reads_the_refresh_tokens_that_it_renews_and_all_that_ends_in_it_as_a_whole()
    {
        TokenFamilyEvent renewed = new TokenFamilyEvent.RefreshTokenRotated(2, Facts, 1, Noon, Noon, Noon);
        var touched = CurrentTokenRows.Touched([.. Issued.Add(OtherGrant, new GrantEvent.Narrowed(Guid.Empty, ["balances"], Noon)).Add(Grant, new GrantEvent.Expired(Noon)).Events,
            EventLog.Event(OtherFamily, renewed, 9, version: 5), EventLog.Event(Family, renewed, 10, version: 3), EventLog.Event(ThirdFamily, new TokenFamilyEvent.Revoked(EndedBy.Client, "", Noon), 11, version: 9)]);
        Assert.Equal([OtherFamily], touched.Renewed); // the other one begins in the page: it has no row yet
        Assert.Equal([ThirdFamily], touched.Whole);
        Assert.Equal([Grant], touched.EndedGrants);
        Assert.Equal([ThirdFamily], touched.Revoked);
    }

    [Fact]
    public void A_refresh_tokens_end_is_looked_for_after_its_newest_renewal_and_an_access_tokens_after_its_issue()
    {
        var log = Issued.Add(OtherFamily, First).Add(Family, new TokenFamilyEvent.RefreshTokenRotated(2, Facts, 1, Noon, Noon, Noon), new TokenFamilyEvent.AccessTokenIssued(2, null, ["balances"], ["x"], Noon, Noon));
        Assert.Equal([(0, 3L), (1, 1L), (2, 4L)], Rows(log).Where(row => row.Family == Family).Select(row => (row.Number, row.Version)));
    }

    [Fact, Trait("Law", "L6")]
    public void Where_a_token_came_from_stays_sealed() =>
        Assert.All(Rows(Issued), row => Assert.StartsWith(EventLog.Origin, row.Origin, StringComparison.Ordinal));

    [Fact]
    public void A_header_reads_alike_from_the_session_that_writes_and_from_the_database()
    {
        var e = EventLog.Event(Family, First);
        e.SetHeader(EventMetadata.Origin, System.Text.Json.JsonSerializer.SerializeToElement("v1.k1.c2VhbGVk"));
        e.SetHeader(EventMetadata.Network, 7);
        var row = Assert.Single(CurrentTokenRows.Apply([], [e]).Rows);
        Assert.Equal(("v1.k1.c2VhbGVk", null), (row.Origin, row.Network));
    }

    [Fact, Trait("Law", "L5")]
    public void However_the_log_is_cut_into_pages_the_rows_are_the_same() =>
        Histories.Cut.Always(cut =>
        {
            var events = Histories.After(cut.Steps).Events;
            Assert.Equal(InPages([events]), InPages(Histories.Pages(events, cut.PageSizes)));
        }, times: 300);

    [Fact, Trait("Law", "L5"), Trait("Law", "L3")]
    public void Every_token_issued_has_one_row_and_what_has_ended_stays_as_it_ended() =>
        Histories.Cut.Always(cut =>
        {
            var events = Histories.After(cut.Steps).Events;
            var rows = InPages(Histories.Pages(events, cut.PageSizes));
            Assert.Equal(events.Count(e => e.Data is TokenFamilyEvent.AccessTokenIssued or TokenFamilyEvent.RefreshTokenIssued), rows.Count);
            for (var length = 0; length < events.Count; length += 7)
            {
                foreach (var past in InPages([[.. events.Take(length)]]).Where(row => !row.IsLive)) Assert.Contains(past, rows);
            }
        }, times: 60);

    [Fact, Trait("Law", "L9"), Trait("Rule", "TK-10")]
    public void A_token_is_live_in_the_view_as_long_as_the_streams_say_so_of_it_and_of_all_that_it_came_of() =>
        Histories.Cut.Always(cut =>
        {
            var history = Histories.After(cut.Steps);
            foreach (var row in InPages(Histories.Pages(history.Events, cut.PageSizes)).Where(row => row.Number > 0))
                Assert.Equal(history.Stands(row.Family, row.Number), row.IsLive);
        }, times: 300);

    [Fact, Trait("Law", "L5")]
    public void The_events_that_arent_loaded_would_change_nothing() =>
        Histories.Cut.Always(cut =>
        {
            var events = Histories.After(cut.Steps).Events;
            Assert.Equal(InPages([events], only: [.. EventNames.All.Keys]), InPages([events]));
        }, times: 100);

    /// <summary>As the table does it: each page gets the live rows that it asks for, and an end counts for a row that is live.</summary>
    internal static List<CurrentToken> InPages(IEnumerable<IReadOnlyList<IEvent>> pages, HashSet<Type>? only = null)
    {
        only ??= [.. CurrentTokenRows.Events];
        var table = new Dictionary<(Guid, int), CurrentToken>();
        foreach (var page in pages.Select(page => page.Where(e => only.Contains(e.Data.GetType())).ToList()))
        {
            var touched = CurrentTokenRows.Touched(page);
            var roots = table.Values.Where(row => touched.Revoked.Contains(row.Family)).Select(row => row.Root ?? row.Family).ToHashSet();
            var before = table.Values.Where(row => row.IsLive && ((row.Number == 0 && touched.Renewed.Contains(row.Family)) || touched.Whole.Contains(row.Family)
                || (row.Grant is { } grant && touched.EndedGrants.Contains(grant)) || (row.Root is { } root && roots.Contains(root)))).ToList();
            var (rows, ends) = CurrentTokenRows.Apply(before, page);
            foreach (var row in rows) table[(row.Family, row.Number)] = row;
            foreach (var end in ends)
            {
                if (table.TryGetValue((end.Family, end.Number), out var row) && row.IsLive)
                    table[(end.Family, end.Number)] = row with { State = end.State, EndedAt = end.At, EndedBy = end.By, EndedWhy = end.Why, Position = end.Position };
            }
        }

        return [.. table.Values.OrderBy(row => row.Family).ThenBy(row => row.Number)];
    }
}
