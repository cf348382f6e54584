import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { key, play, saw, settings, visit } from './stage.mjs'

const { issuer, client_id, client_secret, redirect_uri, signed_out, scope } = settings
const permitted = [client.allowInsecureRequests, client.enableNonRepudiationChecks] // http on loopback; each signature is checked

const discover = (authentication, ...more) =>
  client.discovery(new URL(issuer), client_id, client_secret, authentication, { execute: [...permitted, ...more] })

// A request as the library makes it, and what its answer is checked against.
const ask = async () => {
  const checks = { pkceCodeVerifier: client.randomPKCECodeVerifier(), expectedState: client.randomState(), expectedNonce: client.randomNonce() }
  saw(checks.pkceCodeVerifier, checks.expectedState, checks.expectedNonce)
  const parameters = {
    redirect_uri,
    scope,
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
    code_challenge_method: 'S256',
  }
  return { checks, parameters }
}

const sawTokens = (tokens) => saw(tokens.access_token, tokens.refresh_token, tokens.id_token)

await play({
  async web() {
    const config = await discover(client.ClientSecretBasic())
    const { checks, parameters } = await ask()
    const tokens = await client.authorizationCodeGrant(config, await visit(client.buildAuthorizationUrl(config, parameters)), checks)
    sawTokens(tokens)
    const person = tokens.claims()
    assert.match(person.sub, /^sub_/)
    assert.equal((await client.fetchUserInfo(config, tokens.access_token, person.sub)).name, 'Sam Field')

    const renewed = await client.refreshTokenGrant(config, tokens.refresh_token)
    sawTokens(renewed)
    assert.notEqual(renewed.refresh_token, tokens.refresh_token)
    assert.equal(renewed.claims().auth_time, person.auth_time)

    assert.equal((await client.tokenIntrospection(config, renewed.access_token)).active, true)
    await client.tokenRevocation(config, renewed.refresh_token)
    assert.equal((await client.tokenIntrospection(config, renewed.access_token)).active, false)
    await assert.rejects(client.refreshTokenGrant(config, renewed.refresh_token), { error: 'invalid_grant' })

    const left = await visit(client.buildEndSessionUrl(config, { id_token_hint: renewed.id_token, post_logout_redirect_uri: signed_out, state: 'bye' }))
    assert.equal(left.href, `${signed_out}?state=bye`)
  },

  async refused() {
    const config = await discover(client.ClientSecretBasic())
    const { checks, parameters } = await ask()
    const answer = await visit(client.buildAuthorizationUrl(config, parameters))
    await assert.rejects(client.authorizationCodeGrant(config, answer, checks), { error: 'access_denied' })
  },

  async bound() {
    const config = await discover(client.ClientSecretBasic())
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair())
    const { checks, parameters } = await ask()
    const address = await client.buildAuthorizationUrlWithPAR(config, parameters, { DPoP })
    assert.match(address.searchParams.get('request_uri'), /^urn:ietf:params:oauth:request_uri:/)
    const tokens = await client.authorizationCodeGrant(config, await visit(address), checks, undefined, { DPoP })
    sawTokens(tokens)
    assert.equal(tokens.token_type, 'dpop') // the library compares without case
    assert.equal((await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, { DPoP })).name, 'Sam Field')
    await assert.rejects(client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)) // stolen, it is worth nothing

    const renewed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
    sawTokens(renewed)
    assert.equal((await client.fetchUserInfo(config, renewed.access_token, tokens.claims().sub, { DPoP })).sub, tokens.claims().sub)
  },

  async signed() {
    const signing = await key()
    const config = await discover(client.PrivateKeyJwt(signing), client.useJwtResponseMode)
    const { checks, parameters } = await ask()
    const { searchParams } = await client.buildAuthorizationUrlWithJAR(config, parameters, signing)
    assert.ok(searchParams.has('request'))
    const answer = await visit(await client.buildAuthorizationUrlWithPAR(config, searchParams))
    assert.deepEqual([...answer.searchParams.keys()], ['response'])
    const tokens = await client.authorizationCodeGrant(config, answer, checks)
    sawTokens(tokens)
    const renewed = await client.refreshTokenGrant(config, tokens.refresh_token)
    sawTokens(renewed)
    assert.equal((await client.tokenIntrospection(config, renewed.refresh_token)).active, true)
  },

  async machine() {
    const config = await discover(client.PrivateKeyJwt(await key()))
    const tokens = await client.clientCredentialsGrant(config, { scope: 'balances' })
    sawTokens(tokens)
    const told = await client.tokenIntrospection(config, tokens.access_token)
    assert.equal(told.active, true)
    assert.equal(told.sub, client_id)
    await client.tokenRevocation(config, tokens.access_token)
    assert.equal((await client.tokenIntrospection(config, tokens.access_token)).active, false)
    await assert.rejects(client.clientCredentialsGrant(config, { scope: 'payments' }), { error: 'invalid_scope' })
  },
})
