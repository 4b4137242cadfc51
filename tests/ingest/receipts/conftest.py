"""A tenant with an API, a sender and the real jobs, on a database of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.auth.rules import Role
from app.core.clock import FakeClock
from app.core.ids import TenantId, new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import TenantSession, tenant_session
from app.ingest.service import CreatedSource
from app.main import create_app
from app.settings import Settings
from tests.factories.access import make_tokens
from tests.factories.ingest import Sender, alert_body, committed_source
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import run_jobs


@dataclass
class Scene:
    """What the tests about receipts do."""

    resources: Resources
    database: Database
    sender: Sender
    api: httpx.AsyncClient
    clock: FakeClock
    tenant_id: TenantId
    tokens: dict[Role, str]

    async def source(self, **changes: Any) -> CreatedSource:
        return await committed_source(self.resources, self.tenant_id, **changes)

    async def send(self, source: CreatedSource, body: bytes | None = None, *, delivery_id: str | None = None) -> str:
        """Send a delivery, again while a busy machine answers 503 as a sender would, and return its id."""
        content = body if body is not None else alert_body()
        signed_as = delivery_id or f"msg_{new_id().hex}"
        for _ in range(20):
            answer = await self.sender.send(source, content, delivery_id=signed_as)
            if answer.status_code != 503:
                break
        assert answer.status_code in (200, 202, 400), answer.text
        receipt_id: str = answer.json()["receipt_id"]
        return receipt_id

    async def work(self) -> None:
        await run_jobs(self.resources)

    async def get(self, path: str, *, role: Role = Role.VIEWER, **params: Any) -> httpx.Response:
        return await self.api.get(path, params=params, headers={"Authorization": self.tokens[role]})

    async def post(self, path: str, body: Any = None, *, role: Role = Role.ENGINEER) -> httpx.Response:
        return await self.api.post(path, json=body, headers={"Authorization": self.tokens[role]})

    async def chain(self, receipt_id: str) -> dict[str, Any]:
        answer = await self.get(f"/v1/receipts/{receipt_id}/effects")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def transaction(self) -> Any:
        return tenant_session(self.database, self.tenant_id)

    async def run_sql(self, statement: str, **values: Any) -> list[Any]:
        session: TenantSession
        async with self.transaction() as session:
            result: Any = await session.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []


@pytest.fixture
async def scene(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database, clock: FakeClock
) -> AsyncIterator[Scene]:
    application = create_app(scratch_resources.get(Settings), scratch_resources)
    transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
    tenant_id = await make_tenant(scratch_database)
    tokens = await make_tokens(scratch_resources, tenant_id)
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.test") as api:
        yield Scene(scratch_resources, scratch_database, scratch_sender, api, clock, tenant_id, tokens)
