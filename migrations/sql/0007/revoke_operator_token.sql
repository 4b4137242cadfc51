begin
  update operator_tokens t set revoked_at = p_now where t.id = p_id and t.revoked_at is null;
  return found;
end
