#variable_conflict use_column
begin
  return query
  select t.tenant_id, t.id, t.role, t.name, t.expires_at, n.state
  from api_tokens t join tenants n on n.id = t.tenant_id
  where t.token_hash = p_hash and t.revoked_at is null and n.state <> 'deleted';
end
