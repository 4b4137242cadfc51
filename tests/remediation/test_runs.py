"""Runs on a real service: what they do, what they prove, and what they refuse."""

from __future__ import annotations

import asyncio

import pytest

from app.incidents.schemas import IncidentState
from app.remediation.rules.states import Mode, Outcome, RunState, StepState
from app.remediation.service import RunNotStarted
from tests.remediation.conftest import Ward


async def test_an_incident_starts_the_run_that_mends_proves_and_resolves(ward: Ward) -> None:
    await ward.add_rule()
    incident_id = await ward.open_incident()
    await ward.let_pass(5)
    run = await ward.run()
    assert (run.state, run.outcome) == (RunState.ENDED, Outcome.RECOVERED)
    assert ward.patient.restarts == 1
    assert [(step.key, step.state) for step in run.steps] == [
        ("probe", StepState.DONE),
        ("needed", StepState.DONE),
        ("restart", StepState.DONE),
        ("verify", StepState.DONE),
    ]
    restart = run.steps[2]
    assert restart.input["path"] == "/restart"
    assert restart.output is not None
    assert restart.output["status"] == 200
    assert all(step.finished_at is not None and step.duration_s is not None for step in run.steps)
    assert (await ward.incident(incident_id)).state is IncidentState.RESOLVED
    told = await ward.told(incident_id)
    assert told.index("run.started") < told.index("run.step") < told.index("run.ended")


async def test_recovery_takes_three_good_samples_in_a_row(ward: Ward) -> None:
    await ward.add_rule()
    incident_id = await ward.open_incident()
    await ward.let_pass(1)
    assert (await ward.run()).outcome is None, "two samples prove nothing"
    assert (await ward.incident(incident_id)).state is IncidentState.OPEN
    await ward.let_pass(1)
    samples = (await ward.run()).steps[-1].output
    assert samples is not None
    assert [sample["good"] for sample in samples["samples"]] == [True, True, True]


async def test_a_restart_that_does_not_help_escalates_and_leaves_the_incident_open(ward: Ward) -> None:
    ward.patient.heals = False
    await ward.add_rule()
    incident_id = await ward.open_incident()
    await ward.let_pass(125, step_s=5)
    run = await ward.run()
    assert (run.outcome, run.escalated) == (Outcome.NOT_RECOVERED, True)
    assert (await ward.incident(incident_id)).state is IncidentState.OPEN
    assert "run.escalated" in await ward.told(incident_id)


async def test_a_flapping_service_is_never_recovered(ward: Ward) -> None:
    await ward.add_rule()
    await ward.open_incident()
    await ward.work()
    for second in range(124):
        ward.patient.healthy = second % 2 == 0
        await ward.let_pass(1)
    assert (await ward.run()).outcome in (Outcome.NOT_RECOVERED, Outcome.UNVERIFIED)


async def test_a_service_that_is_well_needs_nothing(ward: Ward) -> None:
    ward.patient.healthy = True
    await ward.start()
    await ward.work()
    assert (await ward.run()).outcome is Outcome.NO_ACTION_NEEDED
    assert ward.patient.writes == []


async def test_a_check_without_an_answer_is_not_a_verdict(ward: Ward, redis_url: str) -> None:
    await ward.add_target("gone", kind="redis", connection={"host": "127.0.0.1", "port": 1})
    incident_id = await ward.open_incident("Other")
    await ward.start(runbook="redis-queue-depth", targets={"broker": "gone"}, incident_id=incident_id)
    await ward.work()
    run = await ward.run()
    assert (run.outcome, run.reason_code, run.escalated) == (Outcome.UNVERIFIED, "check.failed", True)


async def test_a_dry_run_writes_nothing_and_says_what_it_would_do(ward: Ward) -> None:
    await ward.start(mode=Mode.DRY_RUN)
    await ward.work()
    run = await ward.run()
    assert (run.outcome, run.acted) == (Outcome.SIMULATED, False)
    assert ward.patient.writes == []
    assert "would send POST" in next(step.reason for step in run.steps if step.key == "restart")


async def test_one_run_on_a_target_at_a_time(ward: Ward) -> None:
    await ward.start()
    with pytest.raises(RunNotStarted) as refused:
        await ward.start()
    assert refused.value.refusal.code == "target.busy"


async def test_many_incidents_of_one_target_make_one_restart(ward: Ward) -> None:
    await ward.add_rule()
    for first in (0, 10):  # a pool has connections for fifteen at once
        await asyncio.gather(*(ward.open_incident(host=f"web-{number}") for number in range(first, first + 10)))
    await ward.let_pass(6)
    assert ward.patient.restarts == 1
    outcomes = [run.outcome for run in await ward.runs()]
    assert outcomes.count(Outcome.RECOVERED) == 1
    assert set(outcomes) <= {Outcome.RECOVERED, Outcome.REFUSED, Outcome.NO_ACTION_NEEDED}


async def test_ineffective_runs_close_the_target_and_call_one_person(ward: Ward) -> None:
    ward.patient.heals = False
    await ward.add_rule()
    refused = []
    for number in range(5):
        incident_id = await ward.open_incident(host=f"host-{number}")
        await ward.let_pass(1500, step_s=60)
        run = (await ward.runs())[0]
        if run.outcome is Outcome.REFUSED:
            refused.append((run.reason_code, run.escalated, incident_id))
    assert ward.patient.restarts == 3
    assert [(code, escalated) for code, escalated, _ in refused] == [
        ("ineffective", True),
        ("ineffective.again", False),
    ]


async def test_a_rule_that_observes_says_what_it_would_start(ward: Ward) -> None:
    await ward.add_rule(mode=Mode.OBSERVE)
    await ward.open_incident()
    await ward.work()
    run = await ward.run()
    assert (run.outcome, run.reason_code, run.escalated) == (Outcome.REFUSED, "mode.observe", False)
    assert ward.patient.writes == []


async def test_an_incident_that_matches_no_rule_starts_nothing(ward: Ward) -> None:
    await ward.add_rule()
    await ward.open_incident("SomethingElse")
    await ward.work()
    assert await ward.runs() == []


async def test_a_rule_starts_one_run_for_an_incident_however_often_its_job_comes(ward: Ward) -> None:
    await ward.add_rule()
    await ward.open_incident()
    await ward.let_pass(4)
    await ward.change(
        "update jobs set state = 'scheduled', attempt = 0, finished_at = null where kind = 'remediation.start_run'"
    )
    await ward.let_pass(4)
    assert len(await ward.runs()) == 1
    assert ward.patient.restarts == 1
