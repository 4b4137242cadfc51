"""Profiles that tenants wrote for their sources."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from app.db.tenancy import TenantSession
from app.ingest.models import SourceProfileRow, SourceRow
from app.net.signing import CUSTOM_SLUG, CompiledProfile, get_profile, load_custom


async def find_document(session: TenantSession, *, source_id: UUID) -> dict[str, Any] | None:
    """This will return the source's own profile as it was written, None where it has a shipped one."""
    statement = select(SourceProfileRow.document).where(
        SourceProfileRow.tenant_id == session.tenant_id, SourceProfileRow.source_id == source_id
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def save_document(
    session: TenantSession, *, source_id: UUID, document: Mapping[str, Any], strength: str, now: datetime
) -> None:
    """This will keep a source's own profile in the place of the one that it had."""
    values = {"document": dict(document), "strength": strength, "created_at": now}
    statement = insert(SourceProfileRow).values(tenant_id=session.tenant_id, source_id=source_id, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "source_id"], set_=values))


async def forget_document(session: TenantSession, *, source_id: UUID) -> None:
    """This will take a source's own profile away."""
    await session.execute(
        delete(SourceProfileRow).where(
            SourceProfileRow.tenant_id == session.tenant_id, SourceProfileRow.source_id == source_id
        )
    )


async def profile_of_source(session: TenantSession, row: SourceRow) -> CompiledProfile:
    """This will return the profile that a source verifies with.

    Raises:
        InvalidProfile: Its own one is gone, or does not load any more.
    """
    if row.profile.partition(":")[0] != CUSTOM_SLUG:
        return get_profile(row.profile)
    return load_custom(await find_document(session, source_id=row.id))
