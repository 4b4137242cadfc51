"""Heartbeats in the database. Every time is the server's, so that a process with a wrong clock misses no beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text

from app.db.tenancy import TenantSession
from app.ingest.heartbeats.models import HeartbeatRow

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


async def find_ids(session: TenantSession, *, source_id: UUID) -> Sequence[UUID]:
    """This will return the ids of a source's heartbeats."""
    statement = select(HeartbeatRow.id).where(
        HeartbeatRow.tenant_id == session.tenant_id, HeartbeatRow.source_id == source_id
    )
    return (await session.execute(statement.order_by(HeartbeatRow.id))).scalars().all()
