using Grants.Domain.Sessions;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.Sessions;

public sealed class AuthenticationRequirementTests
{
    [Theory, Trait("Rule", "SU-1")]
    [InlineData(true, null, 1_000_000, null, true)] // nothing is asked for
    [InlineData(true, 300, 299, null, true)]
    [InlineData(true, 300, 300, null, true)]
    [InlineData(true, 300, 301, null, false)]
    [InlineData(true, null, 0, "a b", true)]
    [InlineData(true, null, 0, "b", false)]
    [InlineData(true, null, 0, "A", false)]
    [InlineData(true, 300, 301, "a", false)]
    [InlineData(true, 300, 300, "b", false)]
    [InlineData(false, null, 0, null, true)] // nobody has signed in
    [InlineData(false, 300, 0, null, false)]
    [InlineData(false, null, 0, "a", false)]
    public void A_sign_in_is_good_enough_when_it_is_recent_and_of_a_class_that_is_asked_for(bool signedIn, int? maxAge, int ago, string? acrValues, bool met)
    {
        var needed = new AuthenticationRequirement(new(acrValues?.Split(' ') ?? []), maxAge is { } seconds ? TimeSpan.FromSeconds(seconds) : null);
        Assert.Equal(met, needed.IsMetBy(signedIn ? "a" : null, signedIn ? Noon.AddSeconds(-ago) : null, Noon));
    }
}
