"""The intake job: drains what was accepted, in bounded transactions, until nothing is left or its time is up.

It is coalesced: one *waiting* job per tenant and shard stands for any number of deliveries. A delivery that commits
after the job it relied on has finished is found by the relay's sweep (``tocsin_private.sweep_intake``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

import structlog

from app.core.backoff import RetryPolicy
from app.core.breath import breathe_anew
from app.core.jobs import BACKLOG_PRIORITY, Job, Queue, registry
from app.db.faults import is_passing
from app.db.jobs.context import Completion, JobContext
from app.db.jobs.lease import LeaseLost
from app.db.jobs.queue import enqueue
from app.db.tenancy import TenantSession
from app.ingest.batches import DRAIN_MAX_ATTEMPTS
from app.ingest.faults import name_of
from app.ingest.repository import deliveries as repository
from app.ingest.repository.deliveries import ClaimedDelivery, Finding
from app.ingest.rules.storms import default_rule
from app.ingest.service.processing import process, set_aside
from app.observability.metrics import counter, histogram
from app.settings import Settings
from app.settings.ingest import IngestSettings

log = structlog.get_logger(__name__)

DELIVERIES = counter("tocsin_ingest_deliveries_total", "Deliveries worked through, by what became of them.", ("state",))
DRAINED = histogram(
    "tocsin_ingest_drain_size",
    "Deliveries that one intake transaction worked through.",
    (),
    buckets=(1, 5, 10, 25, 50, 100),
)
EFFECT = histogram(
    "tocsin_event_to_effect_seconds",
    "Seconds from a delivery's receipt until its alerts and incidents are written, or the reason why there are none.",
    (),
)


_AGAIN_S = 1.0


@dataclass(frozen=True, kw_only=True)
class DrainIntake(Job):
    """Work through the accepted deliveries of one shard of the tenant."""

    # Also written in repository/intake.py and the migration's sweep_intake.sql, which insert it set-based.
    kind: ClassVar[str] = "ingest.drain_intake"
    queue: ClassVar[Queue] = Queue.INTAKE
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=DRAIN_MAX_ATTEMPTS, base_s=0.5, cap_s=30.0)
    coalesces: ClassVar[bool] = True

    shard: int

    @property
    def key(self) -> str:
        """The unique key: one waiting job per tenant and shard."""
        return f"shard:{self.shard}"


@dataclass(frozen=True, kw_only=True)
class DrainBacklog(DrainIntake):
    """The same for a shard that had more than one batch: it yields to tenants whose deliveries do not pile up."""

    kind: ClassVar[str] = "ingest.drain_backlog"
    priority: ClassVar[int] = BACKLOG_PRIORITY


class BacklogGate:
    """Lets a few batches of backlogs be worked on at once in one process.

    Applying a batch is work for the processor, so more at once finish no sooner, and each makes the loop's other jobs wait.
    """

    def __init__(self, at_once: int) -> None:
        self.slots = asyncio.Semaphore(at_once)


@registry.stepwise(DrainIntake)
async def drain_intake(ctx: JobContext, job: DrainIntake) -> Completion:
    """This will work through one small batch at once; what is left is a backlog."""
    settings = ctx.resources.get(Settings).ingest
    drain = _Drain(ctx, job.shard, wary=ctx.attempt > 1)
    await drain.batch(limit=settings.drain_first_batch_size)
    return drain.hand_on


@registry.stepwise(DrainBacklog)
async def drain_backlog(ctx: JobContext, job: DrainBacklog) -> Completion:
    """This will work through batches as they are let; what is left when the time is up goes to a successor."""
    settings = ctx.resources.get(Settings).ingest
    drain = _Drain(ctx, job.shard, wary=ctx.attempt > 1)
    ctx.give_way()
    until = time.monotonic() + settings.drain_budget_s
    gate = ctx.resources.get(BacklogGate)
    while True:
        async with gate.slots:
            await breathe_anew()
            left = await drain.batch(limit=settings.drain_batch_size)
        if not left or time.monotonic() >= until:
            return drain.hand_on


class _Drain:
    """One job's way through a shard.

    Args:
        ctx: The job's frame.
        shard: Of the tenant's deliveries.
        wary: The job is run again and may have been killed by a delivery: the first ones go one at a time, counted.
    """

    def __init__(self, ctx: JobContext, shard: int, *, wary: bool) -> None:
        self._ctx = ctx
        self._shard = shard
        self._wary = wary
        self._failing: set[UUID] = set()
        self._settings = ctx.resources.get(Settings).ingest

    async def batch(self, *, limit: int) -> bool:
        """Work through one batch, remember what is to be tried later, and say whether there was anything."""
        wary, self._wary = self._wary, False
        async with self._ctx.transaction() as session:
            ids = await repository.claim_accepted(
                session,
                shard=self._shard,
                limit=limit,
                limit_bytes=self._settings.batch_bytes,
                skipping=self._failing,
            )
            if len(ids) >= limit:
                self._ctx.give_way()  # there are probably more: no longer somebody's one alert
            if not ids or (not wary and await _together(self._ctx, session, ids)):
                return bool(ids)
        for delivery_id in ids:
            if not await _alone(self._ctx, delivery_id, self._settings):
                self._failing.add(delivery_id)
        return True

    async def hand_on(self, session: TenantSession) -> None:
        """Leave what there still is to a successor, in the job's last transaction."""
        if await repository.has_accepted(session, shard=self._shard):
            # What failed is tried again, but not at once: the cause may be a neighbour that holds a lock.
            delay_s = _AGAIN_S if self._failing else 0.0
            successor = DrainBacklog(shard=self._shard)
            await enqueue(session, successor, unique_key=successor.key, delay_s=delay_s)


async def _together(ctx: JobContext, session: TenantSession, ids: Sequence[UUID]) -> bool:
    """Process a batch in the open transaction; False leaves it as it was, for one by one."""
    try:
        async with session.begin_nested():
            loaded = await repository.load_claimed(session, ids=ids)
            findings = await _process(ctx, session, loaded) if loaded else []
    except LeaseLost:
        raise
    except Exception as error:  # noqa: BLE001 - whose fault it is shows when each is tried alone
        log.warning("ingest.batch_failed", deliveries=len(ids), error=name_of(error))
        return False
    _count(ctx, loaded, findings)
    return True


async def _alone(ctx: JobContext, delivery_id: UUID, settings: IngestSettings) -> bool:
    """Process one delivery by itself; False leaves it for later.

    The attempt is committed before it is made, so that one which kills the process is counted too.
    """
    async with ctx.transaction() as session:
        attempts = await repository.count_attempt(session, delivery_id=delivery_id)
    if attempts is None:
        return True
    error = ""
    if attempts <= settings.delivery_max_attempts:
        try:
            async with ctx.transaction() as session:
                await _process_one(ctx, session, delivery_id)
            return True
        except LeaseLost:
            raise
        except Exception as failure:  # noqa: BLE001 - a poison delivery must not hold up its neighbours (F32)
            error = name_of(failure)
            log.warning("ingest.delivery_failed", delivery_id=str(delivery_id), attempts=attempts, error=error)
            if is_passing(failure):
                # A lock or a restart is no reason to give up somebody's alert, however often it comes.
                async with ctx.transaction() as session:
                    await repository.count_attempt(session, delivery_id=delivery_id, change=-1)
                return False
    if attempts < settings.delivery_max_attempts:
        return False
    await _give_up(ctx, delivery_id, attempts=attempts, error=error)
    return True


async def _process_one(ctx: JobContext, session: TenantSession, delivery_id: UUID) -> None:
    loaded = await repository.load_claimed(session, ids=[delivery_id])
    if loaded:
        _count(ctx, loaded, await _process(ctx, session, loaded))


async def _process(ctx: JobContext, session: TenantSession, loaded: Sequence[ClaimedDelivery]) -> list[Finding]:
    storm = default_rule(ctx.resources.get(Settings).storms)
    return await process(session, loaded, job_id=ctx.job_id, now=ctx.clock.now(), storm=storm)


async def _give_up(ctx: JobContext, delivery_id: UUID, *, attempts: int, error: str) -> None:
    async with ctx.transaction() as session:
        loaded = await repository.load_claimed(session, ids=[delivery_id])
        findings = [set_aside(delivery, attempts=attempts, error=error) for delivery in loaded]
        if findings:
            await repository.finish(session, findings, job_id=ctx.job_id, now=ctx.clock.now())
    _count(ctx, loaded, findings)


def _count(ctx: JobContext, deliveries: Sequence[ClaimedDelivery], findings: Sequence[Finding]) -> None:
    if findings:
        DRAINED.observe(len(findings))
    now = ctx.clock.now()
    for delivery in deliveries:
        EFFECT.observe(max(0.0, (now - delivery.received_at).total_seconds()))
    for finding in findings:
        DELIVERIES.labels(finding.state.value).inc()
        if finding.reason:
            log.info("ingest.not_processed", delivery_id=str(finding.delivery_id), reason=finding.reason)
