#variable_conflict use_column
begin
  return query
  select t.id, t.slug, t.name, t.state, t.created_at from tenants t
  where p_after is null or t.id > p_after order by t.id limit p_limit;
end
