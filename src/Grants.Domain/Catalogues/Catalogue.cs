using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Domain.Catalogues;

/// <summary>A permission as people read it.</summary>
/// <param name="Name">The scope token, RFC 6749 §3.3.</param>
/// <param name="Label">Verb first, at most 70 characters: "See your account balances".</param>
/// <param name="Kind"><c>see</c> or <c>do</c>: the group it is listed under.</param>
/// <param name="Risk">In words, such as "Moves money"; null when there is nothing to warn of.</param>
/// <param name="Details">A longer text; may be null.</param>
public sealed record ScopeDefinition(string Name, string Label, string Kind, string? Risk, string? Details);

/// <summary>A protected resource (RFC 8707 §2) and the scopes that it understands.</summary>
/// <param name="Resource">An absolute URI without fragment: the audience of its access tokens.</param>
/// <param name="TokenFormat">One of <see cref="Catalogues.TokenFormat"/>.</param>
/// <param name="SigningAlg">What signs its JWTs, one of <see cref="SigningAlgorithm.Supported"/>. Null: <see cref="SigningAlgorithm.OfAccessTokens"/>.</param>
public sealed record ResourceDefinition(string Resource, string Name, ScopeSet Scopes, string TokenFormat, string? SigningAlg = null)
{
    /// <summary>How an access token for it is written: <c>opaque</c>, or the algorithm that signs a JWT; null for the usual one. A token can't be written in two ways.</summary>
    public string? TokenForm => TokenFormat == Catalogues.TokenFormat.Opaque ? TokenFormat : SigningAlg == SigningAlgorithm.OfAccessTokens ? null : SigningAlg;
}

/// <summary>What an access token looks like to those who carry it: <c>token_format</c>.</summary>
public static class TokenFormat
{
    /// <summary>RFC 9068: the resource reads it by itself.</summary>
    public const string Jwt = "jwt";

    /// <summary>A handle that says nothing: the resource asks the introspection endpoint (RFC 7662).</summary>
    public const string Opaque = "opaque";
}

/// <summary>A type of <c>authorization_details</c>, RFC 9396 §2.1.</summary>
/// <param name="Type">Its name on the wire.</param>
/// <param name="Schema">The JSON Schema of its objects, as JSON.</param>
/// <param name="Words">One object in words, with the paths of its values in braces: "Pay {amount} {currency} to {payee}".</param>
/// <param name="Risk">In words, such as "Moves money"; null when there is nothing to warn of.</param>
/// <param name="Protected">Whether only a request that was pushed or signed may ask for it, so that nobody on the way can change it.</param>
public sealed record DetailsTypeDefinition(string Type, string Schema, string Words, string? Risk, bool Protected);

/// <summary>What happened to the catalogue of permissions and resources: one stream for the whole server.</summary>
public abstract record CatalogueEvent : IDomainEvent
{
    private CatalogueEvent() { }

    /// <summary>A scope was added, or what it says was changed.</summary>
    public sealed record ScopeDeclared(ScopeDefinition Scope, DateTimeOffset At) : CatalogueEvent;

    /// <summary>A resource was added, or what it says was changed.</summary>
    public sealed record ResourceDeclared(ResourceDefinition Resource, DateTimeOffset At) : CatalogueEvent;

    /// <summary>An issuer is trusted, or how far was changed. One whose clients are none is trusted no more.</summary>
    public sealed record IssuerDeclared(TrustedIssuer Issuer, DateTimeOffset At) : CatalogueEvent;

    /// <summary>A type of authorization details was added, or what it says was changed.</summary>
    public sealed record DetailsTypeDeclared(DetailsTypeDefinition DetailsType, DateTimeOffset At) : CatalogueEvent;
}

/// <summary>Every permission and resource that this server knows, and every issuer that it trusts.</summary>
/// <param name="TrustedIssuers">Null in what was stored before there were any.</param>
/// <param name="DetailsTypes">Types of authorization details; null when none was ever declared.</param>
public sealed record Catalogue(Guid Id, ValueList<ScopeDefinition> Scopes, ValueList<ResourceDefinition> Resources, ValueList<TrustedIssuer>? TrustedIssuers = null,
    ValueList<DetailsTypeDefinition>? DetailsTypes = null)
{
    /// <summary>The one catalogue stream's id.</summary>
    public static readonly Guid StreamId = new("01900000-0000-7000-8000-0000ca7a1009");

    public static Catalogue Empty { get; } = new(StreamId, [], []);

    public ScopeDefinition? Scope(string name) => Scopes.FirstOrDefault(scope => scope.Name == name);

    public TrustedIssuer? Issuer(string name) => TrustedIssuers?.FirstOrDefault(issuer => issuer.Issuer == name);

    public DetailsTypeDefinition? DetailsType(string type) => DetailsTypes?.FirstOrDefault(known => known.Type == type);

    /// <summary>Whether the client may ask for details of these types, and all of them are known: RFC 9396 §5.</summary>
    public bool Admits(ClientMetadata client, ValueList<AuthorizationDetail>? details) =>
        details?.All(detail => client.AuthorizationDetailsTypes?.Contains(detail.Type) == true && DetailsType(detail.Type) is not null) ?? true;

    /// <summary>Scopes whose meaning the specifications fix are known without being declared.</summary>
    public bool Knows(string scope) => scope is StandardScopes.OpenId or StandardScopes.OfflineAccess || Scope(scope) is not null;

    public static Catalogue Evolve(Catalogue? state, Guid id, CatalogueEvent happened) => ((state ?? Empty with { Id = id }), happened) switch
    {
        (var c, CatalogueEvent.ScopeDeclared e) => c with { Scopes = new(c.Scopes.Where(s => s.Name != e.Scope.Name).Append(e.Scope)) },
        (var c, CatalogueEvent.ResourceDeclared e) => c with { Resources = new(c.Resources.Where(r => r.Resource != e.Resource.Resource).Append(e.Resource)) },
        (var c, CatalogueEvent.IssuerDeclared e) => c with { TrustedIssuers = new((c.TrustedIssuers ?? []).Where(i => i.Issuer != e.Issuer.Issuer).Append(e.Issuer)) },
        (var c, CatalogueEvent.DetailsTypeDeclared e) => c with { DetailsTypes = new((c.DetailsTypes ?? []).Where(t => t.Type != e.DetailsType.Type).Append(e.DetailsType)) },
        var (c, _) => c,
    };
}

/// <summary>Brings the catalogue to what the declared configuration says, recording only what differs.</summary>
public static class DeclareCatalogue
{
    public sealed record Request(ValueList<ScopeDefinition> Scopes, ValueList<ResourceDefinition> Resources, ValueList<TrustedIssuer>? TrustedIssuers = null,
        ValueList<DetailsTypeDefinition>? DetailsTypes = null);

    /// <summary>The value is what changed, in words. Nothing is withdrawn by leaving it out: people may still hold it.</summary>
    public static Decision<ValueList<string>> Decide(Catalogue? catalogue, Request ask, DateTimeOffset now)
    {
        var known = catalogue ?? Catalogue.Empty;
        var scopes = ask.Scopes.Where(scope => !known.Scopes.Contains(scope)).ToList();
        var resources = ask.Resources.Where(resource => !known.Resources.Contains(resource)).ToList();
        var issuers = (ask.TrustedIssuers ?? []).Where(issuer => known.Issuer(issuer.Issuer) != issuer).ToList();
        var types = (ask.DetailsTypes ?? []).Where(type => known.DetailsType(type.Type) != type).ToList();
        var events = scopes.Select(CatalogueEvent (scope) => new CatalogueEvent.ScopeDeclared(scope, now))
            .Concat(resources.Select(resource => new CatalogueEvent.ResourceDeclared(resource, now)))
            .Concat(issuers.Select(issuer => new CatalogueEvent.IssuerDeclared(issuer, now)))
            .Concat(types.Select(type => new CatalogueEvent.DetailsTypeDeclared(type, now)));
        ValueList<string> changes = [.. scopes.Select(s => $"scope {s.Name}"), .. resources.Select(r => $"resource {r.Resource}"), .. issuers.Select(i => $"trusted issuer {i.Issuer}"), .. types.Select(t => $"authorization details type {t.Type}")];
        return Protocol.Decide.Accept(changes, events.Select(e => new StreamEvent(Catalogue.StreamId, e)));
    }
}
