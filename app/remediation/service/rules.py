"""Rules that start runbooks."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from app.audit.service import record as audit
from app.core.actor import Actor
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import new_id
from app.db.conflicts import refused_by
from app.db.tenancy import TenantSession
from app.remediation.models import RunbookRuleRow
from app.remediation.repository import inventory
from app.remediation.rules.expression import ExpressionError
from app.remediation.rules.matching import Criteria
from app.remediation.rules.names import INCIDENT
from app.remediation.rules.substitution import type_of_value
from app.remediation.schemas import RuleIn, RuleView
from app.remediation.service.runbooks import find_runbook


class RuleNotFound(NotFound):
    """No such rule in this tenant."""

    code = "runbook_rule.not_found"
    title = "No such rule"


class RuleNameTaken(Conflict):
    """Names are unique, so that a timeline can say which rule it was."""

    code = "runbook_rule.name_taken"
    title = "There is a rule of this name"


class RuleInvalid(Invalid):
    """The rule could never start anything, or would start on everything."""

    code = "runbook_rule.invalid"
    title = "The rule is not valid"


async def create_rule(session: TenantSession, *, rule: RuleIn, actor: Actor, now: datetime) -> RuleView:
    """This will add a rule.

    Raises:
        RuleNameTaken: There is one of this name.
        RuleInvalid: It matches everything, or does not fit its runbook.
        RunbookNotFound: There is no such runbook.
    """
    row = RunbookRuleRow(tenant_id=session.tenant_id, id=new_id(), created_at=now)
    await _fill(session, row, rule, now)
    await _audit(session, row, "runbook_rule.created", actor, now)
    return RuleView.model_validate(row)


async def replace_rule(session: TenantSession, *, rule_id: UUID, rule: RuleIn, actor: Actor, now: datetime) -> RuleView:
    """This will replace a rule.

    Raises:
        RuleNotFound: No such rule.
        RuleNameTaken: Another one has this name.
        RuleInvalid: It matches everything, or does not fit its runbook.
        RunbookNotFound: There is no such runbook.
    """
    row = await _get(session, rule_id)
    await _fill(session, row, rule, now)
    await _audit(session, row, "runbook_rule.changed", actor, now)
    return RuleView.model_validate(row)


async def delete_rule(session: TenantSession, *, rule_id: UUID, actor: Actor, now: datetime) -> None:
    """This will remove a rule; runs that it started go on.

    Raises:
        RuleNotFound: No such rule.
    """
    row = await _get(session, rule_id)
    await _audit(session, row, "runbook_rule.deleted", actor, now)
    await session.delete(row)
    await session.flush()


async def get_rule(session: TenantSession, *, rule_id: UUID) -> RuleView:
    """This will return one rule.

    Raises:
        RuleNotFound: No such rule.
    """
    return RuleView.model_validate(await _get(session, rule_id))


async def list_rules(session: TenantSession, *, before: UUID | None, limit: int) -> list[RuleView]:
    """This will return rules, newest first."""
    rows = await inventory.page_of_rules(session, before=before, limit=limit)
    return [RuleView.model_validate(row) for row in rows]


async def _get(session: TenantSession, rule_id: UUID) -> RunbookRuleRow:
    row = await inventory.find_rule(session, rule_id)
    if row is None:
        raise RuleNotFound(f"There is no rule {rule_id}.")
    return row


async def _fill(session: TenantSession, row: RunbookRuleRow, rule: RuleIn, now: datetime) -> None:
    await _check(session, rule)
    taken = RuleNameTaken(f"There is a rule called {rule.name!r}.")
    async with refused_by(session, "uq_runbook_rules_tenant_id_name", taken):
        row.name, row.enabled, row.runbook, row.mode = rule.name, rule.enabled, rule.runbook, rule.mode.value
        row.match, row.inputs, row.targets = rule.match.model_dump(mode="json"), rule.inputs, rule.targets
        row.updated_at = now
        session.add(row)


async def _check(session: TenantSession, rule: RuleIn) -> None:
    if Criteria.from_json(rule.match.model_dump()).is_empty:
        raise RuleInvalid("A rule must name an alert, a severity, a source or a label; this one matches everything.")
    document = (await find_runbook(session, name=rule.runbook)).document
    for slot in document.targets:
        if slot not in rule.targets:
            raise RuleInvalid(f"{rule.runbook} needs a target for {slot!r}.")
    for kind, given, declared in (
        ("target", rule.targets.keys(), document.targets.keys()),
        ("input", rule.inputs.keys(), document.inputs.keys()),
    ):
        if unknown := set(given) - set(declared):
            raise RuleInvalid(f"{rule.runbook} has no {kind} {', '.join(sorted(unknown))}.")
    try:
        for value in (*rule.targets.values(), *rule.inputs.values()):
            type_of_value(value, {"incident": INCIDENT})
    except ExpressionError as error:
        raise RuleInvalid(str(error)) from None


async def _audit(session: TenantSession, row: RunbookRuleRow, action: str, actor: Actor, now: datetime) -> None:
    detail = {"name": row.name, "runbook": row.runbook, "mode": row.mode, "enabled": row.enabled, "match": row.match}
    await audit(session, actor=actor, action=action, subject=f"runbook_rule:{row.id}", detail=detail, now=now)
