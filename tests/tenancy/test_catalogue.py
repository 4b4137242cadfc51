"""The live catalogue is clean, and each way of weakening it is found."""

from __future__ import annotations

import pytest

from app.db.catalogue import Finding, examine, tenant_tables
from app.db.engine import Database
from tests.fixtures.database import PostgresServer


async def findings_of(database: Database) -> list[Finding]:
    async with database.app.connect() as connection:
        return await examine(connection)


async def test_the_migrated_database_has_no_hole(database: Database) -> None:
    assert await findings_of(database) == []


async def test_the_tables_that_hold_tenants_rows_are_seen(database: Database) -> None:
    async with database.app.connect() as connection:
        tables = await tenant_tables(connection)
    assert {"jobs", "effects", "incidents", "alerts", "deliveries", "sources", "api_tokens", "audit_entries"} <= set(
        tables
    )
    assert tables["tenants"] == "id"


MUTATIONS = {
    "force is dropped": ("alter table jobs no force row level security", "unprotected", "jobs"),
    "row level security is off": ("alter table incidents disable row level security", "unprotected", "incidents"),
    "the restrictive policy is dropped": ("drop policy tenant_isolation on alerts", "unprotected", "alerts"),
    "a stray permissive policy": ("create policy open on jobs using (true)", "unprotected", "jobs"),
    "a policy that allows when unset": (
        "alter policy tenant_isolation on jobs using (tenant_id = nullif(current_setting('app.current_tenant_id', true),"
        " '')::uuid or current_setting('app.current_tenant_id', true) is null)",
        "unprotected",
        "jobs",
    ),
    "a policy without a check": (
        "drop policy tenant_rows on jobs; create policy tenant_rows on jobs using (tenant_id = (select "
        "nullif(current_setting('app.current_tenant_id', true), '')::uuid))",
        "unprotected",
        "jobs",
    ),
    "a new table without a policy": ("create table leak (tenant_id uuid, id uuid)", "unprotected", "leak"),
    "a view of the owner's": ("create view leak as select * from jobs", "unprotected", "leak"),
    "a materialized view": ("create materialized view leak as select * from jobs", "unprotected", "leak"),
    "a new table without a tenant": ("create table leak (id uuid)", "without_tenant", "leak"),
    "a unique without the tenant": ("create unique index leak on incidents (title)", "loose_uniques", "leak"),
    "a key without the tenant": (
        "create unique index parent on incidents (id); alter table alerts add constraint leak foreign key (incident_id)"
        " references incidents (id)",
        "loose_keys",
        "leak",
    ),
    "a granted truncate": ("grant truncate on jobs to tocsin_app", "too_much_right", "truncate jobs"),
    "a table of the system role's": (
        "grant select on jobs to tocsin_system",
        "too_much_right",
        "tocsin_system may select",
    ),
    "a new definer function": (
        "create function public.leak() returns bigint language sql security definer as 'select count(*) from jobs'",
        "too_much_right",
        "public.leak",
    ),
    "a definer function for everybody": (
        "grant execute on function tocsin_private.list_tenants(uuid, integer) to public",
        "too_much_right",
        "list_tenants",
    ),
    "a role that bypasses": ("alter role tocsin_app bypassrls", "too_much_right", "bypasses row level security"),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
async def test_each_weakening_is_found(postgres: PostgresServer, scratch_name: str, mutation: str) -> None:
    statement, question, what = MUTATIONS[mutation]
    weakened = Database.from_settings(postgres.settings_for(scratch_name))
    async with postgres.superuser(scratch_name) as connection:
        try:
            await connection.execute(statement)
            findings = await findings_of(weakened)
        finally:
            await connection.execute("alter role tocsin_app nobypassrls")
            await weakened.dispose()
    assert any(finding.question == question and what in finding.what for finding in findings), findings
