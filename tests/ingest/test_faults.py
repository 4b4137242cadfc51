"""When the database is away, slow or full of others' work: a quick 503, nothing half-written, and back by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.rules.requests import HeaderFilter
from app.ingest.service import CreatedSource
from app.settings import Settings
from tests.factories.ingest import Sender, alert_body, committed_source, make_sender, signed_headers
from tests.fixtures.database import PostgresServer
from tests.fixtures.wait import ends


@pytest.fixture
async def source(resources: Resources, tenant_id: TenantId) -> CreatedSource:
    return await committed_source(resources, tenant_id)


@pytest.fixture
async def remembering(resources: Resources) -> AsyncIterator[Sender]:
    """An intake route that remembers its sources, as in production."""
    sender = make_sender(resources)
    yield sender
    await sender.client.aclose()
    await sender.app.aclose()


async def count(database: Database, tenant_id: TenantId) -> int:
    async with tenant_session(database, tenant_id) as session:
        return int((await session.execute(text("select count(*) from deliveries"))).scalar_one())


async def test_a_database_that_is_down_is_a_quick_503_and_no_reason_to_restart(
    remembering: Sender,
    source: CreatedSource,
    postgres: PostgresServer,
    database_name: str,
    database: Database,
    tenant_id: TenantId,
) -> None:  # F19, F24
    assert (await remembering.send(source)).status_code == 202
    own = remembering.app._deliveries._database
    down = postgres.settings_for(
        database_name, app_url=SecretStr("postgresql+asyncpg://tocsin_app@127.0.0.1:1/none"), connect_timeout_s=1.0
    )
    remembering.app._deliveries._database = Database.from_settings(down)
    answer = await remembering.send(source)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    remembering.app._deliveries._database = own
    assert (await remembering.send(source)).status_code == 202
    assert await count(database, tenant_id) == 2


async def test_a_pool_that_is_used_up_is_a_503_and_not_a_wait(
    remembering: Sender, source: CreatedSource, postgres: PostgresServer, database_name: str, tenant_id: TenantId
) -> None:  # F24
    assert (await remembering.send(source)).status_code == 202
    own = remembering.app._deliveries._database
    small = Database.from_settings(postgres.settings_for(database_name, pool_size=1, pool_overflow=0, pool_wait_s=0.3))
    remembering.app._deliveries._database = small
    try:
        async with tenant_session(small, tenant_id), ends():
            # The only connection is lent out until all of them are answered: who waited for it would wait for ever.
            answers = await asyncio.gather(*(remembering.send(source) for _ in range(5)))
        assert {answer.status_code for answer in answers} == {503}
        assert (await remembering.send(source)).status_code == 202
    finally:
        remembering.app._deliveries._database = own
        await small.dispose()


async def test_a_client_that_goes_away_at_any_await_leaves_a_clean_connection(
    remembering: Sender,
    source: CreatedSource,
    postgres: PostgresServer,
    database_name: str,
    tenant_id: TenantId,
    database: Database,
) -> None:  # F47, C09
    own = remembering.app._deliveries._database
    single = Database.from_settings(postgres.settings_for(database_name, pool_size=1, pool_overflow=0))
    remembering.app._deliveries._database = single
    try:
        for pause in range(12):
            task = asyncio.create_task(remembering.send(source))
            for _ in range(pause * 3):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert (await remembering.send(source)).status_code == 202
        async with single.app.connect() as connection:
            setting = await connection.execute(text("select current_setting('app.current_tenant_id', true)"))
            assert setting.scalar_one() in (None, "")
    finally:
        remembering.app._deliveries._database = own
        await single.dispose()


async def test_a_source_that_is_known_survives_a_look_up_that_fails(
    resources: Resources, source: CreatedSource, postgres: PostgresServer, database_name: str
) -> None:  # F49: for a bounded time, and only what was verified before
    settings = resources.get(Settings)
    for stale_s, expected in ((30.0, 202), (0.0, 503)):
        ingest = settings.ingest.model_copy(update={"source_cache_ttl_s": 0.0, "source_cache_stale_s": stale_s})
        resources.provide(Settings, settings.model_copy(update={"ingest": ingest}))
        sender = make_sender(resources)
        assert (await sender.send(source)).status_code == 202
        sender.app.sources._database = Database.from_settings(
            postgres.settings_for(
                database_name, system_url=SecretStr("postgresql+asyncpg://tocsin_system@127.0.0.1:1/none")
            )
        )
        assert (await sender.send(source)).status_code == expected
        await sender.client.aclose()
        await sender.app.aclose()


async def test_too_many_requests_at_once_are_turned_away_unread(
    resources: Resources, source: CreatedSource
) -> None:  # I8
    settings = resources.get(Settings)
    ingest = settings.ingest.model_copy(update={"max_inflight_requests": 1})
    resources.provide(Settings, settings.model_copy(update={"ingest": ingest}))
    sender = make_sender(resources)
    arrived, release = asyncio.Event(), asyncio.Event()

    async def held(scope: Any, receive: Any, send: Any) -> None:
        async def later() -> Any:
            arrived.set()
            await release.wait()
            return await receive()

        await sender.app(scope, later, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=held), base_url="http://slow") as client:
        first = asyncio.create_task(client.post(source.url_path, content=b"{}"))
        await arrived.wait()
        second = await sender.send(source)
        release.set()
        assert (await first).status_code == 401
    assert (second.status_code, second.headers["connection"]) == (503, "close")
    await sender.client.aclose()
    await sender.app.aclose()


async def test_a_body_that_does_not_come_is_given_up(resources: Resources, source: CreatedSource) -> None:  # B21
    settings = resources.get(Settings)
    ingest = settings.ingest.model_copy(update={"body_timeout_s": 0.05})
    resources.provide(Settings, settings.model_copy(update={"ingest": ingest}))
    sender = make_sender(resources)
    for first in ([], [{"type": "http.request", "body": b"{", "more_body": True}]):
        messages: list[Any] = list(first)
        sent: list[Any] = []

        async def receive(messages: list[Any] = messages) -> Any:
            if messages:
                return messages.pop()
            await asyncio.Event().wait()
            raise AssertionError("never")

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": source.url_path, "headers": [], "query_string": b""}
        await sender.app(scope, receive, send)
        assert sent[0]["status"] == 503
    await sender.client.aclose()
    await sender.app.aclose()


async def test_a_forged_traceparent_is_never_the_parent(
    remembering: Sender, source: CreatedSource, database: Database, tenant_id: TenantId
) -> None:  # D24
    body = alert_body()
    forged = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    headers = [*signed_headers(source, body, remembering.app._clock.now()), ("traceparent", forged)]
    assert (await remembering.client.post(source.url_path, content=body, headers=headers)).status_code == 202
    async with tenant_session(database, tenant_id) as session:
        kept = (await session.execute(text("select traceparent from deliveries"))).scalar_one()
    assert kept.split("-")[1] != "a" * 32


def test_headers_are_bounded_and_clean() -> None:
    raw = [(f"x-{i}".encode(), b"v" * 9000) for i in range(200)] + [(b"x-nul", b"a\x00b")]
    kept = HeaderFilter(["x-1"]).keep(raw)
    assert '"x-1"' not in kept
    assert len(kept) < 64 * 8300
    assert "a\\u0000b" not in HeaderFilter().keep(raw[-1:])
