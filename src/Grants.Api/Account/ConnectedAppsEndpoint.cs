using System.Globalization;
using Grants.Api.Details;
using Grants.Api.Http;
using Grants.Api.Log;
using Grants.Api.Login;
using Grants.Api.Pages;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Projections.CurrentGrants;
using JasperFx.Events;
using Marten;
using Wolverine.Http;

namespace Grants.Api.Account;

/// <summary>"Connected apps": what a person lets apps do, and the way to end it.</summary>
public static class ConnectedAppsEndpoint
{
    [WolverineGet("/account")]
    public static IResult Root() => Results.Extensions.SeeOther("/account/apps");

    [WolverineGet("/account/apps")]
    public static Task<IResult> List(HttpContext http, ConnectedApps apps) => apps.ListAsync(http);

    [WolverineGet("/account/apps/{id}")]
    public static Task<IResult> Show(Guid id, HttpContext http, ConnectedApps apps) => apps.ShowAsync(http, id);

    [WolverineGet("/account/apps/{id}/remove")]
    public static Task<IResult> AskRemove(Guid id, HttpContext http, ConnectedApps apps) => apps.AskRemoveAsync(http, id);

    [WolverinePost("/account/apps/{id}/remove")]
    public static Task<IResult> Remove(Guid id, HttpContext http, ConnectedApps apps) => apps.RemoveAsync(http, id);
}

/// <summary>The pages behind <see cref="ConnectedAppsEndpoint"/>. Every one asks first whose session this is.</summary>
public sealed class ConnectedApps(EventLog log, IDocumentStore store, AccessViews views, Lookups lookups, BrowserSession browser, Causes causes, DetailsReader details, PageFrame pages, SignInHandling signIn, TimeProvider clock)
{
    private const string ListAddress = "/account/apps";
    private string ListUrl => pages.At(ListAddress);
    private string SignOutUrl => pages.At("/logout/confirm");

    public async Task<IResult> ListAsync(HttpContext http)
    {
        if (await browser.FindAsync(http) is not { } session) return Results.Extensions.SeeOther("/signin");
        // Whoever comes straight from allowing an app finds it here; where the view takes longer, the page says how far behind it is.
        await views.CatchUpAsync(TimeSpan.FromSeconds(2), http.RequestAborted);
        var now = clock.GetUtcNow();
        var catalogue = await lookups.CatalogueAsync(http.RequestAborted);
        var apps = new List<ConnectedAppModel>();
        foreach (var grant in await views.GrantsOfAsync(session.Subject, http.RequestAborted))
        {
            if (await ModelOf(grant, catalogue, http.RequestAborted) is { } app) apps.Add(app);
        }

        var live = apps.Where(app => app.State == AccessState.Live).ToList();
        var fresh = live.Where(app => now - app.AllowedAt < TimeSpan.FromDays(7)).ToList();
        var unused = live.Except(fresh).Where(app => now - (app.LastUsedAt ?? app.AllowedAt) > TimeSpan.FromDays(90)).ToList();
        return PageFrame.Page<ConnectedAppsPage>(new ConnectedAppsModel(pages.Site, await signIn.NameOf(session.Subject, http.RequestAborted), pages.Field(http), SignOutUrl,
            fresh, [.. live.Except(fresh).Except(unused)], unused, [.. apps.Except(live)], await FreshnessAsync(http.RequestAborted), Banner(http, now), TimeZoneInfo.Utc, now));
    }

    public async Task<IResult> ShowAsync(HttpContext http, Guid id)
    {
        if (await browser.FindAsync(http) is not { } session) return Results.Extensions.SeeOther("/signin");
        var grants = await views.GrantsAsync("where id = $1 and subject = $2", [id, session.Subject.ToString()], http.RequestAborted);
        var catalogue = await lookups.CatalogueAsync(http.RequestAborted);
        if (grants.Count == 0 || await ModelOf(grants[0], catalogue, http.RequestAborted) is not { } app) return Unknown(http);

        var (issued, live) = await views.TokenCountsAsync(id, http.RequestAborted);
        var permissions = Permissions(Set(grants[0].Scopes), catalogue, needed: true).ToList();
        var now = clock.GetUtcNow();
        // The view has no details: they are read where they stand.
        var standing = (await log.Read([id], http.RequestAborted)).Grant(id)?.Details;
        var objects = standing is null ? null : await details.OpenAsync(standing, http.RequestAborted);
        return PageFrame.Page<AccessPage>(new AccessModel(pages.Site, await signIn.NameOf(session.Subject, http.RequestAborted), pages.Field(http), SignOutUrl, ListUrl, app,
            [.. permissions.Where(permission => catalogue.Scope(permission.Scope)?.Kind != "do")], [.. permissions.Where(permission => catalogue.Scope(permission.Scope)?.Kind == "do")],
            [.. Permissions(Set(grants[0].Declined), catalogue, needed: false)], live, await TimelineAsync(grants[0], app.App.Name, issued, catalogue, http.RequestAborted),
            await FreshnessAsync(http.RequestAborted), null, TimeZoneInfo.Utc, now,
            objects is null ? [] : [.. standing!.Zip(objects, (detail, said) => DetailsWords.Model(catalogue.DetailsType(detail.Type), detail.Type, said))]));
    }

    public async Task<IResult> AskRemoveAsync(HttpContext http, Guid id)
    {
        if (await browser.FindAsync(http) is not { } session) return Results.Extensions.SeeOther("/signin");
        if (await OwnedAsync(id, session, http.RequestAborted) is not { } client) return Unknown(http);
        var minutes = Math.Max(1, (int)Math.Ceiling(client.Metadata.AccessTokenLifetime.TotalMinutes));
        return PageFrame.Page<RemoveAccessPage>(new RemoveAccessModel(pages.Site, pages.Field(http), $"{ListUrl}/{id:N}/remove", pages.App(client), ListUrl,
            $"Services that check access offline may accept its current pass for up to {minutes} {(minutes == 1 ? "minute" : "minutes")}."));
    }

    public async Task<IResult> RemoveAsync(HttpContext http, Guid id)
    {
        if (await pages.RefuseForgedAsync(http) is { } forged) return forged;
        if (await browser.FindAsync(http) is not { } session) return Results.Extensions.SeeOther("/signin");
        if (await OwnedAsync(id, session, http.RequestAborted) is not { } client) return Unknown(http);
        await log.Commit(await causes.Of(http, Cause.Person(session.Subject), client.ClientId, session.Id, session.Subject), [id],
            (streams, now) => RevokeGrant.Decide(streams.Grant(id), new(session.Subject, EndedBy.Person, "removed by the person"), now), http.RequestAborted);
        var caughtUp = await views.CatchUpAsync(TimeSpan.FromSeconds(2), http.RequestAborted);
        return Results.Extensions.SeeOther(caughtUp ? $"{ListAddress}?removed={id:N}" : $"{ListAddress}?removed={id:N}&late=1");
    }

    /// <summary>The app of this grant if the grant is this person's own; another's is as good as none (404, same page).</summary>
    private async Task<Client?> OwnedAsync(Guid id, Session session, CancellationToken cancellation) =>
        (await log.Read([id], cancellation)).Grant(id) is { } grant && grant.Subject == session.Subject ? await lookups.ClientAsync(grant.Client, cancellation) : null;

    private IResult Unknown(HttpContext http) =>
        pages.Error(http, "There is nothing here", "No app of yours has access under this address. See Connected apps for all that can use your account.", null, null, status: StatusCodes.Status404NotFound,
            startAgainUrl: ListUrl, startAgainText: "Connected apps");

    private async Task<Freshness> FreshnessAsync(CancellationToken cancellation)
    {
        var position = await views.PositionAsync(cancellation);
        return new Freshness(position.Position, position.Behind.TotalSeconds);
    }

    /// <summary>Says what was done. The words depend on flags alone, never on text from the address.</summary>
    private static string? Banner(HttpContext http, DateTimeOffset now) => http.Request.Query.ContainsKey("removed")
        ? http.Request.Query.ContainsKey("late")
            ? "Done. This list is still catching up."
            : string.Create(CultureInfo.InvariantCulture, $"Access removed at {now:HH:mm} UTC. The app can no longer use your account.")
        : null;

    private async Task<ConnectedAppModel?> ModelOf(CurrentGrant grant, Catalogue catalogue, CancellationToken cancellation)
    {
        if (await lookups.ClientAsync(new ClientId(grant.Client), cancellation) is not { } client) return null;
        var now = clock.GetUtcNow();
        var scopes = Set(grant.Scopes);
        var top = Permissions(scopes, catalogue, needed: true).OrderByDescending(permission => permission.Risk is not null).ThenByDescending(permission => catalogue.Scope(permission.Scope)?.Kind == "do").Take(2);
        var state = grant.State switch
        {
            CurrentGrant.Revoked => AccessState.Removed,
            CurrentGrant.Expired => AccessState.Expired,
            _ => grant.ExpiresAt <= now ? AccessState.Expired : AccessState.Live,
        };
        return new ConnectedAppModel($"{ListUrl}/{grant.Id:N}", $"{ListUrl}/{grant.Id:N}/remove", pages.App(client), [.. top], grant.CreatedAt, grant.LastUsedAt, grant.ExpiresAt,
            scopes.Contains(StandardScopes.OfflineAccess), state, state == AccessState.Live ? null : grant.EndedAt ?? grant.ExpiresAt, grant.EndedBy switch
            {
                EndedBy.Person => "You removed it",
                EndedBy.Operator => "The security team removed it",
                null when state == AccessState.Expired => "Its time ran out",
                _ => null,
            });
    }

    private static IEnumerable<PermissionModel> Permissions(ScopeSet scopes, Catalogue catalogue, bool needed) =>
        ConsentWords.Listed(scopes).Select(name => catalogue.Scope(name) is { } scope
            ? new PermissionModel(name, scope.Label, scope.Details, scope.Risk, null, false, needed, false, false)
            : new PermissionModel(name, name, null, null, null, false, needed, false, false));

    /// <summary>The grant's own stream, told as sentences, newest first; renewals are one line.</summary>
    private async Task<IReadOnlyList<TimelineEntryModel>> TimelineAsync(CurrentGrant grant, string app, int issued, Catalogue catalogue, CancellationToken cancellation)
    {
        await using var session = store.QuerySession();
        var events = await session.Events.FetchStreamAsync(grant.Id, token: cancellation);
        var name = DisplayText.Isolated(app);
        string Words(ScopeSet scopes) => string.Join(", ", Permissions(scopes, catalogue, needed: true).Select(permission => permission.Label));
        var lines = events.Select(e => e.Data switch
        {
            GrantEvent.Created c => Line(e, c.At, TimelineKind.Allowed, "You allowed", $"{name} to use your account.", Words(c.Scopes)),
            GrantEvent.Widened { Added.Count: > 0 } w => Line(e, w.At, TimelineKind.Allowed, "You allowed", $"{name} more.", Words(w.Added)),
            GrantEvent.Widened { Details: { Count: var count } } w => Line(e, w.At, TimelineKind.Allowed, "You allowed", $"{name} {(count == 1 ? "one thing" : $"{count} things")} in particular.", null),
            GrantEvent.Widened w => Line(e, w.At, TimelineKind.Allowed, "You confirmed", $"what {name} may do.", null),
            GrantEvent.Narrowed n => Line(e, n.At, TimelineKind.Ended, "You took back", $"some of what {name} may do.", Words(n.Removed)),
            GrantEvent.Revoked { By: EndedBy.Person } r => Line(e, r.At, TimelineKind.Ended, "You removed", $"the access of {name}.", null),
            GrantEvent.Revoked r => Line(e, r.At, TimelineKind.Ended, "Access was removed", $"for {name}: {r.Why}.", null),
            GrantEvent.Expired x => Line(e, x.At, TimelineKind.Ended, "Access ran out", $"for {name}.", null),
            _ => null,
        }).OfType<TimelineEntryModel>().ToList();
        if (grant.LastUsedAt is { } used)
            lines.Add(new TimelineEntryModel(used, issued == 1 ? $"{name} got a pass to your account once." : $"{name} got or renewed a pass to your account {issued} times; this was the last.", null, grant.Position, TimelineKind.Used));
        return [.. lines.OrderByDescending(line => line.At).ThenByDescending(line => line.Position)];
    }

    private static TimelineEntryModel Line(IEvent e, DateTimeOffset at, TimelineKind kind, string opening, string sentence, string? details) =>
        new(at, sentence, details, e.Sequence, kind, opening);

    private static ScopeSet Set(string scopes) => ScopeSet.Of(scopes.Split(' ', StringSplitOptions.RemoveEmptyEntries));
}
