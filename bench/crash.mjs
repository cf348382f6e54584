// Clients that keep every token they were given, while somebody kills the server and its database.
//   node crash.mjs ISSUER STATE SECONDS   asks for machine tokens and renews refresh tokens; prints what was received
//   node crash.mjs check FILE             compares that with the log
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const [task, ...rest] = process.argv.slice(2);
if (task === 'check') check(JSON.parse(readFileSync(rest[0], 'utf8')));
else await hold(task, rest[0], Number(rest[1]));

async function hold(issuer, state, seconds) {
  const until = Date.now() + seconds * 1000;
  const { token_endpoint: endpoint } = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
  const received = [];
  const gaps = [];
  let failures = 0;
  let lastAnswer = Date.now();

  async function ask(credentials, body) {
    try {
      const response = await fetch(endpoint, { method: 'POST', headers: { authorization: `Basic ${credentials}` }, body: new URLSearchParams(body), signal: AbortSignal.timeout(10_000) });
      const answer = await response.json();
      if (response.ok) {
        const at = Date.now();
        if (at - lastAnswer > 500) gaps.push(at - lastAnswer);
        lastAnswer = at;
        received.push(jti(answer.access_token));
        return { answer };
      }
      failures++;
      return { error: answer.error };
    } catch {
      failures++;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return { error: 'no answer' };
    }
  }

  const machines = Array.from({ length: 16 }, async () => {
    while (Date.now() < until) await ask(process.env.MACHINE_BASIC, { grant_type: 'client_credentials', scope: 'balances' });
  });
  const refused = [];
  const apps = readFileSync(`${state}/refresh.txt`, 'utf8').split('\n').filter(Boolean).slice(0, 32).map(async (token) => {
    while (Date.now() < until) {
      const { answer, error } = await ask(process.env.APP_BASIC, { grant_type: 'refresh_token', refresh_token: token });
      if (answer) token = answer.refresh_token;
      // A lost answer may have used the token; inside the retry window the same successor comes again.
      else if (error === 'invalid_grant') { refused.push(token.slice(0, 12)); return; }
    }
  });
  await Promise.all([...machines, ...apps]);
  console.log(JSON.stringify({ received, failures, refused: refused.length, longestGapMs: Math.max(0, ...gaps) }));
}

/** The token's own id names its family and its number in it (docs/protocol.md). */
function jti(token) {
  const bytes = Buffer.from(JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).jti, 'base64url');
  const hex = bytes.subarray(0, 16).toString('hex');
  return [hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'), bytes.readInt32BE(32)];
}

function check({ received, failures, refused, longestGapMs }) {
  const sql = (text, input) => execFileSync('psql', ['-h', '127.0.0.1', '-p', process.env.BENCH_PG_PORT, '-U', 'postgres', '-d', 'grants', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', text],
    { encoding: 'utf8', input, maxBuffer: 1 << 30 }).trim();
  sql('create table if not exists public.held (family uuid, number int); truncate public.held');
  sql('copy public.held from stdin', received.map(([family, number]) => `${family}\t${number}`).join('\n') + '\n');
  const missing = Number(sql(`select count(*) from public.held h where not exists (select from grants.mt_events e where e.stream_id = h.family and e.type = 'token_family.access_token_issued' and (e.data ->> 'number')::int = h.number)`));
  const twiceHeld = Number(sql('select count(*) from (select 1 from public.held group by family, number having count(*) > 1) x'));
  const rotatedTwice = Number(sql(`select count(*) from (select 1 from grants.mt_events where type = 'token_family.refresh_token_rotated' group by stream_id, data ->> 'generation' having count(*) > 1) x`));
  const redeemedTwice = Number(sql(`select count(*) from (select 1 from grants.mt_events where type = 'authorization.code_redeemed' group by stream_id having count(*) > 1) x`));
  const holes = Number(sql('select count(*) from (select 1 from grants.mt_events group by stream_id having count(*) <> max(version)) x'));
  console.log(`tokens received ${received.length}, requests without a token ${failures}, longest silence ${longestGapMs} ms, refresh tokens refused afterwards ${refused}`);
  console.log(`held but not in the log ${missing}; the same token twice ${twiceHeld}; generations used twice ${rotatedTwice}; codes redeemed twice ${redeemedTwice}; streams with holes ${holes}`);
  if (missing + twiceHeld + rotatedTwice + redeemedTwice + holes > 0) process.exit(1);
}
