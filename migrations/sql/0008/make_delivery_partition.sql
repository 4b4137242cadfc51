declare
  name constant text := 'deliveries_p' || to_char(p_from at time zone 'UTC', 'YYYYMMDD');
  first_id constant uuid := tocsin_private.id_at(p_from);
  end_id constant uuid := tocsin_private.id_at(p_to);
  fresh regclass;
begin
  -- Made aside and attached: CREATE TABLE ... PARTITION OF would lock out every reader and writer of the parent,
  -- ATTACH only those who change its shape and, for a moment, those who look into the default partition.
  execute format('create table public.%I (like public.deliveries including defaults including constraints including storage)',
    name);
  fresh := format('public.%I', name)::regclass;
  perform tocsin_private.protect_partition(fresh);
  -- Nobody may put a stray into the default partition between the move and the attachment.
  lock table public.deliveries_strays in access exclusive mode;
  perform tocsin_private.move_stray_deliveries(fresh, first_id, end_id);
  execute format('alter table public.deliveries attach partition %s for values from (%L) to (%L)', fresh, first_id, end_id);
end
