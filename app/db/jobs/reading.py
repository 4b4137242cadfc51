"""Looking jobs up by what they are for, in a number of rows that no tenant's load can raise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text

from app.db.jobs.models import OPEN_UNIQUE, TenantPauseRow
from app.db.tenancy import TenantSession

OPEN_STATES = frozenset({"scheduled", "published", "running"})
BROKEN_STATES = frozenset({"failed", "dead", "cancelled"})


@dataclass(frozen=True)
class FoundJob:
    """A job as far as its owner wants to know."""

    id: UUID
    kind: str
    unique_key: str
    queue: str
    state: str
    attempt: int
    max_attempts: int
    run_at: datetime
    error: str | None
    created_at: datetime
    finished_at: datetime | None
    trace_context: str | None

    @property
    def trace_id(self) -> str | None:
        return self.trace_context.split("-")[1] if self.trace_context and self.trace_context.count("-") == 3 else None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def is_broken(self) -> bool:
        return self.state in BROKEN_STATES


_COLUMNS = (
    "j.id, j.kind, coalesce(j.unique_key, '') as unique_key, j.queue, j.state, j.attempt, j.max_attempts, j.run_at, j.error,"
    " j.created_at, j.finished_at, j.trace_context"
)
# Open ones by their unique index. Ended ones have no index by key, and get none: every job would pay for it at each change
# of state. They lie close behind what caused them, so a bounded stretch of the ids from there on is looked through.
_FIND = text(f"""
with wanted as (select * from unnest(cast(:kinds as text[]), cast(:keys as text[])) as w(of_kind, of_key)),
open as (
  select {_COLUMNS} from wanted w
  join jobs j on j.tenant_id = :tenant_id and j.kind = w.of_kind and j.unique_key = w.of_key and {OPEN_UNIQUE}
), ended as (
  select {_COLUMNS} from unnest(cast('{{succeeded,failed,dead,cancelled}}' as text[])) as s(state)
  cross join lateral (
    select * from jobs where tenant_id = :tenant_id and state = s.state and id >= :since order by id limit :within
  ) j where (j.kind, j.unique_key) in (select of_kind, of_key from wanted)
)
select * from open union all select * from ended order by id limit 200
""")  # noqa: S608 - constants


async def find_jobs(
    session: TenantSession, *, wanted: Iterable[tuple[str, str]], since: UUID, within: int = 500
) -> list[FoundJob]:
    """This will return the jobs of these kinds and unique keys, oldest first.

    Args:
        session: A tenant transaction.
        wanted: Kind and unique key of each.
        since: An id that is no younger than the oldest of them; where the look at ended jobs begins.
        within: Ended jobs of each state that are looked through; what lies behind them is not found.
    """
    pairs = list(dict.fromkeys(wanted))[:500]
    if not pairs:
        return []
    values = {
        "tenant_id": session.tenant_id,
        "kinds": [kind for kind, _ in pairs],
        "keys": [key for _, key in pairs],
        "since": since,
        "within": within,
    }
    return [FoundJob(*row) for row in (await session.execute(_FIND, values)).all()]


_ONE = text(
    f"select {_COLUMNS} from jobs j where tenant_id = :tenant_id and id = :id"  # noqa: S608 - constants
)


async def find_job(session: TenantSession, *, job_id: UUID) -> FoundJob | None:
    """This will return the job, or None where it is gone."""
    row = (await session.execute(_ONE, {"tenant_id": session.tenant_id, "id": job_id})).one_or_none()
    return FoundJob(*row) if row is not None else None


async def find_pauses(session: TenantSession) -> dict[str, str]:
    """This will return the queues that the tenant has paused, ``*`` for all, with the reasons."""
    query = select(TenantPauseRow.queue, TenantPauseRow.reason).where(TenantPauseRow.tenant_id == session.tenant_id)
    return {queue: reason for queue, reason in (await session.execute(query.limit(20))).all()}
