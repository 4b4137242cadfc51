#variable_conflict use_column
begin
  -- A stretch of the primary key at a time: an index on touched_at would be written by every event, this is not.
  return query
  with stretch as materialized (
    select h.tenant_id, h.source_id, h.dedup_key from alert_heads h
    where (h.tenant_id, h.source_id, h.dedup_key) > (p_tenant, p_source, p_key)
    order by h.tenant_id, h.source_id, h.dedup_key limit p_limit
  ), quiet as (
    select h.tenant_id, h.source_id, h.dedup_key from stretch s
    join alert_heads h on h.tenant_id = s.tenant_id and h.source_id = s.source_id and h.dedup_key = s.dedup_key
    where h.touched_at < p_before and h.status is distinct from 'firing'
    for update of h skip locked
  ), gone as (
    delete from alert_heads h using quiet q
    where h.tenant_id = q.tenant_id and h.source_id = q.source_id and h.dedup_key = q.dedup_key returning 1
  )
  select (select count(*) from gone)::integer, (select count(*) from stretch)::integer, l.tenant_id, l.source_id, l.dedup_key
  from (select 1) one left join (
    select s.tenant_id, s.source_id, s.dedup_key from stretch s
    order by s.tenant_id desc, s.source_id desc, s.dedup_key desc limit 1) l on true;
end
