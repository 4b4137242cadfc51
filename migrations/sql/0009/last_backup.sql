begin
  return query select b.taken_at, b.size_bytes from backups b;
end
