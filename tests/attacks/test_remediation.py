"""C10, D14 to D17: work for another tenant's incident, consent that was not given, parameters that are commands."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from starlette.applications import Starlette

from app.auth.rules import Role
from app.db.jobs.queue import enqueue
from app.db.tenancy import tenant_session
from app.incidents.service import list_timeline
from app.remediation.jobs.definitions import AdvanceRun, StartRun
from app.remediation.rules.paths import relative_path
from app.remediation.rules.states import Mode, Outcome, RunState
from tests.attacks.consent import People, asked, decide, people, rows
from tests.factories.incidents import deliver, make_event, make_source
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import run_jobs
from tests.fixtures.servicedesk import serve
from tests.remediation.conftest import Ward, ward
from workers.runner import Outcome as JobOutcome

__all__ = ["people", "ward"]


@pytest.mark.attack("C10")
async def test_a_job_of_one_tenant_about_another_tenants_rows(ward: Ward) -> None:
    """Forged into the table itself: the handler sees its own tenant's rows only, and ends without an effect."""
    other = await make_tenant(ward.database)
    await ward.add_rule()
    incident_id = await ward.open_incident()
    await ward.work()
    before = len(await ward.runs())
    writes = list(ward.patient.writes)
    (rule,) = await rows(ward, "select id from runbook_rules")
    (run,) = (await ward.runs())[:1]
    async with tenant_session(ward.database, other) as session:
        await enqueue(session, StartRun(rule_id=rule["id"], incident_id=incident_id))
        await enqueue(session, AdvanceRun(run_id=run.id))  # type: ignore[arg-type]
    await run_jobs(ward.resources)
    assert len(await ward.runs()) == before
    assert ward.patient.writes == writes
    async with tenant_session(ward.database, other) as session:
        left = (await session.execute(text("select count(*) from runs"))).scalar_one()
    assert left == 0


@pytest.mark.attack("C10")
@pytest.mark.parametrize("mode", ["auto", "observe"])
async def test_a_rule_of_ones_own_about_another_tenants_incident(ward: Ward, mode: str) -> None:
    """The rule is found, so it is the incident alone that stands against it: nothing is read of it, none is started."""
    other = await make_tenant(ward.database)
    async with tenant_session(ward.database, other) as session:
        event = make_event("ServiceDown-theirs", title="Their own words", labels={"alertname": "ServiceDown"})
        (applied,) = await deliver(session, make_source(), event, now=ward.now())
        assert applied.incident_id is not None
        before = await list_timeline(session, incident_id=applied.incident_id, after=None, limit=200)
    await ward.add_rule(mode=Mode(mode))
    (rule,) = await rows(ward, "select id from runbook_rules")
    async with tenant_session(ward.database, ward.tenant_id) as session:
        await enqueue(session, StartRun(rule_id=rule["id"], incident_id=applied.incident_id))
    assert JobOutcome.FAILED in await run_jobs(ward.resources)
    assert (await ward.runs(), ward.patient.writes) == ([], [])
    for table in ("runs", "run_steps", "target_leases", "effects", "timeline_entries", "audit_entries"):
        assert "Their own words" not in repr(await rows(ward, f"select to_jsonb(t)::text as t from {table} t")), table
    async with tenant_session(ward.database, other) as session:
        after = await list_timeline(session, incident_id=applied.incident_id, after=None, limit=200)
    assert after == before


@pytest.mark.attack("D15")
@pytest.mark.parametrize("digest", ["0" * 64, "F" * 64, "' or '1'='1".ljust(64)])
async def test_consent_to_another_plan(ward: Ward, people: People, digest: str) -> None:
    run = await asked(ward, people[Role.RESPONDER])
    answer = await decide(people[Role.ADMIN], run, plan_digest=digest)
    assert (answer.status_code, answer.json()["code"]) == (409, "run.plan_changed")
    await ward.work()
    assert ward.patient.writes == []


@pytest.mark.attack("D15")
async def test_a_target_that_is_moved_after_consent_is_not_acted_on(ward: Ward, people: People) -> None:
    """The approver saw one address; an editor puts another in between."""
    run = await asked(ward, people[Role.RESPONDER])
    async with serve(Starlette()) as elsewhere:
        (known,) = (await people[Role.VIEWER].get("/v1/targets")).json()["items"]
        body = {"name": "web", "kind": "http", "connection": {"base_url": elsewhere}}
        moved = await people[Role.ENGINEER].put(f"/v1/targets/{known['id']}", json=body)
        assert (await decide(people[Role.ADMIN], run)).status_code == 200
        await ward.let_pass(3)
    after = await ward.run(UUID(run["id"]))
    assert moved.status_code in (200, 409)
    if moved.status_code == 200:
        assert (after.state, after.outcome) == (RunState.ENDED, Outcome.REFUSED)
        assert ward.patient.writes == []


@pytest.mark.attack("D15")
async def test_a_plan_that_is_changed_in_the_table_after_consent(ward: Ward, people: People) -> None:
    run = await asked(ward, people[Role.RESPONDER])
    assert (await decide(people[Role.ADMIN], run)).status_code == 200
    await ward.change("update runs set plan = jsonb_set(plan, '{inputs,path}', '\"/elsewhere\"')")
    await ward.let_pass(3)
    assert ward.patient.writes == []


@pytest.mark.attack("D16")
@pytest.mark.parametrize(
    "path",
    [
        "/restart; rm -rf /",
        "/restart`id`",
        "/restart\nHost: evil",
        "/../admin",
        "/a/../../admin",
        "/%2e%2e/admin",
        "//evil.test/restart",
        "http://evil.test/restart",
        "@evil.test/",
        "/restart?x=1#y",
        "\\restart",
        "--flag",
        "/" + "a" * 600,
        "",
    ],
)
def test_a_parameter_that_is_no_path(path: str) -> None:
    """No shell is involved anywhere; a path must still not lead elsewhere."""
    with pytest.raises(ValueError, match=r"."):
        relative_path(path)


@pytest.mark.attack("D16")
@pytest.mark.parametrize(
    "path", ["/restart;rm -rf /", "/../admin", "//evil.test/", "http://evil.test/", "/restart\r\nx: y", "--flag"]
)
async def test_a_strangers_parameter_is_refused_before_anything_is_called(
    ward: Ward, people: People, path: str
) -> None:
    run = await asked(ward, people[Role.RESPONDER], path=path)
    assert (await decide(people[Role.ADMIN], run)).status_code == 200
    await ward.let_pass(3)
    after = await ward.run(UUID(run["id"]))
    assert after.state is RunState.ENDED
    assert after.outcome is not Outcome.RECOVERED
    assert ward.patient.writes == []


@pytest.mark.attack("D17")
async def test_one_consent_given_twice_and_a_race_of_yes_and_no(ward: Ward, people: People) -> None:
    run = await asked(ward, people[Role.RESPONDER])
    answers = await asyncio.gather(
        *(decide(people[Role.ADMIN], run) for _ in range(5)),
        *(decide(people[Role.ENGINEER], run, decision="deny") for _ in range(5)),
    )
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) == 1, statuses
    assert set(statuses) == {200, 409}
    agreed = 200 in statuses[:5]
    await ward.let_pass(3)
    assert ward.patient.writes == (["POST /restart"] if agreed else [])
    assert (await decide(people[Role.ADMIN], run)).status_code == 409


@pytest.mark.attack("D17")
async def test_consent_after_its_time_or_after_the_end(ward: Ward, people: People) -> None:
    run = await asked(ward, people[Role.RESPONDER])
    ward.clock.advance(timedelta(minutes=5))
    late = await decide(people[Role.ADMIN], run)
    assert (late.status_code, late.json()["code"]) == (409, "run.nothing_to_approve")
    await ward.let_pass(3)
    assert (await decide(people[Role.ADMIN], run)).status_code == 409
    assert ward.patient.writes == []


@pytest.mark.attack("D17")
async def test_consent_after_the_incident_is_over(ward: Ward, people: People) -> None:
    run = await asked(ward, people[Role.RESPONDER])
    over = await people[Role.RESPONDER].post(f"/v1/incidents/{run['incident_id']}/resolve")
    assert over.status_code == 200
    await decide(people[Role.ADMIN], run)
    await ward.let_pass(3)
    assert ward.patient.writes == []


@pytest.mark.attack("D14")
async def test_what_hides_in_a_title_is_not_hidden_from_who_decides(ward: Ward, people: People) -> None:
    """Invisible tags, zero-width and direction marks in what the approver reads."""
    hidden = "Down\u202e\u200b\U000e0041\U000e0064 \u2066and approve it"
    run = await asked(ward, people[Role.RESPONDER], title=hidden)
    (step,) = [step for step in run["steps"] if step["key"] == "sure"]
    for shown in (step["approval"]["question"], step["input"]["question"]):
        assert shown.isprintable(), ascii(shown)
        assert "Down" in shown
