"""One run of one job: the fence, the outcomes, and that nobody writes after losing the lease."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from app.core.clock import FakeClock
from app.core.ids import JobId
from app.core.jobs import PermanentJobError
from app.db.jobs.context import JobContext, RetryLater
from app.db.jobs.queue import enqueue
from app.db.tenancy import TenantSession, tenant_session
from tests.fixtures.jobs import make_runner, run_jobs
from tests.jobs.conftest import Bench, Drain, Note
from workers.runner import Outcome


async def publish(bench: Bench, job: Note, *, unique_key: str | None = None) -> JobId:
    async with tenant_session(bench.database, bench.tenant_id) as session:
        job_id = await enqueue(session, job, unique_key=unique_key)
    assert job_id is not None
    await bench.change("update jobs set state = 'published', published_at = now() where id = :id", id=job_id)
    return job_id


async def run(bench: Bench, job_id: JobId) -> Outcome:
    return await make_runner(bench.resources, bench.registry).run(bench.tenant_id, job_id)


async def test_a_transactional_handler_shares_the_commit_that_ends_the_job(bench: Bench) -> None:
    @bench.registry.transactional(Note)
    async def handler(session: TenantSession, job: Note, ctx: JobContext) -> None:
        bench.seen.append(job.text)
        await enqueue(session, Drain(text="follow-up"))

    job_id = await publish(bench, Note(text="hello"))
    assert await run(bench, job_id) is Outcome.SUCCEEDED
    rows = await bench.rows()
    assert [row["state"] for row in rows] == ["succeeded", "scheduled"]
    assert bench.seen == ["hello"]


async def test_a_failing_handler_leaves_nothing_but_a_counted_attempt(bench: Bench) -> None:
    @bench.registry.transactional(Note)
    async def handler(session: TenantSession, job: Note, ctx: JobContext) -> None:
        await enqueue(session, Drain(text="must vanish"))
        raise ValueError("broken")

    job_id = await publish(bench, Note())
    assert await run(bench, job_id) is Outcome.RETRIED
    row = await bench.row()
    assert (row["state"], row["attempt"]) == ("scheduled", 1)
    assert "ValueError: broken" in row["error"]


async def test_a_poison_job_ends_dead_and_its_neighbour_does_not_notice(bench: Bench) -> None:
    @bench.registry.stepwise(Note)
    async def handler(ctx: JobContext, job: Note) -> None:
        if job.text == "poison":
            raise ValueError("always")
        bench.seen.append(job.text)

    async with tenant_session(bench.database, bench.tenant_id) as session:
        await enqueue(session, Note(text="poison"))
        await enqueue(session, Note(text="fine"))
    outcomes = await run_jobs(bench.resources, registry=bench.registry)
    assert sorted(outcomes) == [Outcome.DEAD, Outcome.RETRIED, Outcome.RETRIED, Outcome.SUCCEEDED]
    assert bench.seen == ["fine"]


async def test_a_permanent_failure_is_not_tried_again(bench: Bench) -> None:
    @bench.registry.stepwise(Note)
    async def handler(ctx: JobContext, job: Note) -> None:
        raise PermanentJobError("the ticket is closed")

    job_id = await publish(bench, Note())
    assert await run(bench, job_id) is Outcome.FAILED
    row = await bench.row()
    assert (row["state"], row["error"]) == ("failed", "the ticket is closed")


async def test_later_keeps_the_attempt_and_waits_for_the_time(bench: Bench, clock: FakeClock) -> None:
    due = clock.now() + timedelta(minutes=3)

    @bench.registry.stepwise(Note)
    async def handler(ctx: JobContext, job: Note) -> None:
        bench.seen.append("run")
        if clock.now() < due:
            raise RetryLater(due, reason="waiting for the reset")

    async with tenant_session(bench.database, bench.tenant_id) as session:
        await enqueue(session, Note())
    assert await run_jobs(bench.resources, registry=bench.registry) == [Outcome.LATER]
    row = await bench.row()
    assert (row["state"], row["attempt"], row["run_at"]) == ("scheduled", 0, due)
    clock.advance(timedelta(minutes=3))
    assert await run_jobs(bench.resources, registry=bench.registry) == [Outcome.SUCCEEDED]
    assert bench.seen == ["run", "run"]


async def test_ten_copies_of_one_message_run_the_job_once(bench: Bench) -> None:
    @bench.registry.stepwise(Note)
    async def handler(ctx: JobContext, job: Note) -> None:
        bench.seen.append("run")

    job_id = await publish(bench, Note())
    outcomes = await asyncio.gather(*(run(bench, job_id) for _ in range(10)))
    assert sorted(outcomes) == [Outcome.DUPLICATE] * 9 + [Outcome.SUCCEEDED]
    assert bench.seen == ["run"]


async def test_a_worker_that_lost_its_lease_writes_nothing(bench: Bench) -> None:
    @bench.registry.stepwise(Note)
    async def handler(ctx: JobContext, job: Note) -> object:
        await bench.change("update jobs set lease_epoch = lease_epoch + 1")
        with pytest.raises(Exception, match=str(ctx.job_id)):
            async with ctx.transaction() as session:
                await enqueue(session, Drain(text="from a stale worker"))

        async def complete(session: TenantSession) -> None:
            await enqueue(session, Drain(text="from a stale worker"))

        return complete

    job_id = await publish(bench, Note())
    assert await run(bench, job_id) is Outcome.LOST
    assert (await bench.row())["state"] == "running"


async def test_an_unknown_kind_is_parked_not_dropped(bench: Bench) -> None:
    job_id = await publish(bench, Note())
    assert await run(bench, job_id) is Outcome.PARKED
    row = await bench.row()
    assert (row["state"], row["attempt"], row["parked"]) == ("scheduled", 0, True)
    assert "test.note" in row["error"]


async def test_a_stopping_worker_hands_its_job_back_at_once(bench: Bench) -> None:
    started = asyncio.Event()

    @bench.registry.stepwise(Note)
    async def handler(ctx: JobContext, job: Note) -> None:
        started.set()
        await asyncio.Event().wait()

    job_id = await publish(bench, Note())
    task = asyncio.create_task(run(bench, job_id))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    row = await bench.row()
    assert (row["state"], row["attempt"]) == ("scheduled", 0)
    assert "handed back" in row["error"]


async def test_a_field_that_a_newer_release_added_is_ignored(bench: Bench) -> None:
    @bench.registry.stepwise(Note)
    async def handler(ctx: JobContext, job: Note) -> None:
        bench.seen.append(job.text)

    job_id = await publish(bench, Note(text="old"))
    await bench.change("""update jobs set payload = payload || '{"colour": "red"}'""")
    assert await run(bench, job_id) is Outcome.SUCCEEDED
    assert bench.seen == ["old"]


async def test_a_retried_coalescing_job_yields_to_its_successor(bench: Bench) -> None:
    @bench.registry.stepwise(Drain)
    async def handler(ctx: JobContext, job: Drain) -> None:
        async with tenant_session(bench.database, bench.tenant_id) as session:
            assert await enqueue(session, Drain(), unique_key="k") is not None
        raise ValueError("after a successor came")

    job_id = await publish(bench, Drain(), unique_key="k")
    assert await run(bench, job_id) is Outcome.RETRIED
    assert (await bench.row(job_id))["state"] == "cancelled"
    assert sorted(row["state"] for row in await bench.rows()) == ["cancelled", "scheduled"]
