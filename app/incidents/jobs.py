"""Timers of this domain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from app.core.backoff import RetryPolicy
from app.core.events import subscribe
from app.core.ids import IncidentId, SourceId
from app.core.jobs import Job, Queue, registry
from app.db.jobs.context import JobContext
from app.db.jobs.queue import enqueue
from app.db.tenancy import TenantSession
from app.incidents.events import AlertsExpected, StormBegan
from app.incidents.service.stale import resolve_stale_alerts
from app.incidents.service.storms import end_storm

# Timers of one source are gathered to this grid: a busy source makes one row in a tick, not one a notification.
TICK_S = 15


@dataclass(frozen=True, kw_only=True)
class ResolveStaleAlerts(Job):
    """End the alerts of a source that were not seen for longer than its resolve time-out.

    The unique key is source and tick, so every sighting has a timer that runs after it could time out. A single timer
    for a source would not do: one that runs just before a sighting commits finds nothing left to wait for.
    """

    kind: ClassVar[str] = "incidents.resolve_stale_alerts"
    queue: ClassVar[Queue] = Queue.MAINTENANCE
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=10, base_s=5.0, cap_s=300.0)
    coalesces: ClassVar[bool] = True

    source_id: SourceId


async def set_timer(session: TenantSession, *, source_id: SourceId, due_at: datetime) -> None:
    """This will make sure that a sweep of the source runs at the first tick after ``due_at``."""
    tick = math.floor(due_at.timestamp() / TICK_S) + 1
    run_at = datetime.fromtimestamp(tick * TICK_S, UTC)
    await enqueue(session, ResolveStaleAlerts(source_id=source_id), run_at=run_at, unique_key=f"{source_id}:{tick}")


@subscribe(AlertsExpected)
async def on_alerts_expected(session: TenantSession, event: AlertsExpected) -> None:
    """This will set the timer that ends the alerts unless they are seen again."""
    await set_timer(session, source_id=event.source_id, due_at=event.due_at)


@registry.transactional(ResolveStaleAlerts)
async def run_resolve_stale_alerts(session: TenantSession, job: ResolveStaleAlerts, ctx: JobContext) -> None:
    """This will sweep once and set the next timer while alerts remain that could time out."""
    expired = await resolve_stale_alerts(session, source_id=job.source_id, now=ctx.clock.now())
    if expired.next_due_at is not None:
        await set_timer(session, source_id=job.source_id, due_at=max(expired.next_due_at, ctx.clock.now()))


@dataclass(frozen=True, kw_only=True)
class EndStorm(Job):
    """Look whether a storm has blown over; while it has not, look again when it could have.

    Attributes:
        quiet_s: Seconds without a flood after which it is over, as of when it began.
    """

    kind: ClassVar[str] = "incidents.end_storm"
    queue: ClassVar[Queue] = Queue.MAINTENANCE
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=20, base_s=5.0, cap_s=300.0)
    coalesces: ClassVar[bool] = True

    incident_id: IncidentId
    quiet_s: float


@subscribe(StormBegan)
async def on_storm_began(session: TenantSession, event: StormBegan) -> None:
    """This will set the timer that ends the storm."""
    job = EndStorm(incident_id=event.incident_id, quiet_s=event.quiet_s)
    run_at = event.at + timedelta(seconds=event.quiet_s)
    await enqueue(session, job, run_at=run_at, unique_key=str(event.incident_id))


@registry.transactional(EndStorm)
async def run_end_storm(session: TenantSession, job: EndStorm, ctx: JobContext) -> None:
    """This will end the storm, or set the next timer."""
    quiet = timedelta(seconds=job.quiet_s)
    again_at = await end_storm(session, incident_id=job.incident_id, quiet=quiet, now=ctx.clock.now())
    if again_at is not None:
        await enqueue(session, job, run_at=again_at, unique_key=str(job.incident_id))
