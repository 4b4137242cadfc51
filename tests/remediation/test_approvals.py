"""Consent: what waits for a person does nothing until enough of the right people agree, in time, to that very plan."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from app.auth.rules import Role
from app.core.ids import new_id
from app.remediation.rules.states import Mode, Outcome, RunState, StepState
from tests.factories.access import make_tokens
from tests.fixtures.database import make_tenant
from tests.remediation.conftest import Callers, Ward
from tests.remediation.consent import APPROVED_ACT, ASK, CONDITIONAL, WITH_ELSE, answer, wait_for_consent


async def test_a_waiting_run_shows_its_question_and_has_done_nothing(ward: Ward) -> None:
    incident_id = await ward.open_incident("Other")
    run = await ward.run(await wait_for_consent(ward, incident_id=incident_id))
    step = next(step for step in run.steps if step.key == "restart")
    assert (step.state, run.acted, ward.patient.writes) == (StepState.AWAITING_APPROVAL, False, [])
    assert step.approval is not None
    assert (step.approval["plan_digest"], step.approval["needed"]) == (run.plan_digest, 1)
    assert "http.request on web" in step.approval["question"]
    assert step.due_at == ward.now() + timedelta(minutes=10)
    assert "run.approval_wanted" in await ward.told(incident_id)


async def test_after_a_yes_the_run_goes_on_and_proves_recovery(ward: Ward, callers: Callers) -> None:
    incident_id = await ward.open_incident("Other")
    run_id = await wait_for_consent(ward, incident_id=incident_id)
    agreed = await answer(ward, callers, run_id, reason="go ahead")
    assert (agreed.status_code, agreed.json()["state"]) == (200, "running")
    await ward.let_pass(3)
    assert (await ward.run(run_id)).outcome is Outcome.RECOVERED
    assert ward.patient.restarts == 1
    assert "run.approved" in await ward.told(incident_id)
    trail = await callers.call(Role.ADMIN, "GET", "/v1/audit", params={"action": "run.approved"})
    assert [entry["subject"] for entry in trail.json()["items"]] == [f"run:{run_id}"]


async def test_a_yes_to_another_plan_is_refused(ward: Ward, callers: Callers) -> None:
    run_id = await wait_for_consent(ward)
    refused = await answer(ward, callers, run_id, plan_digest="0" * 64)
    assert (refused.status_code, refused.json()["code"]) == (409, "run.plan_changed")
    await ward.work()
    assert ((await ward.run(run_id)).state, ward.patient.writes) == (RunState.AWAITING_APPROVAL, [])


async def test_a_plan_that_changed_after_the_question_cannot_be_agreed_to(ward: Ward, callers: Callers) -> None:
    run_id = await wait_for_consent(ward)
    await ward.change("update runs set plan_digest = repeat('1', 64)")
    refused = await answer(ward, callers, run_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "run.plan_changed")


@pytest.mark.parametrize(
    ("role", "status", "code"),
    [
        (Role.VIEWER, 403, "auth.role_too_low"),
        (Role.RESPONDER, 403, "run.approver_not_allowed"),
        (Role.ENGINEER, 200, None),
        (Role.ADMIN, 200, None),
    ],
)
async def test_the_runbook_says_which_role_may_agree(
    ward: Ward, callers: Callers, role: Role, status: int, code: str | None
) -> None:
    run_id = await wait_for_consent(ward)
    answered = await answer(ward, callers, run_id, role=role)
    assert (answered.status_code, answered.json().get("code")) == (status, code)
    await ward.work()
    assert ward.patient.restarts == (1 if status == 200 else 0)


async def test_who_started_the_run_does_not_approve_it(ward: Ward, callers: Callers) -> None:
    await ward.add_runbook(APPROVED_ACT)
    body = {"runbook": "asked-restart", "targets": {"service": "web"}}
    run_id = UUID((await callers.call(Role.ENGINEER, "POST", "/v1/runs", json=body)).json()["id"])
    await ward.work()
    refused = await answer(ward, callers, run_id)
    assert (refused.status_code, refused.json()["code"]) == (403, "run.approver_not_allowed")
    assert (await answer(ward, callers, run_id, role=Role.ADMIN)).status_code == 200


async def test_a_no_ends_the_run_and_calls_a_person(ward: Ward, callers: Callers) -> None:
    run_id = await wait_for_consent(ward)
    assert (await answer(ward, callers, run_id, decision="deny")).status_code == 200
    await ward.let_pass(2)
    run = await ward.run(run_id)
    assert (run.outcome, run.reason_code, run.escalated) == (Outcome.DENIED, "approval.denied", True)
    assert ward.patient.writes == []


async def test_a_no_takes_the_other_way_where_there_is_one(ward: Ward, callers: Callers) -> None:
    run_id = await wait_for_consent(ward, WITH_ELSE)
    await answer(ward, callers, run_id, decision="deny")
    await ward.work()
    run = await ward.run(run_id)
    assert (run.outcome, run.reason_code, run.reason) == (Outcome.NOT_RECOVERED, "handed_over", "Nobody agreed.")
    assert ward.patient.writes == []


@pytest.mark.parametrize("source", [APPROVED_ACT, WITH_ELSE, ASK], ids=["act", "act with else", "ask"])
async def test_silence_is_a_no(ward: Ward, source: str) -> None:
    run_id = await wait_for_consent(ward, source)
    await ward.let_pass(599, step_s=599)
    assert (await ward.run(run_id)).state is RunState.AWAITING_APPROVAL
    await ward.let_pass(2)
    run = await ward.run(run_id)
    assert run.outcome is (Outcome.NOT_RECOVERED if source is WITH_ELSE else Outcome.DENIED)
    assert (run.escalated, ward.patient.writes) == (True, [])
    silent = next(step for step in run.steps if step.approval is not None)
    assert (silent.state, silent.reason) == (StepState.SKIPPED, "nobody agreed in time")


async def test_a_yes_that_comes_too_late_is_refused(ward: Ward, callers: Callers) -> None:
    run_id = await wait_for_consent(ward)
    ward.clock.advance(timedelta(minutes=10))
    late = await answer(ward, callers, run_id)
    assert (late.status_code, late.json()["code"]) == (409, "run.nothing_to_approve")
    await ward.work()
    assert (await ward.run(run_id)).outcome is Outcome.DENIED


@pytest.mark.parametrize("second", [Role.ENGINEER, Role.ADMIN], ids=["the same person", "another person"])
async def test_a_question_is_answered_once(ward: Ward, callers: Callers, second: Role) -> None:
    run_id = await wait_for_consent(ward)
    assert (await answer(ward, callers, run_id)).status_code == 200
    again = await answer(ward, callers, run_id, role=second, decision="deny")
    assert (again.status_code, again.json()["code"]) == (409, "run.nothing_to_approve")
    await ward.let_pass(3)
    assert ((await ward.run(run_id)).outcome, ward.patient.restarts) == (Outcome.RECOVERED, 1)


async def test_only_the_step_that_waits_can_be_agreed_to(ward: Ward, callers: Callers) -> None:
    run_id = await wait_for_consent(ward)
    refused = await answer(ward, callers, run_id, step="probe")
    assert (refused.status_code, refused.json()["code"]) == (409, "run.nothing_to_approve")


async def test_another_tenants_run_is_not_there(ward: Ward, callers: Callers) -> None:
    run_id = await wait_for_consent(ward)
    strangers = await make_tokens(ward.resources, await make_tenant(ward.database))
    body = {"step": "restart", "plan_digest": (await ward.run(run_id)).plan_digest, "decision": "approve"}
    answers = []
    for asked in (run_id, new_id()):
        got = await Callers(callers.client, strangers).call(Role.ADMIN, "POST", f"/v1/runs/{asked}/approve", json=body)
        answers.append((got.status_code, got.json()["code"], got.json()["detail"].replace(str(asked), "")))
    assert answers[0] == answers[1]
    assert answers[0][:2] == (404, "run.not_found")
    await ward.work()
    assert ward.patient.writes == []


async def test_what_is_dangerous_takes_two_people(ward: Ward, callers: Callers) -> None:
    run_id = await wait_for_consent(ward)
    await ward.change("update run_steps set approval = jsonb_set(approval, '{needed}', '2') where key = 'restart'")
    assert (await answer(ward, callers, run_id)).json()["state"] == "awaiting_approval"
    again = await answer(ward, callers, run_id)
    assert (again.status_code, again.json()["code"]) == (403, "run.approver_not_allowed")
    await ward.work()
    assert ward.patient.writes == []
    assert (await answer(ward, callers, run_id, role=Role.ADMIN)).json()["state"] == "running"
    await ward.let_pass(3)
    assert ward.patient.restarts == 1


async def test_one_no_outweighs_a_yes(ward: Ward, callers: Callers) -> None:
    run_id = await wait_for_consent(ward)
    await ward.change("update run_steps set approval = jsonb_set(approval, '{needed}', '2') where key = 'restart'")
    await answer(ward, callers, run_id)
    await answer(ward, callers, run_id, role=Role.ADMIN, decision="deny")
    await ward.work()
    assert ((await ward.run(run_id)).outcome, ward.patient.writes) == (Outcome.DENIED, [])


async def test_a_run_that_waits_can_be_cancelled_and_then_not_approved(ward: Ward, callers: Callers) -> None:
    run_id = await wait_for_consent(ward)
    cancelled = await callers.call(Role.RESPONDER, "POST", f"/v1/runs/{run_id}/cancel", json={"reason": "no need"})
    assert (cancelled.json()["state"], cancelled.json()["outcome"]) == ("ended", "cancelled")
    late = await answer(ward, callers, run_id)
    assert (late.status_code, late.json()["code"]) == (409, "run.nothing_to_approve")
    await ward.let_pass(2)
    assert ward.patient.writes == []


async def test_an_ask_step_goes_on_with_its_yes(ward: Ward, callers: Callers) -> None:
    run_id = await wait_for_consent(ward, ASK)
    agreed = await answer(ward, callers, run_id, step="sure", role=Role.RESPONDER)
    assert agreed.status_code == 200
    await ward.let_pass(3)
    run = await ward.run(run_id)
    assert (run.outcome, ward.patient.restarts) == (Outcome.RECOVERED, 1)
    assert next(step.input for step in run.steps if step.key == "sure") == {"question": "Restart web?"}


async def test_approve_each_asks_before_an_act_that_does_not_ask_itself(ward: Ward, callers: Callers) -> None:
    run_id = await ward.start(mode=Mode.APPROVE_EACH)
    await ward.work()
    assert ((await ward.run(run_id)).state, ward.patient.writes) == (RunState.AWAITING_APPROVAL, [])
    await answer(ward, callers, run_id)
    await ward.let_pass(4)
    assert ((await ward.run(run_id)).outcome, ward.patient.restarts) == (Outcome.RECOVERED, 1)


@pytest.mark.parametrize(
    ("with_incident", "asked"), [(True, False), (False, True)], ids=["does not hold", "cannot be known"]
)
async def test_a_condition_that_cannot_be_known_is_asked(ward: Ward, with_incident: bool, asked: bool) -> None:
    await ward.add_runbook(CONDITIONAL)
    incident_id = await ward.open_incident("Other") if with_incident else None
    run_id = await ward.start(runbook="asked-restart", incident_id=incident_id)
    await ward.work()
    assert ((await ward.run(run_id)).state is RunState.AWAITING_APPROVAL) is asked
    assert ward.patient.restarts == (0 if asked else 1)


async def test_a_dry_run_asks_nobody(ward: Ward) -> None:
    await ward.add_runbook(APPROVED_ACT)
    run_id = await ward.start(runbook="asked-restart", mode=Mode.DRY_RUN)
    await ward.work()
    assert ((await ward.run(run_id)).outcome, ward.patient.writes) == (Outcome.SIMULATED, [])


async def test_the_expiry_of_an_answered_question_changes_nothing(ward: Ward, callers: Callers) -> None:
    ward.patient.heals = False
    run_id = await wait_for_consent(
        ward, APPROVED_ACT.replace("for: 30s", "for: 20m").replace("every: 1s", "every: 60s")
    )
    await answer(ward, callers, run_id)
    await ward.let_pass(660, step_s=60)
    assert ((await ward.run(run_id)).outcome, ward.patient.restarts) == (None, 1)
