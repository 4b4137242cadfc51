#variable_conflict use_column
declare
  idle record;
  fresh uuid;
begin
  for idle in
    -- One index probe per (tenant, shard) with work, not a scan of a backlog.
    with recursive pairs as (
      (select d.tenant_id, d.shard from deliveries d where d.state = 'accepted' order by d.tenant_id, d.shard limit 1)
      union all
      select following.tenant_id, following.shard from pairs p cross join lateral (
        select d.tenant_id, d.shard from deliveries d
        where d.state = 'accepted' and (d.tenant_id, d.shard) > (p.tenant_id, p.shard)
        order by d.tenant_id, d.shard limit 1
      ) following
    )
    select p.tenant_id, p.shard from pairs p
    where exists (
      select 1 from deliveries d where d.state = 'accepted' and d.tenant_id = p.tenant_id and d.shard = p.shard
        and d.stored_at < clock_timestamp() - p_older_than
    ) and not exists (
      select 1 from jobs j where j.tenant_id = p.tenant_id and j.state in ('scheduled', 'published', 'running')
        and j.kind in ('ingest.drain_intake', 'ingest.drain_backlog') and j.unique_key = 'shard:' || p.shard
    )
    limit p_limit
  loop
    -- A UUIDv7, which PostgreSQL makes itself only from release 18 on: milliseconds, then random bits.
    fresh := encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing
      substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6), 52, 1), 53, 1),
      'hex')::uuid;
    insert into jobs (tenant_id, id, kind, queue, payload, unique_key, coalesces, max_attempts)
    values (idle.tenant_id, fresh, 'ingest.drain_intake', 'intake', jsonb_build_object('shard', idle.shard),
      'shard:' || idle.shard, true, p_max_attempts)
    on conflict do nothing;
    if found then
      tenant_id := idle.tenant_id; shard := idle.shard; job_id := fresh;
      return next;
    end if;
  end loop;
end
