#variable_conflict use_column
begin
  return query
  select t.id, t.name, t.created_at, t.expires_at, t.revoked_at from operator_tokens t order by t.id desc limit p_limit;
end
