"""The queries of the tenants domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert

from app.core.ids import new_id
from app.db.jobs.models import TenantPauseRow
from app.db.system import SystemSession
from app.db.tenancy import TenantSession
from app.tenants.models import TenantRow

_ISOLATED = "the tenant is isolated"


@dataclass(frozen=True)
class TenantFacts:
    """A tenant as the operator sees it: no data of its own."""

    id: UUID
    slug: str
    name: str
    state: str
    created_at: datetime


async def find_own(session: TenantSession) -> TenantRow | None:
    statement = select(TenantRow).where(TenantRow.id == session.tenant_id)
    return (await session.execute(statement.with_for_update())).scalar_one_or_none()


async def list_all(session: SystemSession, *, after: UUID | None, limit: int) -> Sequence[TenantFacts]:
    found = await session.execute(
        text("select * from tocsin_private.list_tenants(cast(:after as uuid), :limit)"),
        {"after": after, "limit": limit},
    )
    return [TenantFacts(**row._asdict()) for row in found.all()]


async def hold_jobs(session: TenantSession, *, held: bool) -> None:
    """This will pause every queue of the tenant, or let them go on; a pause of the tenant's own outlasts both."""
    if held:
        pause = {"tenant_id": session.tenant_id, "id": new_id(), "queue": "*", "reason": _ISOLATED}
        await session.execute(insert(TenantPauseRow).values(pause).on_conflict_do_nothing())
    else:
        ours = (TenantPauseRow.queue == "*", TenantPauseRow.reason == _ISOLATED)
        await session.execute(delete(TenantPauseRow).where(TenantPauseRow.tenant_id == session.tenant_id, *ours))
