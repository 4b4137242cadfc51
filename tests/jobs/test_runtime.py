"""A worker has its connections ready before a storm, and takes none from those who work."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.pool import QueuePool

from app.core.resources import Resources
from app.db.engine import Database
from app.settings import Settings
from tests.fixtures.database import PostgresServer
from tests.fixtures.wait import wait_until
from workers import runtime
from workers.runtime import WorkerRuntime


async def test_connections_are_opened_while_nobody_works(
    resources: Resources, postgres: PostgresServer, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "SETTLE_S", 0.0)
    monkeypatch.setattr(runtime, "POLL_S", 0.0)
    database = Database.from_settings(postgres.settings_for(database_name, pool_size=3))
    pool = database.app.pool
    assert isinstance(pool, QueuePool)
    worker = WorkerRuntime(resources.get(Settings), queues=["intake"], concurrency=2)
    worker._database = database
    job: asyncio.Task[object] = asyncio.create_task(asyncio.sleep(3600))
    worker._running.add(job)
    keeping = asyncio.create_task(worker._keep_open())
    try:
        for _ in range(50):
            await asyncio.sleep(0)
        assert pool.checkedin() + pool.checkedout() == 0
        worker._running.clear()

        async def ready() -> bool:
            return pool.checkedin() == 3

        await wait_until(ready, what="the connections that are kept are open")
    finally:
        keeping.cancel()
        job.cancel()
        await asyncio.gather(keeping, job, return_exceptions=True)
        await database.dispose()
        worker._loop.close()
