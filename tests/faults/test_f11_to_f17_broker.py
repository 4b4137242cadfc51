"""The broker dies, forgets, fills up and hangs; sweeps are cut short; nothing depends on any of them but speed."""

from __future__ import annotations

import ast
import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from app.core.clock import Clock
from app.core.resources import Resources
from app.db.jobs.context import JobContext
from app.db.jobs.effects import Effect, Repeat, effect_key, perform
from app.db.jobs.queue import enqueue
from app.db.tenancy import tenant_session
from app.embedded.valkey import free_port
from tests.faults.scene import Scene
from tests.faults.test_f11_ticks import sweeping_relay
from tests.fixtures.jobs import CollectingPublisher, make_runner
from tests.fixtures.wait import HANGS_S, ends, wait_until
from tests.jobs.conftest import Bench, Note
from workers.relay import PublishedJob
from workers.runner import Outcome

ROOT = Path(__file__).resolve().parents[2]
UUID_PATTERN = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


async def in_broker(scene: Scene, redis: Redis) -> list[bytes]:
    """The messages of the tenant that wait in the broker; they name it and its jobs, and hold no more."""
    found: list[bytes | str] = []
    async for key in redis.scan_iter():
        if await redis.type(key) == b"list":
            found += await redis.lrange(key, 0, -1)
    tenant = str(scene.ward.tenant_id).encode()
    return [message for message in found if isinstance(message, bytes) and tenant in message]


async def send_under(scene: Scene, blow: Callable[[Redis], Awaitable[None]], *, deliveries: int = 24) -> None:
    """Send for about two seconds, and strike when a message waits in the broker, which a stalled worker sees to."""
    redis = Redis.from_url(scene.rig.valkey.url)
    scene.stack.pause("worker")
    lost: list[str] = []

    async def strike() -> None:
        async def held() -> list[bytes]:
            return await in_broker(scene, redis)

        waiting = await wait_until(held, timeout_s=10, what=f"a message waits in the broker\n{scene.logs()}")
        lost.extend(sorted(set(re.findall(UUID_PATTERN, b" ".join(waiting).decode()))))
        await blow(redis)
        scene.stack.resume("worker")

    async with asyncio.TaskGroup() as group:
        group.create_task(strike())
        group.create_task(scene.send(*(scene.alert(f"k{n % 5}", minute=n) for n in range(deliveries)), over_s=2))
    await redis.aclose()
    assert set(scene.sender.log.answers) == {202}, "senders notice nothing of the broker"
    await scene.rest()
    ended = await scene.ward.value(
        "select array_agg(distinct state) from jobs where tenant_id = $1 and id::text = any($2)", lost
    )
    assert ended == ["succeeded"], "what the broker lost was run all the same"


@pytest.mark.fault("F12")
async def test_a_broker_that_dies_with_everything_in_it_costs_time_and_no_job(scene: Scene) -> None:
    async def kill(_: Redis) -> None:
        scene.rig.kill_valkey()

    await send_under(scene, kill)
    await asyncio.to_thread(scene.rig.valkey.start)
    await scene.verdict()


@pytest.mark.fault("F13")
async def test_a_flushed_broker_costs_no_job_and_no_replay_gets_through(scene: Scene) -> None:
    async def flush(redis: Redis) -> None:
        await redis.flushall()

    await send_under(scene, flush)
    repeated = scene.sender.log.sent[0]
    async with Redis.from_url(scene.rig.valkey.url) as redis:
        await flush(redis)
    answer = await scene.post(repeated)
    assert (answer.status_code, answer.json()["duplicate"]) == (202, True)
    await scene.verdict()


@pytest.mark.fault("F14")
async def test_an_api_without_the_broker_takes_deliveries_as_ever(scene: Scene) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    await scene.arm("api2", "", TOCSIN_REDIS__URL=nowhere)
    url = scene.stack.url_of("api2")
    assert {(await scene.post(scene.alert(f"k{n}"), url)).status_code for n in range(10)} == {202}
    async with httpx.AsyncClient(base_url=url, timeout=10) as client:
        ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["cache"]) == (200, "failing")
    await scene.verdict()


@pytest.mark.fault("F15")
async def test_a_full_broker_costs_time_and_holds_ids_only(scene: Scene) -> None:
    redis = Redis.from_url(scene.rig.valkey.url)
    assert (await redis.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"
    scene.stack.pause("worker")
    await scene.send(*(scene.alert(f"hold{n}") for n in range(5)))

    async def held() -> list[bytes]:
        return await in_broker(scene, redis)

    waiting = await wait_until(held, timeout_s=10, what="a message waits in the broker")
    assert all(len(message) < 2_000 and scene.ward.tag.encode() not in message for message in waiting)
    await redis.config_set("maxmemory", "1")
    scene.stack.resume("worker")
    await scene.send(*(scene.alert(f"full{n}") for n in range(5)))
    await scene.rest()
    await redis.config_set("maxmemory", "256mb")
    await redis.aclose()
    await scene.verdict()


@pytest.mark.fault("F16")
async def test_a_worker_cut_off_from_the_broker_works_on_and_one_that_polls_no_more_shows(scene: Scene) -> None:
    scene.rig.pause_valkey()
    # Twice, because what is due while the relay waits for the hanging broker must not wait as long.
    for number in range(2):
        await scene.send(scene.alert(f"k{number}"))
        await scene.rest(timeout_s=14)
    scene.rig.resume_valkey()
    scene.stack.pause("worker")

    async def problems() -> list[str]:
        found: list[str] = (await scene.ward.get("/health/queue"))["problems"]
        return found

    async def shows() -> bool:
        return "no worker polls" in await problems()

    await wait_until(shows, timeout_s=15, every_s=0.2, what="a process that is up but does nothing is noticed")
    scene.stack.resume("worker")

    async def well() -> bool:
        return await problems() == []

    await wait_until(well, timeout_s=15, every_s=0.2, what="and noticed to be back")
    await scene.verdict()


@pytest.mark.fault("F16")
async def test_a_worker_runs_what_the_broker_brings_and_needs_no_poll_for_it(scene: Scene) -> None:
    # Or else a worker that fails with every message looks well: its polls do the work, later.
    await scene.arm("worker", "", TOCSIN_JOBS__POLL_FALLBACK_S="600")
    await scene.send(*(scene.alert(f"k{n}") for n in range(5)))
    await scene.verdict()


@pytest.mark.fault("F16")
async def test_a_worker_that_finds_no_database_at_its_start_ends_rather_than_take_messages_it_cannot_run(
    scene: Scene,
) -> None:
    scene.stack.start("worker2", TOCSIN_DATABASE__APP_URL="postgresql+asyncpg://tocsin_app@127.0.0.1:1/none")

    async def ended() -> bool:
        return scene.stack.exit_status("worker2") is not None

    await wait_until(ended, timeout_s=30, every_s=0.1, what=f"it ends\n{scene.stack.tail('worker2')}")
    assert scene.stack.exit_status("worker2") == 1
    assert "worker.not_started" in scene.stack.tail("worker2")


@pytest.mark.fault("F16")
async def test_a_relay_waits_for_a_hanging_broker_once_and_goes_on_moving_jobs(
    bench: Bench, scratch_resources: Resources
) -> None:
    answered, calls = threading.Event(), list[int]()

    class Hanging(CollectingPublisher):
        def publish(self, jobs: Sequence[PublishedJob]) -> None:
            calls.append(len(jobs))
            answered.wait(10 * HANGS_S)
            super().publish(jobs)

    publisher = Hanging()
    relay = sweeping_relay(scratch_resources, bench, publisher)
    for number in range(3):
        async with tenant_session(bench.database, bench.tenant_id) as session:
            await enqueue(session, Note(text=str(number)))
        async with ends():
            assert await relay.tick() == 1, "due jobs are marked published, where workers find them"
    assert calls == [1], "nobody queues up behind the call that hangs"
    answered.set()
    await wait_until(lambda: len(publisher.jobs) == 1, what="the first call gets through late")
    async with tenant_session(bench.database, bench.tenant_id) as session:
        await enqueue(session, Note(text="after"))
    assert await relay.tick() == 1
    assert len(publisher.jobs) == 2, "and the broker is used again"


@pytest.mark.fault("F17")
async def test_a_job_longer_than_any_time_out_is_run_once(bench: Bench, scratch_resources: Resources) -> None:
    sent, release, begun = list[str](), asyncio.Event(), asyncio.Event()

    @bench.registry.stepwise(Note)
    async def slow(ctx: JobContext, job: Note) -> None:
        async def send(_: float) -> dict[str, object]:
            sent.append(job.text)
            begun.set()
            await release.wait()
            return {}

        await perform(ctx, Effect(key=effect_key("slow"), kind="x", target="x", repeat=Repeat.AT_MOST_ONCE), send=send)

    async with tenant_session(bench.database, bench.tenant_id) as session:
        job_id = await enqueue(session, Note(text="long"))
    assert job_id is not None
    publisher = CollectingPublisher()
    relay = sweeping_relay(scratch_resources, bench, publisher)
    await relay.tick()
    first = asyncio.create_task(make_runner(bench.resources, bench.registry).run(bench.tenant_id, job_id))
    await begun.wait()
    scratch_resources.get(Clock).advance(timedelta(hours=2))  # type: ignore[type-abstract, attr-defined]
    await relay.sweep()
    # The broker's own redelivery brings the same message to another worker.
    assert await make_runner(bench.resources, bench.registry).run(bench.tenant_id, job_id) is Outcome.DUPLICATE
    release.set()
    assert await first is Outcome.SUCCEEDED
    assert sent == ["long"]


@pytest.mark.fault("F17")
def test_no_task_is_given_to_the_broker_for_later() -> None:
    waits = {"eta", "countdown", "expires"}
    found = [
        f"{path.name}:{node.lineno}"
        for path in (ROOT / "workers").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.keyword) and node.arg in waits
    ]
    assert found == []
