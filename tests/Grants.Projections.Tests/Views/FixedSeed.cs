using CsCheck;

namespace Grants.Projections.Tests.Views;

/// <summary>Runs a law over generated cases, the same ones every time: CsCheck's own <c>seed</c> fixes only the first of a run.</summary>
internal static class FixedSeed
{
    public static void Always<T>(this Gen<T> cases, Action<T> law, int times)
    {
        for (var i = 1u; i <= times; i++) cases.Sample(law, seed: new PCG(i, 2026).ToString(), iter: 1, threads: 1);
    }
}
