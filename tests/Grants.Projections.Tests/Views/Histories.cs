using CsCheck;
using Grants.Domain;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.TokenFamilies;
using JasperFx.Events;

namespace Grants.Projections.Tests.Views;

/// <summary>
/// Random histories that the server could really have written: two people and two apps, every event decided by the Domain and
/// every state folded by it.
/// </summary>
internal sealed class Histories
{
    private const string Issuer = "https://grants.example";
    private static readonly Secret Verifier = new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    private static readonly CodeChallenge Challenge = new("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    private static readonly RedirectUri Callback = new("https://app.example/cb");

    private static readonly Catalogue Catalogue = new(Catalogue.StreamId,
        [new("balances", "See balances", "see", null, null), new("payments", "Make payments", "do", null, null)],
        [new("https://bank.example", "Bank", ["balances", "payments"], "jwt")]);

    private static readonly Client[] Clients = [.. new[] { "tally", "acorn" }.Select((name, number) => new Client(Id(0xC0 + number), new ClientId(name), new ClientMetadata
    {
        ClientName = name,
        RedirectUris = [Callback.Value],
        GrantTypes = GrantType.Supported,
        Scope = ["openid", "offline_access", "balances", "payments"],
        OptionalScopes = ["payments"],
        AccessTokenLifetime = TimeSpan.FromMinutes(5),
        RefreshTokenIdle = TimeSpan.FromMinutes(40),
        GrantLifetime = TimeSpan.FromMinutes(90),
    }, [], ClientStatus.Active, Noon))];

    /// <summary>A service that exchanges everybody's tokens, its own too.</summary>
    private static readonly Client Service = new(Id(0xC2), new ClientId("service"), new ClientMetadata
    {
        ClientName = "Service",
        GrantTypes = [GrantType.TokenExchange],
        Resources = ["https://bank.example"],
        TokenExchange = [new(["tally", "acorn", "service"], ["https://bank.example"], ["balances"], Impersonation: true)],
        AccessTokenLifetime = TimeSpan.FromMinutes(4),
    }, [], ClientStatus.Active, Noon);

    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);

    private readonly EventLog _log = new();
    private readonly Dictionary<Guid, Authorization> _authorizations = [];
    private readonly Dictionary<Guid, Grant> _grants = [];
    private readonly Dictionary<Guid, TokenFamily> _families = [];
    private readonly Dictionary<Guid, Session> _sessions = [];
    private DateTimeOffset _now = Noon;
    private int _ids;

    public sealed record Step(int What, int Who, int Minutes);

    public static Gen<Step[]> Steps { get; } =
        Gen.Select(Gen.Int[0, 13], Gen.Int[0, 3], Gen.Int[0, 12]).Select((what, who, minutes) => new Step(what, who, minutes)).Array[1, 40];

    /// <summary>A history and the places where it is cut into pages.</summary>
    public static Gen<(Step[] Steps, int[] PageSizes)> Cut { get; } = Gen.Select(Steps, Gen.Int[1, 9].Array[1, 6]);

    public static Histories After(IEnumerable<Step> steps)
    {
        var history = new Histories();
        foreach (var step in steps) history.Take(step);
        return history;
    }

    public IReadOnlyList<IEvent> Events => _log.Events;

    public DateTimeOffset Now => _now;

    /// <summary>What the recorder of expiries would write about one stream at a moment.</summary>
    public IEnumerable<IDomainEvent> Expiries(Guid stream, DateTimeOffset now) =>
        _authorizations.TryGetValue(stream, out var authorization) ? RecordExpiry.Of(authorization, now)
        : _grants.TryGetValue(stream, out var grant) ? RecordExpiry.Of(grant, now)
        : _families.TryGetValue(stream, out var family) ? RecordExpiry.Of(family, Issued(stream), now)
        : _sessions.TryGetValue(stream, out var session) ? RecordExpiry.Of(session, now)
        : [];

    public bool HasEnded(Guid grant) => _grants[grant].Ended;

    private IEnumerable<(int, DateTimeOffset)> Issued(Guid family) =>
        _log.Events.Where(e => e.StreamId == family).Select(e => e.Data).OfType<TokenFamilyEvent.AccessTokenIssued>().Select(token => (token.Number, token.ExpiresAt));

    public IEnumerable<Guid> Streams => [.. _authorizations.Keys, .. _grants.Keys, .. _families.Keys, .. _sessions.Keys];

    public static IEnumerable<IReadOnlyList<IEvent>> Pages(IReadOnlyList<IEvent> events, int[] sizes)
    {
        for (int at = 0, page = 0; at < events.Count; page++)
        {
            var size = Math.Min(sizes[page % sizes.Length], events.Count - at);
            yield return [.. events.Skip(at).Take(size)];
            at += size;
        }
    }

    private void Take(Step step)
    {
        _now += TimeSpan.FromMinutes(step.Minutes);
        var client = Clients[step.Who % 2];
        var family = _families.Values.Where(f => f.Facts.Client == client.ClientId).ElementAtOrDefault(step.Who);
        var renewable = _families.Values.LastOrDefault(f => f.Facts.Client == client.ClientId && f.Refresh is not null && !f.IsDead);
        switch (step.What)
        {
            case 0 or 1 or 2: Consent(step, client); break;
            case 3: Append(IssueClientToken.Decide(new(client, null, NewId(), Catalogue, Issuer), _now)); break;
            case 4 or 5 or 6 when renewable?.Refresh is { } refresh: Refresh(renewable, client, refresh.Generation); break;
            case 7 when renewable?.Refresh is { Generation: > 1 } refresh: Refresh(renewable, client, refresh.Generation - 1); break;
            case 8 when _grants.Values.ElementAtOrDefault(step.Who) is { } grant: Append(RevokeGrant.Decide(grant, new(null, EndedBy.Operator, "an incident"), _now)); break;
            case 9 when family is { IsDead: false } && Enumerable.Range(1, family.AccessTokens).Any(family.Stands):
                Append([new(family.Id, new TokenFamilyEvent.AccessTokenRevoked(Enumerable.Range(1, family.AccessTokens).First(family.Stands), EndedBy.Client, "revoked by its client", _now))]);
                break;
            case 10 when family is { Revoked: false }: Append([new(family.Id, new TokenFamilyEvent.Revoked(EndedBy.Client, "revoked by its client", _now))]); break;
            case 12 or 13: Exchange(step); break;
            case 11: foreach (var stream in Streams.ToList()) Append(Expiries(stream, _now).ToList().Select(e => new StreamEvent(stream, e))); break;
        }
    }

    private void Consent(Step step, Client client)
    {
        var person = new SubjectId(Id(0xA0 + step.Who / 2));
        var session = NewId();
        Append(SignIn.Decide(null, new(person, session), _now));
        var id = NewId();
        ScopeSet asked = step.What == 0 ? ["openid", "balances"] : ["openid", "offline_access", "balances", "payments"];
        var request = new AuthorizationRequest(client.ClientId, Callback, true, ResponseMode.Query, asked, Challenge, [PromptValue.Consent], null, null, null);
        if (step.What == 2) Append(PushAuthorization.Decide(new(id, request, TimeSpan.FromSeconds(90)), _now));
        if (step is { What: 2, Minutes: 9 }) return; // no browser comes with it
        Append([
            new(id, new AuthorizationEvent.Requested(request, "browser", _now, _now + Authorization.Lifetime)),
            new(id, new AuthorizationEvent.SubjectAuthenticated(person, session, _sessions[session].Authentication, _now)),
        ]);
        var grant = _grants.Values.SingleOrDefault(g => !g.Ended && g.Subject == person && g.Client == client.ClientId);
        ScopeSet ticked = step.What == 1 ? ["payments"] : [];
        Append(AnswerConsent.Decide(_authorizations[id], grant, new(client, _sessions[session], step.Minutes != 12, ticked, ConsentWords.Of(client, asked, Catalogue), NewId(), NewId()), _now));
        if (_authorizations[id].Code is not { } code || step.Minutes == 11) return; // a code that nobody fetches
        Append(RedeemCode.Decide(_authorizations[id], _grants[code.Grant], null, new(client, Callback, Verifier, Catalogue, Issuer), _now));
        if (step.Minutes == 10) // and one that is used twice
            Append(RedeemCode.Decide(_authorizations[id], _grants[code.Grant], _families[code.Family], new(client, Callback, Verifier, Catalogue, Issuer), _now));
    }

    private void Refresh(TokenFamily family, Client client, int generation) =>
        Append(RefreshTokens.Decide(family, _grants.GetValueOrDefault(family.Facts.Grant ?? Guid.Empty), new(client, generation, null, Catalogue, Issuer), _now));

    /// <summary>Shows the newest token, or an older one.</summary>
    private void Exchange(Step step)
    {
        var shown = _log.Events.Reverse().Where(e => e.Data is TokenFamilyEvent.AccessTokenIssued).ElementAtOrDefault(step.Who);
        if (shown?.Data is not TokenFamilyEvent.AccessTokenIssued issued || _families[shown.StreamId] is not { Facts.Grant: { } grant } family) return;
        var subject = new ShownToken(TokenTypeUri.AccessToken, family.Facts, issued.Scopes, issued.Audience, issued.ExpiresAt, null, null,
            [new(family.Id, issued.Number, family.Facts.Client), .. family.Parents], Stands(family.Id, issued.Number));
        Append(ExchangeToken.Decide(new(Service, subject, _grants[grant], null, null, [], NewId(), Catalogue, Issuer), _now));
    }

    /// <summary>Whether nobody has ended it, its grant or what it came of, as far as that is recorded.</summary>
    public bool Stands(Guid family, int number) => _families[family] is var found && found.Stands(number) && !(found.Facts.Grant is { } grant && _grants[grant].Ended)
        && found.Parents.All(parent => _families[parent.Family].Stands(parent.Number));

    private void Append<T>(Decision<T> decision) => Append(decision.Events);

    private void Append(IEnumerable<StreamEvent> decided)
    {
        var events = decided.ToList();
        _log.Add(events);
        foreach (var (id, happened) in events)
        {
            switch (happened)
            {
                case AuthorizationEvent e: _authorizations[id] = Authorization.Evolve(_authorizations.GetValueOrDefault(id), id, e)!; break;
                case GrantEvent e: _grants[id] = Grant.Evolve(_grants.GetValueOrDefault(id), id, e)!; break;
                case TokenFamilyEvent e: _families[id] = TokenFamily.Evolve(_families.GetValueOrDefault(id), id, e)!; break;
                case SessionEvent e: _sessions[id] = Session.Evolve(_sessions.GetValueOrDefault(id), id, e)!; break;
            }
        }
    }

    private Guid NewId() => Id(0x1000 + _ids++);

    private static Guid Id(int number) => new(0x01900000, 0, 0x7000, [0x80, 0, 0, 0, 0, 0, (byte)(number >> 8), (byte)number]);
}
