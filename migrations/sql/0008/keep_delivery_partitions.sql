declare
  tomorrow constant timestamptz := date_trunc('day', p_now, 'UTC') + interval '1 day';
  horizon constant uuid := tocsin_private.id_at(p_now - p_keep);
  ending timestamptz;
  old record;
begin
  -- One keeper at a time; the others only look.
  if pg_try_advisory_xact_lock(7221455907114) then
    begin
      -- After a long standstill the days that went by stay in the default partition, and are purged there.
      ending := greatest(tomorrow, (select max(tocsin_private.time_of(p.to_id)) from tocsin_private.delivery_partitions() p));
      while ending < p_now + make_interval(days => p_ahead_days) loop
        perform tocsin_private.make_delivery_partition(ending, ending + make_interval(days => p_width_days));
        ending := ending + make_interval(days => p_width_days);
      end loop;
      for old in
        select p.* from tocsin_private.delivery_partitions() p
        where p.to_id <= horizon and not tocsin_private.has_waiting_deliveries(p.from_id, p.to_id)
        limit 4
      loop
        lock table only public.deliveries in access exclusive mode;
        -- Asked again under the lock: somebody may have taken an old delivery up again in between.
        if not tocsin_private.has_waiting_deliveries(old.from_id, old.to_id) then
          execute format('drop table %s', old.relation);
        end if;
      end loop;
    exception when lock_not_available then
      -- Whoever is in the way is done in a moment, and there are days in hand: the next call tries again.
      raise log 'tocsin: the partitions of deliveries were busy; tried again at the next call';
    end;
  end if;
  return query
  select count(*)::integer, extract(epoch from max(tocsin_private.time_of(p.to_id)) - p_now)::double precision,
    (count(*) filter (where p.to_id <= horizon))::integer, tocsin_private.stray_deliveries(10000)
  from tocsin_private.delivery_partitions() p;
end
