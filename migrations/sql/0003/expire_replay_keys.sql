declare
  removed integer;
begin
  with old as (
    select k.tenant_id, k.source_id, k.replay_key from replay_keys k
    where k.expires_at < clock_timestamp() order by k.expires_at limit p_limit for update skip locked
  )
  delete from replay_keys u using old o
  where u.tenant_id = o.tenant_id and u.source_id = o.source_id and u.replay_key = o.replay_key;
  get diagnostics removed = row_count;
  return removed;
end
