using Grants.Api.Dpop;
using Grants.Api.Http;
using Grants.Api.Log;
using Grants.Api.Signing;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;

namespace Grants.Api.Token;

/// <summary>The grant type of RFC 8693: reads the tokens that are shown, names every stream that they rest on, and has the exchange decided.</summary>
public sealed class TokenExchange(EventLog log, Lookups lookups, Lineage lineage, TokenSigner signer, DpopProofs proofs, TokenGrants grants, Settings settings, TimeProvider clock)
{
    private static readonly OAuthError UnknownSubject = new(ErrorCode.InvalidRequest, "subject_token is unknown, has expired or was revoked.");
    private static readonly OAuthError UnknownActor = new(ErrorCode.InvalidRequest, "actor_token is unknown, has expired or was revoked.");

    public async Task<IResult> ExchangeAsync(HttpContext http, Client client, TokenRequest.TokenExchange ask)
    {
        if (await ReadAsync(ask.Subject, http.RequestAborted) is not { } subject) return new OAuthErrorResult(UnknownSubject);
        var actor = ask.Actor is null ? null : await ReadAsync(ask.Actor, http.RequestAborted);
        if (ask.Actor is not null && actor is null) return new OAuthErrorResult(UnknownActor);
        IReadOnlyList<TokenReference> line = [.. subject.Line, .. actor?.Line ?? []];
        if (await lineage.ClientsAsync(line, http.RequestAborted) is not { } clients) return new OAuthErrorResult(UnknownSubject);
        var (jkt, badProof) = await proofs.CheckAsync(http);
        if (badProof is not null) return new OAuthErrorResult(badProof);
        var catalogue = await lookups.CatalogueAsync(http.RequestAborted);

        var family = Guid.CreateVersion7(clock.GetUtcNow());
        var owner = subject.Facts.Subject;
        // The subject token's own stream comes first: what was exchanged led to what came of it.
        IEnumerable<Guid?> streams = [.. line.Select(token => (Guid?)token.Family), subject.Facts.Grant, actor?.Facts.Grant];
        IEnumerable<Guid?> reliesOn = [client.Id, .. clients.Values.Select(id => (Guid?)id), owner?.Value, actor?.Facts.Subject?.Value, subject.SignIn];
        var decision = await log.Commit(await grants.CauseOf(http, client, owner), [.. streams.OfType<Guid>().Distinct()],
            (read, now) =>
            {
                var grant = subject.Facts.Grant is { } id ? TokenGrants.GrantOf(read, id, owner) : null;
                return ExchangeToken.Decide(new(read.Client(client.Id)!, Show(subject, read, clients, now), grant, actor is null ? null : Show(actor, read, clients, now),
                    ask.Scopes, ask.Targets, family, catalogue, settings.Issuer, jkt, ask.IssuedType == TokenTypeUri.Jwt), now);
            },
            http.RequestAborted, _ => subject.Facts.Session, reliesOn: [.. reliesOn.OfType<Guid>().Distinct()], tokens: Lineage.TokensOf(line));
        return await grants.Answer(http, client, decision, null, issuedType: ask.IssuedType);
    }

    /// <summary>A genuine token of ours, in time, with what it rests on; null for everything else. One's own type is not taken on trust.</summary>
    private async Task<Genuine?> ReadAsync(TokenRequest.Shown shown, CancellationToken cancellation)
    {
        var text = shown.Token.Expose();
        if (shown.Type is TokenTypeUri.AccessToken or TokenTypeUri.Jwt && await signer.ReadAccessTokenForAnyoneAsync(text, cancellation) is { } access)
        {
            // Facts and parents are said when a family begins and never change.
            if ((await log.Read([access.Id.Family], cancellation, access.Id)).Family(access.Id.Family) is not { } family || family.Facts.Client != access.Client
                || await lookups.ClientAsync(access.Client, cancellation) is not { } holder) return null;
            var itself = new TokenReference(access.Id.Family, access.Id.Number, access.Client);
            return new Genuine(TokenTypeUri.AccessToken, family.Facts, access.Scopes, access.Audience, DateTimeOffset.FromUnixTimeSeconds(access.ExpiresAt), access.Jkt,
                access.MayAct ?? holder.Metadata.MayAct, [itself, .. family.Parents], null);
        }

        // An id_token tells of a sign-in and says nothing of what was allowed: that is for the grant between its person and its client.
        if (shown.Type is TokenTypeUri.IdToken or TokenTypeUri.Jwt && await signer.ReadIdTokenAsync(text, cancellation) is { Session: { } session } id
            && await lookups.GrantAsync(id.Subject, id.Client, cancellation) is { } grant && await lookups.ClientAsync(id.Client, cancellation) is { } app)
        {
            return new Genuine(TokenTypeUri.IdToken, new FamilyFacts(id.Client, id.Subject, grant.Id, session, grant.Scopes, id.Authentication), grant.Scopes, [id.Client.Value], id.ExpiresAt, null,
                app.Metadata.MayAct, [], session);
        }

        return null;
    }

    private static ShownToken Show(Genuine token, StreamsRead streams, IReadOnlyDictionary<ClientId, Guid> clients, DateTimeOffset now)
    {
        var stands = Lineage.Stands(streams, token.Line, clients)
            && (token.Facts.Grant is not { } grant || TokenGrants.GrantOf(streams, grant, token.Facts.Subject)?.IsLive(now) == true)
            && (token.SignIn is not { } session || streams.Session(session)?.IsLive(now) == true);
        return new ShownToken(token.Type, token.Facts, token.Scopes, token.Audience, token.ExpiresAt, token.Jkt, token.MayAct, new(token.Line), stands);
    }

    /// <summary>See <see cref="ShownToken"/>.</summary>
    /// <param name="SignIn">The browser session that an id_token speaks of, and without which it says nothing any more.</param>
    private sealed record Genuine(string Type, FamilyFacts Facts, ScopeSet Scopes, ValueList<string> Audience, DateTimeOffset ExpiresAt, JwkThumbprint? Jkt, string? MayAct,
        IReadOnlyList<TokenReference> Line, Guid? SignIn);
}
