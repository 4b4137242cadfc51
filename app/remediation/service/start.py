"""Starting a run: everything is resolved and frozen now, so that what runs later is what was agreed to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.core.actor import Actor
from app.core.errors import Conflict
from app.core.ids import IncidentId, RunId, new_id
from app.db.tenancy import TenantSession
from app.incidents.service import get_incident
from app.observability.metrics import counter
from app.observability.tracing import current_trace_id
from app.remediation.actions import catalogue
from app.remediation.models import RunRow, TargetRow
from app.remediation.repository import inventory, ledger, runs
from app.remediation.rules.budgets import Refusal, refuse_ineffective
from app.remediation.rules.document import Document
from app.remediation.rules.loader import digest
from app.remediation.rules.matching import IncidentFacts
from app.remediation.rules.plan import InputRefused, Plan, build_frames, resolve_inputs
from app.remediation.rules.refusals import Subject, composition
from app.remediation.rules.states import Mode, Outcome, RunState
from app.remediation.service.ending import end_run
from app.remediation.service.runbooks import find_runbook, library_of
from app.remediation.service.targets import plan_target
from app.remediation.service.telling import audit_run, tell
from app.settings.remediation import RemediationSettings

STARTED = counter("tocsin_run_started_total", "Runbook runs started, by mode and trigger.", ("mode", "trigger"))


class RunNotStarted(Conflict):
    """The run was refused before its first step."""

    code = "run.refused"
    title = "The run was refused"

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason, reason_code=refusal.code)
        self.refusal = refusal


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What is to be run.

    Attributes:
        targets: Slot to the name of a target of the inventory.
        trigger_key: Makes a run unique; None for runs by hand.
    """

    runbook: str
    version: int | None = None
    incident_id: UUID | None = None
    targets: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    mode: Mode = Mode.AUTO
    rule_id: UUID | None = None
    trigger_key: str | None = None


async def incident_facts(session: TenantSession, incident_id: UUID) -> IncidentFacts:
    """This will return what runbooks see of an incident.

    Raises:
        IncidentNotFound: There is no such incident here.
    """
    return IncidentFacts.of(await get_incident(session, incident_id=IncidentId(incident_id)))


async def begin_run(
    session: TenantSession, *, request: RunRequest, actor: Actor, limits: RemediationSettings, now: datetime
) -> RunRow:
    """This will freeze the plan, take the targets and write the run's row. The caller enqueues what drives it.

    Raises:
        RunNotStarted: A target, an input, a lease or a limit stands against it.
        RunbookNotFound: There is no such runbook.
        IncidentNotFound: There is no such incident.
    """
    plan, rows = await _plan(session, request)
    run = _row(session, request, plan, actor, now)
    session.add(run)
    await session.flush()
    await runs.add_targets(session, run_id=run.id, target_ids=[row.id for row in rows])
    for row in sorted(rows, key=lambda row: row.id):
        await _take(session, run, row, limits, now)
    data = {"mode": run.mode, "plan_digest": run.plan_digest, "targets": sorted(row.name for row in rows)}
    summary = f"Runbook {run.runbook} started ({run.mode.replace('_', ' ')})"
    reason = f"started by {actor.name}" if request.rule_id is None else f"rule matched: {actor.name}"
    await tell(session, run, kind="run.started", summary=summary, reason=reason, now=now, data=data)
    await audit_run(session, run, action="run.started", detail={"targets": data["targets"]}, now=now, actor=actor)
    STARTED.labels(run.mode, "rule" if request.rule_id is not None else "hand").inc()
    return run


async def record_refused(
    session: TenantSession,
    *,
    request: RunRequest,
    refusal: Refusal,
    target_ids: list[UUID],
    actor: Actor,
    limits: RemediationSettings,
    now: datetime,
) -> RunRow:
    """This will keep a run that a rule wanted and that was not started, so that its reason can be read."""
    if refusal.code == "ineffective" and await _said_already(session, target_ids, refusal.code, limits, now):
        refusal = Refusal(code="ineffective.again", reason=refusal.reason)
    run = RunRow(
        tenant_id=session.tenant_id,
        id=new_id(),
        incident_id=request.incident_id,
        rule_id=request.rule_id,
        trigger_key=request.trigger_key,
        runbook=request.runbook,
        runbook_version=request.version or 0,
        mode=request.mode.value,
        plan={},
        plan_digest=digest({}),
        state=RunState.RUNNING.value,
        started_by={"kind": actor.kind.value, "id": actor.id, "name": actor.name},
        trace_id=current_trace_id(),
        deadline=now,
        created_at=now,
        updated_at=now,
    )
    session.add(run)
    await session.flush()
    await runs.add_targets(session, run_id=run.id, target_ids=target_ids)
    await end_run(session, run, outcome=Outcome.REFUSED, reason=refusal.reason, code=refusal.code, now=now)
    return run


async def ineffective_refusal(
    session: TenantSession, *, row: TargetRow, limits: RemediationSettings, now: datetime
) -> Refusal | None:
    """This will return why the target is closed to automation, or None."""
    since = now - timedelta(seconds=limits.ineffective_window_s)
    count, _ = await ledger.ineffective_in_a_row(
        session, target_id=row.id, since=since, at_most=limits.ineffective_limit
    )
    return refuse_ineffective(target=row.name, in_a_row=count, limit=limits.ineffective_limit)


async def _said_already(
    session: TenantSession, target_ids: list[UUID], code: str, limits: RemediationSettings, now: datetime
) -> bool:
    """Whether a person was called for this block before; decided under the target's lock, so that one is."""
    since = now - timedelta(seconds=limits.ineffective_window_s)
    for target_id in sorted(target_ids):
        await ledger.serialise_target(session, target_id)
        _, newest = await ledger.ineffective_in_a_row(
            session, target_id=target_id, since=since, at_most=limits.ineffective_limit
        )
        if newest is not None and await ledger.was_refused_since(session, target_id=target_id, code=code, since=newest):
            return True
    return False


async def _plan(session: TenantSession, request: RunRequest) -> tuple[Plan, list[TargetRow]]:
    loaded = await find_runbook(session, name=request.runbook, version=request.version)
    library = await library_of(session)
    # What it uses may have a newer version than when it was stored, with other targets or a higher ceiling.
    if unfit := [message for _, message in composition(Subject(loaded.document, catalogue(), library))]:
        raise RunNotStarted(Refusal(code="runbook.unfit", reason="; ".join(unfit)))
    frames = build_frames(loaded, library)
    try:
        inputs = resolve_inputs(frames, request.inputs)
    except InputRefused as error:
        raise RunNotStarted(Refusal(code="input.invalid", reason=str(error))) from None
    incident = await incident_facts(session, request.incident_id) if request.incident_id is not None else None
    targets = await _resolve_targets(session, loaded.document, request.targets)
    plan = Plan(
        runbook=loaded.name,
        version=loaded.document.version,
        digest=loaded.digest,
        mode=request.mode,
        frames=frames,
        inputs=inputs,
        targets={slot: plan_target(row) for slot, row in targets.items()},
        incident=incident.as_values() if incident is not None else {},
    )
    return plan, list({row.id: row for row in targets.values()}.values())


async def _resolve_targets(
    session: TenantSession, document: Document, given: Mapping[str, str]
) -> dict[str, TargetRow]:
    found: dict[str, TargetRow] = {}
    for slot, wanted in document.targets.items():
        name = given.get(slot)
        row = await inventory.find_target_by_name(session, name) if name is not None else None
        if row is None:
            reason = f"the inventory has no target {name!r}" if name else f"no target was given for {slot!r}"
            raise RunNotStarted(Refusal(code="target.unknown", reason=reason))
        if row.kind != wanted.kind:
            reason = f"{row.name} is a {row.kind} target, and {slot!r} needs {wanted.kind}"
            raise RunNotStarted(Refusal(code="target.kind", reason=reason))
        found[slot] = row
    return found


async def _take(
    session: TenantSession, run: RunRow, row: TargetRow, limits: RemediationSettings, now: datetime
) -> None:
    await ledger.serialise_target(session, row.id)
    holder = await ledger.take_lease(session, target_id=row.id, run_id=run.id, now=now, until=run.deadline)
    if holder is not None:
        reason = f"the run {holder} works on {row.name}; one run on a target at a time"
        raise RunNotStarted(Refusal(code="target.busy", reason=reason))
    refusal = await ineffective_refusal(session, row=row, limits=limits, now=now)
    if refusal is not None and run.mode != Mode.DRY_RUN.value:
        raise RunNotStarted(refusal)


def _row(session: TenantSession, request: RunRequest, plan: Plan, actor: Actor, now: datetime) -> RunRow:
    stored = plan.as_json()
    return RunRow(
        tenant_id=session.tenant_id,
        id=RunId(new_id()),
        incident_id=request.incident_id,
        rule_id=request.rule_id,
        trigger_key=request.trigger_key,
        runbook=plan.runbook,
        runbook_version=plan.version,
        mode=plan.mode.value,
        plan=stored,
        plan_digest=digest(stored),
        state=RunState.RUNNING.value,
        cursor=f":{plan.root.steps[0].key}",
        started_by={"kind": actor.kind.value, "id": actor.id, "name": actor.name},
        trace_id=current_trace_id(),
        deadline=now + plan.root.limits.run_timeout,
        created_at=now,
        updated_at=now,
        escalated=False,
        acted=False,
        cancel_requested=False,
    )
