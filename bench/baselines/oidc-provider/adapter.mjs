// oidc-provider's storage contract on one PostgreSQL table: each call is one prepared statement in its own transaction.
import pg from 'pg';

const pool = new pg.Pool({ connectionString: process.env.DATABASE, max: 20 });
pool.on('error', (error) => console.error(error.message));

const columns = 'payload, extract(epoch from consumed_at)::bigint as consumed';

export async function createTable() {
  await pool.query(`create table if not exists oidc (
      model text not null, id text not null, payload jsonb not null,
      grant_id text, uid text, user_code text, expires_at timestamptz, consumed_at timestamptz,
      primary key (model, id));
    create index if not exists oidc_grant_id on oidc (grant_id) where grant_id is not null;
    create unique index if not exists oidc_uid on oidc (model, uid) where uid is not null;
    create unique index if not exists oidc_user_code on oidc (model, user_code) where user_code is not null;`);
  await pool.end();
}

export class PostgresAdapter {
  constructor(model) { this.model = model; }

  async #run(name, text, values) { return (await pool.query({ name, text, values })).rows; }

  async #one(name, condition, key) {
    const [row] = await this.#run(name, `select ${columns} from oidc where model = $1 and ${condition} = $2 and (expires_at is null or expires_at > now())`, [this.model, key]);
    return row && (row.consumed === null ? row.payload : { ...row.payload, consumed: Number(row.consumed) });
  }

  async upsert(id, payload, expiresIn) {
    // Only sessions are looked up by uid.
    const uid = this.model === 'Session' ? payload.uid : null;
    await this.#run('upsert', `insert into oidc (model, id, payload, grant_id, uid, user_code, expires_at)
      values ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
      on conflict (model, id) do update set payload = excluded.payload, grant_id = excluded.grant_id, uid = excluded.uid,
        user_code = excluded.user_code, expires_at = excluded.expires_at`,
    [this.model, id, JSON.stringify(payload), payload.grantId ?? null, uid ?? null, payload.userCode ?? null, expiresIn ?? null]);
  }

  find(id) { return this.#one('find', 'id', id); }

  findByUid(uid) { return this.#one('findByUid', 'uid', uid); }

  findByUserCode(userCode) { return this.#one('findByUserCode', 'user_code', userCode); }

  async consume(id) { await this.#run('consume', 'update oidc set consumed_at = now() where model = $1 and id = $2', [this.model, id]); }

  async destroy(id) { await this.#run('destroy', 'delete from oidc where model = $1 and id = $2', [this.model, id]); }

  async revokeByGrantId(grantId) { await this.#run('revokeByGrantId', 'delete from oidc where grant_id = $1', [grantId]); }
}
