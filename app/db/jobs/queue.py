"""Putting work into the jobs table, in the caller's transaction."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy import text

from app.core.ids import JobId, new_id
from app.core.jobs import Job
from app.db.tenancy import TenantSession
from app.observability.tracing import current_traceparent

# No conflict target on purpose: the partial unique index decides, see JobRow.
_INSERT = text(
    "insert into jobs (tenant_id, id, kind, queue, payload, unique_key, coalesces, priority, max_attempts, run_at,"
    " trace_context) values (:tenant_id, :id, :kind, :queue, cast(:payload as jsonb), :unique_key, :coalesces, :priority,"
    " :max_attempts, coalesce(cast(:run_at as timestamptz), now()) + make_interval(secs => :delay_s), :trace_context)"
    " on conflict do nothing returning id"
)
_HASTEN = text(
    "update jobs set run_at = coalesce(cast(:at as timestamptz), now())"
    " where tenant_id = :tenant_id and kind = :kind and unique_key = :unique_key and state = 'scheduled'"
    " and run_at > coalesce(cast(:at as timestamptz), now())"
)


async def enqueue(
    session: TenantSession,
    job: Job,
    *,
    run_at: datetime | None = None,
    unique_key: str | None = None,
    delay_s: float = 0.0,
) -> JobId | None:
    """This will insert the job as *scheduled*; it exists only if the caller's transaction commits.

    Args:
        session: The caller's tenant transaction.
        job: What to do.
        run_at: When it is due at the earliest; now (the server's) by default.
        unique_key: Makes "one open job of this kind for this thing" a constraint.
        delay_s: Seconds added to ``run_at``.

    Returns:
        The new job's id, or None where an open job with the same unique key will do the work.
    """
    session.enqueued = True
    row = {
        "tenant_id": session.tenant_id,
        "id": new_id(),
        "kind": job.kind,
        "queue": job.queue.value,
        "payload": orjson.dumps(job.to_payload()).decode(),
        "unique_key": unique_key,
        "coalesces": job.coalesces,
        "priority": job.priority,
        "max_attempts": job.retry.max_attempts,
        "run_at": run_at,
        "delay_s": delay_s,
        "trace_context": current_traceparent(),
    }
    found: UUID | None = (await session.execute(_INSERT, row)).scalar_one_or_none()
    return JobId(found) if found is not None else None


async def hasten(session: TenantSession, job: Job, *, unique_key: str, at: datetime | None = None) -> None:
    """This will make the open job of this kind and key due ``at``, or now, where it waits for a later time."""
    session.enqueued = True
    values = {"tenant_id": session.tenant_id, "kind": job.kind, "unique_key": unique_key, "at": at}
    await session.execute(_HASTEN, values)
