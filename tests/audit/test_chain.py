"""The audit chain is whole, and says where it is not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.audit.service import Deed, VerifyReport, record, record_many, verify_chain
from app.core.actor import Actor
from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.db.engine import Database
from app.db.tenancy import tenant_session
from tests.fixtures.database import PostgresServer, make_tenant

ACTOR = Actor.system("test")


async def write(database: Database, tenant: TenantId, clock: FakeClock, count: int = 5) -> None:
    deeds = [Deed(actor=ACTOR, action="thing.done", subject=f"thing:{number}") for number in range(count)]
    async with tenant_session(database, tenant) as session:
        await record_many(session, deeds, now=clock.now())


async def verify(database: Database, tenant: TenantId) -> VerifyReport:
    async with tenant_session(database, tenant) as session:
        return await verify_chain(session)


async def test_a_chain_is_whole(database: Database, tenant_id: TenantId, clock: FakeClock) -> None:
    await write(database, tenant_id, clock)
    await write(database, tenant_id, clock, 3)
    assert await verify(database, tenant_id) == VerifyReport(8, None)


async def test_an_empty_chain_is_whole(database: Database, tenant_id: TenantId) -> None:
    assert await verify(database, tenant_id) == VerifyReport(0, None)


async def test_a_deed_that_fails_leaves_no_entry_and_no_gap(
    database: Database, tenant_id: TenantId, clock: FakeClock
) -> None:
    await write(database, tenant_id, clock, 1)
    with pytest.raises(ZeroDivisionError):
        await _fail(database, tenant_id, clock)
    await write(database, tenant_id, clock, 1)
    assert await verify(database, tenant_id) == VerifyReport(2, None)


async def _fail(database: Database, tenant_id: TenantId, clock: FakeClock) -> None:
    async with tenant_session(database, tenant_id) as session:
        await record(session, actor=ACTOR, action="a", subject="s", detail={}, now=clock.now())
        raise ZeroDivisionError


async def test_many_writers_at_once_leave_no_gap(database: Database, tenant_id: TenantId, clock: FakeClock) -> None:
    await asyncio.gather(*(write(database, tenant_id, clock, 2) for _ in range(12)))
    assert await verify(database, tenant_id) == VerifyReport(24, None)


DAMAGE = {
    "an entry is changed": ("update audit_entries set detail = '{\"x\": 1}' where seq = 3", "entry 3 was changed"),
    "an actor is changed": ("update audit_entries set actor_name = 'nobody' where seq = 2", "entry 2 was changed"),
    "an entry is taken out": ("delete from audit_entries where seq = 2", "entry 2 is missing"),
    "the end is cut off": ("delete from audit_entries where seq > 3", "ends at entry 3, but 5 were written"),
    "the end is cut off and the head moved": (
        "delete from audit_entries where seq > 3; update audit_heads set seq = 3",
        "entry 3 is not the one that was written last",
    ),
    "two entries change places": (
        "update audit_entries set seq = seq + 100 where seq in (2, 3);"
        " update audit_entries set seq = case seq when 102 then 3 else 2 end where seq > 100",
        "entry 2 does not follow",
    ),
    "an entry is changed and hashed anew": (
        "update audit_entries set subject = 'x', hash = sha256('x'::bytea) where seq = 5",
        "entry 5 was changed",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_each_damage_is_found(
    postgres: PostgresServer, scratch_database: Database, scratch_name: str, clock: FakeClock, damage: str
) -> None:
    statement, found = DAMAGE[damage]
    tenant = await make_tenant(scratch_database)
    await write(scratch_database, tenant, clock)
    async with postgres.superuser(scratch_name) as connection:
        await connection.execute(statement)
    report = await verify(scratch_database, tenant)
    assert report.broken is not None
    assert found in report.broken


@pytest.mark.parametrize("statement", ["update audit_entries set action = 'x'", "delete from audit_entries"])
async def test_the_application_cannot_change_its_own_trail(
    database: Database, tenant_id: TenantId, clock: FakeClock, statement: str
) -> None:
    await write(database, tenant_id, clock)
    async with tenant_session(database, tenant_id) as session:
        with pytest.raises(DBAPIError, match="permission denied"):
            await session.execute(text(statement))
        await session.rollback()


async def test_verify_on_the_command_line_exits_by_what_it_finds(
    postgres: PostgresServer, scratch_database: Database, scratch_name: str, clock: FakeClock
) -> None:
    tenant = await make_tenant(scratch_database)
    await write(scratch_database, tenant, clock)
    whole = await tocsin(postgres, scratch_name, "audit", "verify")
    assert (whole[0], "whole, 5 entries" in whole[1]) == (0, True), whole
    async with postgres.superuser(scratch_name) as connection:
        await connection.execute("delete from audit_entries where seq = 2")
    broken = await tocsin(postgres, scratch_name, "audit", "verify", "--tenant", str(tenant))
    assert (broken[0], "BROKEN, entry 2 is missing" in broken[1]) == (1, True), broken


async def tocsin(postgres: PostgresServer, name: str, *arguments: str) -> tuple[int, str]:
    """Run the command line on a database and return its status and what it said."""
    import os
    import sys

    settings = postgres.settings_for(name)
    environment: dict[str, Any] = {
        **os.environ,
        "TOCSIN_DATABASE__APP_URL": settings.app_url.get_secret_value(),
        "TOCSIN_DATABASE__SYSTEM_URL": settings.system_url.get_secret_value(),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from app.cli import main; main()",
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()
