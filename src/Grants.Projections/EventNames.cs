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
/// The wire name of every event, <c>stream.what_happened</c>. These names are the storage format: they never change. A new shape
/// of an event gets a new type, a new name and an upcaster.
/// </summary>
public static class EventNames
{
    /// <summary>Event type → wire name.</summary>
    public static readonly IReadOnlyDictionary<Type, string> All = new Dictionary<Type, string>
    {
        [typeof(ClientEvent.Registered)] = "client.registered",
        [typeof(ClientEvent.MetadataReplaced)] = "client.metadata_replaced",
        [typeof(ClientEvent.SecretAdded)] = "client.secret_added",
        [typeof(ClientEvent.SecretRetired)] = "client.secret_retired",
        [typeof(ClientEvent.Suspended)] = "client.suspended",
        [typeof(ClientEvent.Resumed)] = "client.resumed",
        [typeof(ClientEvent.Deleted)] = "client.deleted",

        [typeof(SubjectEvent.Registered)] = "subject.registered",
        [typeof(SubjectEvent.PasswordSet)] = "subject.password_set",
        [typeof(SubjectEvent.ClaimsReplaced)] = "subject.claims_replaced",
        [typeof(SubjectEvent.RolesReplaced)] = "subject.roles_replaced",
        [typeof(SubjectEvent.SignInFailed)] = "subject.sign_in_failed",
        [typeof(SubjectEvent.LockedOut)] = "subject.locked_out",
        [typeof(SubjectEvent.SignInFailuresCleared)] = "subject.sign_in_failures_cleared",
        [typeof(SubjectEvent.Suspended)] = "subject.suspended",
        [typeof(SubjectEvent.Resumed)] = "subject.resumed",
        [typeof(SubjectEvent.Erased)] = "subject.erased",

        [typeof(SessionEvent.Started)] = "session.started",
        [typeof(SessionEvent.Reauthenticated)] = "session.reauthenticated",
        [typeof(SessionEvent.Ended)] = "session.ended",
        [typeof(SessionEvent.Expired)] = "session.expired",

        [typeof(AuthorizationEvent.Pushed)] = "authorization.pushed",
        [typeof(AuthorizationEvent.Requested)] = "authorization.requested",
        [typeof(AuthorizationEvent.DeviceRequested)] = "authorization.device_requested",
        [typeof(AuthorizationEvent.UserCodeEntered)] = "authorization.user_code_entered",
        [typeof(AuthorizationEvent.SubjectAuthenticated)] = "authorization.subject_authenticated",
        [typeof(AuthorizationEvent.ConsentGranted)] = "authorization.consent_granted",
        [typeof(AuthorizationEvent.ConsentReused)] = "authorization.consent_reused",
        [typeof(AuthorizationEvent.CodeIssued)] = "authorization.code_issued",
        [typeof(AuthorizationEvent.CodeRedeemed)] = "authorization.code_redeemed",
        [typeof(AuthorizationEvent.CodeReplayed)] = "authorization.code_replayed",
        [typeof(AuthorizationEvent.ConsentDenied)] = "authorization.consent_denied",
        [typeof(AuthorizationEvent.Refused)] = "authorization.refused",
        [typeof(AuthorizationEvent.CodeExpired)] = "authorization.code_expired",
        [typeof(AuthorizationEvent.Abandoned)] = "authorization.abandoned",

        [typeof(GrantEvent.Created)] = "grant.created",
        [typeof(GrantEvent.Widened)] = "grant.widened",
        [typeof(GrantEvent.Narrowed)] = "grant.narrowed",
        [typeof(GrantEvent.Revoked)] = "grant.revoked",
        [typeof(GrantEvent.Expired)] = "grant.expired",

        [typeof(TokenFamilyEvent.AccessTokenIssued)] = "token_family.access_token_issued",
        [typeof(TokenFamilyEvent.RefreshTokenIssued)] = "token_family.refresh_token_issued",
        [typeof(TokenFamilyEvent.IdTokenIssued)] = "token_family.id_token_issued",
        [typeof(TokenFamilyEvent.TokenExchanged)] = "token_family.token_exchanged",
        [typeof(TokenFamilyEvent.AssertionAccepted)] = "token_family.assertion_accepted",
        [typeof(TokenFamilyEvent.RefreshTokenRotated)] = "token_family.refresh_token_rotated",
        [typeof(TokenFamilyEvent.RefreshTokenReplayed)] = "token_family.refresh_token_replayed",
        [typeof(TokenFamilyEvent.AccessTokenRevoked)] = "token_family.access_token_revoked",
        [typeof(TokenFamilyEvent.AccessTokenExpired)] = "token_family.access_token_expired",
        [typeof(TokenFamilyEvent.AccessTokensExpired)] = "token_family.access_tokens_expired",
        [typeof(TokenFamilyEvent.Revoked)] = "token_family.revoked",
        [typeof(TokenFamilyEvent.Expired)] = "token_family.expired",

        [typeof(SigningKeyEvent.Created)] = "signing_key.created",
        [typeof(SigningKeyEvent.Published)] = "signing_key.published",
        [typeof(SigningKeyEvent.Activated)] = "signing_key.activated",
        [typeof(SigningKeyEvent.Retired)] = "signing_key.retired",
        [typeof(SigningKeyEvent.Revoked)] = "signing_key.revoked",
        [typeof(SigningKeyEvent.Destroyed)] = "signing_key.destroyed",

        [typeof(CatalogueEvent.ScopeDeclared)] = "catalogue.scope_declared",
        [typeof(CatalogueEvent.ResourceDeclared)] = "catalogue.resource_declared",
        [typeof(CatalogueEvent.IssuerDeclared)] = "catalogue.issuer_declared",
        [typeof(CatalogueEvent.DetailsTypeDeclared)] = "catalogue.details_type_declared",
    };

    private static readonly Dictionary<Type, Type> States = new Dictionary<Type, Type>
    {
        [typeof(ClientEvent)] = typeof(Client),
        [typeof(SubjectEvent)] = typeof(Subject),
        [typeof(SessionEvent)] = typeof(Session),
        [typeof(AuthorizationEvent)] = typeof(Authorization),
        [typeof(GrantEvent)] = typeof(Grant),
        [typeof(TokenFamilyEvent)] = typeof(TokenFamily),
        [typeof(SigningKeyEvent)] = typeof(SigningKey),
        [typeof(CatalogueEvent)] = typeof(Catalogue),
    };

    /// <summary>The events of one stream.</summary>
    public static IEnumerable<Type> TypesOf<TEvent>() where TEvent : IDomainEvent => All.Keys.Where(type => type.BaseType == typeof(TEvent));

    public static string Of(IDomainEvent happened) => All[happened.GetType()];

    /// <summary>The state type of the stream that this event belongs to: what Marten records as the stream's type.</summary>
    public static Type StreamOf(IDomainEvent happened) => StreamOf(happened.GetType());

    /// <summary>The same by the event's type.</summary>
    public static Type StreamOf(Type happened) => States[happened.BaseType!];

    /// <summary>
    /// Streams whose state is also kept in an inline view, in the same transaction as their events: those go through Marten's own
    /// append, which keeps the view.
    /// </summary>
    public static bool HasInlineView(IDomainEvent happened) =>
        happened is ClientEvent or SubjectEvent or GrantEvent or SigningKeyEvent or CatalogueEvent;

    internal static bool IsState(Type type) => States.ContainsValue(type);
}
