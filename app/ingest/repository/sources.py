"""Sources and their secrets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select, update

from app.db.paging import newest_first
from app.db.tenancy import TenantSession
from app.ingest.models import SourceRefusalRow, SourceRow, SourceSecretRow


async def find_source(session: TenantSession, *, source_id: UUID, lock: bool = False) -> SourceRow | None:
    """This will return the source, a deleted one too."""
    statement = select(SourceRow).where(SourceRow.tenant_id == session.tenant_id, SourceRow.id == source_id)
    if lock:
        statement = statement.with_for_update()
    return (await session.execute(statement)).scalar_one_or_none()


async def list_sources(
    session: TenantSession, *, kind: str | None, before: UUID | None, limit: int
) -> Sequence[SourceRow]:
    """This will return sources that are not deleted, newest first."""
    statement = select(SourceRow).where(SourceRow.tenant_id == session.tenant_id, SourceRow.state != "deleted")
    if kind is not None:
        statement = statement.where(SourceRow.kind == kind)
    return (await session.scalars(newest_first(statement, SourceRow.id, before=before, limit=limit))).all()


async def list_secrets(session: TenantSession, *, source_id: UUID) -> Sequence[SourceSecretRow]:
    statement = select(SourceSecretRow).where(
        SourceSecretRow.tenant_id == session.tenant_id, SourceSecretRow.source_id == source_id
    )
    return (await session.execute(statement.order_by(SourceSecretRow.id.desc()).limit(10))).scalars().all()


async def find_secret(session: TenantSession, *, secret_id: UUID) -> SourceSecretRow | None:
    statement = select(SourceSecretRow).where(
        SourceSecretRow.tenant_id == session.tenant_id, SourceSecretRow.id == secret_id
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def keep_live_secrets(session: TenantSession, *, source_id: UUID, now: datetime) -> Sequence[SourceSecretRow]:
    """This will remove the secrets whose overlap has ended and return the others, newest first."""
    mine = (SourceSecretRow.tenant_id == session.tenant_id, SourceSecretRow.source_id == source_id)
    await session.execute(delete(SourceSecretRow).where(*mine, SourceSecretRow.expires_at <= now))
    return await list_secrets(session, source_id=source_id)


async def remove_secrets(session: TenantSession, secret_ids: Sequence[UUID]) -> None:
    await session.execute(
        delete(SourceSecretRow).where(
            SourceSecretRow.tenant_id == session.tenant_id, SourceSecretRow.id.in_(secret_ids)
        )
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
