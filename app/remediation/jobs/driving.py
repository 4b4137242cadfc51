"""Driving a run: one step after the other, each in its own commits, until it ends or has to wait."""

from __future__ import annotations

from typing import assert_never

from app.core.ids import RunId
from app.core.jobs import registry
from app.db.jobs.context import Completion, JobContext, RetryLater
from app.db.tenancy import TenantSession
from app.observability.tracing import span_from
from app.remediation.jobs.acting import act
from app.remediation.jobs.branching import decide, tell_step, use, wait
from app.remediation.jobs.consent import ask
from app.remediation.jobs.definitions import AdvanceRun, ExpireApproval, ExpireRun, drive
from app.remediation.jobs.desk import Desk, Position, Progress, RunOver, Turn
from app.remediation.jobs.looking import check
from app.remediation.jobs.verifying import verify
from app.remediation.repository import runs
from app.remediation.rules.document import (
    END_NOOP,
    VERIFY,
    ActStep,
    AskStep,
    CheckStep,
    DecideStep,
    TellStep,
    UseStep,
    WaitStep,
)
from app.remediation.rules.states import Outcome, RunState
from app.remediation.service.approvals import expire
from app.remediation.service.ending import end_run

# Steps of a runbook and of all that it uses; more in one go means that a cursor does not move.
MAX_TURNS = 500


@registry.stepwise(AdvanceRun)
async def advance(ctx: JobContext, job: AdvanceRun) -> Completion | None:
    """This will take steps until the run ends, a person has to decide, or a time has to come."""
    desk = Desk(ctx, job.run_id)
    try:
        for _ in range(MAX_TURNS):
            at = await desk.locate()
            attributes = {"tocsin.run.id": str(at.run_id), "tocsin.run.step": at.key}
            with span_from(None, f"runbook {at.step.kind if at.step else at.at}", attributes=attributes):
                progress = await _take(desk, at)
            if progress is not Turn.GO_ON:
                return progress
    except RunOver:
        return None
    raise RuntimeError(f"run {job.run_id} took {MAX_TURNS} turns without an end")


async def _take(desk: Desk, at: Position) -> Progress:  # noqa: PLR0911 - one return a kind of step
    if not at.open_intent and await _is_stopped(desk, at):
        return Turn.GO_ON
    step = at.step
    match step:
        case None:
            return await _end(desk, at)
        case CheckStep():
            return await check(desk, at, step)
        case ActStep():
            return await act(desk, at, step)
        case DecideStep():
            return await decide(desk, at, step)
        case WaitStep():
            return await wait(desk, at, step)
        case AskStep():
            return await ask(desk, at, step)
        case TellStep():
            return await tell_step(desk, at, step)
        case UseStep():
            return await use(desk, at, step)
        case _:
            assert_never(step)


async def _is_stopped(desk: Desk, at: Position) -> bool:
    """End a run that a person cancelled or whose time is over; never between an intent and its outcome."""
    if at.cancel_requested:
        outcome, reason, code = Outcome.CANCELLED, "a person cancelled the run", "run.cancelled"
    elif desk.now() >= at.deadline:
        outcome, reason, code = Outcome.EXPIRED, "the run's time was over", "run.deadline"
    else:
        return False
    async with desk.holding() as (session, run):
        await end_run(session, run, outcome=outcome, reason=reason, code=code, now=desk.now())
    return True


async def _end(desk: Desk, at: Position) -> Progress:
    if at.at == VERIFY:
        return await verify(desk, at)
    async with desk.holding() as (session, run):
        if at.at == END_NOOP:
            outcome, reason, code = Outcome.NO_ACTION_NEEDED, "the checks found nothing to do", ""
        else:
            outcome, reason, code = Outcome.UNVERIFIED, f"the plan has no step {at.at!r}", "plan.broken"
        await end_run(session, run, outcome=outcome, reason=reason, code=code, now=desk.now())
    return Turn.GO_ON


@registry.transactional(ExpireRun)
async def expire_run(session: TenantSession, job: ExpireRun, ctx: JobContext) -> None:
    """This will end a run that nothing has ended by its deadline."""
    run = await runs.lock_run(session, job.run_id)
    now = ctx.clock.now()
    if run is None or run.state == RunState.ENDED.value:
        return
    if now < run.deadline:
        raise RetryLater(run.deadline)
    if await runs.has_open_intent(session, run.id):
        outcome, reason = Outcome.UNKNOWN_EFFECT, "the run's time was over with an effect whose outcome nobody knows"
    else:
        outcome, reason = Outcome.EXPIRED, "the run's time was over"
    await end_run(session, run, outcome=outcome, reason=reason, code="run.deadline", now=now)


@registry.transactional(ExpireApproval)
async def expire_approval(session: TenantSession, job: ExpireApproval, ctx: JobContext) -> None:
    """This will take silence for a no and let the run go its other way."""
    run = await runs.lock_run(session, job.run_id)
    if run is not None and await expire(session, run=run, step_key=job.step_key, now=ctx.clock.now()):
        await drive(session, RunId(run.id))
