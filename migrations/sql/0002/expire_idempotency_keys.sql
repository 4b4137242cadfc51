declare
  removed integer;
begin
  with old as (
    select k.tenant_id, k.id from idempotency_keys k where k.expires_at < now()
    order by k.expires_at limit p_limit for update skip locked
  )
  delete from idempotency_keys u using old o where u.tenant_id = o.tenant_id and u.id = o.id;
  get diagnostics removed = row_count;
  return removed;
end
