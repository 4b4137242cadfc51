"""Every shipped runbook keeps the contract: it loads, explains itself, proves what it claims, and dry-runs on real things."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from importlib import resources
from typing import Any

import pytest
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.routing import Route

from app.core.clock import FakeClock
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.embedded.valkey import EmbeddedValkey
from app.remediation import library
from app.remediation.actions import catalogue
from app.remediation.library import PACKS, shipped
from app.remediation.rules.document import ActStep, CheckStep, Document
from app.remediation.rules.graph import TERMINAL, edges_of, facts_of
from app.remediation.rules.loader import canonical, load_runbook
from app.remediation.rules.plan import build_frames, resolve_inputs
from app.remediation.rules.recovery import CheckClause
from app.remediation.rules.spec import Risk
from app.remediation.rules.states import Mode, Outcome, RunState, StepState
from tests.fixtures.database import make_tenant
from tests.fixtures.servicedesk import serve
from tests.remediation.conftest import Patient, Ward
from tests.remediation.targets import WATCHER_PASSWORD, WatchedPostgres, watched_postgres

__all__ = ["watched_postgres"]

# Inputs under which what a runbook looks at is well, and under which it is ill. Where it has none, the target itself is.
INPUTS: dict[str, dict[str, dict[str, Any]]] = {
    "http-service-recovery": {"well": {}, "ill": {}},
    "postgres-connections": {"well": {"calm_below_percent": 100}, "ill": {"calm_below_percent": 1}},
    "redis-queue-depth": {"well": {"queue": "nobody's"}, "ill": {"queue": "nobody's", "calm_below": 0}},
}


def document_of(name: str) -> Document:
    return shipped()[name].loaded.document


def test_every_file_of_a_pack_is_a_runbook_of_that_name() -> None:
    files = {
        (pack, file.name.removesuffix(".yaml"))
        for pack in PACKS
        for file in resources.files(library).joinpath(pack).iterdir()
        if file.name.endswith(".yaml")
    }
    assert files == {(entry.pack, name) for name, entry in shipped().items()}
    assert set(INPUTS) == set(shipped()), "say how a new runbook is tried"


@pytest.mark.parametrize("name", list(shipped()))
def test_it_loads_without_a_warning_and_always_to_the_same(name: str) -> None:
    entry = shipped()[name]
    documents = {other: shipped()[other].loaded.document for other in shipped()}
    again = load_runbook(entry.source, catalogue=catalogue(), library=documents)
    assert (again.digest, again.warnings) == (entry.loaded.digest, ())
    assert Document.model_validate(canonical(again.document)) == again.document


@pytest.mark.parametrize("name", list(shipped()))
def test_it_explains_itself(name: str) -> None:
    document = document_of(name)
    assert document.about.endswith(".")
    assert document.not_for.endswith("."), "says when not to use it"
    assert document.match.alert, "names the alerts that it is for"
    for key, declared in document.inputs.items():
        assert declared.about.endswith("."), f"the input {key} says what it is"
        assert declared.default is not None, f"the input {key} has a default"
    assert resolve_inputs(build_frames(shipped()[name].loaded, {}), {})


@pytest.mark.parametrize("name", list(shipped()))
def test_it_uses_actions_that_there_are_within_its_ceiling(name: str) -> None:
    document = document_of(name)
    used = [step for step in document.steps if isinstance(step, CheckStep | ActStep)]
    assert used
    for step in used:
        spec = catalogue()[step.do]
        assert not spec.reserved
        assert spec.risk.rank <= document.limits.ceiling.rank
        assert step.on is None or document.targets[step.on].kind == spec.target_kind
    harmful = [step for step in used if catalogue()[step.do].risk is not Risk.READ]
    assert (document.limits.ceiling is Risk.READ) == (harmful == []), "the ceiling is as low as it can be"


@pytest.mark.parametrize("name", list(shipped()))
def test_it_proves_recovery_or_calls_a_person(name: str) -> None:
    document = document_of(name)
    assert any(isinstance(clause, CheckClause) for clause in document.recovered.all), "a look, not a hope"
    assert document.recovered.need >= 2
    assert document.recovered.if_not.escalate.reason
    assert document.recovered.if_unknown.escalate.reason
    ends = {edge.to for edges in edges_of(document).values() for edge in edges if edge.to in TERMINAL}
    assert ends <= {"verify", "end_noop", "@escalated", "@handed_on"}
    facts = facts_of(document, edges_of(document))
    assert "end_noop" not in facts or not facts["end_noop"].acted


@pytest.fixture
async def tried(
    scratch_database: Database,
    scratch_resources: Resources,
    clock: FakeClock,
    watched_postgres: WatchedPostgres,
    valkey: EmbeddedValkey,
) -> AsyncIterator[Ward]:
    """A tenant with a real target of each kind, named by it."""
    patient = Patient()
    routes = [Route("/health", patient.health), Route("/restart", patient.restart, methods=["POST"])]
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serve(Starlette(routes=routes)))
        for _ in range(3):
            await stack.enter_async_context(watched_postgres.superuser("crowd"))
        ward = Ward(scratch_resources, await make_tenant(scratch_database), clock, patient, url)
        await ward.add_target("http")
        postgres = watched_postgres.connection()
        await ward.add_target("postgres", kind="postgres", connection=postgres, secret=WATCHER_PASSWORD)
        redis = {"host": "127.0.0.1", "port": valkey.port}
        await ward.add_target("redis", kind="redis", connection=redis, secret=valkey.password)
        yield ward


@pytest.mark.parametrize("state", ["well", "ill"])
@pytest.mark.parametrize("name", list(shipped()))
async def test_it_dry_runs_on_the_real_thing_and_changes_nothing(tried: Ward, name: str, state: str) -> None:
    tried.patient.healthy = state == "well"
    document = document_of(name)
    targets = {slot: target.kind for slot, target in document.targets.items()}
    incident_id = await tried.open_incident("Other")
    inputs = INPUTS[name][state]
    await tried.start(runbook=name, targets=targets, inputs=inputs, mode=Mode.DRY_RUN, incident_id=incident_id)
    await tried.work()
    run = await tried.run()
    assert run.state is RunState.ENDED, "a dry run waits for nothing"
    # It went all the way, or to the hand-over that it would have come to; no check failed for want of an answer.
    wanted = {Outcome.NO_ACTION_NEEDED} if state == "well" else {Outcome.SIMULATED, Outcome.NOT_RECOVERED}
    assert run.outcome in wanted, run.reason
    assert run.reason_code in {"", "handed_over"}
    assert (run.acted, run.escalated, tried.patient.writes) == (False, False, [])
    assert all(step.state is StepState.DONE for step in run.steps if step.kind == "check")
    async with tenant_session(tried.database, tried.tenant_id) as session:
        for table in ("effects", "acts"):
            assert (await session.execute(text(f"select count(*) from {table}"))).scalar_one() == 0
