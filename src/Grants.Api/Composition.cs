using Grants.Api.Account;
using Grants.Api.Authorize;
using Grants.Api.Configuration;
using Grants.Api.Consent;
using Grants.Api.Database;
using Grants.Api.Details;
using Grants.Api.DeviceAuthorization;
using Grants.Api.Discovery;
using Grants.Api.Dpop;
using Grants.Api.EndSession;
using Grants.Api.Expiry;
using Grants.Api.Http;
using Grants.Api.Introspection;
using Grants.Api.Keys;
using Grants.Api.Log;
using Grants.Api.Login;
using Grants.Api.PushedAuthorization;
using Grants.Api.Revocation;
using Grants.Api.Signing;
using Grants.Api.Token;
using Grants.Api.UserInfo;
using Grants.Projections;
using JasperFx.Events.Daemon;
using Marten;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.Cors.Infrastructure;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.DataProtection.KeyManagement;
using Microsoft.AspNetCore.DataProtection.XmlEncryption;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Identity;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Options;
using Npgsql;
using Wolverine;
using Wolverine.Http;
using Wolverine.Marten;

namespace Grants.Api;

/// <summary>What the server is made of, a method for each part.</summary>
public static class Composition
{
    /// <summary>Log lines name ids and outcomes, never requests: addresses with codes and states in them, and SQL with its parameters, stay out (L6).</summary>
    public static void AddGrantsLogging(this WebApplicationBuilder builder)
    {
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
        builder.Logging.AddFilter("Microsoft.Hosting.Lifetime", LogLevel.Information);
        builder.Logging.AddFilter("Microsoft.AspNetCore.Diagnostics.ExceptionHandlerMiddleware", LogLevel.None); // Errors says it without the message
        builder.Logging.AddFilter("Npgsql", LogLevel.Error);
        builder.Logging.AddFilter("Marten", LogLevel.Warning);
        builder.Logging.AddFilter("Wolverine", LogLevel.Warning);
        builder.Logging.AddFilter("Wolverine.Configuration.HandlerDiscovery", LogLevel.Error); // no message handlers yet: nothing to warn of
        builder.Logging.AddFilter("JasperFx", LogLevel.Warning);
        // Marten logs every failed commit with its parameters, also those that only lost a race.
        builder.Logging.AddFilter("Marten.IDocumentStore", LogLevel.None);
    }

    /// <summary>Sizes beyond which a request is refused before anything reads it.</summary>
    public static void AddGrantsLimits(this KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestLineSize = 8 * 1024;
        kestrel.Limits.MaxRequestHeadersTotalSize = 32 * 1024;
        kestrel.Limits.MaxRequestHeaderCount = 100;
        kestrel.Limits.MaxRequestBodySize = 64 * 1024;
        kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(15);
    }

    /// <summary>The database: the one that the settings name, else the private one, started when first needed.</summary>
    public static IServiceCollection AddGrantsDatabase(this IServiceCollection services) => services
        .AddSingleton(provider => new DatabaseHandle(provider.GetRequiredService<Settings>()))
        .AddSingleton(provider => new NpgsqlDataSourceBuilder(provider.GetRequiredService<DatabaseHandle>().ConnectionString).Build());

    public static IServiceCollection AddGrants(this IServiceCollection services) => services
        .AddSingleton(provider => KeyEncryptionKey.Load(provider.GetRequiredService<Settings>()))
        .AddSingleton<KeyVault>()
        .AddSingleton<PersonalData>()
        .AddSingleton<SealedHandles>()
        .AddSingleton<LogDataSource>()
        .AddSingleton<StreamLoader>()
        .AddSingleton<LogWriter>()
        .AddSingleton<Changes>()
        .AddSingleton<EventLog>()
        .AddSingleton<KeyRing>()
        .AddSingleton<PairwiseNames>()
        .AddSingleton<TokenSigner>()
        .AddSingleton<Lookups>()
        .AddSingleton<UsedIds>()
        .AddSingleton<ClientSecretLimits>()
        .AddSingleton<ICorsPolicyProvider, CrossOrigin>()
        .AddSingleton<DpopProofs>()
        .AddSingleton<GuardedFetcher>()
        .AddSingleton<ClientKeys>()
        .AddSingleton<ClientSecrets>()
        .AddSingleton<ClientAssertions>()
        .AddSingleton<ClientAuthentication>()
        .AddSingleton<Causes>()
        .AddSingleton<PageFrame>()
        .AddSingleton<DetailsReader>()
        .AddSingleton<RequestObjects>()
        .AddSingleton<RequestReader>()
        .AddSingleton<PushedRequests>()
        .AddSingleton<Authorize.Authorize>()
        .AddSingleton<AuthorizationFlow>()
        .AddSingleton<AuthorizationResponse>()
        .AddSingleton<ArrivalLimits>()
        .AddSingleton<BrowserSession>()
        .AddSingleton<PasswordChecks>()
        .AddSingleton<PasswordSignIn>()
        .AddSingleton<SignInHandling>()
        .AddSingleton<ConsentHandling>()
        .AddSingleton<RepeatedChallenges>()
        .AddSingleton<Lineage>()
        .AddSingleton<UserCodes>()
        .AddSingleton<UserCodeLimits>()
        .AddSingleton<DeviceRequests>()
        .AddSingleton<DevicePolls>()
        .AddSingleton<DevicePages>()
        .AddSingleton<DeviceOrigins>()
        .AddSingleton<TokenGrants>()
        .AddSingleton<TokenExchange>()
        .AddSingleton<GrantAssertions>()
        .AddSingleton<JwtBearer>()
        .AddSingleton<UserInfoAnswers>()
        .AddSingleton<IntrospectionAnswers>()
        .AddSingleton<TokenRevocation>()
        .AddSingleton<PublicDocuments>()
        .AddSingleton<SigningOut>()
        .AddSingleton<AccessViews>()
        .AddSingleton<ConnectedApps>()
        .AddSingleton<SectorDocuments>()
        .AddSingleton<ConfigurationApplier>()
        .AddSingleton<ExpiryRecorder>()
        .AddSingleton<SignInFailures>();

    /// <summary>Pages, cookies, antiforgery and accounts.</summary>
    public static IServiceCollection AddGrantsPages(this IServiceCollection services)
    {
        services.AddRazorComponents();
        services.AddHttpContextAccessor();
        services.AddDataProtection().SetApplicationName("Grants");
        services.AddSingleton<DataProtectionKeys>();
        services.AddSingleton<IConfigureOptions<KeyManagementOptions>>(provider =>
            new ConfigureOptions<KeyManagementOptions>(options =>
            {
                options.XmlRepository = provider.GetRequiredService<DataProtectionKeys>();
                options.XmlEncryptor = new NullXmlEncryptor(); // the vault encrypts what it keeps
            }));
        services.ConfigureHttpJsonOptions(options => options.SerializerOptions.TypeInfoResolverChain.Insert(0, ApiJson.Default));
        services.Configure<FormOptions>(options =>
        {
            options.ValueCountLimit = 200;
            options.KeyLengthLimit = 256;
            options.ValueLengthLimit = 32 * 1024;
            options.BufferBodyLengthLimit = 64 * 1024;
        });

        services.AddSingleton<IAntiforgeryAdditionalDataProvider, FormBinding>();
        services.AddCors(); // who may: CrossOrigin
        services.AddAntiforgery(options => options.SuppressXFrameOptionsHeader = true);
        services.AddAuthentication(BrowserSession.Scheme).AddCookie();
        services.AddOptions<CookieAuthenticationOptions>(BrowserSession.Scheme).Configure<Settings>((options, settings) =>
        {
            options.Cookie.Name = BrowserSession.CookieName(settings, "grants-session");
            options.Cookie.HttpOnly = true;
            options.Cookie.SameSite = SameSiteMode.Lax;
            options.Cookie.Path = BrowserSession.CookiePath(settings);
            options.Cookie.SecurePolicy = settings.IssuerUri.Scheme == "https" ? CookieSecurePolicy.Always : CookieSecurePolicy.SameAsRequest;
            options.ExpireTimeSpan = BrowserSession.Idle;
            options.SlidingExpiration = true;
        });
        services.AddOptions<AntiforgeryOptions>().Configure<Settings>((options, settings) =>
        {
            options.Cookie.Name = BrowserSession.CookieName(settings, "grants-form");
            options.Cookie.Path = BrowserSession.CookiePath(settings);
            options.Cookie.SameSite = SameSiteMode.Strict;
            options.Cookie.SecurePolicy = settings.IssuerUri.Scheme == "https" ? CookieSecurePolicy.Always : CookieSecurePolicy.SameAsRequest;
        });

        services.AddIdentityCore<Person>(options =>
        {
            options.Lockout.MaxFailedAccessAttempts = 5;
            options.Lockout.DefaultLockoutTimeSpan = TimeSpan.FromMinutes(15);
        }).AddUserStore<PersonStore>().AddUserManager<People>();
        return services;
    }

    /// <summary>Marten with our events and views, Wolverine, and the services that run beside requests.</summary>
    public static void AddGrantsEventStore(this WebApplicationBuilder builder, Settings settings)
    {
        var marten = builder.Services.AddMarten(GrantsStore.Configure).UseLightweightSessions().UseNpgsqlDataSource().ApplyAllDatabaseChangesOnStartup();
        marten.IntegrateWithWolverine(wolverine =>
        {
            wolverine.MessageStorageSchemaName = "wolverine";
            // On a shared database the nodes share the views among them.
            wolverine.UseWolverineManagedEventSubscriptionDistribution = !settings.SingleNode;
        });
        if (settings.SingleNode) marten.AddAsyncDaemon(DaemonMode.Solo);

        builder.Services.AddHostedService(provider => provider.GetRequiredService<Changes>());
        builder.Services.AddHostedService<Startup>();
        builder.Services.AddHostedService(provider => provider.GetRequiredService<SignInFailures>());
        builder.Services.AddHostedService(provider => provider.GetRequiredService<ExpiryRecorder>());
        builder.Services.AddHostedService(provider => provider.GetRequiredService<UsedIds>());
        builder.Services.AddHostedService(provider => provider.GetRequiredService<DevicePolls>());
        builder.Services.AddHostedService<KeyRotation>();
        builder.Services.AddWolverineHttp();
        builder.Host.UseWolverine(options =>
        {
            options.ApplicationAssembly = typeof(Program).Assembly;
            if (GeneratedCode.IsCompiledIn) options.CodeGeneration.TypeLoadMode = JasperFx.CodeGeneration.TypeLoadMode.Static;
            options.Durability.Mode = settings.SingleNode ? DurabilityMode.Solo : DurabilityMode.Balanced;
            // The defaults leave a dead node's views standing for a minute.
            options.Durability.HealthCheckPollingTime = TimeSpan.FromSeconds(4);
            options.Durability.StaleNodeTimeout = TimeSpan.FromSeconds(15);
            options.Durability.CheckAssignmentPeriod = TimeSpan.FromSeconds(10);
        });
    }
}

/// <summary>The code that calls each endpoint. eng/publish.sh has it written ahead and compiles it in; other builds write and compile it when an endpoint is first called.</summary>
internal static class GeneratedCode
{
    public static bool IsCompiledIn =>
#if GENERATED_AHEAD
        true;
#else
        false;
#endif
}

/// <summary>Holds the private database's life: made when first asked for, stopped when the program ends.</summary>
public sealed class DatabaseHandle : IDisposable
{
    private readonly PrivatePostgres? _private;

    public DatabaseHandle(Settings settings)
    {
        _private = settings.ConnectionString is null
            ? PrivatePostgres.Start(settings.DataFolder, options: new PrivatePostgresOptions { Own = !settings.IsCommand })
            : null;
        ConnectionString = _private?.ConnectionString ?? settings.ConnectionString!;
    }

    public string ConnectionString { get; }

    public void Dispose() => _private?.Dispose();
}

/// <summary>
/// Ties a form to the browser's session and, on the pages of an authorization request, to that very request (R15). Elsewhere the
/// address counts for nothing: the sign-out button is on every page and always posts to the same place.
/// </summary>
public sealed class FormBinding : IAntiforgeryAdditionalDataProvider
{
    public string GetAdditionalData(HttpContext context)
    {
        var request = context.Request.Path.StartsWithSegments("/signin") || context.Request.Path.StartsWithSegments("/consent") ? context.GetRouteValue("id") : null;
        return $"{request}|{BrowserSession.IdOf(context):N}";
    }

    public bool ValidateAdditionalData(HttpContext context, string additionalData) => additionalData == GetAdditionalData(context);
}
