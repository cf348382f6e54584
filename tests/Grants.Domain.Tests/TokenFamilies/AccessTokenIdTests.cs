using Grants.Domain.TokenFamilies;
using static Grants.Domain.Tests.Given.Fixtures;

namespace Grants.Domain.Tests.TokenFamilies;

public sealed class AccessTokenIdTests
{
    [Theory]
    [InlineData(true, 1)]
    [InlineData(true, int.MaxValue)]
    [InlineData(false, 1)]
    public void A_token_id_is_read_back_as_it_was_written(bool withGrant, int number)
    {
        var id = new AccessTokenId(FamilyId, withGrant ? GrantId : null, number);
        Assert.True(AccessTokenId.TryParse(id.ToString(), out var read));
        Assert.Equal(id, read);
        Assert.Matches("^[A-Za-z0-9_-]{48}$", id.ToString());
    }

    [Fact]
    public void Tokens_of_one_family_have_different_ids() =>
        Assert.NotEqual(new AccessTokenId(FamilyId, GrantId, 1).ToString(), new AccessTokenId(FamilyId, GrantId, 2).ToString());

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")] // 47
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")] // 49
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")]
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA ")]
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+")]
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\n\n\n")]
    [InlineData("ÄAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    public void Anything_else_is_no_token_id(string? text)
    {
        Assert.False(AccessTokenId.TryParse(text, out var id));
        Assert.Equal(default, id);
    }
}
