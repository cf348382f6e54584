// Does the age of a token family show? Renews some families very often, then renews them and young ones side by side.
//   node age.mjs ISSUER STATE FAMILIES REFRESHES SECONDS
import { readFileSync } from 'node:fs';

const [issuer, state] = process.argv.slice(2);
const [families, refreshes, seconds] = process.argv.slice(4).map(Number);
const young = 50; // refreshes, then the next young family
const { token_endpoint: endpoint } = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
const tokens = readFileSync(`${state}/refresh.txt`, 'utf8').split('\n').filter(Boolean);

async function renew(token) {
  const response = await fetch(endpoint, { method: 'POST', headers: { authorization: `Basic ${process.env.APP_BASIC}` }, body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token }) });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${response.status} ${JSON.stringify(answer)}`);
  return answer.refresh_token;
}

const at = (sorted, share) => (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN).toFixed(2);
const told = (name, times) => {
  const sorted = [...times].sort((a, b) => a - b);
  console.log(`${name.padEnd(44)} ${String(sorted.length).padStart(8)} renewals   p50 ${at(sorted, 0.5)} ms   p99 ${at(sorted, 0.99)} ms`);
};

const begun = Date.now();
const old = await Promise.all(Array.from({ length: families }, async () => {
  let token = tokens.pop();
  for (let i = 0; i < refreshes; i++) token = await renew(token);
  return token;
}));
console.log(`${families} families renewed ${refreshes} times each in ${Math.round((Date.now() - begun) / 1000)} s`);

const until = Date.now() + seconds * 1000;
const times = { old: [], young: [] };
async function timed(kind, token) {
  const start = performance.now();
  const next = await renew(token);
  times[kind].push(performance.now() - start);
  return next;
}
await Promise.all([
  ...old.map(async (token) => { while (Date.now() < until) token = await timed('old', token); }),
  ...Array.from({ length: families }, async () => {
    while (Date.now() < until) {
      let token = tokens.pop();
      for (let i = 0; i < young && Date.now() < until; i++) token = await timed('young', token);
    }
  }),
]);
told(`families of more than ${refreshes} renewals`, times.old);
told(`families of at most ${young}`, times.young);
