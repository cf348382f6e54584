-- Old tokens of one client, issued and expired long ago, as the log would hold them: copies of a real token's rows, with ids and
-- times of their own. The checks of foreign keys are off, since they would be most of the work and hold anyway.
\set ON_ERROR_STOP 1
set session_replication_role = replica;
set synchronous_commit = off;
set work_mem = '256MB';
create temp table model as select e.*, s.type as stream_type from grants.mt_events e join grants.mt_streams s on s.id = e.stream_id
    where e.type = 'token_family.access_token_issued' and e.headers ->> 'client' = :'client' limit 1;
create temp table old as select lpad(to_hex((1700000000000 + i * 10)::bigint), 12, '0') as ms, i from generate_series(1, :n) i;
alter table old add id uuid;
update old set id = (ms || '7' || substr(md5(i::text), 1, 3) || '8' || substr(md5(i::text), 4, 15))::uuid;
create temp table base as select coalesce(max(seq_id), 0) as last from grants.mt_events;
insert into grants.mt_streams (id, type, version, timestamp, created, tenant_id, is_archived)
    select o.id, m.stream_type, 2, to_timestamp(1700000000 + o.i / 100.0), to_timestamp(1700000000 + o.i / 100.0), m.tenant_id, false from old o, model m order by o.i;
insert into grants.mt_events (seq_id, id, stream_id, version, data, type, timestamp, tenant_id, mt_dotnet_type, correlation_id, causation_id, headers, user_name, is_archived)
    select b.last + 2 * o.i - 1, gen_random_uuid(), o.id, 1, m.data, m.type, to_timestamp(1700000000 + o.i / 100.0), m.tenant_id, m.mt_dotnet_type, md5(o.i::text), m.causation_id, m.headers, m.user_name, false
    from old o, model m, base b order by o.i;
insert into grants.mt_events (seq_id, id, stream_id, version, data, type, timestamp, tenant_id, mt_dotnet_type, correlation_id, causation_id, headers, user_name, is_archived)
    select b.last + 2 * o.i, gen_random_uuid(), o.id, 2, jsonb_build_object('number', 1, 'at', to_timestamp(1700000600 + o.i / 100.0)), 'token_family.access_token_expired', to_timestamp(1700000600 + o.i / 100.0),
        m.tenant_id, replace(m.mt_dotnet_type, 'Issued', 'Expired'), 'expiry', gen_random_uuid()::text, jsonb_build_object('client', :'client'), 'system:expiry', false
    from old o, model m, base b order by o.i;
select setval('grants.mt_events_sequence', (select max(seq_id) from grants.mt_events)) \g /dev/null
-- The views have seen all this long ago: their rows stand, too.
do $$
declare view text;
begin
    select tablename into view from pg_tables where schemaname = 'grants' and tablename like 'current\_tokens\_v%' order by tablename desc limit 1;
    execute format('create temp table row_model on commit drop as select * from grants.%I where kind = ''access_token'' and subject is null limit 1', view);
    update row_model set state = 'expired', ended_at = issued_at + interval '10 minutes';
    execute format('insert into grants.%I select (jsonb_populate_record(r.*, jsonb_build_object(''family'', o.id, ''issued_at'', to_timestamp(1700000000 + o.i / 100.0), ''position'', o.i))).* from old o, row_model r order by o.i', view);
end $$;
update grants.mt_event_progression set last_seq_id = (select max(seq_id) from grants.mt_events);
reset session_replication_role;
vacuum analyze grants.mt_streams;
vacuum analyze grants.mt_events;
