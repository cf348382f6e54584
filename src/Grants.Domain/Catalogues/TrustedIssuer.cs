using Grants.Domain.Protocol;

namespace Grants.Domain.Catalogues;

/// <summary>A server of somebody else whose signed word for a person is taken in place of the person's own: RFC 7523 §2.1.</summary>
/// <param name="Issuer">The <c>iss</c> of its assertions, compared character by character.</param>
/// <param name="Jwks">Its public keys as a JWK Set in JSON. Never together with <paramref name="JwksUri"/>, and one of them always.</param>
/// <param name="JwksUri">Where its public keys are found.</param>
/// <param name="Algorithms">The JWS algorithms that it signs with.</param>
/// <param name="Clients">Who may show its assertions. None: it is trusted no more.</param>
/// <param name="Scope">The most that comes of its word; never more than the person allowed the client.</param>
/// <param name="UsernameClaim">The claim that has a user name of this server; null when only <paramref name="Subjects"/> count.</param>
/// <param name="Subjects">Which of its subjects are people here.</param>
public sealed record TrustedIssuer(string Issuer, string? Jwks, string? JwksUri, ValueList<string> Algorithms, ValueList<string> Clients, ScopeSet Scope, string? UsernameClaim, ValueList<SubjectLink> Subjects);

/// <summary>One subject of another issuer and the person who that is.</summary>
/// <param name="Hash">Keyed hash of issuer and <c>sub</c>: finds the person, tells nothing without the key.</param>
public sealed record SubjectLink(string Hash, SubjectId Subject);
