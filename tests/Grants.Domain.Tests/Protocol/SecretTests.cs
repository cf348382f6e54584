using Grants.Domain.Protocol;

namespace Grants.Domain.Tests.Protocol;

public sealed class SecretTests
{
    private const string Text = "correct-horse-battery";

    private sealed record Request(string Name, Secret Password);

    [Fact, Trait("Law", "L6")]
    public void A_secret_never_prints()
    {
        var secret = new Secret(Text);
        Assert.Equal("***", secret.ToString());
        Assert.Equal("***", $"{secret}");
        Assert.Equal("Request { Name = sam, Password = *** }", new Request("sam", secret).ToString());
        Assert.DoesNotContain(Text, string.Concat(secret, new Request("sam", secret)), StringComparison.Ordinal);
    }

    [Fact, Trait("Law", "L6")]
    public void A_secret_has_no_public_member_that_shows_it_but_Expose()
    {
        var secret = new Secret(Text);
        Assert.Empty(typeof(Secret).GetProperties());
        Assert.Empty(typeof(Secret).GetFields());
        var telling = typeof(Secret).GetMethods().Where(method => method.ReturnType == typeof(string) && method.GetParameters().Length == 0)
            .Where(method => (string?)method.Invoke(secret, null) == Text).Select(method => method.Name);
        Assert.Equal(["Expose"], telling);
    }

    [Fact, Trait("Law", "L6")]
    public void A_hash_code_tells_nothing_about_a_secret() =>
        Assert.Equal(new Secret("one").GetHashCode(), new Secret("another").GetHashCode());

    [Theory, Trait("Attack", "K3")]
    [InlineData(Text, true)]
    [InlineData("Correct-horse-battery", false)]
    [InlineData("correct-horse-batter", false)]
    [InlineData("correct-horse-battery ", false)]
    [InlineData("", false)]
    public void Secrets_are_equal_when_their_texts_are(string other, bool equal)
    {
        Assert.Equal(equal, new Secret(Text).Equals(new Secret(other)));
        Assert.Equal(equal, new Secret(Text).Equals((object)new Secret(other)));
        Assert.Equal(equal, SecretHash.Of("1", new Secret(Text)).IsOf(new Secret(other)));
    }

    [Fact, Trait("Attack", "K3")]
    public void A_secret_equals_neither_nothing_nor_its_text()
    {
        Assert.False(new Secret(Text).Equals((Secret?)null));
        Assert.False(new Secret(Text).Equals((object)Text));
    }

    [Fact, Trait("Attack", "K2"), Trait("Law", "L6")]
    public void A_secret_hash_is_the_base64url_SHA_256_and_holds_nothing_of_the_secret()
    {
        // SHA-256 of "abc" from FIPS 180-4's examples.
        var hash = SecretHash.Of("first", new Secret("abc"));
        Assert.Equal(new SecretHash("first", "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"), hash);
        Assert.DoesNotContain(Text, SecretHash.Of("1", new Secret(Text)).ToString(), StringComparison.Ordinal);
    }

    [Fact, Trait("Attack", "K3")]
    public void A_damaged_hash_matches_nothing()
    {
        Assert.False(new SecretHash("1", "").IsOf(new Secret("abc")));
        Assert.False(new SecretHash("1", "ungWv48Bz").IsOf(new Secret("abc")));
    }
}
