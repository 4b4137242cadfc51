declare
  match constant text := 'tenant_id = (select nullif(current_setting(''app.current_tenant_id'', true), '''')::uuid)';
begin
  -- A partition's own policies hold for whoever names it; through the parent the parent's do. The application gets no
  -- right to it at all: it only ever names the parent.
  execute format('alter table %s enable row level security', p_table);
  execute format('alter table %s force row level security', p_table);
  execute format(
    'create policy tenant_isolation on %s as restrictive for all to public using (%s) with check (%s)', p_table, match, match);
  execute format(
    'create policy tenant_rows on %s as permissive for all to public using (%s) with check (%s)', p_table, match, match);
  execute format('grant select on %s to tocsin_backup', p_table);
  execute format('grant select, insert, update, delete on %s to tocsin_definer', p_table);
end
