using Grants.Domain.Protocol;
using Microsoft.Extensions.Primitives;

namespace Grants.Api.Http;

/// <summary>
/// The parameters of a request, from the query or from a form, never from both. An empty value counts as absent, and one that is
/// repeated makes the request invalid (RFC 6749 §3.1 and §3.2).
/// </summary>
public sealed class Parameters
{
    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);
    private readonly HashSet<string> _repeated = new(StringComparer.Ordinal);
    private Dictionary<string, string[]>? _lists;

    private Parameters(IEnumerable<KeyValuePair<string, StringValues>> pairs)
    {
        foreach (var (name, values) in pairs)
        {
            if (values.Count > 1)
            {
                _repeated.Add(name);
                (_lists ??= new(StringComparer.Ordinal))[name] = [.. values.OfType<string>().Where(value => value.Length > 0)];
            }

            if (values.Count > 0 && !string.IsNullOrEmpty(values[0])) _values[name] = values[0]!;
        }
    }

    public string? this[string name] => _values.GetValueOrDefault(name);

    /// <summary>Every value of a parameter that may repeat; none when it is absent.</summary>
    public IReadOnlyList<string> All(string name) => _lists?.GetValueOrDefault(name) is { } many ? many : this[name] is { } one ? [one] : [];

    /// <summary>Why the request can't be read at all; null when it can. <c>resource</c> and <c>audience</c> alone may repeat (RFC 8707 §2, RFC 8693 §2.1).</summary>
    public OAuthError? Fault => _repeated.Any(name => name is not ("resource" or "audience"))
        ? new OAuthError(ErrorCode.InvalidRequest, "A parameter was sent more than once.")
        : null;

    /// <summary>The same parameters, and this one where it was left out.</summary>
    public Parameters With(string name, string value)
    {
        if (_values.ContainsKey(name)) return this;
        var more = new Parameters([]);
        foreach (var (known, text) in _values) more._values[known] = text;
        more._values[name] = value;
        more._repeated.UnionWith(_repeated);
        more._lists = _lists;
        return more;
    }

    public bool IsRepeated(string name) => _repeated.Contains(name);

    /// <summary>Parameters that came in another way.</summary>
    public static Parameters Of(IEnumerable<KeyValuePair<string, StringValues>> pairs) => new(pairs);

    public static Parameters OfQuery(HttpRequest request) => new(request.Query);

    /// <summary>Reads a form. Null when the body is no form (415 would be HTTP's word; OAuth's is <c>invalid_request</c>) or breaks the limits.</summary>
    public static async Task<Parameters?> OfFormAsync(HttpRequest request, CancellationToken cancellation)
    {
        if (!request.HasFormContentType || request.ContentType?.StartsWith("application/x-www-form-urlencoded", StringComparison.OrdinalIgnoreCase) != true) return null;
        try
        {
            return new Parameters(await request.ReadFormAsync(cancellation));
        }
        catch (Exception e) when (e is InvalidDataException or NotSupportedException)
        {
            return null; // more fields, or longer names, than the limits of Program.cs let pass; or an encoding that .NET refuses (UTF-7)
        }
    }

    /// <summary>All values of a form field that pages repeat (tick boxes), outside the protocol.</summary>
    public static IReadOnlyList<string> Ticked(HttpRequest request, string name) => [.. request.Form[name].OfType<string>()];
}
