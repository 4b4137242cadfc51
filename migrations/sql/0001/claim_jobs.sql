#variable_conflict use_column
begin
  -- One statement for all that a process was just handed, of whatever tenants. A row that somebody else holds is being
  -- claimed or swept by them at this moment: skipped, which is what a duplicate message deserves.
  return query
  with wanted as (
    select j.tenant_id, j.id from unnest(p_tenants, p_ids) as w(tenant_id, id)
    join jobs j on j.tenant_id = w.tenant_id and j.id = w.id
    where j.state = 'published'
    for update of j skip locked
  )
  update jobs u set state = 'running', attempt = u.attempt + 1, lease_epoch = u.lease_epoch + 1, parked = false,
    lease_until = clock_timestamp() + make_interval(secs => p_lease_s), worker = p_worker, started_at = clock_timestamp()
  from wanted w where u.tenant_id = w.tenant_id and u.id = w.id
  returning u.tenant_id, u.id, u.kind, u.queue, u.payload::text, u.attempt, u.max_attempts, u.lease_epoch,
    u.trace_context, u.run_at, u.started_at;
end
