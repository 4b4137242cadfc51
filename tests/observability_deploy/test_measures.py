"""What the rules measure is counted where it happens."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.core.clock import FakeClock, SystemClock
from app.core.resources import Resources
from app.db.engine import Database
from app.db.jobs.queue import enqueue
from app.db.system import system_session
from app.db.tenancy import DatabaseUnavailable, tenant_session
from app.incidents.rules.flood import StormRule
from app.ingest.batches import store_batch
from app.observability.metrics import REGISTRY
from app.settings import Settings
from tests.factories.incidents import deliver, make_event, make_source
from tests.factories.ingest import committed_source, make_intake
from tests.fixtures.database import PostgresServer, make_tenant
from tests.fixtures.jobs import CollectingPublisher, run_jobs
from tests.jobs.conftest import Bench, Note
from workers.relay import Relay
from workers.server_watch import EVERY_S, ServerWatch
from workers.storm_watch import EVERY_S as STORMS_EVERY_S
from workers.storm_watch import StormWatch


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_the_time_from_a_delivery_to_its_incident_is_counted(
    scratch_resources: Resources, scratch_database: Database, clock: FakeClock
) -> None:
    tenant_id = await make_tenant(scratch_database)
    source = await committed_source(scratch_resources, tenant_id)
    intake = make_intake(source, received_at=clock.now())
    async with tenant_session(scratch_database, tenant_id) as session:
        await store_batch(session, [intake], settings=scratch_resources.get(Settings).ingest)
    before = value("tocsin_event_to_effect_seconds_count"), value("tocsin_event_to_effect_seconds_sum")
    clock.advance(timedelta(seconds=7))
    await run_jobs(scratch_resources)
    after = value("tocsin_event_to_effect_seconds_count"), value("tocsin_event_to_effect_seconds_sum")
    assert (after[0] - before[0], round(after[1] - before[1], 3)) == (1, 7.0)


async def test_a_pool_shows_what_it_lends_and_how_much_it_can(postgres: PostgresServer, database_name: str) -> None:
    database = Database.from_settings(
        postgres.settings_for(database_name, pool_size=2, pool_overflow=1, system_pool_size=4)
    )
    tenant_id = await make_tenant(database)
    try:
        assert value("tocsin_db_pool_limit", role="app") == 3
        assert value("tocsin_db_pool_limit", role="system") == 4
        assert value("tocsin_db_pool_in_use", role="app") == 0
        async with tenant_session(database, tenant_id), system_session(database, reason="test"):
            assert value("tocsin_db_pool_in_use", role="app") == 1
            assert value("tocsin_db_pool_in_use", role="system") == 1
    finally:
        await database.dispose()
    assert value("tocsin_db_pool_in_use", role="app") == 0


async def begin(database: Database, role: str) -> None:
    if role == "app":
        await make_tenant(database)
    else:
        async with system_session(database, reason="test"):
            raise AssertionError("there is no server")


@pytest.mark.parametrize("role", ["app", "system"])
async def test_a_connection_that_could_not_be_had_is_counted(
    postgres: PostgresServer, database_name: str, role: str
) -> None:
    gone = SecretStr("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    database = Database.from_settings(postgres.settings_for(database_name, **{f"{role}_url": gone}))
    before = value("tocsin_db_unavailable_total", role=role)
    with pytest.raises(DatabaseUnavailable):
        await begin(database, role)
    assert value("tocsin_db_unavailable_total", role=role) == before + 1
    await database.dispose()


async def test_the_relay_counts_the_servers_connections_now_and_then(
    postgres: PostgresServer, scratch_database: Database, scratch_name: str
) -> None:
    seconds = [0.0]
    watch = ServerWatch(ticks=lambda: seconds[0])

    async def look() -> float:
        async with system_session(scratch_database, reason="test") as session:
            await watch(session)
        return value("tocsin_postgres_connections")

    alone = await look()
    assert 1 <= alone < value("tocsin_postgres_connections_limit")
    async with postgres.superuser(scratch_name), postgres.superuser(scratch_name), postgres.superuser(scratch_name):
        seconds[0] = EVERY_S - 1
        assert await look() == alone, "it looked before its time"
        seconds[0] = EVERY_S
        assert await look() >= alone + 2


async def test_the_relay_counts_storms_now_and_then(scratch_database: Database) -> None:
    tenant, seconds = await make_tenant(scratch_database), [0.0]
    watch = StormWatch(ticks=lambda: seconds[0])

    async def look() -> float:
        async with system_session(scratch_database, reason="test") as session:
            await watch(session)
        return value("tocsin_storms_active")

    assert await look() == 0
    source, now = make_source(storm=StormRule(opens=1)), SystemClock().now()
    async with tenant_session(scratch_database, tenant) as session:
        await deliver(session, source, *(make_event(f"k{n}", at=now) for n in range(3)), now=now)
    seconds[0] = STORMS_EVERY_S - 1
    assert await look() == 0, "it looked before its time"
    seconds[0] = STORMS_EVERY_S
    assert await look() == 1


@pytest.mark.parametrize(("paused", "marked"), [("enhancement", {"enhancement"}), ("*", {"enhancement", "intake"})])
async def test_a_queue_that_an_operator_paused_shows_as_paused(
    scratch_resources: Resources, scratch_database: Database, paused: str, marked: set[str]
) -> None:
    settings = scratch_resources.get(Settings).jobs
    relay = Relay(database=scratch_database, publisher=CollectingPublisher(), settings=settings)
    await relay.sweep()
    queues = ("enhancement", "intake")
    assert {queue: value("tocsin_queue_paused", queue=queue) for queue in queues} == dict.fromkeys(queues, 0)
    async with system_session(scratch_database, reason="test") as session:
        await session.execute(text("select tocsin_private.set_queue_pause(:queue, 'test', true)"), {"queue": paused})
    await relay.sweep()
    assert {queue for queue in queues if value("tocsin_queue_paused", queue=queue)} == marked


async def test_a_job_that_was_handed_out_and_is_not_begun_still_waits(bench: Bench) -> None:
    async with tenant_session(bench.database, bench.tenant_id) as session:
        await enqueue(session, Note(text="nobody begins me"))
    await bench.change("update jobs set run_at = now() - interval '10 minutes'")
    settings = bench.resources.get(Settings).jobs.model_copy(update={"republish_after_s": 3600})
    relay = Relay(database=bench.database, publisher=CollectingPublisher(), settings=settings)
    for state in ("scheduled", "published"):
        assert (await bench.row())["state"] == state
        await relay.sweep()
        assert value("tocsin_jobs_oldest_due_seconds", queue="maintenance") == pytest.approx(600, abs=30)
        assert await relay.tick() == (state == "scheduled")
