declare
  -- Partitions that are wholly old. What is in one that still grows old goes with its end, which costs nothing.
  horizon constant uuid := (
    select max(p.to_id::text)::uuid from tocsin_private.delivery_partitions() p
    where p.to_id <= tocsin_private.id_at(p_before));
  removed integer := 0;
  strays integer;
begin
  if horizon is not null then
    -- What stays in them: the neighbours of deliveries that still wait.
    with old as (
      select d.tenant_id, d.id from deliveries d
      where d.id < horizon and d.state <> 'accepted' limit p_limit for update skip locked
    )
    delete from deliveries u using old o where u.tenant_id = o.tenant_id and u.id = o.id and u.id < horizon;
    get diagnostics removed = row_count;
  end if;
  with old as (
    select s.tenant_id, s.id from deliveries_strays s
    where s.stored_at < p_before and s.state <> 'accepted' limit p_limit for update skip locked
  )
  delete from deliveries_strays u using old o where u.tenant_id = o.tenant_id and u.id = o.id;
  get diagnostics strays = row_count;
  return removed + strays;
end
