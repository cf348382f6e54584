namespace Grants.Domain.Protocol;

/// <summary>
/// One object of <c>authorization_details</c> (RFC 9396 §2) as events keep it. It may say whom somebody pays and how much, so its text is
/// sealed, and decisions compare marks (docs/decisions/0011-authorization-details.md).
/// </summary>
/// <param name="Type">Its type, which the catalogue knows.</param>
/// <param name="Mark">Keyed hash of its canonical JSON: two objects are equal when their marks are.</param>
/// <param name="Text">Its canonical JSON, sealed: under the key of the month until a person allows it, then under that person's.</param>
/// <param name="Locations">The resources that it is for (RFC 9396 §2.2), each declared in the catalogue. Null when it names none.</param>
public sealed record AuthorizationDetail(string Type, string Mark, SealedText Text, ValueList<string>? Locations = null)
{
    /// <summary>Whether a token with this audience may carry it.</summary>
    public bool IsFor(ValueList<string> audience) => Locations is null || Locations.Any(audience.Contains);
}

/// <summary>
/// Lists of details. Without any they are null, never empty: older events don't have the member, and what has no details costs nothing.
/// </summary>
public static class AuthorizationDetails
{
    public static bool Has(this ValueList<AuthorizationDetail>? details, string mark) => details?.Any(detail => detail.Mark == mark) == true;

    /// <summary>Whether every one of these marks stands among the details.</summary>
    public static bool HaveAll(this ValueList<AuthorizationDetail>? details, IEnumerable<string>? marks) => marks?.All(mark => details.Has(mark)) ?? true;

    /// <summary>Whether one of them is for this resource by name.</summary>
    public static bool Name(this ValueList<AuthorizationDetail>? details, string resource) => details?.Any(detail => detail.Locations?.Contains(resource) == true) == true;

    /// <summary>Those that a token request names, RFC 9396 §6; all when it names none.</summary>
    public static ValueList<AuthorizationDetail>? Named(this ValueList<AuthorizationDetail>? details, ValueList<string>? marks) =>
        marks is null ? details : OrNull(details?.Where(detail => marks.Contains(detail.Mark)));

    /// <summary>Those that still stand, as they stand there.</summary>
    public static ValueList<AuthorizationDetail>? Among(this ValueList<AuthorizationDetail>? details, ValueList<AuthorizationDetail>? standing) =>
        OrNull(details?.Select(detail => standing?.FirstOrDefault(one => one.Mark == detail.Mark)).OfType<AuthorizationDetail>());

    /// <summary>Those that are new.</summary>
    public static ValueList<AuthorizationDetail>? NotAmong(this ValueList<AuthorizationDetail>? details, ValueList<AuthorizationDetail>? known) =>
        OrNull(details?.Where(detail => !known.Has(detail.Mark)));

    /// <summary>Those that a token with this audience may carry.</summary>
    public static ValueList<AuthorizationDetail>? For(this ValueList<AuthorizationDetail>? details, ValueList<string> audience) =>
        OrNull(details?.Where(detail => detail.IsFor(audience)));

    public static ValueList<string>? Marks(this ValueList<AuthorizationDetail>? details) => details is null ? null : new(details.Select(detail => detail.Mark));

    internal static ValueList<T>? OrNull<T>(IEnumerable<T>? items) => items?.ToArray() is { Length: > 0 } some ? new(some) : null;
}
