#variable_conflict use_column
begin
  return query
  with stale as (
    select j.tenant_id, j.id from jobs j
    where j.state = 'published' and j.published_at < coalesce(p_now, clock_timestamp()) - p_older_than
    order by j.published_at limit p_limit for update skip locked
  )
  update jobs u set published_at = coalesce(p_now, clock_timestamp())
  from stale s where u.tenant_id = s.tenant_id and u.id = s.id
  returning u.tenant_id, u.id, u.queue, u.priority;
end
