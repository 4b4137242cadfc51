"""Deliveries by day: made ahead, dropped behind, whole at midnight, protected one by one."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from sqlalchemy import text

from app.auth.rules import Role
from app.core.clock import FakeClock
from app.core.ids import TenantId, new_id
from app.core.resources import Resources
from app.db.catalogue import examine, tenant_tables
from app.db.engine import Database
from app.db.system import system_session
from app.db.tenancy import tenant_session
from app.ingest.repository.deliveries import Finding, finish
from app.ingest.schemas import DeliveryState
from app.observability.metrics import REGISTRY
from tests.factories.access import make_tokens
from tests.fixtures.database import PostgresServer, make_tenant
from workers.partitions import AHEAD_DAYS, EVERY_S, MOST_PARTITIONS, PartitionKeeper, PartitionState, keep_partitions

KEEP_DAYS = 30
INSERT = (
    "insert into deliveries (tenant_id, id, source_id, received_at, stored_at, shard, state, replay_key, body_sha256,"
    " headers, body, size_bytes) values ($1, $2, $3, $4, $4, 0, $5, '', '', '{}', 'body', 4)"
)


def midnight(days: int = 0) -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)


def id_of(moment: datetime, low: int = 1) -> UUID:
    """A UUIDv7 of the moment."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62) | low)


async def put(
    database: Database, tenant: TenantId, moment: datetime, *, state: str = "processed", low: int = 1
) -> UUID:
    """This will store a delivery whose id and arrival are of the moment."""
    delivery_id = id_of(moment, low)
    async with tenant_session(database, tenant) as session:
        await session.driver.execute(INSERT, tenant, delivery_id, new_id(), moment, state)
    return delivery_id


async def keep(database: Database, now: datetime, *, retention_days: int = KEEP_DAYS) -> PartitionState:
    async with system_session(database, reason="test") as session:
        return await keep_partitions(session, now=now, retention_days=retention_days)


async def purge(database: Database, before: datetime, limit: int = 100) -> int:
    async with system_session(database, reason="test") as session:
        statement = text("select tocsin_private.purge_deliveries(:before, :limit)")
        return int((await session.execute(statement, {"before": before, "limit": limit})).scalar_one())


async def ids_of(database: Database, tenant: TenantId) -> set[UUID]:
    async with tenant_session(database, tenant) as session:
        return set((await session.execute(text("select id from deliveries"))).scalars())


async def partition_of(postgres: PostgresServer, name: str, delivery_id: UUID) -> str:
    async with postgres.superuser(name) as connection:
        found = await connection.fetchval("select tableoid::regclass::text from deliveries where id = $1", delivery_id)
    return str(found)


async def partitions_in(postgres: PostgresServer, name: str) -> list[str]:
    async with postgres.superuser(name) as connection:
        rows = await connection.fetch(
            "select inhrelid::regclass::text from pg_inherits where inhparent = 'deliveries'::regclass order by 1"
        )
    return [row[0] for row in rows]


@pytest.fixture
async def tenant(scratch_database: Database) -> TenantId:
    return await make_tenant(scratch_database)


async def test_days_are_made_ahead_and_once(
    postgres: PostgresServer, scratch_database: Database, scratch_name: str
) -> None:
    now = midnight(20) + timedelta(hours=13)
    state = await keep(scratch_database, now)
    assert timedelta(days=AHEAD_DAYS) <= timedelta(seconds=state.ahead_s) <= timedelta(days=AHEAD_DAYS + 1)
    assert await keep(scratch_database, now) == state
    names = await partitions_in(postgres, scratch_name)
    # After a standstill they begin with tomorrow: what came meanwhile is not moved about.
    assert f"deliveries_p{midnight(20):%Y%m%d}" not in names
    assert f"deliveries_p{midnight(21):%Y%m%d}" in names


async def test_long_retention_makes_wider_partitions_and_not_more(scratch_database: Database) -> None:
    now = midnight()
    for day in range(0, 400, 4):
        state = await keep(scratch_database, now + timedelta(days=day), retention_days=365)
    assert state.partitions <= MOST_PARTITIONS + 4


async def test_the_day_ends_at_midnight_utc(
    postgres: PostgresServer, scratch_database: Database, scratch_name: str, tenant: TenantId
) -> None:
    boundary = midnight(4)
    last = await put(scratch_database, tenant, boundary - timedelta(milliseconds=1))
    first = await put(scratch_database, tenant, boundary, low=0)
    assert await partition_of(postgres, scratch_name, last) == f"deliveries_p{midnight(3):%Y%m%d}"
    assert await partition_of(postgres, scratch_name, first) == f"deliveries_p{boundary:%Y%m%d}"


async def test_a_partition_is_dropped_when_its_last_row_is_old_enough(
    scratch_database: Database, tenant: TenantId
) -> None:
    old, young = await put(scratch_database, tenant, midnight(3)), await put(scratch_database, tenant, midnight(4))
    end = midnight(4) + timedelta(days=KEEP_DAYS)
    before = await keep(scratch_database, end - timedelta(seconds=1))
    assert await ids_of(scratch_database, tenant) == {old, young}
    assert before.overdue == 0
    await keep(scratch_database, end)
    assert await ids_of(scratch_database, tenant) == {young}


async def test_what_still_waits_is_never_dropped_and_its_neighbours_are_purged(
    scratch_database: Database, tenant: TenantId
) -> None:
    waiting = await put(scratch_database, tenant, midnight(3), state="accepted")
    for low in (2, 3, 4):
        await put(scratch_database, tenant, midnight(3), low=low)
    young = await put(scratch_database, tenant, midnight(4))
    end = midnight(4) + timedelta(days=KEEP_DAYS)
    before = end - timedelta(days=KEEP_DAYS)
    # Until the partition's time is over its rows are left to its end.
    assert await purge(scratch_database, before - timedelta(seconds=1)) == 0
    assert (await keep(scratch_database, end)).overdue == 1
    assert [await purge(scratch_database, before, limit=2) for _ in range(3)] == [2, 1, 0]
    assert await ids_of(scratch_database, tenant) == {waiting, young}
    finding = Finding(waiting, DeliveryState.PROCESSED, "", "", {})
    async with tenant_session(scratch_database, tenant) as session:
        await finish(session, [finding], job_id=new_id(), now=end)
    assert (await keep(scratch_database, end)).overdue == 0
    assert await ids_of(scratch_database, tenant) == {young}


async def test_strays_are_counted_and_brought_home_when_their_day_is_made(
    postgres: PostgresServer, scratch_database: Database, scratch_name: str, tenant: TenantId
) -> None:
    day = midnight(14)
    stray, past = await put(scratch_database, tenant, day), await put(scratch_database, tenant, day, low=2)
    assert await partition_of(postgres, scratch_name, stray) == "deliveries_strays"
    assert (await keep(scratch_database, midnight())).strays == 2
    assert (await keep(scratch_database, midnight(13))).strays == 0
    assert await partition_of(postgres, scratch_name, stray) == f"deliveries_p{day:%Y%m%d}"
    assert await ids_of(scratch_database, tenant) == {stray, past}


async def test_strays_that_stay_are_purged_by_age(scratch_database: Database, tenant: TenantId) -> None:
    for low in (1, 2, 3):
        await put(scratch_database, tenant, midnight(40), low=low)
    waiting = await put(scratch_database, tenant, midnight(40), low=4, state="accepted")
    assert await purge(scratch_database, midnight(40)) == 0
    assert [await purge(scratch_database, midnight(41), limit=2) for _ in range(3)] == [2, 1, 0]
    assert await ids_of(scratch_database, tenant) == {waiting}


async def test_a_busy_table_puts_the_keeper_off_and_nobody_else(
    postgres: PostgresServer, scratch_database: Database, tenant: TenantId, scratch_name: str
) -> None:
    end = midnight(4) + timedelta(days=KEEP_DAYS)
    old = await put(scratch_database, tenant, midnight(3))
    async with postgres.superuser(scratch_name) as reader, reader.transaction():
        await reader.fetch("select id from deliveries")
        assert (await keep(scratch_database, end)).overdue >= 1
        assert await ids_of(scratch_database, tenant) == {old}
    assert (await keep(scratch_database, end)).overdue == 0
    assert await ids_of(scratch_database, tenant) == set()


async def test_the_receipt_of_a_dropped_delivery_is_not_found(
    scratch_resources: Resources, scratch_database: Database, tenant: TenantId
) -> None:
    from app.main import create_app
    from app.settings import Settings

    app = create_app(scratch_resources.get(Settings), scratch_resources)
    headers = {"Authorization": (await make_tokens(scratch_resources, tenant))[Role.ADMIN]}
    old, young = await put(scratch_database, tenant, midnight(3)), await put(scratch_database, tenant, midnight(4))
    await keep(scratch_database, midnight(4) + timedelta(days=KEEP_DAYS))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.test", headers=headers) as api:
        gone, here = await api.get(f"/v1/receipts/{old}"), await api.get(f"/v1/receipts/{young}")
        listed = await api.get("/v1/deliveries")
    assert (gone.status_code, here.status_code, listed.status_code) == (404, 200, 200)
    assert gone.json()["code"] == "delivery.not_found"
    assert [item["id"] for item in listed.json()["items"]] == [str(young)]


async def test_no_partition_can_be_named_by_the_application(
    postgres: PostgresServer, scratch_database: Database, scratch_name: str, tenant: TenantId
) -> None:
    await put(scratch_database, tenant, midnight(3))
    await keep(scratch_database, midnight(20))
    names = await partitions_in(postgres, scratch_name)
    assert len(names) > AHEAD_DAYS
    connection: asyncpg.Connection[Any] = await asyncpg.connect(postgres.dsn("tocsin_app", scratch_name))
    try:
        for name in names:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"select * from {name}")
    finally:
        await connection.close()
    async with scratch_database.app.connect() as looking:
        assert await examine(looking) == []
        assert not set(names) & set(await tenant_tables(looking))


MUTATIONS = {
    "force is dropped": "alter table {} no force row level security",
    "row level security is off": "alter table {} disable row level security",
    "a policy is dropped": "drop policy tenant_isolation on {}",
    "a stray policy": "create policy open on {} using (true)",
    "a right for the application": "grant select on {} to tocsin_app",
    "a keeper with another owner": "alter function tocsin_private.keep_delivery_partitions owner to postgres",
    "a helper with another owner": "alter function tocsin_private.stray_deliveries owner to tocsin_owner",
}


@pytest.mark.parametrize("mutation", MUTATIONS)
async def test_a_weakened_partition_is_found(
    postgres: PostgresServer, scratch_database: Database, scratch_name: str, mutation: str
) -> None:
    partition = (await partitions_in(postgres, scratch_name))[1]
    async with postgres.superuser(scratch_name) as connection:
        await connection.execute(MUTATIONS[mutation].format(partition))
    async with scratch_database.app.connect() as looking:
        findings = await examine(looking)
    assert findings
    assert any(partition in finding.what or "runs as" in finding.what for finding in findings), findings


async def test_the_relays_keeper_shows_what_it_found_once_a_minute(
    scratch_database: Database, tenant: TenantId
) -> None:
    clock, seconds = FakeClock(midnight()), [0.0]
    keeper = PartitionKeeper(clock, retention_days=KEEP_DAYS, ticks=lambda: seconds[0])

    async def look() -> tuple[float | None, ...]:
        async with system_session(scratch_database, reason="test") as session:
            await keeper(session)
        names = ("strays", "partitions_overdue", "partitions_ahead_seconds")
        return tuple(REGISTRY.get_sample_value(f"tocsin_deliveries_{name}") for name in names)

    assert (await look())[:2] == (0, 0)
    await put(scratch_database, tenant, midnight(30))
    seconds[0] = EVERY_S - 1
    assert (await look())[0] == 0, "it looked before its time"
    seconds[0] = EVERY_S
    strays, _, ahead_s = await look()
    assert strays == 1
    assert ahead_s is not None
    assert ahead_s >= timedelta(days=AHEAD_DAYS).total_seconds()


async def test_writers_notice_nothing_of_partitions_that_come_and_go(
    postgres: PostgresServer, scratch_database: Database, scratch_name: str, tenant: TenantId
) -> None:
    loop, over, waits = asyncio.get_running_loop(), asyncio.Event(), []

    async def write(writer: int) -> None:
        for low in itertools.count(writer << 32):
            if over.is_set():
                return
            started = loop.time()
            await put(scratch_database, tenant, midnight(), low=low)
            waits.append(loop.time() - started)

    writers = [asyncio.create_task(write(writer)) for writer in range(1, 4)]
    for day in range(0, 60, 3):
        await keep(scratch_database, midnight(day), retention_days=90)
    made = len(await partitions_in(postgres, scratch_name))
    # Now everything is over, also what is written at this moment; each call drops four.
    for _ in range(6):
        await keep(scratch_database, midnight(80), retention_days=1)
    over.set()
    await asyncio.gather(*writers)
    assert len(await partitions_in(postgres, scratch_name)) < made - 10
    assert len(waits) > 50
    assert max(waits) < 0.8, "a sender's request is answered within 0.9 s"
