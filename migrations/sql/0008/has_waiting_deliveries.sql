begin
  return exists (
    select 1 from deliveries d
    where d.state = 'accepted' and (p_from is null or d.id >= p_from) and d.id < p_to);
end
