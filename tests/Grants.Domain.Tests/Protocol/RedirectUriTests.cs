using CsCheck;
using Grants.Domain.Protocol;

namespace Grants.Domain.Tests.Protocol;

public sealed class RedirectUriTests
{
    private const string Registered = "https://c.example/cb";

    [Theory, Trait("Rule", "AZ-2")]
    [InlineData("https://c.example/cb")]
    [InlineData("https://c.example/cb?tenant=1")]
    [InlineData("https://c.example:8443/cb")]
    [InlineData("com.example.app:/cb")]
    public void A_redirect_uri_admits_itself(string uri)
    {
        Assert.True(new RedirectUri(uri).Admits(new(uri), native: false));
        Assert.True(new RedirectUri(uri).Admits(new(uri), native: true));
    }

    [Theory, Trait("Rule", "AZ-2"), Trait("Attack", "R1")]
    [InlineData("")]
    [InlineData("https://c.example")]
    [InlineData("https://c.example/")]
    [InlineData("https://c.example/c")]
    [InlineData("https://c.example/cb/")]
    [InlineData("https://c.example/cbx")]
    [InlineData("https://c.example/CB")]
    [InlineData("https://C.EXAMPLE/cb")]
    [InlineData("HTTPS://c.example/cb")]
    [InlineData("https://c.example/cb?")]
    [InlineData("https://c.example/cb?x=1")]
    [InlineData("https://c.example/cb;x=1")]
    [InlineData("https://c.example/cb#")]
    [InlineData("https://c.example/cb#x")]
    [InlineData("https://c.example/cb/.")]
    [InlineData("https://c.example/cb/..")]
    [InlineData("https://c.example/cb/../cb")]
    [InlineData("https://c.example/x/../cb")]
    [InlineData("https://c.example/./cb")]
    [InlineData("https://c.example/%2e/cb")]
    [InlineData("https://c.example/cb/%2e%2e/cb")]
    [InlineData("https://c.example/cb%2F..")]
    [InlineData("https://c.example/cb%2f..%2fcb")]
    [InlineData("https://c.example//cb")]
    [InlineData("https://c.example/cb//")]
    [InlineData("//c.example/cb")]
    [InlineData("https:/c.example/cb")]
    [InlineData("https:c.example/cb")]
    [InlineData("https:///c.example/cb")]
    [InlineData(@"https://c.example\cb")]
    [InlineData(@"https:\\c.example\cb")]
    [InlineData(@"https://c.example/cb\..\x")]
    [InlineData(@"https://e.example\@c.example/cb")]
    [InlineData("https://c.example@e.example/cb")]
    [InlineData("https://user@c.example/cb")]
    [InlineData("https://@c.example/cb")]
    [InlineData("https://c.example:443/cb")]
    [InlineData("https://c.example:8443/cb")]
    [InlineData("https://c.example:/cb")]
    [InlineData("https://www.c.example/cb")]
    [InlineData("https://e.example/c.example/cb")]
    [InlineData("https://c.example.e.example/cb")]
    [InlineData("https://xc.example/cb")]
    [InlineData("http://c.example/cb")]
    [InlineData("https://c.example./cb")]
    [InlineData("https://с.example/cb")] // a Cyrillic letter
    [InlineData("https://xn--q1a.example/cb")]
    [InlineData("https://c。example/cb")] // an ideographic full stop, which IDNA maps to a dot
    [InlineData("https://c.example/%63b")]
    [InlineData("https://c.example/c%62")]
    [InlineData("https://%63.example/cb")]
    [InlineData("https://c.example/cb%00")]
    [InlineData("https://c.example/cb%0a")]
    [InlineData("https://c.example/cb ")]
    [InlineData(" https://c.example/cb")]
    [InlineData("https://c.example/cb\n")]
    [InlineData("https://c.example/cb\0")]
    [InlineData("https://c.example/cb,https://e.example/cb")]
    [InlineData("https://c.example/cb https://e.example/cb")]
    public void A_look_alike_is_not_admitted(string presented)
    {
        Assert.False(new RedirectUri(Registered).Admits(new(presented), native: false));
        Assert.False(new RedirectUri(Registered).Admits(new(presented), native: true));
    }

    [Theory, Trait("Rule", "AZ-2"), Trait("Attack", "R2")]
    [InlineData("https://c.example/cb?code=stolen")]
    [InlineData("https://c.example/cb?a=1&code=stolen")]
    [InlineData("https://c.example/cb?a=1%26code=stolen")]
    [InlineData("https://c.example/cb?a=1;code=stolen")]
    [InlineData("https://c.example/cb?a=1&a=1")]
    [InlineData("https://c.example/cb?b=2&a=1")]
    [InlineData("https://c.example/cb?a=%31")]
    [InlineData("https://c.example/cb%3Fa=1")]
    [InlineData("https://c.example/cb;code=stolen?a=1")]
    [InlineData("https://c.example/cb&code=stolen?a=1")]
    [InlineData("https://c.example/cb%26code=stolen?a=1")]
    [InlineData("https://c.example/cb?a=1&")]
    [InlineData("https://c.example/cb")]
    public void A_crafted_query_is_not_admitted(string presented) =>
        Assert.False(new RedirectUri("https://c.example/cb?a=1").Admits(new(presented), native: false));

    [Theory, Trait("Rule", "AZ-2")]
    [InlineData("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb")]
    [InlineData("http://127.0.0.1:3000/cb", "http://127.0.0.1:51004/cb")]
    [InlineData("http://127.0.0.1:3000/cb", "http://127.0.0.1/cb")]
    [InlineData("http://[::1]/cb", "http://[::1]:51004/cb")]
    [InlineData("http://localhost/cb", "http://localhost:51004/cb")]
    [InlineData("http://127.0.0.1", "http://127.0.0.1:51004")]
    [InlineData("http://127.0.0.1/cb?a=1", "http://127.0.0.1:51004/cb?a=1")]
    public void A_native_app_chooses_the_port_of_its_loopback_redirect_and_no_other_may(string registered, string presented)
    {
        Assert.True(new RedirectUri(registered).Admits(new(presented), native: true));
        Assert.False(new RedirectUri(registered).Admits(new(presented), native: false));
    }

    [Theory, Trait("Rule", "AZ-2"), Trait("Attack", "R1")]
    [InlineData("http://127.0.0.1:51004/cb/")]
    [InlineData("http://127.0.0.1:51004/CB")]
    [InlineData("http://127.0.0.1:51004/cb?x")]
    [InlineData("http://127.0.0.1:51004/cb#x")]
    [InlineData("http://127.0.0.1:51004/x/../cb")]
    [InlineData("http://127.0.0.1:51004")]
    [InlineData("http://127.0.0.1:/cb")]
    [InlineData("http://127.0.0.1:99999/cb")]
    [InlineData("http://127.0.0.1:123456/cb")]
    [InlineData("http://127.0.0.1:-1/cb")]
    [InlineData("http://127.0.0.1:5x/cb")]
    [InlineData("http://127.0.0.1:51004@e.example/cb")]
    [InlineData("http://user@127.0.0.1:51004/cb")]
    [InlineData("http://127.0.0.1:51004.e.example/cb")]
    [InlineData("http://127.0.0.1.e.example:51004/cb")]
    [InlineData("http://127.0.0.1.:51004/cb")]
    [InlineData("http://127.0.0.2:51004/cb")]
    [InlineData("http://127.1:51004/cb")]
    [InlineData("http://2130706433:51004/cb")]
    [InlineData("http://0x7f.0.0.1:51004/cb")]
    [InlineData("http://[::1]:51004/cb")]
    [InlineData("http://[::ffff:127.0.0.1]:51004/cb")]
    [InlineData("http://localhost:51004/cb")]
    [InlineData("http://0.0.0.0:51004/cb")]
    [InlineData("https://127.0.0.1:51004/cb")]
    [InlineData("HTTP://127.0.0.1:51004/cb")]
    [InlineData("http://127.0.0.1:51004/cb\n")]
    [InlineData(@"http://127.0.0.1:51004\cb")]
    public void Only_the_port_of_a_loopback_redirect_is_free(string presented) =>
        Assert.False(new RedirectUri("http://127.0.0.1:3000/cb").Admits(new(presented), native: true));

    [Theory, Trait("Attack", "R1")]
    [InlineData("https://127.0.0.1/cb", "https://127.0.0.1:51004/cb")]
    [InlineData("http://c.example/cb", "http://c.example:51004/cb")]
    [InlineData("com.example.app://127.0.0.1/cb", "com.example.app://127.0.0.1:51004/cb")]
    public void No_other_redirect_has_a_free_port(string registered, string presented) =>
        Assert.False(new RedirectUri(registered).Admits(new(presented), native: true));

    [Theory, Trait("Rule", "AZ-2")]
    [InlineData("https://c.example/cb", false)]
    [InlineData("https://c.example/cb?tenant=1&x=%2F..%2F", false)]
    [InlineData("https://c.example", false)]
    [InlineData("https://c.example:8443/a.b/..c/cb", false)]
    [InlineData("https://c.example/@me", false)]
    [InlineData("https://c.example/?next=//user@x", false)]
    [InlineData("http://127.0.0.1:3000/cb", false)]
    [InlineData("http://[::1]/cb", false)]
    [InlineData("http://localhost:3000/cb", false)]
    [InlineData("https://c.example/cb", true)]
    [InlineData("http://127.0.0.1/cb", true)]
    [InlineData("com.example.app:/cb", true)]
    [InlineData("com.example.app://cb", true)]
    public void A_sound_redirect_uri_may_be_registered(string uri, bool native) =>
        Assert.Null(new RedirectUri(uri).WhyNotRegistrable(native));

    [Theory, Trait("Attack", "R3")]
    [InlineData("")]
    [InlineData("/cb")]
    [InlineData("cb")]
    [InlineData("//c.example/cb")]
    [InlineData("c.example/cb")]
    [InlineData("https:")]
    [InlineData("https://")]
    [InlineData("https:///cb")]
    [InlineData("https://c.example:99999/cb")]
    [InlineData("https://[::1/cb")]
    [InlineData("javascript:alert(1)")]
    [InlineData("JavaScript:alert(1)")]
    [InlineData("data:text/html,x")]
    [InlineData("file:///etc/passwd")]
    [InlineData("vbscript:x")]
    [InlineData("blob:https://c.example/1")]
    [InlineData("about:blank")]
    [InlineData("ftp://c.example/cb")]
    [InlineData("ws://c.example/cb")]
    [InlineData("wss://c.example/cb")]
    [InlineData("myapp:/cb")]
    [InlineData("myapp://cb")]
    [InlineData("urn:ietf:wg:oauth:2.0:oob")]
    [InlineData("https://c.example/cb#")]
    [InlineData("https://c.example/cb#x")]
    [InlineData("com.example.app:/cb#x")]
    [InlineData("https://*.c.example/cb")]
    [InlineData("https://c.example/*")]
    [InlineData("*")]
    [InlineData("https://user@c.example/cb")]
    [InlineData("https://user:word@c.example/cb")]
    [InlineData("https://@c.example/cb")]
    [InlineData(@"https://c.example\cb")]
    [InlineData(@"https:\\c.example\cb")]
    [InlineData("https://c.example/a/../cb")]
    [InlineData("https://c.example/./cb")]
    [InlineData("https://c.example/cb/..")]
    [InlineData("https://c.example/a/%2e%2E/cb")]
    [InlineData("https://c.example/.%2e/cb")]
    [InlineData("https://c.example/cb ")]
    [InlineData(" https://c.example/cb")]
    [InlineData("https://c.example/\tcb")]
    [InlineData("https://c.example/cb\n")]
    [InlineData("https://c.example/cb\0")]
    [InlineData("https://bücher.example/cb")]
    [InlineData("https://с.example/cb")]
    [InlineData("http://c.example/cb")]
    [InlineData("http://localhost.e.example/cb")]
    [InlineData("http://127.0.0.1.e.example/cb")]
    [InlineData("http://10.0.0.1/cb")]
    [InlineData("http://0.0.0.0/cb")]
    public void A_dangerous_redirect_uri_may_not_be_registered(string uri)
    {
        Assert.NotNull(new RedirectUri(uri).WhyNotRegistrable(native: false));
        Assert.NotNull(new RedirectUri(uri).WhyNotRegistrable(native: true));
    }

    [Theory, Trait("Attack", "R3")]
    [InlineData("com.example.app:/cb")]
    [InlineData("com.example.app://c.example/cb")]
    public void Only_a_native_app_may_register_a_private_scheme(string uri) =>
        Assert.NotNull(new RedirectUri(uri).WhyNotRegistrable(native: false));

    [Fact, Trait("Attack", "R1")]
    public void Any_change_to_any_character_ends_the_match() =>
        Gen.Select(Gen.Int[0, Registered.Length - 1], Gen.Char).Always((at, c) =>
        {
            var presented = Registered.Remove(at, 1).Insert(at, c.ToString());
            Assert.Equal(presented == Registered, new RedirectUri(Registered).Admits(new(presented), native: true));
        }, times: 2_000);

    [Fact]
    public void No_text_makes_it_throw() =>
        Gen.Select(Texts.Any, Texts.Any, Gen.Bool).Always((one, other, native) =>
        {
            new RedirectUri(one).WhyNotRegistrable(native);
            new RedirectUri(one).Admits(new(other), native);
            new RedirectUri("http://127.0.0.1" + one).Admits(new("http://127.0.0.1" + other), native);
            new RedirectUri("https://" + one).WhyNotRegistrable(native);
        }, times: FixedSeed.Many);
}
