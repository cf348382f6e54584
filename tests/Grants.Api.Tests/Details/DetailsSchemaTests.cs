using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grants.Api.Details;
using Grants.Domain.Catalogues;

namespace Grants.Api.Tests.Details;

/// <summary>Which schemas and words can be declared, and what they let through.</summary>
public sealed class DetailsSchemaTests
{
    private const string Payment = """
        { "type": "object", "required": ["amount", "payee"], "properties": {
            "amount": { "type": "string", "pattern": "^[0-9]{1,6}[.][0-9]{2}$" },
            "payee": { "type": "object", "required": ["name"], "properties": { "name": { "type": "string", "maxLength": 10 }, "iban": { "type": "string" } } },
            "currency": { "type": "string", "enum": ["GBP", "EUR"] },
            "times": { "type": "integer", "minimum": 1, "maximum": 12 },
            "rate": { "type": "number", "exclusiveMinimum": 0 },
            "urgent": { "type": "boolean" },
            "day": { "type": "string", "format": "date" },
            "tags": { "type": "array", "items": { "type": "string" }, "maxItems": 2, "uniqueItems": true },
            "lines": { "type": "array", "items": { "type": "object", "properties": { "n": { "type": "integer" } } } } } }
        """;

    private static async Task<bool> AcceptsAsync(string members) => (await DetailsSchema.CompileAsync(Payment)).Accepts($$"""{"type":"payment",{{members}}}""");

    [Theory, Trait("Rule", "RR-1")]
    [InlineData("")]
    [InlineData(""","currency":"GBP","times":12,"rate":0.5,"urgent":true,"day":"2026-11-24","tags":["a","b"],"lines":[{"n":1},{}]""")]
    [InlineData(""","times":1,"rate":3,"urgent":false,"tags":[],"lines":[]""")]
    public async Task What_has_the_form_of_its_type_is_accepted(string more) => Assert.True(await AcceptsAsync($$""" "amount":"45.00","payee":{"name":"Shop"}{{more}}"""));

    [Theory, Trait("Rule", "RR-1")]
    [InlineData("""  "payee":{"name":"Shop"} """)] // missing
    [InlineData("""  "amount":"45.00","payee":{} """)]
    [InlineData("""  "amount":45.00,"payee":{"name":"Shop"} """)] // another kind
    [InlineData("""  "amount":null,"payee":{"name":"Shop"} """)]
    [InlineData("""  "amount":"45.00","payee":"Shop" """)]
    [InlineData("""  "amount":"45.00","payee":["Shop"] """)]
    [InlineData("""  "amount":"45.0","payee":{"name":"Shop"} """)] // another value
    [InlineData("""  "amount":"1234567.00","payee":{"name":"Shop"} """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"extra":1 """)] // unknown
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop","extra":1} """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"lines":[{"n":1,"extra":1}] """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"Currency":"GBP" """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Eleven long"} """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"currency":"USD" """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"currency":["GBP"] """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"times":0 """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"times":13 """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"times":1.5 """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"times":"1" """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"times":1E400 """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"times":123456789012345678901234567890 """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"rate":0 """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"urgent":"yes" """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"urgent":1 """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"day":"tomorrow" """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"tags":["a","a"] """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"tags":["a","b","c"] """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"tags":[1] """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"tags":"a" """)]
    [InlineData("""  "amount":"45.00","payee":{"name":"Shop"},"locations":["https://a.example"] """)] // a common member that this type doesn't have
    public async Task A_missing_or_unknown_member_and_a_wrong_kind_or_value_are_refused_at_any_depth(string members) => Assert.False(await AcceptsAsync(members));

    [Theory, Trait("Rule", "RR-1")]
    [InlineData("""[]""")]
    [InlineData("""{}""")]
    [InlineData("""{ "type": "string" }""")]
    [InlineData("""{ "type": ["object", "null"] }""")]
    [InlineData("""{ "type": "object", "properties": { "a": {} } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": { "type": ["string", "null"] } } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": true } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": { "$ref": "https://evil.example/schema.json" } } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": { "type": "string", "$ref": "file:///etc/hostname" } } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": { "type": "string", "const": "x" } } }""")]
    [InlineData("""{ "type": "object", "anyOf": [] }""")]
    [InlineData("""{ "type": "object", "additionalProperties": true }""")]
    [InlineData("""{ "type": "object", "additionalProperties": { "type": "string" } }""")]
    [InlineData("""{ "type": "object", "patternProperties": {} }""")]
    [InlineData("""{ "type": "object", "required": ["a"] }""")]
    [InlineData("""{ "type": "object", "required": "a", "properties": { "a": { "type": "string" } } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": { "type": "array" } } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": { "type": "array", "items": [] } } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": { "type": "array", "items": { "type": "string" }, "maxItems": 0 } } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": { "type": "string", "format": "email" } } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": { "type": "string", "format": "pattern 13" } } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": { "type": "string", "format": "date", "pattern": "a" } } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": { "type": "string", "pattern": "(" } } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": { "type": "string", "pattern": "(a)\\1" } } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": { "type": "string", "pattern": 7 } } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": { "type": "string", "enum": [1] } } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": { "type": "string", "minLength": "x" } } }""")]
    [InlineData("""{ "type": "object", "properties": { "a": { "type": "integer", "maxLength": 1 } } }""")]
    public async Task A_schema_that_would_leave_something_open_cannot_be_declared(string schema) =>
        Assert.Contains("schema", (await Assert.ThrowsAsync<SettingsException>(() => DetailsSchema.CompileAsync(schema))).Message, StringComparison.Ordinal);

    [Fact, Trait("Attack", "E12")]
    public async Task A_pattern_takes_no_longer_for_a_hostile_text()
    {
        var schema = await DetailsSchema.CompileAsync("""{ "type": "object", "properties": { "a": { "type": "string", "pattern": "^(a+)+$" } } }""");
        var watch = Stopwatch.StartNew();
        Assert.False(schema.Accepts($$"""{"type":"x","a":"{{new string('a', 4000)}}!"}"""));
        Assert.True(schema.Accepts($$"""{"type":"x","a":"{{new string('a', 4000)}}"}"""));
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(5), watch.Elapsed.ToString());
    }

    [Fact, Trait("Rule", "RR-1")]
    public async Task Each_member_keeps_its_own_pattern()
    {
        var schema = await DetailsSchema.CompileAsync("""{ "type": "object", "properties": { "a": { "type": "string", "pattern": "^a$" }, "b": { "type": "string", "pattern": "^b$" } } }""");
        Assert.True(schema.Accepts("""{"type":"x","a":"a","b":"b"}"""));
        Assert.False(schema.Accepts("""{"type":"x","a":"b"}"""));
        Assert.False(schema.Accepts("""{"type":"x","b":"a"}"""));
    }

    // Words

    private static string Say(string words, string json)
    {
        var model = DetailsWords.Model(new DetailsTypeDefinition("payment", Payment, words, "Moves money", false), "payment", JsonElement.Parse(json));
        return string.Concat(model.Words.Select(part => part.Said ? $"[{part.Text}]" : part.Text));
    }

    [Theory, Trait("Rule", "RR-1"), Trait("Attack", "R18")]
    [InlineData("Pay {amount} to {payee.name}", """{"amount":"45.00","payee":{"name":"Merchant A"}}""", "Pay [45.00] to [Merchant A]")]
    [InlineData("{amount}{times}", """{"amount":"1","times":3}""", "[1][3]")]
    [InlineData("Pay {amount}", """{"payee":{}}""", "Pay [(not said)]")]
    [InlineData("Pay {payee.name} {urgent} {tags}.", """{"payee":{"name":"a\u202Eb\n\n c"},"urgent":true,"tags":["x","y"]}""", "Pay [ab c] [yes] [x, y].")]
    [InlineData("No values", "{}", "No values")]
    public void The_template_is_filled_with_cleaned_values(string words, string json, string said) => Assert.Equal(said, Say(words, json));

    [Fact, Trait("Attack", "R18")]
    public void A_long_value_is_cut_in_the_sentence_and_every_value_is_listed()
    {
        var json = $$"""{"type":"payment","amount":"{{new string('9', 200)}}","payee":{"name":"A","iban":"GB1"},"tags":["x","y"],"lines":[{"n":1},{"n":2}]}""";
        Assert.EndsWith("…]", Say("Pay {amount}", json), StringComparison.Ordinal);
        var fields = DetailsWords.Model(null, "payment", JsonElement.Parse(json)).Fields;
        Assert.Equal([new("amount", new string('9', 200)), new("payee.name", "A"), new("payee.iban", "GB1"), new("tags", "x, y"), new("lines 1.n", "1"), new("lines 2.n", "2")], fields);
    }

    [Theory, Trait("Rule", "RR-1")]
    [InlineData("Pay {amount} to {payee.name}", true)]
    [InlineData("Pay {tags}", true)]
    [InlineData("", false)]
    [InlineData("Pay {sum}", false)]
    [InlineData("Pay {payee}", false)] // an object has no one value
    [InlineData("Pay {payee.bic}", false)]
    [InlineData("Pay {amount", false)]
    [InlineData("Pay amount}", false)]
    [InlineData("Pay {}", false)]
    [InlineData("Pay\n{amount}", false)]
    [InlineData("Pay \u202E{amount}", false)]
    public void Words_name_members_that_the_schema_has(string words, bool good) => Assert.Equal(good, DetailsWords.WhyNot(words, JsonNode.Parse(Payment)!.AsObject()) is null);
}
