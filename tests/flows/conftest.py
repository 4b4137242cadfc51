"""A tenant on the running stack, reached as a user reaches it: over HTTP, with a token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from app.auth.rules import Role
from app.core.clock import Clock, SystemClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.settings import Settings
from tests.factories.access import make_tokens
from tests.fixtures.database import make_tenant
from tests.fixtures.servicedesk import servicedesk
from tests.fixtures.stack import ProcessStack

__all__ = ["servicedesk"]


@dataclass
class FlowTenant:
    """One tenant of the running stack.

    Attributes:
        api: A client with the tenant's admin token.
        database: For looking at rows, as the application's own role.
    """

    stack: ProcessStack
    tenant_id: TenantId
    database: Database
    api: httpx.AsyncClient

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        answer = await self.api.get(path, params=params)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def post(self, path: str, body: dict[str, Any], status: int = 201) -> dict[str, Any]:
        answer = await self.api.post(path, json=body)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def incidents(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.get("/v1/incidents"))["items"]
        return items

    async def timeline(self, incident_id: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.get(f"/v1/incidents/{incident_id}/timeline"))["items"]
        return items


@pytest.fixture
async def flow(stack: ProcessStack) -> AsyncIterator[FlowTenant]:
    """A fresh tenant with an admin token on the running stack."""
    database = Database.from_settings(stack.settings.database)
    resources = Resources()
    resources.provide(Settings, stack.settings)
    resources.provide(Database, database)
    resources.provide(Clock, SystemClock())  # type: ignore[type-abstract]
    tenant_id = await make_tenant(database)
    headers = {"Authorization": (await make_tokens(resources, tenant_id))[Role.ADMIN]}
    async with httpx.AsyncClient(base_url=stack.api_url, headers=headers, timeout=10) as api:
        yield FlowTenant(stack, tenant_id, database, api)
    await database.dispose()
