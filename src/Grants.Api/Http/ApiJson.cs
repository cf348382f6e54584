using System.Text.Json;
using System.Text.Json.Serialization;
using Grants.Api.Authorize;
using Grants.Api.DeviceAuthorization;
using Grants.Api.Introspection;
using Grants.Api.PushedAuthorization;
using Grants.Api.Token;

namespace Grants.Api.Http;

/// <summary>How the bodies and sealed texts of every request are written and read, worked out when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(TokenResponse.Body), TypeInfoPropertyName = "TokenBody")]
[JsonSerializable(typeof(PushedAuthorizationResponse.Body), TypeInfoPropertyName = "PushedBody")]
[JsonSerializable(typeof(DeviceAuthorizationResponse.Body), TypeInfoPropertyName = "DeviceAuthorizationBody")]
[JsonSerializable(typeof(OAuthErrorResult.Body), TypeInfoPropertyName = "ErrorBody")]
[JsonSerializable(typeof(Causes.Origin))]
[JsonSerializable(typeof(IntrospectionResponse.Body), TypeInfoPropertyName = "IntrospectionBody")]
[JsonSerializable(typeof(PrivateParameters))]
internal sealed partial class ApiJson : JsonSerializerContext;
