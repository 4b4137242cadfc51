"""The relay: moves due jobs from the table to the broker, and repairs what got lost on the way.

Any number of relays may run: each claims with SKIP LOCKED. A hint wakes it early; polling makes it correct. A
broker that is down costs latency only: the rows stay published and workers take them from the table themselves.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy import text

from app.core.clock import Clock
from app.core.failpoints import failpoint
from app.core.jobs import Job
from app.db.engine import Database
from app.db.system import SystemSession, system_session
from app.observability.metrics import counter, gauge
from app.observability.probes import Pulse
from app.settings.jobs import JobSettings

log = structlog.get_logger(__name__)

PUBLISHED = counter("tocsin_relay_published_total", "Job ids handed to the broker, by queue.", ("queue",))
PUBLISH_FAILURES = counter("tocsin_relay_publish_failures_total", "Batches that the broker did not take.", ())
SWEPT = counter("tocsin_relay_swept_total", "Jobs that a sweep moved, by what happened.", ("outcome",))
DUE = gauge("tocsin_jobs_due", "Due jobs per queue, counted up to a cap.", ("queue",))
PUBLISHED_NOW = gauge(
    "tocsin_jobs_published", "Published but not started jobs per queue, counted up to a cap.", ("queue",)
)
IN_PROGRESS = gauge("tocsin_jobs_in_progress", "Running jobs per queue, counted up to a cap.", ("queue",))
OLDEST_DUE = gauge("tocsin_jobs_oldest_due_seconds", "Age of the oldest due job per queue.", ("queue",))
DEAD = gauge("tocsin_jobs_dead", "Dead letters per queue, counted up to a cap.", ("queue",))
PAUSED = gauge("tocsin_queue_paused", "1 where an operator has paused the queue for every tenant, else 0.", ("queue",))
STATS_CAP = 10_000
PUBLISH_WAIT_S = 1.0


class BrokerHangs(Exception):
    """The broker has taken the connection and does not answer; the rows stay published, workers poll for them."""


@dataclass(frozen=True)
class PublishedJob:
    """What travels: whose job, which, and through which queue."""

    tenant_id: UUID
    id: UUID
    queue: str
    priority: int = Job.priority


class Publisher(Protocol):
    """Hands ids to the broker; blocking, called on a thread."""

    def publish(self, jobs: Sequence[PublishedJob]) -> None:
        """This will send one message per job, or raise when the broker is not there."""
        ...


Sweep = Callable[[SystemSession], Awaitable[None]]


class Relay:
    """One relay. ``tick`` and ``sweep`` are its two acts; ``run`` repeats them until stopped.

    Args:
        database: Reached as the system role only.
        publisher: The way to the broker.
        settings: Intervals, batch and window.
        as_of: Judges "due" by this clock instead of the server's; for tests and simulations.
        extra_sweeps: Further repairs, each in a system transaction of its own, after every sweep.
        pulse: Told of every completed tick.
    """

    def __init__(
        self,
        *,
        database: Database,
        publisher: Publisher,
        settings: JobSettings,
        as_of: Clock | None = None,
        extra_sweeps: Sequence[Sweep] = (),
        pulse: Pulse | None = None,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._settings = settings
        self._as_of = as_of
        self._extra_sweeps = extra_sweeps
        self._wake = asyncio.Event()
        self._stopping = False
        self._sending: asyncio.Task[None] | None = None
        self._pulse = pulse or Pulse(max_age_s=math.inf)

    def wake(self) -> None:
        """This will make the next poll happen now; called on a hint."""
        self._wake.set()

    def stop(self) -> None:
        """This will end ``run`` after the pass under way."""
        self._stopping = True
        self._pulse.end()
        self._wake.set()

    async def tick(self) -> int:
        """This will publish what is due, one bounded batch, and return how many jobs that was."""
        statement = text(
            "select tenant_id, id, queue, priority from tocsin_private.claim_due(:limit, :window, cast(:now as timestamptz))"
        )
        values = {
            "limit": self._settings.batch_size,
            "window": self._settings.window_per_queue,
            "now": self._now(),
        }
        async with system_session(self._database, reason="relay.claim_due") as session:
            jobs = [PublishedJob(*row) for row in (await session.execute(statement, values)).all()]
        if jobs:
            await failpoint("relay.after_claim")
        await self._publish(jobs)
        self._pulse.beat()
        return len(jobs)

    async def sweep(self) -> None:
        """This will repair: published but never started, lease run out, finished long ago."""
        now = self._now()
        async with system_session(self._database, reason="relay.republish") as session:
            stale = await session.execute(
                text(
                    "select tenant_id, id, queue, priority from tocsin_private.republish_stale("
                    ":older, :limit, cast(:now as timestamptz))"
                ),
                {
                    "older": timedelta(seconds=self._settings.republish_after_s),
                    "limit": self._settings.batch_size,
                    "now": now,
                },
            )
            again = [PublishedJob(*row) for row in stale.all()]
        if again:
            await failpoint("sweep.after_republish")
            await self._publish(again)
            SWEPT.labels("republished").inc(len(again))
        await self._sweep_expired()
        for extra in self._extra_sweeps:
            await failpoint("sweep.before_extra")
            await self._sweep_extra(extra)
        await self._report()

    async def run(self) -> None:
        """This will tick and sweep until ``stop``; an error is logged and tried again after a poll interval."""
        next_sweep = 0.0
        loop = asyncio.get_running_loop()
        while not self._stopping:
            try:
                count = await self.tick()
                if loop.time() >= next_sweep:
                    await self.sweep()
                    next_sweep = loop.time() + self._settings.sweep_interval_s
            except Exception as error:  # noqa: BLE001 - the relay's outermost frame: PostgreSQL may be restarting
                log.warning("relay.pass_failed", error=repr(error)[:1000])
                count = 0
            if count < self._settings.batch_size:
                await self._pause()

    def _now(self) -> datetime | None:
        return self._as_of.now() if self._as_of is not None else None

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), self._settings.poll_interval_s)
        except TimeoutError:
            return
        self._wake.clear()

    async def _publish(self, jobs: Sequence[PublishedJob]) -> None:
        if not jobs:
            return
        try:
            await self._hand_over(jobs)
        except Exception as error:  # noqa: BLE001 - any broker failure: the rows stay published, workers poll for them
            PUBLISH_FAILURES.inc()
            log.warning("relay.publish_failed", jobs=len(jobs), error=repr(error)[:500])
            return
        await failpoint("relay.after_publish")
        for job in jobs:
            PUBLISHED.labels(job.queue).inc()

    async def _hand_over(self, jobs: Sequence[PublishedJob]) -> None:
        """Publish, but wait for a broker that hangs only so long: what becomes due meanwhile must reach the workers.

        The call is left to its own time-outs, and no other is begun while it lasts. If it gets through after all, its
        messages are duplicates of what the workers found in the table.
        """
        if self._sending is not None and not self._sending.done():
            raise BrokerHangs
        self._sending = asyncio.create_task(asyncio.to_thread(self._publisher.publish, jobs))
        # Or else an error that comes when nobody waits any more is reported as lost.
        self._sending.add_done_callback(lambda task: task.cancelled() or task.exception())
        done, _ = await asyncio.wait({self._sending}, timeout=PUBLISH_WAIT_S)
        if not done:
            raise BrokerHangs
        self._sending.result()

    async def _sweep_extra(self, extra: Sweep) -> None:
        try:
            async with system_session(self._database, reason="relay.extra_sweep") as session:
                await extra(session)
        except Exception as error:  # noqa: BLE001 - one that always fails must not keep the others from being done
            log.error("relay.sweep_failed", error=repr(error)[:1000])

    async def _sweep_expired(self) -> None:
        # Leases are on the server's clock, so "expired" is judged by it too, never by this process's.
        statement = text("select kind, outcome from tocsin_private.sweep_expired(:limit, clock_timestamp())")
        async with system_session(self._database, reason="relay.sweep_expired") as session:
            moved = (await session.execute(statement, {"limit": self._settings.batch_size})).all()
        if moved:
            await failpoint("sweep.after_expired")
        for kind, outcome in moved:
            SWEPT.labels(f"expired_{outcome}").inc()
            log.warning("relay.lease_expired", job_kind=kind, outcome=outcome)

    async def _report(self) -> None:
        statement = text(
            "select queue, due, published, running, oldest_due_s, dead from tocsin_private.queue_stats(:cap)"
        )
        async with system_session(self._database, reason="relay.queue_stats") as session:
            rows = (await session.execute(statement, {"cap": STATS_CAP})).all()
            pauses = set(
                (await session.execute(text("select queue from tocsin_private.list_queue_pauses()"))).scalars()
            )
        for queue, due, published, running, oldest_due_s, dead in rows:
            DUE.labels(queue).set(due)
            PUBLISHED_NOW.labels(queue).set(published)
            IN_PROGRESS.labels(queue).set(running)
            OLDEST_DUE.labels(queue).set(oldest_due_s)
            DEAD.labels(queue).set(dead)
            PAUSED.labels(queue).set(not pauses.isdisjoint({queue, "*"}))
