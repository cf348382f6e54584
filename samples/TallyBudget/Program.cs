using TallyBudget;

var builder = WebApplication.CreateBuilder(args);
var settings = builder.Configuration.GetSection("Tally").Get<Settings>() ?? new();
if (string.IsNullOrEmpty(builder.Configuration["urls"])) builder.WebHost.UseUrls(settings.PublicUrl);
builder.WebHost.ConfigureKestrel(kestrel => kestrel.AddServerHeader = false);
builder.Logging.AddFilter("Microsoft.AspNetCore", LogLevel.Warning); // lines about requests would hold codes
using var sessions = new BrowserSessions(https: settings.PublicUrl.StartsWith("https:", StringComparison.Ordinal));
using var http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false }) { Timeout = TimeSpan.FromSeconds(15) };
var oidc = new OidcClient(settings, http);
var pages = new Pages(settings);
var app = builder.Build();

app.MapGet("/healthz", () => "ok");
app.MapGet("/tally.css", () => Results.Text(Pages.Read("tally.css"), "text/css"));
app.UseWhen(context => context.Request.Path.Value is not ("/healthz" or "/tally.css"), all => all.Use(async (context, next) =>
{
    var headers = context.Response.Headers;
    headers.ContentSecurityPolicy = $"default-src 'none'; style-src 'self'; form-action 'self' {new Uri(settings.Authority).GetLeftPart(UriPartial.Authority)}; frame-ancestors 'none'; base-uri 'none'";
    (headers.CacheControl, headers.XContentTypeOptions, headers["Referrer-Policy"]) = ("no-store", "nosniff", "no-referrer");
    var session = sessions.Of(context);
    context.Features.Set(session);
    await session.Turn.WaitAsync(context.RequestAborted);
    try
    {
        await next(context);
        if (context.Response is { HasStarted: false, StatusCode: 404 or 405 })
            await pages.Message(session, context.Response.StatusCode, "There is nothing here", "Tally has no page that answers this request.").ExecuteAsync(context);
    }
    catch (Refusal refusal)
    {
        await pages.Message(session, 400, refusal.Title, refusal.Message).ExecuteAsync(context);
    }
    catch (Exception fault) when (!context.Response.HasStarted)
    {
        app.Logger.LogWarning(fault, "{Path} failed", context.Request.Path);
        await pages.Message(session, 502, "Tally couldn't finish this", "The bank or its server didn't answer as it should. Nothing more was done.").ExecuteAsync(context);
    }
    finally
    {
        session.Turn.Release();
    }
}));

app.MapGet("/", (HttpContext context, BrowserSession session) => context.Request.Host.Value == new Uri(settings.PublicUrl).Authority
    ? pages.Home(session) : Results.Redirect(settings.PublicUrl)); // the cookie must belong to the address that people come back to
app.MapGet("/callback", async (HttpContext context, BrowserSession session) =>
{
    var error = await oidc.CompleteAsync(session, context.Request.Query);
    if (error == "access_denied") session.Notice = session.Tokens is null ? "You said no. Nothing was shared." : "You said no. Nothing more was shared.";
    else if (error is not null) throw new Refusal("The bank couldn't do this", $"It answered {error}. Nothing was shared.");
    else
    {
        sessions.Name(context, session);
        await oidc.WhoAsync(session);
        await ReadAsync(session, "balances");
        if (session.Tokens?.Allows("transactions") is true) await ReadAsync(session, "transactions");
    }
    return SeeOther("/");
});
app.MapGet("/signed-out", (string? state, BrowserSession session) => session.Tokens is not null ? SeeOther("/") : pages.Message(session, 200, "You're signed out",
    $"You're signed out of Tally{(state is not null && state == session.LogoutState ? " and of your bank" : "")}. What you allowed still stands, until you remove it at the bank."));

// Every button is a form: POST with this session's own secret, then 303 to a page that is safe to reload.
Button("/connect", session => oidc.AuthorizeAsync(session));
Button("/ask/payments", session => oidc.AuthorizeAsync(session, "payments"));
Button("/ask/transactions", session => oidc.AuthorizeAsync(session, "transactions"));
Button("/sign-out", async session => session.Tokens is { } tokens ? await oidc.SignOutAsync(session, tokens.IdToken) : "/signed-out");
HomeButton("/balances", session => ReadAsync(session, "balances"));
Button("/pay", async session =>
{
    if (session.Tokens is null) return "/";
    var order = new Dictionary<string, string> { ["amount"] = "48.20", ["to"] = "Northgate Energy" };
    var answer = await oidc.CallAsync(session, "Tally told Demo Bank to pay the electricity bill.", HttpMethod.Post, $"{settings.Bank}/payments", order);
    if (answer is { MaxAge: { } maxAge }) return await oidc.AuthorizeAsync(session, maxAge: maxAge); // RFC 9470 §3
    session.Notice = answer switch
    {
        null => null,
        { Ok: true } => $"Paid £48.20 to Northgate Energy. Reference {answer["reference"]}.",
        { Status: 403 } => "Nothing was paid. Demo Bank refused, because your access doesn't include payments.",
        _ => $"Nothing was paid. Demo Bank answered {answer}.",
    };
    return "/";
});
HomeButton("/who", async session =>
{
    await oidc.WhoAsync(session);
    if (session.Person is { } person) session.Notice ??= $"The bank says you are {person["name"]}, {person["email"]}.";
});
HomeButton("/renew", async session => session.Notice = await oidc.RenewAsync(session) ? "Renewed. Tally has a new access token and a new refresh token." : session.Notice);
HomeButton("/replay", oidc.ReplayAsync);
HomeButton("/disconnect", async session =>
{
    session.Forget();
    session.Notice = "Tally has forgotten its tokens. What you allowed still stands at the bank, until you remove it there.";
});
await app.RunAsync();

void HomeButton(string path, Func<BrowserSession, Task> press) => Button(path, async session =>
{
    if (session.Tokens is not null) await press(session);
    return "/";
});

void Button(string path, Func<BrowserSession, Task<string>> press) => app.MapPost(path, async (HttpRequest request, BrowserSession session) =>
{
    var sent = request.HasFormContentType ? (await request.ReadFormAsync())["csrf"].ToString() : "";
    return CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(sent), Encoding.UTF8.GetBytes(session.Csrf))
        ? SeeOther(await press(session)) : throw new Refusal("This form is out of date", "Go back to Tally and press the button again.");
});

async Task ReadAsync(BrowserSession session, string what)
{
    try
    {
        var answer = await oidc.CallAsync(session, $"Tally asked Demo Bank for your {what}.", HttpMethod.Get, $"{settings.Bank}/{what}");
        if (answer is { Ok: true }) session.FromBank[what] = answer.Body;
        else if (answer is not null) session.Notice = $"Demo Bank didn't show your {what}. It answered {answer}.";
    }
    catch (HttpRequestException)
    {
        session.Notice = $"Demo Bank isn't answering, so Tally can't show your {what}. Try again in a moment.";
    }
}

static IResult SeeOther(string address) => new SeeOther(address);
