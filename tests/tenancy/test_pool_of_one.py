"""One connection, many tenants, requests cancelled and backends killed at random: never a foreign row."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core.ids import TenantId
from app.db.engine import Database
from app.db.jobs.queue import enqueue
from app.db.tenancy import DatabaseUnavailable, tenant_session
from tests.fixtures.database import PostgresServer, make_tenant
from tests.jobs.conftest import Note

ROUNDS = 120


async def visit(database: Database, tenant: TenantId, rng: random.Random) -> None:
    """One request: it writes and reads in several statements, so that there is something to interrupt."""
    async with tenant_session(database, tenant) as session:
        await enqueue(session, Note(text=str(tenant)))
        await asyncio.sleep(rng.choice([0, 0, 0.0005]))
        seen = (await session.execute(text("select tenant_id from jobs limit 50"))).scalars().all()
        assert set(seen) <= {tenant}, "a row of another tenant"
        await session.execute(text("select pg_sleep(0.002)"))


async def assert_clean(database: Database) -> None:
    async with database.app.connect() as connection:
        setting = await connection.execute(text("select current_setting('app.current_tenant_id', true)"))
        assert setting.scalar_one() in ("", None)
        # A transaction left open by an earlier request would be older than this statement.
        age = await connection.execute(text("select clock_timestamp() - now() < interval '1 second'"))
        assert age.scalar_one() is True


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_cancelled_requests_leave_the_only_connection_clean(
    postgres: PostgresServer, scratch_name: str, seed: int
) -> None:
    rng = random.Random(seed)
    database = Database.from_settings(postgres.settings_for(scratch_name, pool_size=1, pool_overflow=0, pool_wait_s=5))
    tenants = [await make_tenant(database) for _ in range(3)]
    cancelled = 0
    for number in range(ROUNDS):
        request = asyncio.create_task(visit(database, tenants[number % 3], rng))
        if rng.random() < 0.5:
            await asyncio.sleep(rng.uniform(0, 0.006))
            request.cancel()
        try:
            await request
        except asyncio.CancelledError:
            cancelled += 1
            await assert_clean(database)
    assert cancelled > ROUNDS / 10, "too few were cancelled to prove anything"
    for tenant in tenants:
        async with tenant_session(database, tenant) as session:
            found = (await session.execute(text("select payload ->> 'text' from jobs"))).scalars().all()
        assert set(found) <= {str(tenant)}
    await database.dispose()


async def test_a_backend_killed_between_statements_is_replaced(postgres: PostgresServer, scratch_name: str) -> None:
    database = Database.from_settings(postgres.settings_for(scratch_name, pool_size=1, pool_overflow=0, pool_wait_s=5))
    first, second = await make_tenant(database), await make_tenant(database)
    for number in range(8):
        with contextlib.suppress(DBAPIError, DatabaseUnavailable):
            async with tenant_session(database, first) as session:
                await enqueue(session, Note(text="must vanish"))
                async with postgres.superuser() as connection:
                    await connection.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1"
                        " and application_name = 'tocsin-app'",
                        scratch_name,
                    )
                await session.execute(text("select 1"))
        async with tenant_session(database, second) as session:
            assert (await session.execute(text("select 1 from jobs"))).all() == [], f"round {number}"
    await assert_clean(database)
    async with tenant_session(database, first) as session:
        assert (await session.execute(text("select 1 from jobs"))).all() == [], "an unfinished request left a row"
    await database.dispose()
