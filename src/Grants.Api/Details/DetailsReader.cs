using System.Collections.Concurrent;
using System.Text.Json;
using Grants.Api.Keys;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;

namespace Grants.Api.Details;

/// <summary>Rich authorization requests, RFC 9396: checks what a client asks for, seals what is kept of it, and opens it for those who may read it.</summary>
public sealed class DetailsReader(PersonalData personal)
{
    /// <summary>By the schema's text. Only operators declare schemas, so there are few.</summary>
    private readonly ConcurrentDictionary<string, DetailsSchema> _schemas = new(StringComparer.Ordinal);

    /// <summary>Why this client may not ask for them, RFC 9396 §5; null when it may.</summary>
    /// <param name="guarded">Nobody between the client and this server can have changed them: they were pushed or signed (R22).</param>
    public async Task<OAuthError?> WhyNotAsync(IReadOnlyList<RequestedDetail> details, Client client, Catalogue catalogue, bool guarded)
    {
        foreach (var detail in details)
        {
            if (catalogue.DetailsType(detail.Type) is not { } type || client.Metadata.AuthorizationDetailsTypes?.Contains(detail.Type) != true)
                return RequestedDetail.Fault("The client may not ask for details of this type.");
            if (!(await SchemaOf(type)).Accepts(detail.Text)) return RequestedDetail.Fault("One of the authorization_details is not of the form that its type has.");
            if (detail.Locations?.Any(location => catalogue.Resources.All(resource => resource.Resource != location) || client.Metadata.AllowedResources?.Contains(location) == false) == true)
                return RequestedDetail.Fault("One of the authorization_details names a location that the client may have no token for.");
            if (type.Protected && !guarded) return new OAuthError(ErrorCode.InvalidRequest, "Details of this type must be asked for in a request that is pushed or signed (RFC 9126, RFC 9101).");
        }

        return null;
    }

    /// <summary>As events keep them.</summary>
    /// <param name="owner">The person who allowed them; null while nobody has.</param>
    public async Task<ValueList<AuthorizationDetail>> SealAsync(IReadOnlyList<RequestedDetail> details, SubjectId? owner, CancellationToken cancellation)
    {
        var kept = new List<AuthorizationDetail>();
        foreach (var detail in details)
            kept.Add(new AuthorizationDetail(detail.Type, await personal.DetailHashAsync(detail.Text, cancellation), await personal.SealAsync(owner, detail.Text, cancellation), detail.Locations));
        return new(kept);
    }

    /// <summary>The same under the key of the person who allows them. Null when they can't be opened any more.</summary>
    public async Task<ValueList<AuthorizationDetail>?> GiveToAsync(SubjectId owner, ValueList<AuthorizationDetail> details, CancellationToken cancellation)
    {
        if (await OpenAsync(details, cancellation) is not { } texts) return null;
        var kept = new List<AuthorizationDetail>();
        foreach (var (detail, text) in details.Zip(texts)) kept.Add(detail with { Text = await personal.SealAsync(owner, text.GetRawText(), cancellation) });
        return new(kept);
    }

    /// <summary>What a token request names, to be compared with what was granted: marks alone. Null when it names none.</summary>
    public async Task<ValueList<string>?> MarksAsync(IReadOnlyList<RequestedDetail>? details, CancellationToken cancellation)
    {
        if (details is null) return null;
        var marks = new List<string>();
        foreach (var detail in details) marks.Add(await personal.DetailHashAsync(detail.Text, cancellation));
        return new(marks);
    }

    /// <summary>The objects, in order. Null when a key has been destroyed.</summary>
    public async Task<IReadOnlyList<JsonElement>?> OpenAsync(ValueList<AuthorizationDetail> details, CancellationToken cancellation)
    {
        var opened = new List<JsonElement>();
        foreach (var detail in details)
        {
            if (await personal.OpenAsync(detail.Text, cancellation) is not { } text) return null;
            opened.Add(JsonElement.Parse(text));
        }

        return opened;
    }

    /// <summary><c>authorization_details</c> of an answer: RFC 9396 §7. Null when there are none.</summary>
    public async Task<JsonElement?> TellAsync(ValueList<AuthorizationDetail>? details, CancellationToken cancellation) =>
        details is not null && await OpenAsync(details, cancellation) is { } opened ? ArrayOf(opened) : null;

    /// <summary>Of the details in a token of ours those that still stand and are the caller's business: RFC 9396 §9.2.</summary>
    /// <param name="standing">Null when the token rests on no grant: then all stand.</param>
    /// <param name="resources">The resources that the caller acts for; null when the token is its own.</param>
    public async Task<JsonElement?> TellAsync(JsonElement carried, Func<string, bool>? standing, ValueList<string>? resources, CancellationToken cancellation)
    {
        if (RequestedDetail.Parse(carried.GetRawText()).Details is not { } details) return null;
        var told = new List<JsonElement>();
        foreach (var detail in details)
        {
            if (resources is not null && detail.Locations?.Any(resources.Contains) == false) continue;
            if (standing?.Invoke(await personal.DetailHashAsync(detail.Text, cancellation)) != false) told.Add(JsonElement.Parse(detail.Text));
        }

        return told.Count > 0 ? ArrayOf(told) : null;
    }

    private static JsonElement ArrayOf(IEnumerable<JsonElement> items) => JsonElement.Parse($"[{string.Join(',', items.Select(item => item.GetRawText()))}]");

    private async Task<DetailsSchema> SchemaOf(DetailsTypeDefinition type) =>
        _schemas.TryGetValue(type.Schema, out var known) ? known : _schemas[type.Schema] = await DetailsSchema.CompileAsync(type.Schema);
}
