"""A heartbeat on a database of the test's own, with the machine's clock: deadlines are the database's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from app.api import create_api
from app.core.clock import Clock, SystemClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.heartbeats.schemas import HeartbeatCreate, HeartbeatView
from app.ingest.heartbeats.service import create_heartbeat
from app.ingest.service import CreatedSource
from tests.factories.ingest import ACTOR, Sender, committed_source, make_sender
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import run_jobs
from tests.ingest.conftest import without_memory


@dataclass
class Watched:
    """One tenant with a source and a heartbeat of an hour."""

    sender: Sender
    resources: Resources
    tenant_id: TenantId
    source: CreatedSource
    heartbeat: HeartbeatView

    async def beat(self, rest: str = "nightly", *, method: str = "POST", body: bytes = b"") -> httpx.Response:
        """Report as a cron job does: a token in a header and nothing else."""
        headers = {"authorization": f"Bearer {self.source.secret}"}
        path = f"{self.source.url_path}/heartbeat{'/' + rest if rest else ''}"
        return await self.sender.client.request(method, path, content=body, headers=headers)

    async def pass_time(self, seconds: float) -> None:
        """Move the heartbeat's past back, and make its timer due."""
        await self.execute(
            "update heartbeats set deadline_at = deadline_at - make_interval(secs => :s),"
            " last_beat_at = last_beat_at - make_interval(secs => :s)",
            s=seconds,
        )
        await self.execute(
            "update jobs set run_at = run_at - make_interval(secs => :s) where state = 'scheduled'", s=seconds
        )
        await run_jobs(self.resources)

    async def execute(self, statement: str, **values: Any) -> None:
        async with tenant_session(self.resources.get(Database), self.tenant_id) as session:
            await session.execute(text(statement), values)

    async def rows(self, statement: str) -> list[Any]:
        async with tenant_session(self.resources.get(Database), self.tenant_id) as session:
            return [tuple(row) for row in await session.execute(text(statement))]

    async def alerts(self) -> list[Any]:
        """Status and severity of every alert."""
        return await self.rows("select dedup_key, status, severity from alerts order by id")

    async def state(self) -> str:
        (found,) = await self.rows("select state from heartbeats")
        return str(found[0])


async def make_heartbeat(resources: Resources, tenant_id: TenantId, source_id: UUID, **changes: Any) -> HeartbeatView:
    """This will make a heartbeat of an hour named nightly."""
    values: dict[str, Any] = {"source_id": source_id, "name": "nightly", "interval_s": 3600, "severity": "P0"}
    now = resources.get(Clock).now()  # type: ignore[type-abstract]
    async with tenant_session(resources.get(Database), tenant_id) as session:
        wanted = HeartbeatCreate.model_validate(values | changes)
        return await create_heartbeat(session, wanted, most=10, actor=ACTOR, now=now)


@pytest.fixture
async def watched(scratch_resources: Resources, scratch_database: Database) -> AsyncIterator[Watched]:
    scratch_resources.provide(Clock, SystemClock())  # type: ignore[type-abstract]
    without_memory(scratch_resources)
    tenant_id = await make_tenant(scratch_database)
    source = await committed_source(scratch_resources, tenant_id, profile="bearer")
    heartbeat = await make_heartbeat(scratch_resources, tenant_id, source.source.id)
    sender = make_sender(scratch_resources)
    yield Watched(sender, scratch_resources, tenant_id, source, heartbeat)
    await sender.client.aclose()
    await sender.app.aclose()


@pytest.fixture
async def scratch_api(watched: Watched) -> AsyncIterator[httpx.AsyncClient]:
    """The API beside the intake route, on the same database."""
    api = create_api(watched.resources, interactive=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://tocsin.test") as client:
        yield client
