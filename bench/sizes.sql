insert into incidents (tenant_id, id, number, source_id, source_kind, source_name, group_key, group_labels, labels, alert_name,
  title, state, severity, started_at, created_at, updated_at)
select $1::uuid, uuidv7(make_interval(secs => n - 2000000)), 100 + n, $2::uuid, 'generic', 'bench', 'group-' || n, '{}',
  jsonb_build_object('host', 'h' || n % 31), 'QueueDeep', 'Queue of service ' || n % 97 || ' is deep',
  case when n % 5 = 0 then 'open' else 'resolved' end, 'P2', now(), now(), now()
from generate_series($3::int / 10 + 1, $4::int / 10) n;
insert into alerts (tenant_id, id, incident_id, source_id, dedup_key, status, severity, raw_severity, title, name, description,
  labels, annotations, links, warnings, started_at, last_event_at, first_seen_at, last_seen_at, count, late_count,
  ticket_announced)
select i.tenant_id, uuidv7(make_interval(secs => i.number - 2000000)), i.id, i.source_id, 'key-' || i.number || '-' || k,
  case when i.state = 'open' then 'firing' else 'resolved' end, 'P2', 'high', i.title, 'QueueDeep', 'x',
  i.labels, '{}', '[]', '[]', now(), now(), now(), now(), 1, 0, false
from incidents i, generate_series(1, 10) k
where i.tenant_id = $1::uuid and i.source_id = $2::uuid and i.number > 100 + $3::int / 10 and i.number <= 100 + $4::int / 10;
insert into deliveries (tenant_id, id, source_id, received_at, stored_at, shard, state, replay_key, body_sha256, headers, body,
  size_bytes, processed_at)
select $1::uuid, uuidv7(), $2::uuid, now(), now(), n % 4, 'processed', int8send(n), int8send(n), '{}', '\x7b7d', 2, now()
from generate_series($3::bigint * 5 + 1, $4::bigint * 5) n;
insert into case_documents (tenant_id, id, kind, ref, title, body, resolution, trust, words, occurred_at)
select $1::uuid, ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'incident', 'incident-' || n,
  'Queue of service svc' || n % 97 || ' is deep on host h' || n % 31, 'x', 'Restarted the consumer', 'trusted', 8,
  now() - make_interval(mins => n)
from generate_series($3::int / 10 + 1, $4::int / 10) n where $2::uuid is not null;
insert into case_terms (tenant_id, kind, term, document_id, weight, words)
select $1::uuid, 'incident', t.term, ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 1, 8
from generate_series($3::int / 10 + 1, $4::int / 10) n,
  lateral (values ('queue'), ('servic'), ('deep'), ('host'), ('svc' || n % 97), ('h' || n % 31), ('consum'), ('restart'), ('case' || n)) as t(term)
where $2::uuid is not null on conflict do nothing;
