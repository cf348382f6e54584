using System.Text.Json;
using Grants.Api.Details;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Signing;
using Grants.Domain.Authorizations;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Api.Authorize;

/// <summary>Reads an authorization request, whether a browser brings it or its client pushes it: the same parser, the same faults.</summary>
public sealed class RequestReader(RequestObjects objects, Lookups lookups, TokenSigner signer, PairwiseNames names, PersonalData personal, DetailsReader details, Settings settings)
{
    private static readonly OAuthError MustBePushed = new(ErrorCode.InvalidRequest, "The request must be pushed first (RFC 9126).");
    private static readonly OAuthError MustBeSigned = new(ErrorCode.InvalidRequest, "The request must be a signed request object (RFC 9101).");

    /// <param name="client">The client that <c>client_id</c> names, or that authenticated.</param>
    /// <param name="pushed">It came from the client itself.</param>
    public async Task<AuthorizeRequest> ReadAsync(Parameters parameters, Client? client, bool pushed, CancellationToken cancellation)
    {
        var signed = false;
        // Before anything else is read: once there is a request object, parameters come from it alone (RFC 9101 §6.3).
        if (client is { IsActive: true, Metadata.RequestObjectSigningAlg: not null } && parameters["request"] is { } jwt)
        {
            if (parameters.Fault is { } repeated) return new AuthorizeRequest.ShowPage(repeated, null);
            if (parameters["request_uri"] is not null) return new AuthorizeRequest.ShowPage(new OAuthError(ErrorCode.InvalidRequest, "request and request_uri exclude each other."), null);
            var (inside, fault) = await objects.OpenAsync(jwt, client, cancellation);
            if (inside is null) return new AuthorizeRequest.ShowPage(new OAuthError(ErrorCode.InvalidRequestObject, fault!), null);
            (parameters, signed) = (inside, true);
        }

        var mustPush = settings.RequirePushedAuthorizationRequests || client?.Metadata.RequirePushedAuthorizationRequests == true;
        var mustSign = settings.RequireSignedRequestObject || client?.Metadata.RequireSignedRequestObject == true;
        var catalogue = await lookups.CatalogueAsync(cancellation);
        var read = AuthorizeRequest.Parse(parameters, client, catalogue, mustPush && !pushed ? MustBePushed : mustSign && !signed ? MustBeSigned : null);
        if (read is not AuthorizeRequest.Valid valid || (valid.IdTokenHint ?? valid.Subject ?? parameters["authorization_details"]) is null) return read;
        var request = valid.Request;
        AuthorizeRequest.RedirectError Error(string code, string description) =>
            new(valid.Client, request.RedirectUri, request.ResponseMode, valid.Private.State, request.Prompts(PromptValue.None), new OAuthError(code, description));

        if (parameters["authorization_details"] is { } asked)
        {
            var (objects, fault) = RequestedDetail.Parse(asked);
            if ((fault ?? await details.WhyNotAsync(objects!, valid.Client, catalogue, guarded: pushed || signed)) is { } why) return Error(why.Code, why.Description);
            valid = valid with { Details = objects };
        }

        SubjectId? hinted = null;
        if (valid.IdTokenHint is { } hint)
        {
            if (await signer.ReadIdTokenHintAsync(hint, cancellation) is not { } known || !await MayHintAsync(known, valid.Client, cancellation))
                return Error(ErrorCode.InvalidRequest, "id_token_hint is not an id_token of this server that the client may use.");
            hinted = known.Subject;
        }

        if (valid.Subject is { } wanted)
        {
            // A sub that nobody has, or another one than the hint's: no sign-in could ever answer.
            if (await names.PersonOfAsync(wanted, valid.Client, cancellation) is not { } subject || (hinted is { } other && other != subject))
                return Error(ErrorCode.LoginRequired, "The person that claims asks for can't be signed in.");
            hinted = subject;
        }

        return valid with { Request = request with { HintedSubject = hinted } };
    }

    /// <summary>
    /// Whether it knows this person by the same <c>sub</c> as the client that the hint was made for. Else the answer to
    /// <c>prompt=none</c> would tell two clients of different sectors that they speak of one person.
    /// </summary>
    private async Task<bool> MayHintAsync(IdTokenHint hint, Client client, CancellationToken cancellation) => hint.Client == client.ClientId
        || (await lookups.ClientAsync(hint.Client, cancellation))?.Metadata.PairwiseSector == client.Metadata.PairwiseSector;

    /// <summary>The request as an event keeps it, with what is private sealed.</summary>
    public async Task<AuthorizationRequest> SealAsync(AuthorizeRequest.Valid valid, CancellationToken cancellation)
    {
        var request = valid.Details is null ? valid.Request : valid.Request with { Details = await details.SealAsync(valid.Details, owner: null, cancellation) };
        return valid.Private == new PrivateParameters(null, null, null) ? request
            : request with { Private = await personal.SealAsync(null, JsonSerializer.Serialize(valid.Private, ApiJson.Default.PrivateParameters), cancellation) };
    }
}
