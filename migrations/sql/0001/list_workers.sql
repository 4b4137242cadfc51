#variable_conflict use_column
begin
  return query select w.id, w.queues, w.kinds, w.running, w.started_at, w.last_poll_at from workers w order by w.id limit 1000;
end
