"""What watches something in a source's name, heartbeats and checks alike: found with the source, locked, counted, listed."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Select, func, select

from app.db.paging import newest_first
from app.db.tenancy import TenantSession
from app.ingest.models import SourceRow, Watch

W = TypeVar("W", bound=Watch)


async def lock_watch(session: TenantSession, kind: type[W], watch_id: UUID) -> tuple[W, SourceRow, datetime] | None:
    """This will return the row, locked, with its source and the server's time after the lock was had."""
    mine = (kind.tenant_id == session.tenant_id, kind.id == watch_id)
    row = (await session.scalars(select(kind).where(*mine).with_for_update())).one_or_none()
    if row is None:
        return None
    statement = select(SourceRow, func.clock_timestamp()).where(
        SourceRow.tenant_id == session.tenant_id, SourceRow.id == row.source_id
    )
    source, server_now = (await session.execute(statement)).one()
    return row, source, server_now


async def find_watch(session: TenantSession, kind: type[W], watch_id: UUID) -> tuple[W, SourceRow] | None:
    """This will return the row with its source."""
    found = (await session.execute(_with_source(session, kind).where(kind.id == watch_id))).one_or_none()
    return (*found,) if found is not None else None


async def count_up_to(session: TenantSession, kind: type[W], *, limit: int) -> int:
    """This will count the tenant's rows, no further than ``limit``."""
    some = select(kind.id).where(kind.tenant_id == session.tenant_id).limit(limit).subquery()
    return (await session.execute(select(func.count()).select_from(some))).scalar_one()


async def list_watches(
    session: TenantSession, kind: type[W], *, source_id: UUID | None, before: UUID | None, limit: int
) -> list[tuple[W, SourceRow]]:
    """This will return rows with their sources, newest first."""
    statement = _with_source(session, kind)
    if source_id is not None:
        statement = statement.where(kind.source_id == source_id)
    found = await session.execute(newest_first(statement, kind.id, before=before, limit=limit))
    return [(*row,) for row in found]


def _with_source(session: TenantSession, kind: type[W]) -> Select[W, SourceRow]:
    same = (SourceRow.tenant_id == kind.tenant_id) & (SourceRow.id == kind.source_id)
    return select(kind, SourceRow).join(SourceRow, same).where(kind.tenant_id == session.tenant_id)
