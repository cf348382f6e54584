// Prints what the .http files can't work out by themselves: credentials for Basic authentication, assertions, request objects, proofs.
// Needs Node.js 20 and nothing else. GRANTS_DATA and GRANTS_PORT are those of eng/run.sh.
import { createHash, createPrivateKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const usage = `node samples/tools/sign.mjs …
  basic CLIENT                        the client's id and secret, for Authorization: Basic
  client                              makes keys for the client signed-ledger and the issuer payroll.example, and the file that registers both
  assertion                           a client assertion of signed-ledger (RFC 7523), good once and for a minute
  about SUBJECT                       what payroll.example says of somebody (RFC 7523 §2.1), good once and for a minute
  request NAME=VALUE …                a request object of signed-ledger (RFC 9101)
  dpop METHOD URL [NONCE [TOKEN]]     a proof (RFC 9449), good once and for a minute
  claim NAME JWT                      what a JWT says, unchecked`

const data = process.env.GRANTS_DATA ?? fileURLToPath(new URL('../../.grants', import.meta.url))
const issuer = `http://localhost:${process.env.GRANTS_PORT ?? 5100}`
const client = 'signed-ledger'
const trusted = 'https://payroll.example'
const now = Math.floor(Date.now() / 1000)

// A private key of its own for each use, in a file that nobody else may read; made when it is first needed.
const key = (name) => {
  const file = join(data, 'samples', `${name}.jwk`)
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    mkdirSync(join(data, 'samples'), { recursive: true })
    writeFileSync(file, JSON.stringify(privateKey.export({ format: 'jwk' })), { mode: 0o600 })
  }
  return JSON.parse(readFileSync(file, 'utf8'))
}

const publicPart = ({ kty, crv, x, y }) => ({ kty, crv, x, y })
const publicSet = (name) => ({ keys: [{ ...publicPart(key(name)), kid: name, use: 'sig', alg: 'ES256' }] })

const jwt = (jwk, header, claims) => {
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const text = `${encode({ alg: 'ES256', ...header })}.${encode(claims)}`
  const signature = sign('sha256', Buffer.from(text), { key: createPrivateKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

const commands = {
  basic(id) {
    const secret = readFileSync(join(data, 'clients', `${id}.secret`), 'utf8').trim()
    return Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')
  },

  client() {
    const file = join(data, 'samples', `${client}.json`)
    const declared = {
      client_id: client,
      client_name: 'Signed Ledger',
      redirect_uris: ['http://localhost:5200/callback'],
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange', 'urn:ietf:params:oauth:grant-type:jwt-bearer'],
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      request_object_signing_alg: 'ES256',
      authorization_signed_response_alg: 'ES256',
      response_modes: ['query', 'jwt'],
      scope: 'openid profile balances offline_access',
      jwks: publicSet(client),
      grants_resources: ['http://localhost:5300'],
      grants_token_exchange: [{ from: ['tally'], audience: ['http://localhost:5300'], scope: 'balances' }],
    }
    const issuers = [{ issuer: trusted, jwks: publicSet('payroll'), algs: ['ES256'], clients: [client], scope: 'balances', subjects: { 'employee-7': 'sam@demo.example' } }]
    writeFileSync(file, JSON.stringify({ clients: [declared], trusted_issuers: issuers }, null, 2) + '\n')
    return `Register it with: eng/grants config apply ${file}`
  },

  assertion() {
    return jwt(key(client), { kid: client }, { iss: client, sub: client, aud: issuer, jti: randomUUID(), iat: now, exp: now + 60 })
  },

  about(subject) {
    return jwt(key('payroll'), { kid: 'payroll' }, { iss: trusted, sub: subject, aud: issuer, jti: randomUUID(), iat: now, exp: now + 60 })
  },

  request(...parameters) {
    const request = Object.fromEntries(parameters.map((parameter) => [parameter.slice(0, parameter.indexOf('=')), parameter.slice(parameter.indexOf('=') + 1)]))
    return jwt(key(client), { kid: client, typ: 'oauth-authz-req+jwt' }, { iss: client, aud: issuer, iat: now, nbf: now, exp: now + 300, client_id: client, ...request })
  },

  dpop(method, address, nonce, token) {
    const jwk = key('dpop')
    const claims = { jti: randomUUID(), htm: method, htu: address, iat: now, nonce: nonce || undefined }
    if (token) claims.ath = createHash('sha256').update(token).digest('base64url')
    return jwt(jwk, { typ: 'dpop+jwt', jwk: publicPart(jwk) }, claims)
  },

  claim(name, token) {
    return JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))[name]
  },
}

const [command, ...rest] = process.argv.slice(2)
if (Object.hasOwn(commands, command ?? '')) console.log(commands[command](...rest))
else {
  console.error(usage)
  process.exitCode = 2
}
