begin
  insert into backups (id, taken_at, size_bytes) values (1, p_taken_at, p_size_bytes)
  on conflict (id) do update set taken_at = excluded.taken_at, size_bytes = excluded.size_bytes, reported_at = now()
  where backups.taken_at < excluded.taken_at;
end
