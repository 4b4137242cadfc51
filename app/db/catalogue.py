"""What the live catalogue says about tenant isolation. The tests run it, and production too, as a gauge.

It asks the migrated database, not the source text: a live catalogue cannot be fooled. Each question returns the relations
or objects that are wrong, in words; an empty answer is the only good one.

Source: PostgreSQL 18 documentation, "Row Security Policies" and the system catalogs.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

APP_ROLES = ("tocsin_app", "tocsin_system")

# Tables that hold no tenant's rows, each with its reason.
TABLES_WITHOUT_TENANT = {
    "alembic_version": "the schema's revision",
    "queue_pauses": "queues that the platform's operator has paused for everybody",
    "workers": "worker processes and their last poll",
    "backups": "one row: when the last backup was made",
    "operator_tokens": "platform operators' tokens; no grant to tocsin_app",
}
# The tenants table is its own tenant column.
TENANT_COLUMN = {"tenants": "id"}
# Uniques that do not begin with the tenant, each with its reason.
GLOBAL_UNIQUES = {
    "uq_api_tokens_token_hash": "hash of 256 random bits: the look-up happens before the tenant is known",
    "uq_tenants_slug": "chosen by the operator, who sees all tenants",
    "pk_tenants": "the tenant's own id",
    "uq_source_secrets_lookup": "keyed digest of a random key: the look-up happens before the tenant is known",
    "uq_sources_public_id": "random and unguessable: the look-up happens before the tenant is known",
}
DEFINER_FUNCTIONS = frozenset(
    {
        "claim_due",
        "count_storms",
        "create_operator_token",
        "expire_idempotency_keys",
        "expire_replay_keys",
        "find_operator_token",
        "find_source",
        "find_source_by_key",
        "find_token",
        "forget_quiet_groups",
        "forget_quiet_heads",
        "has_waiting_deliveries",
        "keep_delivery_partitions",
        "last_backup",
        "list_operator_tokens",
        "list_queue_pauses",
        "list_tenants",
        "list_workers",
        "claim_jobs",
        "move_stray_deliveries",
        "poll_published",
        "purge_deliveries",
        "purge_finished",
        "queue_stats",
        "read_intake_limits",
        "report_backup",
        "report_worker",
        "republish_stale",
        "revoke_operator_token",
        "set_queue_pause",
        "stray_deliveries",
        "sweep_expired",
        "sweep_intake",
    }
)
# Definer functions of the schema's owner, each with its reason; FORCE hides every row from it.
OWNER_FUNCTIONS = {"keep_delivery_partitions": "only the owner of a table can make and drop its partitions"}

_TENANT_RELATIONS = """
    select c.oid, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.reloptions,
      coalesce((select t.column_name
        from unnest(cast(:columns_of as text[]), cast(:columns as text[])) as t(table_name, column_name)
        where t.table_name = c.relname), 'tenant_id') as tenant_column
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind in ('r', 'p', 'm', 'v')
      and (c.relname = any (cast(:columns_of as text[])) or exists (
        select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped))
"""

UNPROTECTED = f"""
    with relation as ({_TENANT_RELATIONS}),
    policy as (
      select p.polrelid, p.polname, p.polpermissive, p.polcmd, p.polroles,
        pg_get_expr(p.polqual, p.polrelid) as uses, pg_get_expr(p.polwithcheck, p.polrelid) as checks
      from pg_policy p
    ),
    judged as (
      select r.relname, case
        when r.relkind = 'm' then 'is a materialized view over tenant rows'
        when r.relkind = 'v' and not coalesce('security_invoker=true' = any (r.reloptions), false)
          then 'is a view without security_invoker'
        when r.relkind = 'v' then null
        when not r.relrowsecurity then 'has no row level security'
        when not r.relforcerowsecurity then 'does not force row level security'
        when (select count(*) from policy p where p.polrelid = r.oid and not p.polpermissive) <> 1
          then 'has not exactly one restrictive policy'
        when (select count(*) from policy p where p.polrelid = r.oid and p.polpermissive) <> 1
          then 'has not exactly one permissive policy'
        when exists (select 1 from policy p where p.polrelid = r.oid and (p.polcmd <> '*' or p.polroles <> array[0::oid]
          or p.uses is null or p.checks is null
          or regexp_replace(p.uses, '[[:space:]]', '', 'g') <> format(
            '(%s=(SELECT(NULLIF(current_setting(''app.current_tenant_id''::text,true),''''::text))::uuidAS"nullif"))',
            r.tenant_column)
          or p.checks <> p.uses))
          then 'has a policy that is not the tenant comparison'
        end as fault
      from relation r
    )
    select relname || ' ' || fault from judged where fault is not null order by 1
"""

WITHOUT_TENANT = f"""
    select c.relname || ' has no tenant_id and is not on the list' from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind in ('r', 'p')
      and c.oid not in (select oid from ({_TENANT_RELATIONS}) tenant_relation)
      and c.relname <> all (cast(:without_tenant as text[])) order by 1
"""

LOOSE_UNIQUES = f"""
    select i.relname || ' on ' || r.relname || ' is unique across tenants' from ({_TENANT_RELATIONS}) r
    join pg_index x on x.indrelid = r.oid join pg_class i on i.oid = x.indexrelid
    left join pg_attribute a on a.attrelid = r.oid and a.attnum = x.indkey[0]
    where (x.indisunique or x.indisexclusion) and coalesce(a.attname, '') <> r.tenant_column
      and i.relname <> all (cast(:global_uniques as text[])) order by 1
"""

LOOSE_KEYS = f"""
    select k.conname || ' on ' || r.relname || ' can refer to another tenant' from pg_constraint k
    join ({_TENANT_RELATIONS}) r on r.oid = k.conrelid join ({_TENANT_RELATIONS}) f on f.oid = k.confrelid
    where k.contype = 'f' and not exists (
      select 1 from unnest(k.conkey, k.confkey) as pair(ours, theirs)
      join pg_attribute a on a.attrelid = k.conrelid and a.attnum = pair.ours
      join pg_attribute b on b.attrelid = k.confrelid and b.attnum = pair.theirs
      where a.attname = r.tenant_column and b.attname = f.tenant_column) order by 1
"""

TOO_MUCH_RIGHT = """
    select r.rolname || ' owns ' || c.relname from pg_class c join pg_roles r on r.oid = c.relowner
    where r.rolname = any (cast(:roles as text[]))
    union all
    select rolname || ' is a superuser or bypasses row level security' from pg_roles
    where rolname = any (cast(:roles as text[])) and (rolsuper or rolbypassrls)
    union all
    -- From the access lists themselves: information_schema shows a role only its own grants.
    select coalesce(nullif(g.grantee, ''), 'PUBLIC') || ' may ' || lower(g.privilege_type) || ' ' || g.relname from (
      select c.relname, a.privilege_type, case when a.grantee = 0 then '' else pg_get_userbyid(a.grantee) end as grantee
      from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a
      where n.nspname = 'public' and c.relkind in ('r', 'p', 'v', 'm', 'S')) g
    where g.grantee in ('', 'tocsin_system')
      or (g.grantee = 'tocsin_app' and g.privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE'))
      or (g.grantee = 'tocsin_backup' and g.privilege_type <> 'SELECT')
    union all
    -- Its own policies hold, but its statistics would show other tenants' values; only the parent is named.
    select pg_get_userbyid(a.grantee) || ' may ' || lower(a.privilege_type) || ' the partition ' || c.relname
    from pg_class c, aclexplode(c.relacl) a where c.relispartition and pg_get_userbyid(a.grantee) = any (cast(:roles as text[]))
    union all
    select n.nspname || '.' || p.proname || ' is a SECURITY DEFINER function that is not on the list' from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    where p.prosecdef and not (n.nspname = 'tocsin_private' and p.proname = any (cast(:definer_functions as text[])))
    union all
    select p.proname || ' may be executed by ' || coalesce(nullif(pg_get_userbyid(a.grantee), 'unknown (OID=0)'), 'everybody')
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace, aclexplode(p.proacl) a
    where n.nspname = 'tocsin_private'
      and pg_get_userbyid(a.grantee) not in ('tocsin_system', 'tocsin_definer', 'tocsin_owner')
    union all
    select p.proname || ' runs as ' || pg_get_userbyid(p.proowner) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'tocsin_private' and p.prosecdef and pg_get_userbyid(p.proowner) <>
      case when p.proname = any (cast(:owner_functions as text[])) then 'tocsin_owner' else 'tocsin_definer' end
    union all
    select p.proname || ' does not fix its search_path' from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'tocsin_private' and p.prosecdef
      and not coalesce(array_to_string(p.proconfig, ',') like '%search_path=%', false)
    order by 1
"""

QUESTIONS = {
    "unprotected": UNPROTECTED,
    "without_tenant": WITHOUT_TENANT,
    "loose_uniques": LOOSE_UNIQUES,
    "loose_keys": LOOSE_KEYS,
    "too_much_right": TOO_MUCH_RIGHT,
}


@dataclass(frozen=True)
class Finding:
    """Something that breaks isolation: which question found it, and what it is."""

    question: str
    what: str


async def examine(connection: AsyncConnection) -> list[Finding]:
    """This will ask the five questions; any role that may read the catalogue can."""
    values = {
        "columns_of": list(TENANT_COLUMN),
        "columns": list(TENANT_COLUMN.values()),
        "without_tenant": list(TABLES_WITHOUT_TENANT),
        "global_uniques": list(GLOBAL_UNIQUES),
        "roles": list(APP_ROLES),
        "definer_functions": sorted(DEFINER_FUNCTIONS),
        "owner_functions": sorted(OWNER_FUNCTIONS),
    }
    findings: list[Finding] = []
    for question, statement in QUESTIONS.items():
        needed = {name: value for name, value in values.items() if f":{name} " in statement or f":{name})" in statement}
        rows = await connection.execute(text(statement), needed)
        findings += [Finding(question, what) for what in rows.scalars()]
    return findings


async def tenant_tables(connection: AsyncConnection) -> dict[str, str]:
    """This will return each tenant table with the name of its tenant column; partitions are part of their parent."""
    statement = (
        f"select r.relname, r.tenant_column from ({_TENANT_RELATIONS}) r join pg_class c on c.oid = r.oid"
        " where r.relkind in ('r', 'p') and not c.relispartition order by 1"
    )
    rows = await connection.execute(
        text(statement), {"columns_of": list(TENANT_COLUMN), "columns": list(TENANT_COLUMN.values())}
    )
    return {row[0]: row[1] for row in rows.all()}
