using System.Net;
using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using Microsoft.IdentityModel.Tokens;
using OpenIddict.Abstractions;
using OpenIddict.Core;
using OpenIddict.EntityFrameworkCore.Models;
using OpenIddict.Server.AspNetCore;
using static OpenIddict.Abstractions.OpenIddictConstants;

// OpenIddict on EF Core and PostgreSQL, put together as its documentation does. bench/README.md lists what is set and why.
var builder = WebApplication.CreateBuilder(args);
var settings = builder.Configuration;
string Setting(string name) => settings[name] ?? throw new InvalidOperationException($"{name} is not set.");

builder.Logging.SetMinimumLevel(LogLevel.Warning);
builder.Services.AddDbContextPool<BaselineDb>(options => options.UseNpgsql(Setting("DATABASE")).UseOpenIddict());
builder.Services.AddAuthentication(CookieAuthenticationDefaults.AuthenticationScheme).AddCookie(options => options.LoginPath = "/signin");
builder.Services.AddOpenIddict()
    .AddCore(options =>
    {
        options.UseEntityFrameworkCore().UseDbContext<BaselineDb>();
        if (settings["SECRETS"] == "sha256") options.ReplaceApplicationManager<OpenIddictEntityFrameworkCoreApplication, QuickSecrets>();
    })
    .AddServer(options =>
    {
        options.SetAuthorizationEndpointUris("connect/authorize").SetTokenEndpointUris("connect/token")
            .SetUserInfoEndpointUris("connect/userinfo").SetIntrospectionEndpointUris("connect/introspect");
        options.AllowAuthorizationCodeFlow().RequireProofKeyForCodeExchange().AllowRefreshTokenFlow().AllowClientCredentialsFlow();
        options.RegisterScopes(Scopes.Profile, Scopes.OfflineAccess, "balances");
        options.SetIssuer(Setting("ISSUER"));
        options.AddEncryptionKey(new SymmetricSecurityKey(RandomNumberGenerator.GetBytes(32))).AddSigningKey(new ECDsaSecurityKey(ECDsa.Create(ECCurve.NamedCurves.nistP256)));
        options.DisableAccessTokenEncryption();
        options.UseAspNetCore().EnableAuthorizationEndpointPassthrough().EnableTokenEndpointPassthrough().EnableUserInfoEndpointPassthrough()
            .DisableTransportSecurityRequirement();
    });

var app = builder.Build();
await using (var scope = app.Services.CreateAsyncScope())
{
    await scope.ServiceProvider.GetRequiredService<BaselineDb>().Database.EnsureCreatedAsync();
    var applications = scope.ServiceProvider.GetRequiredService<IOpenIddictApplicationManager>();
    await applications.CreateAsync(new OpenIddictApplicationDescriptor
    {
        ClientId = Setting("MACHINE_ID"),
        ClientSecret = Setting("MACHINE_SECRET"),
        Permissions = { Permissions.Endpoints.Token, Permissions.GrantTypes.ClientCredentials, Permissions.Prefixes.Scope + "balances" },
    });
    await applications.CreateAsync(new OpenIddictApplicationDescriptor
    {
        ClientId = Setting("APP_ID"),
        ClientSecret = Setting("APP_SECRET"),
        ConsentType = ConsentTypes.Explicit,
        RedirectUris = { new Uri(Setting("REDIRECT_URI")) },
        Permissions =
        {
            Permissions.Endpoints.Authorization, Permissions.Endpoints.Token, Permissions.Endpoints.Introspection,
            Permissions.GrantTypes.AuthorizationCode, Permissions.GrantTypes.RefreshToken, Permissions.ResponseTypes.Code, Permissions.Scopes.Profile,
        },
    });
    await scope.ServiceProvider.GetRequiredService<IOpenIddictScopeManager>()
        .CreateAsync(new OpenIddictScopeDescriptor { Name = "balances", Resources = { "https://api.bench.example" } });
}

app.UseAuthentication();

app.MapGet("/healthz", () => "ok");

// Anybody with any password: signing in isn't measured.
app.MapGet("/signin", (string returnUrl) => Page("/signin", [new("returnUrl", returnUrl)], "<input name=\"username\"><input type=\"password\" name=\"password\">"));
app.MapPost("/signin", async (HttpContext context) =>
{
    var form = await context.Request.ReadFormAsync();
    var identity = new ClaimsIdentity([new(Claims.Subject, form["username"]!)], CookieAuthenticationDefaults.AuthenticationScheme);
    await context.SignInAsync(new ClaimsPrincipal(identity));
    return Results.LocalRedirect(form["returnUrl"]!);
});

app.MapMethods("/connect/authorize", ["GET", "POST"], async (HttpContext context, IOpenIddictApplicationManager applications, IOpenIddictAuthorizationManager authorizations, IOpenIddictScopeManager scopes) =>
{
    var request = context.GetOpenIddictServerRequest()!;
    var session = await context.AuthenticateAsync(CookieAuthenticationDefaults.AuthenticationScheme);
    if (!session.Succeeded) return Results.Challenge(new() { RedirectUri = context.Request.Path + context.Request.QueryString });

    var person = session.Principal.FindFirstValue(Claims.Subject)!;
    var application = (await applications.FindByClientIdAsync(request.ClientId!))!;
    var client = (await applications.GetIdAsync(application))!;
    var allowed = await FirstAsync(authorizations.FindAsync(person, client, Statuses.Valid, AuthorizationTypes.Permanent, request.GetScopes()));
    if (allowed is null && (string?)request["decision"] != "allow")
        return Page("/connect/authorize", context.Request.Query.Select(pair => KeyValuePair.Create(pair.Key, (string?)pair.Value)), "<button name=\"decision\" value=\"allow\">Allow</button>");

    var identity = NewIdentity(person);
    identity.SetScopes(request.GetScopes());
    identity.SetResources(await ListAsync(scopes.ListResourcesAsync(identity.GetScopes())));
    allowed ??= await authorizations.CreateAsync(identity, person, client, AuthorizationTypes.Permanent, identity.GetScopes());
    identity.SetAuthorizationId(await authorizations.GetIdAsync(allowed));
    return Results.SignIn(new ClaimsPrincipal(identity), null, OpenIddictServerAspNetCoreDefaults.AuthenticationScheme);
});

app.MapPost("/connect/token", async (HttpContext context, IOpenIddictScopeManager scopes) =>
{
    var request = context.GetOpenIddictServerRequest()!;
    if (request.IsClientCredentialsGrantType())
    {
        var machine = new ClaimsIdentity(TokenValidationParameters.DefaultAuthenticationType, Claims.Name, Claims.Role);
        machine.SetClaim(Claims.Subject, request.ClientId).SetScopes(request.GetScopes());
        machine.SetResources(await ListAsync(scopes.ListResourcesAsync(machine.GetScopes())));
        machine.SetDestinations(_ => [Destinations.AccessToken]);
        return Results.SignIn(new ClaimsPrincipal(machine), null, OpenIddictServerAspNetCoreDefaults.AuthenticationScheme);
    }

    var before = (await context.AuthenticateAsync(OpenIddictServerAspNetCoreDefaults.AuthenticationScheme)).Principal!;
    var identity = new ClaimsIdentity(before.Claims, TokenValidationParameters.DefaultAuthenticationType, Claims.Name, Claims.Role);
    identity.SetClaim(Claims.Name, NameOf(before.GetClaim(Claims.Subject)!)).SetDestinations(Destination);
    return Results.SignIn(new ClaimsPrincipal(identity), null, OpenIddictServerAspNetCoreDefaults.AuthenticationScheme);
});

app.MapGet("/connect/userinfo", async (HttpContext context) =>
{
    var access = await context.AuthenticateAsync(OpenIddictServerAspNetCoreDefaults.AuthenticationScheme);
    if (!access.Succeeded) return Results.Challenge(null, [OpenIddictServerAspNetCoreDefaults.AuthenticationScheme]);
    var person = access.Principal.GetClaim(Claims.Subject)!;
    return Results.Json(new Dictionary<string, string> { [Claims.Subject] = person, [Claims.Name] = NameOf(person) });
});

await app.RunAsync();

static string NameOf(string person) => $"Name of {person}";

static ClaimsIdentity NewIdentity(string person)
{
    var identity = new ClaimsIdentity(TokenValidationParameters.DefaultAuthenticationType, Claims.Name, Claims.Role);
    identity.SetClaim(Claims.Subject, person).SetClaim(Claims.Name, NameOf(person));
    identity.SetDestinations(Destination);
    return identity;
}

static IEnumerable<string> Destination(Claim claim) => claim.Type == Claims.Name ? [Destinations.AccessToken, Destinations.IdentityToken] : [Destinations.AccessToken];

static IResult Page(string action, IEnumerable<KeyValuePair<string, string?>> hidden, string fields) => Results.Content(
    $"<!doctype html><title>Bench</title><main><form method=\"post\" action=\"{action}\">{string.Concat(hidden.Select(pair => $"<input type=\"hidden\" name=\"{WebUtility.HtmlEncode(pair.Key)}\" value=\"{WebUtility.HtmlEncode(pair.Value)}\">"))}{fields}</form></main>",
    "text/html; charset=utf-8");

static async Task<T?> FirstAsync<T>(IAsyncEnumerable<T> all) where T : class
{
    await foreach (var one in all) return one;
    return null;
}

static async Task<List<T>> ListAsync<T>(IAsyncEnumerable<T> all)
{
    var list = new List<T>();
    await foreach (var one in all) list.Add(one);
    return list;
}

/// <summary>OpenIddict's tables and nothing else: people live in no table here, which is in its favour.</summary>
internal sealed class BaselineDb(DbContextOptions<BaselineDb> options) : DbContext(options);

/// <summary>For SECRETS=sha256: a random secret needs no slow hash, and the default's PBKDF2 at each request would hide what the rest costs.</summary>
internal sealed class QuickSecrets(
    IOpenIddictApplicationCache<OpenIddictEntityFrameworkCoreApplication> cache,
    ILogger<OpenIddictApplicationManager<OpenIddictEntityFrameworkCoreApplication>> logger,
    IOptionsMonitor<OpenIddictCoreOptions> options,
    IOpenIddictApplicationStore<OpenIddictEntityFrameworkCoreApplication> store)
    : OpenIddictApplicationManager<OpenIddictEntityFrameworkCoreApplication>(cache, logger, options, store)
{
    protected override ValueTask<string> ObfuscateClientSecretAsync(string secret, CancellationToken cancellationToken = default) =>
        new(Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(secret))));

    protected override ValueTask<bool> ValidateClientSecretAsync(string secret, string comparand, CancellationToken cancellationToken = default) =>
        new(CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(secret)), Convert.FromBase64String(comparand)));
}
