#variable_conflict use_column
begin
  return query select q.queue, q.reason, q.paused_at from queue_pauses q order by q.queue;
end
