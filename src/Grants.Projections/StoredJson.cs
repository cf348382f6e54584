using System.Text.Json.Serialization;
using Grants.Domain.AccessGrants;
using Grants.Domain.Authorizations;
using Grants.Domain.Catalogues;
using Grants.Domain.Clients;
using Grants.Domain.Keys;
using Grants.Domain.Protocol;
using Grants.Domain.Sessions;
using Grants.Domain.Subjects;
using Grants.Domain.TokenFamilies;

namespace Grants.Projections;

/// <summary>
/// How the stored types are taken apart, worked out when this is compiled: every event of <see cref="EventNames.All"/>, the states
/// kept as documents, and the lists in them. Names, null and converters are the affair of the options that it is used with.
/// </summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(ClientEvent.Registered), TypeInfoPropertyName = "ClientRegistered")]
[JsonSerializable(typeof(ClientEvent.MetadataReplaced), TypeInfoPropertyName = "ClientMetadataReplaced")]
[JsonSerializable(typeof(ClientEvent.SecretAdded), TypeInfoPropertyName = "ClientSecretAdded")]
[JsonSerializable(typeof(ClientEvent.SecretRetired), TypeInfoPropertyName = "ClientSecretRetired")]
[JsonSerializable(typeof(ClientEvent.Suspended), TypeInfoPropertyName = "ClientSuspended")]
[JsonSerializable(typeof(ClientEvent.Resumed), TypeInfoPropertyName = "ClientResumed")]
[JsonSerializable(typeof(ClientEvent.Deleted), TypeInfoPropertyName = "ClientDeleted")]
[JsonSerializable(typeof(SubjectEvent.Registered), TypeInfoPropertyName = "SubjectRegistered")]
[JsonSerializable(typeof(SubjectEvent.PasswordSet), TypeInfoPropertyName = "SubjectPasswordSet")]
[JsonSerializable(typeof(SubjectEvent.ClaimsReplaced), TypeInfoPropertyName = "SubjectClaimsReplaced")]
[JsonSerializable(typeof(SubjectEvent.RolesReplaced), TypeInfoPropertyName = "SubjectRolesReplaced")]
[JsonSerializable(typeof(SubjectEvent.SignInFailed), TypeInfoPropertyName = "SubjectSignInFailed")]
[JsonSerializable(typeof(SubjectEvent.LockedOut), TypeInfoPropertyName = "SubjectLockedOut")]
[JsonSerializable(typeof(SubjectEvent.SignInFailuresCleared), TypeInfoPropertyName = "SubjectSignInFailuresCleared")]
[JsonSerializable(typeof(SubjectEvent.Suspended), TypeInfoPropertyName = "SubjectSuspended")]
[JsonSerializable(typeof(SubjectEvent.Resumed), TypeInfoPropertyName = "SubjectResumed")]
[JsonSerializable(typeof(SubjectEvent.Erased), TypeInfoPropertyName = "SubjectErased")]
[JsonSerializable(typeof(SessionEvent.Started), TypeInfoPropertyName = "SessionStarted")]
[JsonSerializable(typeof(SessionEvent.Reauthenticated), TypeInfoPropertyName = "SessionReauthenticated")]
[JsonSerializable(typeof(SessionEvent.Ended), TypeInfoPropertyName = "SessionEnded")]
[JsonSerializable(typeof(SessionEvent.Expired), TypeInfoPropertyName = "SessionExpired")]
[JsonSerializable(typeof(AuthorizationEvent.Pushed), TypeInfoPropertyName = "AuthorizationPushed")]
[JsonSerializable(typeof(AuthorizationEvent.Requested), TypeInfoPropertyName = "AuthorizationRequested")]
[JsonSerializable(typeof(AuthorizationEvent.DeviceRequested), TypeInfoPropertyName = "AuthorizationDeviceRequested")]
[JsonSerializable(typeof(AuthorizationEvent.UserCodeEntered), TypeInfoPropertyName = "AuthorizationUserCodeEntered")]
[JsonSerializable(typeof(AuthorizationEvent.SubjectAuthenticated), TypeInfoPropertyName = "AuthorizationSubjectAuthenticated")]
[JsonSerializable(typeof(AuthorizationEvent.ConsentGranted), TypeInfoPropertyName = "AuthorizationConsentGranted")]
[JsonSerializable(typeof(AuthorizationEvent.ConsentReused), TypeInfoPropertyName = "AuthorizationConsentReused")]
[JsonSerializable(typeof(AuthorizationEvent.CodeIssued), TypeInfoPropertyName = "AuthorizationCodeIssued")]
[JsonSerializable(typeof(AuthorizationEvent.CodeRedeemed), TypeInfoPropertyName = "AuthorizationCodeRedeemed")]
[JsonSerializable(typeof(AuthorizationEvent.CodeReplayed), TypeInfoPropertyName = "AuthorizationCodeReplayed")]
[JsonSerializable(typeof(AuthorizationEvent.ConsentDenied), TypeInfoPropertyName = "AuthorizationConsentDenied")]
[JsonSerializable(typeof(AuthorizationEvent.Refused), TypeInfoPropertyName = "AuthorizationRefused")]
[JsonSerializable(typeof(AuthorizationEvent.CodeExpired), TypeInfoPropertyName = "AuthorizationCodeExpired")]
[JsonSerializable(typeof(AuthorizationEvent.Abandoned), TypeInfoPropertyName = "AuthorizationAbandoned")]
[JsonSerializable(typeof(GrantEvent.Created), TypeInfoPropertyName = "GrantCreated")]
[JsonSerializable(typeof(GrantEvent.Widened), TypeInfoPropertyName = "GrantWidened")]
[JsonSerializable(typeof(GrantEvent.Narrowed), TypeInfoPropertyName = "GrantNarrowed")]
[JsonSerializable(typeof(GrantEvent.Revoked), TypeInfoPropertyName = "GrantRevoked")]
[JsonSerializable(typeof(GrantEvent.Expired), TypeInfoPropertyName = "GrantExpired")]
[JsonSerializable(typeof(TokenFamilyEvent.AccessTokenIssued), TypeInfoPropertyName = "TokenFamilyAccessTokenIssued")]
[JsonSerializable(typeof(TokenFamilyEvent.RefreshTokenIssued), TypeInfoPropertyName = "TokenFamilyRefreshTokenIssued")]
[JsonSerializable(typeof(TokenFamilyEvent.IdTokenIssued), TypeInfoPropertyName = "TokenFamilyIdTokenIssued")]
[JsonSerializable(typeof(TokenFamilyEvent.RefreshTokenRotated), TypeInfoPropertyName = "TokenFamilyRefreshTokenRotated")]
[JsonSerializable(typeof(TokenFamilyEvent.RefreshTokenReplayed), TypeInfoPropertyName = "TokenFamilyRefreshTokenReplayed")]
[JsonSerializable(typeof(TokenFamilyEvent.AccessTokenRevoked), TypeInfoPropertyName = "TokenFamilyAccessTokenRevoked")]
[JsonSerializable(typeof(TokenFamilyEvent.AccessTokenExpired), TypeInfoPropertyName = "TokenFamilyAccessTokenExpired")]
[JsonSerializable(typeof(TokenFamilyEvent.AccessTokensExpired), TypeInfoPropertyName = "TokenFamilyAccessTokensExpired")]
[JsonSerializable(typeof(TokenFamilyEvent.Revoked), TypeInfoPropertyName = "TokenFamilyRevoked")]
[JsonSerializable(typeof(TokenFamilyEvent.Expired), TypeInfoPropertyName = "TokenFamilyExpired")]
[JsonSerializable(typeof(SigningKeyEvent.Created), TypeInfoPropertyName = "SigningKeyCreated")]
[JsonSerializable(typeof(SigningKeyEvent.Published), TypeInfoPropertyName = "SigningKeyPublished")]
[JsonSerializable(typeof(SigningKeyEvent.Activated), TypeInfoPropertyName = "SigningKeyActivated")]
[JsonSerializable(typeof(SigningKeyEvent.Retired), TypeInfoPropertyName = "SigningKeyRetired")]
[JsonSerializable(typeof(SigningKeyEvent.Revoked), TypeInfoPropertyName = "SigningKeyRevoked")]
[JsonSerializable(typeof(SigningKeyEvent.Destroyed), TypeInfoPropertyName = "SigningKeyDestroyed")]
[JsonSerializable(typeof(CatalogueEvent.ScopeDeclared), TypeInfoPropertyName = "CatalogueScopeDeclared")]
[JsonSerializable(typeof(CatalogueEvent.ResourceDeclared), TypeInfoPropertyName = "CatalogueResourceDeclared")]
[JsonSerializable(typeof(Client))]
[JsonSerializable(typeof(Subject))]
[JsonSerializable(typeof(Grant))]
[JsonSerializable(typeof(SigningKey))]
[JsonSerializable(typeof(Catalogue))]
[JsonSerializable(typeof(int[]))]
[JsonSerializable(typeof(string[]))]
[JsonSerializable(typeof(ConsentLine[]))]
[JsonSerializable(typeof(ResourceDefinition[]))]
[JsonSerializable(typeof(ScopeDefinition[]))]
[JsonSerializable(typeof(ScopePurpose[]))]
[JsonSerializable(typeof(SecretHash[]))]
internal sealed partial class StoredJson : JsonSerializerContext;
