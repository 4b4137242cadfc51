"""Operators' and admins' writes under an Idempotency-Key: one effect, one answer, and no secret kept for it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.auth.rules import Role
from app.core.ids import TenantId, new_id
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.http.idempotency import REPLAYED
from app.main import Application
from tests.http.test_problem import assert_problem
from tests.operations.test_jobs_api import Tokens, bury

# Operation, its body, another request's under the same key, and what the audit trail says of it.
WRITES: dict[str, tuple[str, Any, Any, str]] = {
    "retry": ("/v1/jobs/{job}/retry", {}, {"x": 1}, "job.retried"),
    "discard": ("/v1/jobs/{job}/discard", {}, {"x": 1}, "job.discarded"),
    "pause": ("/v1/admin/pause-processing", {"reason": "a"}, {"reason": "b"}, "processing.paused"),
    "resume": ("/v1/admin/resume-processing", {"queue": "notification"}, {"reason": "b"}, "processing.resumed"),
    "make a token": ("/v1/tokens", {"name": "n", "role": "viewer"}, {"name": "m", "role": "viewer"}, "token.created"),
    "revoke a token": ("/v1/tokens/{token}/revoke", {}, {"x": 1}, "token.revoked"),
}


async def send(api: httpx.AsyncClient, token: str, path: str, body: Any, key: str | None = "k1") -> httpx.Response:
    headers = {"authorization": token} | ({"idempotency-key": key} if key is not None else {})
    return await api.post(path, json=body, headers=headers)


async def audited(database: Database, tenant_id: TenantId, action: str) -> int:
    statement = text("select count(*) from audit_entries where action = :action")
    async with tenant_session(database, tenant_id) as session:
        return int((await session.execute(statement, {"action": action})).scalar_one())


async def path_of(api: httpx.AsyncClient, admin: str, database: Database, tenant_id: TenantId, path: str) -> str:
    """The path with the id of what is there in its place."""
    if "{job}" in path:
        return path.format(job=await bury(database, tenant_id))
    if "{token}" in path:
        made = await send(api, admin, "/v1/tokens", {"name": "old", "role": "viewer"}, key=None)
        return path.format(token=made.json()["id"])
    return path


@pytest.mark.parametrize("write", WRITES)
async def test_a_repeated_write_has_one_effect_and_one_answer(
    api: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId, write: str
) -> None:
    pattern, body, other, action = WRITES[write]
    path = await path_of(api, tokens[Role.ADMIN], database, tenant_id, pattern)
    if write == "resume":
        await send(api, tokens[Role.ADMIN], "/v1/admin/pause-processing", {"queue": "notification"}, key=None)
    before = await audited(database, tenant_id, action)
    first = await send(api, tokens[Role.ADMIN], path, body)
    second = await send(api, tokens[Role.ADMIN], path, body)
    assert first.is_success, first.text
    assert (second.status_code, second.headers[REPLAYED]) == (first.status_code, "true")
    assert {**second.json(), "token": None} == {**first.json(), "token": None}
    mistaken = await send(api, tokens[Role.ADMIN], path, other)
    assert_problem(mistaken, status=422, code="idempotency.mismatch")
    assert await audited(database, tenant_id, action) == before + 1


async def test_a_tokens_text_is_shown_once_and_not_kept_for_a_repeat(
    api: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId
) -> None:
    body = {"name": "deployer", "role": "engineer"}
    first = (await send(api, tokens[Role.ADMIN], "/v1/tokens", body)).json()
    assert (await api.get("/v1/me", headers={"authorization": f"Bearer {first['token']}"})).json()["name"] == "deployer"
    second = (await send(api, tokens[Role.ADMIN], "/v1/tokens", body)).json()
    assert second == first | {"token": None}
    async with tenant_session(database, tenant_id) as session:
        kept = (await session.execute(text("select response from idempotency_keys"))).scalars().all()
    assert len(kept) == 1
    assert first["token"].encode() not in kept[0]


async def test_two_admins_may_use_one_key(
    api: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId
) -> None:
    job_id = await bury(database, tenant_id)
    assert (await send(api, tokens[Role.ENGINEER], f"/v1/jobs/{job_id}/retry", {})).status_code == 200
    other = await send(api, tokens[Role.ADMIN], f"/v1/jobs/{job_id}/retry", {})
    assert_problem(other, status=409, code="job.wrong_state")


@pytest.mark.parametrize(("verb", "state"), [("isolate", "isolated"), ("restore", "active")])
async def test_an_operators_repeated_write_has_one_effect(
    api: httpx.AsyncClient, operator_token: str, database: Database, tenant_id: TenantId, verb: str, state: str
) -> None:
    path = f"/v1/admin/tenants/{tenant_id}"
    if verb == "restore":
        await send(api, operator_token, f"{path}/isolate", {"reason": "drill"}, key=None)
    first = await send(api, operator_token, f"{path}/{verb}", {"reason": "leak"})
    second = await send(api, operator_token, f"{path}/{verb}", {"reason": "leak"})
    assert first.json()["state"] == state
    assert (second.content, second.headers[REPLAYED]) == (first.content, "true")
    mistaken = await send(api, operator_token, f"{path}/{verb}", {"reason": "other"})
    assert_problem(mistaken, status=422, code="idempotency.mismatch")
    statement = text("select count(*) from audit_entries where detail ->> 'reason' = 'leak'")
    async with tenant_session(database, tenant_id) as session:
        assert (await session.execute(statement)).scalar_one() == 1


async def test_a_key_for_a_tenant_that_is_not_there_leaves_nothing(
    api: httpx.AsyncClient, operator_token: str, database: Database
) -> None:
    nobody = TenantId(new_id())
    answer = await send(api, operator_token, f"/v1/admin/tenants/{nobody}/isolate", {"reason": "leak"})
    assert_problem(answer, status=404, code="tenant.not_found")
    async with tenant_session(database, nobody) as session:
        assert (await session.execute(text("select count(*) from idempotency_keys"))).scalar_one() == 0


async def test_the_slug_makes_a_repeated_tenant_one(api: httpx.AsyncClient, operator_token: str) -> None:
    body = {"slug": f"t-{new_id().hex[-12:]}", "name": "New"}
    made = await send(api, operator_token, "/v1/admin/tenants", body, key=None)
    assert made.status_code == 201
    again = await send(api, operator_token, "/v1/admin/tenants", body, key=None)
    assert_problem(again, status=409, code="tenant.slug_taken")


# Writes that take no key, each with its reason.
KEYLESS = {
    "POST /v1/runbooks/validate": "keeps nothing",
    "POST /v1/sources/preview": "keeps nothing",
    "POST /v1/sources/preview-verification": "keeps nothing",
    "POST /v1/admin/tenants": "keys are rows of a tenant, and there is none yet; the slug makes a repeat one",
}


def test_every_other_write_takes_a_key(application: Application) -> None:
    found = {
        f"{method.upper()} {path}"
        for path, item in application.api.openapi()["paths"].items()
        for method, operation in item.items()
        if method in {"post", "put", "patch", "delete"} and path.startswith("/v1/")
        if not any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", []))
    }
    assert found == set(KEYLESS)
