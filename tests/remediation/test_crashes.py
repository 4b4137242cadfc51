"""A run whose worker dies at any line acts once, or says that nobody knows."""

from __future__ import annotations

from uuid import UUID

from app.incidents.schemas import IncidentState
from app.remediation.rules.states import Mode, Outcome, RunState, StepState
from tests.factories.runbooks import LOOK, make_runbook, restart
from tests.remediation.conftest import Ward

IDEMPOTENT = make_runbook("put-restart", LOOK, restart("method: PUT, path: /restart, repeat: idempotent"))

LOSE_THE_LEASE = "update jobs set lease_epoch = lease_epoch + 1 where state = 'running'"
# What the relay's sweep does when a lost worker's lease has run out.
HAND_OVER = "update jobs set state = 'scheduled', run_at = now() where state = 'running'"
PASS_THE_DEADLINE = "update effects set not_after = now() - interval '1 hour'"


async def lose_worker_after_the_effect(ward: Ward) -> None:
    async def lose() -> None:
        ward.patient.on_restart = None
        await ward.change(LOSE_THE_LEASE)

    ward.patient.on_restart = lose


async def take_over(ward: Ward) -> None:
    await ward.change(HAND_OVER)
    await ward.change(PASS_THE_DEADLINE)
    await ward.let_pass(5)


async def test_after_a_crash_behind_the_effect_an_unrepeatable_act_is_unknown_and_a_person_is_called(
    ward: Ward,
) -> None:
    await lose_worker_after_the_effect(ward)
    incident_id = await ward.open_incident("Other")
    await ward.start(incident_id=incident_id)
    await ward.work()
    assert (await ward.run()).state is RunState.RUNNING
    await take_over(ward)
    run = await ward.run()
    assert (run.outcome, run.escalated) == (Outcome.UNKNOWN_EFFECT, True)
    assert next(step.state for step in run.steps if step.key == "restart") is StepState.UNKNOWN
    assert ward.patient.restarts == 1
    assert (await ward.incident(incident_id)).state is IncidentState.OPEN


async def test_after_a_crash_behind_the_effect_a_repeatable_act_is_done_again(ward: Ward) -> None:
    await ward.add_runbook(IDEMPOTENT)
    await lose_worker_after_the_effect(ward)
    await ward.start(runbook="put-restart")
    await ward.work()
    await take_over(ward)
    assert (await ward.run()).outcome is Outcome.RECOVERED
    assert ward.patient.restarts == 2


async def test_a_dead_workers_call_is_waited_out_before_it_is_judged(ward: Ward) -> None:
    await ward.add_runbook(IDEMPOTENT)
    await lose_worker_after_the_effect(ward)
    await ward.start(runbook="put-restart")
    await ward.work()
    await ward.change(HAND_OVER)
    await ward.change("update effects set not_after = '2031-01-01'")
    await ward.work()
    assert ward.patient.restarts == 1
    assert (await ward.run()).state is RunState.RUNNING


async def test_an_answer_of_500_after_the_effect_is_not_taken_for_a_failure(ward: Ward) -> None:
    ward.patient.answers = 500
    await ward.start()
    await ward.let_pass(3)
    run = await ward.run()
    assert run.outcome is Outcome.UNKNOWN_EFFECT
    assert ward.patient.restarts == 1


async def test_a_refusal_is_a_failure_and_hands_over(ward: Ward) -> None:
    ward.patient.answers = 403
    await ward.start()
    await ward.let_pass(3)
    run = await ward.run()
    assert (run.outcome, run.reason_code) == (Outcome.NOT_RECOVERED, "act.failed")


async def test_a_run_that_nobody_drives_any_more_ends_at_its_deadline(ward: Ward) -> None:
    run_id = await ward.start()
    await ward.change("delete from jobs where kind = 'remediation.advance_run'")
    await ward.let_pass(700, step_s=100)
    run = await ward.run(run_id)
    assert (run.outcome, run.reason_code) == (Outcome.EXPIRED, "run.deadline")
    await ward.start()


async def test_a_cancelled_run_stops_before_its_next_step(ward: Ward) -> None:
    run_id: UUID = await ward.start()
    await ward.change("update runs set cancel_requested = true")
    await ward.work()
    assert (await ward.run(run_id)).outcome is Outcome.CANCELLED
    assert ward.patient.writes == []


async def test_a_target_that_changed_since_the_start_is_not_touched(ward: Ward) -> None:
    run_id = await ward.start(mode=Mode.AUTO)
    await ward.change("""update targets set connection = jsonb_set(connection, '{base_url}', '"http://127.0.0.1:1"')""")
    await ward.work()
    run = await ward.run(run_id)
    assert run.outcome in (Outcome.REFUSED, Outcome.UNVERIFIED)
    assert ward.patient.writes == []
