"""A single alert is worked on before backlogs: who has the way in a worker, and who waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from app.core import breath
from app.core.breath import RightOfWay
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.jobs.queue import enqueue
from app.db.tenancy import tenant_session
from app.ingest import jobs
from app.ingest.batches import store_batch
from app.ingest.service import processing
from app.settings import Settings
from tests.factories.ingest import committed_source, make_intake
from tests.fixtures.jobs import make_runner, run_jobs
from workers.runner import GAVE_WAY, Outcome


@pytest.mark.parametrize(("deliveries", "gives_way"), [(1, False), (5, True)])
async def test_a_full_first_batch_gives_up_the_right_of_way(
    scratch_resources: Resources,
    tenant: TenantId,
    monkeypatch: pytest.MonkeyPatch,
    deliveries: int,
    gives_way: bool,
) -> None:
    """One alert is worked on before backlogs; five deliveries of one shard at once are the beginning of one."""
    source = await committed_source(scratch_resources, tenant)
    settings = scratch_resources.get(Settings)
    full = settings.ingest.model_copy(update={"shards": 1, "drain_first_batch_size": 5})
    scratch_resources.provide(Settings, settings.model_copy(update={"ingest": full}))
    async with tenant_session(scratch_resources.get(Database), tenant) as session:
        await store_batch(session, [make_intake(source, shard=0) for _ in range(deliveries)], settings=full)
    way, seen = scratch_resources.get(RightOfWay), []

    async def spy(*args: Any, **kwargs: Any) -> Any:
        seen.append(way.is_free)
        return await process(*args, **kwargs)

    process = processing.process
    monkeypatch.setattr(jobs, "process", spy)
    await run_jobs(scratch_resources)
    assert seen == [gives_way]
    assert way.is_free, "nothing is kept by a job that is over"


async def test_a_batch_of_a_backlog_waits_for_what_is_fresh(
    scratch_resources: Resources,
    scratch_database: Database,
    tenant: TenantId,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(breath, "HOLDS_S", 3600.0)
    monkeypatch.setattr(breath, "GIVES_S", 3600.0)
    source = await committed_source(scratch_resources, tenant)
    settings = scratch_resources.get(Settings).ingest
    async with tenant_session(scratch_database, tenant) as session:
        await store_batch(session, [make_intake(source, shard=0)], settings=settings)
        backlog = jobs.DrainBacklog(shard=0)
        job_id = await enqueue(session, backlog, unique_key=backlog.key)
        assert job_id is not None
        await session.execute(text("update jobs set state = 'published' where kind = 'ingest.drain_backlog'"))
    way, order = scratch_resources.get(RightOfWay), []
    fresh, wait_free = way.take(), way.wait_free

    async def spy(*args: Any, **kwargs: Any) -> Any:
        order.append("backlog")
        return await process(*args, **kwargs)

    async def waits(*, most_s: float) -> float:
        order.append("waits")
        asyncio.get_running_loop().call_soon(fresh.end)
        return await wait_free(most_s=most_s)

    process, before = processing.process, GAVE_WAY._value.get()
    monkeypatch.setattr(jobs, "process", spy)
    monkeypatch.setattr(way, "wait_free", waits)
    assert await make_runner(scratch_resources).run(tenant, job_id) is Outcome.SUCCEEDED
    assert order == ["waits", "backlog"]
    assert fresh.is_over
    assert GAVE_WAY._value.get() > before, "what it waited is shown"
