begin
  return (
    select s.public_id from source_secrets k
    join sources s on s.tenant_id = k.tenant_id and s.id = k.source_id
    where k.lookup = p_lookup
  );
end
