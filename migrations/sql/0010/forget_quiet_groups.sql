#variable_conflict use_column
begin
  -- A stretch of the primary key at a time: an index on touched_at would be written by every event, this is not.
  return query
  with stretch as materialized (
    select h.tenant_id, h.source_id, h.group_key from incident_groups h
    where (h.tenant_id, h.source_id, h.group_key) > (p_tenant, p_source, p_key)
    order by h.tenant_id, h.source_id, h.group_key limit p_limit
  ), quiet as (
    select h.tenant_id, h.source_id, h.group_key from stretch s
    join incident_groups h on h.tenant_id = s.tenant_id and h.source_id = s.source_id and h.group_key = s.group_key
    where h.touched_at < p_before and not exists (
      select 1 from incidents i where i.tenant_id = h.tenant_id and i.id = h.incident_id
        and i.state in ('open', 'acknowledged', 'mitigated', 'snoozed'))
    for update of h skip locked
  ), gone as (
    delete from incident_groups h using quiet q
    where h.tenant_id = q.tenant_id and h.source_id = q.source_id and h.group_key = q.group_key returning 1
  )
  select (select count(*) from gone)::integer, (select count(*) from stretch)::integer, l.tenant_id, l.source_id, l.group_key
  from (select 1) one left join (
    select s.tenant_id, s.source_id, s.group_key from stretch s
    order by s.tenant_id desc, s.source_id desc, s.group_key desc limit 1) l on true;
end
