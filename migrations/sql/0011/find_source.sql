#variable_conflict use_column
begin
  return query
  select s.tenant_id, s.id, s.kind, s.profile, p.document,
    -- An isolated tenant's senders are asked to come back: nothing is taken in, and nothing they keep is lost.
    case when t.state = 'isolated' and s.state = 'active' then 'paused' else s.state end, cast(s.config ->> 'replay_window_s' as integer),
    coalesce(array_agg(k.id order by k.created_at) filter (where k.id is not null), '{}'),
    coalesce(array_agg(k.ciphertext order by k.created_at) filter (where k.id is not null), '{}'),
    coalesce(array_agg(k.expires_at order by k.created_at) filter (where k.id is not null), '{}')
  from sources s
  join tenants t on t.id = s.tenant_id and t.state <> 'deleted'
  left join source_secrets k on k.tenant_id = s.tenant_id and k.source_id = s.id
  left join source_profiles p on p.tenant_id = s.tenant_id and p.source_id = s.id
  where s.public_id = p_public_id
  group by s.tenant_id, s.id, t.state, p.document;
end
