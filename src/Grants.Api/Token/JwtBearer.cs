using Grants.Api.Dpop;
using Grants.Api.Http;
using Grants.Api.Log;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;

namespace Grants.Api.Token;

/// <summary>The grant type of RFC 7523 §2.1: has an assertion checked, finds the person and what that person allows the client, and has it decided.</summary>
public sealed class JwtBearer(EventLog log, Lookups lookups, GrantAssertions assertions, DpopProofs proofs, TokenGrants grants, Settings settings, TimeProvider clock)
{
    /// <summary>The same for every fault; the server's log says which.</summary>
    private static readonly OAuthError NotValid = new(ErrorCode.InvalidGrant, "The assertion is not valid here.");

    public async Task<IResult> AcceptAsync(HttpContext http, Client client, TokenRequest.JwtBearer ask)
    {
        var catalogue = await lookups.CatalogueAsync(http.RequestAborted);
        if (await assertions.ReadAsync(ask.Assertion.Expose(), client.ClientId, catalogue, http.RequestAborted) is not { } assertion) return new OAuthErrorResult(NotValid);
        if (await assertions.PersonOfAsync(assertion, client.ClientId, http.RequestAborted) is not { } person) return new OAuthErrorResult(NotValid);
        // The proof before the jti: a client that is asked for a nonce comes back with the same assertion.
        var (jkt, badProof) = await proofs.CheckAsync(http);
        if (badProof is not null) return new OAuthErrorResult(badProof);
        if (!await assertions.UseAsync(assertion, client.ClientId, http.RequestAborted)) return new OAuthErrorResult(NotValid);

        var family = Guid.CreateVersion7(clock.GetUtcNow());
        Guid? grant = null;
        var decision = await log.Commit(await grants.CauseOf(http, client, person),
            async (query, cancellation) =>
            {
                grant = await lookups.LiveGrantAsync(query, person, client.ClientId, cancellation);
                IEnumerable<Guid?> streams = [grant, client.Id, person.Value, Catalogue.StreamId];
                return [.. streams.OfType<Guid>()];
            },
            (streams, now) =>
            {
                // Trust may have been withdrawn since the assertion was checked.
                var trusted = streams.Catalogue(Catalogue.StreamId)?.Issuer(assertion.Trusted.Issuer) is { } still && still == assertion.Trusted ? still : null;
                return AcceptAssertion.Decide(grant is { } id ? TokenGrants.GrantOf(streams, id, person) : null,
                    new(streams.Client(client.Id)!, trusted, ask.Scopes, assertion.Hash, family, catalogue, settings.Issuer, jkt, ask.Resources), now);
            },
            http.RequestAborted);
        return await grants.Answer(http, client, decision, null);
    }
}
