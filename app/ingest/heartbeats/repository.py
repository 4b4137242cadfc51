"""Heartbeats in the database. Every time is the server's, so that a process with a wrong clock misses no beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, select, text

from app.db.paging import newest_first
from app.db.tenancy import TenantSession
from app.ingest.heartbeats.models import HeartbeatRow
from app.ingest.models import SourceRow

# The old row is read under its lock, so a beat knows whether it has news: an alert to end, a timer to start.
_BEAT = text(
    """
    with old as (
        select id, state, deadline_at from heartbeats
        where tenant_id = :tenant_id and source_id = :source_id and name = :name for update
    ), beat as (
        update heartbeats h set beats = beats + 1, last_beat_at = clock_timestamp(),
            state = case when :failed then 'failed' else 'up' end,
            failed_at = case when :failed then coalesce(h.failed_at, clock_timestamp()) end,
            deadline_at = case when not :failed then clock_timestamp() + make_interval(secs => interval_s + grace_s) end
        from old where h.tenant_id = :tenant_id and h.id = old.id and old.state <> 'paused'
        returning h.id, h.state, h.deadline_at
    )
    select old.id, old.state as was, coalesce(beat.state, old.state) as state, beat.deadline_at,
        coalesce(old.deadline_at < clock_timestamp(), false) as overdue
    from old left join beat on beat.id = old.id
    """
)


@dataclass(frozen=True)
class Beat:
    """What a beat met.

    Attributes:
        was: The state before.
        overdue: The deadline had passed when it came.
    """

    id: UUID
    was: str
    state: str
    deadline_at: datetime | None
    overdue: bool


async def beat(session: TenantSession, *, source_id: UUID, name: str, failed: bool) -> Beat | None:
    """This will note a beat; None where the source has no heartbeat of this name."""
    values = {"tenant_id": session.tenant_id, "source_id": source_id, "name": name, "failed": failed}
    row = (await session.execute(_BEAT, values)).one_or_none()
    return Beat(row.id, row.was, row.state, row.deadline_at, row.overdue) if row is not None else None


async def lock_heartbeat(
    session: TenantSession, *, heartbeat_id: UUID
) -> tuple[HeartbeatRow, SourceRow, datetime] | None:
    """This will return the row, locked, with its source and the server's time after the lock was had."""
    mine = (HeartbeatRow.tenant_id == session.tenant_id, HeartbeatRow.id == heartbeat_id)
    row = (await session.execute(select(HeartbeatRow).where(*mine).with_for_update())).scalar_one_or_none()
    if row is None:
        return None
    statement = select(SourceRow, func.clock_timestamp()).where(
        SourceRow.tenant_id == session.tenant_id, SourceRow.id == row.source_id
    )
    source, server_now = (await session.execute(statement)).one()
    return row, source, server_now


async def find_heartbeat(session: TenantSession, *, heartbeat_id: UUID) -> tuple[HeartbeatRow, SourceRow] | None:
    """This will return the row with its source."""
    found = (await session.execute(_with_source(session).where(HeartbeatRow.id == heartbeat_id))).one_or_none()
    return (*found,) if found is not None else None


def _with_source(session: TenantSession) -> Select[HeartbeatRow, SourceRow]:
    same = (SourceRow.tenant_id == HeartbeatRow.tenant_id) & (SourceRow.id == HeartbeatRow.source_id)
    return select(HeartbeatRow, SourceRow).join(SourceRow, same).where(HeartbeatRow.tenant_id == session.tenant_id)


async def find_named(session: TenantSession, *, source_id: UUID, name: str) -> HeartbeatRow | None:
    """This will return the source's heartbeat of this name."""
    statement = select(HeartbeatRow).where(
        HeartbeatRow.tenant_id == session.tenant_id, HeartbeatRow.source_id == source_id, HeartbeatRow.name == name
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def find_ids(session: TenantSession, *, source_id: UUID) -> Sequence[UUID]:
    """This will return the ids of a source's heartbeats."""
    statement = select(HeartbeatRow.id).where(
        HeartbeatRow.tenant_id == session.tenant_id, HeartbeatRow.source_id == source_id
    )
    return (await session.execute(statement.order_by(HeartbeatRow.id))).scalars().all()


async def count_up_to(session: TenantSession, *, limit: int) -> int:
    """This will count the tenant's heartbeats, no further than ``limit``."""
    some = select(HeartbeatRow.id).where(HeartbeatRow.tenant_id == session.tenant_id).limit(limit).subquery()
    return (await session.execute(select(func.count()).select_from(some))).scalar_one()


async def list_heartbeats(
    session: TenantSession, *, source_id: UUID | None, before: UUID | None, limit: int
) -> Sequence[tuple[HeartbeatRow, SourceRow]]:
    """This will return heartbeats with their sources, newest first."""
    statement = _with_source(session)
    if source_id is not None:
        statement = statement.where(HeartbeatRow.source_id == source_id)
    found = await session.execute(newest_first(statement, HeartbeatRow.id, before=before, limit=limit))
    return [(*row,) for row in found]
