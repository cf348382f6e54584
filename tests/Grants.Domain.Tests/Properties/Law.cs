using CsCheck;

namespace Grants.Domain.Tests.Properties;

/// <summary>Checks a law with many generated cases: the same ones in each run, so that a failure names a case that can be run again.</summary>
internal static class Law
{
    public static void Holds<T>(Gen<T> gen, Action<T> law, Func<T, string>? print = null, uint cases = 500) =>
        HoldsWhere(gen, given =>
        {
            law(given);
            return true;
        }, print, cases);

    /// <param name="law">True when the case had something to say; a law that hardly any case speaks of proves nothing, and fails.</param>
    public static void HoldsWhere<T>(Gen<T> gen, Func<T, bool> law, Func<T, string>? print = null, uint cases = 500)
    {
        var told = 0;
        for (uint number = 1; number <= cases; number++)
        {
            var given = gen.Generate(new PCG(number, 20260601), null, out _);
            try
            {
                if (law(given)) told++;
            }
            catch (Exception broken)
            {
                throw new InvalidOperationException($"Case {number}: {(print is null ? given : print(given))}{Environment.NewLine}{broken.Message}", broken);
            }
        }

        Assert.True(told >= cases / 50, $"Only {told} of {cases} cases had something to say.");
    }
}
