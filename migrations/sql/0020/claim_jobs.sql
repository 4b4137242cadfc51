#variable_conflict use_column
begin
  -- One statement for all that a process was just handed, of whatever tenants. A row that somebody else holds is being
  -- claimed or swept by them at this moment: skipped, which is what a duplicate message deserves.
  -- A job that has lost two workers may be what killed them. A worker holds one such at a time: of several that were lost
  -- together the innocent go on, instead of being buried with the one that kills.
  return query
  with wanted as (
    select j.tenant_id, j.id, j.run_at, j.attempt >= 2 and j.error like 'the worker was lost%' as suspect
    from unnest(p_tenants, p_ids) as w(tenant_id, id)
    join jobs j on j.tenant_id = w.tenant_id and j.id = w.id
    where j.state = 'published'
    for update of j skip locked
  ),
  mine as (
    select w.tenant_id, w.id from wanted w where w.suspect is not true
    union all
    (select w.tenant_id, w.id from wanted w
     where w.suspect and not exists (
       select 1 from jobs r where r.state = 'running' and r.worker = p_worker and r.lease_until > clock_timestamp()
         and r.attempt >= 3 and r.error like 'the worker was lost%')
     order by w.run_at limit 1)
  )
  update jobs u set state = 'running', attempt = u.attempt + 1, lease_epoch = u.lease_epoch + 1, parked = false,
    lease_until = clock_timestamp() + make_interval(secs => p_lease_s), worker = p_worker, started_at = clock_timestamp()
  from mine w where u.tenant_id = w.tenant_id and u.id = w.id
  returning u.tenant_id, u.id, u.kind, u.queue, u.payload::text, u.attempt, u.max_attempts, u.lease_epoch,
    u.trace_context, u.run_at, u.started_at;
end
