"""A check on a database of the test's own, of a server that answers as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.core.clock import Clock, SystemClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.checks.jobs import ask_soon
from app.ingest.checks.schemas import CheckCreate, CheckUpdate
from app.ingest.checks.service import create_check, update_check
from app.ingest.service import CreatedSource
from tests.factories.ingest import ACTOR, committed_source
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import run_jobs
from tests.net.peers import Heard, Peer, peer


@dataclass
class Service:
    """What the checked server answers from now on."""

    peer: Peer
    status: str = "200 OK"
    body: bytes = b"all is well"
    more: str = ""


@dataclass
class Checked:
    """One tenant with a source, and a server to ask."""

    resources: Resources
    tenant_id: TenantId
    source: CreatedSource
    service: Service

    async def make(self, **changes: Any) -> UUID:
        """Make a check named shop, due now."""
        values = {
            "source_id": self.source.source.id,
            "name": "shop",
            "url": self.service.peer.url("/health?key=s3cret"),
        }
        wanted = CheckCreate.model_validate(values | changes)
        async with tenant_session(self.resources.get(Database), self.tenant_id) as session:
            row = await create_check(session, wanted, most=10, actor=ACTOR, now=self.now())
            await ask_soon(session, row)
        return row.id

    async def update(self, check_id: UUID, **changes: Any) -> None:
        async with tenant_session(self.resources.get(Database), self.tenant_id) as session:
            wanted = CheckUpdate.model_validate(changes)
            row = await update_check(session, check_id=check_id, wanted=wanted, actor=ACTOR, now=self.now())
            await ask_soon(session, row)

    async def ask(self) -> None:
        """Make the next question due, and run what is due."""
        await self.execute("update jobs set run_at = now() where state = 'scheduled'")
        await run_jobs(self.resources)

    def now(self) -> Any:
        return self.resources.get(Clock).now()  # type: ignore[type-abstract]

    async def execute(self, statement: str, **values: Any) -> None:
        async with tenant_session(self.resources.get(Database), self.tenant_id) as session:
            await session.execute(text(statement), values)

    async def rows(self, statement: str) -> list[Any]:
        async with tenant_session(self.resources.get(Database), self.tenant_id) as session:
            return [tuple(row) for row in await session.execute(text(statement))]

    async def state(self) -> tuple[str, int, str]:
        """State, wrong answers in a row, and what was wrong."""
        (found,) = await self.rows("select state, failures, error from checks")
        return (found[0], found[1], found[2])

    async def alerts(self) -> list[Any]:
        return await self.rows("select dedup_key, status, severity from alerts order by id")

    async def waiting(self) -> list[Any]:
        """Seconds until each question that is to be asked."""
        statement = (
            "select round(extract(epoch from run_at - now()) / 10) * 10 from jobs"
            " where kind = 'ingest.run_check' and state = 'scheduled'"
        )
        return [int(row[0]) for row in await self.rows(statement)]


@pytest.fixture
async def checked(scratch_resources: Resources, scratch_database: Database) -> AsyncIterator[Checked]:
    scratch_resources.provide(Clock, SystemClock())  # type: ignore[type-abstract]
    tenant_id = await make_tenant(scratch_database)
    source = await committed_source(scratch_resources, tenant_id)

    async def answer(writer: asyncio.StreamWriter, _heard: Heard) -> None:
        head = f"HTTP/1.1 {service.status}\r\ncontent-length: {len(service.body)}\r\n{service.more}\r\n"
        writer.write(head.encode() + service.body)
        await writer.drain()

    async with peer(answer) as running:
        service = Service(running)
        yield Checked(scratch_resources, tenant_id, source, service)
