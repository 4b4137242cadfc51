"""Every run ends within its time, whatever runbook it is and whatever target, people and clock do: the real driver, at random."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.core.actor import Actor, ActorKind
from app.core.ids import RunId, new_id
from app.db.tenancy import tenant_session
from app.remediation.jobs import drive
from app.remediation.rules.loader import LoadedRunbook
from app.remediation.rules.states import ESCALATING, Outcome, RunState
from app.remediation.schemas import RunDetail
from app.remediation.service.approvals import Approver, decide
from app.remediation.service.reading import lock_run
from tests.fixtures.database import make_tenant
from tests.remediation.conftest import Ward
from tests.remediation.random_runbooks import USED, loadable, source_of

# More turns of the clock than any drawn runbook has steps, looks and samples.
MAX_TURNS = 60


@dataclass
class World:
    """What happens around a run; each list is taken in turn, over and over."""

    health: list[bool]
    heals: bool
    answers: int
    people: list[str]
    turn: int = 0
    asked: int = 0

    def next_health(self) -> bool:
        self.turn += 1
        return self.health[self.turn % len(self.health)]

    def next_word(self) -> str:
        self.asked += 1
        return self.people[self.asked % len(self.people)]


worlds = st.builds(
    World,
    health=st.lists(st.booleans(), min_size=1, max_size=4),
    heals=st.booleans(),
    answers=st.sampled_from([200, 200, 403, 500]),
    people=st.lists(st.sampled_from(["approve", "deny", "silence"]), min_size=1, max_size=3),
)


async def next_due(ward: Ward) -> datetime:
    async with tenant_session(ward.database, ward.tenant_id) as session:
        due: datetime = (
            await session.execute(text("select min(run_at) from jobs where state = 'scheduled'"))
        ).scalar_one()
    assert due is not None, "nothing would ever drive the run on"
    return due


async def answer(ward: Ward, run: RunDetail, word: str) -> None:
    """A person who may says it; the token is nobody's, so that it can be neither revoked nor lowered."""
    step = next(step for step in run.steps if step.state == "awaiting_approval")
    admin = Approver(actor=Actor(kind=ActorKind.SYSTEM, id=new_id().hex, name="a person"), role="admin")
    async with tenant_session(ward.database, ward.tenant_id) as session:
        row = await lock_run(session, run_id=run.id)
        yes = word == "approve"
        if await decide(
            session, run=row, step_key=step.key, digest=run.plan_digest, approve=yes, approver=admin, reason="", now=ward.now()
        ):  # fmt: skip
            await drive(session, RunId(run.id))


async def live(ward: Ward, source: str, world: World) -> RunDetail:
    """Start a run of the runbook and let the world happen to it until it has ended."""
    await ward.add_target()
    await ward.add_runbook(source_of(USED.canonical()))
    await ward.add_runbook(source)
    run_id = await ward.start(runbook="at-random")
    for _ in range(MAX_TURNS):
        ward.patient.healthy = world.next_health()
        await ward.work()
        run = await ward.run(run_id)
        if run.state is RunState.ENDED:
            return run
        word = world.next_word() if run.state is RunState.AWAITING_APPROVAL else "silence"
        if word != "silence":
            await answer(ward, run, word)
        else:
            ward.clock.advance(max(await next_due(ward) - ward.now(), timedelta(0)))
    raise AssertionError(f"no end after {MAX_TURNS} turns: {run.state} at {[step.key for step in run.steps]}")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(drawn=loadable, world=worlds)
async def test_every_run_ends_within_its_time(
    ward: Ward, drawn: tuple[dict[str, Any], LoadedRunbook], world: World
) -> None:
    document, loaded = drawn
    ward.tenant_id = await make_tenant(ward.database)
    ward.patient.writes, ward.patient.heals, ward.patient.answers = [], world.heals, world.answers
    run = await live(ward, source_of(document), world)
    assert run.outcome is not None
    assert run.ended_at is not None
    assert run.ended_at <= run.deadline, f"{run.outcome} {run.ended_at - run.deadline} late"
    assert (run.outcome in ESCALATING) == run.escalated, "proof, nothing to do, or a person"
    assert run.reason
    tried = [step for step in run.steps if step.kind == "act" and step.intent_at is not None]
    assert len(ward.patient.writes) == len(tried), "each intended act was sent once"
    if run.outcome is Outcome.RECOVERED:
        samples = (run.steps[-1].output or {})["samples"]
        judged = USED if any(step.kind == "use" for step in run.steps) else loaded
        need = judged.document.recovered.need
        assert [sample["good"] for sample in samples[-need:]] == [True] * need
    async with tenant_session(ward.database, ward.tenant_id) as session:
        held = "select count(*) from target_leases where run_id is not null"
        assert (await session.execute(text(held))).scalar_one() == 0


def looking(run_timeout: str, *steps: dict[str, Any], after: str = "0s") -> str:
    """A runbook that looks, takes the steps, and judges recovery."""
    check = {"check": "s0", "do": "http.probe", "on": "service", "with": {"path": "/health"}, "timeout": "5s"}
    judged = {"after": after, "every": "5s", "for": "20s", "need": 1, "all": [{"check": "s0", "is": "s0.up"}]}
    return source_of(
        {
            "runbook": "at-random",
            "version": 1,
            "about": "Looks and waits.",
            "targets": {"service": {"kind": "http"}},
            "limits": {"ceiling": "read", "run_timeout": run_timeout},
            "steps": [check, *steps, {"tell": "said", "text": "Waited.", "then": "verify"}],
            "recovered": judged,
        }
    )


UNTIL: dict[str, Any] = {"wait": "s1", "until": "s0.up", "check": "s0"}
ILL = World(health=[False], heals=False, answers=200, people=["silence"])


@pytest.mark.parametrize(
    "source",
    [
        looking("60s", {"wait": "s1", "for": "2h"}),
        looking("60s", UNTIL | {"every": "50s", "timeout": "2h"}),
        looking("60s", {"wait": "s1", "for": "50s"}, after="40s"),
    ],
    ids=["a wait", "a repeated look", "the pause before judging"],
)
async def test_no_pause_outlasts_the_run(ward: Ward, source: str) -> None:
    ward.tenant_id = await make_tenant(ward.database)
    run = await live(ward, source, ILL)
    assert (run.outcome, run.reason_code, run.ended_at) == (Outcome.EXPIRED, "run.deadline", run.deadline)


async def test_the_last_look_is_when_the_time_is_up(ward: Ward) -> None:
    source = looking("10m", UNTIL | {"every": "50s", "timeout": "70s"})
    ward.tenant_id = await make_tenant(ward.database)
    run = await live(ward, source, ILL)
    waited = next(step for step in run.steps if step.key == "s1")
    assert waited.finished_at is not None
    assert waited.finished_at - waited.started_at == timedelta(seconds=70)
    assert (run.outcome, run.reason_code) == (Outcome.UNVERIFIED, "wait.timeout")
