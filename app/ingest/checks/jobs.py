"""Asking: one question, what came of it, and the next question, which is another job."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

import structlog

from app.core.backoff import RetryPolicy
from app.core.jobs import Job, Queue, registry
from app.db.jobs.context import Completion, JobContext
from app.db.jobs.queue import enqueue
from app.db.tenancy import TenantSession
from app.ingest.checks.models import CheckRow
from app.ingest.checks.schemas import CheckState
from app.ingest.checks.service import Answered, conclude
from app.ingest.repository import watches
from app.ingest.schemas import SourceState
from app.net.outbound import OutboundError, OutboundHttp, OutboundResponse
from app.observability.metrics import counter, histogram

log = structlog.get_logger(__name__)

CHECKED = counter(
    "tocsin_checks_total", "Questions that checks asked, by what came of them: right, wrong.", ("outcome",)
)
ANSWER_SECONDS = histogram(
    "tocsin_check_seconds",
    "Seconds until a check had its answer, or none.",
    (),
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

MAX_BYTES = 1_048_576


@dataclass(frozen=True, kw_only=True)
class RunCheck(Job):
    """Ask once. A check that was changed since has a job of its own, and this one ends without a successor."""

    kind: ClassVar[str] = "ingest.run_check"
    # Slow answers keep a worker's slots, so not beside the intake or whatever pages somebody.
    queue: ClassVar[Queue] = Queue.MAINTENANCE
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=100, base_s=1.0, cap_s=30.0)
    coalesces: ClassVar[bool] = True

    check_id: UUID
    version: int


async def ask_soon(session: TenantSession, row: CheckRow, *, delay_s: float = 0.0) -> None:
    """This will have the check asked once the caller's transaction commits, unless it is paused."""
    if row.state == CheckState.PAUSED.value:
        return
    job = RunCheck(check_id=row.id, version=row.version)
    await enqueue(session, job, unique_key=f"{row.id}:{row.version}", delay_s=delay_s)


@registry.stepwise(RunCheck)
async def run_check(ctx: JobContext, job: RunCheck) -> Completion | None:
    """This will ask outside of any transaction, then conclude and set the next question in the job's last one."""
    async with ctx.transaction() as session:
        found = await watches.find_watch(session, CheckRow, job.check_id)
    if found is None or found[0].version != job.version:
        return None
    row, source = found
    active = source.state == SourceState.ACTIVE.value
    answered = Answered(error=await _ask(ctx, row), version=row.version) if active else None

    async def write(session: TenantSession) -> None:
        before = row.state
        after = await conclude(session, check_id=job.check_id, answered=answered, now=ctx.clock.now())
        if after is None:
            return
        await ask_soon(session, after, delay_s=after.interval_s)
        if after.state != before:
            log.info("check.changed", check_id=str(job.check_id), state=after.state)

    return write


async def _ask(ctx: JobContext, row: CheckRow) -> str:
    """What is wrong with the answer; empty if nothing is."""
    started = time.perf_counter()
    try:
        answer = await ctx.resources.get(OutboundHttp).request(
            "GET", row.url, timeout_s=row.timeout_s, max_bytes=MAX_BYTES
        )
        error = wrong_with(answer, status=row.expected_status, text=row.expected_text)
    except OutboundError as failure:
        error = f"{failure.title}: {failure.detail}."[:500]
    ANSWER_SECONDS.observe(time.perf_counter() - started)
    CHECKED.labels("wrong" if error else "right").inc()
    return error


def wrong_with(answer: OutboundResponse, *, status: int | None, text: str) -> str:
    """This will say what is wrong with an answer, in a sentence; empty if nothing is."""
    if status is None and not answer.is_success:
        return f"It answered with the status {answer.status}."
    if status is not None and answer.status != status:
        return f"It answered with the status {answer.status} instead of {status}."
    if text and text not in answer.body.decode("utf-8", "replace"):
        return "Its answer does not hold the text that is expected."
    return ""
