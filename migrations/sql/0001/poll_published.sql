#variable_conflict use_column
begin
  -- What the broker should have brought by now. A worker that asks here works even while the broker is down.
  return query
  select j.tenant_id, j.id from jobs j
  where j.state = 'published' and j.queue = any (p_queues) and j.published_at < now() - p_older_than
  order by j.published_at limit p_limit;
end
