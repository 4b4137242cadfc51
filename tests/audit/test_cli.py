"""``tocsin audit verify``: its exit status and its words are for scripts and people."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from app.audit.service import Deed, record_many
from app.core.actor import Actor
from app.core.clock import FakeClock
from app.db.engine import Database
from app.db.tenancy import tenant_session
from tests.fixtures.database import PostgresServer, make_tenant

ACTOR = Actor.system("test")


async def test_verify_on_the_command_line_exits_by_what_it_finds(
    postgres: PostgresServer, scratch_database: Database, scratch_name: str, clock: FakeClock
) -> None:
    tenant = await make_tenant(scratch_database)
    deeds = [Deed(actor=ACTOR, action="thing.done", subject=f"thing:{number}") for number in range(5)]
    async with tenant_session(scratch_database, tenant) as session:
        await record_many(session, deeds, now=clock.now())
    whole = await tocsin(postgres, scratch_name, "audit", "verify")
    assert (whole[0], "whole, 5 entries" in whole[1]) == (0, True), whole
    async with postgres.superuser(scratch_name) as connection:
        await connection.execute("delete from audit_entries where seq = 2")
    broken = await tocsin(postgres, scratch_name, "audit", "verify", "--tenant", str(tenant))
    assert (broken[0], "BROKEN, entry 2 is missing" in broken[1]) == (1, True), broken


async def tocsin(postgres: PostgresServer, name: str, *arguments: str) -> tuple[int, str]:
    """Run the command line on a database and return its status and what it said."""
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
