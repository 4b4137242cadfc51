#variable_conflict use_column
declare
  lost record;
  ending text;
begin
  for lost in
    select j.tenant_id, j.id, j.kind, j.attempt, j.max_attempts from jobs j
    where j.state = 'running' and j.lease_until < p_now
    order by j.lease_until limit p_limit for update skip locked
  loop
    if lost.attempt >= lost.max_attempts then
      ending := 'dead';
      update jobs u set state = 'dead', finished_at = p_now, lease_until = null,
        error = 'the worker was lost on the last attempt: its lease ran out'
      where u.tenant_id = lost.tenant_id and u.id = lost.id;
    else
      begin
        ending := 'scheduled';
        update jobs u set state = 'scheduled', lease_until = null, published_at = null,
          run_at = p_now + make_interval(secs => least(60, power(2, lost.attempt - 1)) * (0.5 + random() / 2)),
          error = 'the worker was lost: its lease ran out'
        where u.tenant_id = lost.tenant_id and u.id = lost.id;
      exception when unique_violation then
        -- A newer job of the same unique key is already scheduled and will do this one's work.
        ending := 'cancelled';
        update jobs u set state = 'cancelled', finished_at = p_now, lease_until = null,
          error = 'superseded by a newer job of the same key'
        where u.tenant_id = lost.tenant_id and u.id = lost.id;
      end;
    end if;
    tenant_id := lost.tenant_id; id := lost.id; kind := lost.kind; outcome := ending;
    return next;
  end loop;
end
