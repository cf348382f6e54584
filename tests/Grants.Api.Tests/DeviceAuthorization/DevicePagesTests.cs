using System.Net;
using System.Text.RegularExpressions;
using Grants.Api.DeviceAuthorization;
using Grants.Api.Pages;
using Grants.Api.Tests.Http;
using Grants.Domain.Protocol;
using Grants.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;

namespace Grants.Api.Tests.DeviceAuthorization;

/// <summary>What a person sees of it: RFC 8628 §3.3 and §5.4, RFC 10027 §6.1. These tests move the clock.</summary>
public sealed class DevicePagesTests(AppFixture app) : IClassFixture<AppFixture>
{
    [Fact, Trait("Rule", "DV-3")]
    public async Task Who_is_not_signed_in_signs_in_first_and_comes_back()
    {
        var visitor = app.NewVisitor();
        var page = await visitor.GetAsync("/device");
        Assert.True(page.IsAt("/device/signin"));
        Assert.Equal("Sign in", page.Heading);
        await app.AppendsNothingAsync(async () => Assert.Equal(HttpStatusCode.BadRequest, (await visitor.SignInAsync(page, $"{Journey.Random(6)}@nobody.example", "wrong")).Status));
        page = await visitor.SignInAsync(page, TestConfiguration.Lin, TestConfiguration.LinPassword);
        Assert.True(page.IsAt("/device"));
        Assert.Equal("Connect a device", page.Heading);

        // No code is heard from somebody who isn't signed in, nor from one whose session has ended.
        using var http = app.NewClient();
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        await app.AppendsNothingAsync(async () => (await app.NewVisitor().PostAsync("/device", [new("user_code", device.UserCode)])).StaysHere());
        app.Clock.Advance(TimeSpan.FromHours(13));
        Assert.True((await visitor.GetAsync("/device")).IsAt("/device/signin"));
    }

    [Fact, Trait("Rule", "DV-3"), Trait("Attack", "C12"), Trait("Attack", "R15")]
    public async Task The_complete_address_fills_the_code_in_and_approves_nothing_however_often_it_is_loaded()
    {
        using var http = app.NewClient();
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        var complete = ((string)device.Json["verification_uri_complete"]!)[TestConfiguration.Issuer.Length..];
        var visitor = app.NewVisitor();
        var signIn = await visitor.GetAsync(complete);
        Assert.True(signIn.IsAt("/device/signin"));
        var page = await visitor.SignInAsync(signIn, TestConfiguration.Sam, TestConfiguration.SamPassword);
        Assert.True(page.IsAt("/device"));
        Assert.Equal(device.UserCode, Field(page));
        Assert.Contains("Is this the code on your device?", page.Body, StringComparison.Ordinal);
        await app.AppendsNothingAsync(async () =>
        {
            for (var i = 0; i < 3; i++) Assert.True((await visitor.GetAsync(complete + "&decision=allow")).IsAt("/device"));
            await app.NewVisitor().GetAsync(complete); // a link preview
            Assert.Equal("authorization_pending", (await http.PollAsync(TestClient.Tv, device.DeviceCode)).Error);
        });

        // To confirm the code is not to allow anything, either.
        page = await visitor.SubmitAsync(page, ("user_code", device.UserCode));
        Assert.True(page.IsAt("/consent/"));
        app.Clock.Advance(TimeSpan.FromSeconds(6));
        await app.AppendsNothingAsync(async () =>
        {
            await visitor.GetAsync(page.Address.AbsolutePath + "?decision=allow");
            await visitor.GetAsync(page.Address.AbsolutePath.Replace("consent", "device", StringComparison.Ordinal) + "/done");
            Assert.Equal("authorization_pending", (await http.PollAsync(TestClient.Tv, device.DeviceCode)).Error);
        });
    }

    [Theory, Trait("Attack", "P4")]
    [InlineData("%22%3E%3Cscript%3Ealert(1)%3C/script%3E")]
    [InlineData("WDJB-MJH")]
    [InlineData("WDJB-MJHT&user_code=BBBB-BBBC")]
    public async Task What_the_address_says_besides_a_code_is_not_repeated(string query)
    {
        var visitor = await app.SignedInAsync(TestConfiguration.Lin);
        var page = await visitor.GetAsync("/device?user_code=" + query);
        Assert.True(page.IsAt("/device"));
        Assert.DoesNotContain("<script", page.Body, StringComparison.Ordinal);
        Assert.Contains(Field(page), (string[])["", "WDJB-MJHT"]);
        var stranger = await app.NewVisitor().GetAsync("/device?user_code=" + query);
        Assert.DoesNotContain("script", stranger.Address.Query, StringComparison.Ordinal);
    }

    [Theory, Trait("Rule", "DV-2")]
    [InlineData(true, " ")]
    [InlineData(false, "")]
    [InlineData(false, ".a1.")]
    public async Task Case_and_what_stands_between_the_letters_make_no_difference(bool capitals, string between)
    {
        using var http = app.NewClient();
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        var typed = string.Join(between, device.UserCode.Replace("-", "", StringComparison.Ordinal).Select(c => capitals ? c : char.ToLowerInvariant(c)));
        Assert.True((await app.NewVisitor().ComeToDeviceAsync(typed, TestConfiguration.Lin)).IsAt("/consent/"));
    }

    [Fact, Trait("Rule", "DV-3"), Trait("Attack", "C12"), Trait("Attack", "R18"), Trait("Attack", "R9"), Trait("Attack", "R10")]
    public async Task The_page_says_which_device_asks_for_what_from_where_and_warns_of_codes_that_somebody_sent()
    {
        using var http = app.NewClient();
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        app.Clock.Advance(TimeSpan.FromSeconds(40));
        var page = await app.NewVisitor().ComeToDeviceAsync(device.UserCode, TestConfiguration.Lin);
        Assert.Equal("Allow Tally on TV to use your account?", page.Heading);
        var words = WebUtility.HtmlDecode(page.Body);
        foreach (var said in (string[])[device.UserCode, "seconds ago", GrantsApp.TestersAddress.ToString(), TestConfiguration.Lin, "See your account balances", "its name can't be proven",
            "Did you start this yourself, on a device in front of you?", "If someone sent you this code, choose “This wasn't me”.", "Example Bank will never send you a code.", ">This wasn't me</button>", ">Allow this device</button>"])
            Assert.Contains(said, words, StringComparison.Ordinal);
        Assert.DoesNotContain("not the network you are on", words, StringComparison.Ordinal);
        // Refusing comes first and looks the same.
        Assert.Matches("(?s)<button class=\"button equal\"[^>]*value=\"deny\".*<button class=\"button equal\"[^>]*value=\"allow\"", page.Body);
        // Nothing leaves for an app's address, and no other site can frame the page.
        var policy = page.Header("Content-Security-Policy");
        Assert.Contains("form-action 'self';", policy, StringComparison.Ordinal);
        Assert.Contains("frame-ancestors 'none'", policy, StringComparison.Ordinal);
        Assert.Equal("DENY", page.Header("X-Frame-Options"));
    }

    [Fact, Trait("Rule", "DV-2"), Trait("Attack", "C11"), Trait("Attack", "E11")]
    public async Task Wrong_unknown_used_and_expired_codes_get_the_same_answer_and_no_event()
    {
        using var http = app.NewClient();
        var answered = await http.AskForDeviceAsync(TestClient.Tv);
        var visitor = app.NewVisitor();
        await visitor.AnswerDeviceAsync(answered.UserCode);
        var expired = await http.AskForDeviceAsync(TestClient.Tv);
        app.Clock.Advance(TimeSpan.FromMinutes(11));
        var typedElsewhere = await http.AskForDeviceAsync(TestClient.Tv);
        await app.NewVisitor().ComeToDeviceAsync(typedElsewhere.UserCode, TestConfiguration.Maya);

        var bodies = new List<string>();
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var typed in (string[])[answered.UserCode, expired.UserCode, typedElsewhere.UserCode, "BBBB-BBBB", "BBBB", "", "'; drop table x; --", new string('B', 2000)])
            {
                var page = await visitor.SubmitAsync(await visitor.GetAsync("/device"), ("user_code", typed));
                page.StaysHere();
                bodies.Add(Regex.Replace(page.Body, "\\s*value=\"[^\"]*\"", ""));
            }
        });
        Assert.Contains("That code isn't active. Check it, or get a new one on your device.", WebUtility.HtmlDecode(Assert.Single(bodies.Distinct())), StringComparison.Ordinal);
    }

    [Fact, Trait("Attack", "C10"), Trait("Attack", "R15"), Trait("Attack", "R8")]
    public async Task Only_the_browser_that_typed_the_code_may_answer_and_only_by_its_own_forms()
    {
        using var http = app.NewClient();
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        var visitor = await app.SignedInAsync(TestConfiguration.Lin);
        var form = await visitor.GetAsync("/device");
        var maya = await app.SignedInAsync(TestConfiguration.Maya);
        var foreign = await maya.GetAsync("/device");
        await app.AppendsNothingAsync(async () =>
        {
            (await visitor.PostAsync("/device", [new("user_code", device.UserCode)])).StaysHere();
            (await visitor.PostAsync("/device", [Token(foreign), new("user_code", device.UserCode)])).StaysHere();
            (await app.NewVisitor().PostAsync("/device", [Token(form), new("user_code", device.UserCode)])).StaysHere();
            (await visitor.SendOnceAsync(new HttpRequestMessage(HttpMethod.Post, "/device"))).StaysHere();
        });

        var typed = await visitor.SendOnceAsync(new(HttpMethod.Post, "/device") { Content = new FormUrlEncodedContent([.. form.HiddenFields, new("user_code", device.UserCode)]) });
        Assert.Equal(HttpStatusCode.SeeOther, typed.Status);
        var page = await visitor.GetAsync(typed.Location!);
        Assert.True(page.IsAt("/consent/"));
        var id = page.Address.Segments[^1];
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var path in (string[])[$"/authorize/{id}", $"/consent/{id}", $"/signin/{id}", $"/device/{id}/done"]) (await maya.GetAsync(path)).StaysHere();
            (await maya.PostAsync($"/consent/{id}", [Token(page), new("decision", "allow")])).StaysHere();
            (await visitor.PostAsync($"/consent/{id}", [Token(form), new("decision", "allow")])).StaysHere(); // the other form's token
            var again = await maya.SubmitAsync(foreign, ("user_code", device.UserCode));
            Assert.Contains("isn't active", WebUtility.HtmlDecode(again.Body), StringComparison.Ordinal);
        });

        // The rightful one may type it again, and answers once.
        Assert.True((await visitor.SubmitAsync(await visitor.GetAsync("/device"), ("user_code", device.UserCode))).IsAt("/consent/"));
        var answer = await visitor.SendOnceAsync(new(HttpMethod.Post, page.FormAction) { Content = new FormUrlEncodedContent([.. page.HiddenFields, new("decision", "allow")]) });
        Assert.Equal((HttpStatusCode.SeeOther, $"/device/{id}/done"), (answer.Status, answer.Location));
        await app.AppendsNothingAsync(async () =>
        {
            foreach (var path in (string[])[$"/authorize/{id}", $"/consent/{id}", $"/signin/{id}"]) Assert.Equal("Done. You can go back to your device.", (await visitor.GetAsync(path)).Heading);
            Assert.Equal("Done. You can go back to your device.", (await visitor.SubmitAsync(page, ("decision", "deny"))).Heading);
        });
        Assert.True((await http.PollAsync(TestClient.Tv, device.DeviceCode)).Ok);
    }

    [Fact, Trait("Rule", "DV-3"), Trait("Attack", "C12")]
    public async Task A_session_that_lay_about_for_a_quarter_of_an_hour_has_to_be_confirmed()
    {
        using var http = app.NewClient();
        var visitor = await app.SignedInAsync(TestConfiguration.Lin);
        app.Clock.Advance(TimeSpan.FromMinutes(16));
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        var page = await visitor.ComeToDeviceAsync(device.UserCode, TestConfiguration.Lin);
        Assert.True(page.IsAt("/signin/"));
        Assert.Equal("Confirm it's you", page.Heading);
        Assert.Contains("Tally on TV", page.Body, StringComparison.Ordinal);
        page = await visitor.SignInAsync(page, TestConfiguration.Lin, TestConfiguration.LinPassword);
        Assert.True(page.IsAt("/consent/"));
        page = await visitor.SubmitAsync(page, ("decision", "allow"));
        Assert.True((await http.PollAsync(TestClient.Tv, device.DeviceCode)).Ok);
    }

    [Fact, Trait("Rule", "DV-3"), Trait("Attack", "C12"), Trait("Attack", "R17")]
    public async Task A_second_device_of_the_same_app_is_asked_about_as_the_first_was()
    {
        using var http = app.NewClient();
        for (var i = 0; i < 2; i++)
        {
            var device = await http.AskForDeviceAsync(TestClient.Kiosk); // which can keep a secret, and yet
            var visitor = app.NewVisitor();
            var page = await visitor.ComeToDeviceAsync(device.UserCode, TestConfiguration.Sam);
            Assert.True(page.IsAt("/consent/"), page.Heading);
            await visitor.SubmitAsync(page, ("decision", "allow"));
            Assert.True((await http.PollAsync(TestClient.Kiosk, device.DeviceCode)).Ok);
        }
    }

    [Theory]
    [InlineData(-3, "just now")] // by another node's clock
    [InlineData(1, "just now")]
    [InlineData(40, "40 seconds ago")]
    [InlineData(59.9, "59 seconds ago")]
    [InlineData(60, "1 minute ago")]
    [InlineData(119, "1 minute ago")]
    [InlineData(599, "9 minutes ago")]
    public void How_long_ago_it_began_is_said_in_words(double seconds, string words) =>
        Assert.Equal(words, DisplayTime.Ago(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddSeconds(seconds)));

    private static string Field(Page page) => WebUtility.HtmlDecode(Regex.Match(page.Body, "<input id=\"user_code\"[^>]*?(?:\\bvalue=\"([^\"]*)\"[^>]*)?>").Groups[1].Value);

    private static KeyValuePair<string, string> Token(Page page) => page.HiddenFields.Single(field => field.Key == "__RequestVerificationToken");
}

/// <summary>A server on which few codes may be typed.</summary>
public sealed class FewCodesApp : GrantsApp, IAsyncLifetime
{
    public async ValueTask InitializeAsync() => await StartAsync(await NewDatabaseAsync(), configure: builder => builder
        .UseSetting("Grants:Limits:UserCodesPerQuarterHour", "5") // the default
        .UseSetting("Grants:Limits:AuthorizationsPerMinutePerNetwork", "8")
        .ConfigureTestServices(services => services.AddSingleton<IStartupFilter>(new FromWherever())));

    private sealed class FromWherever : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use((http, following) =>
            {
                if (http.Request.Headers[LimitedApp.From].ToString() is { Length: > 0 } address) http.Connection.RemoteIpAddress = IPAddress.Parse(address);
                return following(http);
            });
            next(app);
        };
    }
}

public sealed class DeviceLimitTests(FewCodesApp app) : IClassFixture<FewCodesApp>
{
    [Fact, Trait("Rule", "DV-2"), Trait("Rule", "G-10"), Trait("Attack", "C11"), Trait("Attack", "E11"), Trait("Law", "L12")]
    public async Task After_five_codes_in_a_quarter_of_an_hour_even_the_right_one_is_not_heard()
    {
        using var http = app.NewClient();
        var device = await http.AskForDeviceAsync(TestClient.Tv);
        var guesser = await app.SignedInAsync(TestConfiguration.Lin);
        await app.AppendsNothingAsync(async () =>
        {
            var page = await guesser.GetAsync("/device");
            for (var i = 0; i < 5; i++) (await guesser.SubmitAsync(page, ("user_code", "BBBB-BBBB"))).StaysHere();
            foreach (var typed in (string[])["BBBB-BBBB", device.UserCode])
            {
                var limited = await guesser.SubmitAsync(page, ("user_code", typed));
                limited.StaysHere(HttpStatusCode.TooManyRequests);
                Assert.InRange(int.Parse(limited.Header("Retry-After"), System.Globalization.CultureInfo.InvariantCulture), 1, 900);
                Assert.Contains("Too many codes. Wait 15 minutes", limited.Body, StringComparison.Ordinal);
            }
        });

        // A new session of the same person is no way around it; another person is heard.
        var again = await app.SignedInAsync(TestConfiguration.Lin);
        (await again.SubmitAsync(await again.GetAsync("/device"), ("user_code", device.UserCode))).StaysHere(HttpStatusCode.TooManyRequests);
        Assert.True((await app.NewVisitor().ComeToDeviceAsync(device.UserCode)).IsAt("/consent/"));

        // Many at once are no way around it, either.
        var maya = await app.SignedInAsync(TestConfiguration.Maya);
        var form = await maya.GetAsync("/device");
        var answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(_ => Task.Run(() => maya.SendOnceAsync(
            new(HttpMethod.Post, "/device") { Content = new FormUrlEncodedContent([.. form.HiddenFields, new("user_code", "CCCC-CCCC")]) }))));
        Assert.Equal(5, answers.Count(answer => answer.Status == HttpStatusCode.BadRequest));
        Assert.Equal(7, answers.Count(answer => answer.Status == HttpStatusCode.TooManyRequests));
    }

    [Fact, Trait("Rule", "DV-2"), Trait("Attack", "C11")]
    public void There_is_a_limit_for_each_network_and_one_for_all_people_together()
    {
        SubjectId Somebody() => new(Guid.CreateVersion7(app.Clock.GetUtcNow()));
        var here = IPAddress.Parse("198.51.100.1");
        using (var limits = new UserCodeLimits(TestSettings.In("", userCodes: 2)))
        {
            // Of one network ten people may come, and then whoever comes waits; elsewhere nobody does.
            for (var i = 0; i < 20; i++) Assert.Null(limits.Wait(Somebody(), IPAddress.Parse($"198.51.100.{i + 1}")));
            Assert.InRange(limits.Wait(Somebody(), here)!.Value, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(15));
            Assert.Null(limits.Wait(Somebody(), IPAddress.Parse("203.0.113.1")));
        }

        using (var limits = new UserCodeLimits(TestSettings.In("", userCodesPerMinute: 30)))
        {
            for (var i = 0; i < 30; i++) Assert.Null(limits.Wait(Somebody(), IPAddress.Parse($"10.0.{i}.1")));
            Assert.InRange(limits.Wait(Somebody(), IPAddress.Parse("10.1.1.1"))!.Value, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1));
        }
    }

    [Fact, Trait("Rule", "G-10"), Trait("Attack", "E11"), Trait("Law", "L12")]
    public async Task Nobody_can_fill_the_log_with_devices_requests()
    {
        using var flooder = app.NewClient();
        flooder.DefaultRequestHeaders.Add(LimitedApp.From, "198.51.100.7");
        var answers = new List<TokenAnswer>();
        for (var i = 0; i < 12; i++) answers.Add(await flooder.AskForDeviceAsync(TestClient.Tv));
        Assert.Equal(8, answers.Count(answer => answer.Ok));
        Assert.All(answers.Skip(8), answer => Assert.Equal((HttpStatusCode.TooManyRequests, "temporarily_unavailable"), (answer.Response.StatusCode, answer.Error)));
        Assert.All(answers.Skip(8), answer => Assert.Equal(TimeSpan.FromMinutes(1), answer.Response.Headers.RetryAfter!.Delta));
        using var elsewhere = app.NewClient();
        elsewhere.DefaultRequestHeaders.Add(LimitedApp.From, "192.0.2.9");
        Assert.True((await elsewhere.AskForDeviceAsync(TestClient.Tv)).Ok);
    }

    [Fact, Trait("Rule", "DV-3"), Trait("Attack", "C12")]
    public async Task A_device_on_another_network_than_the_browser_is_pointed_out()
    {
        using var remote = app.NewClient();
        remote.DefaultRequestHeaders.Add(LimitedApp.From, "192.0.2.44");
        var device = await remote.AskForDeviceAsync(TestClient.Kiosk);
        var visitor = app.NewVisitor();
        var page = await visitor.SignInAsync(await visitor.GetAsync("/device"), TestConfiguration.Sam, TestConfiguration.SamPassword);
        page = await visitor.SubmitAsync(page, ("user_code", device.UserCode));
        var words = WebUtility.HtmlDecode(page.Body);
        Assert.Contains("192.0.2.44", words, StringComparison.Ordinal);
        Assert.Contains("That's not the network you are on now.", words, StringComparison.Ordinal);
    }
}
