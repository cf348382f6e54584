using System.Collections.Immutable;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Keys;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.Subjects;
using Grants.Domain.TokenFamilies;

namespace Grants.Domain.Tests.Given;

/// <summary>What the streams remember at one moment. Every state comes from events, through the Evolve that production uses.</summary>
public sealed class Scenario
{
    private readonly ImmutableDictionary<Guid, object> _streams;

    private Scenario(ImmutableDictionary<Guid, object> streams) => _streams = streams;

    public static Scenario Given(params IEnumerable<StreamEvent> past) => new Scenario(ImmutableDictionary<Guid, object>.Empty).And(past);

    /// <summary>The same world after more has happened.</summary>
    public Scenario And(params IEnumerable<StreamEvent> happened) => new(happened.Aggregate(_streams, (streams, next) =>
        Fold(streams.GetValueOrDefault(next.Stream), next.Stream, next.Event) is { } state ? streams.SetItem(next.Stream, state) : streams));

    /// <summary>The same world with what a decision recorded.</summary>
    public Scenario After<T>(Decision<T> decision) => And(decision.Events);

    public Authorization? Authorization => Find<Authorization>(Fixtures.RequestId);

    public Grant? Grant => Find<Grant>(Fixtures.GrantId);

    public TokenFamily? Family => Find<TokenFamily>(Fixtures.FamilyId);

    public Session? Session => Find<Session>(Fixtures.SessionId);

    public T? Find<T>(Guid stream) where T : class => _streams.GetValueOrDefault(stream) as T;

    public static object? Fold(object? state, Guid id, IDomainEvent happened) => happened switch
    {
        AuthorizationEvent e => Domain.Authorizations.Authorization.Evolve((Authorization?)state, id, e),
        GrantEvent e => Domain.AccessGrants.Grant.Evolve((Grant?)state, id, e),
        TokenFamilyEvent e => TokenFamily.Evolve((TokenFamily?)state, id, e),
        SessionEvent e => Domain.Sessions.Session.Evolve((Session?)state, id, e),
        ClientEvent e => Client.Evolve((Client?)state, id, e),
        SubjectEvent e => Subject.Evolve((Subject?)state, id, e),
        SigningKeyEvent e => SigningKey.Evolve((SigningKey?)state, id, e),
        CatalogueEvent e => Catalogue.Evolve((Catalogue?)state, id, e),
        _ => throw new System.Diagnostics.UnreachableException(happened.GetType().Name),
    };
}

/// <summary>What a decision came to, said as a test says it.</summary>
public static class Then
{
    /// <summary>It was met; the value is what with.</summary>
    public static T Accepted<T>(this Decision<T> decision) => Assert.IsType<Accepted<T>>(decision).Value;

    /// <summary>It was refused with this code and leaves nothing in the log.</summary>
    public static OAuthError RefusedWith<T>(this Decision<T> decision, string code)
    {
        Assert.Empty(decision.Events);
        return decision.RefusedAndRecordedWith(code);
    }

    /// <summary>It was refused with this code, and the log says so.</summary>
    public static OAuthError RefusedAndRecordedWith<T>(this Decision<T> decision, string code)
    {
        var error = Assert.IsType<Refused<T>>(decision).Error;
        Assert.Equal(code, error.Code);
        Assert.All(error.Description, c => Assert.True(c is ' ' or '!' or (>= '#' and <= '[') or (>= ']' and <= '~')));
        return error;
    }

    /// <summary>Exactly these events, in this order.</summary>
    public static void Records<T>(this Decision<T> decision, params StreamEvent[] expected) => Assert.Equal(expected, decision.Events);

    /// <summary>The one event of a type.</summary>
    public static T One<T>(this IEnumerable<StreamEvent> events) where T : IDomainEvent => Assert.Single(events.Select(e => e.Event).OfType<T>());
}

/// <summary>One small story that tests vary: a person signed in at ten to twelve, and the app Tally asks at noon.</summary>
public static class Fixtures
{
    public const string Issuer = "https://id.example";
    public const string Verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    public static readonly DateTimeOffset Noon = new(2026, 6, 1, 12, 0, 0, TimeSpan.Zero);
    public static readonly Guid ClientStream = Id(1);
    public static readonly Guid SessionId = Id(2);
    public static readonly Guid RequestId = Id(3);
    public static readonly Guid GrantId = Id(4);
    public static readonly Guid FamilyId = Id(5);
    public static readonly SubjectId Person = new(Id(6));
    public static readonly SubjectId AnotherPerson = new(Id(7));
    public static readonly ClientId Tally = new("tally");
    public static readonly RedirectUri Callback = new("https://tally.example/callback");

    /// <summary>RFC 7636 appendix B's pair, with <see cref="Verifier"/>.</summary>
    public static readonly CodeChallenge Challenge = new("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");

    /// <summary>The key of RFC 9449's examples.</summary>
    public static readonly JwkThumbprint Key = new("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");

    public static readonly JwkThumbprint AnotherKey = new("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");

    /// <summary>All that Tally asks for by default. <c>history</c> is the one it can do without.</summary>
    public static readonly ScopeSet Asked = ["openid", "accounts", "history", "offline_access"];

    public static readonly Authentication Password = Authentication.ByPassword(Noon.AddMinutes(-10));

    public static readonly ConsentText Text = new("0123456789abcdef", "en", "Tally", []);

    public static readonly ClientMetadata Web = new()
    {
        ClientName = "Tally",
        RedirectUris = [Callback.Value],
        GrantTypes = [GrantType.AuthorizationCode, GrantType.RefreshToken, GrantType.ClientCredentials],
        Scope = ["openid", "accounts", "history", "payments", "offline_access"],
        OptionalScopes = ["history"],
    };

    public static readonly ClientMetadata PublicWeb = Web with { TokenEndpointAuthMethod = ClientAuthMethod.None };

    public static readonly Catalogue BankCatalogue = Scenario.Given(
        Declared("accounts", "See your accounts"), Declared("history", "See your past payments"), Declared("payments", "Make payments", "do"),
        new(Domain.Catalogues.Catalogue.StreamId, new CatalogueEvent.ResourceDeclared(
            new ResourceDefinition("https://bank.example", "Demo Bank", ["accounts", "history", "payments"], "jwt"), Noon)))
        .Find<Catalogue>(Domain.Catalogues.Catalogue.StreamId)!;

    /// <summary>Stream ids that are the same in each run.</summary>
    public static Guid Id(int number) => new(number, 0, 0x7000, 0x80, 0, 0, 0, 0, 0, 0, 0);

    public static Client AClient(ClientMetadata? metadata = null, params ClientEvent[] then) =>
        Scenario.Given([new(ClientStream, new ClientEvent.Registered(Tally, metadata ?? Web, Noon.AddDays(-1))), .. then.Select(e => new StreamEvent(ClientStream, e))])
            .Find<Client>(ClientStream)!;

    public static Client AnotherClient(ClientMetadata? metadata = null) =>
        Scenario.Given(new StreamEvent(Id(11), new ClientEvent.Registered(new ClientId("other"), metadata ?? Web, Noon.AddDays(-1)))).Find<Client>(Id(11))!;

    public static StreamEvent On(Guid stream, IDomainEvent happened) => new(stream, happened);

    public static StreamEvent SessionStarted(SubjectId? subject = null, Authentication? how = null) =>
        On(SessionId, new SessionEvent.Started(subject ?? Person, how ?? Password, (how ?? Password).At + SignIn.Lifetime));

    public static AuthorizationRequest ARequest(params string[] prompt) =>
        new(Tally, Callback, RedirectUriGiven: true, ResponseMode.Query, Asked, Challenge, new(prompt), null, null, null);

    public static StreamEvent Requested(AuthorizationRequest? request = null) =>
        On(RequestId, new AuthorizationEvent.Requested(request ?? ARequest(), "browser", Noon, Noon + Domain.Authorizations.Authorization.Lifetime));

    public static StreamEvent Pushed(AuthorizationRequest? request = null) =>
        On(RequestId, new AuthorizationEvent.Pushed(request ?? ARequest(), Noon, Noon.AddSeconds(90)));

    public static StreamEvent Authenticated(Guid? session = null, SubjectId? subject = null) =>
        On(RequestId, new AuthorizationEvent.SubjectAuthenticated(subject ?? Person, session ?? SessionId, Password, Noon));

    public static StreamEvent CodeIssued(ScopeSet? scopes = null) =>
        On(RequestId, new AuthorizationEvent.CodeIssued(GrantId, FamilyId, scopes ?? Asked, Noon, Noon + Domain.Authorizations.Authorization.CodeLifetime));

    public static StreamEvent CodeRedeemed() => On(RequestId, new AuthorizationEvent.CodeRedeemed(FamilyId, Noon));

    public static StreamEvent Granted(ScopeSet? scopes = null, ScopeSet? refused = null, DateTimeOffset? until = null) =>
        On(GrantId, new GrantEvent.Created(Person, Tally, RequestId, scopes ?? Asked, refused ?? [], Noon, until ?? Noon.AddDays(90)));

    public static readonly FamilyFacts Facts = new(Tally, Person, GrantId, SessionId, Asked, Password);

    /// <summary>What a redeemed code leaves in the family's stream.</summary>
    public static StreamEvent[] FamilyBegun(FamilyFacts? facts = null) =>
    [
        AccessTokenIssued(1, facts),
        On(FamilyId, new TokenFamilyEvent.RefreshTokenIssued(facts ?? Facts, 1, Noon, Noon.AddDays(30), Noon.AddDays(90))),
        On(FamilyId, new TokenFamilyEvent.IdTokenIssued(Noon, Noon.AddMinutes(10))),
    ];

    public static StreamEvent AccessTokenIssued(int number, FamilyFacts? facts = null, DateTimeOffset? at = null) =>
        On(FamilyId, new TokenFamilyEvent.AccessTokenIssued(number, facts ?? Facts, (facts ?? Facts).Scopes, ["https://bank.example", Issuer], at ?? Noon, (at ?? Noon).AddMinutes(5)));

    public static StreamEvent Rotated(int generation, DateTimeOffset? at = null, int accessTokens = 1) =>
        On(FamilyId, new TokenFamilyEvent.RefreshTokenRotated(generation, Facts, accessTokens, at ?? Noon, (at ?? Noon).AddDays(30), Noon.AddDays(90)));

    private static StreamEvent Declared(string scope, string label, string kind = "see") =>
        On(Domain.Catalogues.Catalogue.StreamId, new CatalogueEvent.ScopeDeclared(new ScopeDefinition(scope, label, kind, null, null), Noon));
}
