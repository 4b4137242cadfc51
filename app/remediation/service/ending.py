"""Ending a run: the one place that gives it an outcome, frees its targets, and resolves or escalates."""

from __future__ import annotations

from datetime import datetime

import structlog

from app.core.actor import Actor
from app.core.events import emit
from app.core.ids import IncidentId
from app.db.tenancy import TenantSession
from app.incidents.events import IncidentUpdated
from app.incidents.service import InvalidTransition, resolve_incident
from app.observability.metrics import counter, histogram
from app.remediation.models import RunRow
from app.remediation.repository import ledger
from app.remediation.rules.states import ESCALATING, Mode, Outcome, RunState
from app.remediation.service.telling import audit_run, runbook_actor, tell

log = structlog.get_logger(__name__)

ENDED = counter("tocsin_run_ended_total", "Runbook runs that ended, by outcome and mode.", ("outcome", "mode"))
ESCALATED = counter("tocsin_run_escalated_total", "Runs that handed their incident to a person.", ("outcome",))
DURATION = histogram(
    "tocsin_run_duration_seconds",
    "Seconds from a run's start to its end.",
    ("outcome",),
    buckets=(1, 5, 10, 30, 60, 120, 300, 600, 1200, 3600, 7200),
)

# Refusals that concern the run and not the incident: another run is on it, or nothing was to be done.
QUIET = frozenset({"target.busy", "mode.observe", "ineffective.again", "incident.over"})


async def end_run(
    session: TenantSession,
    run: RunRow,
    *,
    outcome: Outcome,
    reason: str,
    now: datetime,
    code: str = "",
    policy: str = "default",
    actor: Actor | None = None,
) -> None:
    """This will end the run, once; an ended run stays as it ended.

    Args:
        session: A transaction that holds the run's row.
        run: The run.
        outcome: How it ended.
        reason: Why, in words; a refusal names the rule and the number.
        now: When.
        code: Stable name of the reason.
        policy: Escalation policy asked for, where the outcome escalates.
        actor: Who ended it; the runbook itself by default.
    """
    if run.state == RunState.ENDED.value:
        return
    run.state, run.outcome, run.reason, run.reason_code = RunState.ENDED.value, outcome.value, reason[:2000], code
    run.ended_at = run.updated_at = now
    run.escalated = outcome in ESCALATING and code not in QUIET and run.mode != Mode.DRY_RUN.value
    await ledger.release_leases(session, run_id=run.id)
    await session.flush()
    data = {"outcome": outcome.value, "code": code}
    summary = f"Runbook {run.runbook} ended: {outcome.value.replace('_', ' ')}"
    await tell(session, run, kind="run.ended", summary=summary, reason=reason, now=now, data=data, actor=actor)
    await audit_run(session, run, action="run.ended", detail={**data, "reason": reason[:500]}, now=now, actor=actor)
    if run.escalated:
        await _escalate(session, run, policy=policy, reason=reason, now=now)
    _observe(run, outcome, now)


async def resolve_after_recovery(session: TenantSession, run: RunRow, *, reason: str, now: datetime) -> None:
    """This will resolve the run's incident; the only way by which a run does. Called on proven recovery alone."""
    if run.incident_id is None:
        return
    try:
        await resolve_incident(
            session, incident_id=IncidentId(run.incident_id), actor=runbook_actor(run), reason=reason, now=now
        )
    except InvalidTransition:
        # Closed or merged by a person meanwhile: theirs counts.
        log.info("run.incident_already_over", run_id=str(run.id))


async def _escalate(session: TenantSession, run: RunRow, *, policy: str, reason: str, now: datetime) -> None:
    ESCALATED.labels(str(run.outcome)).inc()
    await tell(
        session,
        run,
        kind="run.escalated",
        summary=f"Runbook {run.runbook} hands over to a person",
        reason=reason,
        now=now,
        data={"policy": policy, "outcome": run.outcome},
    )
    if run.incident_id is not None:
        event = IncidentUpdated(
            incident_id=IncidentId(run.incident_id), tenant_id=session.tenant_id, what="escalated", at=now
        )
        await emit(session, event)


def _observe(run: RunRow, outcome: Outcome, now: datetime) -> None:
    ENDED.labels(outcome.value, run.mode).inc()
    DURATION.labels(outcome.value).observe(max(0.0, (now - run.created_at).total_seconds()))
    log.info(
        "run.ended",
        run_id=str(run.id),
        runbook=run.runbook,
        outcome=outcome.value,
        code=run.reason_code,
        escalated=run.escalated,
    )
