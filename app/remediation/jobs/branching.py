"""Steps that change nothing outside: decide, tell, use and wait."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.remediation.jobs.desk import Desk, Entry, Position, Progress, Turn
from app.remediation.jobs.looking import look_again
from app.remediation.repository import runs
from app.remediation.rules.conditions import judge
from app.remediation.rules.document import DecideStep, TellStep, UseStep, WaitStep
from app.remediation.rules.expression import parse_condition
from app.remediation.rules.graph import next_step
from app.remediation.rules.states import Outcome, StepState
from app.remediation.rules.substitution import render_text
from app.remediation.service.ending import end_run


async def decide(desk: Desk, at: Position, step: DecideStep) -> Progress:
    """This will go where the first condition that holds says; one that cannot be judged stops the run.

    Not the ``else`` way: what is not known must not choose what is done.
    """
    started, go, reason = desk.now(), step.otherwise, "no condition held"
    for branch in step.first:
        holds = judge(parse_condition(branch.condition), at.values, now=started)
        if holds is None:
            go, reason = "", f"it cannot be told whether {branch.condition!r} holds"
            break
        if holds:
            go, reason = branch.go, branch.condition
            break
    state = StepState.DONE if go else StepState.FAILED
    entry = Entry(kind=step.kind, state=state, started_at=started, reason=reason, output={"go": go or None})
    async with desk.holding() as (session, run):
        await desk.record(session, run, at, entry, go=at.cursor(go) if go else None)
        if not go:
            text = f"{at.key}: {reason}"
            await end_run(session, run, outcome=Outcome.UNVERIFIED, reason=text, code="decide.unknown", now=desk.now())
    return Turn.GO_ON


async def tell_step(desk: Desk, at: Position, step: TellStep) -> Progress:
    """This will write what the step says, and hand over where it says so."""
    text = render_text(step.text, at.values) if step.text is not None else ""
    async with desk.holding() as (session, run):
        entry = Entry(kind=step.kind, state=StepState.DONE, started_at=desk.now(), reason=text, output={"text": text})
        if step.escalate is None:
            await desk.record(session, run, at, entry, go=at.cursor(next_step(at.document, step)))
            return Turn.GO_ON
        await desk.record(session, run, at, entry)
        await end_run(
            session,
            run,
            outcome=Outcome.NOT_RECOVERED,
            reason=render_text(step.escalate.reason, at.values),
            code="handed_over",
            policy=step.escalate.policy,
            now=desk.now(),
        )
    return Turn.GO_ON


async def use(desk: Desk, at: Position, step: UseStep) -> Progress:
    """This will go on with the first step of the used runbook; it ends the run its own way."""
    frame = at.named(step.key)
    first = at.plan.frames[frame].steps[0].key
    entry = Entry(kind=step.kind, state=StepState.DONE, started_at=desk.now(), reason=f"goes on with {step.runbook}")
    async with desk.holding() as (session, run):
        await desk.record(session, run, at, entry, go=f"{frame}:{first}")
    return Turn.GO_ON


async def wait(desk: Desk, at: Position, step: WaitStep) -> Progress:
    """This will go on when the time has come or the condition holds. Between looks nothing waits but the job's row.

    Raises:
        RetryLater: It is not time yet.
    """
    started, due = await _begin(desk, at, step)
    now = desk.now()
    if step.until is None or step.check is None:
        if now < due and not at.is_dry_run:
            return await desk.pause(at, due, reason=f"step {at.key} waits until {due.isoformat(timespec='seconds')}")
        await _end_wait(desk, at, step, started, output={"until": due.isoformat()})
        return Turn.GO_ON
    holds, seen = await _condition(desk, at, step.check, until=step.until)
    if holds:
        await _end_wait(desk, at, step, started, output=seen)
        return Turn.GO_ON
    if now < due and not at.is_dry_run and step.every is not None:
        # The last look is when the time is up, however long the pauses are.
        return await desk.pause(at, min(now + step.every, due), reason=f"step {at.key} looks again")
    await _run_out(desk, at, step, started, seen)
    return Turn.GO_ON


async def _begin(desk: Desk, at: Position, step: WaitStep) -> tuple[datetime, datetime]:
    """The wait's start and end, as its row says; the row is written by whoever comes first."""
    async with desk.holding() as (session, run):
        row = await runs.find_step(session, run_id=run.id, key=at.key)
        if row is None:
            length = step.duration or step.timeout
            now = desk.now()
            row = await runs.add_step(
                session,
                run_id=run.id,
                key=at.key,
                kind=step.kind,
                state=StepState.PENDING.value,
                started_at=now,
                due_at=now + length if length is not None else now,
            )
        return row.started_at, row.due_at or row.started_at


async def _condition(desk: Desk, at: Position, check: str, *, until: str) -> tuple[bool, dict[str, Any]]:
    found = await look_again(desk, at, check)
    if found.output is None:
        return False, {"error": found.error}
    values = at.seen_again(check, found.output)
    return judge(parse_condition(until), values, now=desk.now()) is True, found.output


async def _end_wait(desk: Desk, at: Position, step: WaitStep, started: datetime, *, output: dict[str, Any]) -> None:
    reason = "dry run: not waited for" if at.is_dry_run else ""
    entry = Entry(kind=step.kind, state=StepState.DONE, started_at=started, reason=reason, output=output)
    async with desk.holding() as (session, run):
        await desk.record(session, run, at, entry, go=at.cursor(next_step(at.document, step)))


async def _run_out(desk: Desk, at: Position, step: WaitStep, started: datetime, seen: dict[str, Any]) -> None:
    text = f"{step.until} did not come true in time"
    entry = Entry(kind=step.kind, state=StepState.FAILED, started_at=started, error=text, output=seen)
    async with desk.holding() as (session, run):
        go = step.on_timeout
        await desk.record(session, run, at, entry, go=at.cursor(go) if go is not None else None)
        if go is None:
            reason = f"{at.key}: {text}"
            await end_run(session, run, outcome=Outcome.UNVERIFIED, reason=reason, code="wait.timeout", now=desk.now())
