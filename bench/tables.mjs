// PostgreSQL alone: what one client credentials token leaves in our log, as a pgbench script.
//   node tables.mjs sample ISSUER FILE          asks our server for a token and notes the rows that appeared
//   node tables.mjs script FILE FOLDER COUNT    token.sql and variables for pgbench: COUNT tokens a transaction
// The rows' values travel as parameters, as they do from a server; ids are time-ordered as ours are.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const [task, ...rest] = process.argv.slice(2);
const psql = (text) => execFileSync('psql', ['-h', '127.0.0.1', '-p', process.env.BENCH_PG_PORT, '-U', 'postgres', '-d', 'grants', '-XAtqc', text], { encoding: 'utf8' }).trim();

function columnsOf(table) {
  return JSON.parse(psql(`select json_agg(json_build_object('name', attname, 'type', format_type(atttypid, atttypmod)) order by attnum)
    from pg_attribute where attrelid = 'grants.${table}'::regclass and attnum > 0 and not attisdropped and attgenerated = ''`));
}

const rowsOf = (table, columns, where) => JSON.parse(psql(`select coalesce(json_agg(json_build_object(${columns.map((c) => `'${c.name}', "${c.name}"::text`).join(', ')})), '[]') from grants.${table} where ${where}`));

async function sample(issuer, file) {
  const before = psql('select coalesce(max(seq_id), 0) from grants.mt_events');
  const { token_endpoint } = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
  const answer = await fetch(token_endpoint, { method: 'POST', headers: { authorization: `Basic ${process.env.MACHINE_BASIC}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'balances' }) });
  if (!answer.ok) throw new Error(`no token: ${answer.status} ${await answer.text()}`);
  const events = columnsOf('mt_events');
  const streams = columnsOf('mt_streams');
  const where = `seq_id > ${before}`;
  writeFileSync(file, JSON.stringify({
    streams: { columns: streams, rows: rowsOf('mt_streams', streams, `id in (select stream_id from grants.mt_events where ${where})`) },
    events: { columns: events, rows: rowsOf('mt_events', events, where) },
  }, null, 2));
}

const newId = "encode(substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) || substring(uuid_send(gen_random_uuid()) from 7), 'hex')::uuid";

function script(file, folder, count) {
  const { streams, events } = JSON.parse(readFileSync(file, 'utf8'));
  if (events.rows.length === 0) throw new Error('the token left no event in grants.mt_events');
  const ids = [];
  const variables = [];
  const known = new Map();
  const idOf = (old) => {
    if (!known.has(old)) {
      known.set(old, `id${known.size}`);
      ids.push(`${newId} as ${known.get(old)}`);
    }
    return `ids.${known.get(old)}`;
  };
  const insert = (table, { columns, rows }) => rows.map((row, n) => {
    const value = (column) => {
      const text = row[column.name];
      if (column.name === 'seq_id') return "nextval('grants.mt_events_sequence')";
      if (column.name === 'id' || column.name === 'stream_id') return idOf(text);
      if (text === null) return 'null';
      if (column.type.startsWith('timestamp')) return 'clock_timestamp()';
      variables.push(`${table}_${n}_${column.name}=${text}`);
      return `cast(:${table}_${n}_${column.name} as ${column.type})`;
    };
    return `${table}_${n} as (insert into grants.${table} (${columns.map((c) => `"${c.name}"`).join(', ')}) select ${columns.map(value).join(', ')} from ids)`;
  });
  const inserts = [...insert('mt_streams', streams), ...insert('mt_events', events)];
  writeFileSync(`${folder}/token.sql`, `with ids as materialized (select ${ids.join(', ')} from generate_series(1, ${count})), ${inserts.join(', ')} select 1;\n`);
  writeFileSync(`${folder}/variables`, variables.map((variable) => `-D\n${variable}\n`).join(''));
}

if (task === 'sample') await sample(...rest); else script(...rest);
