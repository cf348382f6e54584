// Makes a server ready for a scenario, through its own pages as a browser without scripts would: signs people in, consents once, exchanges codes.
//   node prepare.mjs discover ISSUER STATE             endpoints.env
//   node prepare.mjs people   ISSUER STATE COUNT       cookies.txt, a line for each person
//   node prepare.mjs access   ISSUER STATE             access.txt, a fresh access token for each person
//   node prepare.mjs families ISSUER STATE COUNT       refresh.txt, filled up to COUNT live refresh tokens
import { readFileSync, writeFileSync, existsSync, mkdirSync } from 'node:fs';
import { createHash } from 'node:crypto';

const [task, issuer, state, count] = process.argv.slice(2);
const need = (name) => process.env[name] ?? fail(`${name} is not set`);
const verifier = need('CODE_VERIFIER');
const redirectUri = need('REDIRECT_URI');
const people = Array.from({ length: Number(need('BENCH_PEOPLE')) }, (_, i) => `person${i}@bench.example`);

function fail(message) {
  console.error(message);
  process.exit(1);
}

const lines = (file) => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []);
const write = (file, all) => writeFileSync(file, all.map((line) => `${line}\n`).join(''));

async function metadata() {
  const response = await fetch(`${issuer}/.well-known/openid-configuration`);
  return response.ok ? response.json() : fail(`${issuer}: no metadata (${response.status})`);
}

const askFor = (endpoint) => `${endpoint}?${new URLSearchParams({
  client_id: need('APP_ID'), redirect_uri: redirectUri, response_type: 'code', scope: 'openid profile offline_access', state: 'bench-state', nonce: 'bench-nonce',
  code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256' })}`;

/** A cookie jar that follows redirects within the server and stops at the app's address. */
class Browser {
  jar = new Map();

  get cookies() { return [...this.jar].map(([name, value]) => `${name}=${value}`).join('; '); }

  async open(url, body) {
    for (let hops = 0; hops < 12; hops++) {
      const response = await fetch(url, { method: body ? 'POST' : 'GET', body, redirect: 'manual', headers: this.jar.size > 0 ? { cookie: this.cookies } : {} });
      for (const line of response.headers.getSetCookie()) {
        const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
        if (value === '' || /expires=Thu, 01 Jan 1970/i.test(line)) this.jar.delete(name); else this.jar.set(name, value);
      }
      const location = response.headers.get('location');
      const text = await response.text();
      if (!location) return { url, status: response.status, text };
      url = new URL(location, url).href;
      body = undefined;
      if (url.startsWith(redirectUri)) return { url, answer: new URL(url).searchParams };
    }
    return fail(`${url}: too many redirects`);
  }
}

const unescape = (text) => text.replace(/&#x([0-9a-f]+);/gi, (_, hex) => String.fromCodePoint(parseInt(hex, 16))).replace(/&#(\d+);/g, (_, d) => String.fromCodePoint(Number(d)))
  .replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&amp;', '&');
const attribute = (tag, name) => unescape(tag.match(new RegExp(`\\b${name}="([^"]*)"`))?.[1] ?? '');

/** The page's own form, in main: its address and hidden fields, with what a person fills in. */
function fill(page, username) {
  const main = page.text.slice(Math.max(page.text.indexOf('<main'), 0));
  const form = main.match(/<form[^>]*>.*?<\/form>/s)?.[0] ?? fail(`${page.url}: ${page.status}, no form: ${page.text.replace(/\s+/g, ' ').slice(0, 300)}`);
  const body = new URLSearchParams();
  for (const [input] of form.matchAll(/<input[^>]*type="hidden"[^>]*>/g)) body.append(attribute(input, 'name'), attribute(input, 'value'));
  if (/name="password"/.test(form)) {
    body.append('username', username);
    body.append('password', need('BENCH_PASSWORD'));
  } else {
    body.append('decision', 'allow');
  }
  return [new URL(attribute(form.match(/<form[^>]*>/)[0], 'action'), page.url).href, body];
}

async function signIn(endpoint, username) {
  const browser = new Browser();
  let page = await browser.open(askFor(endpoint));
  for (let pages = 0; !page.answer && pages < 4; pages++) page = await browser.open(...fill(page, username));
  return page.answer?.get('code') ? browser.cookies : fail(`${username}: ${page.url}`);
}

async function tokens(known, cookies) {
  const browser = new Browser();
  for (const cookie of cookies.split('; ')) browser.jar.set(cookie.slice(0, cookie.indexOf('=')), cookie.slice(cookie.indexOf('=') + 1));
  const page = await browser.open(askFor(known.authorization_endpoint));
  const code = page.answer?.get('code') ?? fail(`no code but ${page.url} ${page.status ?? ''} ${page.text ?? ''}`);
  const response = await fetch(known.token_endpoint, { method: 'POST', headers: { authorization: `Basic ${need('APP_BASIC')}` },
    body: new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: redirectUri, code_verifier: verifier }) });
  const answer = await response.json();
  return answer.access_token && answer.refresh_token && answer.id_token ? answer : fail(`tokens are missing: ${response.status} ${JSON.stringify(answer)}`);
}

/** Runs the jobs, a few at a time. */
async function inTurns(jobs, atOnce) {
  const results = [];
  let next = 0;
  await Promise.all(Array.from({ length: Math.min(atOnce, jobs.length) }, async () => {
    while (next < jobs.length) {
      const mine = next++;
      results[mine] = await jobs[mine]();
    }
  }));
  return results;
}

mkdirSync(state, { recursive: true });
const known = await metadata();
const path = (url) => (url ? new URL(url).pathname : '');
switch (task) {
  case 'discover':
    write(`${state}/endpoints.env`, [`TOKEN_PATH=${path(known.token_endpoint)}`, `JWKS_PATH=${path(known.jwks_uri)}`, `USERINFO_PATH=${path(known.userinfo_endpoint)}`,
      `INTROSPECTION_PATH=${path(known.introspection_endpoint)}`, `AUTHORIZE_REQUEST='${askFor(path(known.authorization_endpoint))}'`]);
    break;
  case 'people':
    write(`${state}/cookies.txt`, await inTurns(people.map((person) => () => signIn(known.authorization_endpoint, person)), 4));
    break;
  case 'access':
    write(`${state}/access.txt`, await inTurns(lines(`${state}/cookies.txt`).map((cookies) => async () => (await tokens(known, cookies)).access_token), 8));
    break;
  case 'families': {
    const live = lines(`${state}/refresh.txt`);
    const all = lines(`${state}/cookies.txt`);
    const missing = Array.from({ length: Math.max(Number(count) - live.length, 0) }, (_, i) => async () => (await tokens(known, all[i % all.length])).refresh_token);
    write(`${state}/refresh.txt`, [...live, ...await inTurns(missing, 16)]);
    break;
  }
  default:
    fail(`unknown task ${task}`);
}
