"""What the tests of the intake's jobs read from the database, and the sweep that they run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import text

from app.core.ids import TenantId
from app.db.engine import Database
from app.db.system import system_session
from app.db.tenancy import tenant_session
from app.ingest.schemas import ReceiptDetail
from app.ingest.service import get_receipt


async def receipt_of(database: Database, tenant_id: TenantId, receipt_id: object) -> ReceiptDetail:
    async with tenant_session(database, tenant_id) as session:
        return await get_receipt(session, delivery_id=receipt_id)  # type: ignore[arg-type]


async def scalars(database: Database, tenant_id: TenantId, statement: str) -> list[Any]:
    async with tenant_session(database, tenant_id) as session:
        return list((await session.execute(text(statement))).scalars())


async def drains(database: Database, tenant_id: TenantId) -> list[str]:
    return await scalars(database, tenant_id, "select state from jobs where kind = 'ingest.drain_intake' order by id")


async def sweep(database: Database, *, older_than: timedelta) -> list[Any]:
    async with system_session(database, reason="test.sweep_intake") as session:
        found = await session.execute(
            text("select tenant_id, shard, job_id from tocsin_private.sweep_intake(:older, 100)"), {"older": older_than}
        )
        return list(found.all())
