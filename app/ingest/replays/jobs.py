"""The job that drives a replay, one batch at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from app.core.backoff import RetryPolicy
from app.core.jobs import BACKLOG_PRIORITY, Job, Queue, registry
from app.db.jobs.context import JobContext, RetryLater
from app.db.jobs.queue import enqueue
from app.db.tenancy import TenantSession
from app.ingest.jobs import DrainBacklog
from app.ingest.replays.service import advance
from app.settings import Settings

PACE_S = 1.0
"""Seconds between a batch and the look whether it is through."""


@dataclass(frozen=True, kw_only=True)
class ReplayDeliveries(Job):
    """Take the next batch of a replay, once the one before is through."""

    kind: ClassVar[str] = "ingest.replay_deliveries"
    queue: ClassVar[Queue] = Queue.MAINTENANCE
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=10, base_s=1.0, cap_s=60.0)
    priority: ClassVar[int] = BACKLOG_PRIORITY

    replay_id: UUID


async def drive(session: TenantSession, *, replay_id: UUID, delay_s: float = 0.0) -> None:
    """This will see to it that the replay goes on."""
    await enqueue(session, ReplayDeliveries(replay_id=replay_id), unique_key=str(replay_id), delay_s=delay_s)


@registry.transactional(ReplayDeliveries)
async def replay_deliveries(session: TenantSession, job: ReplayDeliveries, ctx: JobContext) -> None:
    """This will take one batch, and leave the next one to a successor in the same commit."""
    batch_size = ctx.resources.get(Settings).ingest.drain_batch_size
    taken = await advance(session, replay_id=job.replay_id, batch_size=batch_size, now=ctx.clock.now())
    if taken.waits:
        raise RetryLater(delay_s=PACE_S, reason="the intake has not worked the batch through")
    for shard in sorted(taken.shards):
        # Behind what has just come in: a backlog gives way at the relay and at the broker.
        drain = DrainBacklog(shard=shard)
        await enqueue(session, drain, unique_key=drain.key)
    if taken.goes_on:
        await drive(session, replay_id=job.replay_id, delay_s=PACE_S)
