begin
  return (select count(*) from (select 1 from deliveries_strays limit p_cap) s);
end
