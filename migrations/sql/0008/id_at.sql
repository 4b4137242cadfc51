-- The smallest UUIDv7 of a moment: 48 bits of milliseconds, then zeros.
select encode(substring(int8send(floor(extract(epoch from p_at) * 1000)::bigint) from 3)
  || '\x00000000000000000000'::bytea, 'hex')::uuid
