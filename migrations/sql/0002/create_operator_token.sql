begin
  insert into operator_tokens (id, name, token_hash, expires_at) values (p_id, p_name, p_hash, p_expires_at);
end
