#variable_conflict use_column
begin
  return query
  with recursive pair as (
    -- Tenants that have scheduled jobs, by a loose index scan: its cost grows with tenants, not with jobs.
    (select j.queue, j.tenant_id from jobs j where j.state = 'scheduled' order by j.queue, j.tenant_id limit 1)
    union all
    select n.queue, n.tenant_id from pair, lateral (
      select j.queue, j.tenant_id from jobs j
      where j.state = 'scheduled' and (j.queue, j.tenant_id) > (pair.queue, pair.tenant_id)
      order by j.queue, j.tenant_id limit 1) n
  ),
  allowed as (
    select pair.queue, pair.tenant_id from pair
    where not exists (select 1 from queue_pauses q where q.queue in (pair.queue, '*'))
      and not exists (
        select 1 from tenant_pauses t where t.tenant_id = pair.tenant_id and t.queue in (pair.queue, '*'))
  ),
  room as (
    -- Published jobs are bounded by the window, so this count is small; it keeps the broker's queues short and fair.
    select a.queue, greatest(0, p_window - (
      select count(*) from jobs p where p.queue = a.queue and p.state = 'published'))::integer as free,
      -- Jobs of a backlog give way: four for each live worker of the queue are under way, so that the others find it free.
      greatest(0, 4 * greatest(1, (
          select count(*) from workers w
          where a.queue = any (w.queues) and w.last_poll_at > clock_timestamp() - interval '30 s'))
        - (select count(*) from jobs b where b.queue = a.queue and b.state = 'published' and b.priority >= 200)
        - (select count(*) from jobs b where b.queue = a.queue and b.state = 'running' and b.priority >= 200))::integer
        as backlog_free
    from (select distinct queue from allowed) a
  ),
  share as (
    select greatest(4, p_limit / greatest(1, (select count(*) from allowed)))::integer as per_tenant
  ),
  candidates as (
    -- What has been due for a while is a backlog too: after an outage every tenant's work is old, and what comes up now would
    -- stand behind all of it. It keeps its own lane, so it moves on meanwhile.
    select c.tenant_id, c.id, a.queue, c.run_at,
      case when c.kind = 'ingest.drain_intake' and c.run_at < clock_timestamp() - interval '2 s'
        then greatest(c.priority, 200::smallint) else c.priority end as priority
    from allowed a
    join room r on r.queue = a.queue and r.free > 0
    cross join share s
    cross join lateral (
      select j.tenant_id, j.id, j.kind, j.priority, j.run_at from jobs j
      where j.state = 'scheduled' and j.queue = a.queue and j.tenant_id = a.tenant_id and j.run_at <= coalesce(p_now, clock_timestamp())
      order by j.run_at
      limit least(s.per_tenant, r.free)) c
  ),
  turns as (
    select c.*, row_number() over (partition by c.queue, c.tenant_id order by c.priority, c.run_at, c.id) as turn
    from candidates c
  ),
  lanes as (
    select t.*, row_number() over (partition by t.queue, t.priority >= 200 order by t.turn, t.run_at) as lane_place
    from turns t
  ),
  ranked as (
    select l.*, row_number() over (partition by l.queue order by l.turn, l.run_at) as place
    from lanes l join room r on r.queue = l.queue
    where l.priority < 200 or l.lane_place <= r.backlog_free
  ),
  chosen as (
    select k.tenant_id, k.id, k.priority from ranked k join room r on r.queue = k.queue
    where k.place <= r.free order by k.turn, k.run_at limit p_limit
  ),
  mine as (
    -- Locked only now: in a storm hundreds are looked at for the few that have room. What another relay takes it keeps, and
    -- what it took and a worker has put off since then is looked at as it is now: not due.
    select j.tenant_id, j.id, k.priority from chosen k join jobs j on j.tenant_id = k.tenant_id and j.id = k.id
    where j.state = 'scheduled' and j.run_at <= coalesce(p_now, clock_timestamp())
    for update of j skip locked
  )
  update jobs u set state = 'published', priority = c.priority, published_at = coalesce(p_now, clock_timestamp())
  from mine c where u.tenant_id = c.tenant_id and u.id = c.id
  returning u.tenant_id, u.id, u.queue, u.priority;
end
