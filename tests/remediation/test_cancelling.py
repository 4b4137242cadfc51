"""A cancelled run stops at its next step, whatever it waits for, and whenever the cancel comes."""

from __future__ import annotations

from uuid import UUID

from app.auth.rules import Role
from app.core.jobs import JobRegistry
from app.db.jobs.context import Completion, JobContext
from app.remediation.jobs import AdvanceRun, advance
from app.remediation.rules.states import Outcome, RunState
from tests.factories.runbooks import LOOK, make_runbook
from tests.fixtures.jobs import run_jobs
from tests.remediation.conftest import Callers, Ward
from tests.remediation.consent import APPROVED_ACT

SLEEPING = make_runbook(
    "sleeping", LOOK, "  - wait: hour\n    for: 1h\n    then: verify\n", limits="ceiling: read, run_timeout: 2h"
)
WATCHING = make_runbook(
    "watching",
    LOOK,
    '  - wait: up\n    until: "probe.up"\n    check: probe\n    every: 20m\n    timeout: 1h\n    then: verify\n',
    limits="ceiling: read, run_timeout: 2h",
)


async def cancel(callers: Callers, run_id: UUID) -> None:
    path = f"/v1/runs/{run_id}/cancel"
    (await callers.call(Role.RESPONDER, "POST", path, json={"reason": "a drill"})).raise_for_status()


async def test_a_cancelled_run_does_not_sleep_its_wait_out(ward: Ward, callers: Callers) -> None:
    await ward.add_runbook(SLEEPING)
    run_id = await ward.start(runbook="sleeping")
    await ward.work()
    assert (await ward.run(run_id)).state is RunState.RUNNING
    await cancel(callers, run_id)
    await ward.work()
    assert (await ward.run(run_id)).outcome is Outcome.CANCELLED


async def test_a_cancel_during_a_look_ends_the_wait(ward: Ward, callers: Callers) -> None:
    """It finds the run's job at work and can wake nothing; the job would have slept for twenty minutes."""
    await ward.add_runbook(WATCHING)
    run_id = await ward.start(runbook="watching")
    looks: list[None] = []

    async def second_look() -> None:
        looks.append(None)
        if len(looks) == 2:
            await cancel(callers, run_id)

    ward.patient.on_look = second_look
    await ward.work()
    assert (len(looks), (await ward.run(run_id)).outcome) == (2, Outcome.CANCELLED)


async def test_a_cancel_just_before_the_question_leaves_nobody_to_answer_it(ward: Ward, callers: Callers) -> None:
    await ward.add_runbook(APPROVED_ACT)
    run_id = await ward.start(runbook="asked-restart")
    registry = JobRegistry()
    done: list[bool] = []

    @registry.stepwise(AdvanceRun)
    async def cancelled_at_the_end(ctx: JobContext, job: AdvanceRun) -> Completion | None:
        completion: Completion | None = await advance(ctx, job)
        if not done:
            done.append(True)
            await cancel(callers, run_id)
        return completion

    await run_jobs(ward.resources, registry=registry)
    run = await ward.run(run_id)
    assert (run.state, run.outcome, ward.patient.writes) == (RunState.ENDED, Outcome.CANCELLED, [])
