"""The relay publishes what is due, once, fairly, and repairs what was lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

from pydantic import SecretStr
from sqlalchemy import text
from structlog.testing import capture_logs

from app.core.clock import Clock, FakeClock
from app.core.ids import TenantId, new_id
from app.db.engine import Database
from app.db.jobs.queue import enqueue
from app.db.system import SystemSession, system_session
from app.db.tenancy import tenant_session
from app.embedded.valkey import EmbeddedValkey
from app.observability.metrics import REGISTRY
from app.settings import Settings
from app.settings.jobs import JobSettings
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import CollectingPublisher
from tests.jobs.conftest import Bench, Drain, Note, Pile
from workers.celery_app import make_celery
from workers.publisher import CeleryPublisher
from workers.queues import broker_queue
from workers.relay import PublishedJob, Relay


def make_relay(bench: Bench, publisher: CollectingPublisher, **changes: int) -> Relay:
    settings = bench.resources.get(Settings).jobs.model_copy(update=changes)
    return Relay(
        database=bench.database,
        publisher=publisher,
        settings=settings,
        as_of=bench.resources.get(Clock),  # type: ignore[type-abstract]
    )


async def fill(database: Database, tenant_id: TenantId, count: int) -> None:
    async with tenant_session(database, tenant_id) as session:
        for number in range(count):
            await enqueue(session, Note(text=str(number)))


async def test_only_due_jobs_are_published(bench: Bench, clock: FakeClock) -> None:
    async with tenant_session(bench.database, bench.tenant_id) as session:
        await enqueue(session, Note(text="later"), run_at=clock.now() + timedelta(minutes=5))
    publisher = CollectingPublisher()
    relay = make_relay(bench, publisher)
    assert await relay.tick() == 0
    clock.advance(timedelta(minutes=5))
    assert await relay.tick() == 1
    assert (await bench.row())["state"] == "published"
    assert await relay.tick() == 0


async def test_a_noisy_tenant_does_not_shut_out_a_quiet_one(bench: Bench) -> None:
    quiet = await make_tenant(bench.database)
    await fill(bench.database, bench.tenant_id, 120)
    await fill(bench.database, quiet, 2)
    publisher = CollectingPublisher()
    await make_relay(bench, publisher, batch_size=10).tick()
    turns = Counter(job.tenant_id for job in publisher.jobs)
    assert turns[quiet] == 2
    assert sum(turns.values()) <= 10


async def test_the_window_bounds_what_waits_in_the_broker(bench: Bench) -> None:
    await fill(bench.database, bench.tenant_id, 30)
    publisher = CollectingPublisher()
    relay = make_relay(bench, publisher, window_per_queue=12)
    while await relay.tick():
        pass
    assert len(publisher.jobs) == 12


async def test_only_what_is_published_is_locked(bench: Bench, clock: FakeClock) -> None:
    """In a storm hundreds are looked at for the one that has room, and others want to change those meanwhile."""
    await fill(bench.database, bench.tenant_id, 30)
    claim = text("select count(*) from tocsin_private.claim_due(2, 100, :now)")
    async with system_session(bench.database, reason="test.claim_due") as relay:
        assert (await relay.execute(claim, {"now": clock.now()})).scalar_one() == 2
        async with tenant_session(bench.database, bench.tenant_id) as session:
            free = await session.execute(text("select id from jobs where state = 'scheduled' for update skip locked"))
            assert len(free.all()) == 28


async def test_several_relays_at_once_publish_each_job_once(bench: Bench) -> None:
    await fill(bench.database, bench.tenant_id, 60)
    publishers = [CollectingPublisher() for _ in range(4)]

    async def drain(publisher: CollectingPublisher) -> None:
        relay = make_relay(bench, publisher, batch_size=7)
        for _ in range(40):
            await relay.tick()

    await asyncio.gather(*(drain(publisher) for publisher in publishers))
    ids = [job.id for publisher in publishers for job in publisher.jobs]
    assert len(ids) == len(set(ids)) == 60


async def test_a_job_that_was_published_and_lost_is_published_again(bench: Bench, clock: FakeClock) -> None:
    await fill(bench.database, bench.tenant_id, 1)
    publisher = CollectingPublisher()
    relay = make_relay(bench, publisher)
    await relay.tick()
    await relay.sweep()
    assert len(publisher.jobs) == 1
    clock.advance(timedelta(seconds=JobSettings().republish_after_s + 1))
    await relay.sweep()
    assert [job.id for job in publisher.jobs] == [publisher.jobs[0].id] * 2


async def test_a_broker_that_is_down_costs_no_job(bench: Bench, clock: FakeClock) -> None:
    class Down(CollectingPublisher):
        def publish(self, jobs: object) -> None:
            raise ConnectionError("no broker")

    await fill(bench.database, bench.tenant_id, 1)
    await make_relay(bench, Down()).tick()
    assert (await bench.row())["state"] == "published"
    async with system_session(bench.database, reason="test") as session:
        waiting = await session.execute(
            text("select id from tocsin_private.poll_published(array['maintenance'], interval '0 s', 10)")
        )
        # published_at is on the test's clock, far in the server's future: a worker polls for it once it is past.
        assert waiting.all() == []
    await bench.change("update jobs set published_at = now() - interval '5 s'")
    async with system_session(bench.database, reason="test") as session:
        waiting = await session.execute(
            text("select id from tocsin_private.poll_published(array['maintenance'], interval '3 s', 10)")
        )
        assert len(waiting.all()) == 1


async def test_a_lost_workers_job_is_scheduled_again_and_buried_after_its_last_attempt(bench: Bench) -> None:
    await fill(bench.database, bench.tenant_id, 1)
    relay = make_relay(bench, CollectingPublisher())
    expire = "update jobs set state = 'running', attempt = :attempt, lease_until = now() - interval '1 s'"
    await bench.change(expire, attempt=1)
    await relay.sweep()
    assert (await bench.row())["state"] == "scheduled"
    await bench.change(expire, attempt=3)
    await relay.sweep()
    row = await bench.row()
    assert (row["state"], row["attempt"]) == ("dead", 3)
    assert "lease ran out" in row["error"]


async def test_an_expired_coalescing_job_yields_to_its_scheduled_successor(bench: Bench) -> None:
    async with tenant_session(bench.database, bench.tenant_id) as session:
        first = await enqueue(session, Drain(), unique_key="k")
    await bench.change("update jobs set state = 'running', attempt = 1, lease_until = now() - interval '1 s'")
    async with tenant_session(bench.database, bench.tenant_id) as session:
        second = await enqueue(session, Drain(), unique_key="k")
    await make_relay(bench, CollectingPublisher()).sweep()
    assert first is not None
    assert second is not None
    assert (await bench.row(first))["state"] == "cancelled"
    assert (await bench.row(second))["state"] == "scheduled"


async def test_a_sweep_that_always_fails_keeps_no_other_from_being_done(bench: Bench) -> None:  # F44
    done: list[str] = []

    async def broken(session: SystemSession) -> None:
        await session.execute(text("select tocsin_private.no_such_function()"))

    async def wrong(session: SystemSession) -> None:
        raise KeyError("a bug of ours")

    async def partitions(session: SystemSession) -> None:
        done.append("made")

    await fill(bench.database, bench.tenant_id, 3)
    relay = Relay(
        database=bench.database,
        publisher=CollectingPublisher(),
        settings=bench.resources.get(Settings).jobs,
        extra_sweeps=[broken, wrong, partitions],
    )
    with capture_logs() as logs:
        await relay.sweep()
    assert done == ["made"]
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["relay.sweep_failed"] * 2
    assert REGISTRY.get_sample_value("tocsin_jobs_due", {"queue": "maintenance"}) == 3


async def test_paused_queues_and_tenants_wait(bench: Bench) -> None:
    await fill(bench.database, bench.tenant_id, 1)
    publisher = CollectingPublisher()
    relay = make_relay(bench, publisher)
    async with system_session(bench.database, reason="test") as session:
        await session.execute(text("select tocsin_private.set_queue_pause('maintenance', 'test', true)"))
    assert await relay.tick() == 0
    async with system_session(bench.database, reason="test") as session:
        await session.execute(text("select tocsin_private.set_queue_pause('maintenance', '', false)"))
    await bench.change(
        "insert into tenant_pauses (tenant_id, id, queue) values (:tenant, :tenant, '*')", tenant=bench.tenant_id
    )
    assert await relay.tick() == 0
    await bench.change("delete from tenant_pauses")
    assert await relay.tick() == 1


async def test_old_finished_jobs_are_purged_and_dead_ones_kept(bench: Bench) -> None:
    await fill(bench.database, bench.tenant_id, 2)
    rows = await bench.rows()
    ended = "update jobs set state = :state, finished_at = now() - interval '10 days' where id = :id"
    await bench.change(ended, state="succeeded", id=rows[0]["id"])
    await bench.change(ended, state="dead", id=rows[1]["id"])
    async with system_session(bench.database, reason="test") as session:
        removed = await session.execute(text("select tocsin_private.purge_finished(now() - interval '7 days', 100)"))
        assert removed.scalar_one() == 1
    assert [row["state"] for row in await bench.rows()] == ["dead"]


async def test_backlogs_leave_room_for_what_has_just_come_up(bench: Bench) -> None:
    tenants = [await make_tenant(bench.database) for _ in range(9)]
    for tenant_id in tenants:
        async with tenant_session(bench.database, tenant_id) as session:
            await enqueue(session, Pile())
    publisher = CollectingPublisher()
    relay = make_relay(bench, publisher)
    assert await relay.tick() == 4, "four for each worker, and for one where none has reported yet"
    await fill(bench.database, bench.tenant_id, 3)
    assert await relay.tick() == 3
    published = publisher.take()
    assert [job.priority for job in published] == [200] * 4 + [100] * 3
    for state in ("running", "succeeded"):
        async with tenant_session(bench.database, TenantId(published[0].tenant_id)) as session:
            lease = "lease_until = now() + interval '1 hour', started_at = now(), finished_at = now()"
            await session.execute(text(f"update jobs set state = '{state}', {lease}"))
        assert await relay.tick() == (0 if state == "running" else 1), "one that runs takes room until it has ended"


async def test_the_broker_hands_out_backlogs_last(bench: Bench, valkey: EmbeddedValkey) -> None:
    settings = bench.resources.get(Settings)
    redis = settings.redis.model_copy(update={"url": SecretStr(valkey.url), "key_prefix": f"t{bench.tenant_id}"})
    app = make_celery(settings.model_copy(update={"redis": redis}))
    jobs = [PublishedJob(bench.tenant_id, new_id(), "maintenance", priority) for priority in (200, 200, 100)]
    await asyncio.to_thread(CeleryPublisher(app, prefix=redis.key_prefix).publish, jobs)
    queue = broker_queue("maintenance", prefix=redis.key_prefix)
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        first = await asyncio.to_thread(channel.basic_get, queue, no_ack=True)
    assert first.decode()[0] == [str(bench.tenant_id), str(jobs[2].id)]
