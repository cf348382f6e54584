using Grants.Domain.AccessGrants;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Domain.TokenFamilies;

/// <summary>The token types of RFC 8693 §3 that have a meaning here.</summary>
public static class TokenTypeUri
{
    public const string AccessToken = "urn:ietf:params:oauth:token-type:access_token";
    public const string IdToken = "urn:ietf:params:oauth:token-type:id_token";

    /// <summary>Any JWT of this server.</summary>
    public const string Jwt = "urn:ietf:params:oauth:token-type:jwt";
}

/// <summary>A genuine token of this server that is shown in an exchange: what it says, and what the streams say of it.</summary>
/// <param name="Type">What it is: <see cref="TokenTypeUri.AccessToken"/> or <see cref="TokenTypeUri.IdToken"/>.</param>
/// <param name="Facts">Those of its family; of an id_token, which names none, what it says itself and the live grant between its person and its client.</param>
/// <param name="MayAct">The one party that may act with it; null when nothing is said.</param>
/// <param name="Line">The token itself and its parents, the nearest first. Empty for an id_token.</param>
/// <param name="Stands">Whether nobody has ended it or anything that it rests on: its parents, its client, its grant, its person.</param>
public sealed record ShownToken(string Type, FamilyFacts Facts, ScopeSet Scopes, ValueList<string> Audience, DateTimeOffset ExpiresAt, JwkThumbprint? Jkt, string? MayAct,
    ValueList<TokenReference> Line, bool Stands)
{
    /// <summary>Its <c>sub</c>.</summary>
    public string Party => Facts.Subject?.ToString() ?? Facts.Client.Value;

    internal bool Counts(DateTimeOffset now) => Stands && now < ExpiresAt;
}

/// <summary>
/// Gives a client another token for one that it was shown or that it has: RFC 8693 §2. The new one is for the same person and rests on
/// the same grant; it carries no more, lives no longer and ends with what it came of. Never a refresh token.
/// </summary>
public static class ExchangeToken
{
    /// <summary>How many tokens may stand behind a token. Delegation needs few, and a loop of services must end.</summary>
    public const int MaxDepth = 4;

    /// <param name="Grant">The one that the subject token rests on.</param>
    /// <param name="Actor">Null when no <c>actor_token</c> was sent: then nobody is said to act for the person, which is impersonation (RFC 8693 §1.1).</param>
    /// <param name="Scopes">Null or empty when the client names none; then it gets what token, grant, rule and target have in common.</param>
    /// <param name="Targets">Every <c>resource</c> and <c>audience</c>.</param>
    /// <param name="Jkt">The key that the client proved with the request (DPoP); null when it proved none.</param>
    /// <param name="WantsJwt">It asks for a JWT by <c>requested_token_type</c>.</param>
    public sealed record Request(Client Client, ShownToken Subject, Grant? Grant, ShownToken? Actor, ScopeSet? Scopes, ValueList<string> Targets, Guid NewFamily, Catalogue Catalogue, string Issuer,
        JwkThumbprint? Jkt = null, bool WantsJwt = false);

    public static Decision<IssuedTokens> Decide(Request ask, DateTimeOffset now)
    {
        var (client, subject) = (ask.Client, ask.Subject);
        if ((client.WhyNotUse(GrantType.TokenExchange) ?? client.WhyNotBoundTo(ask.Jkt)) is { } fault) return new Refused<IssuedTokens>(fault, []);
        if (!client.Metadata.IsConfidential) return Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.UnauthorizedClient, "Only a client that can keep a secret may exchange tokens.");
        if ((WhyNotSubject(ask, now) ?? WhyNotActor(ask, now)) is { } why) return Refuse(why);

        // RFC 8693 §4.4: whoever got the token first may have said who alone is to act with it.
        if (subject.MayAct is { } party && party != (ask.Actor?.Party ?? client.ClientId.Value)) return Refuse("Another party alone may act with subject_token (may_act).");
        if (subject.Line.Count > MaxDepth) return Refuse("subject_token came of too many exchanges.");

        var rules = (client.Metadata.TokenExchange ?? []).Where(rule => rule.From.Contains(subject.Facts.Client.Value)).ToList();
        if (rules.Count == 0) return Refuse("This client may not exchange tokens of the client that subject_token was issued to.");
        if (ask.Actor is null && (rules = [.. rules.Where(rule => rule.Impersonation)]).Count == 0) return Refuse("This client may not stand in for a person unnamed: send an actor_token.");
        var targets = new ValueList<string>(ask.Targets.Select(target => Declared(ask, target)).Distinct());
        return rules.Find(rule => targets.All(rule.Audience.Contains)) is { } permits
            ? Issue(ask, permits, targets, ask.Grant!, now)
            : Misdirected("This client may not exchange subject_token for a token with that audience.");
    }

    private static string? WhyNotSubject(Request ask, DateTimeOffset now)
    {
        var (client, subject) = (ask.Client, ask.Subject);
        if (!subject.Counts(now) || ask.Grant?.IsLive(now) != true) return "subject_token is unknown, has expired or was revoked.";
        // The sub of a client's own token is the client; with another client's id beside it, nobody could tell who is who (RFC 9068 §5).
        if (subject.Facts.Subject is null) return "subject_token is not a person's.";

        // A token that has merely been seen is not to be used: one's own, or one that was meant for a resource of one's own.
        var meant = subject.Type != TokenTypeUri.IdToken && (client.Metadata.Resources ?? []).Any(subject.Audience.Contains);
        if (!meant && subject.Facts.Client != client.ClientId) return "subject_token was neither issued to this client nor meant for it.";
        // Whoever it was meant for has seen the proof of its key. Nobody turns a bound token into one that is not.
        return subject.Jkt is not { } key ? null
            : ask.Jkt is null ? "subject_token is bound to a key: send a DPoP proof."
            : meant || ask.Jkt == key ? null
            : "subject_token is bound to another key.";
    }

    private static string? WhyNotActor(Request ask, DateTimeOffset now) => ask.Actor is not { } actor ? null
        : !actor.Counts(now) ? "actor_token is unknown, has expired or was revoked."
        : actor.Facts.Client != ask.Client.ClientId ? "actor_token was issued to another client."
        : actor.Jkt is not null && actor.Jkt != ask.Jkt ? "actor_token is bound to another key."
        // Whoever acts for somebody acts for that one: act has no place for a second person behind the actor.
        : actor.Line.Count > 1 || actor.Facts.Act is not null ? "actor_token came of an exchange itself."
        : null;

    private static Decision<IssuedTokens> Issue(Request ask, TokenExchangeRule rule, ValueList<string> targets, Grant grant, DateTimeOffset now)
    {
        var subject = ask.Subject;
        var allowed = subject.Scopes.Intersect(rule.Scope).Intersect(grant.Scopes).Except([StandardScopes.OfflineAccess]);
        var asked = ask.Scopes is { Count: > 0 } named ? named : allowed;
        if (asked.Count == 0 || !asked.IsSubsetOf(allowed))
            return Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.InvalidScope, "subject_token, or what this client may exchange it for, does not have this scope.");

        var audience = targets.Count > 0 ? targets : AudienceOf(ask, rule, grant, asked);
        // A token for several carries only what the person allowed at all of them.
        var held = asked.Intersect(grant.ScopesAt(new(audience.Where(target => target != ask.Issuer))));
        if (audience.Count == 0 || audience.Any(target => Understands(ask, target, held).Count == 0))
            return Misdirected("The audience understands no scope of this token.");
        var forms = audience.Where(target => target != ask.Issuer).Select(target => Resource(ask, target)?.TokenForm).Distinct().ToList();
        if (forms.Count > 1) return Misdirected("These resources want tokens of different kinds: ask for one token each.");
        if (ask.WantsJwt && forms is [TokenFormat.Opaque]) return Refuse("The audience takes no JWT: leave requested_token_type out.");
        var target = new TokenTarget(audience, audience.Select(target => Understands(ask, target, held)).Aggregate(ScopeSet.Empty, (all, some) => all.Union(some)), forms.FirstOrDefault());

        // Who acted before is kept, also where nobody is added: an exchange never hides another.
        var act = ask.Actor is { } actor ? new Actor(actor.Party, actor.Facts.Client, subject.Facts.Act) : subject.Facts.Act;
        // Member by member: nothing else of the subject token's family is passed on.
        var facts = new FamilyFacts(ask.Client.ClientId, subject.Facts.Subject, subject.Facts.Grant, subject.Facts.Session, target.Scopes, subject.Facts.Authentication, Act: act);
        var accessToken = MintAccessToken.For(facts, target, 1, ask.Client, grant, ask.Jkt, now);
        if (subject.ExpiresAt < accessToken.ExpiresAt) accessToken = accessToken with { ExpiresAt = subject.ExpiresAt };
        var exchanged = new TokenFamilyEvent.TokenExchanged(subject.Type, subject.Line, ask.Actor?.Line[0], now);
        return Protocol.Decide.Accept(new IssuedTokens(ask.NewFamily, facts, accessToken, null, null), new StreamEvent(ask.NewFamily, accessToken), new StreamEvent(ask.NewFamily, exchanged));
    }

    /// <summary>Where none is named: all of the rule that understand some of it, as far as they take tokens of the same kind as the first.</summary>
    private static ValueList<string> AudienceOf(Request ask, TokenExchangeRule rule, Grant grant, ScopeSet asked)
    {
        var understanding = rule.Audience.Where(target => Understands(ask, target, asked.Intersect(grant.ScopesAt([target]))).Count > 0).ToList();
        var first = understanding.Select(target => Resource(ask, target)).FirstOrDefault(resource => resource is not null);
        return new(understanding.Where(target => target == ask.Issuer || Resource(ask, target)?.TokenForm == first?.TokenForm));
    }

    /// <summary>The resource as it is declared; host and scheme may be written in capitals (RFC 8707 §2).</summary>
    private static string Declared(Request ask, string target) => target == ask.Issuer || ResourceIndicators.Canonical(target) is not { } canonical ? target
        : ask.Catalogue.Resources.FirstOrDefault(resource => ResourceIndicators.Canonical(resource.Resource) == canonical)?.Resource ?? target;

    private static ResourceDefinition? Resource(Request ask, string target) => ask.Catalogue.Resources.FirstOrDefault(resource => resource.Resource == target);

    /// <summary>Those of the scopes that mean something to a target: a resource's own, or for the issuer what its userinfo endpoint reads.</summary>
    private static ScopeSet Understands(Request ask, string target, ScopeSet scopes) =>
        target != ask.Issuer ? Resource(ask, target) is { } found ? scopes.Intersect(found.Scopes) : ScopeSet.Empty
        : scopes.Contains(StandardScopes.OpenId) ? ScopeSet.Of(scopes.Where(StandardScopes.AreOfIssuer))
        : ScopeSet.Empty;

    private static Decision<IssuedTokens> Refuse(string description) => Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.InvalidRequest, description);

    private static Decision<IssuedTokens> Misdirected(string description) => Protocol.Decide.Refuse<IssuedTokens>(ErrorCode.InvalidTarget, description);
}
