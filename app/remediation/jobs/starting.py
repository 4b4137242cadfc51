"""Starting runs: by rule when an incident opens, and by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from app.core.actor import Actor, ActorKind
from app.core.errors import NotFound
from app.core.events import subscribe
from app.core.ids import RunId
from app.core.jobs import PermanentJobError, registry
from app.db.jobs.context import JobContext
from app.db.jobs.queue import enqueue
from app.db.tenancy import TenantSession
from app.incidents.events import IncidentOpened
from app.remediation.jobs.definitions import ExpireRun, StartRun, drive
from app.remediation.models import RunbookRuleRow, RunRow
from app.remediation.repository import inventory, runs
from app.remediation.rules.budgets import Refusal
from app.remediation.rules.matching import Criteria, IncidentFacts
from app.remediation.rules.states import Mode
from app.remediation.rules.substitution import MissingValue, substitute
from app.remediation.service.consequences import trigger_key
from app.remediation.service.start import RunNotStarted, RunRequest, begin_run, incident_facts, record_refused
from app.settings import Settings
from app.settings.remediation import RemediationSettings

log = structlog.get_logger(__name__)


@subscribe(IncidentOpened)
async def start_by_rules(session: TenantSession, event: IncidentOpened) -> None:
    """This will enqueue a run for each rule that matches, in the transaction that opened the incident."""
    facts = IncidentFacts(
        id=str(event.incident_id),
        title=event.title,
        severity=event.severity.value,
        alert_name=event.alert_name,
        source=event.source_kind,
        labels=event.labels,
    )
    for rule in await inventory.enabled_rules(session):
        if Criteria.from_json(rule.match).mismatch(facts) is None:
            job = StartRun(rule_id=rule.id, incident_id=event.incident_id)
            await enqueue(session, job, unique_key=_trigger(rule, event.incident_id))


@registry.transactional(StartRun)
async def start_by_rule(session: TenantSession, job: StartRun, ctx: JobContext) -> None:
    """This will begin the run that a rule wants, or keep the reason why it was not begun."""
    rule = await inventory.find_rule(session, job.rule_id)
    if rule is None or not rule.enabled:
        log.info("run.rule_gone", rule_id=str(job.rule_id))
        return
    trigger = _trigger(rule, job.incident_id)
    if await runs.find_by_trigger(session, trigger) is not None:
        return
    try:
        facts = await incident_facts(session, job.incident_id)
    except NotFound as error:
        raise PermanentJobError(str(error)) from error
    limits, now = ctx.resources.get(Settings).remediation, ctx.clock.now()
    actor = Actor(kind=ActorKind.SYSTEM, id=f"rule:{rule.id}", name=f"rule {rule.name}")
    request, refusal = _request(rule, facts, trigger, job.incident_id)
    if refusal is None:
        refusal = await _try(session, request, actor, limits, now)
    if refusal is not None:
        found = [await inventory.find_target_by_name(session, name) for name in request.targets.values()]
        await record_refused(
            session,
            request=request,
            refusal=refusal,
            target_ids=[row.id for row in found if row is not None],
            actor=actor,
            limits=limits,
            now=now,
        )


async def start_run(
    session: TenantSession, *, request: RunRequest, actor: Actor, limits: RemediationSettings, now: datetime
) -> RunRow:
    """This will begin a run and see to it that it is driven and that it ends.

    Raises:
        RunNotStarted: A target, an input, a lease or a limit stands against it.
        RunbookNotFound: There is no such runbook.
        IncidentNotFound: There is no such incident.
    """
    run = await begin_run(session, request=request, actor=actor, limits=limits, now=now)
    await drive(session, RunId(run.id))
    expires = run.deadline + timedelta(seconds=limits.expiry_grace_s)
    await enqueue(session, ExpireRun(run_id=RunId(run.id)), run_at=expires, unique_key=str(run.id))
    return run


async def _try(
    session: TenantSession, request: RunRequest, actor: Actor, limits: RemediationSettings, now: datetime
) -> Refusal | None:
    try:
        async with session.begin_nested():
            await start_run(session, request=request, actor=actor, limits=limits, now=now)
    except RunNotStarted as error:
        return error.refusal
    except NotFound as error:
        return Refusal(code=error.code, reason=error.detail)
    return None


def _request(
    rule: RunbookRuleRow, facts: IncidentFacts, trigger: str, incident_id: UUID
) -> tuple[RunRequest, Refusal | None]:
    """The rule's request with the incident's values filled in, and why it must not be followed, if so."""
    values: dict[str, Any] = {"incident": facts.as_values()}
    inputs, targets, refusal = {}, {}, None
    try:
        inputs = dict(substitute(rule.inputs, values))
        targets = {slot: str(name) for slot, name in substitute(rule.targets, values).items()}
    except MissingValue as error:
        refusal = Refusal(code="rule.value_missing", reason=str(error))
    mode = Mode(rule.mode)
    if refusal is None and mode is Mode.OBSERVE:
        refusal = Refusal(code="mode.observe", reason=f"rule {rule.name} only observes: it would start {rule.runbook}")
    request = RunRequest(
        runbook=rule.runbook,
        incident_id=incident_id,
        targets=targets,
        inputs=inputs,
        mode=mode,
        rule_id=rule.id,
        trigger_key=trigger,
    )
    return request, refusal


def _trigger(rule: RunbookRuleRow, incident_id: UUID) -> str:
    return trigger_key(incident_id=incident_id, rule_id=rule.id)
