"""The job that works a trial out. It reads in short transactions, thinks outside of any, and writes one row."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from pydantic import ValidationError

from app.core.backoff import RetryPolicy
from app.core.jobs import BACKLOG_PRIORITY, Job, Queue, registry
from app.db.jobs.context import Completion, JobContext
from app.db.tenancy import TenantSession
from app.ingest.rules.storms import default_rule
from app.ingest.service import SourceNotFound, get_source
from app.ingest.trials import repository, service
from app.ingest.trials.schemas import Difference, TrialState
from app.ingest.trials.service import JOB_KIND, MAX_BYTES, MAX_EVENTS, Side
from app.settings import Settings

_CHUNK = 100
_CHUNK_BYTES = 8_388_608


@dataclass(frozen=True, kw_only=True)
class RunTrial(Job):
    """Read a stretch of a source's past with its settings and with others, and keep the difference."""

    kind: ClassVar[str] = JOB_KIND
    queue: ClassVar[Queue] = Queue.MAINTENANCE
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=3, base_s=2.0, cap_s=30.0)
    priority: ClassVar[int] = BACKLOG_PRIORITY

    trial_id: UUID


@registry.stepwise(RunTrial)
async def run_trial(ctx: JobContext, job: RunTrial) -> Completion | None:
    """This will work the trial out and write its result in the job's last transaction."""
    async with ctx.transaction() as session:
        trial = await repository.find_trial(session, trial_id=job.trial_id)
        if trial is None or trial.state != TrialState.QUEUED.value:
            return None
        try:
            source = await get_source(session, source_id=trial.source_id)
            storm = default_rule(ctx.resources.get(Settings).storms)
            sides = service.both_sides(source, trial.candidate, storm=storm)
        except SourceNotFound:
            return _ending(ctx, job.trial_id, reason="the source was deleted")
        except ValidationError as error:
            return _ending(ctx, job.trial_id, reason=f"{error.error_count()} of the source's settings are wrong")
    after, until = service.stretch(trial)
    seen, cut = await _read(ctx, sides, trial.source_id, after, until, trial.most)
    # On a thread: thousands of events take longer than a loop with other jobs on it should stand still.
    difference = await asyncio.to_thread(service.conclude, *sides, deliveries=seen, cut=cut)
    return _ending(ctx, job.trial_id, difference=difference)


async def _read(
    ctx: JobContext, sides: tuple[Side, Side], source_id: UUID, after: UUID, until: UUID, most: int
) -> tuple[list[UUID], str]:
    """Let both sides read up to ``most`` deliveries; say which, and why not all where it is so."""
    seen: list[UUID] = []
    size_bytes = 0
    while True:
        left = most - len(seen)
        async with ctx.transaction() as session:
            chunk = await repository.load_chunk(
                session,
                source_id=source_id,
                after=after,
                until=until,
                limit=min(_CHUNK, left) or 1,
                limit_bytes=_CHUNK_BYTES,
            )
        if not chunk:
            return seen, ""
        if left <= 0:
            return seen, f"there are more than {most} deliveries"
        await asyncio.to_thread(service.read_chunk, sides, chunk)
        after = chunk[-1].id
        seen += [delivery.id for delivery in chunk]
        size_bytes += sum(len(delivery.body) for delivery in chunk)
        if size_bytes >= MAX_BYTES or max(side.events for side in sides) >= MAX_EVENTS:
            return seen, f"stopped after {len(seen)} deliveries: they are large"


def _ending(ctx: JobContext, trial_id: UUID, *, difference: Difference | None = None, reason: str = "") -> Completion:
    async def write(session: TenantSession) -> None:
        row = await repository.find_trial(session, trial_id=trial_id)
        if row is not None:
            row.state = TrialState.DONE.value if difference is not None else TrialState.FAILED.value
            row.reason, row.finished_at = reason, ctx.clock.now()
            row.result = difference.model_dump(mode="json") if difference is not None else None

    return write
