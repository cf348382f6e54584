using CsCheck;
using Grants.Domain.Protocol;

namespace Grants.Domain.Tests.Protocol;

public sealed class ValueListTests
{
    private sealed record Holder(ValueList<string> Items);

    [Fact]
    public void Two_lists_are_equal_when_their_items_are()
    {
        Assert.Equal((ValueList<string>)["a", "b"], ["a", "b"]);
        Assert.NotEqual((ValueList<string>)["a", "b"], ["b", "a"]);
        Assert.NotEqual((ValueList<string>)["a"], ["a", "a"]);
        Assert.False(((ValueList<string>)[]).Equals(null));
        Assert.Equal(new Holder(["a"]), new Holder(["a"]));
    }

    [Fact]
    public void Equal_lists_have_equal_hash_codes() =>
        Gen.String.Array[0, 6].Always(items => new ValueList<string>(items).GetHashCode() == new ValueList<string>([.. items]).GetHashCode(),
            times: 200);

    [Fact]
    public void Changing_the_source_afterwards_changes_nothing()
    {
        string[] source = ["a", "b"];
        var list = new ValueList<string>(source);
        source[0] = "x";
        Assert.Equal(["a", "b"], list);
    }
}
