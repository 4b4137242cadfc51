begin
  return query
  select t.id, t.name, t.expires_at from operator_tokens t where t.token_hash = p_hash and t.revoked_at is null;
end
