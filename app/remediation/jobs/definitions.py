"""The work of remediation, and what sets a run's driver to work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from app.core.backoff import RetryPolicy
from app.core.ids import RunId
from app.core.jobs import Job, Queue
from app.db.jobs.queue import enqueue, hasten
from app.db.tenancy import TenantSession


@dataclass(frozen=True, kw_only=True)
class StartRun(Job):
    """A rule matched an incident: freeze the plan and begin, or record why not."""

    kind: ClassVar[str] = "remediation.start_run"
    queue: ClassVar[Queue] = Queue.REMEDIATION

    rule_id: UUID
    incident_id: UUID


@dataclass(frozen=True, kw_only=True)
class AdvanceRun(Job):
    """Drives a run, step by step, until it ends, waits for a person, or has to wait for a time."""

    kind: ClassVar[str] = "remediation.advance_run"
    queue: ClassVar[Queue] = Queue.REMEDIATION
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=10, base_s=1.0, factor=2.0, cap_s=60.0)

    run_id: RunId


@dataclass(frozen=True, kw_only=True)
class ExpireRun(Job):
    """Ends a run after its deadline even when nothing drives it any more."""

    kind: ClassVar[str] = "remediation.expire_run"
    queue: ClassVar[Queue] = Queue.REMEDIATION

    run_id: RunId


@dataclass(frozen=True, kw_only=True)
class ExpireApproval(Job):
    """Takes silence for a no."""

    kind: ClassVar[str] = "remediation.expire_approval"
    queue: ClassVar[Queue] = Queue.REMEDIATION

    run_id: RunId
    step_key: str


async def drive(session: TenantSession, run_id: RunId) -> None:
    """This will see to it that the run is driven on now, although it may wait for a later time; one driver at a time."""
    job = AdvanceRun(run_id=run_id)
    if await enqueue(session, job, unique_key=str(run_id)) is None:
        await hasten(session, job, unique_key=str(run_id))
