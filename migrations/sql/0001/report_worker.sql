begin
  insert into workers (id, queues, kinds, running) values (p_id, p_queues, p_kinds, p_running)
  on conflict (id) do update set queues = excluded.queues, kinds = excluded.kinds, running = excluded.running,
    last_poll_at = now();
  delete from workers where last_poll_at < now() - interval '1 hour';
end
