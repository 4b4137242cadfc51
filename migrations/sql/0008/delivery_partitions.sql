-- From the catalogue, oldest first. A bound is read as it is shown: FOR VALUES FROM (MINVALUE) TO ('0192...').
select c.oid::regclass, b.from_id::uuid, b.to_id::uuid
from pg_inherits i
join pg_class c on c.oid = i.inhrelid
cross join lateral (
  select substring(pg_get_expr(c.relpartbound, c.oid) from 'FROM \(''([0-9a-f-]{36})''\)') as from_id,
    substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \(''([0-9a-f-]{36})''\)') as to_id
) b
where i.inhparent = 'public.deliveries'::regclass and b.to_id is not null
order by 3
