using Grants.Api.Http;
using Grants.Api.Introspection;
using Grants.Api.Token;
using Microsoft.AspNetCore.Http.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Grants.Api.Tests.Http;

[Collection(FrontDoor.Name)]
public sealed class ApiJsonTests(AppFixture app)
{
    [Theory]
    [InlineData(typeof(TokenResponse.Body))]
    [InlineData(typeof(OAuthErrorResult.Body))]
    [InlineData(typeof(IntrospectionResponse.Body))]
    public void The_bodies_of_every_request_are_written_by_generated_code(Type body) =>
        Assert.IsType<ApiJson>(app.Services.GetRequiredService<IOptions<JsonOptions>>().Value.SerializerOptions.GetTypeInfo(body).OriginatingResolver);
}
