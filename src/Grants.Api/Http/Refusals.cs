using System.Diagnostics.Metrics;

namespace Grants.Api.Http;

/// <summary>Counts what is refused, for being wrong or for being too much. Such requests leave no event, or strangers could fill the log (E11).</summary>
internal static class Refusals
{
    /// <summary>The meter's name, for whoever listens.</summary>
    public const string MeterName = "Grants.Limits";

    private static readonly Meter Meter = new(MeterName);
    private static readonly Counter<long> Refused = Meter.CreateCounter<long>("grants.limits.refused", "{request}", "Requests beyond a limit.");

    private static readonly Counter<long> SignIns = Meter.CreateCounter<long>("grants.sign_in.checked", "{sign-in}", "Passwords that were looked at.");
    private static readonly Counter<long> Clients = Meter.CreateCounter<long>("grants.client_authentication.failed", "{request}", "Requests whose client proved nothing.");

    public static void CountSignIn(bool proven) => SignIns.Add(1, new KeyValuePair<string, object?>("proven", proven));

    public static void CountFailedClient() => Clients.Add(1);

    /// <param name="limit">The setting's name; never who was refused.</param>
    public static void Count(string limit) => Refused.Add(1, new KeyValuePair<string, object?>("limit", limit));
}
