"""PostgreSQL crashes, fails over, fills up, runs out of connections and locks, and nobody gives a hint."""

from __future__ import annotations

import asyncio
import os
import random
import re
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core.clock import SystemClock
from app.db.engine import Database
from app.db.jobs.queue import enqueue
from app.db.tenancy import DatabaseUnavailable, tenant_session
from app.incidents.schemas import AlertStatus
from app.incidents.service import AlertFilter, list_alerts
from app.main import create_app
from app.settings.jobs import JobSettings
from app.wiring import build_resources, close_resources
from tests.factories.incidents import deliver, make_event, make_source
from tests.factories.ingest import committed_source, make_sender
from tests.faults.scene import Scene
from tests.faults.sender import Sent
from tests.fixtures.database import PostgresServer, make_tenant
from tests.fixtures.jobs import CollectingPublisher
from tests.fixtures.process import make_settings
from tests.fixtures.wait import wait_until
from tests.jobs.conftest import Bench, Note
from workers.relay import Relay

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.fault("F19")
@pytest.mark.parametrize("how", ["one backend", "the whole server"])
async def test_a_database_that_crashes_loses_nothing_acknowledged_and_nothing_is_restarted(
    scene: Scene, how: str
) -> None:
    pids = {name: scene.stack.pid(name) for name in ("api", "relay", "worker")}

    async def crash() -> None:
        await scene.until("deliveries", "true", least=5)
        if how == "one backend":
            await scene.rig.crash_postgres()
        else:
            await asyncio.to_thread(scene.rig.kill_postgres)
            await asyncio.to_thread(scene.rig.server.start)

    async with asyncio.TaskGroup() as group:
        group.create_task(crash())
        group.create_task(scene.send(*(scene.alert(f"k{n % 9}", minute=n) for n in range(40)), over_s=2))
    assert set(scene.sender.log.answers) <= {202, 503}
    await scene.rig.answers()
    evidence = await scene.verdict()
    assert len(evidence.tenants[0].rows["deliveries"]) == 40
    assert all(scene.stack.is_up(name) for name in pids), "nobody died of it"
    assert pids == {name: scene.stack.pid(name) for name in pids}, "pools recover without a restart"


@pytest.mark.fault("F21")
async def test_a_failover_under_open_transactions_leaves_no_tenant_behind_and_costs_no_later_request(
    postgres: PostgresServer, scratch_name: str
) -> None:
    size = 4
    database = Database.from_settings(postgres.settings_for(scratch_name, pool_size=size, pool_overflow=0))
    tenants = [await make_tenant(database) for _ in range(size)]
    inside, fail_over = asyncio.Barrier(size + 1), asyncio.Event()

    async def write(number: int) -> None:
        async with tenant_session(database, tenants[number]) as session:
            await enqueue(session, Note(text="half done"))
            await inside.wait()
            await fail_over.wait()

    writing = [asyncio.create_task(write(number)) for number in range(size)]
    await inside.wait()
    async with postgres.superuser() as connection:
        await connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1", scratch_name
        )
    fail_over.set()
    lost = await asyncio.gather(*writing, return_exceptions=True)
    assert {type(error) for error in lost} <= {DatabaseUnavailable, DBAPIError}

    async def visit(number: int) -> None:
        async with tenant_session(database, tenants[number]) as session:
            assert (await session.execute(text("select 1 from jobs"))).all() == []
            setting = await session.execute(text("select current_setting('app.current_tenant_id')"))
            assert setting.scalar_one() == str(tenants[number])

    # Each at once and without a retry: no connection of the old server is handed out.
    await asyncio.gather(*(visit(number) for number in range(size)))
    await database.dispose()


@pytest.mark.fault("F21")
async def test_idle_connections_that_a_failover_closed_cost_no_request(
    postgres: PostgresServer, scratch_name: str
) -> None:
    database = Database.from_settings(postgres.settings_for(scratch_name, pool_size=6, pool_overflow=0))
    tenant, together = await make_tenant(database), asyncio.Barrier(6)

    async def visit() -> None:
        async with tenant_session(database, tenant) as session:
            await session.execute(text("select 1"))
            await together.wait()

    await asyncio.gather(*(visit() for _ in range(6)))
    async with postgres.superuser() as connection:
        await connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1", scratch_name
        )
        left = "select count(*) from pg_stat_activity where datname = $1"
        assert await connection.fetchval(left, scratch_name) == 0
    await asyncio.gather(*(visit() for _ in range(6)))
    await database.dispose()


@pytest.mark.fault("F22")
async def test_a_full_disk_is_a_503_that_leaves_nothing_and_mends_itself(scene: Scene) -> None:
    def large() -> Sent:
        one = scene.alert()
        padding = os.urandom(340_000).hex().encode()
        return Sent(
            one.endpoint, one.message_id, one.body[:-1] + b',"p":"' + padding + b'"}', one.key, "firing", one.at
        )

    # Room for a segment of the log, none for what the bodies need beyond it.
    pids = await scene.rig.backends("tocsin-app")
    scene.rig.limit_files(pids, str(17 * 2**20))
    refused: Sent | None = None
    for _ in range(60):
        one = large()
        answer = await scene.post(one)
        if answer.status_code != 202:
            refused = one
            break
    assert refused is not None
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert await scene.count("deliveries", f"external_id = '{refused.message_id}'") == 0
    scene.rig.limit_files(pids, "unlimited")
    assert (await scene.post(refused)).status_code == 202
    await scene.verdict()


@pytest.mark.fault("F24")
async def test_used_up_connections_are_a_503_and_the_health_page_answers(
    postgres: PostgresServer, scratch_name: str, redis_url: str
) -> None:
    settings = make_settings(postgres, scratch_name, redis_url)
    pool = postgres.settings_for(scratch_name, pool_size=2, pool_overflow=0, pool_wait_s=0.3)
    settings = settings.model_copy(update={"database": pool})
    resources = build_resources(settings)
    database = resources.get(Database)
    tenant = await make_tenant(database)
    source, sender = await committed_source(resources, tenant), make_sender(resources)

    async def slow_query() -> None:
        async with tenant_session(database, tenant) as session:
            await session.execute(text("select pg_sleep(6)"))

    transport = httpx.ASGITransport(app=create_app(settings, resources))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as api:
        slow = [asyncio.create_task(slow_query()) for _ in range(2)]
        await wait_until(lambda: database.app.pool.checkedout() == 2, what="both connections are lent")  # type: ignore[attr-defined]
        *answers, ready = await asyncio.gather(*(sender.send(source) for _ in range(20)), api.get("/readyz"))
        assert not any(task.done() for task in slow), "all are answered while the queries last"
        assert {answer.status_code for answer in answers} == {503}
        assert all(answer.headers["retry-after"] for answer in answers)
        assert ready.status_code == 200
        await asyncio.gather(*slow)
        assert (await sender.send(source)).status_code == 202
    await sender.client.aclose()
    await sender.app.aclose()
    await close_resources(resources)


@pytest.mark.fault("F26")
async def test_a_storm_on_two_hot_keys_in_every_order_dead_locks_nobody(scratch_database: Database) -> None:
    tenant, source, rng = await make_tenant(scratch_database), make_source(), random.Random(26)
    now, slots = SystemClock().now(), asyncio.Semaphore(8)

    async def send(seq: int) -> None:
        keys = ["a", "b", "c"]
        rng.shuffle(keys)
        at = now + timedelta(seconds=seq)
        status = AlertStatus.RESOLVED if seq == 79 else AlertStatus.FIRING
        events = [make_event(key, at=at, status=status) for key in keys]
        async with slots, tenant_session(scratch_database, tenant) as session:
            await deliver(session, source, *events, now=now, seq=seq)

    order = list(range(80))
    rng.shuffle(order)
    await asyncio.gather(*(send(seq) for seq in order))
    async with tenant_session(scratch_database, tenant) as session:
        alerts = await list_alerts(session, wanted=AlertFilter(), before=None, limit=100)
    assert {alert.status for alert in alerts} == {AlertStatus.RESOLVED}, "the newest word counts, whenever it came"


@pytest.mark.fault("F27")
async def test_without_any_hint_the_relay_finds_new_work_by_polling(bench: Bench) -> None:
    publisher = CollectingPublisher()
    relay = Relay(database=bench.database, publisher=publisher, settings=JobSettings())
    running = asyncio.create_task(relay.run())
    try:
        for number in range(3):
            async with tenant_session(bench.database, bench.tenant_id) as session:
                await enqueue(session, Note(text=str(number)))
            await wait_until(publisher.take, what="a poll finds it")
    finally:
        relay.stop()
        await running


@pytest.mark.fault("F27")
def test_no_transaction_waits_for_the_notify_queue() -> None:
    pattern = re.compile(r"\bpg_notify\b|\bnotify\s+\w+\s*[,;']|add_listener", re.IGNORECASE)
    paths = [path for folder in ("app", "workers", "migrations") for path in (ROOT / folder).rglob("*.*")]
    texts = {path: path.read_text() for path in paths if path.suffix in {".py", ".sql"}}
    assert [str(path) for path, said in texts.items() if pattern.search(said)] == []
