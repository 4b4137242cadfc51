"""Trials, and the deliveries that they look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, text

from app.db.paging import newest_first
from app.db.tenancy import TenantSession
from app.ingest.trials.models import TrialRow


@dataclass(frozen=True, slots=True)
class PastDelivery:
    """A stored delivery as its parser takes it."""

    id: UUID
    received_at: datetime
    headers: dict[str, Any]
    body: bytes


# A delivery larger than what is left of the chunk ends it; the first is always taken.
_CHUNK = text("""
select id, received_at, headers, body from (
  select id, received_at, headers, body, sum(size_bytes) over (order by id) - size_bytes as before_bytes from (
    select id, received_at, headers, body, size_bytes from deliveries
    where tenant_id = :tenant_id and source_id = :source_id and id > :after and id < :until
    order by id limit :limit
  ) next
) counted where before_bytes < :limit_bytes order by id
""")


async def load_chunk(
    session: TenantSession, *, source_id: UUID, after: UUID, until: UUID, limit: int, limit_bytes: int
) -> list[PastDelivery]:
    """This will return the source's next deliveries in the order in which they came in."""
    values = {
        "tenant_id": session.tenant_id,
        "source_id": source_id,
        "after": after,
        "until": until,
        "limit": limit,
        "limit_bytes": limit_bytes,
    }
    return [PastDelivery(*row) for row in (await session.execute(_CHUNK, values)).all()]


async def find_trial(session: TenantSession, *, trial_id: UUID) -> TrialRow | None:
    query = select(TrialRow).where(TrialRow.tenant_id == session.tenant_id, TrialRow.id == trial_id)
    return (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()


async def list_trials(
    session: TenantSession, *, source_id: UUID, before: UUID | None, limit: int
) -> Sequence[TrialRow]:
    """This will return the source's trials, newest first."""
    query = select(TrialRow).where(TrialRow.tenant_id == session.tenant_id, TrialRow.source_id == source_id)
    return (await session.scalars(newest_first(query, TrialRow.id, before=before, limit=limit))).all()


async def forget_old(session: TenantSession, *, source_id: UUID, keep: int) -> None:
    """This will delete the source's trials but the newest ``keep``."""
    of_source = (TrialRow.tenant_id == session.tenant_id, TrialRow.source_id == source_id)
    oldest = select(TrialRow.id).where(*of_source).order_by(TrialRow.id.desc()).offset(keep).limit(1).scalar_subquery()
    await session.execute(delete(TrialRow).where(*of_source, TrialRow.id <= oldest))
