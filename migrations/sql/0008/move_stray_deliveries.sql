declare
  moved bigint;
begin
  execute format('with gone as (delete from public.deliveries_strays where id >= $1 and id < $2 returning *) '
    'insert into %s select * from gone', p_into) using p_from, p_to;
  get diagnostics moved = row_count;
  return moved;
end
