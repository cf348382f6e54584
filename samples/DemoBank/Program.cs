using DemoBank;
using Microsoft.AspNetCore.Authentication.JwtBearer;

// Demo Bank: an API that accepts the access tokens of one authorization server.
// All it needs to check them it reads from that server's discovery document and JWKS.
var builder = WebApplication.CreateBuilder(args);
var authority = builder.Configuration["Bank:Authority"] ?? "http://localhost:5100";
var resource = builder.Configuration["Bank:Resource"] ?? "http://localhost:5300";
var paymentsWithin = TimeSpan.FromSeconds(builder.Configuration.GetValue("Bank:PaymentsMaxAgeSeconds", 3600)); // who pays has signed in lately
var metadata = $"{new Uri(resource).GetLeftPart(UriPartial.Authority)}/.well-known/oauth-protected-resource{new Uri(resource).AbsolutePath.TrimEnd('/')}"; // RFC 9728 §3.1
if (string.IsNullOrEmpty(builder.Configuration["urls"])) builder.WebHost.UseUrls("http://localhost:5300");
builder.WebHost.ConfigureKestrel(kestrel => kestrel.AddServerHeader = false);
builder.Logging.AddFilter("Microsoft.AspNetCore", LogLevel.Warning);
builder.Services.AddSingleton(TimeProvider.System);

var bound = new BoundTokens(resource, TimeProvider.System);
builder.Services.AddAuthentication().AddJwtBearer(bearer =>
{
    bearer.Authority = authority;
    bearer.Audience = resource;
    bearer.RequireHttpsMetadata = !new Uri(authority).IsLoopback;
    bearer.MapInboundClaims = false;
    bearer.TokenValidationParameters.ValidTypes = ["at+jwt"]; // RFC 9068 §4: an id_token is no access token
    bearer.TokenValidationParameters.ClockSkew = TimeSpan.FromSeconds(10);
    bearer.Challenge = $"Bearer realm=\"Demo Bank\", resource_metadata=\"{metadata}\""; // RFC 9728 §5.1
    bearer.IncludeErrorDetails = false; // the caller learns that the token is bad, not why
    bearer.Events = new JwtBearerEvents
    {
        OnMessageReceived = BoundTokens.Receive,
        OnTokenValidated = bound.Check,
        OnChallenge = Challenges.Challenge,
        OnForbidden = Challenges.Forbid,
    };
});
builder.Services.AddAuthorization();

var app = builder.Build();
app.UseExceptionHandler(failed => failed.Run(context => context.Response.WriteAsJsonAsync(new { error = "server_error" })));
app.Use((context, next) =>
{
    context.Response.Headers.CacheControl = "no-store";
    context.Response.Headers.XContentTypeOptions = "nosniff";
    return next(context);
});
app.UseAuthentication();
app.UseAuthorization();

app.MapGet("/", () => $"""
    Demo Bank, a protected API with made-up accounts.

    GET  /balances      needs the scope balances
    GET  /transactions  needs the scope transactions
    POST /payments      needs the scope payments (form or JSON: amount, to), and a sign-in of the last {paymentsWithin.TotalMinutes} minutes

    It accepts access tokens from {authority} for {resource}, in the Authorization header only:
    as Bearer, or as DPoP with a proof when they are bound to a key (RFC 9449).

    """);
app.MapGet("/healthz", () => "ok");

// What an app must know to get a token for this API: RFC 9728 §2.
var about = new
{
    resource,
    authorization_servers = new[] { authority },
    scopes_supported = new[] { "balances", "transactions", "payments" },
    bearer_methods_supported = new[] { "header" },
    dpop_signing_alg_values_supported = BoundTokens.Algorithms,
    dpop_bound_access_tokens_required = false,
    resource_name = "Demo Bank",
};
app.MapGet(new Uri(metadata).AbsolutePath, () => about);

app.MapGet("/balances", (HttpContext context) => Ledger.Of(context.User).Balances()).NeedsScope("balances");

app.MapGet("/transactions", (HttpContext context, TimeProvider clock) =>
    Ledger.Of(context.User).Transactions(DateOnly.FromDateTime(clock.GetUtcNow().UtcDateTime))).NeedsScope("transactions");

app.MapPost("/payments", async (HttpContext context) =>
    await PaymentOrder.ReadAsync(context.Request) is { } order
        ? Results.Json(Ledger.Of(context.User).Pay(order))
        : Results.Json(new { error = "invalid_request", error_description = "Send amount (over 0, up to 500) and to (1 to 70 characters)." },
            statusCode: StatusCodes.Status400BadRequest)).NeedsScope("payments").NeedsSignInWithin(paymentsWithin, TimeProvider.System);

await app.RunAsync();
