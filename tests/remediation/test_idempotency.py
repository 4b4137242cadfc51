"""Every write of remediation under an Idempotency-Key: repeated it has one effect and one answer."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from app.auth.rules import Role
from app.http.idempotency import REPLAYED
from app.remediation.rules.states import RunState
from tests.http.test_problem import assert_problem
from tests.remediation.conftest import Callers, Ward
from tests.remediation.consent import APPROVED_ACT, wait_for_consent

RUN = {"runbook": "http-service-recovery", "targets": {"service": "web"}}
TARGET = {"name": "db", "kind": "http", "connection": {"base_url": "http://127.0.0.1:9"}}
RULE = {"name": "r", "match": {"alert": ["X"]}, "runbook": "http-service-recovery", "targets": {"service": "web"}}

# Operation, body, another body under the same key, and what the audit trail then says once more than before.
WRITES: dict[str, tuple[str, Any, Any, str]] = {
    "store a runbook": ("POST /v1/runbooks", {"source": APPROVED_ACT}, {"source": "x"}, "runbook.created"),
    "add a target": ("POST /v1/targets", TARGET, TARGET | {"name": "other"}, "target.created"),
    "replace a target": ("PUT /v1/targets/{target}", TARGET, TARGET | {"owner": "me"}, "target.changed"),
    "remove a target": ("DELETE /v1/targets/{spare}", None, None, "target.deleted"),
    "add a rule": ("POST /v1/runbook-rules", RULE, RULE | {"enabled": False}, "runbook_rule.created"),
    "replace a rule": ("PUT /v1/runbook-rules/{rule}", RULE, RULE | {"enabled": False}, "runbook_rule.changed"),
    "remove a rule": ("DELETE /v1/runbook-rules/{rule}", None, None, "runbook_rule.deleted"),
    "start a run": ("POST /v1/runs", RUN, RUN | {"dry_run": True}, "run.started"),
    "cancel a run": ("POST /v1/runs/{run}/cancel", {}, {"reason": "other"}, "run.cancel_requested"),
}


async def audited(callers: Callers, action: str) -> int:
    trail = await callers.call(Role.ADMIN, "GET", "/v1/audit", params={"action": action, "limit": 200})
    return len(trail.json()["items"])


async def path_of(ward: Ward, callers: Callers, path: str) -> str:
    """The path with the ids of what is there in its place."""
    if "{run}" in path:
        return path.format(run=await ward.start())
    if "{rule}" in path:
        await ward.add_rule()
        listed = await callers.call(Role.VIEWER, "GET", "/v1/runbook-rules")
        return path.format(rule=listed.json()["items"][0]["id"])
    if "{spare}" in path:
        return path.format(spare=await ward.add_target("spare"))
    if "{target}" in path:
        return path.format(target=await ward.add_target("target"))
    return path


def assert_replayed(first: httpx.Response, second: httpx.Response) -> None:
    assert first.is_success, first.text
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert (REPLAYED in first.headers, second.headers[REPLAYED]) == (False, "true")


@pytest.mark.parametrize("write", WRITES)
async def test_a_repeated_write_has_one_effect_and_one_answer(ward: Ward, callers: Callers, write: str) -> None:
    operation, body, other, action = WRITES[write]
    method, path = operation.split()
    path = await path_of(ward, callers, path)
    before = await audited(callers, action)
    first = await callers.call(Role.ENGINEER, method, path, json=body, key="k1")
    assert_replayed(first, await callers.call(Role.ENGINEER, method, path, json=body, key="k1"))
    assert await audited(callers, action) == before + 1
    elsewhere = path if other is not None else f"{path}?again=1"
    mistaken = await callers.call(Role.ENGINEER, method, elsewhere, json=other, key="k1")
    assert_problem(mistaken, status=422, code="idempotency.mismatch")
    assert await audited(callers, action) == before + 1


async def test_a_repeated_yes_is_one_yes(ward: Ward, callers: Callers) -> None:
    run_id = await wait_for_consent(ward)
    await ward.change("update run_steps set approval = jsonb_set(approval, '{needed}', '2') where key = 'restart'")
    path = f"/v1/runs/{run_id}/approve"
    body = {"step": "restart", "plan_digest": (await ward.run(run_id)).plan_digest, "decision": "approve"}
    first = await callers.call(Role.ENGINEER, "POST", path, json=body, key="k1")
    assert_replayed(first, await callers.call(Role.ENGINEER, "POST", path, json=body, key="k1"))
    run = await ward.run(run_id)
    approval = next(step.approval for step in run.steps if step.key == "restart")
    assert approval is not None
    assert (run.state, len(approval["approvals"])) == (RunState.AWAITING_APPROVAL, 1)
    mistaken = await callers.call(Role.ENGINEER, "POST", path, json=body | {"decision": "deny"}, key="k1")
    assert_problem(mistaken, status=422, code="idempotency.mismatch")
    assert (await ward.run(run_id)).state is RunState.AWAITING_APPROVAL


async def test_starts_that_race_under_one_key_are_one_run(ward: Ward, callers: Callers) -> None:
    answers = await asyncio.gather(
        *(callers.call(Role.RESPONDER, "POST", "/v1/runs", json=RUN, key="k1") for _ in range(4))
    )
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.json()["id"] for answer in answers}) == len(await ward.runs()) == 1
    await ward.let_pass(4)
    assert ward.patient.restarts == 1


async def test_a_refused_start_leaves_its_key_free(ward: Ward, callers: Callers) -> None:
    holder = await ward.start()
    refused = await callers.call(Role.RESPONDER, "POST", "/v1/runs", json=RUN, key="k1")
    assert_problem(refused, status=409, code="run.refused")
    await callers.call(Role.RESPONDER, "POST", f"/v1/runs/{holder}/cancel", json={})
    await ward.work()
    started = await callers.call(Role.RESPONDER, "POST", "/v1/runs", json=RUN, key="k1")
    assert (started.status_code, REPLAYED in started.headers) == (201, False)


async def test_a_repeated_answer_shows_the_run_as_it_was(ward: Ward, callers: Callers) -> None:
    first = await callers.call(Role.RESPONDER, "POST", "/v1/runs", json=RUN, key="k1")
    await ward.let_pass(4)
    assert_replayed(first, await callers.call(Role.RESPONDER, "POST", "/v1/runs", json=RUN, key="k1"))
    assert ward.patient.restarts == 1
