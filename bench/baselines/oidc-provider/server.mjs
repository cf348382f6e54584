// oidc-provider on two workers. STORE=none: client credentials as signed JWTs, nothing kept. STORE=postgres: what the provider stores goes to PostgreSQL.
import cluster from 'node:cluster';
import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import Provider from 'oidc-provider';
import { PostgresAdapter, createTable } from './adapter.mjs';

const { ISSUER, STORE, APP_ID, APP_SECRET, MACHINE_ID, MACHINE_SECRET, REDIRECT_URI } = process.env;

if (cluster.isPrimary) {
  if (STORE === 'postgres') await createTable();
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  const shared = { SIGNING_KEY: JSON.stringify({ ...key, use: 'sig', alg: 'ES256', kid: randomBytes(8).toString('hex') }), COOKIE_KEY: randomBytes(32).toString('hex') };
  for (let worker = 0; worker < 2; worker++) cluster.fork(shared);
  cluster.on('exit', (worker, code) => { if (!worker.exitedAfterDisconnect) process.exit(code || 1); });
  process.on('SIGTERM', () => process.exit(0));
} else {
  const escape = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const provider = new Provider(ISSUER, {
    ...(STORE === 'postgres' ? { adapter: PostgresAdapter } : {}),
    clients: [
      { client_id: MACHINE_ID, client_secret: MACHINE_SECRET, grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope: 'balances', id_token_signed_response_alg: 'ES256' },
      { client_id: APP_ID, client_secret: APP_SECRET, grant_types: ['authorization_code', 'refresh_token'], redirect_uris: [REDIRECT_URI], id_token_signed_response_alg: 'ES256' },
    ],
    jwks: { keys: [JSON.parse(process.env.SIGNING_KEY)] },
    cookies: { keys: [process.env.COOKIE_KEY] },
    scopes: ['openid', 'profile', 'offline_access', 'balances'],
    claims: { openid: ['sub'], profile: ['name'] },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, name: `Name of ${id}` }) }),
    pkce: { required: () => true },
    // A new refresh token at every use, also for a client with a secret, and one whenever a code is exchanged: as the other servers do.
    rotateRefreshToken: true,
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
    expiresWithSession: () => false,
    ttl: { AccessToken: 3600, ClientCredentials: 600, IdToken: 3600, RefreshToken: 14 * 86400, Grant: 14 * 86400, Session: 14 * 86400, Interaction: 3600, AuthorizationCode: 60 },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: (ctx, client, token) => token.clientId === client.clientId },
      clientCredentials: { enabled: true },
      resourceIndicators: STORE === 'postgres' ? { enabled: false } : {
        enabled: true,
        defaultResource: () => 'https://api.bench.example',
        getResourceServerInfo: () => ({ scope: 'balances', accessTokenTTL: 600, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }),
      },
    },
  });
  provider.on('server_error', (ctx, error) => console.error(error));

  const page = (uid, fields) => `<!doctype html><title>Bench</title><main><form method="post" action="/interaction/${escape(uid)}">${fields}<button>Go on</button></form></main>`;
  const handle = provider.callback();

  /** Sign-in and consent. Anybody with any password: it isn't measured. */
  async function interaction(request, response) {
    const { uid, prompt, params, session, grantId } = await provider.interactionDetails(request, response);
    if (request.method === 'GET') {
      response.setHeader('Content-Type', 'text/html; charset=utf-8');
      return response.end(page(uid, prompt.name === 'login' ? '<input name="username"><input type="password" name="password">' : '<input type="hidden" name="consent" value="1">'));
    }
    let body = '';
    for await (const chunk of request) body += chunk;
    if (prompt.name === 'login') return provider.interactionFinished(request, response, { login: { accountId: new URLSearchParams(body).get('username') } });
    const grant = (grantId && await provider.Grant.find(grantId)) || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope('openid profile offline_access');
    return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
  }

  createServer((request, response) => {
    if (!request.url.startsWith('/interaction/')) return handle(request, response);
    return interaction(request, response).catch((error) => {
      console.error(error);
      response.statusCode = 500;
      response.end();
    });
  }).listen(Number(new URL(ISSUER).port), 'localhost');
}
