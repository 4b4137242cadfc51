"""Enqueueing is part of the caller's transaction, and the unique key is a constraint."""

from __future__ import annotations

import asyncio

import pytest

from app.db.jobs.queue import enqueue
from app.db.tenancy import tenant_session
from tests.jobs.conftest import Bench, Drain, Note


async def test_a_job_exists_only_if_its_cause_commits(bench: Bench) -> None:
    class Broken(Exception):
        pass

    async def cause() -> None:
        async with tenant_session(bench.database, bench.tenant_id) as session:
            await enqueue(session, Note(text="never"))
            raise Broken

    with pytest.raises(Broken):
        await cause()
    assert await bench.rows() == []


async def test_an_open_job_of_the_same_key_absorbs_the_second(bench: Bench) -> None:
    async with tenant_session(bench.database, bench.tenant_id) as session:
        first = await enqueue(session, Note(), unique_key="thing")
        assert await enqueue(session, Note(), unique_key="thing") is None
        assert await enqueue(session, Note(), unique_key="other") is not None
    await bench.change("update jobs set state = 'running' where id = :id", id=first)
    async with tenant_session(bench.database, bench.tenant_id) as session:
        assert await enqueue(session, Note(), unique_key="thing") is None


async def test_a_coalescing_job_that_has_started_does_not_absorb_the_next(bench: Bench) -> None:
    async with tenant_session(bench.database, bench.tenant_id) as session:
        first = await enqueue(session, Drain(), unique_key="shard-0")
        assert await enqueue(session, Drain(), unique_key="shard-0") is None
    await bench.change("update jobs set state = 'published' where id = :id", id=first)
    async with tenant_session(bench.database, bench.tenant_id) as session:
        assert await enqueue(session, Drain(), unique_key="shard-0") is None, "one that waits at the broker is enough"
    await bench.change("update jobs set state = 'running' where id = :id", id=first)
    async with tenant_session(bench.database, bench.tenant_id) as session:
        assert await enqueue(session, Drain(), unique_key="shard-0") is not None


async def test_two_transactions_racing_on_one_key_make_one_job(bench: Bench) -> None:
    async def race() -> None:
        async with tenant_session(bench.database, bench.tenant_id) as session:
            await enqueue(session, Note(), unique_key="thing")

    await asyncio.gather(*(race() for _ in range(8)))
    assert len(await bench.rows()) == 1


async def test_a_commit_that_made_a_job_wakes_the_relay(bench: Bench) -> None:
    hints: list[int] = []
    bench.database.on_enqueued = lambda: hints.append(1)
    async with tenant_session(bench.database, bench.tenant_id):
        pass
    assert hints == []
    async with tenant_session(bench.database, bench.tenant_id) as session:
        await enqueue(session, Note())
        assert hints == []
    assert hints == [1]
