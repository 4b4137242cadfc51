"""Judging recovery: samples over time, three verdicts, and only proof closes the incident."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.core.ids import IncidentId
from app.db.tenancy import TenantSession
from app.incidents.schemas import AlertStatus
from app.incidents.service import find_open_alert_status
from app.remediation.jobs.desk import Desk, Entry, Position, Progress, Turn
from app.remediation.jobs.looking import look_again
from app.remediation.models import RunRow
from app.remediation.repository import runs
from app.remediation.rules.conditions import judge
from app.remediation.rules.expression import parse_condition
from app.remediation.rules.recovery import AlertClause, CheckClause, Recovered
from app.remediation.rules.states import Outcome, StepState
from app.remediation.rules.verification import Verdict, judge_samples, sample_of
from app.remediation.service.ending import end_run, resolve_after_recovery

KIND = "verify"
_MAX_SAMPLES = 500


async def verify(desk: Desk, at: Position) -> Progress:
    """This will take one sample and judge all of them.

    Raises:
        RetryLater: It is too early for a sample or for a verdict.
    """
    recovered = at.document.recovered
    if at.is_dry_run:
        return await _simulated(desk, at)
    started, samples = await _begin(desk, at)
    now, first = desk.now(), started + recovered.after
    if now < first:
        return await desk.pause(at, first, reason="recovery is judged after a pause")
    clauses = [await _clause(desk, at, clause) for clause in recovered.all]
    samples = [*samples, {"at": now.isoformat(), "good": sample_of(clauses), "clauses": clauses}][-_MAX_SAMPLES:]
    until = min(first + recovered.duration, at.deadline)
    # The next sample would come too late: then what there is has to do.
    is_over = now + recovered.every > until
    verdict = judge_samples([sample["good"] for sample in samples], need=recovered.need, is_over=is_over)
    await _keep(desk, at, started, samples, verdict)
    if verdict is None:
        reason = f"recovery is being judged, {len(samples)} samples so far"
        return await desk.pause(at, now + recovered.every, reason=reason)
    return Turn.GO_ON


async def _begin(desk: Desk, at: Position) -> tuple[datetime, list[dict[str, Any]]]:
    async with desk.holding() as (session, run):
        row = await runs.find_step(session, run_id=run.id, key=at.key)
        if row is None:
            row = await runs.add_step(
                session,
                run_id=run.id,
                key=at.key,
                kind=KIND,
                state=StepState.PENDING.value,
                started_at=desk.now(),
                output={"samples": []},
            )
        return row.started_at, list((row.output or {}).get("samples", []))


async def _clause(desk: Desk, at: Position, clause: CheckClause | AlertClause) -> bool | None:
    """Whether one clause holds now; None where that cannot be known."""
    if isinstance(clause, AlertClause):
        return await _alert_is_resolved(desk, at, clause)
    found = await look_again(desk, at, clause.check)
    if found.output is None:
        return None
    return judge(parse_condition(clause.condition), at.seen_again(clause.check, found.output), now=desk.now())


async def _alert_is_resolved(desk: Desk, at: Position, clause: AlertClause) -> bool | None:
    if at.incident_id is None:
        return None
    async with desk.holding() as (session, _):
        status = await find_open_alert_status(session, incident_id=IncidentId(at.incident_id), alert_name=clause.alert)
    return None if status is None else status is AlertStatus.RESOLVED


async def _keep(
    desk: Desk, at: Position, started: datetime, samples: list[dict[str, Any]], verdict: Verdict | None
) -> None:
    async with desk.holding() as (session, run):
        if verdict is None:
            row = await runs.find_step(session, run_id=run.id, key=at.key)
            if row is not None:
                row.output = {"samples": samples}
                await session.flush()
            return
        good = verdict is Verdict.RECOVERED
        entry = Entry(
            kind=KIND,
            state=StepState.DONE if good else StepState.FAILED,
            started_at=started,
            reason=f"{verdict.value.replace('_', ' ')} after {len(samples)} samples",
            output={"samples": samples, "verdict": verdict.value},
        )
        await desk.record(session, run, at, entry)
        await _conclude(session, run, at.document.recovered, verdict, desk.now())


async def _conclude(session: TenantSession, run: RunRow, recovered: Recovered, verdict: Verdict, now: datetime) -> None:
    if verdict is Verdict.RECOVERED:
        reason = f"{recovered.need} good samples in a row"
        if recovered.then == "resolve":
            await resolve_after_recovery(session, run, reason=f"verified by {run.runbook}: {reason}", now=now)
        await end_run(session, run, outcome=Outcome.RECOVERED, reason=reason, now=now)
        return
    is_bad = verdict is Verdict.NOT_RECOVERED
    escalate = (recovered.if_not if is_bad else recovered.if_unknown).escalate
    await end_run(
        session,
        run,
        outcome=Outcome.NOT_RECOVERED if is_bad else Outcome.UNVERIFIED,
        reason=escalate.reason,
        code="verify.not_recovered" if is_bad else "verify.unknown",
        policy=escalate.policy,
        now=now,
    )


async def _simulated(desk: Desk, at: Position) -> Progress:
    async with desk.holding() as (session, run):
        entry = Entry(
            kind=KIND,
            state=StepState.SKIPPED,
            started_at=desk.now(),
            reason="dry run: nothing was done, nothing to judge",
        )
        await desk.record(session, run, at, entry)
        await end_run(session, run, outcome=Outcome.SIMULATED, reason="the dry run went through", now=desk.now())
    return Turn.GO_ON
