using System.Text;
using Grants.Api.Details;
using Grants.Domain.Protocol;

namespace Grants.Api.Tests.Details;

/// <summary>What is let in as <c>authorization_details</c>, and its canonical form.</summary>
public sealed class RequestedDetailTests
{
    private const string One = """{"type":"payment","amount":"1.00"}""";

    private static RequestedDetail Read(string json)
    {
        var (details, fault) = RequestedDetail.Parse(json);
        Assert.Null(fault);
        return Assert.Single(details!);
    }

    private static void Refused(string json)
    {
        var (details, fault) = RequestedDetail.Parse(json);
        Assert.Null(details);
        Assert.Equal(ErrorCode.InvalidAuthorizationDetails, fault!.Code);
        Assert.All(fault.Description, c => Assert.True(c is >= ' ' and <= '~' and not '"' and not '\\'));
    }

    private static string Nested(int depth) => $$"""[{"type":"x","a":{{new string('[', depth)}}{{new string(']', depth)}}}]""";

    [Fact, Trait("Rule", "RR-1")]
    public void Without_the_parameter_there_is_nothing_and_no_fault() => Assert.Equal((null, null), RequestedDetail.Parse(null));

    [Theory, Trait("Rule", "RR-1")]
    [InlineData("""[{ "type" : "payment", "b": 1, "a": {"y":[1, 2 ,{"d":null,"c":true}], "x":"1"} }]""", """{"a":{"x":"1","y":[1,2,{"c":true,"d":null}]},"b":1,"type":"payment"}""")]
    [InlineData("""[{"type":"payment","\u0061":"\u00e9\/\u003c"}]""", """{"a":"é/<","type":"payment"}""")]
    [InlineData("""[{"type":"payment","amount":45.0}]""", """{"amount":45.0,"type":"payment"}""")]
    [InlineData("""[{"type":"payment","amount":0.1234567890123456789012345678901234567890}]""", """{"amount":0.1234567890123456789012345678901234567890,"type":"payment"}""")]
    [InlineData("""[{"type":"payment","amount":1E400}]""", """{"amount":1E400,"type":"payment"}""")]
    [InlineData("""[{"type":"payment","Z":1,"a":2,"ä":3,"A":4}]""", """{"A":4,"Z":1,"a":2,"type":"payment","ä":3}""")]
    public void An_object_has_one_canonical_form_however_it_is_written(string written, string canonical)
    {
        Assert.Equal(("payment", canonical), (Read(written).Type, Read(written).Text));
        Assert.Equal(canonical, Read($"[{canonical}]").Text);
    }

    [Fact, Trait("Rule", "RR-1")]
    public void Its_locations_are_read_in_order()
    {
        Assert.Equal(["https://b.example", "https://a.example"], Read("""[{"type":"x","locations":["https://b.example","https://a.example"]}]""").Locations);
        Assert.Null(Read($"[{One}]").Locations);
    }

    [Theory, Trait("Rule", "RR-1"), Trait("Attack", "T9")]
    [InlineData("")]
    [InlineData("payment")]
    [InlineData("null")]
    [InlineData("7")]
    [InlineData("\"[]\"")]
    [InlineData(One)] // an object where an array must be
    [InlineData("[]")]
    [InlineData("[null]")]
    [InlineData("[[]]")]
    [InlineData("[\"payment\"]")]
    [InlineData("[" + One + ",7]")]
    [InlineData("[{}]")]
    [InlineData("""[{"Type":"payment"}]""")]
    [InlineData("""[{"type":""}]""")]
    [InlineData("""[{"type":null}]""")]
    [InlineData("""[{"type":["payment"]}]""")]
    [InlineData("""[{"type":"payment",}]""")]
    [InlineData("""[{"type":"payment"}] x""")]
    [InlineData("""[{"type":"payment"}][]""")]
    [InlineData("""[{"type":"payment"/**/}]""")]
    [InlineData("""[{'type':'payment'}]""")]
    [InlineData("""[{"type":"payment","amount":NaN}]""")]
    [InlineData("""[{"type":"payment","amount":01}]""")]
    [InlineData("\ufeff[{\"type\":\"payment\"}]")]
    public void Anything_but_an_array_of_objects_with_a_type_is_refused(string json) => Refused(json);

    [Theory, Trait("Rule", "RR-1"), Trait("Attack", "T9")]
    [InlineData("""[{"type":"payment","type":"other"}]""")]
    [InlineData("""[{"type":"payment","\u0074ype":"other"}]""")]
    [InlineData("""[{"type":"payment","a":{"b":1,"b":2}}]""")]
    [InlineData("""[{"type":"payment","a":[{"b":1,"b":1}]}]""")]
    public void A_name_that_stands_twice_is_refused_at_any_depth(string json) => Refused(json);

    [Theory, Trait("Rule", "RR-1")]
    [InlineData("""[{"type":"payment","a":"\ud800"}]""")]
    [InlineData("""[{"type":"payment","\udc00":"a"}]""")]
    [InlineData("""[{"type":"\ud800"}]""")]
    [InlineData("""[{"type":"payment","a":"1.00\n"}]""")]
    [InlineData("""[{"type":"payment","a":["\u0000"]}]""")]
    [InlineData("""[{"type":"payment","a":{"b":"\u001b[2J"}}]""")]
    public void Half_characters_and_control_characters_are_refused(string json) => Refused(json);

    [Theory, Trait("Rule", "RR-1")]
    [InlineData("locations", "\"https://a.example\"")]
    [InlineData("locations", "[]")]
    [InlineData("locations", "[1]")]
    [InlineData("locations", "[\"\"]")]
    [InlineData("actions", "{}")]
    [InlineData("actions", "[\"read\",null]")]
    [InlineData("datatypes", "true")]
    [InlineData("privileges", "[[\"admin\"]]")]
    [InlineData("identifier", "[\"a\"]")]
    [InlineData("identifier", "7")]
    [InlineData("identifier", "\"\"")]
    public void The_common_members_have_the_form_that_the_specification_gives_them(string name, string value)
    {
        Refused($$"""[{"type":"x","{{name}}":{{value}}}]""");
        Read($$"""[{"type":"x","{{name}}":{{(name == "identifier" ? "\"a\"" : "[\"a\",\"b\"]")}}}]""");
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Attack", "T9")]
    public void The_same_object_twice_is_refused_also_when_it_is_written_differently()
    {
        Refused($"[{One},{One}]");
        Refused($$"""[{{One}},{ "amount": "1.00", "type": "payment" }]""");
        Assert.Equal(2, RequestedDetail.Parse($$"""[{{One}},{"type":"payment","amount":"1.0"}]""").Details!.Count);
    }

    [Fact, Trait("Rule", "RR-1"), Trait("Attack", "T9")]
    public void More_than_16_levels_16_objects_or_4096_octets_are_refused()
    {
        Read(Nested(14));
        Refused(Nested(15));
        Refused(Nested(4000));
        Refused(new string('[', 100_000));

        string Many(int count) => $"[{string.Join(',', Enumerable.Range(0, count).Select(i => $$"""{"type":"x","i":{{i}}}"""))}]";
        Assert.Equal(16, RequestedDetail.Parse(Many(16)).Details!.Count);
        Refused(Many(17));

        string Long(int octets, string character) => $$"""[{"type":"x","a":"{{string.Concat(Enumerable.Repeat(character, (octets - 19) / Encoding.UTF8.GetByteCount(character)))}}"}]""";
        Assert.Equal(4096, Encoding.UTF8.GetByteCount(Read(Long(4096, "a")).Text));
        Refused(Long(4097, "a"));
        Refused(Long(4200, "é"));
        Refused(Long(20_000, " "));
    }
}
