"""Checks in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select

from app.db.paging import newest_first
from app.db.tenancy import TenantSession
from app.ingest.checks.models import CheckRow
from app.ingest.models import SourceRow


async def lock_check(session: TenantSession, *, check_id: UUID) -> tuple[CheckRow, SourceRow, datetime] | None:
    """This will return the row, locked, with its source and the server's time after the lock was had."""
    mine = (CheckRow.tenant_id == session.tenant_id, CheckRow.id == check_id)
    row = (await session.execute(select(CheckRow).where(*mine).with_for_update())).scalar_one_or_none()
    if row is None:
        return None
    statement = select(SourceRow, func.clock_timestamp()).where(
        SourceRow.tenant_id == session.tenant_id, SourceRow.id == row.source_id
    )
    source, server_now = (await session.execute(statement)).one()
    return row, source, server_now


async def find_check(session: TenantSession, *, check_id: UUID) -> tuple[CheckRow, SourceRow] | None:
    """This will return the row with its source."""
    same = (SourceRow.tenant_id == CheckRow.tenant_id) & (SourceRow.id == CheckRow.source_id)
    statement = select(CheckRow, SourceRow).join(SourceRow, same)
    mine = (CheckRow.tenant_id == session.tenant_id, CheckRow.id == check_id)
    found = (await session.execute(statement.where(*mine))).one_or_none()
    return (*found,) if found is not None else None


async def find_named(session: TenantSession, *, source_id: UUID, name: str) -> CheckRow | None:
    """This will return the source's check of this name."""
    statement = select(CheckRow).where(
        CheckRow.tenant_id == session.tenant_id, CheckRow.source_id == source_id, CheckRow.name == name
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def count_up_to(session: TenantSession, *, limit: int) -> int:
    """This will count the tenant's checks, no further than ``limit``."""
    some = select(CheckRow.id).where(CheckRow.tenant_id == session.tenant_id).limit(limit).subquery()
    return (await session.execute(select(func.count()).select_from(some))).scalar_one()


async def list_checks(
    session: TenantSession, *, source_id: UUID | None, before: UUID | None, limit: int
) -> Sequence[CheckRow]:
    """This will return checks, newest first."""
    statement = select(CheckRow).where(CheckRow.tenant_id == session.tenant_id)
    if source_id is not None:
        statement = statement.where(CheckRow.source_id == source_id)
    return (await session.scalars(newest_first(statement, CheckRow.id, before=before, limit=limit))).all()
