"""Deliveries become partitions by day, and a plain table again, with every row (revision 0008)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.core.ids import TenantId
from app.db.catalogue import examine
from app.db.engine import Database
from app.db.migrate import downgrade, upgrade
from tests.db.test_partitions import id_of, ids_of, keep, midnight, partition_of, put
from tests.fixtures.database import PostgresServer, make_tenant

BEFORE, AFTER = "0007", "0008"


@pytest.fixture
async def name(postgres: PostgresServer) -> AsyncIterator[str]:
    """The name of a database at the revision before."""
    name = await postgres.clone()
    await asyncio.to_thread(downgrade, postgres.server.url_for("tocsin_owner", database=name), BEFORE)
    yield name
    await postgres.drop(name)


@pytest.fixture
def url(postgres: PostgresServer, name: str) -> str:
    return postgres.server.url_for("tocsin_owner", database=name)


@pytest.fixture
async def plain(postgres: PostgresServer, name: str) -> AsyncIterator[Database]:
    database = Database.from_settings(postgres.settings_for(name))
    yield database
    await database.dispose()


@pytest.fixture
async def tenants(plain: Database) -> list[TenantId]:
    return [await make_tenant(plain) for _ in range(2)]


async def assert_apart(database: Database) -> None:
    async with database.app.connect() as connection:
        found = [finding for finding in await examine(connection) if "backups" not in finding.what]
    assert found == []


async def test_every_row_stays_both_ways(
    postgres: PostgresServer, plain: Database, name: str, url: str, tenants: list[TenantId]
) -> None:
    mine, theirs = tenants
    kept = {tenant: {await put(plain, tenant, midnight(-day), low=day + 1) for day in (0, 3)} for tenant in tenants}
    await asyncio.to_thread(upgrade, url, AFTER)
    assert {tenant: await ids_of(plain, tenant) for tenant in tenants} == kept
    await assert_apart(plain)
    # Rows of the first partition, of a day, and of no day at all.
    for day in (1, 4, 300):
        kept[mine].add(await put(plain, mine, midnight(day)))
    kept[theirs].add(await put(plain, theirs, midnight(5)))
    await asyncio.to_thread(downgrade, url, BEFORE)
    assert {tenant: await ids_of(plain, tenant) for tenant in tenants} == kept
    await assert_apart(plain)
    # Ids of the future would not fit into the first partition: told, and nothing is changed or held up by it.
    with pytest.raises(RuntimeError, match="the clock of an api process was wrong"):
        await asyncio.to_thread(upgrade, url, "head")
    kept[mine].add(await put(plain, mine, midnight(6)))
    assert {tenant: await ids_of(plain, tenant) for tenant in tenants} == kept
    async with postgres.superuser(name) as connection:
        gone = await connection.fetch("delete from deliveries where id >= $1 returning id", id_of(midnight(2)))
    await asyncio.to_thread(upgrade, url, "head")
    left = {tenant: ids - {row[0] for row in gone} for tenant, ids in kept.items()}
    assert {tenant: await ids_of(plain, tenant) for tenant in tenants} == left


async def test_what_was_there_becomes_the_first_partition_without_being_copied(
    postgres: PostgresServer, plain: Database, name: str, url: str, tenants: list[TenantId]
) -> None:
    delivery = await put(plain, tenants[0], midnight(-1))
    statement = "select pg_relation_filenode($1::regclass)"
    async with postgres.superuser(name) as connection:
        before = await connection.fetchval(statement, "deliveries")
        await asyncio.to_thread(upgrade, url, AFTER)
        assert await connection.fetchval(statement, "deliveries_first") == before
    assert await partition_of(postgres, name, delivery) == "deliveries_first"


async def test_it_can_be_taken_back_after_the_first_partition_was_dropped(
    postgres: PostgresServer, plain: Database, name: str, url: str, tenants: list[TenantId]
) -> None:
    await put(plain, tenants[0], midnight(-1))
    await asyncio.to_thread(upgrade, url, "head")
    young = await put(plain, tenants[0], midnight(5))
    await keep(plain, midnight(2) + timedelta(days=30))
    assert await ids_of(plain, tenants[0]) == {young}
    await asyncio.to_thread(downgrade, url, BEFORE)
    assert await ids_of(plain, tenants[0]) == {young}
    await assert_apart(plain)


async def test_a_try_that_failed_half_way_is_simply_made_again(
    postgres: PostgresServer, plain: Database, name: str, url: str, tenants: list[TenantId]
) -> None:
    delivery = await put(plain, tenants[0], midnight(-1))
    async with postgres.superuser(name) as connection:
        await connection.execute("alter table deliveries add constraint ck_deliveries_first check (id is not null)")
    await asyncio.to_thread(upgrade, url, "head")
    assert await ids_of(plain, tenants[0]) == {delivery}


async def test_a_lock_that_is_held_puts_the_migration_off_and_no_sender(
    postgres: PostgresServer, plain: Database, name: str, url: str, tenants: list[TenantId]
) -> None:
    """Somebody reads for as long as three tries last; whoever queues behind the migration waits a quarter of a second."""
    async with postgres.superuser(name) as reader:
        reading = reader.transaction()
        await reading.start()
        await reader.fetch("select id from deliveries")
        migrating = asyncio.create_task(asyncio.to_thread(upgrade, url, AFTER))
        slowest, loop = 0.0, asyncio.get_running_loop()
        for low in range(1, 60):
            started = loop.time()
            await put(plain, tenants[0], midnight(), low=low)
            slowest = max(slowest, loop.time() - started)
            await asyncio.sleep(0.02)
        assert not migrating.done(), "the reader was not in the way"
        await reading.rollback()
        await asyncio.wait_for(migrating, 30)
    assert slowest < 0.8, "a sender's request is answered within 0.9 s"
    assert len(await ids_of(plain, tenants[0])) == 59
