using CsCheck;
using Grants.Domain.Protocol;

namespace Grants.Domain.Tests.Protocol;

public sealed class ScopeSetTests
{
    private static readonly Gen<ScopeSet> Sets = Gen.OneOf("a", "b", "c", "d", "e", "A").Array[0, 8].Select(ScopeSet.Of);

    private static ScopeSet Of(params string[] tokens) => ScopeSet.Of(tokens);

    [Theory, Trait("Rule", "AZ-5")]
    [InlineData(null, "")]
    [InlineData("", "")]
    [InlineData("   ", "")]
    [InlineData("openid", "openid")]
    [InlineData("openid profile", "openid profile")]
    [InlineData(" openid  profile ", "openid profile")]
    [InlineData("b a b", "b a")]
    [InlineData("read Read", "read Read")]
    [InlineData("! #[]~ https://api.example/read:x", "! #[]~ https://api.example/read:x")]
    public void Scope_tokens_stand_between_spaces(string? text, string expected)
    {
        Assert.True(ScopeSet.TryParse(text, out var scopes));
        Assert.Equal(expected, scopes.ToString());
    }

    [Theory, Trait("Rule", "AZ-5")]
    [InlineData("a\"b")]
    [InlineData("a\\b")]
    [InlineData("a\tb")]
    [InlineData("a\nb")]
    [InlineData("a\0")]
    [InlineData("a\u007F")]
    [InlineData("é")]
    [InlineData("a\u00A0b")]
    [InlineData("openid a\"b")]
    public void A_character_outside_the_grammar_spoils_the_whole(string text)
    {
        Assert.False(ScopeSet.TryParse(text, out var scopes));
        Assert.Empty(scopes);
    }

    [Theory, Trait("Rule", "AZ-5")]
    [InlineData(128, true)]
    [InlineData(129, false)]
    public void A_scope_token_has_at_most_128_characters(int length, bool allowed) =>
        Assert.Equal(allowed, ScopeSet.TryParse(new string('a', length), out _));

    [Fact, Trait("Rule", "AZ-5")]
    public void Order_and_repetition_carry_no_meaning()
    {
        Assert.True(Of("a", "b").Equals(Of("b", "a", "b")));
        Assert.Equal(Of("a", "b").GetHashCode(), Of("b", "a").GetHashCode());
        Assert.False(Of("a").Equals(Of("A")));
        Assert.False(Of("a").Equals(Of("a", "b")));
        Assert.False(Of("a").Equals(null));
    }

    [Fact]
    public void The_order_given_is_kept_for_display() => Assert.Equal("z a m", Of("z", "a", "m").ToString());

    [Fact]
    public void The_laws_of_sets_hold() =>
        Gen.Select(Sets, Sets, Sets).Always((a, b, c) =>
        {
            Assert.True(a.Union(b).Equals(b.Union(a)));
            Assert.True(a.Intersect(b).Equals(b.Intersect(a)));
            Assert.True(a.Union(b).Union(c).Equals(a.Union(b.Union(c))));
            Assert.True(a.Intersect(b.Union(c)).Equals(a.Intersect(b).Union(a.Intersect(c))));
            Assert.True(a.Except(b).Equals(a.Except(a.Intersect(b))));
            Assert.True(a.Equals(a.Intersect(b).Union(a.Except(b))));
            Assert.Empty(a.Except(b).Intersect(b));
            Assert.True(a.Equals(a.Union(ScopeSet.Empty)));
            Assert.True(a.Intersect(b).IsSubsetOf(a));
            Assert.True(a.IsSubsetOf(a.Union(b)));
            Assert.Equal(a.Equals(b), a.IsSubsetOf(b) && b.IsSubsetOf(a));
            Assert.All(a, scope => Assert.True(a.Contains(scope)));
        }, times: 1_000);

    [Fact]
    public void What_is_written_reads_back_the_same() =>
        Sets.Always(set => ScopeSet.TryParse(set.ToString(), out var again) && again.SequenceEqual(set), times: 500);

    [Fact]
    public void No_text_makes_it_throw_and_only_clean_tokens_come_out() =>
        Texts.Any.Always(text =>
        {
            if (ScopeSet.TryParse(text, out var scopes)) Assert.All(scopes, token => Assert.True(ScopeSet.IsToken(token)));
        }, times: FixedSeed.Many);
}
