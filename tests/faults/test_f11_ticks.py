"""Timers are rows: whoever moves or runs one may die, and others may be at it, each tick is done once and has one successor."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text

from app.core.clock import Clock
from app.core.failpoints import InjectedFailure, armed, hits
from app.core.resources import Resources
from app.db.jobs.queue import enqueue
from app.db.tenancy import tenant_session
from app.settings import Settings
from tests.factories.ingest import Sender, committed_source
from tests.faults.hearing import listen
from tests.faults.scene import Scene
from tests.faults.sender import Sent, headers_of
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import CollectingPublisher
from tests.jobs.conftest import Bench, Note
from workers.relay import Relay
from workers.relay_main import standard_sweeps

# Long enough for a worker to start between two ticks, and for beats every half second never to be late.
INTERVAL_S = 8
SETTLES = "kind = 'ingest.settle_heartbeat'"
# What a beat or a change itself asks for at once is no tick.
AT_ONCE = f"{SETTLES} and unique_key like '%:now' and state = 'succeeded'"
TICKS = f"{SETTLES} and unique_key not like '%:now'"


def sweeping_relay(resources: Resources, bench: Bench, publisher: CollectingPublisher) -> Relay:
    """This will make a relay with all sweeps, which takes any delivery for stranded."""
    settings = resources.get(Settings).model_copy()
    settings = settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"sweep_after_s": 0.001})})
    return Relay(
        database=bench.database,
        publisher=publisher,
        settings=settings.jobs,
        as_of=resources.get(Clock),  # type: ignore[type-abstract]
        extra_sweeps=standard_sweeps(settings),
    )


@asynccontextmanager
async def beating(scene: Scene) -> AsyncIterator[None]:
    """This will have a heartbeat watched that is beaten all along, so that each tick finds nothing but its successor to set."""
    made = await scene.ward.post(
        "/v1/heartbeats", {"source_id": scene.ward.monitor.source_id, "name": "tick", "interval_s": INTERVAL_S}
    )
    endpoint = replace(scene.ward.monitor, url_path=made["url_path"])

    async def beat(number: int) -> None:
        one = Sent(endpoint, f"{scene.ward.tag}-beat-{number}", b"{}", "tick")
        answer = await scene.client.post(
            scene.stack.api_url + endpoint.url_path, content=b"{}", headers=headers_of(one)
        )
        assert answer.status_code == 200, answer.text

    async def beat_on() -> None:
        number = 0
        while True:
            number += 1
            with contextlib.suppress(httpx.TransportError):
                await beat(number)
            await asyncio.sleep(0.5)

    await beat(0)
    beats = asyncio.create_task(beat_on())
    try:
        await scene.until("jobs", AT_ONCE)
        # Looks at the deadline as a tick does, and must not begin a second row of ticks.
        changed = await scene.ward.api.patch(f"/v1/heartbeats/{made['id']}", json={"severity": "P2"})
        assert changed.status_code == 200, changed.text
        await scene.until("jobs", AT_ONCE, least=2)
        yield
        assert not beats.done(), "each beat was taken"
    finally:
        beats.cancel()
        await asyncio.wait({beats})
    assert (await scene.ward.api.delete(f"/v1/heartbeats/{made['id']}")).status_code == 204


@pytest.mark.fault("F11")
@pytest.mark.parametrize(
    ("process", "place", "claims"),
    [
        ("relay2", "relay.after_claim", 1),
        ("worker", "finish.before_commit", 2),
        ("worker", "finish.after_commit", 1),
    ],
)
async def test_a_tick_is_done_once_whoever_dies_of_it_and_has_one_successor(
    scene: Scene, process: str, place: str, claims: int
) -> None:
    async with beating(scene):
        first = await scene.ward.value(f"select id::text from jobs where tenant_id = $1 and {TICKS}")
        if process == "worker":
            scene.stack.start("relay2")
        else:
            scene.stack.pause("relay")  # or else it might take the tick
        await scene.arm(process, f"{place}=kill@once")
        await scene.stack.died(process, timeout_s=40)
        assert await scene.count("jobs", f"{TICKS} and id <> '{first}'") == (place == "finish.after_commit")
        scene.stack.resume("relay")
        heard = listen(scene, process)
        scene.stack.start(process)
        await heard.hears(f"{process.removesuffix('2')}.started", timeout_s=40)
        await scene.let_leases_run_out()
        await scene.until("jobs", f"{TICKS} and id = '{first}' and state = 'succeeded'", timeout_s=40)
        assert await scene.count("jobs", f"{TICKS} and id <> '{first}'") == 1, "one successor"
    await scene.verdict()
    assert await scene.count("jobs", f"id = '{first}' and lease_epoch = {claims}") == 1
    assert await scene.count("jobs", f"{TICKS} and (state <> 'succeeded' or lease_epoch > 1) and id <> '{first}'") == 0


@pytest.mark.fault("F11")
async def test_a_sweep_that_is_cut_short_is_done_by_the_next_relay_and_each_tick_once(
    bench: Bench, scratch_resources: Resources, scratch_sender: Sender
) -> None:
    tenant = await make_tenant(bench.database)
    source = await committed_source(scratch_resources, tenant)
    assert (await scratch_sender.send(source)).status_code == 202
    async with tenant_session(bench.database, tenant) as session:
        await session.execute(text("delete from jobs"))
        await session.execute(text("update deliveries set stored_at = now() - interval '1 minute'"))
    publisher = CollectingPublisher()
    dying, next_one, third = (sweeping_relay(scratch_resources, bench, publisher) for _ in range(3))
    with armed({"sweep.before_extra": "error@once"}):
        with pytest.raises(InjectedFailure):
            await dying.sweep()
        await asyncio.gather(next_one.sweep(), third.sweep())
        assert hits["sweep.before_extra"] > 1
    async with tenant_session(bench.database, tenant) as session:
        found = await session.execute(text("select kind from jobs"))
        assert list(found.scalars()) == ["ingest.drain_intake"], "two relays, one job for the stranded delivery"


@pytest.mark.fault("F11")
async def test_what_a_dying_sweep_had_already_moved_is_not_lost(bench: Bench, scratch_resources: Resources) -> None:
    async with tenant_session(bench.database, bench.tenant_id) as session:
        lost = await enqueue(session, Note(text="lost worker"))
        stale = await enqueue(session, Note(text="lost message"))
    publisher = CollectingPublisher()
    relay = sweeping_relay(scratch_resources, bench, publisher)
    clock = scratch_resources.get(Clock)  # type: ignore[type-abstract]
    await bench.change(
        "update jobs set state = 'published', published_at = :at where id = :id",
        id=stale,
        at=clock.now() - timedelta(minutes=1),
    )
    await bench.change(
        "update jobs set state = 'running', attempt = 1, lease_until = now() - interval '1 s' where id = :id", id=lost
    )
    with armed({"sweep.after_republish": "error@once", "sweep.after_expired": "error@once"}):
        for _ in range(2):
            with pytest.raises(InjectedFailure):
                await relay.sweep()
        assert hits["sweep.after_republish"] == hits["sweep.after_expired"] == 1
    assert publisher.take() == [], "the broker had none of it"
    assert (await bench.row(lost))["state"] == "scheduled"
    clock.advance(timedelta(minutes=1))  # type: ignore[attr-defined]
    await relay.sweep()
    assert [job.id for job in publisher.take()] == [stale]
