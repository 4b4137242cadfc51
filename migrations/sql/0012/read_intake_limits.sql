  with asked as (
    select a.tenant_id, a.cap from unnest(p_tenants, p_caps) as a(tenant_id, cap)
  ), used as (
    -- The last sixty seconds out of two calendar minutes, as if the earlier one's alerts had come evenly.
    select u.tenant_id, u.source_id,
      case date_trunc('minute', clock_timestamp()) - u.minute
        when interval '0' then u.alerts + u.alerts_before * (60 - extract(second from clock_timestamp())) / 60
        when interval '1 minute' then u.alerts * (60 - extract(second from clock_timestamp())) / 60
        else 0
      end as alerts
    from asked a join intake_usage u on u.tenant_id = a.tenant_id
    where u.minute > clock_timestamp() - interval '2 minutes'
  )
  select a.tenant_id, cast(null as uuid), coalesce(t.limits, '{}'),
    cast(coalesce((select sum(u.alerts) from used u where u.tenant_id = a.tenant_id), 0) as bigint),
    -- Counted no further than the cap, and not at all where it is null.
    case when a.cap is null then null else (
      select count(*) from (
        select 1 from deliveries d where d.tenant_id = a.tenant_id and d.state = 'accepted' limit a.cap) c) end
  from asked a left join tenant_limits t on t.tenant_id = a.tenant_id
  union all
  select s.tenant_id, s.id, s.limits, cast(coalesce(u.alerts, 0) as bigint), null
  from asked a join sources s on s.tenant_id = a.tenant_id and s.state <> 'deleted'
  left join used u on u.tenant_id = s.tenant_id and u.source_id = s.id
  where s.limits <> '{}' or u.alerts > 0
