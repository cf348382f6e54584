using CsCheck;
using Grants.Domain.Tests.Properties;

namespace Grants.Domain.Tests.Protocol;

/// <summary>Short ways to say that a law holds for generated cases, the same ones every time.</summary>
internal static class FixedSeed
{
    /// <summary>What every parser must stand.</summary>
    public const int Many = 100_000;

    public static void Always<T>(this Gen<T> cases, Action<T> law, int times) => Law.Holds(cases, law, cases: (uint)times);

    public static void Always<T>(this Gen<T> cases, Func<T, bool> law, int times) => cases.Always((T x) => Assert.True(law(x)), times);

    public static void Always<T1, T2>(this Gen<(T1, T2)> cases, Action<T1, T2> law, int times) => cases.Always(x => law(x.Item1, x.Item2), times);

    public static void Always<T1, T2>(this Gen<(T1, T2)> cases, Func<T1, T2, bool> law, int times) => cases.Always(x => Assert.True(law(x.Item1, x.Item2)), times);

    public static void Always<T1, T2, T3>(this Gen<(T1, T2, T3)> cases, Action<T1, T2, T3> law, int times) => cases.Always(x => law(x.Item1, x.Item2, x.Item3), times);
}
