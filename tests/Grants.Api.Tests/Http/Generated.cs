using CsCheck;

namespace Grants.Api.Tests.Http;

/// <summary>Many generated cases, the same ones in each run, so that a failure names one that can be run again.</summary>
internal static class Generated
{
    /// <summary>What every parser must stand.</summary>
    public const int Many = 100_000;

    public static IEnumerable<T> Cases<T>(this Gen<T> gen, int cases) => Enumerable.Range(1, cases).Select(number => gen.Generate(new PCG((uint)number, 20261123), null, out _));

    public static void Always<T>(this Gen<T> gen, Action<T> law, int cases = Many)
    {
        var number = 0;
        foreach (var one in gen.Cases(cases))
        {
            number++;
            try
            {
                law(one);
            }
            catch (Exception broken)
            {
                throw new InvalidOperationException($"Case {number}: {one}{Environment.NewLine}{broken.Message}", broken);
            }
        }
    }
}
