"""Sources and their secrets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select, update

from app.db.tenancy import TenantSession
from app.ingest.models import SourceRefusalRow, SourceRow, SourceSecretRow


async def find_source(session: TenantSession, *, source_id: UUID, lock: bool = False) -> SourceRow | None:
    """This will return the source, a deleted one too."""
    statement = select(SourceRow).where(SourceRow.tenant_id == session.tenant_id, SourceRow.id == source_id)
    if lock:
        statement = statement.with_for_update()
    return (await session.execute(statement)).scalar_one_or_none()


async def find_source_named(session: TenantSession, *, name: str) -> SourceRow | None:
    statement = select(SourceRow).where(
        SourceRow.tenant_id == session.tenant_id, SourceRow.name == name, SourceRow.state != "deleted"
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def list_sources(
    session: TenantSession, *, kind: str | None, before: UUID | None, limit: int
) -> Sequence[SourceRow]:
    """This will return sources that are not deleted, newest first."""
    statement = select(SourceRow).where(SourceRow.tenant_id == session.tenant_id, SourceRow.state != "deleted")
    if kind is not None:
        statement = statement.where(SourceRow.kind == kind)
    if before is not None:
        statement = statement.where(SourceRow.id < before)
    return (await session.execute(statement.order_by(SourceRow.id.desc()).limit(limit))).scalars().all()


async def list_secrets(session: TenantSession, *, source_id: UUID) -> Sequence[SourceSecretRow]:
    statement = select(SourceSecretRow).where(
        SourceSecretRow.tenant_id == session.tenant_id, SourceSecretRow.source_id == source_id
    )
    return (await session.execute(statement.order_by(SourceSecretRow.id.desc()).limit(10))).scalars().all()


async def retire_secrets(session: TenantSession, *, source_id: UUID, expires_at: datetime, now: datetime) -> None:
    """This will give the current secret its end and remove the one that it had replaced."""
    mine = (SourceSecretRow.tenant_id == session.tenant_id, SourceSecretRow.source_id == source_id)
    # Of an overlap that is under way only the newest previous secret stays: two at most are valid at any time.
    await session.execute(delete(SourceSecretRow).where(*mine, SourceSecretRow.expires_at.is_not(None)))
    if expires_at <= now:
        await session.execute(delete(SourceSecretRow).where(*mine))
    else:
        await session.execute(
            update(SourceSecretRow).where(*mine, SourceSecretRow.expires_at.is_(None)).values(expires_at=expires_at)
        )


async def release_keys(session: TenantSession, *, source_id: UUID) -> None:
    """This will let the source's keys find it no longer, so that another source may have them."""
    mine = (SourceSecretRow.tenant_id == session.tenant_id, SourceSecretRow.source_id == source_id)
    await session.execute(update(SourceSecretRow).where(*mine).values(lookup=None))


async def list_refusals(session: TenantSession, *, source_id: UUID, now: datetime) -> Sequence[SourceRefusalRow]:
    """This will return the refusals of the last 24 hours, newest first."""
    statement = (
        select(SourceRefusalRow)
        .where(
            SourceRefusalRow.tenant_id == session.tenant_id,
            SourceRefusalRow.source_id == source_id,
            SourceRefusalRow.hour >= now - timedelta(hours=24),
        )
        .order_by(SourceRefusalRow.hour.desc(), SourceRefusalRow.reason)
        .limit(200)
    )
    return (await session.execute(statement)).scalars().all()
