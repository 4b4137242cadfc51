"""Consent of people: bound to the digest of the frozen plan, by another hand than who asked, and not for ever.

Whose hand it is shows from tokens alone (``service/hands.py``): there are no accounts of persons.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.auth.rules import Role
from app.auth.service import live_roles
from app.core.actor import Actor, ActorKind
from app.core.errors import Conflict, Forbidden
from app.db.tenancy import TenantSession
from app.remediation.models import RunRow, RunStepRow
from app.remediation.repository import runs
from app.remediation.rules.budgets import Refusal
from app.remediation.rules.spec import Risk
from app.remediation.rules.states import RunState, StepState
from app.remediation.service.hands import refuse_hand
from app.remediation.service.telling import audit_run, tell

APPROVED, DENIED = "approved", "denied"


class NothingToApprove(Conflict):
    """The run does not wait for this, or no longer."""

    code = "run.nothing_to_approve"
    title = "The run does not wait for this approval"


class PlanChanged(Conflict):
    """What was shown is not what would run."""

    code = "run.plan_changed"
    title = "The plan is not the one that you agreed to"
    hint = "Read the run again and decide on what it shows."


class ApproverNotAllowed(Forbidden):
    """Four eyes, and enough of a role."""

    code = "run.approver_not_allowed"
    title = "You may not approve this step"


@dataclass(frozen=True, kw_only=True)
class Approver:
    """A principal who decides."""

    actor: Actor
    role: str


def open_approval(
    run: RunRow, *, by: str, expires: timedelta, question: str, risk: str | None, now: datetime
) -> dict[str, Any]:
    """This will return the state of a fresh question: two people for what is dangerous, one otherwise."""
    return {
        "question": question,
        "by": by,
        "needed": 2 if risk == Risk.DANGEROUS.value else 1,
        "plan_digest": run.plan_digest,
        "expires_at": (now + expires).isoformat(),
        "approvals": [],
        "decision": None,
    }


async def decide(
    session: TenantSession,
    *,
    run: RunRow,
    step_key: str,
    digest: str,
    approve: bool,
    approver: Approver,
    reason: str,
    now: datetime,
) -> bool:
    """This will count a yes or a no and return whether the run may go on (its driver is to be enqueued).

    Raises:
        NothingToApprove: The run does not wait for this step.
        PlanChanged: ``digest`` is not the plan's.
        ApproverNotAllowed: The one who started the run, somebody who has agreed already, a token that belongs to one
            of them as far as can be seen, one made since the run began, or too low a role.
    """
    step = await _waiting_step(session, run, step_key, now)
    state = dict(step.approval or {})
    if digest != run.plan_digest or state["plan_digest"] != run.plan_digest:
        raise PlanChanged(f"The plan's digest is {run.plan_digest}.")
    _check_approver(run, state, approver)
    if refused := await refuse_hand(session, run=run, given=state["approvals"], approver=approver.actor):
        raise ApproverNotAllowed(refused)
    entry = {
        "by": approver.actor.id,
        "kind": approver.actor.kind.value,
        "name": approver.actor.name,
        "role": approver.role,
        "at": now.isoformat(),
    }
    state["approvals"] = [*state["approvals"], {**entry, "approve": approve, "reason": reason}]
    agreed = sum(1 for given in state["approvals"] if given["approve"])
    if not approve:
        state["decision"] = DENIED
    elif agreed >= state["needed"]:
        state["decision"] = APPROVED
    step.approval = state
    verb = "approved" if approve else "denied"
    detail = {"step": step_key, "agreed": agreed, "needed": state["needed"], "reason": reason}
    await audit_run(session, run, action=f"run.{verb}", detail=detail, now=now, actor=approver.actor)
    summary = f"{approver.actor.name} {verb} step {step_key} of {run.runbook}"
    await tell(session, run, kind=f"run.{verb}", summary=summary, reason=reason, now=now, actor=approver.actor)
    return await _go_on(session, run, state)


async def refuse_consent(session: TenantSession, *, run: RunRow, step_key: str, now: datetime) -> Refusal | None:
    """This will return why what people agreed to no longer covers the step, or None.

    Judged once more just before an act: between the yes and the act the plan, the time and the people may have changed.
    """
    agreed = {step.key: step.approval for step in await runs.steps_of(session, run.id) if step.approval is not None}
    if any(approval["plan_digest"] != run.plan_digest for approval in agreed.values()):
        return Refusal(
            code="plan.changed", reason="people agreed to another plan than the one that would be carried out"
        )
    own = agreed.get(step_key)
    if own is not None and now >= datetime.fromisoformat(own["expires_at"]):
        return Refusal(code="approval.lapsed", reason=f"the approval held until {own['expires_at']}")
    for approval in agreed.values():
        if refusal := await _refuse_approvers(session, approval):
            return refusal
    return None


async def _refuse_approvers(session: TenantSession, approval: dict[str, Any]) -> Refusal | None:
    given = [
        entry for entry in approval["approvals"] if entry["approve"] and entry.get("kind") == ActorKind.TOKEN.value
    ]
    roles = await live_roles(session, token_ids=[UUID(entry["by"]) for entry in given])
    for entry in given:
        role = roles.get(UUID(entry["by"]))
        if role is None or not role.includes(Role(approval["by"])):
            reason = f"{entry['name']}, who agreed, no longer has the role {approval['by']}"
            return Refusal(code="approval.approver_gone", reason=reason)
    return None


async def expire(session: TenantSession, *, run: RunRow, step_key: str, now: datetime) -> bool:
    """This will turn silence into a no, and return whether the run is to be driven on."""
    step = await runs.find_step(session, run_id=run.id, key=step_key)
    if step is None or step.state != StepState.AWAITING_APPROVAL.value or step.approval is None:
        return False
    if step.approval["decision"] is not None or now < datetime.fromisoformat(step.approval["expires_at"]):
        return False
    step.approval = {**step.approval, "decision": DENIED, "expired": True}
    await tell(
        session,
        run,
        kind="run.approval_expired",
        summary=f"Nobody approved step {step_key} of {run.runbook} in time",
        reason="an approval that is not given in time is a no",
        now=now,
    )
    return await _go_on(session, run, step.approval)


async def _go_on(session: TenantSession, run: RunRow, state: dict[str, Any]) -> bool:
    if state["decision"] is None:
        await session.flush()
        return False
    run.state = RunState.RUNNING.value
    await session.flush()
    return True


async def _waiting_step(session: TenantSession, run: RunRow, step_key: str, now: datetime) -> RunStepRow:
    step = await runs.find_step(session, run_id=run.id, key=step_key)
    waits = run.state == RunState.AWAITING_APPROVAL.value
    if not waits or step is None or step.state != StepState.AWAITING_APPROVAL.value or step.approval is None:
        raise NothingToApprove(f"The run is {run.state} and does not wait for {step_key!r}.")
    if step.approval["decision"] is not None or now >= datetime.fromisoformat(step.approval["expires_at"]):
        raise NothingToApprove(f"The question {step_key!r} has been decided or has expired.")
    return step


def _check_approver(run: RunRow, state: dict[str, Any], approver: Approver) -> None:
    if approver.actor.id == run.started_by["id"]:
        raise ApproverNotAllowed("Whoever started the run cannot approve its steps.")
    if any(given["by"] == approver.actor.id for given in state["approvals"]):
        raise ApproverNotAllowed("You have decided on this already; another person is needed.")
    if not Role(approver.role).includes(Role(state["by"])):
        raise ApproverNotAllowed(f"This takes the role {state['by']} or higher.")
