"""Dead letters and pauses: what an operator does by hand, audited."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.audit.service import record
from app.core.actor import Actor
from app.core.errors import Conflict, NotFound
from app.core.jobs import JobState, Queue
from app.db.conflicts import refused_by
from app.db.jobs.models import JobRow, TenantPauseRow
from app.db.tenancy import TenantSession
from app.operations import repository
from app.tenants.rules import TenantState
from app.tenants.service import TenantIsolated, get_tenant

ALL = "*"
DEAD_LETTERS = (JobState.DEAD.value, JobState.FAILED.value)


class JobNotFound(NotFound):
    """No job of this id for this tenant."""

    code = "job.not_found"
    title = "No such job"


class JobNotDead(Conflict):
    """Only a dead letter can be retried, only an unfinished or dead job discarded."""

    code = "job.wrong_state"
    title = "The job's state does not allow this"
    hint = "Only jobs in state dead or failed can be retried or discarded."


class JobSuperseded(Conflict):
    """An open job of the same unique key will do this one's work."""

    code = "job.superseded"
    title = "A newer job already does this work"
    hint = "Discard this dead letter; the open job of the same key replaces it."


async def list_jobs(
    session: TenantSession,
    *,
    states: Sequence[JobState],
    kind: str | None,
    queue: Queue | None,
    before: UUID | None,
    limit: int,
) -> Sequence[JobRow]:
    """This will return a page of jobs, newest first."""
    return await repository.list_jobs(
        session,
        states=[state.value for state in states],
        kind=kind,
        queue=queue.value if queue is not None else None,
        before=before,
        limit=limit,
    )


async def get_job(session: TenantSession, *, job_id: UUID) -> JobRow:
    """This will return one job.

    Raises:
        JobNotFound: Not there, or another tenant's.
    """
    row = await repository.find_job(session, job_id=job_id)
    if row is None:
        raise JobNotFound(context_id=str(job_id))
    return row


async def retry_job(session: TenantSession, *, job_id: UUID, actor: Actor, now: datetime) -> JobRow:
    """This will put a dead letter back as scheduled with its attempts counted from zero.

    Raises:
        JobNotFound: Not there, or another tenant's.
        JobNotDead: It is not a dead letter.
        JobSuperseded: An open job of the same key exists.
    """
    row = await _dead_letter(session, job_id)
    async with refused_by(session, "uq_jobs_open", JobSuperseded(context_id=str(job_id))):
        row.state = JobState.SCHEDULED.value
        row.attempt = 0
        row.run_at = now
        row.finished_at = None
        row.published_at = None
    session.enqueued = True
    await record(
        session, actor=actor, action="job.retried", subject=f"job:{job_id}", detail={"kind": row.kind}, now=now
    )
    return row


async def discard_job(session: TenantSession, *, job_id: UUID, actor: Actor, now: datetime) -> JobRow:
    """This will end a dead letter as cancelled, with who did it in the audit trail.

    Raises:
        JobNotFound: Not there, or another tenant's.
        JobNotDead: It is not a dead letter.
    """
    row = await _dead_letter(session, job_id)
    row.state = JobState.CANCELLED.value
    await session.flush()
    await record(
        session, actor=actor, action="job.discarded", subject=f"job:{job_id}", detail={"kind": row.kind}, now=now
    )
    return row


async def pause(session: TenantSession, *, queue: Queue | None, reason: str, actor: Actor, now: datetime) -> None:
    """This will stop handing out the tenant's jobs of a queue; what runs, runs on. Pausing twice changes nothing."""
    name = queue.value if queue is not None else ALL
    if await repository.add_pause(session, queue=name, reason=reason):
        await record(
            session,
            actor=actor,
            action="processing.paused",
            subject=f"queue:{name}",
            detail={"reason": reason},
            now=now,
        )


async def resume(session: TenantSession, *, queue: Queue | None, actor: Actor, now: datetime) -> None:
    """This will hand out jobs again; without a queue, of every queue.

    Raises:
        TenantIsolated: The operator holds them; a token that was known before can still ask for some seconds.
    """
    if (await get_tenant(session)).state == TenantState.ISOLATED:
        raise TenantIsolated
    removed = await repository.remove_pauses(session, queue=queue.value if queue is not None else None)
    if removed:
        session.enqueued = True
        await record(
            session, actor=actor, action="processing.resumed", subject="queue", detail={"queues": removed}, now=now
        )


async def list_pauses(session: TenantSession) -> Sequence[TenantPauseRow]:
    """This will return the tenant's own pauses."""
    return await repository.list_pauses(session)


async def _dead_letter(session: TenantSession, job_id: UUID) -> JobRow:
    row = await repository.find_job(session, job_id=job_id, lock=True)
    if row is None:
        raise JobNotFound(context_id=str(job_id))
    if row.state not in DEAD_LETTERS:
        raise JobNotDead(f"the job is {row.state}")
    return row
