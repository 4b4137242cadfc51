do $do$
begin
  lock table public.deliveries in access exclusive mode;
  if to_regclass('public.deliveries_first') is not null then
    alter table deliveries detach partition deliveries_first;
  else
    -- It was dropped behind; an empty one takes its place.
    create table deliveries_first (like deliveries including defaults including constraints including storage);
    alter table deliveries_first add constraint pk_deliveries_first primary key (tenant_id, id);
    create index ix_deliveries_first_accepted on deliveries_first (tenant_id, shard, stored_at) where state = 'accepted';
    create index ix_deliveries_first_source on deliveries_first (tenant_id, source_id, id);
    create index ix_deliveries_first_stored on deliveries_first using brin (stored_at);
    perform tocsin_private.protect_partition('deliveries_first');
  end if;
  alter table deliveries_first no force row level security;
  insert into deliveries_first select * from deliveries;
  alter table deliveries_first force row level security;
  drop table deliveries;
end
$do$
