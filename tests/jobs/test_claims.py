"""Claiming together: each job once, for whom it is, and nobody waits for a failure that is not told."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import text

from app.core.ids import JobId, TenantId
from app.db.engine import Database
from app.db.jobs.queue import enqueue
from app.db.tenancy import DatabaseUnavailable, tenant_session
from tests.fixtures.database import PostgresServer, make_tenant
from tests.jobs.conftest import Bench, Note
from workers.claims import Claims


async def published(database: Database, tenant: TenantId) -> JobId:
    async with tenant_session(database, tenant) as session:
        job_id = await enqueue(session, Note(text=str(tenant)))
        assert job_id is not None
        await session.execute(text("update jobs set state = 'published', published_at = now()"))
    return job_id


def claims(database: Database, worker: str = "w") -> Claims:
    return Claims(database=database, worker=worker, lease_s=60)


async def test_jobs_of_several_tenants_are_claimed_together_and_once(bench: Bench) -> None:
    tenants = [await make_tenant(bench.database) for _ in range(5)]
    jobs = [(tenant, await published(bench.database, tenant)) for tenant in tenants]
    together = claims(bench.database)
    taken = await asyncio.gather(*(together.claim(tenant, job) for tenant, job in [*jobs, *jobs]))
    assert [claim is not None for claim in taken] == [True] * 5 + [False] * 5
    for (tenant, job_id), claim in zip(jobs, taken, strict=False):
        assert claim is not None
        assert (claim.job.id, claim.job.payload, claim.job.attempt) == (job_id, {"text": str(tenant)}, 1)
    assert await asyncio.gather(*(together.claim(tenant, job) for tenant, job in jobs)) == [None] * 5


async def test_another_tenants_name_claims_nothing(bench: Bench) -> None:
    job_id = await published(bench.database, bench.tenant_id)
    stranger = await make_tenant(bench.database)
    assert await claims(bench.database).claim(stranger, job_id) is None
    assert (await bench.row())["state"] == "published"


async def test_two_workers_share_the_jobs_between_them(bench: Bench) -> None:
    async with tenant_session(bench.database, bench.tenant_id) as session:
        for number in range(40):
            await enqueue(session, Note(text=str(number)))
        rows = await session.execute(text("update jobs set state = 'published', published_at = now() returning id"))
        ids = list(rows.scalars())
    one, two = claims(bench.database, "one"), claims(bench.database, "two")
    both = [worker.claim(bench.tenant_id, job) for job in ids for worker in (one, two)]
    taken = [claim.job.id for claim in await asyncio.gather(*both) if claim is not None]
    # A row that the other holds at this moment is passed over, so a few may be left for the sweep; none is taken twice.
    assert len(taken) == len(set(taken)) >= 20


async def test_a_run_that_gave_up_leaves_the_job_to_the_next_who_waits(bench: Bench) -> None:
    job_id = await published(bench.database, bench.tenant_id)
    together = claims(bench.database)
    first = asyncio.create_task(together.claim(bench.tenant_id, job_id))
    second = asyncio.create_task(together.claim(bench.tenant_id, job_id))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second) is not None


async def test_a_lost_database_is_told_to_everybody_who_waits(postgres: PostgresServer) -> None:
    gone = Database.from_settings(postgres.settings_for("there_is_no_such_database"))
    together = claims(gone)
    told = await asyncio.gather(
        *(together.claim(TenantId(UUID(int=n)), UUID(int=n)) for n in (1, 2)),
        return_exceptions=True,
    )
    assert [type(error) for error in told] == [DatabaseUnavailable] * 2
    with pytest.raises(DatabaseUnavailable):
        await together.claim(TenantId(UUID(int=3)), UUID(int=3))
    await gone.dispose()


async def test_of_jobs_that_lost_two_workers_one_at_a_time_is_held(bench: Bench) -> None:
    """One of them may be what killed the others' workers (F32)."""
    tenants = [await make_tenant(bench.database) for _ in range(4)]
    jobs = [(tenant, await published(bench.database, tenant)) for tenant in tenants]
    for tenant in tenants[:3]:
        async with tenant_session(bench.database, tenant) as session:
            lost = "update jobs set attempt = 2, error = 'the worker was lost: its lease ran out'"
            await session.execute(text(lost))
    one, two = claims(bench.database, "one"), claims(bench.database, "two")

    async def taken_by(worker: Claims) -> list[int]:
        found = await asyncio.gather(*(worker.claim(tenant, job) for tenant, job in jobs))
        return [number for number, claim in enumerate(found) if claim is not None]

    first = await taken_by(one)
    assert (len(first), first[-1]) == (2, 3), "whatever has lost no workers, and one that has"
    assert await taken_by(one) == []
    assert len(await taken_by(two)) == 1, "another worker holds one of its own"
    async with tenant_session(bench.database, tenants[first[0]]) as session:
        await session.execute(text("update jobs set state = 'succeeded', lease_until = null, worker = null"))
    assert len(await taken_by(one)) == 1
