"""The migrations: one line of them, whole from empty, equal to the models, and undoable."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from app.db.base import Base
from app.db.migrate import ROOT, alembic_config, downgrade, upgrade
from app.db.partitions import is_model
from tests.fixtures.database import PostgresServer


@pytest.fixture
async def empty_database(postgres: PostgresServer) -> AsyncIterator[str]:
    """The owner's URL of a database without a single table."""
    name = "migrations_empty"
    async with postgres.superuser() as connection:
        await connection.execute(f'drop database if exists "{name}" with (force)')
        await connection.execute(f'create database "{name}" owner tocsin_owner')
    yield postgres.server.url_for("tocsin_owner", database=name)
    await postgres.drop(name)


async def tables_of(url: str) -> set[str]:
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        found = await connection.exec_driver_sql("select tablename from pg_tables where schemaname = 'public'")
        names = {row[0] for row in found.all()}
    await engine.dispose()
    return names


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory.from_config(alembic_config("")).get_heads()) == 1


async def test_the_models_say_what_the_migrations_made(postgres: PostgresServer, scratch_name: str) -> None:
    def compare(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_name": is_model})
        return list(compare_metadata(context, Base.metadata))

    engine = create_async_engine(postgres.server.url_for("tocsin_owner", database=scratch_name))
    async with engine.connect() as connection:
        differences = await connection.run_sync(compare)
    await engine.dispose()
    assert differences == []


async def test_down_to_nothing_and_up_again(empty_database: str) -> None:
    await asyncio.to_thread(upgrade, empty_database)
    full = await tables_of(empty_database)
    assert {"jobs", "effects"} <= full
    await asyncio.to_thread(downgrade, empty_database, "base")
    assert await tables_of(empty_database) == {"alembic_version"}
    await asyncio.to_thread(upgrade, empty_database)
    assert await tables_of(empty_database) == full


async def test_each_step_can_be_taken_back_alone(empty_database: str) -> None:
    script = ScriptDirectory.from_config(alembic_config(""))
    revisions = [revision.revision for revision in reversed(list(script.walk_revisions()))]
    for revision in revisions:
        await asyncio.to_thread(upgrade, empty_database, revision)
        await asyncio.to_thread(downgrade, empty_database, "-1")
        await asyncio.to_thread(upgrade, empty_database, revision)


async def test_two_migrations_at_once_wait_for_each_other(empty_database: str) -> None:
    # Two processes, as two pods of a deployment: alembic's context is a module's global.
    async def migrate() -> int:
        command = [sys.executable, "-m", "alembic", "-c", str(ROOT / "alembic.ini"), "upgrade", "head"]
        environment = {**os.environ, "TOCSIN_DATABASE__OWNER_URL": empty_database}
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment)
        return await process.wait()

    assert list(await asyncio.gather(migrate(), migrate())) == [0, 0]
    assert "jobs" in await tables_of(empty_database)
