"""The queries of the operations domain."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.core.ids import new_id
from app.db.jobs.models import JobRow, TenantPauseRow
from app.db.paging import newest_first
from app.db.tenancy import TenantSession


async def list_jobs(
    session: TenantSession,
    *,
    states: Sequence[str],
    kind: str | None,
    queue: str | None,
    before: UUID | None,
    limit: int,
) -> Sequence[JobRow]:
    """This will return jobs in one of ``states``, newest first, older than the job ``before``."""
    statement = select(JobRow).where(JobRow.tenant_id == session.tenant_id)
    if states:
        statement = statement.where(JobRow.state.in_(states))
    if kind is not None:
        statement = statement.where(JobRow.kind == kind)
    if queue is not None:
        statement = statement.where(JobRow.queue == queue)
    return (await session.scalars(newest_first(statement, JobRow.id, before=before, limit=limit))).all()


async def find_job(session: TenantSession, *, job_id: UUID, lock: bool = False) -> JobRow | None:
    statement = select(JobRow).where(JobRow.tenant_id == session.tenant_id, JobRow.id == job_id)
    if lock:
        statement = statement.with_for_update()
    return (await session.execute(statement)).scalar_one_or_none()


async def add_pause(session: TenantSession, *, queue: str, reason: str) -> bool:
    """This will pause a queue for the tenant; False where it was paused already."""
    statement = (
        insert(TenantPauseRow)
        .values(tenant_id=session.tenant_id, id=new_id(), queue=queue, reason=reason)
        .on_conflict_do_nothing()
        .returning(TenantPauseRow.id)
    )
    return (await session.execute(statement)).scalar_one_or_none() is not None


async def list_pauses(session: TenantSession) -> Sequence[TenantPauseRow]:
    statement = (
        select(TenantPauseRow).where(TenantPauseRow.tenant_id == session.tenant_id).order_by(TenantPauseRow.queue)
    )
    return (await session.execute(statement.limit(50))).scalars().all()


async def remove_pauses(session: TenantSession, *, queue: str | None) -> list[str]:
    """This will delete the tenant's pause of one queue, or all of them, and return which there were."""
    removed = [row for row in await list_pauses(session) if queue is None or row.queue == queue]
    for row in removed:
        await session.delete(row)
    await session.flush()
    return [row.queue for row in removed]
