"""The heartbeat's timer: looks at its deadline, and again at the next one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import structlog

from app.core.backoff import RetryPolicy
from app.core.jobs import Job, Queue, registry
from app.db.jobs.context import JobContext
from app.db.jobs.queue import enqueue, hasten
from app.db.tenancy import TenantSession
from app.ingest.heartbeats import repository
from app.ingest.heartbeats.service import settle
from app.observability.metrics import counter, histogram
from app.settings import Settings

log = structlog.get_logger(__name__)

MISSED = counter("tocsin_heartbeats_missed_total", "Heartbeats that opened an alert, by why.", ("reason",))
EXCUSED = counter(
    "tocsin_heartbeats_excused_total",
    "Deadlines that passed while we may not have listened; they got another turn.",
    (),
)
NOTICED = histogram(
    "tocsin_heartbeat_notice_seconds",
    "Seconds from a missed deadline until its alert is written.",
    (),
    buckets=(0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30),
)


@dataclass(frozen=True, kw_only=True)
class SettleHeartbeat(Job):
    """Open or end one heartbeat's alert, and look again at its next deadline.

    A beat does not move the timer: it finds the deadline moved and waits on, one job for each interval.
    """

    kind: ClassVar[str] = "ingest.settle_heartbeat"
    # Beside the intake, not behind maintenance: a missed beat is an alert like any other.
    queue: ClassVar[Queue] = Queue.INTAKE
    priority: ClassVar[int] = 50
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=100, base_s=0.5, cap_s=30.0)
    coalesces: ClassVar[bool] = True

    heartbeat_id: UUID


async def settle_soon(session: TenantSession, *, heartbeat_id: UUID) -> None:
    """This will have the heartbeat looked at as soon as the caller's transaction commits."""
    # Under another key than the timer: that one may wait for a deadline which is far off.
    await enqueue(session, SettleHeartbeat(heartbeat_id=heartbeat_id), unique_key=f"{heartbeat_id}:now")


async def settle_source_soon(session: TenantSession, *, source_id: UUID) -> None:
    """This will have a source's heartbeats looked at: it takes beats again, or takes none any more."""
    for heartbeat_id in await repository.find_ids(session, source_id=source_id):
        await settle_soon(session, heartbeat_id=heartbeat_id)


async def set_timer(session: TenantSession, *, heartbeat_id: UUID, at: datetime) -> None:
    """This will have the heartbeat looked at ``at``, or before where its timer is due sooner: that look sets it anew."""
    # One timer, whoever sets it: of several, each would go on to set a successor of its own.
    job, key = SettleHeartbeat(heartbeat_id=heartbeat_id), f"{heartbeat_id}:timer"
    if await enqueue(session, job, run_at=at, unique_key=key) is None:
        await hasten(session, job, unique_key=key, at=at)


@registry.transactional(SettleHeartbeat)
async def run_settle_heartbeat(session: TenantSession, job: SettleHeartbeat, ctx: JobContext) -> None:
    """This will settle once and set the next timer."""
    outage_s = ctx.resources.get(Settings).ingest.heartbeat_outage_s
    verdict = await settle(session, heartbeat_id=job.heartbeat_id, outage_s=outage_s, now=ctx.clock.now())
    if verdict.look_again_at is not None:
        await set_timer(session, heartbeat_id=job.heartbeat_id, at=verdict.look_again_at)
    if verdict.missed or verdict.failed:
        MISSED.labels("missed" if verdict.missed else "failed").inc()
        log.info("heartbeat.alert", heartbeat_id=str(job.heartbeat_id), missed=verdict.missed)
    if verdict.missed:
        NOTICED.observe(verdict.late_by_s)
    if verdict.another_turn:
        EXCUSED.inc()
        log.warning("heartbeat.another_turn", heartbeat_id=str(job.heartbeat_id))
