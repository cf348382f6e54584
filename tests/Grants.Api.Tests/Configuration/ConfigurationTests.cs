using System.Text.Json.Nodes;
using Grants.Api.Configuration;
using Grants.Api.Http;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Protocol;
using Grants.Domain.Subjects;
using Grants.Testing;
using Microsoft.Extensions.DependencyInjection;

namespace Grants.Api.Tests.Configuration;

/// <summary>The declared configuration: only differences become events, mistakes are named, generated secrets survive.</summary>
public sealed class ConfigurationTests(AppFixture app) : IClassFixture<AppFixture>, IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("grants-test-config-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task Applying_the_same_again_appends_nothing()
    {
        await ApplyAsync(DeclaredConfiguration.Read(TestConfiguration.File)); // another test may have changed something
        var position = await app.PositionAsync();
        Assert.Empty(await ApplyAsync(DeclaredConfiguration.Read(TestConfiguration.File)));
        Assert.Equal(position, await app.PositionAsync());
    }

    [Fact, Trait("Law", "L11")]
    public async Task Each_difference_becomes_one_event_and_is_reported()
    {
        var changed = Read(
            """
            { "scopes": [ { "name": "balances", "label": "See what you have", "kind": "see", "risk": "Sees private data" }, { "name": "extra", "label": "Do something extra", "kind": "do" } ],
              "resources": [ { "resource": "https://extra.example/", "name": "Extra", "scopes": ["extra"] } ],
              "clients": [ { "client_id": "brand-new", "client_name": "Brand New", "redirect_uris": ["https://new.example/cb"], "token_endpoint_auth_method": "none", "scope": "openid extra" } ],
              "people": [ { "username": "lin@demo.example", "roles": ["auditor"], "claims": { "name": "Lin Tanaka-Field", "email": "lin@demo.example" } } ] }
            """);
        Witness.Saw("personal data", "Lin Tanaka-Field");
        var position = await app.PositionAsync();
        var reported = await ApplyAsync(changed);

        Assert.Equal(["scope balances", "scope extra", "resource https://extra.example/", "client brand-new"], reported.Take(4));
        Assert.Matches("^person sub_[0-9a-f]{32}$", Assert.Single(reported.Skip(4))); // names nobody
        var events = await app.EventsAfterAsync(position);
        Assert.Equal(
            [typeof(CatalogueEvent.ScopeDeclared), typeof(CatalogueEvent.ScopeDeclared), typeof(CatalogueEvent.ResourceDeclared), typeof(ClientEvent.Registered), typeof(SubjectEvent.ClaimsReplaced), typeof(SubjectEvent.RolesReplaced)],
            events.Select(e => e.Data.GetType()));
        Assert.All(events, e => Assert.Equal("operator:tests", e.UserName));
        Assert.All(events, e => Assert.False(string.IsNullOrEmpty(e.CausationId)));
        Assert.Single(events.Select(e => e.CorrelationId).Distinct());
        Assert.Empty(await ApplyAsync(changed));
    }

    [Fact, Trait("Attack", "K10")]
    public async Task A_new_secret_retires_the_old_one_in_the_same_commit()
    {
        var (one, two) = (Witness.Saw("client secret", Journey.Random()), Witness.Saw("client secret", Journey.Random()));
        DeclaredConfiguration With(string secret) => Read($$"""{ "clients": [ { "client_id": "changing", "client_secret": "{{secret}}", "client_name": "Changing", "grant_types": ["client_credentials"], "scope": "transactions" } ] }""");
        await ApplyAsync(With(one));
        Assert.True(await WorksAsync(one));
        var position = await app.PositionAsync();
        Assert.Equal(["client changing"], await ApplyAsync(With(two)));
        Assert.Equal([typeof(ClientEvent.SecretRetired), typeof(ClientEvent.SecretAdded)], (await app.EventsAfterAsync(position)).Select(e => e.Data.GetType()));
        Assert.False(await WorksAsync(one));
        Assert.True(await WorksAsync(two));

        async Task<bool> WorksAsync(string secret)
        {
            using var http = app.NewClient();
            return (await http.TokenAsync(new TestClient("changing", secret, "", "transactions"), ("grant_type", "client_credentials"))).Ok;
        }
    }

    [Theory]
    [InlineData("{\n  \"clients\": [\n    { \"client_id\": \"x\", \"client_name\": \"X\",\n      \"client_nane\": \"typo\" } ] }", 4, "unknown")]
    [InlineData("{\n  \"cleints\": [] }", 2, "unknown")]
    [InlineData("{ \"people\": [\n { \"username\": \"x\", \"passwort\": \"y\" } ] }", 2, "unknown")]
    [InlineData("{ \"scopes\": [ {\n \"name\": \"x\", \"label\": \"X\", \"kind\": \"see\",\n\n \"risky\": true } ] }", 4, "unknown")]
    [InlineData("{ \"clients\": [\n\n {{{ ] }", 3, "can't be read")]
    [InlineData("{ \"clients\": [\n { \"client_id\": 7, \"client_name\": \"X\" } ] }", 2, "can't be read")]
    public void A_member_that_is_unknown_or_unreadable_is_refused_with_its_line(string json, int line, string words)
    {
        var message = Assert.Throws<SettingsException>(() => Read(json)).Message;
        Assert.Contains($"line {line}:", message, StringComparison.Ordinal);
        Assert.Contains(words, message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{ "scopes": [ { "name": "two words", "label": "X", "kind": "see" } ] }""", "two words")]
    [InlineData("""{ "scopes": [ { "name": "x", "label": "X", "kind": "look" } ] }""", "Scope x")]
    [InlineData("""{ "scopes": [ { "name": "x", "label": "", "kind": "see" } ] }""", "Scope x")]
    [InlineData("""{ "resources": [ { "resource": "relative", "name": "X", "scopes": [] } ] }""", "relative")]
    [InlineData("""{ "resources": [ { "resource": "https://x.example/#f", "name": "X", "scopes": [] } ] }""", "fragment")]
    [InlineData("""{ "clients": [ { "client_id": "sub_1", "client_name": "X", "redirect_uris": ["https://x.example/"] } ] }""", "sub_")]
    [InlineData("""{ "clients": [ { "client_id": "x", "client_name": "X", "redirect_uris": ["http://x.example/"], "token_endpoint_auth_method": "none" } ] }""", "https")]
    [InlineData("""{ "clients": [ { "client_id": "x", "client_name": "X", "redirect_uris": ["https://x.example/*"], "token_endpoint_auth_method": "none" } ] }""", "*")]
    [InlineData("""{ "clients": [ { "client_id": "x", "client_name": "X", "grant_types": ["password"] } ] }""", "password")]
    [InlineData("""{ "clients": [ { "client_id": "x", "client_name": "X", "redirect_uris": ["https://x.example/"], "response_types": ["token"] } ] }""", "response_type")]
    [InlineData("""{ "clients": [ { "client_id": "x", "client_name": "X", "grant_types": ["client_credentials"], "token_endpoint_auth_method": "none" } ] }""", "secret")]
    [InlineData("""{ "clients": [ { "client_id": "x", "client_name": "X", "grant_types": [], "grants_resources": ["http://localhost:5300", "https://unheard.example"] } ] }""", "grants_resources names https://unheard.example, but no such resource is declared")]
    [InlineData("""{ "clients": [ { "client_id": "x", "client_name": "X", "grant_types": [], "token_endpoint_auth_method": "none", "grants_resources": ["http://localhost:5300"] } ] }""", "grants_resources needs a client that can keep a secret")]
    [InlineData("""{ "clients": [ { "client_id": "x", "client_name": "X", "grant_types": [], "grants_allowed_resources": ["https://unheard.example"] } ] }""", "grants_allowed_resources names https://unheard.example, but no such resource is declared")]
    [InlineData("""{ "resources": [ { "resource": "https://x.example", "name": "X", "scopes": [], "token_format": "saml" } ] }""", "token_format must be jwt or opaque")]
    [InlineData("""{ "resources": [ { "resource": "https://x.example", "name": "X", "scopes": [], "signing_alg": "none" } ] }""", "none is not supported")]
    [InlineData("""{ "resources": [ { "resource": "https://x.example", "name": "X", "scopes": [], "signing_alg": "RS256", "token_format": "opaque" } ] }""", "needs token_format jwt")]
    [InlineData("""{ "resources": [ { "resource": "https://x.example", "name": "X", "scopes": [] }, { "resource": "HTTPS://X.example", "name": "X", "scopes": [] } ] }""", "more than once")]
    public async Task An_entry_that_cannot_be_is_refused_by_name(string json, string words)
    {
        var position = await app.PositionAsync();
        var message = (await Assert.ThrowsAsync<SettingsException>(() => ApplyAsync(Read(json)))).Message;
        Assert.Contains(words, message, StringComparison.Ordinal);
        Assert.Equal(position, await app.PositionAsync());
    }

    [Fact]
    public async Task The_documented_example_applies()
    {
        // The example of the README and the design, with secrets of this run.
        var (secret, password) = (Witness.Saw("client secret", Journey.Random()), Witness.Saw("password", Journey.Random()));
        var example = Read($$"""
            { "scopes":    [ { "name": "balances", "label": "See your account balances", "kind": "see", "risk": "private data" } ],
              "resources": [ { "resource": "http://localhost:5300", "name": "Demo Bank", "scopes": ["balances", "payments"], "token_format": "jwt" } ],
              "clients":   [ { "client_id": "tally", "client_secret": "{{secret}}", "client_name": "Tally Budget", "redirect_uris": ["http://localhost:5200/callback"],
                               "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "client_secret_basic", "scope": "openid profile balances payments offline_access" } ],
              "people":    [ { "username": "sam@demo.example", "password": "{{password}}", "roles": [], "claims": { "name": "Sam Field", "email": "sam@demo.example" } } ] }
            """);
        var other = new GrantsApp();
        await other.StartAsync();
        await using var _ = other;
        await Applier(other, app.Clock).ApplyAsync(example, "tests", default);
        Assert.Empty(await Applier(other, app.Clock).ApplyAsync(example, "tests", default));

        var asked = Journey.Ask(TestClient.Tally with { Secret = secret, Scope = "openid profile balances payments offline_access" });
        var page = await other.NewVisitor().AllowAsync(asked, TestConfiguration.Sam, password);
        using var http = other.NewClient();
        var tokens = await http.RedeemAsync(asked, page.Answer["code"]);
        Assert.True(tokens.Ok, tokens.Json.ToJsonString());
        Assert.Equal(asked.Client.Scope, tokens.Scope);
        var told = JsonNode.Parse(await (await http.UserInfoAsync(tokens.AccessToken)).Content.ReadAsStringAsync())!;
        Assert.Equal("Sam Field", (string?)told["name"]);
    }

    [Fact, Trait("Attack", "K1"), Trait("Attack", "T13")]
    public async Task A_generated_secret_lies_in_a_private_file_and_survives_a_crash_before_it_is_registered()
    {
        var declared = Read("""{ "clients": [ { "client_id": "made/up", "client_name": "Made Up", "grant_types": ["client_credentials"], "scope": "transactions" } ] }""");
        var settings = TestSettings.In(_folder.FullName);

        // The crash: the file was written, the client was not.
        var first = FirstStartFile.MakeClientSecret(settings, new ClientId("made/up")).Expose();
        Witness.Saw("client secret", first);
        await Applier(app, app.Clock, settings).ApplyAsync(declared, "tests", default);

        var file = FirstStartFile.ClientSecret(settings, new ClientId("made/up"));
        Assert.Equal(Path.Combine(_folder.FullName, "clients"), Path.GetDirectoryName(file));
        Assert.Equal(first, File.ReadAllText(file));
        Assert.Equal(43, first.Length); // 256 bits
        AssertPrivate(file);
        using var http = app.NewClient();
        Assert.True((await http.TokenAsync(new TestClient("made/up", first, "", ""), ("grant_type", "client_credentials"))).Ok);
        Assert.Empty(await Applier(app, app.Clock, settings).ApplyAsync(declared, "tests", default));
    }

    [Fact, Trait("Attack", "P17")]
    public async Task A_generated_password_lies_in_a_private_file_and_survives_a_crash_before_it_is_set()
    {
        var declared = Read("""{ "people": [ { "username": "first@demo.example", "claims": {} }, { "username": "second@demo.example", "claims": {} } ] }""");
        foreach (var personal in (string[])["first@demo.example", "second@demo.example"]) Witness.Saw("personal data", personal);
        var settings = TestSettings.In(_folder.FullName);
        var first = Witness.Saw("password", FirstStartFile.MakePassword(settings, "first@demo.example"));
        await Applier(app, app.Clock, settings).ApplyAsync(declared, "tests", default);

        var lines = FirstStartFile.Read(settings);
        foreach (var (_, password) in lines) Witness.Saw("password", password);
        Assert.Equal(["first@demo.example", "second@demo.example"], lines.Select(line => line.Username));
        Assert.Equal(first, lines[0].Password);
        Assert.NotEqual(lines[0].Password, lines[1].Password);
        Assert.All(lines, line => Assert.Matches("^([a-z]+-){4}[0-9]{2}$", line.Password));
        AssertPrivate(Path.Combine(_folder.FullName, "first-start.txt"));

        foreach (var (username, password) in lines)
        {
            var visitor = app.NewVisitor();
            var page = await visitor.SignInAsync(await visitor.GetAsync("/signin"), username, password);
            Assert.Equal("/account/apps", page.Address.AbsolutePath);
        }

        Assert.Empty(await Applier(app, app.Clock, settings).ApplyAsync(declared, "tests", default));
        Assert.Equal(lines, FirstStartFile.Read(settings));
    }

    [Fact, Trait("Attack", "K2"), Trait("Attack", "P17")]
    public async Task Outside_development_a_weak_secret_is_refused_and_no_password_is_made_up()
    {
        var production = TestSettings.In(_folder.FullName, development: false);
        var weak = Read("""{ "clients": [ { "client_id": "weak", "client_secret": "too short", "client_name": "Weak", "grant_types": ["client_credentials"], "scope": "transactions" } ] }""");
        Assert.Contains("32", (await Assert.ThrowsAsync<SettingsException>(() => Applier(app, app.Clock, production).ApplyAsync(weak, "tests", default))).Message, StringComparison.Ordinal);
        Assert.Null(await app.Services.GetRequiredService<Lookups>().ClientAsync(new ClientId("weak"), default));

        await Applier(app, app.Clock, production).ApplyAsync(Read("""{ "people": [ { "username": "nopass@demo.example" } ] }"""), "tests", default);
        Witness.Saw("personal data", "nopass@demo.example");
        Assert.Empty(FirstStartFile.Read(production));
    }

    private Task<IReadOnlyList<string>> ApplyAsync(DeclaredConfiguration declared) => Applier(app, app.Clock).ApplyAsync(declared, "tests", default);

    private static ConfigurationApplier Applier(GrantsApp app, TimeProvider clock, Settings? settings = null) =>
        new(app.Services.GetRequiredService<EventLog>(), app.Services.GetRequiredService<PersonalData>(), app.Services.GetRequiredService<ClientSecrets>(), app.Services.GetRequiredService<SectorDocuments>(),
            app.Services.GetRequiredService<Lookups>(), settings ?? app.Services.GetRequiredService<Settings>(), clock);

    private DeclaredConfiguration Read(string json)
    {
        var file = Path.Combine(_folder.FullName, "declared.json");
        File.WriteAllText(file, json);
        return DeclaredConfiguration.Read(file);
    }

    private static void AssertPrivate(string file)
    {
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
    }
}
