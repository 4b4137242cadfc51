begin
  if p_paused then
    insert into queue_pauses (queue, reason) values (p_queue, p_reason) on conflict (queue) do nothing;
  else
    delete from queue_pauses where queue = p_queue;
  end if;
  return found;
end
