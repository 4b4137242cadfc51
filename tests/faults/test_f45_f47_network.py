"""The network drops what is sent, and clients hang up wherever they like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.core.failpoints import armed
from app.core.resources import Resources
from app.db.engine import Database
from app.db.system import system_call, system_session
from app.db.tenancy import tenant_session
from app.settings import Settings
from app.wiring import build_resources, close_resources
from tests.factories.ingest import Sender, alert_body, committed_source, make_sender
from tests.faults.proxy import Wire, open_wire
from tests.fixtures.database import PostgresServer, make_tenant
from tests.fixtures.process import make_settings
from tests.fixtures.wait import ends, wait_until

POOL = 4


@asynccontextmanager
async def intake_behind(wire: Wire, postgres: PostgresServer, name: str, redis_url: str) -> AsyncIterator[Sender]:
    """An intake route whose every connection goes through the wire."""
    database = postgres.settings_for(
        name,
        app_url=SecretStr(wire.url_for("tocsin_app", name)),
        system_url=SecretStr(wire.url_for("tocsin_system", name)),
        pool_size=POOL,
        pool_overflow=0,
    )
    resources = build_resources(make_settings(postgres, name, redis_url).model_copy(update={"database": database}))
    sender = make_sender(resources)
    yield sender
    await sender.client.aclose()
    await sender.app.aclose()
    await close_resources(resources)


@pytest.mark.fault("F45")
@pytest.mark.parametrize("old", [True, False], ids=["the packets come late", "the packets never come"])
async def test_a_network_that_drops_everything_is_a_quick_503_and_passes(
    postgres: PostgresServer, scratch_name: str, scratch_resources: Resources, redis_url: str, old: bool
) -> None:
    tenants = [await make_tenant(scratch_resources.get(Database)) for _ in range(3)]
    async with (
        open_wire(postgres.server) as wire,
        intake_behind(wire, postgres, scratch_name, redis_url) as sender,
    ):
        sources = [await committed_source(sender.resources, tenant) for tenant in tenants]
        assert {(await sender.send(source)).status_code for source in sources} == {202}
        wire.cut()
        tasks_before = len(asyncio.all_tasks())
        for _ in range(3):
            async with ends():
                answers = await asyncio.gather(*(sender.send(source) for source in sources * 5))
            assert {answer.status_code for answer in answers} == {503}
        assert len(asyncio.all_tasks()) - tasks_before < 40, "nothing piles up"
        assert wire.connections <= 2 * (POOL + 3), "and no new connections either"
        wire.mend(old=old)

        async def passes() -> bool:
            return {(await sender.send(source)).status_code for source in sources} == {202}

        await wait_until(passes, timeout_s=15, every_s=0.2, what="the intake works again, without a restart")
    for tenant in tenants:
        async with tenant_session(scratch_resources.get(Database), tenant) as session:
            stored = await session.execute(text("select count(*) - count(distinct external_id) from deliveries"))
            assert stored.scalar_one() == 0


@pytest.mark.fault("F47")
@pytest.mark.parametrize("place", ["ingest.before_insert", "ingest.after_insert", "ingest.after_commit"])
async def test_a_client_that_hangs_up_at_any_step_leaves_one_whole_delivery_or_none(
    scratch_sender: Sender, scratch_resources: Resources, place: str
) -> None:
    database = scratch_resources.get(Database)
    tenant = await make_tenant(database)
    source, body = await committed_source(scratch_resources, tenant), alert_body()
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        reached.set()
        await go_on.wait()

    with armed({place: hold}):
        request = asyncio.create_task(scratch_sender.send(source, body, delivery_id="msg_gone"))
        await reached.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        go_on.set()
        again = await scratch_sender.send(source, body, delivery_id="msg_gone")
    assert (again.status_code, again.json()["duplicate"]) == (202, True), "what was begun is finished, once"
    async with tenant_session(database, tenant) as session:
        found = await session.execute(text("select (select count(*) from deliveries), (select count(*) from jobs)"))
        assert tuple(found.one()) == (1, 1)
    await wait_until(lambda: database.app.pool.checkedout() == 0, what="every connection is back")  # type: ignore[attr-defined]


@pytest.mark.fault("F47")
async def test_a_commit_that_is_cut_short_at_any_step_leaves_a_clean_connection(
    scratch_resources: Resources, postgres: PostgresServer, scratch_name: str
) -> None:
    single = Database.from_settings(postgres.settings_for(scratch_name, pool_size=1, pool_overflow=0))
    tenant = await make_tenant(single)
    for place in ("ingest.before_insert", "ingest.after_insert"):
        settings = scratch_resources.get(Settings)
        ingest = settings.ingest.model_copy(update={"commit_statement_timeout_ms": 100})
        scratch_resources.provide(Settings, settings.model_copy(update={"ingest": ingest}))
        source = await committed_source(scratch_resources, tenant)
        sender = make_sender(scratch_resources)
        await sender.app.sources.find(source.url_path.removeprefix("/in/"))
        sender.app._deliveries._database = single
        with armed({place: "sleep:5s@once"}):
            assert (await sender.send(source)).status_code == 503
        async with single.app.connect() as connection:
            setting = await connection.execute(text("select current_setting('app.current_tenant_id', true)"))
            assert setting.scalar_one() in (None, "")
        assert (await sender.send(source)).status_code == 202
        await sender.client.aclose()
        await sender.app.aclose()
    async with tenant_session(single, tenant) as session:
        assert (await session.execute(text("select count(*) from deliveries"))).scalar_one() == 2
    await single.dispose()


@pytest.mark.fault("F45")
async def test_a_call_that_is_never_answered_gives_its_connection_back(
    postgres: PostgresServer, scratch_name: str
) -> None:
    async with open_wire(postgres.server) as wire:
        url = SecretStr(wire.url_for("tocsin_system", scratch_name))
        settings = postgres.settings_for(scratch_name, system_url=url, system_pool_size=1, statement_timeout_ms=100)
        database = Database.from_settings(settings)
        call = "select tocsin_private.poll_published(array['intake'], interval '0 s', 1)"
        assert await system_call(database, call, reason="test") == []
        wire.cut()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await system_call(database, call, reason="test")
        wire.mend(old=False)
        # The only connection is silent for ever; the pool must have noticed.
        assert await system_call(database, call, reason="test") == []
        async with asyncio.timeout(10), system_session(database, reason="test") as session:
            wire.cut()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await session.execute(text(call))
            wire.mend(old=False)
            await session.close()
        assert await system_call(database, call, reason="test") == []
        await database.dispose()
