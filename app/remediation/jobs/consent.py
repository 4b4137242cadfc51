"""Asking a person: ask steps, and acts that need approval. Nothing waits meanwhile but rows."""

from __future__ import annotations

from datetime import datetime, timedelta

from app.core.ids import RunId
from app.db.jobs.context import Completion
from app.db.jobs.queue import enqueue
from app.db.tenancy import TenantSession
from app.remediation.jobs.definitions import ExpireApproval, drive
from app.remediation.jobs.desk import Desk, Entry, Position, Progress, Turn
from app.remediation.models import RunStepRow
from app.remediation.repository import runs
from app.remediation.rules.document import AskStep
from app.remediation.rules.graph import next_step
from app.remediation.rules.states import Outcome, RunState, StepState
from app.remediation.rules.substitution import render_text
from app.remediation.service.approvals import APPROVED, open_approval
from app.remediation.service.ending import end_run
from app.remediation.service.telling import tell


async def ask(desk: Desk, at: Position, step: AskStep) -> Progress:
    """This will carry out an ask step: put the question, and go on by its answer."""
    question = render_text(step.question, at.values)
    if at.is_dry_run:
        return await _simulated(desk, at, step, question)
    async with desk.holding() as (session, run):
        row = await runs.find_step(session, run_id=run.id, key=at.key)
        if row is None:
            row = await runs.add_step(
                session,
                run_id=run.id,
                key=at.key,
                kind=step.kind,
                state=StepState.PENDING.value,
                input={"question": question},
                started_at=desk.now(),
            )
        decided, started = decision(row), row.started_at
    if decided is None:
        return wait_for_person(desk, at, by=step.by, expires=step.expires, question=question, risk=None)
    if not decided:
        await deny(desk, at, kind=step.kind, started=started, otherwise=step.otherwise)
        return Turn.GO_ON
    async with desk.holding() as (session, run):
        entry = Entry(kind=step.kind, state=StepState.DONE, started_at=started, reason="approved")
        await desk.record(session, run, at, entry, go=at.cursor(next_step(at.document, step)))
    return Turn.GO_ON


def decision(row: RunStepRow) -> bool | None:
    """This will return whether the step was agreed to, or None while nobody has decided."""
    if row.approval is None or row.approval["decision"] is None:
        return None
    return bool(row.approval["decision"] == APPROVED)


def wait_for_person(
    desk: Desk, at: Position, *, by: str, expires: timedelta, question: str, risk: str | None
) -> Completion:
    """This will return what ends the job with the run in a person's hands; an answer or the expiry drives it on."""

    async def hand_over(session: TenantSession) -> None:
        run = await runs.lock_run(session, at.run_id)
        row = await runs.find_step(session, run_id=at.run_id, key=at.key)
        if run is None or row is None or run.state != RunState.RUNNING.value:
            return
        if run.cancel_requested:
            # Cancelled since the last look, by somebody who found this job running: nobody else would end the run.
            await drive(session, RunId(run.id))
            return
        until = min(desk.now() + expires, run.deadline)
        row.state, row.due_at = StepState.AWAITING_APPROVAL.value, until
        row.approval = open_approval(
            run, by=by, expires=until - desk.now(), question=question, risk=risk, now=desk.now()
        )
        run.state, run.updated_at = RunState.AWAITING_APPROVAL.value, desk.now()
        await session.flush()
        await tell(
            session,
            run,
            kind="run.approval_wanted",
            summary=f"Runbook {run.runbook} asks before step {at.key}",
            reason=question,
            now=desk.now(),
            data={"step": at.key, "plan_digest": run.plan_digest, "expires_at": until.isoformat()},
        )
        job = ExpireApproval(run_id=RunId(at.run_id), step_key=at.key)
        await enqueue(session, job, run_at=until, unique_key=f"{at.run_id}:{at.key}")

    return hand_over


async def deny(desk: Desk, at: Position, *, kind: str, started: datetime, otherwise: str | None) -> None:
    """This will go the other way, or end the run as denied."""
    async with desk.holding() as (session, run):
        row = await runs.find_step(session, run_id=run.id, key=at.key)
        expired = row is not None and bool((row.approval or {}).get("expired"))
        reason = "nobody agreed in time" if expired else "a person said no"
        entry = Entry(kind=kind, state=StepState.SKIPPED, started_at=started, reason=reason)
        await desk.record(session, run, at, entry, go=at.cursor(otherwise) if otherwise is not None else None)
        if otherwise is None:
            text = f"{at.key}: {reason}"
            await end_run(session, run, outcome=Outcome.DENIED, reason=text, code="approval.denied", now=desk.now())


async def _simulated(desk: Desk, at: Position, step: AskStep, question: str) -> Progress:
    async with desk.holding() as (session, run):
        entry = Entry(
            kind=step.kind,
            state=StepState.SKIPPED,
            started_at=desk.now(),
            reason="dry run: taken as agreed",
            input={"question": question},
        )
        await desk.record(session, run, at, entry, go=at.cursor(next_step(at.document, step)))
    return Turn.GO_ON
