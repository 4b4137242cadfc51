"""Calling the API in a role, and an enhancement to call about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx

from app.core.ids import TenantId
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.enhancement.models import EnhancementRow
from app.enhancement.repository import records
from app.enhancement.service import receive_ticket


class Client:
    """An API client with one role's token."""

    def __init__(self, api: httpx.AsyncClient, header: str) -> None:
        self._api = api
        self._headers = {"authorization": header}

    async def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = self._headers | more.pop("headers", {})
        return await self._api.request(method, f"/v1{path}", headers=headers, **more)


async def an_enhancement(
    database: Database, tenant_id: TenantId, *, ticket: str = "1001", state: str = "published", reason: str = ""
) -> UUID:
    """This will store an enhancement in the given state."""
    async with tenant_session(database, tenant_id) as session:
        enhancement_id, _ = await receive_ticket(
            session,
            system="servicedesk",
            external_id=ticket,
            title="Checkout returns 502",
            body="",
            url="",
            incident_id=None,
            source_id=None,
            now=datetime(2026, 1, 5, tzinfo=UTC),
        )
        row = await records.find_enhancement(session, enhancement_id)
        assert isinstance(row, EnhancementRow)
        row.state, row.reason_code, row.method, row.model = state, reason, "model", "first"
    return enhancement_id
