"""Limits that were set."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.db.tenancy import TenantSession
from app.ingest.models import TenantLimitsRow


async def find_tenant_limits(session: TenantSession) -> dict[str, Any]:
    """This will return what an operator set for the tenant; nothing is empty."""
    query = select(TenantLimitsRow.limits).where(TenantLimitsRow.tenant_id == session.tenant_id)
    return (await session.execute(query)).scalar_one_or_none() or {}


async def set_tenant_limits(session: TenantSession, limits: Mapping[str, Any], *, now: datetime) -> None:
    """This will replace what was set."""
    values = {"tenant_id": session.tenant_id, "limits": dict(limits), "updated_at": now}
    statement = insert(TenantLimitsRow).values(values)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[TenantLimitsRow.tenant_id], set_={"limits": dict(limits), "updated_at": now}
        )
    )
