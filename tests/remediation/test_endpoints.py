"""Remediation over HTTP: who may do what, what each refusal is called, and pages that hold everything once."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from app.auth.rules import Role
from app.core.ids import new_id
from app.remediation.rules.states import Mode, Outcome
from tests.factories.runbooks import make_looking_runbook
from tests.http.test_problem import assert_problem
from tests.remediation.conftest import Callers, Ward

RANDOM = UUID(int=9)
RUN = {"runbook": "http-service-recovery", "targets": {"service": "web"}}
TARGET = {"name": "db", "kind": "http", "connection": {"base_url": "http://127.0.0.1:9"}}
RULE = {"name": "r", "match": {"alert": ["X"]}, "runbook": "http-service-recovery", "targets": {"service": "web"}}
RUNBOOK = make_looking_runbook("look")
APPROVAL = {"step": "s", "plan_digest": "0" * 64, "decision": "approve"}

# Operation, body, and the lowest role that may; what that role is answered shows that the request itself was fine.
OPERATIONS: dict[str, tuple[Any, Role, int]] = {
    "GET /v1/runbooks": (None, Role.VIEWER, 200),
    "GET /v1/runbooks/redis-queue-depth": (None, Role.VIEWER, 200),
    "POST /v1/runbooks/validate": ({"source": RUNBOOK}, Role.VIEWER, 200),
    "POST /v1/runbooks": ({"source": RUNBOOK}, Role.ENGINEER, 201),
    "GET /v1/targets": (None, Role.VIEWER, 200),
    "GET /v1/targets/{id}": (None, Role.VIEWER, 404),
    "POST /v1/targets": (TARGET, Role.ENGINEER, 201),
    "PUT /v1/targets/{id}": (TARGET, Role.ENGINEER, 404),
    "DELETE /v1/targets/{id}": (None, Role.ENGINEER, 404),
    "GET /v1/runbook-rules": (None, Role.VIEWER, 200),
    "GET /v1/runbook-rules/{id}": (None, Role.VIEWER, 404),
    "POST /v1/runbook-rules": (RULE, Role.ENGINEER, 201),
    "PUT /v1/runbook-rules/{id}": (RULE, Role.ENGINEER, 404),
    "DELETE /v1/runbook-rules/{id}": (None, Role.ENGINEER, 404),
    "GET /v1/runs": (None, Role.VIEWER, 200),
    "GET /v1/runs/{id}": (None, Role.VIEWER, 404),
    "POST /v1/runs": (RUN, Role.RESPONDER, 201),
    "POST /v1/runs/{id}/cancel": ({}, Role.RESPONDER, 404),
    "POST /v1/runs/{id}/approve": (APPROVAL, Role.RESPONDER, 404),
}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_each_operation_is_for_its_role_and_those_above(callers: Callers, operation: str) -> None:
    body, lowest, status = OPERATIONS[operation]
    method, path = operation.replace("{id}", str(RANDOM)).split()
    answers = {role: await callers.call(role, method, path, json=body) for role in Role if not role.includes(lowest)}
    for role, refused in answers.items():
        assert_problem(refused, status=403, code="auth.role_too_low")
        assert role.value in refused.json()["detail"]
    allowed = await callers.call(lowest, method, path, json=body)
    assert allowed.status_code == status, allowed.text
    if method == "GET":
        assert (await callers.call(Role.ADMIN, method, path)).status_code == status


REFUSED: dict[str, tuple[str, Any, int, str]] = {
    "a runbook that is not there": ("POST /v1/runs", RUN | {"runbook": "none"}, 404, "runbook.not_found"),
    "an incident that is not there": ("POST /v1/runs", RUN | {"incident_id": str(RANDOM)}, 404, "incident.not_found"),
    "a target that is not there": ("POST /v1/runs", RUN | {"targets": {"service": "none"}}, 409, "run.refused"),
    "a target that was not given": ("POST /v1/runs", RUN | {"targets": {}}, 409, "run.refused"),
    "an input that is not declared": ("POST /v1/runs", RUN | {"inputs": {"x": 1}}, 409, "run.refused"),
    "an unknown field": ("POST /v1/runs", RUN | {"force": True}, 422, "validation"),
    "a run that is not there": (f"POST /v1/runs/{RANDOM}/cancel", {}, 404, "run.not_found"),
    "a digest of the wrong length": (
        f"POST /v1/runs/{RANDOM}/approve",
        APPROVAL | {"plan_digest": "0"},
        422,
        "validation",
    ),
    "a runbook that may not run": ("POST /v1/runbooks", {"source": "runbook: x"}, 422, "runbook.invalid"),
    "a shipped runbook's name": (
        "POST /v1/runbooks",
        {"source": RUNBOOK.replace("runbook: look", "runbook: redis-queue-depth")},
        409,
        "runbook.name_reserved",
    ),
    "a version that is not there": ("GET /v1/runbooks/redis-queue-depth?version=9", None, 404, "runbook.not_found"),
    "a target's name twice": ("POST /v1/targets", TARGET | {"name": "web"}, 409, "target.name_taken"),
    "a connection that does not fit": (
        "POST /v1/targets",
        TARGET | {"kind": "redis"},
        422,
        "target.connection_invalid",
    ),
    "a kind that there is not": ("POST /v1/targets", TARGET | {"kind": "ssh"}, 422, "validation"),
    "a rule for everything": ("POST /v1/runbook-rules", RULE | {"match": {}}, 422, "runbook_rule.invalid"),
    "a rule without its target": ("POST /v1/runbook-rules", RULE | {"targets": {}}, 422, "runbook_rule.invalid"),
    "a rule for no runbook": ("POST /v1/runbook-rules", RULE | {"runbook": "none"}, 404, "runbook.not_found"),
    "a cursor of somebody's own": ("GET /v1/runs?cursor=abc", None, 400, "cursor.invalid"),
    "a page without end": ("GET /v1/runs?limit=201", None, 422, "validation"),
    "a state that there is not": ("GET /v1/runs?state=asleep", None, 422, "validation"),
    "an id that is none": ("GET /v1/runs/1", None, 422, "validation"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_each_refusal_is_a_problem_with_its_code(callers: Callers, case: str) -> None:
    operation, body, status, code = REFUSED[case]
    method, path = operation.split()
    assert_problem(await callers.call(Role.ADMIN, method, path, json=body), status=status, code=code)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/targets", TARGET, "target.name_taken"),
        ("/v1/runbook-rules", RULE, "runbook_rule.name_taken"),
        ("/v1/runbooks", {"source": RUNBOOK}, "runbook.version_exists"),
    ],
)
async def test_of_many_who_take_one_name_at_once_one_gets_it(
    callers: Callers, path: str, body: dict[str, Any], code: str
) -> None:
    bodies = [body | {"source": f"{body['source']}# {n}\n"} if "source" in body else body for n in range(4)]
    answers = await asyncio.gather(*(callers.call(Role.ENGINEER, "POST", path, json=one) for one in bodies))
    assert sorted(answer.status_code for answer in answers)[0] == 201
    for refused in (answer for answer in answers if answer.status_code != 201):
        assert_problem(refused, status=409, code=code)


async def test_a_name_that_is_taken_is_refused_on_renaming_too(callers: Callers) -> None:
    for path, body, code in (
        ("/v1/targets", TARGET, "target.name_taken"),
        ("/v1/runbook-rules", RULE, "runbook_rule.name_taken"),
    ):
        (await callers.call(Role.ENGINEER, "POST", path, json=body)).raise_for_status()
        other = (await callers.call(Role.ENGINEER, "POST", path, json=body | {"name": "other"})).json()["id"]
        same = await callers.call(Role.ENGINEER, "PUT", f"{path}/{other}", json=body | {"name": "other"})
        assert same.status_code == 200
        assert_problem(await callers.call(Role.ENGINEER, "PUT", f"{path}/{other}", json=body), status=409, code=code)
        kept = (await callers.call(Role.VIEWER, "GET", f"{path}/{other}")).json()
        assert kept["name"] == "other"


async def test_a_run_is_started_read_and_ends(ward: Ward, callers: Callers) -> None:
    incident_id = await ward.open_incident("Other")
    started = await callers.call(Role.RESPONDER, "POST", "/v1/runs", json=RUN | {"incident_id": str(incident_id)})
    assert (started.status_code, started.json()["state"], started.json()["mode"]) == (201, "running", "auto")
    await ward.let_pass(3)
    shown = (await callers.call(Role.VIEWER, "GET", f"/v1/runs/{started.json()['id']}")).json()
    assert (shown["outcome"], shown["acted"], shown["incident_id"]) == ("recovered", True, str(incident_id))
    assert [step["key"] for step in shown["steps"]] == ["probe", "needed", "restart", "verify"]
    assert shown["plan"]["targets"]["service"]["name"] == "web"
    assert "base_url" not in str(shown["plan"])
    assert all(step["duration_s"] is not None for step in shown["steps"])


async def test_a_dry_run_says_what_it_would_do_and_does_nothing(ward: Ward, callers: Callers) -> None:
    started = await callers.call(Role.RESPONDER, "POST", "/v1/runs", json=RUN | {"dry_run": True})
    assert started.json()["mode"] == "dry_run"
    await ward.work()
    shown = (await callers.call(Role.VIEWER, "GET", f"/v1/runs/{started.json()['id']}")).json()
    assert (shown["outcome"], shown["acted"], shown["escalated"]) == ("simulated", False, False)
    assert any(step["reason"].startswith("dry run: would send POST") for step in shown["steps"])
    assert ward.patient.writes == []


async def test_a_cancelled_run_does_nothing_more_and_frees_its_target(ward: Ward, callers: Callers) -> None:
    run_id = await ward.start()
    assert_problem(await callers.call(Role.RESPONDER, "POST", "/v1/runs", json=RUN), status=409, code="run.refused")
    cancelled = await callers.call(Role.RESPONDER, "POST", f"/v1/runs/{run_id}/cancel", json={"reason": "a drill"})
    assert cancelled.status_code == 200
    await ward.work()
    run = await ward.run(run_id)
    assert (run.outcome, run.steps, ward.patient.writes) == (Outcome.CANCELLED, [], [])
    again = await callers.call(Role.RESPONDER, "POST", f"/v1/runs/{run_id}/cancel", json={})
    assert_problem(again, status=409, code="run.ended")
    assert (await callers.call(Role.RESPONDER, "POST", "/v1/runs", json=RUN)).status_code == 201


async def test_a_refused_start_says_why_with_a_code(ward: Ward, callers: Callers) -> None:
    await ward.start()
    refused = (await callers.call(Role.RESPONDER, "POST", "/v1/runs", json=RUN)).json()
    assert (refused["reason_code"], "one run on a target at a time" in refused["detail"]) == ("target.busy", True)


async def test_a_refused_runbook_says_everything_that_is_wrong_with_lines(callers: Callers) -> None:
    source = RUNBOOK.replace("need: 2", "need: 99").replace("do: http.probe", "do: http.prod")
    refused = await callers.call(Role.ENGINEER, "POST", "/v1/runbooks", json={"source": source})
    problems = assert_problem(refused, status=422, code="runbook.invalid")["problems"]
    asked = await callers.call(Role.VIEWER, "POST", "/v1/runbooks/validate", json={"source": source})
    assert (asked.json()["valid"], asked.json()["problems"]) == (False, problems)
    lines = source.splitlines()
    assert {lines[problem["line"] - 1].strip() for problem in problems} >= {"do: http.prod", "need: 99 in a row"}


async def test_a_target_in_use_stays(ward: Ward, callers: Callers) -> None:
    target_id = (await callers.call(Role.VIEWER, "GET", "/v1/targets")).json()["items"][0]["id"]
    await ward.add_rule()
    named = await callers.call(Role.ENGINEER, "DELETE", f"/v1/targets/{target_id}")
    assert_problem(named, status=409, code="target.in_use")
    assert "recover" in named.json()["detail"]
    rule_id = (await callers.call(Role.VIEWER, "GET", "/v1/runbook-rules")).json()["items"][0]["id"]
    assert (await callers.call(Role.ENGINEER, "DELETE", f"/v1/runbook-rules/{rule_id}")).status_code == 204
    run_id = await ward.start()
    held = await callers.call(Role.ENGINEER, "DELETE", f"/v1/targets/{target_id}")
    assert_problem(held, status=409, code="target.in_use")
    assert str(run_id) in held.json()["detail"]
    await ward.let_pass(4)
    assert (await callers.call(Role.ENGINEER, "DELETE", f"/v1/targets/{target_id}")).status_code == 204
    assert_problem(
        await callers.call(Role.VIEWER, "GET", f"/v1/targets/{target_id}"), status=404, code="target.not_found"
    )


async def test_a_targets_secret_goes_in_and_never_comes_out(callers: Callers) -> None:
    secret = f"s-{new_id().hex}"
    made = await callers.call(Role.ENGINEER, "POST", "/v1/targets", json=TARGET | {"secret": secret}, key="k1")
    kept = await callers.call(Role.ENGINEER, "PUT", f"/v1/targets/{made.json()['id']}", json=TARGET | {"name": "x"})
    shown = await callers.call(Role.ADMIN, "GET", f"/v1/targets/{made.json()['id']}")
    trail = await callers.call(Role.ADMIN, "GET", "/v1/audit", params={"limit": 200})
    assert (kept.json()["has_secret"], shown.json()["name"]) == (True, "x")
    assert all(secret not in answer.text for answer in (made, kept, shown, trail))


async def test_a_version_of_a_runbook_never_changes(callers: Callers) -> None:
    first = await callers.call(Role.ENGINEER, "POST", "/v1/runbooks", json={"source": RUNBOOK})
    same = await callers.call(Role.ENGINEER, "POST", "/v1/runbooks", json={"source": f"# again\n{RUNBOOK}"})
    assert (same.status_code, same.json()["digest"]) == (201, first.json()["digest"])
    other = RUNBOOK.replace("need: 2", "need: 3")
    changed = await callers.call(Role.ENGINEER, "POST", "/v1/runbooks", json={"source": other})
    assert_problem(changed, status=409, code="runbook.version_exists")
    raised = other.replace("version: 1", "version: 2")
    assert (await callers.call(Role.ENGINEER, "POST", "/v1/runbooks", json={"source": raised})).status_code == 201
    for asked, wanted in (("", 2), ("?version=1", 1)):
        shown = await callers.call(Role.VIEWER, "GET", f"/v1/runbooks/look{asked}")
        assert (shown.json()["version"], shown.json()["origin"]) == (wanted, "tenant")


async def pages(callers: Callers, path: str, **params: Any) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = []
    while True:
        page = (await callers.call(Role.VIEWER, "GET", path, params={"limit": 2, **params})).json()
        found.append(page["items"])
        if page["next_cursor"] is None:
            return found
        params["cursor"] = page["next_cursor"]


async def test_pages_of_runs_hold_each_once_newest_first(ward: Ward, callers: Callers) -> None:
    ward.patient.heals = False
    started = []
    for number in range(5):
        await ward.add_target(f"web-{number}")
        mode = Mode.DRY_RUN if number % 2 else Mode.AUTO
        started.append(str(await ward.start(targets={"service": f"web-{number}"}, mode=mode)))
    found = await pages(callers, "/v1/runs")
    assert [len(page) for page in found] == [2, 2, 1]
    assert [run["id"] for page in found for run in page] == started[::-1]
    await ward.work()
    ended = await pages(callers, "/v1/runs", state="ended")
    assert [run["id"] for page in ended for run in page] == [started[3], started[1]]


async def test_a_page_goes_on_where_it_was_while_new_runs_come(ward: Ward, callers: Callers) -> None:
    for name in ("a", "b", "c"):
        await ward.add_target(name)
    started = [str(await ward.start(targets={"service": name})) for name in ("a", "b")]
    first = (await callers.call(Role.VIEWER, "GET", "/v1/runs", params={"limit": 1})).json()
    await ward.start(targets={"service": "c"})
    params = {"limit": 1, "cursor": first["next_cursor"]}
    second = (await callers.call(Role.VIEWER, "GET", "/v1/runs", params=params)).json()
    assert [run["id"] for run in first["items"] + second["items"]] == started[::-1]


async def test_a_cursor_holds_for_its_filters_only(ward: Ward, callers: Callers) -> None:
    for name in ("a", "b"):
        await ward.add_target(name)
        await ward.start(targets={"service": name})
    cursor = (await callers.call(Role.VIEWER, "GET", "/v1/runs", params={"limit": 1})).json()["next_cursor"]
    other = await callers.call(Role.VIEWER, "GET", "/v1/runs", params={"cursor": cursor, "state": "running"})
    assert_problem(other, status=400, code="cursor.invalid")
    elsewhere = await callers.call(Role.VIEWER, "GET", "/v1/targets", params={"cursor": cursor})
    assert_problem(elsewhere, status=400, code="cursor.invalid")


@pytest.mark.parametrize("path", ["/v1/targets", "/v1/runbook-rules"])
async def test_pages_of_the_inventory_hold_each_once(ward: Ward, callers: Callers, path: str) -> None:
    for number in range(4):
        await ward.add_target(f"t-{number}")
        await ward.add_rule(name=f"r-{number}")
    found = [item["name"] for page in await pages(callers, path) for item in page]
    assert found == (["t-3", "t-2", "t-1", "t-0", "web"] if "targets" in path else ["r-3", "r-2", "r-1", "r-0"])
