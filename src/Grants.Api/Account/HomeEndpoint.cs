using Grants.Api.Http;
using Grants.Api.Login;
using Grants.Api.Pages;
using Wolverine.Http;

namespace Grants.Api.Account;

/// <summary>What stands at the issuer's own address.</summary>
public static class HomeEndpoint
{
    [WolverineGet("/")]
    public static async Task<IResult> Get(HttpContext http, PageFrame pages, BrowserSession browser, SignInHandling signIn)
    {
        var session = await browser.FindAsync(http);
        var name = session is null ? null : await signIn.NameOf(session.Subject, http.RequestAborted);
        return PageFrame.Page<HomePage>(new HomeModel(pages.Site, pages.Field(http), name, pages.At("/account/apps"), pages.At("/signin"), pages.At("/logout/confirm"), pages.At("/.well-known/openid-configuration")));
    }
}
