"""Admitting an act: everything that must still be true, judged in the transaction that writes its intent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.core.ids import IncidentId
from app.db.tenancy import TenantSession
from app.incidents.schemas import IncidentState
from app.incidents.service import get_incident
from app.remediation.models import RunRow
from app.remediation.repository import inventory, ledger
from app.remediation.rules.budgets import ActFacts, Refusal, refuse_act
from app.remediation.rules.loader import digest
from app.remediation.rules.plan import Plan, PlannedTarget
from app.remediation.rules.states import RunState
from app.remediation.service.approvals import refuse_consent
from app.remediation.service.targets import fingerprint_of
from app.settings.remediation import RemediationSettings

_OVER = frozenset({IncidentState.RESOLVED.value, "closed", "merged"})


class ActRefused(Exception):
    """The act may not be done now. Raised inside the intent's transaction, so that nothing of it stays."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


@dataclass(frozen=True, kw_only=True)
class Act:
    """One act that asks for admission."""

    run_id: UUID
    step_key: str
    iteration: int
    action: str
    target: PlannedTarget

    @property
    def identity(self) -> tuple[UUID, str, int]:
        return (self.run_id, self.step_key, self.iteration)


async def admit(
    session: TenantSession, run: RunRow, *, plan: Plan, act: Act, limits: RemediationSettings, now: datetime
) -> None:
    """This will enter the act into the ledger, or refuse it.

    Raises:
        ActRefused: The switch is off, the plan, the target or the incident changed, the lease is lost, or a budget
            is used up; the reason names the rule and the number.
    """
    await ledger.serialise_target(session, act.target.id)
    refusal = await _standing(session, run, act, limits, now)
    if refusal is None:
        refusal = await _over_budget(session, plan, act, limits, now)
    if refusal is not None:
        raise ActRefused(refusal)
    await ledger.record_act(session, target_id=act.target.id, act=act.identity, action=act.action, now=now)


async def _standing(  # noqa: PLR0911 - one return a reason
    session: TenantSession, run: RunRow, act: Act, limits: RemediationSettings, now: datetime
) -> Refusal | None:
    if not limits.enabled:
        return Refusal(code="switch.off", reason="remediation is switched off; no runbook may act")
    if run.state != RunState.RUNNING.value or run.cancel_requested:
        return Refusal(code="run.stopped", reason="the run was stopped")
    if now >= run.deadline:
        return Refusal(code="run.deadline", reason=f"the run's time was up at {run.deadline.isoformat()}")
    if digest(run.plan) != run.plan_digest:
        return Refusal(code="plan.changed", reason="the plan is not the one that was frozen at the start")
    if await ledger.holder_of(session, act.target.id) != run.id:
        return Refusal(code="target.lease_lost", reason=f"{act.target.name} is no longer held by this run")
    if refusal := await refuse_consent(session, run=run, step_key=act.step_key, now=now):
        return refusal
    row = await inventory.find_target(session, act.target.id)
    if row is None or fingerprint_of(row) != act.target.fingerprint:
        return Refusal(code="target.changed", reason=f"{act.target.name} was changed after the run had started")
    return await _incident_over(session, run)


async def _incident_over(session: TenantSession, run: RunRow) -> Refusal | None:
    if run.incident_id is None:
        return None
    incident = await get_incident(session, incident_id=IncidentId(run.incident_id))
    if incident.state.value not in _OVER:
        return None
    return Refusal(code="incident.over", reason=f"the incident is {incident.state.value}; there is nothing left to do")


async def _over_budget(
    session: TenantSession, plan: Plan, act: Act, limits: RemediationSettings, now: datetime
) -> Refusal | None:
    await ledger.serialise_tenant(session)
    since = now - ledger.HOUR
    facts = ActFacts(
        target=act.target.name,
        now=now,
        on_target_last_hour=await ledger.count_acts(
            session, since=since, target_id=act.target.id, except_act=act.identity
        ),
        of_tenant_last_hour=await ledger.count_acts(session, since=since, target_id=None, except_act=act.identity),
        last_by_other_run=await ledger.last_act_by_others(session, target_id=act.target.id, run_id=act.run_id),
        per_hour=plan.root.limits.per_hour,
        target_cap=limits.max_acts_per_target_hour,
        tenant_cap=limits.max_acts_per_tenant_hour,
        cooldown=plan.cooldown,
    )
    return refuse_act(facts)
