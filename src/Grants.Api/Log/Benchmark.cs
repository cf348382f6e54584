namespace Grants.Api.Log;

/// <summary>
/// What <c>bench/run.sh</c> compares with, fixed when the program is built (<c>-p:GrantsSignOnly=true</c>, <c>-p:GrantsSessionDoor=true</c>).
/// No setting turns either on, and such a build doesn't start outside Development.
/// </summary>
internal static class Benchmark
{
    public static bool IsBenchmark => StoresNothing || SessionPerRequest;

    /// <summary>Decides and signs, and writes nothing down.</summary>
    public static bool StoresNothing =>
#if GRANTS_SIGN_ONLY
        true;
#else
        false;
#endif

    /// <summary>Reads and writes through a Marten session of the request's own.</summary>
    public static bool SessionPerRequest =>
#if GRANTS_SESSION_DOOR
        true;
#else
        false;
#endif
}
