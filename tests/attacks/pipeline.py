"""From an attacker's body to what is left of it: the whole way, with the real intake route, relay and runner."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.schemas import ReceiptDetail
from app.ingest.service import CreatedSource, get_receipt
from app.settings import Settings
from tests.factories.ingest import Sender, committed_source, make_sender
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import run_jobs
from workers.runner import Outcome


@dataclass
class Pipeline:
    """One tenant on a database of its own."""

    sender: Sender
    resources: Resources
    database: Database
    tenant_id: TenantId

    async def source_of(self, **changes: Any) -> CreatedSource:
        return await committed_source(self.resources, self.tenant_id, **changes)

    async def accept(self, source: CreatedSource, body: object, *, delivery_id: str | None = None) -> UUID:
        """This will send as the rightful sender and return the receipt's id."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await self.sender.send(source, content, delivery_id=delivery_id)
        assert answer.status_code == 202, answer.text
        return UUID(answer.json()["receipt_id"])

    async def work(self) -> None:
        """This will run what is due; no delivery may fail a job."""
        assert set(await run_jobs(self.resources)) <= {Outcome.SUCCEEDED, Outcome.LATER}

    async def receipt(self, receipt_id: UUID) -> ReceiptDetail:
        async with tenant_session(self.database, self.tenant_id) as session:
            return await get_receipt(session, delivery_id=receipt_id)

    async def take(self, source: CreatedSource, body: object, *, delivery_id: str | None = None) -> ReceiptDetail:
        """This will send, work, and say what became of it."""
        receipt_id = await self.accept(source, body, delivery_id=delivery_id)
        await self.work()
        return await self.receipt(receipt_id)

    async def rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        async with tenant_session(self.database, self.tenant_id) as session:
            return [dict(row) for row in (await session.execute(text(statement), values)).mappings()]


@pytest.fixture
async def pipeline(scratch_database: Database, scratch_resources: Resources) -> AsyncIterator[Pipeline]:
    settings = scratch_resources.get(Settings)
    patient = settings.ingest.model_copy(update={"commit_wait_s": 10.0})
    scratch_resources.provide(Settings, settings.model_copy(update={"ingest": patient}))
    sender = make_sender(scratch_resources)
    yield Pipeline(sender, scratch_resources, scratch_database, await make_tenant(scratch_database))
    await sender.client.aclose()
    await sender.app.aclose()
