declare
  removed integer;
begin
  with old as (
    select d.tenant_id, d.id from deliveries d
    where d.stored_at < p_before and d.state <> 'accepted' limit p_limit for update skip locked
  )
  delete from deliveries u using old o where u.tenant_id = o.tenant_id and u.id = o.id;
  get diagnostics removed = row_count;
  return removed;
end
