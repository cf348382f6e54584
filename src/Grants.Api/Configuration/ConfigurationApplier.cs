using System.Text;
using System.Text.Json.Nodes;
using Grants.Api.Details;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Api.Login;
using Grants.Api.Signing;
using Grants.Api.Token;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Marten;
using Microsoft.AspNetCore.Identity;

namespace Grants.Api.Configuration;

/// <summary>Brings the log to what the declared configuration says, appending only the differences. Applying twice changes nothing.</summary>
public sealed class ConfigurationApplier(EventLog log, PersonalData personal, ClientSecrets secrets, SectorDocuments sectors, Lookups lookups, Settings settings, TimeProvider clock)
{
    private static readonly PasswordHasher<Person> Hasher = new();

    /// <summary>Returns what changed, a line each. Throws <see cref="SettingsException"/> at the first entry that can't be.</summary>
    public async Task<IReadOnlyList<string>> ApplyAsync(DeclaredConfiguration declared, string operatorName, CancellationToken cancellation)
    {
        var cause = new Cause(Cause.Operator(operatorName), Guid.CreateVersion7(clock.GetUtcNow()).ToString("N"), "config apply");
        var changes = new List<string>(await ApplyCatalogueAsync(declared, cause, cancellation));
        var catalogue = (await log.Read([Catalogue.StreamId], cancellation)).Catalogue(Catalogue.StreamId) ?? Catalogue.Empty;
        foreach (var client in declared.Clients)
        {
            foreach (var (member, uris) in ((string, IReadOnlyList<string>)[])[("grants_resources", client.GrantsResources), ("grants_allowed_resources", client.GrantsAllowedResources ?? []),
                ("grants_token_exchange", [.. client.GrantsTokenExchange.SelectMany(rule => rule.Audience).Where(uri => uri != settings.Issuer)])])
            {
                if (uris.FirstOrDefault(uri => catalogue.Resources.All(resource => resource.Resource != uri)) is { } unknown)
                    throw new SettingsException($"Client {client.ClientId}: {member} names {unknown}, but no such resource is declared.");
            }

            if (client.AuthorizationDetailsTypes.FirstOrDefault(type => catalogue.DetailsType(type) is null) is { } type)
                throw new SettingsException($"Client {client.ClientId}: authorization_details_types names {type}, but no such type is declared.");
            if (await ApplyClientAsync(client, cause with { Client = new ClientId(client.ClientId) }, cancellation)) changes.Add($"client {client.ClientId}");
        }

        // A person's line names nobody: what is printed may be logged.
        foreach (var person in declared.People)
        {
            if (await ApplyPersonAsync(person, cause, cancellation) is { } subject) changes.Add($"person {subject}");
        }

        // After the people: an issuer may speak of some by name.
        changes.AddRange(await ApplyIssuersAsync(declared, cause, cancellation));
        return changes;
    }

    private async Task<IReadOnlyList<string>> ApplyIssuersAsync(DeclaredConfiguration declared, Cause cause, CancellationToken cancellation)
    {
        if (declared.TrustedIssuers.Count == 0) return [];
        var trusted = new List<TrustedIssuer>();
        foreach (var issuer in declared.TrustedIssuers) trusted.Add(await TrustedAsync(issuer, cancellation));
        var decision = await log.Commit(cause, [Catalogue.StreamId], (streams, now) => DeclareCatalogue.Decide(streams.Catalogue(Catalogue.StreamId), new([], [], new(trusted)), now), cancellation);
        return ((Accepted<ValueList<string>>)decision).Value;
    }

    private async Task<TrustedIssuer> TrustedAsync(DeclaredIssuer declared, CancellationToken cancellation)
    {
        Exception Fault(string what) => new SettingsException($"Trusted issuer {declared.Issuer}: {what}");
        if (!Uri.TryCreate(declared.Issuer, UriKind.Absolute, out var uri) || !IsSafe(uri) || declared.Issuer == settings.Issuer) throw Fault("issuer must be the https address of another server, without user name and fragment.");
        if ((declared.Jwks is null) == (declared.JwksUri is null)) throw Fault("give either jwks or jwks_uri.");
        if (declared.JwksUri is { } address && (!Uri.TryCreate(address, UriKind.Absolute, out var keys) || !IsSafe(keys))) throw Fault("jwks_uri must be an https address without user name and fragment.");
        if (declared.Algs.Count == 0 || declared.Algs.FirstOrDefault(alg => !SigningAlgorithm.Supported.Contains(alg)) is not null) throw Fault($"algs must be some of {SigningAlgorithm.Supported}.");
        if (declared.Jwks is { } set && JwkSet.WhyNotRegistrable(Encoding.UTF8.GetBytes(set.ToJsonString()), declared.Algs) is { } why) throw Fault($"jwks: {why}");
        if (!ScopeSet.TryParse(declared.Scope, out var scope)) throw Fault("scope has a character that is not allowed.");
        var links = new List<SubjectLink>();
        foreach (var (subject, username) in declared.Subjects)
        {
            var person = await lookups.SubjectByLoginAsync(await personal.LoginHashAsync(username.Normalize().ToUpperInvariant(), cancellation), cancellation);
            // Neither name is printed: what is printed may be logged.
            links.Add(new SubjectLink(await GrantAssertions.LinkHashAsync(personal, declared.Issuer, subject, cancellation), person ?? throw Fault("subjects names a person who is not declared.")));
        }

        return new TrustedIssuer(declared.Issuer, declared.Jwks?.ToJsonString(), declared.JwksUri, new(declared.Algs), new(declared.Clients), scope, declared.UsernameClaim, new(links.OrderBy(link => link.Hash, StringComparer.Ordinal)));
    }

    private static bool IsSafe(Uri address) => (address.Scheme == "https" || (address.Scheme == "http" && address.IsLoopback)) && address.UserInfo.Length == 0 && address.Fragment.Length == 0;

    private async Task<IReadOnlyList<string>> ApplyCatalogueAsync(DeclaredConfiguration declared, Cause cause, CancellationToken cancellation)
    {
        foreach (var scope in declared.Scopes)
        {
            if (!ScopeSet.IsToken(scope.Name) || scope.Label.Length is 0 or > 70 || scope.Kind is not ("see" or "do"))
                throw new SettingsException($"Scope {scope.Name}: the name must be a scope token, the label 1 to 70 characters, the kind see or do.");
        }

        foreach (var resource in declared.Resources)
        {
            if (ResourceIndicators.Canonical(resource.Resource) is not { } canonical) throw new SettingsException($"Resource {resource.Resource} must be an absolute URI without fragment (RFC 8707 §2).");
            if (declared.Resources.Any(other => other != resource && ResourceIndicators.Canonical(other.Resource) == canonical)) throw new SettingsException($"Resource {resource.Resource} is declared more than once.");
            if (resource.TokenFormat is not (TokenFormat.Jwt or TokenFormat.Opaque)) throw new SettingsException($"Resource {resource.Resource}: token_format must be jwt or opaque.");
            if (resource.SigningAlg is { } algorithm && !SigningAlgorithm.Supported.Contains(algorithm)) throw new SettingsException($"Resource {resource.Resource}: signing_alg: {algorithm} is not supported.");
            if (resource is { SigningAlg: not null, TokenFormat: TokenFormat.Opaque }) throw new SettingsException($"Resource {resource.Resource}: nothing signs an opaque token, so signing_alg needs token_format jwt.");
        }

        foreach (var type in declared.AuthorizationDetailsTypes)
        {
            if (type is not { Type: not null, Schema: not null, Words: not null } || !ScopeSet.IsToken(type.Type))
                throw new SettingsException($"Authorization details type {type.Type}: it needs schema and words, and its name must be 1 to 128 characters as in a scope token.");
            try
            {
                await DetailsSchema.CompileAsync(type.Schema.ToJsonString());
            }
            catch (SettingsException e)
            {
                throw new SettingsException($"Authorization details type {type.Type}: {e.Message}");
            }

            if (DetailsWords.WhyNot(type.Words, type.Schema) is { } fault) throw new SettingsException($"Authorization details type {type.Type}: {fault}");
        }

        var ask = new DeclareCatalogue.Request(
            new(declared.Scopes.Select(scope => new ScopeDefinition(scope.Name, scope.Label, scope.Kind, scope.Risk, scope.Details))),
            new(declared.Resources.Select(resource => new ResourceDefinition(resource.Resource, resource.Name, ScopeSet.Of(resource.Scopes), resource.TokenFormat, resource.SigningAlg))),
            DetailsTypes: new(declared.AuthorizationDetailsTypes.Select(type => new DetailsTypeDefinition(type.Type, type.Schema.ToJsonString(), type.Words, type.Risk, type.Protected))));
        var decision = await log.Commit(cause, [Catalogue.StreamId], (streams, now) => DeclareCatalogue.Decide(streams.Catalogue(Catalogue.StreamId), ask, now), cancellation);
        return ((Accepted<ValueList<string>>)decision).Value;
    }

    private async Task<bool> ApplyClientAsync(DeclaredClient declared, Cause cause, CancellationToken cancellation)
    {
        var metadata = declared.ToMetadata();
        var id = new ClientId(declared.ClientId);
        if (declared.ClientSecret is { } chosen && !settings.Development && chosen.Length < 32)
            throw new SettingsException($"Client {id}: outside Development a client_secret needs at least 32 characters. Leave it out and a random one is made.");

        var fresh = Guid.CreateVersion7(clock.GetUtcNow());
        var keyId = fresh.ToString("N")[..12];
        var (stream, known) = (fresh, (Client?)null);
        SecretHash? hash = null;
        var listed = metadata.SectorIdentifierUri is null;
        var decision = await log.Commit(cause, async (query, ct) =>
            {
                known = await query.Query<Client>().FirstOrDefaultAsync(client => client.ClientId == id, ct);
                stream = known?.Id ?? fresh;
                hash = null;
                listed = listed || WasListed(known?.Metadata, metadata);
                if (!listed && DeclareClient.WhyNot(id, metadata) is null)
                {
                    if (await sectors.WhyNotAsync(id, metadata, ct) is { } why) throw new SettingsException($"Client {id}: {why.Description}");
                    listed = true;
                }

                if (await SecretOfAsync(declared, metadata, known, ct) is { } secret)
                {
                    hash = (known?.Secrets ?? []).FirstOrDefault(one => one.IsOf(secret)) ?? SecretHash.Of(keyId, secret);
                    // Before the event: a crash in between leaves a secret that nothing names, never a client that can't authenticate.
                    if (metadata.TokenEndpointAuthMethod == ClientAuthMethod.SecretJwt && DeclareClient.WhyNot(id, metadata) is null) await secrets.KeepAsync(stream, hash.KeyId, secret, ct);
                }

                return [stream];
            },
            (streams, now) => DeclareClient.Decide(streams.Client(stream), new(stream, id, metadata, hash), now), cancellation);
        if (decision is Refused<bool>(var error, _)) throw new SettingsException($"Client {id}: {error.Description}");
        if (known is { Metadata.TokenEndpointAuthMethod: ClientAuthMethod.SecretJwt })
        {
            // Those that were retired just now, or all when the secret is no longer used in this way.
            var still = metadata.TokenEndpointAuthMethod == ClientAuthMethod.SecretJwt;
            var over = known.Secrets.Select(one => one.KeyId).Where(keyId => !still || (hash is not null && keyId != hash.KeyId)).ToList();
            if (over.Count > 0) await secrets.DestroyAsync(stream, over, cancellation);
        }

        return ((Accepted<bool>)decision).Value;
    }

    /// <summary>
    /// Whether the sector's document was read for all of this before. It is read when a client is registered or changed, not at each
    /// start: a server must come up though somebody else's site is down.
    /// </summary>
    private static bool WasListed(ClientMetadata? known, ClientMetadata now) =>
        known?.SectorIdentifierUri == now.SectorIdentifierUri && now.RedirectUris.All(uri => known?.RedirectUris.Contains(uri) == true);

    /// <summary>The secret that the client shall have: the declared one, or a random one where there is none yet. Null leaves what there is.</summary>
    private async Task<Secret?> SecretOfAsync(DeclaredClient declared, ClientMetadata metadata, Client? known, CancellationToken cancellation)
    {
        var id = new ClientId(declared.ClientId);
        var forMac = metadata.TokenEndpointAuthMethod == ClientAuthMethod.SecretJwt;
        // Of a client that used its secret in another way so far, only the hash is known.
        var has = known is { Secrets.Count: > 0 } && (!forMac || (await secrets.FindAsync(known, cancellation)).Count > 0);
        var secret = declared.ClientSecret is { } given ? new Secret(given)
            : metadata.HasSecret && !has ? FirstStartFile.MakeClientSecret(settings, id, forMac ? 512 : 256)
            : null;
        var needed = AssertionAlgorithm.SecretOctets(metadata.TokenEndpointAuthSigningAlg);
        return secret is null || !forMac || System.Text.Encoding.UTF8.GetByteCount(secret.Expose()) >= needed ? secret
            : throw new SettingsException($"Client {id}: with client_secret_jwt and {metadata.TokenEndpointAuthSigningAlg ?? "HS256"} a client_secret needs at least {needed} octets (RFC 7518 §3.2).");
    }

    private async Task<SubjectId?> ApplyPersonAsync(DeclaredPerson declared, Cause cause, CancellationToken cancellation)
    {
        var loginHash = await personal.LoginHashAsync(declared.Username.Normalize().ToUpperInvariant(), cancellation);
        var fresh = new SubjectId(Guid.CreateVersion7(clock.GetUtcNow()));
        var claims = (declared.Claims ?? []).ToJsonString();
        ValueList<string> roles = new(declared.Roles ?? []);
        var subject = fresh;
        var (known, knownClaims, knownHash) = ((Subject?)null, (string?)null, (string?)null);
        var password = declared.Password;
        SealedText? sealedName = null, sealedClaims = null, sealedHash = null;

        var decision = await log.Commit(cause, async (query, ct) =>
        {
            known = await query.Query<Subject>().FirstOrDefaultAsync(person => person.LoginHash == loginHash, ct);
            subject = known?.SubjectId ?? fresh;
            knownClaims = known is null ? null : await personal.OpenAsync(known.Claims, ct);
            knownHash = known?.PasswordHash is { } text ? await personal.OpenAsync(text, ct) : null;
            if (known is null && password is null && settings.Development) password = FirstStartFile.MakePassword(settings, declared.Username);
            sealedName = known is null ? await personal.SealAsync(subject, declared.Username, ct) : null;
            sealedClaims = JsonNode.DeepEquals(JsonNode.Parse(knownClaims ?? "null"), JsonNode.Parse(claims)) ? null : await personal.SealAsync(subject, claims, ct);
            var right = password is null || (knownHash is not null && Hasher.VerifyHashedPassword(null!, knownHash, password) != PasswordVerificationResult.Failed);
            sealedHash = right ? null : await personal.SealAsync(subject, Hasher.HashPassword(null!, password!), ct);
            return [subject.Value];
        },
        (_, now) =>
        {
            var events = new List<SubjectEvent>();
            if (known is null) events.Add(new SubjectEvent.Registered(loginHash, sealedName!.Value, sealedClaims!.Value, roles, now));
            else
            {
                if (sealedClaims is { } changed) events.Add(new SubjectEvent.ClaimsReplaced(changed, now));
                if (known.Roles != roles) events.Add(new SubjectEvent.RolesReplaced(roles, now));
            }

            if (sealedHash is { } hash) events.Add(new SubjectEvent.PasswordSet(hash, now));
            return Decide.Accept(events.Count > 0, events.Select(e => new StreamEvent(subject.Value, e)));
        }, cancellation);

        return ((Accepted<bool>)decision).Value ? subject : null;
    }
}
