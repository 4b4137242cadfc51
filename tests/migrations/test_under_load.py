"""Senders notice nothing while the schema is migrated down and up again beneath a running api, relay and worker.

The load is signed and paced, so that a request that waits is seen as late, and one that is refused as refused: the senders
here do not try again. Every acknowledged delivery must be there at the end, and worked through.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from app.auth.rules import Role
from app.core.clock import Clock, SystemClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.migrate import downgrade, upgrade
from app.db.tenancy import tenant_session
from app.net.keyring import KeyRing
from app.settings import Settings
from tests.db.test_partitions import partitions_in
from tests.factories.access import make_tokens
from tests.factories.ingest import alert_body, make_source, signed_headers
from tests.fixtures.database import PostgresServer, make_tenant
from tests.fixtures.stack import ProcessStack
from tests.fixtures.wait import wait_until

SENDERS = 4
PACE_S = 0.01
PATIENCE_S = 5.0


@dataclass
class Load:
    """What the senders saw.

    Attributes:
        statuses: Answers by status; a broken connection counts under its error's name.
        receipts: What was acknowledged.
        slowest_s: The longest wait for an answer.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    receipts: list[UUID] = field(default_factory=list)
    slowest_s: float = 0.0


async def send_until(
    stack: ProcessStack, tenant: TenantId, database: Database, over: asyncio.Event, load: Load
) -> None:
    """Four senders, each with a source of its own, one request after the other."""
    keyring = KeyRing.from_settings(stack.settings.security)
    loop = asyncio.get_running_loop()

    async def send() -> None:
        async with tenant_session(database, tenant) as session:
            source = await make_source(session, keyring)
        async with httpx.AsyncClient(base_url=stack.api_url, timeout=PATIENCE_S) as client:
            while not over.is_set():
                body, started = alert_body(), loop.time()
                headers = signed_headers(source, body, SystemClock().now())
                try:
                    answer = await client.post(source.url_path, content=body, headers=headers)
                except httpx.HTTPError as error:
                    load.statuses[type(error).__name__] += 1
                    continue
                load.slowest_s = max(load.slowest_s, loop.time() - started)
                load.statuses[str(answer.status_code)] += 1
                if answer.status_code == 202:
                    load.receipts.append(UUID(answer.json()["receipt_id"]))
                await asyncio.sleep(PACE_S)

    await asyncio.gather(*(send() for _ in range(SENDERS)))


async def scalar(database: Database, tenant: TenantId, statement: str) -> int:
    async with tenant_session(database, tenant) as session:
        return int((await session.execute(text(statement))).scalar_one())


@pytest.mark.fault("F39", "F40")
@pytest.mark.timeout(180)
async def test_an_upgrade_and_a_roll_back_lose_nothing_and_refuse_nobody(
    stack: ProcessStack, postgres: PostgresServer, scratch_name: str
) -> None:
    database = Database.from_settings(stack.settings.database)
    tenant, owner = await make_tenant(database), postgres.server.url_for("tocsin_owner", database=scratch_name)
    load, over = Load(), asyncio.Event()
    sending = asyncio.create_task(send_until(stack, tenant, database, over, load))

    async def acknowledged(count: int) -> None:
        wanted = len(load.receipts) + count
        await wait_until(lambda: len(load.receipts) >= wanted or load.statuses.keys() - {"202"}, timeout_s=60)

    await acknowledged(100)
    seen: list[int] = []
    # The last step by itself, then the one that turns the biggest table into a partitioned one, each down and up.
    for revision, change in itertools.product(("-1", "0007"), (downgrade, upgrade)):
        await asyncio.to_thread(change, owner, revision if change is downgrade else "head")
        seen.append(len(await partitions_in(postgres, scratch_name)))
        await acknowledged(100)
    over.set()
    await sending
    assert dict(load.statuses) == {"202": len(load.receipts)}
    assert len(load.receipts) >= 500
    assert load.slowest_s < 2.0
    assert [bool(partitions) for partitions in seen] == [True, True, False, True]
    await assert_nothing_is_lost(database, tenant, load)
    await assert_the_api_still_answers(stack, database, tenant, load)
    await database.dispose()


async def assert_nothing_is_lost(database: Database, tenant: TenantId, load: Load) -> None:
    async with tenant_session(database, tenant) as session:
        stored = set((await session.execute(text("select id from deliveries"))).scalars())
    assert set(load.receipts) == stored

    async def settled() -> bool:
        return await scalar(database, tenant, "select count(*) from deliveries where state = 'accepted'") == 0

    await wait_until(settled, timeout_s=90, every_s=0.2, what="every delivery is worked through")
    assert await scalar(database, tenant, "select count(*) from deliveries where state <> 'processed'") == 0
    assert await scalar(database, tenant, "select count(*) from alerts") == len(load.receipts)


async def assert_the_api_still_answers(stack: ProcessStack, database: Database, tenant: TenantId, load: Load) -> None:
    resources = Resources()
    resources.provide(Settings, stack.settings)
    resources.provide(Database, database)

    resources.provide(Clock, SystemClock())  # type: ignore[type-abstract]
    headers = {"Authorization": (await make_tokens(resources, tenant))[Role.VIEWER]}
    async with httpx.AsyncClient(base_url=stack.api_url, headers=headers, timeout=PATIENCE_S) as client:
        for receipt in (load.receipts[0], load.receipts[-1]):
            answer = await client.get(f"/v1/receipts/{receipt}")
            assert (answer.status_code, answer.json()["state"]) == (200, "processed")
