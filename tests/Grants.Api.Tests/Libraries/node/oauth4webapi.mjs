import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { key, play, saw, settings, visit } from './stage.mjs'

const { client_id, client_secret, redirect_uri, signed_out, scope } = settings
const issuer = new URL(settings.issuer)
const http = { [oauth.allowInsecureRequests]: true } // on loopback
const client = { client_id }

const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, http))

// The same through the other document, RFC 8414.
assert.deepEqual(as, await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { ...http, algorithm: 'oauth2' })))

// The library keeps the nonce that it was given; the caller tries again.
const again = async (request, process) => {
  try {
    return await process(await request())
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    return process(await request())
  }
}

const ask = async () => {
  const [verifier, state, nonce] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState(), oauth.generateRandomNonce()]
  saw(verifier, state, nonce)
  const parameters = new URLSearchParams({
    client_id,
    redirect_uri,
    response_type: 'code',
    scope,
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })
  return { verifier, state, nonce, parameters }
}

const authorize = (parameters) => {
  const address = new URL(as.authorization_endpoint)
  address.search = parameters
  return address
}

const push = async (authentication, parameters, options) => {
  const { request_uri } = await again(
    () => oauth.pushedAuthorizationRequest(as, client, authentication, parameters, { ...http, ...options }),
    (response) => oauth.processPushedAuthorizationResponse(as, client, response),
  )
  return authorize(new URLSearchParams({ client_id, request_uri }))
}

const redeem = async (authentication, answer, { verifier, nonce }, options) => {
  const tokens = await again(
    () => oauth.authorizationCodeGrantRequest(as, client, authentication, answer, redirect_uri, verifier, { ...http, ...options }),
    async (response) => {
      const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true })
      await oauth.validateApplicationLevelSignature(as, response, http)
      return tokens
    },
  )
  saw(tokens.access_token, tokens.refresh_token, tokens.id_token)
  return tokens
}

const renew = async (authentication, token, options) => {
  const tokens = await again(
    () => oauth.refreshTokenGrantRequest(as, client, authentication, token, { ...http, ...options }),
    (response) => oauth.processRefreshTokenResponse(as, client, response),
  )
  saw(tokens.access_token, tokens.refresh_token, tokens.id_token)
  return tokens
}

const userInfo = (tokens, subject, options) =>
  again(
    () => oauth.userInfoRequest(as, client, tokens.access_token, { ...http, ...options }),
    (response) => oauth.processUserInfoResponse(as, client, subject, response),
  )

const introspect = async (authentication, token) =>
  oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, authentication, token, http))

const revoke = async (authentication, token) => oauth.processRevocationResponse(await oauth.revocationRequest(as, client, authentication, token, http))

await play({
  async web() {
    const basic = oauth.ClientSecretBasic(client_secret)
    const asked = await ask()
    const answer = oauth.validateAuthResponse(as, client, await visit(authorize(asked.parameters)), asked.state)
    const tokens = await redeem(basic, answer, asked)
    const { sub, auth_time } = oauth.getValidatedIdTokenClaims(tokens)
    assert.equal((await userInfo(tokens, sub)).name, 'Sam Field')

    const renewed = await renew(basic, tokens.refresh_token)
    assert.notEqual(renewed.refresh_token, tokens.refresh_token)
    assert.equal(oauth.getValidatedIdTokenClaims(renewed).auth_time, auth_time)

    assert.equal((await introspect(basic, renewed.access_token)).active, true)
    await revoke(basic, renewed.refresh_token)
    assert.equal((await introspect(basic, renewed.access_token)).active, false)
    await assert.rejects(renew(basic, renewed.refresh_token), { error: 'invalid_grant' })

    const address = new URL(as.end_session_endpoint)
    address.search = new URLSearchParams({ id_token_hint: renewed.id_token, post_logout_redirect_uri: signed_out, state: 'bye' })
    assert.equal((await visit(address)).href, `${signed_out}?state=bye`)
  },

  async refused() {
    const asked = await ask()
    const answer = await visit(authorize(asked.parameters))
    assert.throws(() => oauth.validateAuthResponse(as, client, answer, asked.state), { error: 'access_denied' })
  },

  async bound() {
    const basic = oauth.ClientSecretBasic(client_secret)
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
    const asked = await ask()
    const answer = oauth.validateAuthResponse(as, client, await visit(await push(basic, asked.parameters, { DPoP })), asked.state)
    const tokens = await redeem(basic, answer, asked, { DPoP })
    const { sub } = oauth.getValidatedIdTokenClaims(tokens)
    assert.equal((await userInfo(tokens, sub, { DPoP })).name, 'Sam Field')
    await assert.rejects(userInfo(tokens, sub))

    const renewed = await renew(basic, tokens.refresh_token, { DPoP })
    assert.equal((await userInfo(renewed, sub, { DPoP })).sub, sub)
  },

  async signed() {
    const signing = await key()
    const assertion = oauth.PrivateKeyJwt(signing)
    const asked = await ask()
    asked.parameters.set('response_mode', 'jwt')
    const request = await oauth.issueRequestObject(as, client, asked.parameters, signing)
    const back = await visit(await push(assertion, new URLSearchParams({ client_id, request })))
    assert.deepEqual([...back.searchParams.keys()], ['response'])
    const answer = await oauth.validateJwtAuthResponse(as, client, back, asked.state, http)
    const tokens = await redeem(assertion, answer, asked)
    const renewed = await renew(assertion, tokens.refresh_token)
    assert.equal((await introspect(assertion, renewed.refresh_token)).active, true)
  },

  async machine() {
    const assertion = oauth.PrivateKeyJwt(await key())
    const request = (scope) => oauth.clientCredentialsGrantRequest(as, client, assertion, { scope }, http)
    const tokens = await oauth.processClientCredentialsResponse(as, client, await request('balances'))
    saw(tokens.access_token)
    const told = await introspect(assertion, tokens.access_token)
    assert.equal(told.active, true)
    assert.equal(told.sub, client_id)
    await revoke(assertion, tokens.access_token)
    assert.equal((await introspect(assertion, tokens.access_token)).active, false)
    await assert.rejects(oauth.processClientCredentialsResponse(as, client, await request('payments')), { error: 'invalid_scope' })
  },
})
