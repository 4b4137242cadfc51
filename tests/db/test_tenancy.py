"""``tenant_session`` sets, commits and cleans up; nothing of one tenant is left for the next."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from app.core.ids import TenantId, new_id
from app.db.engine import Database
from app.db.jobs.queue import enqueue
from app.db.system import system_session
from app.db.tenancy import DatabaseUnavailable, NotCommitted, tenant_session
from tests.fixtures.database import PostgresServer
from tests.fixtures.wait import wait_until
from tests.jobs.conftest import Note

SLEEPING = "select 1 from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
CURRENT = text("select current_setting('app.current_tenant_id', true)")


async def test_the_tenant_holds_for_one_transaction_only(database: Database, tenant_id: TenantId) -> None:
    async with tenant_session(database, tenant_id) as session:
        assert (await session.execute(CURRENT)).scalar_one() == str(tenant_id)
    async with database.app.connect() as connection:
        assert (await connection.execute(CURRENT)).scalar_one() in ("", None)


async def test_another_tenants_rows_are_not_there(
    database: Database, tenant_id: TenantId, other_tenant_id: TenantId
) -> None:
    async with tenant_session(database, tenant_id) as session:
        job_id = await enqueue(session, Note())
    for statement in ("select 1 from jobs where id = :id", "update jobs set error = 'x' where id = :id returning 1"):
        async with tenant_session(database, other_tenant_id) as session:
            assert (await session.execute(text(statement), {"id": job_id})).all() == []


async def test_a_row_for_another_tenant_is_refused(
    database: Database, tenant_id: TenantId, other_tenant_id: TenantId
) -> None:
    async with tenant_session(database, tenant_id) as session:
        session.tenant_id = other_tenant_id
        with pytest.raises(DBAPIError, match="row-level security"):
            await enqueue(session, Note())
        await session.rollback()


async def test_work_after_the_block_is_refused(database: Database, tenant_id: TenantId) -> None:
    async with tenant_session(database, tenant_id) as session:
        pass
    with pytest.raises(InvalidRequestError):
        await session.execute(CURRENT)


async def test_the_system_role_reads_no_table(database: Database) -> None:
    async with system_session(database, reason="test") as session:
        with pytest.raises(DBAPIError, match=r"does not exist|permission denied"):
            await session.execute(text("select 1 from jobs"))
        await session.rollback()


async def test_no_free_connection_is_unavailable_not_a_hang(postgres: PostgresServer, database_name: str) -> None:
    tight = postgres.settings_for(database_name, pool_size=1, pool_overflow=0, pool_wait_s=0.1)
    database = Database.from_settings(tight)
    tenant = TenantId(new_id())
    async with tenant_session(database, tenant):
        with pytest.raises(DatabaseUnavailable):
            async with tenant_session(database, tenant):
                raise AssertionError("there is no second connection")
    await database.dispose()


async def test_a_server_that_is_not_there_is_unavailable(postgres: PostgresServer) -> None:
    settings = postgres.settings_for("no_such_database")
    database = Database.from_settings(settings)
    with pytest.raises(DatabaseUnavailable):
        async with tenant_session(database, TenantId(new_id())):
            raise AssertionError("there is no such database")
    await database.dispose()


async def test_a_cancelled_request_leaves_the_only_connection_clean(
    postgres: PostgresServer, database_name: str
) -> None:
    database = Database.from_settings(postgres.settings_for(database_name, pool_size=1, pool_overflow=0))
    first, second = TenantId(new_id()), TenantId(new_id())

    async def slow() -> None:
        async with tenant_session(database, first) as session:
            await enqueue(session, Note(text="must vanish"))
            await session.execute(text("select pg_sleep(30)"))

    task = asyncio.create_task(slow())
    async with postgres.superuser(database_name) as watcher:
        await wait_until(lambda: watcher.fetchval(SLEEPING), what="the statement is under way")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with tenant_session(database, second) as session:
        assert (await session.execute(CURRENT)).scalar_one() == str(second)
        assert (await session.execute(text("select 1 from jobs"))).all() == []
    await database.dispose()


async def test_a_failed_statement_that_is_passed_over_does_not_look_committed(
    database: Database, tenant_id: TenantId
) -> None:
    async def pass_over() -> None:
        async with tenant_session(database, tenant_id) as session:
            await enqueue(session, Note(text="passed over"))
            with pytest.raises(DBAPIError):
                await session.execute(text("select 1/0"))

    with pytest.raises(NotCommitted):
        await pass_over()
    async with tenant_session(database, tenant_id) as session:
        assert (await session.execute(text("select count(*) from jobs"))).scalar_one() == 0
