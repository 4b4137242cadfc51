#variable_conflict use_column
begin
  -- Every count stops at p_cap: a backlog of millions costs no more to report than one of p_cap.
  return query
  select q.name,
    (select count(*) from (select 1 from jobs j where j.state = 'scheduled' and j.queue = q.name and j.run_at <= now()
      limit p_cap) d),
    -- A job that was handed out and not begun still waits: with it, workers that are all stuck show as well.
    coalesce((select extract(epoch from now() - min(o.run_at)) from (
      (select j.run_at from jobs j where j.state = 'scheduled' and j.queue = q.name and j.run_at <= now() limit p_cap)
      union all
      (select j.run_at from jobs j where j.state = 'published' and j.queue = q.name and j.run_at <= now() limit p_cap)) o),
      0)::double precision,
    (select count(*) from (select 1 from jobs j where j.state = 'published' and j.queue = q.name limit p_cap) p),
    (select count(*) from (select 1 from jobs j where j.state = 'running' and j.queue = q.name limit p_cap) r),
    (select count(*) from (select 1 from jobs j where j.state in ('dead', 'failed') and j.queue = q.name
      and j.finished_at is not null limit p_cap) x)
  from unnest(array['intake', 'remediation', 'enhancement', 'notification', 'maintenance']) as q(name);
end
