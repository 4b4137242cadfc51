"""A yes covers what was agreed to, while it holds, for as long as those who gave it may: judged just before the act."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.core.ids import IncidentId
from app.db.tenancy import tenant_session
from app.incidents.service import resolve_incident
from app.remediation.rules.states import Outcome
from tests.factories.access import ACTOR
from tests.remediation.conftest import Callers, Ward
from tests.remediation.consent import APPROVED_ACT, ASK, answer, wait_for_consent


async def test_a_changed_plan_is_refused_although_it_was_agreed_to(ward: Ward, callers: Callers) -> None:
    run_id = await wait_for_consent(ward)
    await answer(ward, callers, run_id)
    # Plan and digest fit each other again; only what was agreed to does not.
    await ward.change("update run_steps set approval = jsonb_set(approval, '{plan_digest}', '\"other\"')")
    await ward.work()
    run = await ward.run(run_id)
    assert (run.outcome, run.reason_code, ward.patient.writes) == (Outcome.REFUSED, "plan.changed", [])


async def test_a_yes_does_not_hold_for_ever(ward: Ward, callers: Callers) -> None:
    run_id = await wait_for_consent(ward)
    await answer(ward, callers, run_id)
    ward.clock.advance(timedelta(minutes=11))
    await ward.work()
    run = await ward.run(run_id)
    assert (run.outcome, run.reason_code, ward.patient.writes) == (Outcome.REFUSED, "approval.lapsed", [])


@pytest.mark.parametrize(
    "change",
    [
        "update api_tokens set revoked_at = now() where role = 'engineer'",
        "update api_tokens set role = 'viewer' where role = 'engineer'",
    ],
    ids=["revoked", "a lower role"],
)
@pytest.mark.parametrize("source", [APPROVED_ACT, ASK], ids=["act", "ask"])
async def test_a_yes_of_somebody_who_may_no_longer_say_it_is_refused(
    ward: Ward, callers: Callers, source: str, change: str
) -> None:
    run_id = await wait_for_consent(ward, source)
    agreed = await answer(ward, callers, run_id, step="sure" if source is ASK else "restart")
    assert agreed.status_code == 200
    await ward.change(change)
    await ward.work()
    run = await ward.run(run_id)
    assert (run.outcome, run.reason_code) == (Outcome.REFUSED, "approval.approver_gone")
    assert ward.patient.writes == []


async def test_an_incident_that_is_over_needs_no_act_any_more(ward: Ward, callers: Callers) -> None:
    incident_id: IncidentId = await ward.open_incident("Other")
    run_id = await wait_for_consent(ward, incident_id=incident_id)
    await answer(ward, callers, run_id)
    async with tenant_session(ward.database, ward.tenant_id) as session:
        await resolve_incident(session, incident_id=incident_id, actor=ACTOR, reason="was a drill", now=ward.now())
    await ward.work()
    run = await ward.run(run_id)
    assert (run.outcome, run.reason_code, ward.patient.writes) == (Outcome.NO_ACTION_NEEDED, "incident.over", [])
