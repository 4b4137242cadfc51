declare
  removed integer;
begin
  with old as (
    select j.tenant_id, j.id from jobs j
    where j.finished_at < p_before and j.state in ('succeeded', 'cancelled')
    order by j.finished_at limit p_limit for update skip locked
  )
  delete from jobs u using old o where u.tenant_id = o.tenant_id and u.id = o.id;
  get diagnostics removed = row_count;
  return removed;
end
