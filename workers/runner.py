"""Running one job: claim, handler under a fenced lease, result and state in one commit.

This is one of the two outermost frames: here, and only here, any exception of a handler is turned into a retry, a
dead letter or a parked job, so that one job's failure is never its neighbour's.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
from structlog.contextvars import bound_contextvars

from app.core.breath import Breath, Hold, RightOfWay, breathing
from app.core.clock import AnchoredClock, Clock
from app.core.failpoints import failpoint
from app.core.ids import TenantId
from app.core.jobs import JobRegistry, PermanentJobError, Registration
from app.core.resources import Resources
from app.db.engine import Database
from app.db.jobs.context import JobContext, RetryLater
from app.db.jobs.lease import ClaimedJob, LeaseLost
from app.db.tenancy import tenant_session
from app.observability.metrics import counter, gauge, histogram
from app.observability.tracing import span_from
from app.settings.jobs import JobSettings
from workers.claims import Claim, Claims

log = structlog.get_logger(__name__)

RUNS = counter("tocsin_jobs_finished_total", "Job runs by kind and outcome.", ("kind", "outcome"))
DURATION = histogram("tocsin_job_duration_seconds", "Seconds from claim to end of a job run.", ("kind",))
WAITED = histogram("tocsin_job_wait_seconds", "Seconds from a job's due time to its claim.", ("queue",))
GAVE_WAY = counter(
    "tocsin_jobs_gave_way_seconds_total", "Seconds that backlogs waited in their midst for fresh work.", ()
)
RUNNING = gauge("tocsin_jobs_running", "Jobs that this process runs now.", ())


class Outcome(StrEnum):
    """How one run of a job ended."""

    SUCCEEDED = "succeeded"
    RETRIED = "retried"
    LATER = "later"
    FAILED = "failed"
    DEAD = "dead"
    PARKED = "parked"
    DUPLICATE = "duplicate"
    LOST = "lost"
    HANDED_BACK = "handed_back"


class JobRunner:
    """Runs jobs of all tenants, one call each; safe to call concurrently on one loop.

    Args:
        clock: What handlers take for now. Left out, it is the server's time of the claim carried on: timers and deadlines
            are compared by the server and by other workers, so a worker's own wrong clock must not get into them.
    """

    def __init__(
        self,
        *,
        database: Database,
        resources: Resources,
        registry: JobRegistry,
        settings: JobSettings,
        clock: Clock | None = None,
        worker_id: str,
        rng: random.Random,
    ) -> None:
        self._database = database
        self._resources = resources
        self._registry = registry
        self._settings = settings
        self._clock = clock
        self._claims = Claims(database=database, worker=worker_id, lease_s=settings.lease_s)
        self._rng = rng

    async def run(self, tenant_id: TenantId, job_id: UUID) -> Outcome:
        """This will claim the job and run it to an outcome; a job that is not there to be claimed is a duplicate."""
        hold = self._resources.get(RightOfWay).take()
        try:
            claim = await self._claims.claim(tenant_id, job_id)
            if claim is None:
                RUNS.labels("unclaimed", Outcome.DUPLICATE.value).inc()
                return Outcome.DUPLICATE
            with breathing(Breath(hold=hold)) as breath:
                outcome = await self._run_watched(tenant_id, claim, hold)
            GAVE_WAY.inc(breath.waited_s)
            return outcome
        finally:
            hold.end()

    async def _run_watched(self, tenant_id: TenantId, claim: Claim, hold: Hold) -> Outcome:
        """Run a claimed job with its span, its metrics and its line."""
        claimed, claimed_at = claim.job, claim.asked_at
        registration = self._registry.find(claimed.kind)
        # An unknown kind is a stranger's text: it must not become a label value.
        kind = claimed.kind if registration is not None else "unknown"
        WAITED.labels(claimed.queue).observe(max(0.0, (claimed.started_at - claimed.run_at).total_seconds()))
        ctx = self._context(tenant_id, claim, hold)
        with (
            RUNNING.track_inprogress(),
            bound_contextvars(tenant_id=str(tenant_id), job_id=str(claimed.id), job_kind=kind, attempt=claimed.attempt),
            span_from(claimed.trace_context, f"job {kind}", attributes=_attributes(tenant_id, claimed)) as span,
        ):
            outcome = await self._run_claimed(ctx, registration, claimed)
            span.set_attribute("status", outcome.value)
            RUNS.labels(kind, outcome.value).inc()
            DURATION.labels(kind).observe(time.monotonic() - claimed_at)
            # A line costs as much as a short job; of what went well the row, the metric and the span tell enough.
            say = log.debug if outcome is Outcome.SUCCEEDED else log.info
            say("job.finished", outcome=outcome.value, duration_s=round(time.monotonic() - claimed_at, 4))
        return outcome

    def _context(self, tenant_id: TenantId, claim: Claim, hold: Hold) -> JobContext:
        claimed, claimed_at = claim.job, claim.asked_at
        return JobContext(
            database=self._database,
            tenant_id=tenant_id,
            claimed=claimed,
            lease_s=self._settings.lease_s,
            claimed_at=claimed_at,
            clock=self._clock or AnchoredClock(claimed.started_at, seen_at=claimed_at),
            resources=self._resources,
            effect_slack_s=self._settings.lease_slack_s,
            give_way=hold.end,
        )

    async def _run_claimed(self, ctx: JobContext, registration: Registration | None, claimed: ClaimedJob) -> Outcome:
        if registration is None:
            return await self._park(ctx, claimed.kind)
        try:
            await self._handle(ctx, registration, claimed)
        except LeaseLost:
            log.warning("job.lease_lost", lease_epoch=ctx.lease_epoch)
            return Outcome.LOST
        except RetryLater as later:
            return await self._settle(ctx, self._later(ctx, later))
        except PermanentJobError as error:
            return await self._settle(ctx, self._end(ctx, Outcome.FAILED, str(error)))
        except asyncio.CancelledError:
            # The process is stopping: give the job to another worker now rather than when the lease runs out.
            await asyncio.shield(self._settle(ctx, self._hand_back(ctx)))
            raise
        except Exception as error:
            log.warning("job.failed", error=repr(error)[:2000], exc_info=True)
            return await self._settle(ctx, self._retry_or_bury(ctx, registration, error))
        return Outcome.SUCCEEDED

    async def _handle(self, ctx: JobContext, registration: Registration, claimed: ClaimedJob) -> None:
        job = registration.job_class.from_payload(claimed.payload)
        if registration.transactional:
            async with tenant_session(self._database, ctx.tenant_id) as session:
                # Ended first: the row lock keeps takeover away for the whole transaction, and the handler may
                # enqueue its own successor under the same unique key.
                await ctx.lease.succeed(session)
                await registration.handler(session, job, ctx)
                await failpoint("finish.before_commit")
            await failpoint("finish.after_commit")
            return
        async with _renewing(ctx):
            completion = await registration.handler(ctx, job)
        async with tenant_session(self._database, ctx.tenant_id) as session:
            await ctx.lease.succeed(session)
            if completion is not None:
                await completion(session)
            await failpoint("finish.before_commit")
        await failpoint("finish.after_commit")

    async def _settle(self, ctx: JobContext, ending: Awaitable[Outcome]) -> Outcome:
        try:
            return await ending
        except LeaseLost:
            return Outcome.LOST

    async def _park(self, ctx: JobContext, kind: str) -> Outcome:
        log.error("job.parked", unknown_kind=kind[:100])
        async with tenant_session(self._database, ctx.tenant_id) as session:
            await ctx.lease.reschedule(
                session,
                delay=timedelta(seconds=self._settings.park_s),
                error=f"parked: this release does not know the kind {kind[:100]!r}",
                refund=True,
                parked=True,
            )
        return Outcome.PARKED

    async def _later(self, ctx: JobContext, later: RetryLater) -> Outcome:
        run_at = later.run_at if later.run_at is not None else ctx.clock.now() + later.delay
        async with tenant_session(self._database, ctx.tenant_id) as session:
            await ctx.lease.reschedule(session, run_at=run_at, error=later.reason or None, refund=True)
        return Outcome.LATER

    async def _hand_back(self, ctx: JobContext) -> Outcome:
        async with tenant_session(self._database, ctx.tenant_id) as session:
            await ctx.lease.reschedule(session, error="handed back: the worker was stopping", refund=True)
        return Outcome.HANDED_BACK

    async def _end(self, ctx: JobContext, outcome: Outcome, error: str) -> Outcome:
        async with tenant_session(self._database, ctx.tenant_id) as session:
            await ctx.lease.end(session, state=outcome.value, error=error)
        log.error("job.buried", outcome=outcome.value, error=error[:2000])
        return outcome

    async def _retry_or_bury(self, ctx: JobContext, registration: Registration, error: Exception) -> Outcome:
        text = _told(error)
        if ctx.attempt >= ctx.max_attempts:
            return await self._end(ctx, Outcome.DEAD, text)
        delay = registration.job_class.retry.delay(attempt=ctx.attempt, rng=self._rng)
        async with tenant_session(self._database, ctx.tenant_id) as session:
            await ctx.lease.reschedule(session, delay=delay, error=text)
        return Outcome.RETRIED


def _told(error: Exception) -> str:
    """What a tenant may read of a failure: of a database error no statement and no parameters, they are our insides."""
    if not isinstance(error, SQLAlchemyError):
        return f"{type(error).__name__}: {error}"
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return f"{type(error).__name__}: the database refused ({state or 'no code'})"


def _attributes(tenant_id: TenantId, claimed: ClaimedJob) -> dict[str, str | int]:
    return {
        "tenant_id": str(tenant_id),
        "tocsin.job.id": str(claimed.id),
        "tocsin.job.kind": claimed.kind[:100],
        "tocsin.job.attempt": claimed.attempt,
    }


@asynccontextmanager
async def _renewing(ctx: JobContext) -> AsyncIterator[None]:
    """Renew the lease while the body runs; losing it cancels the body, which then sees LeaseLost."""
    body = asyncio.current_task()
    lost = False

    async def renew() -> None:
        nonlocal lost
        while True:
            await asyncio.sleep(ctx.lease_s / 4)
            try:
                await ctx.renew()
            except LeaseLost:
                lost = True
                if body is not None:
                    body.cancel()
                return
            except Exception as error:  # noqa: BLE001 - a missed renewal is tried again until the lease runs out
                log.warning("job.renewal_failed", error=repr(error)[:500])

    renewal = asyncio.create_task(renew())
    try:
        yield
    except asyncio.CancelledError:
        if lost:
            if body is not None:
                body.uncancel()
            raise LeaseLost(str(ctx.job_id)) from None
        raise
    finally:
        renewal.cancel()
