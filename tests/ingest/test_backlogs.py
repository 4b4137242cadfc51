"""What piles up: drained in jobs that give way, shared by workers, and found by the sweep when its job is gone."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sqlalchemy import text

from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.system import system_session
from app.db.tenancy import tenant_session
from app.ingest.batches import store_batch
from app.settings import Settings
from tests.factories.ingest import Sender, committed_source, make_intake
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import make_runner, run_jobs
from tests.ingest.drains import drains, receipt_of, scalars, sweep
from workers.runner import Outcome


async def test_a_backlog_goes_on_in_jobs_that_give_way(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database, tenant: TenantId
) -> None:
    settings = scratch_resources.get(Settings)
    changes = {"drain_first_batch_size": 1, "drain_batch_size": 2, "drain_budget_s": 1e-9}
    small = settings.ingest.model_copy(update=changes)
    scratch_resources.provide(Settings, settings.model_copy(update={"ingest": small}))
    source = await committed_source(scratch_resources, tenant)
    await asyncio.gather(*(scratch_sender.send(source) for _ in range(6)))
    await run_jobs(scratch_resources)
    assert await scalars(scratch_database, tenant, "select distinct state from deliveries") == ["processed"]
    kinds = "select kind || ' ' || priority from jobs where kind like 'ingest.%' order by created_at, id"
    # One, then two and two, then the last; a successor is there only while something is left.
    assert await scalars(scratch_database, tenant, kinds) == [
        "ingest.drain_intake 100",
        *["ingest.drain_backlog 200"] * 3,
    ]


async def test_a_delivery_that_relied_on_a_job_drained_before_it_committed_is_not_stranded(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database, tenant: TenantId
) -> None:
    """The race of coalescing: the late batch meets a scheduled job, and commits when that job is long done."""
    source = await committed_source(scratch_resources, tenant)
    settings = scratch_resources.get(Settings).ingest
    await scratch_sender.send(source)  # schedules the job
    [shard] = await scalars(scratch_database, tenant, "select shard from deliveries")
    late = make_intake(source, shard=shard)
    async with tenant_session(scratch_database, tenant) as session:
        await store_batch(session, [late], settings=settings)
        await run_jobs(scratch_resources)
    assert await drains(scratch_database, tenant) == ["succeeded"], "the late batch relied on the job that is done"
    assert (await receipt_of(scratch_database, tenant, late.id)).state == "accepted"
    assert await sweep(scratch_database, older_than=timedelta(minutes=1)) == [], "not yet: it may be on its way"
    [swept] = await sweep(scratch_database, older_than=timedelta(0))
    assert (swept.tenant_id, swept.shard, swept.job_id.version) == (tenant, shard, 7)
    assert await sweep(scratch_database, older_than=timedelta(0)) == [], "once is enough"
    await run_jobs(scratch_resources)
    assert await drains(scratch_database, tenant) == ["succeeded", "succeeded"]
    assert (await receipt_of(scratch_database, tenant, late.id)).state == "processed"


async def test_the_sweep_looks_at_every_tenant_and_leaves_those_with_an_open_job_alone(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database
) -> None:
    tenants = [await make_tenant(scratch_database) for _ in range(3)]
    for tenant in tenants:
        await scratch_sender.send(await committed_source(scratch_resources, tenant))
    for state in ("scheduled", "published", "running"):
        for tenant in tenants:
            async with tenant_session(scratch_database, tenant) as session:
                await session.execute(text("update jobs set state = :state"), {"state": state})
        assert await sweep(scratch_database, older_than=timedelta(0)) == [], state
    for tenant in tenants:
        async with tenant_session(scratch_database, tenant) as session:
            await session.execute(text("update jobs set state = 'scheduled'"))
    for tenant in tenants[:2]:
        async with tenant_session(scratch_database, tenant) as session:
            await session.execute(text("delete from jobs"))
    assert {row.tenant_id for row in await sweep(scratch_database, older_than=timedelta(0))} == set(tenants[:2])
    assert set(await run_jobs(scratch_resources)) == {Outcome.SUCCEEDED}
    for tenant in tenants:
        assert await scalars(scratch_database, tenant, "select state from deliveries") == ["processed"]


async def test_two_workers_on_one_shard_share_the_deliveries(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database, tenant: TenantId
) -> None:
    source = await committed_source(scratch_resources, tenant)
    await asyncio.gather(*(scratch_sender.send(source) for _ in range(30)))
    async with tenant_session(scratch_database, tenant) as session:
        await session.execute(
            text(
                "insert into jobs (tenant_id, id, kind, queue, payload, unique_key, coalesces, max_attempts, state)"
                " select tenant_id, gen_random_uuid(), kind, queue, payload, null, coalesces, max_attempts, 'published'"
                " from jobs"
            )
        )
        await session.execute(text("update jobs set state = 'published'"))
        ids = list((await session.execute(text("select id from jobs"))).scalars())
    runner = make_runner(scratch_resources)
    assert len(ids) == 2
    outcomes = await asyncio.gather(*(runner.run(tenant, job_id) for job_id in ids))
    assert set(outcomes) == {Outcome.SUCCEEDED}
    await run_jobs(scratch_resources)
    assert await scalars(scratch_database, tenant, "select count(*) from alerts") == [30]
    assert await scalars(scratch_database, tenant, "select distinct state from deliveries") == ["processed"]


async def test_expired_replay_keys_are_removed_in_bounded_steps(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database, tenant: TenantId
) -> None:  # I8
    source = await committed_source(scratch_resources, tenant)
    await asyncio.gather(*(scratch_sender.send(source) for _ in range(3)))
    await run_jobs(scratch_resources)
    async with tenant_session(scratch_database, tenant) as session:
        await session.execute(text("update replay_keys set expires_at = now() - interval '1 hour'"))
    async with system_session(scratch_database, reason="test.purge") as session:
        expire = text("select tocsin_private.expire_replay_keys(2)")
        assert [(await session.execute(expire)).scalar_one() for _ in range(3)] == [2, 1, 0]
