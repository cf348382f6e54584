using CsCheck;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.TokenFamilies;

namespace Grants.Domain.Tests.Protocol;

public sealed class SubjectIdTests
{
    [Fact, Trait("Rule", "ID-1")]
    public void A_sub_reads_back_the_same_and_is_short_ASCII() =>
        Gen.Guid.Always(id =>
        {
            var text = new SubjectId(id).ToString();
            Assert.True(SubjectId.TryParse(text, out var again));
            Assert.Equal(id, again.Value);
            Assert.True(text.Length <= 255 && text.All(char.IsAscii));
        }, times: 200);

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("sub_")]
    [InlineData("00000000000000000000000000000000")]
    [InlineData("SUB_0190a000000070008000000000000001")]
    [InlineData("sub-0190a000000070008000000000000001")]
    [InlineData("sub_0190a00000007000800000000000000")]
    [InlineData("sub_0190a0000000700080000000000000011")]
    [InlineData("sub_ 0190a00000007000800000000000001")]
    [InlineData("sub_0190a00000007000800000000000001 ")]
    [InlineData("sub_0190a000-0000-7000-8000-000000000001")]
    [InlineData("sub_g190a000000070008000000000000001")]
    public void Other_texts_name_no_person(string? text) => Assert.False(SubjectId.TryParse(text, out _));

    [Fact, Trait("Attack", "T21"), Trait("Rule", "AT-1")]
    public void No_client_may_be_named_like_a_person() =>
        Gen.Guid.Always(id => DeclareClient.WhyNot(new ClientId(new SubjectId(id).ToString()),
            new ClientMetadata { ClientName = "Tally", RedirectUris = ["https://c.example/cb"] }) is { Code: ErrorCode.InvalidClientMetadata },
            times: 100);

    [Fact]
    public void No_text_makes_a_parser_throw_and_what_it_reads_it_writes_alike() =>
        Texts.Any.Always(text =>
        {
            foreach (var tried in new[] { text, SubjectId.Prefix + text })
            {
                if (SubjectId.TryParse(tried, out var subject)) Assert.Equal(tried, subject.ToString(), ignoreCase: true);
                if (AccessTokenId.TryParse(tried, out var token)) Assert.Equal(tried, token.ToString());
            }
        }, times: FixedSeed.Many);
}
