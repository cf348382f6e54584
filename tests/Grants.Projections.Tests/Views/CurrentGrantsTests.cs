using CsCheck;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;
using Grants.Projections.CurrentGrants;
using JasperFx.Events;

namespace Grants.Projections.Tests.Views;

public sealed class CurrentGrantsTests
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    private static readonly Guid Id = new("01900000-0000-7000-8000-0000000000a1");
    private static readonly Guid OtherId = new("01900000-0000-7000-8000-0000000000a2");
    private static readonly Guid FirstRequest = new("01900000-0000-7000-8000-0000000000b1");
    private static readonly Guid SecondRequest = new("01900000-0000-7000-8000-0000000000b2");
    private static readonly SubjectId Sam = new(new Guid("01900000-0000-7000-8000-0000000000aa"));

    private static readonly GrantEvent.Created Created = new(Sam, new("tally"), FirstRequest, ["openid", "balances"], ["payments"], Noon, Noon.AddDays(90));

    private static readonly CurrentGrant Row = new(Id, Sam.ToString(), "tally", "openid balances", "payments", Noon, Noon, Noon.AddDays(90), FirstRequest, null, null,
        EventLog.Origin + ".1", EventLog.Network, CurrentGrant.Live, null, null, null, 1);

    private static EventLog Begun => new EventLog().Add(Id, Created);

    private static CurrentGrant Only(EventLog log) => Assert.Single(CurrentGrantRows.Apply([], log.Events));

    [Fact]
    public void A_grant_is_shown_with_who_what_since_when_and_from_where() => Assert.Equal(Row, Only(Begun));

    [Fact]
    public void A_later_consent_adds_what_was_newly_allowed_and_moves_the_time_and_place_of_consent() =>
        Assert.Equal(Row with
        {
            Scopes = "openid balances payments",
            Declined = "cards",
            ConsentedAt = Noon.AddDays(1),
            ExpiresAt = Noon.AddDays(91),
            Authorization = SecondRequest,
            Origin = EventLog.Origin + ".2",
            Position = 2,
        }, Only(Begun.Add(Id, new GrantEvent.Widened(SecondRequest, ["payments"], ["cards"], Noon.AddDays(1), Noon.AddDays(91)))));

    [Fact]
    public void What_a_later_answer_takes_away_is_declined_from_then_on() =>
        Assert.Equal(Row with { Scopes = "openid", Declined = "payments balances", Position = 2 }, Only(Begun.Add(Id, new GrantEvent.Narrowed(SecondRequest, ["balances"], Noon))));

    [Fact, Trait("Law", "L3")]
    public void A_grant_revoked_says_when_by_whom_and_why_and_stays_so()
    {
        var revoked = Row with { State = CurrentGrant.Revoked, EndedAt = Noon.AddDays(1), EndedBy = "person", EndedWhy = "not used any more", Position = 2 };
        var log = Begun.Add(Id, new GrantEvent.Revoked(EndedBy.Person, "not used any more", Noon.AddDays(1)));
        Assert.Equal(revoked, Only(log));
        Assert.Equal(revoked, Only(log.Add(Id, new GrantEvent.Expired(Noon.AddDays(90)), new GrantEvent.Revoked(EndedBy.System, "again", Noon.AddDays(91)))));
    }

    [Fact, Trait("Law", "L3")]
    public void A_grant_that_ran_out_says_when_and_stays_so()
    {
        var expired = Row with { State = CurrentGrant.Expired, EndedAt = Noon.AddDays(90), Position = 2 };
        Assert.Equal(expired, Only(Begun.Add(Id, new GrantEvent.Expired(Noon.AddDays(90)), new GrantEvent.Revoked(EndedBy.System, "late", Noon.AddDays(91)))));
    }

    [Fact]
    public void What_is_said_of_a_grant_that_was_never_created_makes_no_row() =>
        Assert.Empty(CurrentGrantRows.Apply([], new EventLog().Add(Id, new GrantEvent.Expired(Noon), new GrantEvent.Narrowed(FirstRequest, ["x"], Noon)).Events));

    [Fact]
    public void One_grants_events_leave_another_as_it_is()
    {
        var rows = CurrentGrantRows.Apply([], Begun.Add(OtherId, Created, new GrantEvent.Expired(Noon)).Events);
        Assert.Equal(Row, rows.Single(row => row.Id == Id));
        Assert.Equal([OtherId], CurrentGrantRows.Apply([Row], [EventLog.Event(OtherId, Created, 2)]).Select(row => row.Id));
    }

    [Fact]
    public void A_page_reads_the_grants_that_it_speaks_of()
    {
        var consent = new AuthorizationEvent.ConsentGranted(OtherId, ["openid"], ["openid"], [], new("0123456789abcdef", "en", "Tally", []), Noon);
        Assert.Equal([Id, OtherId], CurrentGrantRows.Touched(Begun.Add(Id, new GrantEvent.Expired(Noon)).Add(Guid.Empty, consent, new AuthorizationEvent.CodeExpired(Noon)).Events));
    }

    [Fact, Trait("Law", "L6")]
    public void Where_a_consent_came_from_stays_sealed() => Assert.StartsWith(EventLog.Origin, Only(Begun).Origin, StringComparison.Ordinal);

    [Fact]
    public void Every_grant_knows_the_words_that_were_shown_also_at_its_first_consent() =>
        Histories.Cut.Always(cut =>
        {
            var events = Histories.After(cut.Steps).Events;
            var last = events.Select(e => e.Data).OfType<AuthorizationEvent.ConsentGranted>().GroupBy(e => e.Grant).ToDictionary(grant => grant.Key, grant => grant.Last().Text);
            var rows = InPages(Histories.Pages(events, cut.PageSizes));
            Assert.Equal(last.Keys.ToHashSet(), rows.Select(row => row.Id).ToHashSet());
            Assert.All(rows, row => Assert.Equal((last[row.Id].Version, last[row.Id].Language), (row.TextVersion, row.TextLanguage)));
        }, times: 100);

    [Fact, Trait("Law", "L5")]
    public void However_the_log_is_cut_into_pages_the_rows_are_the_same() =>
        Histories.Cut.Always(cut =>
        {
            var events = Histories.After(cut.Steps).Events;
            Assert.Equal(InPages([events]), InPages(Histories.Pages(events, cut.PageSizes)));
        }, times: 300);

    [Fact, Trait("Law", "L5")]
    public void A_row_says_what_the_stream_says() =>
        Histories.Steps.Always(steps =>
        {
            var events = Histories.After(steps).Events;
            foreach (var row in InPages([events]))
            {
                var grant = events.Where(e => e.StreamId == row.Id).Aggregate((Grant?)null, (state, e) => Grant.Evolve(state, row.Id, (GrantEvent)e.Data))!;
                Assert.Equal((grant.Subject.ToString(), grant.Client.Value, grant.Scopes.ToString(), grant.Refused.ToString(), grant.ExpiresAt, grant.Ended),
                    (row.Subject, row.Client, row.Scopes, row.Declined, row.ExpiresAt, row.State != CurrentGrant.Live));
            }
        }, times: 150);

    [Fact, Trait("Law", "L5")]
    public void The_events_that_arent_loaded_would_change_nothing() =>
        Histories.Cut.Always(cut =>
        {
            var events = Histories.After(cut.Steps).Events;
            Assert.Equal(InPages([events], only: [.. EventNames.All.Keys]), InPages([events]));
        }, times: 100);

    /// <summary>As the table does it: each page gets the rows of the grants that it touches.</summary>
    private static List<CurrentGrant> InPages(IEnumerable<IReadOnlyList<IEvent>> pages, HashSet<Type>? only = null)
    {
        only ??= [.. CurrentGrantRows.Events];
        var table = new Dictionary<Guid, CurrentGrant>();
        foreach (var page in pages.Select(page => page.Where(e => only.Contains(e.Data.GetType())).ToList()))
        {
            var touched = CurrentGrantRows.Touched(page);
            foreach (var row in CurrentGrantRows.Apply(table.Values.Where(row => touched.Contains(row.Id)).ToList(), page)) table[row.Id] = row;
        }

        return [.. table.Values.OrderBy(row => row.Id)];
    }
}
