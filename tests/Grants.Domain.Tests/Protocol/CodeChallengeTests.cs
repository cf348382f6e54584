using CsCheck;
using Grants.Domain.Protocol;

namespace Grants.Domain.Tests.Protocol;

public sealed class CodeChallengeTests
{
    // RFC 7636 appendix B.
    private const string Verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    private static readonly CodeChallenge Challenge = new("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");

    [Fact, Trait("Rule", "AZ-7"), Trait("Rule", "22-1")]
    public void The_verifier_of_RFC_7636_meets_its_challenge() => Assert.True(Challenge.IsMetBy(new Secret(Verifier)));

    [Theory, Trait("Attack", "C7")]
    [InlineData("")]
    [InlineData("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")] // the challenge itself, which method plain would take
    [InlineData("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjX")]
    [InlineData("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXkk")]
    [InlineData("DBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")]
    [InlineData("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk=")]
    [InlineData(" dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")]
    public void Another_verifier_does_not(string verifier) => Assert.False(Challenge.IsMetBy(new Secret(verifier)));

    [Theory, Trait("Rule", "AZ-7"), Trait("Attack", "C7")]
    [InlineData(0, false)]
    [InlineData(42, false)]
    [InlineData(43, true)]
    [InlineData(128, true)]
    [InlineData(129, false)]
    public void Challenge_and_verifier_have_43_to_128_characters(int length, bool allowed)
    {
        Assert.Equal(allowed, CodeChallenge.TryParse(new string('a', length), out _));
        Assert.Equal(allowed, CodeChallenge.IsVerifier(new string('a', length)));
    }

    [Theory, Trait("Rule", "AZ-7"), Trait("Attack", "C7")]
    [InlineData('-', true)]
    [InlineData('.', true)]
    [InlineData('_', true)]
    [InlineData('~', true)]
    [InlineData('9', true)]
    [InlineData('=', false)]
    [InlineData('+', false)]
    [InlineData('/', false)]
    [InlineData('%', false)]
    [InlineData(' ', false)]
    [InlineData('\n', false)]
    [InlineData('\0', false)]
    [InlineData('é', false)]
    [InlineData('\u0661', false)] // a digit, but no ASCII one
    public void Only_unreserved_characters_may_stand_in_them(char c, bool allowed)
    {
        var text = new string('a', 42) + c;
        Assert.Equal(allowed, CodeChallenge.TryParse(text, out _));
        Assert.Equal(allowed, CodeChallenge.IsVerifier(text));
    }

    [Fact, Trait("Attack", "C7")]
    public void A_digest_that_fits_saves_no_verifier_outside_the_grammar()
    {
        var digest = System.Security.Cryptography.SHA256.HashData("short"u8);
        var challenge = new CodeChallenge(System.Buffers.Text.Base64Url.EncodeToString(digest));
        Assert.False(challenge.IsMetBy(new Secret("short")));
    }

    [Fact, Trait("Rule", "AZ-7")]
    public void Each_verifier_meets_its_own_challenge_alone() =>
        Gen.String[Gen.Char.AlphaNumeric, 43, 128].Always(verifier =>
        {
            var digest = System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.ASCII.GetBytes(verifier));
            var text = System.Buffers.Text.Base64Url.EncodeToString(digest);
            Assert.True(CodeChallenge.TryParse(text, out var challenge));
            Assert.True(challenge.IsMetBy(new Secret(verifier)));
            Assert.False(Challenge.IsMetBy(new Secret(verifier)));
        }, times: 200);

    [Fact]
    public void No_text_makes_it_throw() =>
        Texts.Any.Always(text =>
        {
            if (CodeChallenge.TryParse(text, out var challenge)) challenge.IsMetBy(new Secret(text));
            new CodeChallenge(text).IsMetBy(new Secret(new string('a', 43)));
            Challenge.IsMetBy(new Secret(text));
        }, times: FixedSeed.Many);
}
