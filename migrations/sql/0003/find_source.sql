#variable_conflict use_column
begin
  return query
  select s.tenant_id, s.id, s.kind, s.profile, s.state, cast(s.config ->> 'replay_window_s' as integer),
    coalesce(array_agg(k.id order by k.created_at) filter (where k.id is not null), '{}'),
    coalesce(array_agg(k.ciphertext order by k.created_at) filter (where k.id is not null), '{}'),
    coalesce(array_agg(k.expires_at order by k.created_at) filter (where k.id is not null), '{}')
  from sources s
  left join source_secrets k on k.tenant_id = s.tenant_id and k.source_id = s.id
  where s.public_id = p_public_id
  group by s.tenant_id, s.id;
end
