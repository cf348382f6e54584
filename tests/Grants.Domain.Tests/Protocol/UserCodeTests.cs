using Grants.Domain.Protocol;

namespace Grants.Domain.Tests.Protocol;

public sealed class UserCodeTests
{
    [Theory, Trait("Rule", "DV-2")]
    [InlineData("WDJBMJHT")]
    [InlineData("WDJB-MJHT")]
    [InlineData("wdjb-mjht")]
    [InlineData("wDjB mJhT")]
    [InlineData("  W.D_J/B—M J\tH\nT ")]
    [InlineData("AWDJBEIOUMJHT0")] // what is outside of the alphabet doesn't count, letters and digits too
    public void A_code_is_read_in_any_case_and_whatever_stands_between_its_letters(string typed) => Assert.Equal("WDJBMJHT", UserCode.Read(typed));

    [Theory, Trait("Rule", "DV-2")]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("----")]
    [InlineData("WDJB-MJH")]
    [InlineData("WDJB-MJHTX")]
    [InlineData("12345678")]
    [InlineData("ＷＤＪＢ-ＭＪＨＴ")] // full-width
    public void Anything_else_is_none(string? typed) => Assert.Null(UserCode.Read(typed));

    [Fact, Trait("Rule", "DV-2"), Trait("Attack", "E12")]
    public void What_is_far_too_long_is_not_searched() => Assert.Null(UserCode.Read(new string('-', 1000) + "WDJBMJHT"));

    [Fact, Trait("Rule", "DV-2"), Trait("Attack", "C11")]
    public void It_has_eight_of_twenty_letters_that_make_no_words_and_is_shown_in_two_halves()
    {
        Assert.Equal((20, 20), (UserCode.Alphabet.Length, UserCode.Alphabet.Distinct().Count()));
        Assert.DoesNotContain(UserCode.Alphabet, c => "AEIOUY".Contains(c, StringComparison.Ordinal));
        Assert.True(Math.Log2(Math.Pow(UserCode.Alphabet.Length, UserCode.Length)) > 34.5);
        Assert.Equal("WDJB-MJHT", UserCode.Show("WDJBMJHT"));
        Assert.Equal("WDJBMJHT", UserCode.Read(UserCode.Show("WDJBMJHT")));
    }
}
