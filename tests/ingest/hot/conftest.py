"""What the tests of the intake route read from the database, and the source that they send to."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.service import CreatedSource
from tests.factories.ingest import committed_source


async def rows(database: Database, tenant_id: TenantId, statement: str) -> list[dict[str, Any]]:
    async with tenant_session(database, tenant_id) as session:
        return [dict(row) for row in (await session.execute(text(statement))).mappings()]


async def deliveries(database: Database, tenant_id: TenantId) -> list[dict[str, Any]]:
    return await rows(database, tenant_id, "select * from deliveries order by id")


@pytest.fixture
async def source(resources: Resources, tenant_id: TenantId) -> CreatedSource:
    return await committed_source(resources, tenant_id)
