using System.Globalization;

namespace Grants.Api.Pages;

/// <summary>Times in words for people, in a zone that is always named, and for machines as RFC 3339 §5.6 gives them.</summary>
public static class DisplayTime
{
    /// <summary>The value of a <c>datetime</c> attribute.</summary>
    public static string Machine(DateTimeOffset at) =>
        at.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    /// <summary>"4 Jan 2026".</summary>
    public static string Day(DateTimeOffset at, TimeZoneInfo zone) => Format(at, zone, "d MMM yyyy");

    /// <summary>"Sunday 4 January 2026".</summary>
    public static string LongDay(DateTimeOffset at, TimeZoneInfo zone) => Format(at, zone, "dddd d MMMM yyyy");

    /// <summary>"today", "yesterday", or the day.</summary>
    public static string RecentDay(DateTimeOffset at, DateTimeOffset now, TimeZoneInfo zone) =>
        (In(now, zone).Date - In(at, zone).Date).Days switch
        {
            0 => "today",
            1 => "yesterday",
            _ => Day(at, zone),
        };

    /// <summary>"10:32 UTC" or "10:32 UTC+1".</summary>
    public static string Clock(DateTimeOffset at, TimeZoneInfo zone) => $"{Format(at, zone, "HH:mm")} {Offset(at, zone)}";

    /// <summary>"4 Jan 2026, 10:32 UTC+1".</summary>
    public static string Moment(DateTimeOffset at, TimeZoneInfo zone) => $"{Day(at, zone)}, {Clock(at, zone)}";

    /// <summary>"UTC" or "Europe/London".</summary>
    public static string Zone(TimeZoneInfo zone) =>
        zone.Id is "Etc/UTC" or "UTC" ? "UTC" : zone.Id.Replace('_', ' ');

    /// <summary>"just now", "40 seconds ago" or "3 minutes ago".</summary>
    public static string Ago(DateTimeOffset at, DateTimeOffset now) => (now - at).TotalSeconds switch
    {
        < 2 => "just now",
        < 60 and var seconds => string.Create(CultureInfo.InvariantCulture, $"{Math.Floor(seconds):0} seconds ago"),
        < 120 => "1 minute ago",
        var seconds => string.Create(CultureInfo.InvariantCulture, $"{Math.Floor(seconds / 60):0} minutes ago"),
    };

    /// <summary>How far a view lags behind the log: "0.2 s behind".</summary>
    public static string Behind(double seconds) => seconds switch
    {
        < 60 => string.Create(CultureInfo.InvariantCulture, $"{Math.Max(0, seconds):0.0} s behind"),
        < 3600 => string.Create(CultureInfo.InvariantCulture, $"{seconds / 60:0} min behind"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{seconds / 3600:0.0} h behind"),
    };

    private static string Offset(DateTimeOffset at, TimeZoneInfo zone)
    {
        var offset = zone.GetUtcOffset(at);
        if (offset == TimeSpan.Zero)
            return "UTC";
        var sign = offset < TimeSpan.Zero ? '−' : '+';
        return offset.Minutes == 0
            ? $"UTC{sign}{Math.Abs(offset.Hours)}"
            : $"UTC{sign}{Math.Abs(offset.Hours)}:{Math.Abs(offset.Minutes):00}";
    }

    private static DateTimeOffset In(DateTimeOffset at, TimeZoneInfo zone) => TimeZoneInfo.ConvertTime(at, zone);

    private static string Format(DateTimeOffset at, TimeZoneInfo zone, string format) =>
        In(at, zone).ToString(format, CultureInfo.InvariantCulture);
}
